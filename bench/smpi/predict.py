"""Predicts how rounds scale on clusters, and says how far that agrees with what can be measured here (docs/scaling.md).

Usage: /usr/bin/python3 bench/smpi/predict.py BUILD_FOLDER RESULTS.json [measure] [validate] [simulate] [variants] [report]

Each step adds to the results file, and `report` prints the tables and draws the figures of docs/images from it. All without a
named step. `simulate` takes a quarter of an hour, and 10 GiB for 1024 ranks.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from os import times

import h5py
from report import report
from simulator import one_node, platform, rounds_of, simulate

STEPS = ("measure", "validate", "simulate", "variants", "report")
CLIENTS = {"mlp": 400, "cnn": 20}                     # of a measured round
NETWORKS = (*CLIENTS, "resnet18")                     # whose sums are measured
# Sample gradients a second of one core, and the part of a round that is not training, on a machine with nothing else to do:
# docs/performance.md. A client computes 40 samples 5 times.
RATES, OWN_WORK, GRADIENTS = {"mlp": 202_859, "cnn": 5_302}, 0.031, 200
MERGE_BYTES, MEMORY = 20, 39e9                        # of a parameter, and a second of the same core
COHORT, PER_RANK = 2048, 2                            # strong and weak scaling meet at 1024 ranks
SPREAD = 0.5
CONFIG = """
name = "compute"
seed = 1
rounds = 6
[data]
clients = {clients}
partition = "shards"
classes_per_client = 2
train_per_class = 20
test_per_class = 10
[model]
name = "{network}"
[train]
passes = 5
batch = 32
lr = 0.05
[evaluate]
every = 6
[[method]]
name = "fedavg"
"""


def mpirun(ranks, *command):
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    done = subprocess.run(["mpirun", "--bind-to", "none", "--oversubscribe", "-n", str(ranks), *map(str, command)], check=True,
                          env=environment, timeout=900, capture_output=True, text=True)
    return done.stdout


def run_rounds(build, network, ranks):
    """Names of the phases, and their seconds [round, rank, phase] without the first round and the tested one. Others use the cores
    too: times are scaled by the share of a core that the program had."""
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "config.toml"
        config.write_text(CONFIG.format(clients=CLIENTS[network], network=network))
        before = times()
        mpirun(ranks, build / "src/app/fedselect", "run", config, "--quiet", "--out", folder, "--name", "run")
        spent = [b - a for a, b in zip(before, times())]
        busy = min(1.0, (spent[2] + spent[3]) / spent[4] / ranks)
        with h5py.File(pathlib.Path(folder) / "run/result.h5") as file:
            names = [name.decode() if isinstance(name, bytes) else name for name in file["timings/phase"][:]]
            return names, file["timings/seconds"][1:-1] * busy


def measure(build, results):
    """The inputs of the simulation: seconds of computing. What the root writes of a client is measured here, with many of them."""
    names, seconds = run_rounds(build, "mlp", 1)
    phases = dict(zip(names, seconds[:, 0].min(axis=0)))
    parameters = {network: rounds_of(mpirun(1, build / "bench/smpi/round_player", "--network", network, "--clients", 1,
                                            "--rounds", 1))[0]["parameters"] for network in NETWORKS}
    results["inputs"] = {network: {
        "client_seconds": GRADIENTS / RATES[network] / (1 - OWN_WORK),
        "merge_seconds": MERGE_BYTES * parameters[network] / MEMORY,
        "record_seconds": (phases["write"] + phases["other"]) / CLIENTS["mlp"],
        "parameters": parameters[network]} for network in RATES}


def times_of(results, network):
    inputs = results["inputs"][network]
    return ["--network", network, *(word for name in ("client", "merge", "record")
                                    for word in (f"--{name}-seconds", inputs[f"{name}_seconds"]))]


def validate(build, results):
    """The same program on this machine and simulated, on two ranks; and whole rounds of fedselect on one and two."""
    def play(network, program):
        arguments = ["--network", network, "--clients", 4, "--rounds", 15, "--client-seconds", 0.002]
        rounds = program(arguments)
        return {part: min(r[part] for r in rounds[2:]) for part in ("sum", "gather")}

    real = {network: play(network, lambda arguments: rounds_of(mpirun(2, build / "bench/smpi/round_player", *arguments)))
            for network in NETWORKS}
    # Two ranks exchange halves twice: the memory's speed follows from the middle one of three sizes, the others are predicted.
    bandwidth = 8 * results["inputs"]["cnn"]["parameters"] / real["cnn"]["sum"]
    latency = real["cnn"]["gather"] / 6
    model = ["--cfg=smpi/bw-factor:0:1", "--cfg=smpi/lat-factor:0:1"]
    simulated = {network: play(network, lambda arguments: simulate(
        build / "bench/smpi/round_player_smpi", one_node(bandwidth, latency), 1, 2, arguments, model=model)) for network in NETWORKS}
    validation = {"bandwidth": bandwidth, "latency": latency, "sum": [], "rounds": []}
    for network in NETWORKS:
        validation["sum"].append({"network": network, "measured": real[network]["sum"], "simulated": simulated[network]["sum"],
                                  "gather measured": real[network]["gather"], "gather simulated": simulated[network]["gather"]})
    for network in CLIENTS:
        for ranks in (1, 2):
            _, seconds = run_rounds(build, network, ranks)
            played = simulate(build / "bench/smpi/round_player_smpi", one_node(bandwidth, latency), 1, ranks,
                              [*times_of(results, network), "--clients", CLIENTS[network], "--rounds", 3], model=model)
            validation["rounds"].append({
                "network": network, "ranks": ranks, "measured": float(seconds.sum(axis=2).max(axis=1).mean()),
                "simulated": min(map(total, played))})
    results["validation"] = validation


def total(played):
    return sum(played[part] for part in ("lend", "train", "wait", "sum", "merge", "gather", "write"))


def simulate_all(build, results):
    """Strong and weak scaling, one rank a node."""
    results["rounds"] = []
    cases = [("mlp", 64), ("cnn", 64), ("mlp", 256), ("cnn", 256), ("mlp", 1024)]
    for network, ranks in cases:
        for kind in ("fat-tree", "dragonfly"):
            for masks in ("none", "changing") if ranks == 64 else ("none",):
                for clients in sorted({COHORT, PER_RANK * ranks}):
                    arguments = [*times_of(results, network), "--clients", clients, "--population", 2 * clients, "--spread",
                                 SPREAD, "--masks", masks, "--rounds", 1]
                    played = simulate(build / "bench/smpi/round_player_smpi", platform(kind, ranks), ranks, 1, arguments)[-1]
                    results["rounds"].append(played | {
                        "network": network, "platform": kind, "masks": masks, "clients": clients, "total": total(played)})
                    yield


def variants(build, results):
    """Ways of adding up: simulated on nodes of several ranks, and measured here."""
    results["variants"] = []
    for values in (159168, 1663488):
        for nodes, per_node in ((16, 4), (16, 16)):
            ways = simulate(build / "bench/smpi/sum_variants_smpi", platform("fat-tree", nodes), nodes, per_node,
                            ["--values", values, "--per-node", per_node, "--blocking"])
            results["variants"].append({"nodes": nodes, "per_node": per_node, "values": values,
                                        "seconds": {way["way"]: way["seconds"] for way in ways}})
    for values in (159168, 1663488, 11175040):
        ways = rounds_of(mpirun(2, build / "bench/smpi/sum_variants", "--values", values, "--per-node", 2, "--repeats", 15))
        results["variants"].append({"nodes": 1, "per_node": 2, "values": values,
                                    "seconds": {way["way"]: way["seconds"] for way in ways}})


def main(build, path, *steps):
    build, path = pathlib.Path(build).resolve(), pathlib.Path(path)
    results = json.loads(path.read_text()) if path.exists() else {}
    for step in steps or STEPS:
        if step == "report":
            report(results, COHORT, PER_RANK)
            continue
        action = {"measure": measure, "validate": validate, "simulate": simulate_all, "variants": variants}[step]
        for _ in action(build, results) or ():    # results are kept as they come
            path.write_text(json.dumps(results, indent=1))
        path.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    if len(sys.argv) < 3 or not set(sys.argv[3:]) <= set(STEPS):
        sys.exit(__doc__)
    main(*sys.argv[1:])
