"""The networks, their gradients and local SGD against PyTorch: same weights, same batches.

Usage: against_pytorch.py DUMP_PROGRAM. Exit code 77 (skipped) where PyTorch is missing.
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy
    import torch
    from torch import nn
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import pytorch_models

# Norm-wise, relative; PyTorch in double precision, so the errors are those of our single precision. Where rounding flips a
# relu the gradient jumps, which instruction set and chance decide: small images have few flips, if any (then errors are those
# of the shallow networks), large ones some.
EXACT, FEW_FLIPS, SOME_FLIPS = 1e-5, 2e-3, 1e-2
BATCH = 8   # as training_dump.cpp has it

# name, norm (None: batch norm; a number: groups of group norm), stem, image as rows x columns x channels, tolerance
CASES = [
    ("logistic", None, "cifar", (28, 28, 1), EXACT),
    ("mlp", None, "cifar", (28, 28, 1), EXACT),
    ("cnn", None, "cifar", (28, 28, 1), EXACT),
    ("lenet5", None, "cifar", (28, 28, 1), EXACT),
    ("resnet8", None, "cifar", (9, 7, 3), FEW_FLIPS),
    ("resnet8", 4, "cifar", (7, 8, 3), FEW_FLIPS),
    ("resnet20", None, "cifar", (5, 6, 3), FEW_FLIPS),
    ("resnet20", None, "cifar", (32, 32, 3), SOME_FLIPS),
    ("resnet18", None, "cifar", (5, 5, 3), FEW_FLIPS),
    ("resnet18", None, "imagenet", (33, 37, 3), SOME_FLIPS),
    ("resnet18", 8, "imagenet", (18, 17, 3), FEW_FLIPS),
]


def fill(model, flat, statistics):
    """Sets the model's parameters and running statistics, in their order, from flat arrays."""
    def unflatten(tensors, values):
        at = 0
        for tensor in tensors:
            part = values[at:at + tensor.numel()]
            tensor.data.copy_(torch.from_numpy(part.copy()).reshape(tensor.shape))
            at += tensor.numel()
        assert at == len(values), "not the same number of values"

    unflatten(model.parameters(), flat)
    unflatten(running(model), statistics)


def running(model):
    return [b for name, b in model.named_buffers() if not name.endswith("num_batches_tracked")]


def flatten(tensors):
    parts = [t.detach().flatten().double() for t in tensors]
    return torch.cat(parts).numpy() if parts else numpy.zeros(0)


def relative_error(ours, theirs):
    if len(ours) == 0:
        return 0.0
    return float(numpy.linalg.norm(ours - theirs) / numpy.linalg.norm(theirs))


def check(program, name, groups, stem, image, tolerance):
    norm = pytorch_models.group_norm(groups) if groups else nn.BatchNorm2d
    model = pytorch_models.make(name, norm, stem).double()
    with tempfile.TemporaryDirectory() as folder:
        arguments = [name, groups or 0, stem, *image, folder]
        subprocess.run([program, *map(str, arguments)], check=True, timeout=100)
        path = pathlib.Path(folder)
        read = lambda file, kind: numpy.fromfile(path / file, dtype=kind)
        names = [line.split() for line in (path / "names").read_text().splitlines()]
        pixels, labels = read("pixels", "u1"), read("labels", "<i4")
        ours = {file.name: read(file.name, "<f4") for file in path.iterdir()
                if file.name not in ("names", "pixels", "labels", "loss")}
        loss, evaluated_loss = read("loss", "<f8")

    theirs = [name for name, _ in model.named_parameters()]
    assert [name for kind, name in names if kind == "parameter"] == theirs, theirs
    theirs = [name for name, _ in model.named_buffers() if "num_batches" not in name]
    assert [name for kind, name in names if kind == "statistic"] == theirs, theirs

    rows, columns, channels = image
    x = torch.from_numpy((pixels.reshape(-1, rows, columns, channels) / 255.0 - 0.5) / 0.5)
    x = x.permute(0, 3, 1, 2).contiguous()
    y = torch.from_numpy(labels.astype("i8"))

    fill(model, ours["initial"], ours["initial_statistics"])
    mean_loss = nn.functional.cross_entropy(model(x), y)
    mean_loss.backward()
    errors = {"loss": abs(loss / len(y) - mean_loss.item()) / mean_loss.item(),
              "gradient": relative_error(ours["gradient"],
                                         flatten(p.grad for p in model.parameters()))}

    fill(model, ours["initial"], ours["initial_statistics"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=0.01)
    for _ in range(2):
        for begin in range(0, len(y), BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[begin:begin + BATCH]), y[begin:begin + BATCH]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    errors["after 6 steps"] = relative_error(ours["trained"], flatten(model.parameters()))
    errors["statistics"] = relative_error(ours["trained_statistics"], flatten(running(model)))

    fill(model, ours["trained"], ours["trained_statistics"])
    model.eval()
    with torch.no_grad():
        mean_loss = nn.functional.cross_entropy(model(x), y).item()
    errors["evaluated"] = abs(evaluated_loss / len(y) - mean_loss) / mean_loss

    title = f"{name} {'x'.join(map(str, image))}" + (f" groups {groups}" if groups else "")
    print(title, stem, {key: f"{value:.1e}" for key, value in errors.items()}, flush=True)
    return all(value < tolerance for value in errors.values())


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = [check(sys.argv[1], *case) for case in CASES]
    sys.exit(0 if all(results) else 1)
