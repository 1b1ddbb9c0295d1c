#!/usr/bin/python3
"""Loads a model that `fedselect export` wrote into PyTorch and prints its logits.

    fedselect export runs/kept --client 3 --output client3.safetensors
    analysis/examples/load_in_pytorch.py client3.safetensors                          on one grey image
    analysis/examples/load_in_pytorch.py client3.safetensors --data FOLDER --samples 0 17 42

FOLDER is a data set of IDX files; samples count from 0 in its test part. Models: logistic, mlp, cnn.
Needs numpy and PyTorch (Debian: apt install python3-torch).
"""

import argparse
import gzip
import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "U8": "|u1"}


def read_safetensors(path):
    """{name: array}. With the safetensors package: safetensors.numpy.load_file(path)."""
    content = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = np.frombuffer(content[begin:end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"])
    return tensors


class Logistic(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        return self.fc(x.flatten(1))


class Mlp(nn.Module):
    def __init__(self, inputs, hidden, classes):
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.fc2 = nn.Linear(hidden, classes)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class Cnn(nn.Module):
    def __init__(self, channels, features, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 64, 5, padding=2)
        self.fc1 = nn.Linear(features, 512)
        self.fc2 = nn.Linear(512, classes)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


def build(tensors):
    """The network whose parameters these are, with their values."""
    shapes = {name: values.shape for name, values in tensors.items()}
    if sorted(shapes) == ["fc.bias", "fc.weight"]:
        model = Logistic(shapes["fc.weight"][1], shapes["fc.weight"][0])
    elif sorted(shapes) == ["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"]:
        model = Mlp(shapes["fc1.weight"][1], shapes["fc1.weight"][0], shapes["fc2.weight"][0])
    elif shapes.get("conv1.weight", ())[:1] == (32,):
        model = Cnn(shapes["conv1.weight"][1], shapes["fc1.weight"][1], shapes["fc2.weight"][0])
    else:
        sys.exit(f"no network for the tensors {', '.join(shapes)}: write its module and call load_state_dict")
    model.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in tensors.items()})
    return model.eval()


def one_grey_image(tensors):
    """A square image of one colour, of the size that the network wants."""
    if "conv1.weight" in tensors:
        side = 4 * math.isqrt(tensors["fc1.weight"].shape[1] // 64)
        return torch.zeros(1, tensors["conv1.weight"].shape[1], side, side)
    first = tensors["fc1.weight"] if "fc1.weight" in tensors else tensors["fc.weight"]
    return torch.zeros(1, first.shape[1])


def read_idx(path):
    path = Path(path)
    content = path.read_bytes() if path.exists() else gzip.open(f"{path}.gz").read()
    axes = content[3]
    shape = struct.unpack(f">{axes}I", content[4 : 4 + 4 * axes])
    return np.frombuffer(content[4 + 4 * axes :], dtype=np.uint8).reshape(shape)


def test_images(folder):
    """The test images of a data set as the program scales them: zero mean and deviation 1 over the training part."""
    train = read_idx(Path(folder) / "train-images-idx3-ubyte").astype(np.float64) / 255
    test = read_idx(Path(folder) / "t10k-images-idx3-ubyte").astype(np.float32) / 255
    mean, deviation = np.float32(train.mean()), np.float32(train.std() or 1)
    return torch.from_numpy(((test - mean) / deviation)[:, None])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", help="a file that fedselect export wrote")
    parser.add_argument("--data", help="folder of the four IDX files")
    parser.add_argument("--samples", type=int, nargs="+", default=[0], help="of the test part")
    options = parser.parse_args()
    tensors = read_safetensors(options.file)
    model = build(tensors)
    images = test_images(options.data)[options.samples] if options.data else one_grey_image(tensors)
    with torch.no_grad():
        for logits in model(images):
            print(" ".join(f"{value:8.4f}" for value in logits.tolist()), " class", int(logits.argmax()))


if __name__ == "__main__":
    main()
