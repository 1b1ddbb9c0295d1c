"""Predicts rounds on clusters that are not at hand, by SimGrid: the tables of docs/scaling.md.

Usage: /usr/bin/python3 bench/smpi/predict.py BUILD_FOLDER PREDICTIONS [RANKS ...]       ranks: of the rounds, 16 64 256 1024 unless named

Writes every simulated round into the file PREDICTIONS, which curves.py reads, and goes on where that ends: 1,024 ranks take minutes each.
"""

import json
import sys
from pathlib import Path

from simulator import platform, require_programs, simulate

# Sample gradients a second of one core where nothing else ran (docs/performance.md); for resnet18 0.93 of that core's peak, a share that
# training_bench measured elsewhere. A client computes 40 samples 5 times; the rest of a round is 3.1 % of it.
RATES, OWN_WORK, GRADIENTS = {"mlp": 202_859, "cnn": 5_302, "resnet18": 91}, 0.031, 200
ADD_SECONDS = 8.1e-11           # of a byte of a sum
MERGE_SECONDS = 5e-10           # of a parameter, on every rank
ROUND_SECONDS = 4.4e-9          # of a parameter, on the root: the model's hash
RECORD_SECONDS = 2.2e-7         # of a client, on the root
SPREAD = 0.5                    # of the clients' work; half of the population takes part
COHORTS = {"weak": lambda ranks: 10 * ranks, "strong": lambda ranks: 2048}
PARTS = ("lend", "train", "wait", "sum", "merge", "gather", "write")
WAYS = ((16, 4, 159168), (16, 16, 159168), (64, 16, 159168), (16, 4, 1663488), (16, 16, 1663488))


def print_row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def print_header(*cells):
    print_row(*cells)
    print_row(*["---"] * len(cells))


def client_seconds(network):
    return GRADIENTS / RATES[network] / (1 - OWN_WORK)


def play(build, scaling, network, kind, ranks):
    """One round, a rank a node: seconds of each part, as the root sees them."""
    clients = COHORTS[scaling](ranks)
    arguments = ["--network", network, "--clients", clients, "--population", 2 * clients, "--spread", SPREAD, "--rounds", 1,
                 "--client-seconds", client_seconds(network), "--add-seconds", ADD_SECONDS]
    [played] = simulate(build / "bench/smpi/round_player_smpi", platform(kind, ranks), ranks, 1, arguments, seconds=7200, folds=True)
    return {"scaling": scaling, "network": network, "platform": kind, "clients": clients, **played}


def complete(row):
    """With the merge and the root's writing, which no message depends on."""
    d = row["parameters"]
    return {**row, "merge": MERGE_SECONDS * d, "write": row["write"] + ROUND_SECONDS * d + RECORD_SECONDS * row["clients"]}


def rounds(build, path, sizes):
    """Strong and weak scaling."""
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    print_header("scaling", "network", "platform", "ranks", "clients", *PARTS, "round")
    for scaling in COHORTS:
        for network in RATES:
            for kind in ("fat-tree", "dragonfly"):
                for ranks in sizes:
                    case = {"scaling": scaling, "network": network, "platform": kind, "ranks": ranks}
                    played = next((k for k in known if case.items() <= k.items()), None)
                    if played is None:
                        played = play(build, scaling, network, kind, ranks)
                        with path.open("a") as file:
                            file.write(json.dumps(played) + "\n")
                    played = complete(played)
                    print_row(*case.values(), played["clients"], *(f"{1e3 * played[part]:.2f}" for part in PARTS),
                              f"{1e3 * sum(played[part] for part in PARTS):.1f}")


def ways(build):
    """Ways of adding up on nodes of several ranks, milliseconds."""
    header = None
    for nodes, per_node, values in WAYS:
        found = simulate(build / "bench/smpi/sum_variants_smpi", platform("fat-tree", nodes), nodes, per_node,
                         ["--values", values, "--per-node", per_node, "--blocking"])
        if header is None:
            header = ["nodes x ranks", "values", *(way["way"] for way in found)]
            print_header(*header)
        print_row(f"{nodes} x {per_node}", values, *(f"{1e3 * way['seconds']:.2f}" for way in found))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    build = Path(sys.argv[1]).resolve()
    require_programs(build, "round_player_smpi", "sum_variants_smpi", "libfolded_memory.so")
    rounds(build, Path(sys.argv[2]), [int(ranks) for ranks in sys.argv[3:]] or [16, 64, 256, 1024])
    print()
    ways(build)
