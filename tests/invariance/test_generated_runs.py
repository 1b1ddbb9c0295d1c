"""The promise of the same bits on configs that nobody chose: each is drawn from a seed and run on one rank; then on another number
of ranks, of clients side by side and of bytes for clients' states, interrupted after some rounds and resumed elsewhere.

Method and network go by the case's number, all else by draws: so many cases one after another as there are pairs of both are all of them.
ctest runs CASES of them; FEDSELECT_CASES=147 runs as many, FEDSELECT_FIRST_CASE=17 FEDSELECT_CASES=1 one again.
"""

import os
import random
import sys
from pathlib import Path

import h5py
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from compare_results import first_difference  # noqa: E402
from make_idx import make_idx  # noqa: E402
from program import ask, method_names, run  # noqa: E402

CASES = int(os.environ.get("FEDSELECT_CASES", "12"))
FIRST = int(os.environ.get("FEDSELECT_FIRST_CASE", "0"))
RANKS = (1, 2, 3, 4, 7)
NEEDS_NORM = ("fedbn",)
PLAIN_ONLY = ("scaffold", "pfedme")
NETWORKS = ("mlp", "cnn", "resnet8", "logistic", "lenet5", "resnet20", "resnet18")
DEEP = ("resnet20", "resnet18")  # take long: little of everything
PARTITIONS = {
    "iid": "",
    "quantity": "beta = 0.5\nmin_samples = 4\n",
    "dirichlet": "beta = 2.0\nmin_samples = 2\n",
}
EXTRA = {"fedselect": "growth_every = 1\ngrowth_first = 0\n"}


class Case:
    """One drawn experiment."""

    def __init__(self, seed, folder):
        self.draw = random.Random(seed)
        self.rounds = self.draw.randint(2, 5)
        methods = method_names()
        self.method = methods[seed % len(methods)]
        self.model = self.network(seed // len(methods) + seed % len(methods))
        self.config = folder / "config.toml"
        self.config.write_text(self.text(folder / "data"))

    def text(self, data):
        draw, pick = self.draw, self.draw.choice
        model = self.model
        is_deep = model in DEEP
        if is_deep:
            self.rounds = 2
        make_idx(data, size=12 if model == "lenet5" else 8, train=96 if is_deep else 240)
        partition = pick(sorted(PARTITIONS))
        plain = self.method in PLAIN_ONLY
        optimizer = "" if plain else pick(["", "momentum = 0.9\n", "optimizer = \"adam\"\n"])
        server = "" if plain or self.method == "local" else pick(["", "", "optimizer = \"yogi\"\nlr = 0.02\n", "optimizer = \"momentum\"\n"])
        lines = [
            f'name = "generated"\nseed = {draw.randint(1, 10**6)}\nrounds = {self.rounds}',
            f'[data]\npath = "{data}"\nclients = {3 if is_deep else draw.randint(3, 9)}\npartition = "{partition}"\n{PARTITIONS[partition]}',
            f'[model]\nname = "{model}"\n' + {"mlp": "hidden = 10\n"}.get(model, f'norm = "{pick(["batch", "group"])}"\n' if model.startswith("resnet") else ""),
            f"[train]\npasses = {draw.randint(2, 3)}\nbatch = {32 if is_deep else pick([3, 8, 32])}\nlr = {pick([0.01, 0.1])}\n{optimizer}"
            f"weight_decay = {pick([0.0, 0.001])}\ngrad_clip = {pick([0.0, 1.0])}\nshuffle = {pick(['true', 'false'])}\n"
            f"warmup = {pick([0, 2])}\n",
            f"[federation]\nparticipation = {pick([0.3, 0.7, 1.0])}\nsampling = \"{pick(['per-round', 'fixed'])}\"\n",
            "[server]\n" + server + pick(["", "clip_norm = 0.5\n"])
            + pick(["", "", 'merge = "median"\n', 'merge = "trimmed-mean"\ntrim = 0.3\n']),
            "[faults]\n" + pick(["", "dropout = 0.3\n"]) + pick(["", "deadline = 1.5\nspeed_spread = 0.5\n"])
            + pick(["", "", 'byzantine = 0.3\nattack = "sign-flip"\n', 'byzantine = 0.3\nattack = "noise"\nattack_scale = 0.1\n']),
            f"[evaluate]\nbatch = {pick([5, 100])}\n",
            f'[[method]]\nname = "{self.method}"\n{EXTRA.get(self.method, "")}',
        ]
        if "weighting" in ask("methods", self.method):
            lines[-1] += f'weighting = "{pick(["uniform", "samples"])}"\n'
        return "\n".join(lines)

    def network(self, number):
        """Networks take turns; where one is not for the method, another stands in."""
        model = NETWORKS[number % len(NETWORKS)]
        if self.method in NEEDS_NORM and not model.startswith("resnet"):
            return "resnet8"
        return "mlp" if model == "logistic" and self.needs_layers() else model

    def needs_layers(self):
        return self.method not in ("fedselect", "fedselect-ltn", "fedavg", "fedprox", "scaffold", "ditto", "local")

    def resources(self):
        """Options that must not change a bit, and a number of ranks."""
        return ["--group", self.draw.randint(1, 4), "--client-memory", self.draw.choice([0, 2e-5, 1])], self.draw.choice(RANKS)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + CASES))
def test_generated_run_is_the_same_everywhere(seed, tmp_path):
    case = Case(seed, tmp_path)
    run("run", case.config, "--out", tmp_path / "one", "--quiet")
    options, ranks = case.resources()
    run("run", case.config, "--out", tmp_path / "other", "--quiet", *options, ranks=ranks)
    options, ranks = case.resources()
    broken = tmp_path / "broken"
    run("run", case.config, "--out", broken, "--quiet", "--set", f"rounds={case.draw.randint(1, case.rounds - 1)}", "--set",
        "checkpoint.at_end=true", *options, ranks=ranks)
    options, ranks = case.resources()
    run("run", case.config, "--resume", broken / "generated", "--allow-change", "rounds", "--allow-change", "checkpoint.at_end",
        "--quiet", *options, ranks=ranks)
    for other in ("other", "broken"):
        with h5py.File(tmp_path / "one/generated/result.h5") as a, h5py.File(tmp_path / other / "generated/result.h5") as b:
            assert not first_difference(a, b), f"case {seed}, {case.method}: {other}"
