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

TOLERANCE = 1e-5  # norm-wise, relative; float32 with another order of summation


def set_parameters(model, flat):
    """Fills the model's parameters, in their order, from one flat array."""
    torch.nn.utils.vector_to_parameters(torch.from_numpy(flat.copy()), model.parameters())


def relative_error(ours, theirs):
    return numpy.linalg.norm(ours - theirs) / numpy.linalg.norm(theirs)


def check(name, program):
    model = {"logistic": pytorch_models.Logistic, "mlp": lambda: pytorch_models.Mlp(20),
             "cnn": pytorch_models.Cnn}[name]()
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([program, name, folder], check=True, timeout=100)
        read = lambda file, kind: numpy.fromfile(pathlib.Path(folder) / file, dtype=kind)
        initial, gradient = read("initial", "<f4"), read("gradient", "<f4")
        trained, loss = read("trained", "<f4"), read("loss", "<f8")[0]
        pixels, labels = read("pixels", "u1"), read("labels", "<i4")
    x = torch.from_numpy((pixels.reshape(-1, 1, 28, 28).astype("f4") / 255 - 0.5) / 0.5)
    y = torch.from_numpy(labels.astype("i8"))

    set_parameters(model, initial)
    mean_loss = nn.functional.cross_entropy(model(x), y)
    mean_loss.backward()
    flat = torch.cat([p.grad.flatten() for p in model.parameters()]).numpy()
    errors = {"loss": abs(loss / len(y) - mean_loss.item()) / mean_loss.item(),
              "gradient": relative_error(gradient, flat)}

    set_parameters(model, initial)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(2):
        for begin in range(0, len(y), 16):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[begin:begin + 16]), y[begin:begin + 16]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
    with torch.no_grad():
        flat = torch.cat([p.flatten() for p in model.parameters()]).numpy()
    errors["after 6 steps"] = relative_error(trained, flat)

    print(name, {key: f"{value:.1e}" for key, value in errors.items()})
    return all(value < TOLERANCE for value in errors.values())


if __name__ == "__main__":
    torch.set_num_threads(1)
    results = [check(name, sys.argv[1]) for name in ("logistic", "mlp", "cnn")]
    sys.exit(0 if all(results) else 1)
