"""Whole rounds in the paper's setting: where the time goes, and what a second rank brings.

Usage: /usr/bin/python3 bench/rounds.py FEDSELECT_PROGRAM

Runs bench/paper_setting.toml on one and on two ranks by turns and reads the phases from the result files. "Own work" is what
federated learning adds to training and testing: selection, masks, aggregation, communication, the store, writing, and what
follows the last round (result.h5), which only these few rounds share.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py

TURNS = 2
OWN_WORK = ("select", "aggregate", "communicate", "store", "write")
CONFIG = pathlib.Path(__file__).with_name("paper_setting.toml")
METHODS = ("fedselect-ltn", "fedselect", "fedavg")


def run(program, ranks, folder):
    """Runs the config on `ranks` ranks; returns per method (phase names, seconds [round, rank, phase], gradients)."""
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    name = f"ranks{ranks}"
    subprocess.run(["mpirun", "--oversubscribe", "-n", str(ranks), program, "run", str(CONFIG), "--quiet",
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


def main(program):
    best = {}
    shares = {}
    for _ in range(TURNS):
        for ranks in (1, 2):
            with tempfile.TemporaryDirectory() as folder:
                for method, (phases, seconds, gradients) in run(program, ranks, folder).items():
                    rate = len(seconds) / round_seconds(seconds)
                    if rate > best.get((method, ranks), (0, 0))[0]:
                        best[(method, ranks)] = (rate, gradients / round_seconds(seconds))
                        if ranks == 1:
                            totals = seconds.sum(axis=(0, 1))
                            shares[method] = dict(zip(phases, totals / totals.sum()))
    print("One rank, shares of the round:\n")
    phases = list(next(iter(shares.values())))
    print("| method | " + " | ".join(phases) + " | own work |")
    print("|---" * (len(phases) + 2) + "|")
    for method, share in shares.items():
        own = sum(share[phase] for phase in OWN_WORK)
        print(f"| {method} | " + " | ".join(f"{share[p]:.1%}" for p in phases) + f" | {own:.1%} |")
    print("\n| method | rounds/s, 1 rank | rounds/s, 2 ranks | ratio | gradients/s, 2 ranks |")
    print("|---|---|---|---|---|")
    for method in METHODS:
        one, two = best[(method, 1)][0], best[(method, 2)][0]
        print(f"| {method} | {one:.2f} | {two:.2f} | {two / one:.2f} | {best[(method, 2)][1]:,.0f} |")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
