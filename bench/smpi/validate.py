"""How far predictions are from real rounds, on one and on two ranks of this machine: a table of docs/scaling.md.

Usage: /usr/bin/python3 bench/smpi/validate.py BUILD_FOLDER [TURNS]

What a prediction is told comes from other measurements than those it is compared with: a client's seconds from a run of 10 clients on one
rank (for two ranks: from two such runs side by side, for the cores share caches, memory and clock), the link and the rate of additions
from link_bench, the seconds of a merge from rounds of another number of clients. Measured by turns; of all rounds of all turns the
shortest counts: other programs can only make a round longer.
"""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
from simulator import EXACT, one_node, rounds_of, simulate

ROUNDS, CALIBRATION = 8, 10     # of a run; clients of a calibrating run
CASES = [("mlp", "fedavg"), ("cnn", "fedavg")]
SIZES = [(1, 20), (2, 20), (2, 5)]  # ranks, clients
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
PARTS = ("lend", "train", "wait", "sum", "merge", "gather", "write")
CONFIG = """
name = "validation"
seed = 1
rounds = {rounds}
[data]
partition = "file"
partition_file = "{partition}"
[model]
name = "{network}"
[train]
passes = 1
batch = 32
lr = 0.05
[[method]]
name = "{method}"
"""


def mpirun(ranks, *command):
    done = subprocess.run(["mpirun", "--bind-to", "none", "--oversubscribe", "-n", str(ranks), *map(str, command)], check=True,
                          env=ENVIRONMENT, timeout=600, capture_output=True, text=True)
    return done.stdout


class Workplace:
    """A folder for runs of the real program with clients of 40 training and 10 test samples."""

    def __init__(self, build, folder):
        self.program, self.folder, self.runs = build / "src/app/fedselect", Path(folder), 0
        for clients in {CALIBRATION, *(clients for _, clients in SIZES)}:
            with h5py.File(self.partition(clients), "w") as file:
                for part, samples in (("train", 40), ("test", 10)):
                    file[f"partition/{part}_indices"] = np.arange(samples * clients)
                    file[f"partition/{part}_offsets"] = samples * np.arange(clients + 1)

    def partition(self, clients):
        return self.folder / f"partition-{clients}.h5"

    def start(self, network, method, clients):
        """A command that runs the program, and where its phases will be."""
        self.runs += 1
        name = f"run{self.runs}"
        config = self.folder / f"{name}.toml"
        config.write_text(CONFIG.format(rounds=ROUNDS, partition=self.partition(clients), network=network, method=method))
        return [self.program, "run", config, "--quiet", "--out", self.folder, "--name", name], self.folder / name / "result.h5"

    def run(self, ranks, *experiment):
        command, result = self.start(*experiment)
        mpirun(ranks, *command)
        return best_round(result)

    def run_pair(self, *experiment):
        """Two programs of one rank side by side; the shorter of their best rounds."""
        starts = [self.start(*experiment) for _ in range(2)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda start: mpirun(1, *start[0]), starts))
        return shortest([best_round(result) for _, result in starts])


def best_round(result):
    """Seconds of each phase on the root, in the shortest round but the first, which touches memory for the first time."""
    with h5py.File(result) as file:
        phases = file["timings/phase"].asstr()[:]
        seconds = file["timings/seconds"][1:, 0]
    return dict(zip(phases, seconds[seconds.sum(axis=1).argmin()]))


def seconds_of(parts):
    return sum(parts[part] for part in parts if part not in ("round", "ranks", "parameters", "values", "bytes", "loans"))


def shortest(found):
    return min(found, key=seconds_of)


def player_arguments(network, method, clients, calibrated):
    return ["--network", network, "--masks", "none" if method == "fedavg" else "changing", "--clients", clients, "--rounds", ROUNDS,
            "--client-seconds", (seconds_of(calibrated) - calibrated["write"] - calibrated["communicate"]) / CALIBRATION,
            "--round-seconds", calibrated["write"]]


def main(build, turns):
    player, real, calibrated, links, merges = {}, {}, {}, [], {}
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(build, folder)
        for turn in range(turns):
            print(f"turn {turn + 1} of {turns}", file=sys.stderr)
            links.append(json.loads(mpirun(2, build / "bench/smpi/link_bench")))
            for case in CASES:
                calibrated.setdefault((case, 1), []).append(place.run(1, *case, CALIBRATION))
                calibrated.setdefault((case, 2), []).append(place.run_pair(*case, CALIBRATION))
                merge = rounds_of(mpirun(2, build / "bench/smpi/round_player", "--network", case[0], "--client-seconds", 0, "--clients", 2))
                merges.setdefault(case, []).extend(played["merge"] for played in merge)
                for ranks, clients in SIZES:
                    real.setdefault((case, ranks, clients), []).append(place.run(ranks, *case, clients))
                    arguments = player_arguments(*case, clients, shortest(calibrated[case, ranks]))
                    player.setdefault((case, ranks, clients), []).extend(
                        rounds_of(mpirun(ranks, build / "bench/smpi/round_player", *arguments))[1:])
    latency, bandwidth, add = (pick(link[key] for link in links)
                               for key, pick in (("latency", min), ("bandwidth", max), ("add_seconds", min)))
    print(f"link: {1e6 * latency:.2f} us, {bandwidth / 1e9:.1f} GB/s; additions: {1e-9 / add:.1f} GB/s\n")
    print("| network | method | ranks | clients | round, ms: real | predicted | error | sum, ms: player | predicted | error |")
    print("|---" * 10 + "|")
    for (case, ranks, clients), found in real.items():
        arguments = [*player_arguments(*case, clients, shortest(calibrated[case, ranks])), "--add-seconds", add, "--merge-seconds",
                     min(merges[case])]
        predicted = simulate(build / "bench/smpi/round_player_smpi", one_node(bandwidth, latency), 1, ranks, arguments, model=EXACT)[-1]
        measured, played = seconds_of(shortest(found)), player[case, ranks, clients]
        total, sums = sum(predicted[part] for part in PARTS), min(p["sum"] for p in played)
        cells = [f"{1e3 * measured:.2f}", f"{1e3 * total:.2f}", f"{100 * (total / measured - 1):+.1f} %"]
        cells += [f"{1e3 * sums:.2f}", f"{1e3 * predicted['sum']:.2f}", f"{100 * (predicted['sum'] / sums - 1):+.0f} %"] if ranks > 1 else [""] * 3
        print("| " + " | ".join([*case, str(ranks), str(clients), *cells]) + " |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve(), int(sys.argv[2]) if len(sys.argv) == 3 else 3)
