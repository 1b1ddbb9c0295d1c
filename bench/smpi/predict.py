"""Predicts rounds on clusters that are not at hand, by SimGrid, and prints the tables of docs/scaling.md.

Usage: /usr/bin/python3 bench/smpi/predict.py BUILD_FOLDER [RANKS ...]       ranks: of the rounds, 64 256 unless named

Compute times are those of one core of docs/performance.md, where nothing else ran.
"""

import sys
from pathlib import Path

from simulator import platform, simulate

# A client computes 40 samples 5 times at so many sample gradients a second; the rest of a round is 3.1 % of it.
RATES, OWN_WORK, GRADIENTS = {"mlp": 202_859, "cnn": 5_302}, 0.031, 200
RECORD_SECONDS = 27e-6          # the root's, for each client of a round
PER_RANK, SPREAD = 2, 0.5       # clients; half of the population takes part
PARTS = ("lend", "train", "wait", "sum", "gather", "write")
WAYS = ((16, 4, 159168), (16, 16, 159168), (16, 4, 1663488), (16, 16, 1663488))


def print_row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def rounds(build, sizes):
    """Weak scaling, a rank a node: milliseconds of each part of a round, as the root sees them."""
    print_row("network", "platform", "ranks", *PARTS)
    print_row(*["---"] * (3 + len(PARTS)))
    for network, rate in RATES.items():
        for kind in ("fat-tree", "dragonfly"):
            for ranks in sizes:
                clients = PER_RANK * ranks
                arguments = ["--network", network, "--clients", clients, "--population", 2 * clients, "--spread", SPREAD, "--masks", "none",
                             "--rounds", 1, "--client-seconds", GRADIENTS / rate / (1 - OWN_WORK), "--merge-seconds", 0,
                             "--record-seconds", RECORD_SECONDS]
                [played] = simulate(build / "bench/smpi/round_player_smpi", platform(kind, ranks), ranks, 1, arguments)
                print_row(network, kind, ranks, *(f"{1e3 * played[part]:.2f}" for part in PARTS))


def ways(build):
    """Ways of adding up on nodes of several ranks, milliseconds."""
    header = None
    for nodes, per_node, values in WAYS:
        found = simulate(build / "bench/smpi/sum_variants_smpi", platform("fat-tree", nodes), nodes, per_node,
                         ["--values", values, "--per-node", per_node, "--blocking"])
        if header is None:
            header = ["nodes x ranks", "values", *(way["way"] for way in found)]
            print_row(*header)
            print_row(*["---"] * len(header))
        print_row(f"{nodes} x {per_node}", values, *(f"{1e3 * way['seconds']:.2f}" for way in found))


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    rounds(Path(sys.argv[1]).resolve(), [int(ranks) for ranks in sys.argv[2:]] or [64, 256])
    print()
    ways(Path(sys.argv[1]).resolve())
