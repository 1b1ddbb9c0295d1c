"""The training step beside PyTorch's, one thread each, in one run: images a second and the ratio.

Usage: /usr/bin/python3 bench/peer_torch.py TRAINING_BENCH_PROGRAM

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
from pytorch_models import Cnn, Mlp  # noqa: E402

TURNS = 3
SECONDS = 1.5


def images_per_second(model, batch, channels_last):
    """Best rate over passes of 320 images within SECONDS."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(memory_format=layout)
    images = torch.rand(320, 1, 28, 28)
    labels = torch.randint(0, 10, (320,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def one_pass():
        order = torch.randperm(320)
        for begin in range(0, 320, batch):
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
        best = max(best, 320 / (time.perf_counter() - start))
    return best


def ours(program):
    lines = subprocess.run([program, str(SECONDS)], check=True, capture_output=True, text=True,
                           timeout=300).stdout.splitlines()
    return [json.loads(line) for line in lines]


def main(program):
    torch.set_num_threads(1)
    best = {}
    peak = 0.0
    for _ in range(TURNS):
        for row in ours(program):
            if row["what"] == "machine":
                peak = max(peak, row["fma_peak_gflops"])
                continue
            key = (row["model"], row["batch"], row["what"])
            if key not in best or row["images_per_second"] > best[key]["images_per_second"]:
                best[key] = row
        for name, batch in (("cnn", 32), ("cnn", 8), ("mlp", 10)):
            for channels_last in (False, True) if name == "cnn" else (False,):
                rate = images_per_second(Cnn() if name == "cnn" else Mlp(200), batch, channels_last)
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
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
