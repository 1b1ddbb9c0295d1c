"""Whole rounds in the paper's setting: where the time goes, and what a second rank brings.

Usage: /usr/bin/python3 bench/rounds.py FEDSELECT_PROGRAM

Runs bench/paper_setting.toml by turns on one rank, on two ranks, and as two programs of one rank each side by side, and reads
the phases from the result files. The third is the machine's limit: two programs that never speak to each other do the
rounds of two machines, but share caches, memory and clock. "Own work" is what federated learning adds to training and testing:
selection, masks, aggregation, communication, the store, writing, and what follows the last round (result.h5), which only these few
rounds share.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import h5py

TURNS = 3
OWN_WORK = ("select", "aggregate", "communicate", "store", "write")
CONFIG = pathlib.Path(__file__).with_name("paper_setting.toml")
METHODS = ("fedselect-ltn", "fedselect", "fedavg")


def run(program, ranks, folder):
    """Runs the config on `ranks` ranks; returns per method (phase names, seconds [round, rank, phase], gradients)."""
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    name = f"ranks{ranks}"
    subprocess.run(["mpirun", "--bind-to", "none", "--oversubscribe", "-n", str(ranks), program, "run", str(CONFIG), "--quiet",
                    "--out", folder, "--name", name], check=True, env=environment, timeout=600,
                   stdout=subprocess.DEVNULL)
    results = {}
    for method in METHODS:
        with h5py.File(pathlib.Path(folder) / name / method / "result.h5") as file:
            phases = [p.decode() if isinstance(p, bytes) else p for p in file["timings/phase"][:]]
            # The first round also pays for first touches of memory; it is left out.
            seconds = file["timings/seconds"][1:]
            gradients = file["metrics/gradients"][1:].sum()
        manifest = json.loads((pathlib.Path(folder) / name / method / "manifest.json").read_text())
        seconds[-1, 0, phases.index("write")] += manifest["finish_seconds"]
        results[method] = (phases, seconds, gradients)
    return results


def round_seconds(seconds):
    """Wall seconds of the rounds: ranks run side by side, and all phases of a rank add up to the round."""
    return seconds.sum(axis=2).max(axis=1).sum()


def rates(results):
    """Rounds per second of each method."""
    return {method: len(seconds) / round_seconds(seconds) for method, (_, seconds, _) in results.items()}


def one_turn(program):
    """Results on one and on two ranks, and per method the rounds/s of two programs side by side, added up."""
    with tempfile.TemporaryDirectory() as folder:
        one, two = run(program, 1, folder), run(program, 2, folder)
    with tempfile.TemporaryDirectory() as left, tempfile.TemporaryDirectory() as right, ThreadPoolExecutor() as pool:
        copies = [rates(results) for results in pool.map(lambda folder: run(program, 1, folder), (left, right))]
    return one, two, {method: sum(copy[method] for copy in copies) for method in METHODS}


def main(program):
    best = {method: [0.0, 0.0, 0.0] for method in METHODS}
    shares, gradients_per_second = {}, {}
    for _ in range(TURNS):
        one, two, copies = one_turn(program)
        turn = (rates(one), rates(two), copies)
        for method in METHODS:
            phases, seconds, _ = one[method]
            if turn[0][method] > best[method][0]:
                totals = seconds.sum(axis=(0, 1))
                shares[method] = dict(zip(phases, totals / totals.sum()))
            _, seconds, gradients = two[method]
            if turn[1][method] > best[method][1]:
                gradients_per_second[method] = gradients / round_seconds(seconds)
            best[method] = [max(so_far, now[method]) for so_far, now in zip(best[method], turn)]
    print("One rank, shares of the round:\n")
    phases = list(next(iter(shares.values())))
    print("| method | " + " | ".join(phases) + " | own work |")
    print("|---" * (len(phases) + 2) + "|")
    for method, share in shares.items():
        own = sum(share[phase] for phase in OWN_WORK)
        print(f"| {method} | " + " | ".join(f"{share[p]:.1%}" for p in phases) + f" | {own:.1%} |")
    print("\n| method | rounds/s, 1 rank | 2 ranks : 1 | two programs : 1 | gradients/s, 2 ranks |")
    print("|---|---|---|---|---|")
    for method, (one, two, copies) in best.items():
        rate = gradients_per_second[method]
        print(f"| {method} | {one:.2f} | {two / one:.2f} | {copies / one:.2f} | {rate:,.0f} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
