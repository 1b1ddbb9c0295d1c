#!/usr/bin/python3
"""make_seeds.py WRITE_SEEDS FOLDER: small valid inputs for every fuzz target, in FOLDER/TARGET.

WRITE_SEEDS is the built program of that name. What was found lies in corpus/ beside what these grew into.
"""

import gzip
import io
import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NEXT_FILE = b"\n--next file--\n"
RANDOM = np.random.default_rng(1)
SIDE = 2


def images(count):
    return RANDOM.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8)


def config_seeds():
    for path in sorted((ROOT / "configs").glob("*.toml")):
        yield path.stem, [path.read_bytes()]
    text = b'name = "a"\n[[method]]\nname = "fedavg"\n'
    yield "overrides", [text, b"train.lr=0.1", b"method.fedavg.passes=2", b"name=b"]
    yield "twice", [text, text + b'label = "other"\n']


def idx(array):
    return struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def idx_seeds():
    files = [idx(array) for n in (3, 2) for array in (images(n), np.arange(n, dtype=np.uint8) % 2)]
    yield "plain", files
    yield "gzip", [gzip.compress(file, mtime=0) for file in files]


def cifar_seeds():
    for label_bytes in (1, 2):
        yield f"{label_bytes}", [bytes(label_bytes + 3072) for _ in range(2)]


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npy_seeds():
    for name, kind in (("bytes", "u1"), ("words", "<i8")):
        yield name, [npy(array) for n in (4, 2) for array in (images(n), np.arange(n).astype(kind) % 2)]


def leaf_seeds():
    def part(users):
        data = {user: {"x": (images(2).reshape(2, -1) / 255).round(3).tolist(), "y": [0, 1]} for user in users}
        return json.dumps({"users": users, "num_samples": [2] * len(users), "user_data": data}).encode()

    yield "two", [part(["a", "b"]), part(["a"])]


def picture(mode, **options):
    out = io.BytesIO()
    Image.fromarray(RANDOM.integers(0, 256, (9, 10, 3), dtype=np.uint8)).convert(mode).save(out, **options)
    return out.getvalue()


def image_seeds():
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I"):   # I: 16 bits
        yield f"png_{mode}", [picture(mode, format="PNG")]
    for mode in ("L", "RGB", "CMYK"):
        for progressive in (False, True):
            yield f"jpeg_{mode}_{progressive}", [picture(mode, format="JPEG", progressive=progressive)]
    yield "jpeg_restarts", [picture("RGB", format="JPEG", subsampling=0, restart_marker_blocks=1, quality=95)]


def safetensors(tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        dtype = {"f4": "F32", "f2": "F16", "f8": "F64", "i8": "I64"}[array.dtype.str[1:]]
        end = len(data) + array.nbytes
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [len(data), end]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors_seeds():
    layers = {"fc1.weight": (2, 4), "fc1.bias": (2,), "fc2.weight": (3, 2), "fc2.bias": (3,)}
    for kind in ("f4", "f2", "f8"):
        yield kind, [safetensors({name: np.ones(shape, kind) for name, shape in layers.items()})]
    yield "count", [safetensors({"bn.num_batches_tracked": np.zeros((), "i8")})]


def h5(fill, **options):
    out = io.BytesIO()
    with h5py.File(out, "w", **options) as file:
        fill(file)
    return out.getvalue()


def tff(file):
    for client in ("a", "b"):
        group = file.create_group(f"examples/{client}")
        group["pixels"] = (images(2) / 255).astype(np.float32)
        group["label"] = np.arange(2, dtype=np.int32)


def many(file):
    for i in range(12):
        file[f"examples/{i}/image"] = images(1)
        file[f"examples/{i}/label"] = [0]


def stored_in_many_ways(file):
    file.attrs["format"] = "fedselect-data"
    file.attrs["version"] = 1
    for part, n in (("train", 6), ("test", 4)):
        array = images(n)
        file.create_dataset(
            f"{part}/images", data=array, chunks=(2, 1, SIDE), compression="gzip", shuffle=True, fletcher32=True
        )
        file[f"{part}/labels"] = (np.arange(n) % 2).astype(">i2")
        file[f"{part}/groups"] = (np.arange(n) % 2).astype("u1")
    file.create_dataset("groups/name", data=np.array([b"a", b"bc"]))
    file["groups/kind"] = "domain"


def hdf5_seeds(written):
    yield "plain", [(written / "plain.h5").read_bytes()]
    yield "result", [(written / "run/result.h5").read_bytes()]
    yield "version", [(written / "checkpoint_0_closed.h5").read_bytes()]
    yield "many", [h5(many, libver="v108")]
    for version in ("earliest", "v108", "latest"):
        yield f"tff_{version}", [h5(tff, libver=version)]
        yield f"ways_{version}", [h5(stored_in_many_ways, libver=version)]


def audit_seeds(written):
    log = re.sub(r'"parent":"[0-9a-f]{64}"', '"parent":"?"', (written / "run/audit.jsonl").read_text())
    yield "run", [log.encode()]
    yield "resumed", [log.replace('"finish"', '"resume"').replace('"rounds":3', '"rounds":2').encode()]


def checkpoint_seeds(written):
    for path in sorted(written.glob("checkpoint_*.h5")):
        yield path.stem, [path.read_bytes()]
    yield "journal", [b"", (written / "run/journal.bin").read_bytes(), b""]
    yield "manifest", [b"", b"", b'{"resumed": [{"ranks": 1}], "end": "now", "hosts": [[[[]]]]}']


def main():
    program, target_folder = sys.argv[1:]
    with tempfile.TemporaryDirectory() as written:
        subprocess.run([program, written], check=True)
        seeds = {name[: -len("_seeds")]: make for name, make in globals().items() if name.endswith("_seeds")}
        for target, make in seeds.items():
            folder = Path(target_folder) / target
            folder.mkdir(parents=True, exist_ok=True)
            needs_files = make.__code__.co_argcount == 1
            for name, files in make(Path(written)) if needs_files else make():
                (folder / f"seed_{name}").write_bytes(NEXT_FILE.join(files))


if __name__ == "__main__":
    main()
