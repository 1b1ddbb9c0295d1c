"""How far predictions are from real rounds, on one and on two ranks of this machine: a table of docs/scaling.md.

Usage: /usr/bin/python3 bench/smpi/validate.py BUILD_FOLDER [TURNS]        1 or more turns, 3 unless named

What a prediction is told comes from other measurements than those it is compared with: a client's seconds from runs of 10 clients on one
rank before and after (for two ranks: two such runs side by side, for the cores share caches, memory and clock), the link and the rate of
additions from link_bench, the seconds of a merge from rounds of another number of clients. A machine's clock may change by a fifth within a
minute, so errors are taken turn by turn, each with its own measurements, and their median counts.
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
from simulator import EXACT, one_node, require_programs, rounds_of, simulate

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
        """Seconds of the phases of a mean round."""
        command, result = self.start(*experiment)
        mpirun(ranks, *command)
        return mean_round(result)

    def calibrate(self, ranks, *case):
        """The same of one rank, while as many programs run side by side as there are ranks."""
        starts = [self.start(*case, CALIBRATION) for _ in range(ranks)]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda start: mpirun(1, *start[0]), starts))
        return mean_of([mean_round(result) for _, result in starts])


def mean_round(result):
    """Seconds of each phase on the root, over all rounds but the first, which touches memory for the first time."""
    with h5py.File(result) as file:
        return dict(zip(file["timings/phase"].asstr()[:], file["timings/seconds"][1:, 0].mean(axis=0)))


def mean_of(rounds):
    return {part: float(np.mean([parts[part] for parts in rounds])) for part in rounds[0]}


def player_arguments(network, method, clients, calibrated):
    training = sum(calibrated.values()) - calibrated["write"] - calibrated["communicate"]
    return ["--network", network, "--masks", "none" if method == "fedavg" else "changing", "--clients", clients, "--rounds", ROUNDS,
            "--client-seconds", training / CALIBRATION, "--round-seconds", calibrated["write"]]


def compare(place, build, case, ranks, clients, link):
    """One real round between its prediction's measurements: milliseconds of the round and of its sum, as they were and as predicted."""
    player = build / "bench/smpi/round_player"
    before = place.calibrate(ranks, *case)
    real = sum(place.run(ranks, *case, clients).values())
    calibrated = mean_of([before, place.calibrate(ranks, *case)])
    arguments = player_arguments(*case, clients, calibrated)
    played = mean_of(rounds_of(mpirun(ranks, player, *arguments))[1:])
    merge = mean_of(rounds_of(mpirun(ranks, player, "--network", case[0], "--client-seconds", 0, "--clients", ranks))[1:])["merge"]
    told = [*arguments, "--add-seconds", link["add_seconds"], "--merge-seconds", merge]
    node = one_node(link["bandwidth"], link["latency"], ranks)
    predicted = mean_of(simulate(build / "bench/smpi/round_player_smpi", node, 1, ranks, told, model=EXACT)[1:])
    return [1e3 * real, 1e3 * sum(predicted[part] for part in PARTS), 1e3 * played["sum"], 1e3 * predicted["sum"]]


def row(case, ranks, clients, turns):
    """Medians over the turns, also of the errors."""
    turns = np.array(turns)
    real, predicted, played, simulated = np.median(turns, axis=0)
    errors = 100 * (turns[:, 1] / turns[:, 0] - 1)
    cells = [f"{real:.2f}", f"{predicted:.2f}", f"{np.median(errors):+.1f} % ({errors.min():+.0f} to {errors.max():+.0f})"]
    if ranks > 1:
        cells += [f"{played:.2f}", f"{simulated:.2f}", f"{100 * np.median(turns[:, 3] / turns[:, 2] - 1):+.0f} %"]
    else:
        cells += [""] * 3
    return "| " + " | ".join([*case, str(ranks), str(clients), *cells]) + " |"


def main(build, turns):
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(build, folder)
        for turn in range(turns):
            print(f"turn {turn + 1} of {turns}", file=sys.stderr)
            link = json.loads(mpirun(2, build / "bench/smpi/link_bench"))
            for case in CASES:
                for ranks, clients in SIZES:
                    found.setdefault((case, ranks, clients), []).append(compare(place, build, case, ranks, clients, link))
    print(f"link: {1e6 * link['latency']:.2f} us, {link['bandwidth'] / 1e9:.1f} GB/s; additions: {1e-9 / link['add_seconds']:.1f} GB/s\n")
    print("| network | method | ranks | clients | round, ms: real | predicted | error (turns) | sum, ms: player | predicted | error |")
    print("|---" * 10 + "|")
    for (case, ranks, clients), of_turns in found.items():
        print(row(case, ranks, clients, of_turns))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or (len(sys.argv) == 3 and not sys.argv[2].isdigit()) or sys.argv[2:] == ["0"]:
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    require_programs(folder, "round_player", "round_player_smpi", "link_bench")
    main(folder, int(sys.argv[2]) if len(sys.argv) == 3 else 3)
