"""Disks that are full, gone, or not to be written: the run goes on if it can, else ends with one message; nothing is torn.

A full disk is a limit on the size of files: what goes beyond it fails as it does there, by an error of the write."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import experiment  # noqa: E402
from job import kill_all, ranks_of, start, wait_until  # noqa: E402
from program import ALONE, program, run  # noqa: E402

SETTINGS = ("--set", "evaluate.cross=false", "--set", "model.hidden=100")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The config of a method whose checkpoints are much larger than its result, and the folder of its run."""
    folder = tmp_path_factory.mktemp("unbroken")
    config = experiment.write_config(folder, ["ditto"])
    run("run", config, "--out", folder, "--quiet", "--set", "checkpoint.at_end=true", *SETTINGS, ranks=2)
    return config, folder / "resume"


def run_on_disk(config, folder, free):
    """On one rank, without mpirun: its own files are larger than that."""
    command = [program(), "run", str(config), "--out", str(folder), "--quiet", "--set", "checkpoint.at_end=true", *SETTINGS]
    # Python ignores SIGXFSZ, and so do its children: the write fails instead.
    return subprocess.run(command, capture_output=True, text=True, timeout=100, env=os.environ | ALONE, restore_signals=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (free, free)))


def size(path):
    return path.stat().st_size


def test_a_disk_too_full_for_checkpoints_does_not_end_the_run(unbroken, tmp_path):
    config, whole = unbroken
    free = size(whole / "result.h5") + 4096
    assert free < size(whole / "checkpoint.h5") - 4096
    done = run_on_disk(config, tmp_path, free)
    assert done.returncode == 0, done.stderr
    home = tmp_path / "resume"
    assert "warning: no checkpoint after round 1, the run goes on: " in done.stderr
    assert str(home / "checkpoint.h5") in done.stderr
    assert sorted(path.name for path in home.iterdir()) == sorted(
        path.name for path in whole.iterdir() if not path.name.startswith("checkpoint"))
    with experiment.h5py.File(whole / "result.h5") as a, experiment.h5py.File(home / "result.h5") as b:
        assert not experiment.first_difference(a, b)


def test_a_disk_too_full_for_the_result_ends_the_run_with_its_name(unbroken, tmp_path):
    config, whole = unbroken
    done = run_on_disk(config, tmp_path, size(whole / "result.h5") // 2)
    assert done.returncode == 1, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("fedselect: ") and "warning" not in line]
    assert len(said) == 1 and "result.h5" in said[0], done.stderr
    home = tmp_path / "resume"
    assert not (home / "result.h5").exists()
    assert not list(home.glob("*.partial"))


def test_a_version_that_can_not_be_kept_does_not_end_the_run(tmp_path):
    config = experiment.write_config(tmp_path, ["fedselect"])
    home = tmp_path / "resume"
    run("run", config, "--out", tmp_path, "--quiet", "--set", "checkpoint.at_end=true")
    (home / "versions").write_text("no folder")
    done = run("run", "--resume", home, "--quiet", "--set", "rounds=7", "--set", "checkpoint.keep_every=1", "--allow-change",
               "rounds", "--allow-change", "checkpoint.keep_every", ranks=2)
    assert "warning: no checkpoint after round 6, the run goes on: " in done.stderr
    assert f"{home}/versions: cannot make this folder" in done.stderr
    assert len(experiment.metrics_of(home)) == 8


def test_a_folder_that_vanishes_ends_the_run_with_its_name(unbroken, tmp_path):
    """As soon as the run can't do without it: a periodic checkpoint it can miss, the one of a stop it can't."""
    config, _ = unbroken
    home = tmp_path / "resume"
    job = start(["run", config, "--out", tmp_path, "--set", "rounds=1000000", "--set", "checkpoint.every_rounds=20", "--set",
                 "evaluate.every=1000"], 2)
    try:
        assert wait_until((home / "log.txt").exists, job)  # the last file that is opened by its path
        home.rename(tmp_path / "elsewhere")
        lines = []
        while "warning: no checkpoint after round" not in (line := job.stdout.readline()):
            lines.append(line)
            assert line, lines  # else the run is over
        os.kill(ranks_of(job)[0], signal.SIGTERM)
        output, _ = job.communicate(timeout=60)
    finally:
        kill_all(job.pid)
    assert job.returncode == 1, output
    said = [line for line in output.splitlines() if line.startswith("fedselect: ") and "warning" not in line]
    assert len(said) == 1 and str(home) in said[0], output
    assert not home.exists()


def test_a_folder_that_can_not_be_locked_is_told_once(tmp_path):
    config = experiment.write_config(tmp_path, ["fedper", "local"])
    for folder in ("resume", "resume/fedper"):
        (tmp_path / folder / "lock").mkdir(parents=True)
    done = run("run", config, "--out", tmp_path, "--quiet")
    assert done.stderr.count("can't be locked (Is a directory)") == 1


def test_a_place_that_can_not_be_written_is_refused_before_anything_runs(unbroken):
    config, _ = unbroken
    done = run("run", config, "--out", "/proc/runs", check=False)
    assert done.returncode == 2
    assert "/proc/runs/resume: cannot make this folder" in done.stderr and "--out" in done.stderr
