"""An experiment of all methods that is small enough to be run many times, and what its files have to say in the end."""

import csv
import sys
from pathlib import Path

import h5py

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from compare_results import first_difference  # noqa: E402
from job import wait_until  # noqa: E402
from make_idx import make_idx  # noqa: E402
from program import ask, method_names  # noqa: E402

CONFIG = """
name = "resume"
seed = 3
rounds = 5

[data]
path = "{data}"
clients = 8
partition = "quantity"
beta = 0.6
min_samples = 6

[model]
{model}

[train]
passes = 2
batch = 8
lr = 0.05

[federation]
participation = 0.7
new_clients = 1

[evaluate]
every = 2
cross = true
new_client_passes = 1

[checkpoint]
every_rounds = 1
"""
MODEL = 'name = "mlp"\nhidden = 12'
EXTRA = {"fedselect": "growth_every = 1\ngrowth_first = 0\n"}
NEEDS_NORM = ("fedbn",)


def write_config(folder, methods=None, more=""):
    """The experiment with these methods, all that mlp allows unless named; with one that needs norm layers on a network that
    has some. `more`: sections, keys of [checkpoint] first."""
    model = 'name = "resnet8"' if set(methods or ()) & set(NEEDS_NORM) else MODEL
    text = CONFIG.format(data=make_idx(folder / "data"), model=model) + more
    for name in methods or (n for n in method_names() if n not in NEEDS_NORM):
        text += f'\n[[method]]\nname = "{name}"\n{EXTRA.get(name, "")}'
        if "weighting" in ask("methods", name):
            text += 'weighting = "samples"\n'
    path = folder / "config.toml"
    path.write_text(text)
    return path


def metrics_of(run):
    """metrics.csv without the seconds."""
    with open(run / "metrics.csv", newline="") as file:
        return [row[:-1] for row in csv.reader(file)]


def wait_for_rounds(run, rounds, job):
    """Until the job has written metrics of so many rounds."""
    def are_there():
        return (run / "metrics.csv").exists() and len(metrics_of(run)) > rounds

    assert wait_until(are_there, job)


def files_of(folder):
    """What each file of a folder holds, but for the lock that a killed program leaves."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def differences(expected, found):
    """What differs between the folders of two experiments, but for timings and provenance."""
    problems = []
    for result in sorted(expected.rglob("result.h5")):
        name = result.parent.relative_to(expected)
        other = found / name
        if not (other / "result.h5").exists():
            problems.append(f"{name}: has no result")
            continue
        with h5py.File(result) as a, h5py.File(other / "result.h5") as b:
            if difference := first_difference(a, b):
                problems.append(f"{name}: {difference}")
        if metrics_of(result.parent) != metrics_of(other):
            problems.append(f"{name}: metrics.csv differs")
        left = sorted(path.name for path in other.iterdir())
        if left != ["audit.jsonl", "config.toml", "log.txt", "manifest.json", "metrics.csv", "result.h5"]:
            problems.append(f"{name}: the folder holds {left}")
    return problems
