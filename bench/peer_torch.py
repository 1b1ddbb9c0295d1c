"""The training step beside PyTorch's, one thread each, in one run: images a second and the ratio.

Usage: /usr/bin/python3 bench/peer_torch.py TRAINING_BENCH_PROGRAM [MODEL]

The two take turns, so that both see the same machine. PyTorch runs in NCHW and channels_last; the better counts. Its step
holds what ours holds: batch assembly by index, forward, loss, backward, update.
"""

import json
import pathlib
import subprocess
import sys
import time

import torch
from torch.nn import functional

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "model"))
import pytorch_models  # noqa: E402

TURNS = 3
SECONDS = 1.5
# model, batch, image as channels, rows, columns
CASES = [("cnn", 32, (1, 28, 28)), ("cnn", 8, (1, 28, 28)), ("mlp", 10, (1, 28, 28)),
         ("lenet5", 32, (1, 28, 28)), ("resnet8", 32, (3, 32, 32)),
         ("resnet20", 32, (3, 32, 32)), ("resnet18", 32, (3, 32, 32))]


def make(name):
    return pytorch_models.Mlp(200) if name == "mlp" else pytorch_models.make(name)


def images_per_second(model, batch, image, samples, channels_last):
    """Best rate over passes of `samples` images within SECONDS."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    images = torch.rand(samples, *image)
    labels = torch.randint(0, 10, (samples,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def one_pass():
        order = torch.randperm(samples)
        for begin in range(0, samples, batch):
            chosen = order[begin:begin + batch]
            optimizer.zero_grad(set_to_none=True)
            x = images[chosen].contiguous(memory_format=layout)
            functional.cross_entropy(model(x), labels[chosen]).backward()
            optimizer.step()

    one_pass()
    best, end = 0.0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        one_pass()
        best = max(best, samples / (time.perf_counter() - start))
    return best


def ours(program, selected):
    lines = subprocess.run([program, str(SECONDS), *selected], check=True, capture_output=True, text=True,
                           timeout=600).stdout.splitlines()
    return [json.loads(line) for line in lines]


def main(program, *selected):
    torch.set_num_threads(1)
    best = {}
    peak = 0.0
    for _ in range(TURNS):
        for row in ours(program, selected):
            if row["what"] == "machine":
                peak = max(peak, row["fma_peak_gflops"])
                continue
            key = (row["model"], row["batch"], row["what"])
            if key not in best or row["images_per_second"] > best[key]["images_per_second"]:
                best[key] = row
        for name, batch, image in CASES:
            if selected and name not in selected:
                continue
            samples = 64 if name == "resnet18" else 320
            for channels_last in (False, True) if name != "mlp" else (False,):
                rate = images_per_second(make(name), batch, image, samples, channels_last)
                key = (name, batch, "PyTorch")
                best[key] = {"images_per_second": max(
                    rate, best.get(key, {}).get("images_per_second", 0.0))}

    print(f"FMA peak of one core: {peak:.0f} GFLOP/s; PyTorch {torch.__version__}, one thread\n")
    print("| model | batch | what | images/s | nominal GFLOP/s | share of peak | x PyTorch |")
    print("|---|---|---|---|---|---|---|")
    for (name, batch, what), row in best.items():
        rate = row["images_per_second"]
        ratio = rate / best[(name, batch, "PyTorch")]["images_per_second"]
        if what == "PyTorch":
            print(f"| {name} | {batch} | PyTorch | {rate:,.0f} | | | 1 |")
            continue
        shown = f"{ratio:.2f}" if what.startswith("step") else ""
        print(f"| {name} | {batch} | {what} | {rate:,.0f} | {row['nominal_gflops']:.0f} "
              f"| {row['nominal_gflops'] / peak:.0%} | {shown} |")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
