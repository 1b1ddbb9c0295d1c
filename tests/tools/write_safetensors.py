"""A writer of safetensors files that knows nothing of the project: https://huggingface.co/docs/safetensors."""

import json
import struct
from pathlib import Path

import numpy as np

NAMES = {"float32": "F32", "int64": "I64"}


def write_safetensors(path, tensors):
    """Writes arrays, or tensors of PyTorch, by name: header length, JSON header, data."""
    header, data = {}, []
    offset = 0
    for name, tensor in tensors.items():
        array = np.asarray(tensor)
        data.append(array.tobytes())
        header[name] = {"dtype": NAMES[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    Path(path).write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data))
