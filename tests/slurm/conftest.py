"""One Slurm for all tests, and experiments whose results are known."""

import functools
import math
import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "resume")]
import experiment  # noqa: E402
from program import program, run  # noqa: E402
from slurm_cluster import Cluster, why_not  # noqa: E402

CHECKPOINT_ROUNDS = 5
# Rounds of some 30 ms, so that there is time to end a job between them.
SLOW = [word for key in (
    "model.hidden=800", "train.passes=80", "evaluate.every=25", f"checkpoint.every_rounds={CHECKPOINT_ROUNDS}")
        for word in ("--set", key)]
TRIAL_ROUNDS = 40


@pytest.fixture(scope="session")
def cluster():
    if reason := why_not():
        pytest.skip(f"no Slurm for the tests: {reason}")
    with Cluster() as one:
        one.environment["FEDSELECT"] = program()
        yield one


class Experiments:
    """The config, and unbroken runs of it outside Slurm, each made once."""

    def __init__(self, folder):
        self.folder = folder
        self.config = experiment.write_config(folder, ["fedselect"])
        self.unbroken = {}

    def result(self, *arguments, name="resume"):
        """The folder of an unbroken run with these arguments."""
        key = (*arguments, name)
        if key not in self.unbroken:
            out = self.folder / f"unbroken{len(self.unbroken)}"
            run("run", self.config, "--out", out, "--name", name, "--quiet", *arguments, ranks=2,
                seconds=300)
            self.unbroken[key] = out / name
        return self.unbroken[key]

    @functools.cached_property
    def round_seconds(self):
        """Processor time of a slow round; one rank doesn't wait, so it's the same on a busy machine."""
        before = os.times()
        run("run", self.config, "--out", self.folder, "--name", "trial", "--quiet", *SLOW, "--set", f"rounds={TRIAL_ROUNDS}")
        return (os.times().children_user - before.children_user) / TRIAL_ROUNDS

    def lasting(self, seconds):
        """Arguments of a run that two ranks can't do in less time."""
        return (*SLOW, "--set", f"rounds={math.ceil(2 * seconds / self.round_seconds)}")


@pytest.fixture(scope="session")
def experiments(tmp_path_factory):
    return Experiments(tmp_path_factory.mktemp("experiments"))
