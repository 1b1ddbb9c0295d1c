#!/usr/bin/python3
"""kill_and_resume.py [--kills N] [--seed S] [--methods NAME...]: runs an experiment of all methods, kills the whole job with SIGKILL at random
instants, goes on with a random number of ranks each time, and compares all files with those of an unbroken run; again
and again until N kills are done. By turns with a second experiment, of the methods that need norm layers, and a third, of a robust merge
with clients that fail. Checkpoints are written between clients too, as often as 3 % of the time allow; half of the jobs keep no client's state in memory;
`fedselect verify` has to agree at the end. Exits with 1 at the first difference. Needs FEDSELECT_PROGRAM, the built program.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import experiment
from job import kill_all, start
from program import ask, run

MOST_RANKS = 4
LIMIT_SECONDS = 600
OFTEN = "every_minutes = 1e-9\n"
FAULTS = """
[server]
merge = "median"

[faults]
dropout = 0.2
byzantine = 0.2
attack = "scaled"
attack_scale = 3
"""
WITH_FAULTS = ("fedselect", "fedavg")  # a robust merge needs each client's values
WITH_NORM = ("fedselect", "lotteryfl")  # beside those that need norm layers: running statistics are theirs too


def run_until_killed(arguments, ranks, seconds):
    """Whether the job was killed after so many seconds; else it was done before."""
    job = start(arguments, ranks)
    try:
        output, _ = job.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill_all(job.pid)
        job.communicate(timeout=LIMIT_SECONDS)
        return True
    if job.returncode != 0:
        sys.exit(f"exit code {job.returncode} of {arguments} on {ranks} ranks:\n{output}")
    return False


class Trial:
    """One experiment in a folder of its own, killed until it is done."""

    def __init__(self, folder, config, draw):
        self.home = folder / "resume"
        self.begin = ["run", config, "--out", folder]
        self.draw = draw
        self.kills = 0

    def arguments(self):
        began = (self.home / "experiment.toml").exists()
        memory = ["--client-memory", "0"] if self.draw.random() < 0.5 else []
        return [*(["run", "--resume", self.home] if began else self.begin), *memory]

    def run(self, longest, most_kills):
        while True:
            seconds = self.draw.uniform(0, longest) if self.kills < most_kills else LIMIT_SECONDS
            if not run_until_killed(self.arguments(), self.draw.randint(1, MOST_RANKS), seconds):
                return
            self.kills += 1


class Experiment:
    """A config, and its unbroken run."""

    def __init__(self, folder, methods, more=""):
        folder.mkdir()
        self.config = experiment.write_config(folder, methods, OFTEN + more)
        begin = time.monotonic()
        run("run", self.config, "--out", folder, "--quiet", ranks=2, seconds=LIMIT_SECONDS)
        self.seconds = time.monotonic() - begin
        self.home = folder / "resume"


def kill_and_resume(folder, kills, seed, methods=None, say=print):
    """The number of kills, when everything was equal; else exits."""
    draw = random.Random(seed)
    sets = [(methods, "")] if methods else [(None, ""), ([*experiment.NEEDS_NORM, *WITH_NORM], ""), (WITH_FAULTS, FAULTS)]
    experiments = [Experiment(folder / f"unbroken{i}", *parts) for i, parts in enumerate(sets)]
    done = trials = 0
    while done < kills:
        unbroken = experiments[trials % len(experiments)]
        place = folder / f"trial{trials}"
        trial = Trial(place, unbroken.config, draw)
        trial.run(longest=unbroken.seconds, most_kills=kills - done)
        done += trial.kills
        trials += 1
        for result in trial.home.rglob("result.h5"):
            ask("verify", result.parent)
        if problems := experiment.differences(unbroken.home, trial.home):
            sys.exit(f"after {trial.kills} kills {place} differs:\n" + "\n".join(problems))
        shutil.rmtree(place)
        say(f"{done} kills in {trials} experiments: no difference")
    return done


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--methods", nargs="+", help="all unless named")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kill_and_resume(Path(folder), options.kills, options.seed, options.methods)


if __name__ == "__main__":
    main()
