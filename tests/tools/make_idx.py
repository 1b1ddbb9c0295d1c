#!/usr/bin/python3
"""Writes a small invented data set as four IDX files: make_idx.py FOLDER [--train N] [--test N] [--size PIXELS] ...

Every class has a pattern of its own under noise, so a model learns something from it within a few passes. The same
arguments give the same bytes.
"""

import argparse
import gzip
import struct
from pathlib import Path

import numpy as np

IMAGE_MAGIC, LABEL_MAGIC = 0x803, 0x801


def make_idx(folder, *, train=240, test=120, size=8, classes=4, seed=1, compress=False):
    """Images are size x size; labels go 0, 1, ..., classes - 1, 0, ... Returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    patterns = random.integers(0, 160, (classes, size, size))
    for prefix, count in (("train", train), ("t10k", test)):
        labels = np.arange(count) % classes
        images = patterns[labels] + random.integers(0, 96, (count, size, size))
        header = struct.pack(">IIII", IMAGE_MAGIC, count, size, size)
        write(folder / f"{prefix}-images-idx3-ubyte", header + images.astype(np.uint8).tobytes(), compress)
        header = struct.pack(">II", LABEL_MAGIC, count)
        write(folder / f"{prefix}-labels-idx1-ubyte", header + labels.astype(np.uint8).tobytes(), compress)
    return folder


def write(path, content, compress):
    if compress:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content, mtime=0))
    else:
        path.write_bytes(content)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    for name, default in (("train", 240), ("test", 120), ("size", 8), ("classes", 4), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--compress", action="store_true", help="write .gz files")
    make_idx(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
