"""Runs that can't be resumed as they are asked to say why, and stay as they were. ctest sets FEDSELECT_PROGRAM."""

import os
import shutil
import signal
import sys
from pathlib import Path

import h5py
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import experiment  # noqa: E402
from job import kill_all, ranks_of, start, wait_until  # noqa: E402
from program import ask, run  # noqa: E402

class Refuse:
    """A run that was stopped after its first rounds, to be resumed in a way that can't be."""

    def __init__(self, folder):
        self.config = experiment.write_config(folder, ["fedselect"])
        self.home = folder / "resume"
        run("run", self.config, "--out", folder, "--quiet", "--set", "checkpoint.at_end=true")

    def resume(self, *arguments):
        return run("run", "--resume", self.home, *arguments, check=False)

    def refused(self, *arguments):
        """What the program says, on one line if it is one."""
        before = {path: path.read_bytes() for path in self.home.iterdir() if path.name != "log.txt"}
        done = self.resume(*arguments)
        assert done.returncode == 2, done.stderr
        assert {path: path.read_bytes() for path in self.home.iterdir() if path.name != "log.txt"} == before
        return done.stderr


@pytest.fixture
def refuse(tmp_path):
    return Refuse(tmp_path)


def test_refuse_another_config(refuse):
    assert "train.lr was 0.05, is 0.1: can't change within a run" in refuse.refused("--set", "train.lr=0.1")
    said = refuse.refused("--set", "rounds=7")
    assert "rounds was 5, is 7: say --allow-change rounds" in said
    assert "it can't be less than the 5 that have begun" in refuse.refused("--set", "rounds=3", "--allow-change", "rounds")


def test_refuse_fewer_rounds_than_have_begun(tmp_path):
    """The second one was stopped between two clients."""
    config = experiment.write_config(tmp_path, ["fedselect"])
    home = tmp_path / "resume"
    job = start(["run", config, "--out", tmp_path, "--set", "train.passes=1000"], 1)
    experiment.wait_for_rounds(home, 1, job)
    os.kill(ranks_of(job)[0], signal.SIGUSR1)
    output, _ = job.communicate(timeout=60)
    assert "after round 1 of 5 and some clients of the next" in output
    before = experiment.files_of(home)
    fewer = run("run", "--resume", home, "--set", "rounds=1", "--allow-change", "rounds", check=False)
    assert fewer.returncode == 2 and "it can't be less than the 2 that have begun" in fewer.stderr
    assert experiment.files_of(home) == before
    run("run", "--resume", home, "--set", "rounds=2", "--allow-change", "rounds", "--quiet")
    assert len(experiment.metrics_of(home)) == 3


def test_refuse_another_config_before_the_first_checkpoint(tmp_path):
    config = experiment.write_config(tmp_path, ["fedselect"])
    home = tmp_path / "resume"
    job = start(["run", config, "--out", tmp_path, "--set", "rounds=100000", "--set", "checkpoint.every_rounds=0"], 1)
    experiment.wait_for_rounds(home, 3, job)
    kill_all(job.pid)
    job.communicate(timeout=60)
    before = experiment.files_of(home)
    done = run("run", "--resume", home, "--set", "train.lr=0.1", "--set", "rounds=5", check=False)
    assert done.returncode == 2
    assert "train.lr was 0.05, is 0.1: can't change within a run" in done.stderr
    assert "rounds was 100000, is 5: say --allow-change rounds" in done.stderr
    assert experiment.files_of(home) == before
    done = run("run", config, "--out", tmp_path, "--continue", "--allow-change", "rounds", "--allow-change",
               "checkpoint.every_rounds")
    assert "begins again" in done.stderr and "begins again" in (home / "log.txt").read_text()
    assert len(experiment.metrics_of(home)) == 6


def test_refuse_a_second_program_in_the_folder_of_a_method(tmp_path):
    config = experiment.write_config(tmp_path, ["fedselect", "fedper"])
    (tmp_path / "one").mkdir()
    one = experiment.write_config(tmp_path / "one", ["fedper"])
    home = tmp_path / "resume"
    job = start(["run", config, "--out", tmp_path, "--set", "rounds=100000"], 1)
    try:
        assert wait_until((home / "fedselect" / "checkpoint.h5").exists, job)
        for arguments in (("--resume", home / "fedselect"), (one, "--out", home, "--name", "fedper")):
            second = run("run", *arguments, check=False)
            assert second.returncode == 2 and "another program is at work on this run" in second.stderr
    finally:
        kill_all(job.pid)
        job.communicate(timeout=60)


def test_refuse_nothing_when_more_rounds_are_allowed(refuse, tmp_path):
    run("run", refuse.config, "--out", tmp_path / "longer", "--quiet", "--set", "rounds=7", "--set",
        "evaluate.every=1")
    done = refuse.resume("--set", "rounds=7", "--allow-change", "rounds", "--set", "evaluate.every=1", "--allow-change",
                         "evaluate.every")
    assert done.returncode == 0, done.stderr
    rows = experiment.metrics_of(refuse.home)
    assert [row[0] for row in rows[1:]] == [str(t) for t in range(7)]
    longer = experiment.metrics_of(tmp_path / "longer" / "resume")
    assert rows[6:] == longer[6:]   # the rounds that were done evaluated every second time


def test_refuse_leaves_an_experiment_and_its_versions_as_they_were(tmp_path):
    config = experiment.write_config(tmp_path, ["fedselect", "fedper"])
    home = tmp_path / "resume"
    run("run", config, "--out", tmp_path, "--quiet", "--set", "checkpoint.at_end=true", "--set", "checkpoint.keep_every=2")
    before = experiment.files_of(home)
    (tmp_path / "one").mkdir()
    one = experiment.write_config(tmp_path / "one", ["fedper"])
    for arguments, said in ((("--resume", home, "--set", "train.lr=0.1"), "train.lr was 0.05, is 0.1"),
                            (("--resume", home, "--from-round", "2", "--set", "seed=4"), "seed was 3, is 4"),
                            (("--resume", home, "--from-round", "3"), "round-3.h5: is not there"),
                            ((one, "--resume", home), "holds a run of several methods"),
                            ((config, "--resume", home / "fedper"), "holds a run of one method")):
        done = run("run", *arguments, check=False)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr
        assert experiment.files_of(home) == before, arguments


def test_refuse_to_clear_what_is_no_run(tmp_path):
    config = experiment.write_config(tmp_path, ["fedselect"])
    home = tmp_path / "resume"
    home.mkdir()
    for name in ("log.txt", "notes"):
        (home / name).write_text("mine")
    before = experiment.files_of(home)
    done = run("run", config, "--out", tmp_path, "--continue", check=False)
    assert done.returncode == 2
    assert f"{home}/notes: is not of a run" in done.stderr
    assert experiment.files_of(home) == before


def test_refuse_other_data(refuse):
    labels = next((refuse.config.parent / "data").glob("train-labels*"))
    content = bytearray(labels.read_bytes())
    shutil.copy(labels, refuse.config.parent / "kept")
    content[-1] = (content[-1] + 1) % 3
    labels.write_bytes(content)
    # The last round's checkpoint only counts where there is something left to do.
    said = refuse.refused("--set", "rounds=7", "--allow-change", "rounds")
    assert "are not those of this run" in said


def test_refuse_data_that_lie_elsewhere_unless_allowed(refuse, tmp_path):
    more = ("--set", "rounds=7", "--allow-change", "rounds", "--set", f"data.path={tmp_path / 'moved'}")
    shutil.copytree(refuse.config.parent / "data", tmp_path / "moved")
    assert "say --allow-change data.path if that is meant" in refuse.refused(*more)
    done = refuse.resume(*more, "--allow-change", "data.path")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rounds", [2, 100])
def test_refuse_a_checkpoint_of_other_rounds_than_the_journal(refuse, rounds):
    more = ("--set", "rounds=7", "--allow-change", "rounds")
    newest, older = refuse.home / "checkpoint.h5", refuse.home / "checkpoint.previous.h5"
    kept = older.read_bytes()
    for path in (newest, older):
        with h5py.File(path, "r+") as file:
            file.attrs["rounds"] = rounds
    said = refuse.refused(*more)
    assert f"{newest}: says that {rounds} rounds are complete, but journal.bin has 5 before it" in said
    older.write_bytes(kept)
    done = refuse.resume(*more)
    assert done.returncode == 0 and "went back to" in done.stderr, done.stderr
    assert [row[0] for row in experiment.metrics_of(refuse.home)[1:]] == [str(t) for t in range(7)]


def test_refuse_what_is_damaged_but_go_back_if_there_is_an_older_one(refuse):
    more = ("--set", "rounds=7", "--allow-change", "rounds")
    newest, older = refuse.home / "checkpoint.h5", refuse.home / "checkpoint.previous.h5"
    newest.write_bytes(newest.read_bytes()[:-1000])
    kept = older.read_bytes()
    older.write_bytes(b"no checkpoint")
    assert f"{older}: " in refuse.refused(*more)
    older.write_bytes(kept)
    # What was gone back to stays when the next one is written; the damaged one doesn't take its place.
    done = refuse.resume(*more, "--set", "checkpoint.every_rounds=0", "--allow-change", "checkpoint.every_rounds")
    assert done.returncode == 0, done.stderr
    assert "went back to" in done.stderr
    assert older.read_bytes() == kept
    with h5py.File(newest) as file:
        assert file.attrs["rounds"] == 7
    assert [row[0] for row in experiment.metrics_of(refuse.home)[1:]] == [str(t) for t in range(7)]
    ask("verify", refuse.home)


def test_refuse_to_allow_what_is_no_key(refuse):
    said = refuse.refused("--set", "rounds=7", "--allow-change", "rounds", "--allow-change", "nonsense")
    assert "--allow-change nonsense: no such key" in said


def test_refuse_a_folder_without_a_run(tmp_path):
    done = run("run", "--resume", tmp_path / "absent", check=False)
    assert done.returncode == 2
    assert "holds no run to go on with" in done.stderr
    done = run("run", check=False)
    assert done.returncode == 2
    assert "CONFIG is required" in done.stderr


def test_refuse_to_start_where_a_run_is(refuse):
    done = run("run", refuse.config, "--out", refuse.home.parent, check=False)
    assert done.returncode == 2
    assert "--resume" in done.stderr


@pytest.mark.parametrize("name", ["log.txt", "metrics.csv.partial", "checkpoint.h5.partial", "journal.bin", "versions"])
def test_refuse_links_that_lead_out_of_the_folder(refuse, tmp_path, name):
    outside = tmp_path / "outside"
    link = refuse.home / name
    if name == "versions":
        outside.mkdir()
    elif link.exists():
        link.rename(outside)
    else:
        outside.write_text("mine")
    before = outside.is_file() and outside.read_bytes()
    link.symlink_to(outside)
    done = refuse.resume("--set", "rounds=7", "--allow-change", "rounds")
    assert done.returncode == 2
    assert f"{link}: is a link" in done.stderr
    assert (outside.is_file() and outside.read_bytes()) == before
