"""Going back to versions that were kept: none of them is lost, nor any result, and what is refused changes nothing."""

import subprocess
import sys
from pathlib import Path

import h5py
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import experiment  # noqa: E402
from compare_results import first_difference  # noqa: E402
from program import ask, run  # noqa: E402


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of eight rounds that kept every second version, and wrote no other checkpoints."""
    folder = tmp_path_factory.mktemp("versions")
    config = experiment.write_config(folder, ["fedselect"])
    settings = ("rounds=8", "checkpoint.keep_every=2", "checkpoint.every_rounds=0", "checkpoint.at_end=true")
    run("run", config, "--out", folder, "--quiet", *(word for setting in settings for word in ("--set", setting)))
    return folder / "resume"


@pytest.fixture
def home(finished, tmp_path):
    """A copy, in which the names of one file are those of one file too."""
    subprocess.run(["cp", "-a", finished, tmp_path / "run"], check=True)
    return tmp_path / "run"


def go_back(home, to, rounds, check=True):
    return run("run", "--resume", home, "--from-round", to, "--set", f"rounds={rounds}", "--allow-change", "rounds", "--quiet",
               check=check)


def rounds_in(path):
    with h5py.File(path) as file:
        return file.attrs["rounds"]


def test_the_version_that_is_the_checkpoint_stays_when_the_run_goes_on(home):
    version = home / "versions" / "round-8.h5"
    assert version.samefile(home / "checkpoint.h5")
    before = version.read_bytes()
    go_back(home, 8, 10)
    assert version.read_bytes() == before
    assert [rounds_in(home / name) for name in ("checkpoint.previous.h5", "checkpoint.h5", "versions/round-10.h5")] == [8, 10, 10]
    assert not list(home.rglob("*.partial"))
    ask("verify", home)


def test_results_of_all_ways_back_stay(home):
    results = [(home / "result.h5").read_bytes()]
    go_back(home, 2, 5)
    results.append((home / "result.h5").read_bytes())
    go_back(home, 2, 3)
    kept = [home / "versions" / name for name in ("result-before-2.h5", "result-before-2-2.h5")]
    assert [path.read_bytes() for path in kept] == results
    ask("verify", home)


def test_versions_of_all_ways_are_gone_back_to(home):
    """Their rounds stand in journals that were kept."""
    rows = experiment.metrics_of(home)
    go_back(home, 2, 5)   # version 4 is of this way now, 6 and 8 of the one before
    assert (home / "versions" / "journal-before-2.bin").exists()
    go_back(home, 6, 8)
    assert experiment.metrics_of(home) == rows
    go_back(home, 4, 8)
    assert experiment.metrics_of(home) == rows
    ask("verify", home)
    with h5py.File(home / "result.h5") as a, h5py.File(home / "versions" / "result-before-2.h5") as b:
        assert first_difference(a, b) == ""


def test_a_way_back_that_is_refused_changes_nothing(home):
    go_back(home, 2, 5)
    (home / "versions" / "journal-before-2.bin").unlink()   # with the rounds before version 8
    before = experiment.files_of(home)
    done = go_back(home, 8, 9, check=False)
    assert done.returncode == 2 and "journal.bin: does not belong to this checkpoint" in done.stderr
    assert experiment.files_of(home) == before


def test_a_damaged_version_is_refused_and_changes_nothing(home):
    with h5py.File(home / "versions" / "round-4.h5", "r+") as file:
        file["personal"][0] += 1
    before = experiment.files_of(home)
    done = go_back(home, 4, 9, check=False)
    assert done.returncode == 2 and "is damaged" in done.stderr
    assert experiment.files_of(home) == before
