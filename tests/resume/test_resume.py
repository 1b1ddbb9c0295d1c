"""A run that was stopped or killed goes on to the same bits on another number of ranks, and what can't go on says why.
ctest sets FEDSELECT_PROGRAM and picks cases with -k. kill_and_resume.py does the same for as long as one likes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import experiment  # noqa: E402
from job import kill_all, ranks_of, start, wait_until  # noqa: E402
from kill_and_resume import kill_and_resume  # noqa: E402
from program import ALONE, ask, program, run  # noqa: E402

STOPPED = 75   # exit code


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The config of a run of three methods, and its folder."""
    folder = tmp_path_factory.mktemp("unbroken")
    config = experiment.write_config(folder, ["fedselect", "scaffold", "fedpac"])
    run("run", config, "--out", folder, "--quiet")
    return config, folder / "resume"


def stop(arguments, ranks, number, home):
    """Starts a job and sends one of its ranks a signal as soon as it trains. Returns the finished job's exit code and output."""
    job = start(arguments, ranks)
    last = wait_until(lambda: ranks_of(job)[ranks - 1 :], job)[0]
    wait_until(lambda: list(home.rglob("metrics.csv")), job)
    os.kill(last, number)
    output, _ = job.communicate(timeout=60)
    return job.returncode, output


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_a_run_that_can_go_on(unbroken, tmp_path, number):
    config, expected = unbroken
    home = tmp_path / "resume"
    code, output = stop(["run", config, "--out", tmp_path], 2, int(number), home)
    assert code == STOPPED, output
    assert f"go on with fedselect run --resume {home}" in output
    assert not list(home.rglob("*.partial"))
    done = run("run", "--resume", home, ranks=3)
    assert "goes on after round" in done.stderr
    assert experiment.differences(expected, home) == []
    manifests = [json.loads(path.read_text()) for path in home.rglob("manifest.json")]
    resumed = [manifest["resumed"] for manifest in manifests if "resumed" in manifest]
    assert [[entry["ranks"] for entry in entries] for entries in resumed] == [[3]]
    again = run("run", "--resume", home)
    assert "nothing to do" in again.stdout


def catches(process, number):
    """Whether a process has a handler for a signal."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return int(caught, 16) >> (number - 1) & 1 == 1


def test_stop_by_a_signal_before_the_first_round(unbroken, tmp_path):
    """As soon as the program can take one, which is before MPI and the data are there."""
    config, expected = unbroken
    job = start(["run", config, "--out", tmp_path, "--continue"], 2)
    ready = wait_until(lambda: [process for process in ranks_of(job) if catches(process, signal.SIGUSR1)], job)
    os.kill(ready[0], signal.SIGUSR1)
    output, _ = job.communicate(timeout=60)
    assert job.returncode == STOPPED, output
    run("run", config, "--out", tmp_path, "--continue", "--quiet")
    assert experiment.differences(expected, tmp_path / "resume") == []


def seconds_of(job):
    """Processor time that a process has had."""
    try:
        fields = Path(f"/proc/{job.pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_stop_by_a_second_signal_is_at_once(tmp_path):
    config = experiment.write_config(tmp_path, ["fedselect"])
    command = [program(), "run", str(config), "--out", str(tmp_path), "--quiet", "--set", "train.passes=10000000"]
    job = subprocess.Popen(command, env=os.environ | ALONE)
    try:
        log = tmp_path / "resume" / "log.txt"
        assert wait_until(lambda: log.exists() and ": rounds " in log.read_text(), job)
        ready = seconds_of(job)
        assert wait_until(lambda: seconds_of(job) > ready + 0.5, job)   # all that it does from then on is train
        os.kill(job.pid, signal.SIGUSR1)
        time.sleep(0.2)
        assert job.poll() is None   # the client in hand takes hours
        os.kill(job.pid, signal.SIGUSR2)
        assert job.wait(timeout=5) == 128 + signal.SIGUSR2
    finally:
        job.kill()


def test_stop_of_a_run_that_gets_more_rounds(tmp_path):
    """Its old result does not make it a finished one."""
    config = experiment.write_config(tmp_path, ["fedselect"])
    home = tmp_path / "resume"
    run("run", config, "--out", tmp_path, "--quiet", "--set", "checkpoint.at_end=true")
    before = (home / "result.h5").read_bytes()
    more = ["--set", "evaluate.every=1000", "--allow-change", "rounds", "--allow-change", "evaluate.every"]
    job = start(["run", "--resume", home, "--set", "rounds=100000", *more], 2)
    try:
        assert wait_until(lambda: len(experiment.metrics_of(home)) > 10, job)
        second = run("run", "--resume", home, "--set", "rounds=100000", *more, check=False)
        assert second.returncode == 2 and "another program is at work on this run" in second.stderr
        os.kill(ranks_of(job)[0], signal.SIGUSR1)
        output, _ = job.communicate(timeout=60)
    finally:
        kill_all(job.pid)
    assert job.returncode == STOPPED, output
    assert not (home / "result.h5").exists()
    assert (home / "result.previous.h5").read_bytes() == before
    rounds = len(experiment.metrics_of(home)) + 1
    run("run", "--resume", home, "--set", f"rounds={rounds}", *more, "--quiet")
    assert [row[0] for row in experiment.metrics_of(home)[1:]] == [str(t) for t in range(rounds)]
    assert "as the run finished with them" in ask("verify", home)
    assert not (home / "result.previous.h5").exists()


def test_stop_and_continue_by_one_command(unbroken, tmp_path):
    """As a job does that is put back into the queue: the same command until it is done."""
    config, expected = unbroken
    arguments = ["run", config, "--out", tmp_path, "--continue"]
    code, output = stop(arguments, 2, int(signal.SIGUSR1), tmp_path / "resume")
    assert code == STOPPED, output
    run(*arguments, "--quiet", ranks=1)
    assert experiment.differences(expected, tmp_path / "resume") == []


def wait_for_rounds(home, rounds, job):
    def are_there():
        return (home / "metrics.csv").exists() and len(experiment.metrics_of(home)) > rounds

    assert wait_until(are_there, job)


def test_stop_in_the_last_round(tmp_path):
    """Of a single client, so that there is nothing between the signal and the end of the rounds."""
    config = experiment.write_config(tmp_path, ["fedselect"])
    settings = ["--set", "rounds=1", "--set", "data.clients=1", "--set", "federation.new_clients=0"]
    run("run", config, "--out", tmp_path / "unbroken", *settings, "--set", "train.passes=6000", "--quiet")
    job = start(["run", config, "--out", tmp_path, *settings, "--set", "train.passes=6000"], 1)
    home = tmp_path / "resume"
    assert wait_until(lambda: (home / "log.txt").exists() and ": rounds " in (home / "log.txt").read_text(), job)
    time.sleep(0.2)
    os.kill(ranks_of(job)[0], signal.SIGUSR1)
    output, _ = job.communicate(timeout=60)
    assert job.returncode == STOPPED and "after round 1 of 1: go on with" in output, output
    run("run", "--resume", home, "--quiet")
    assert experiment.differences(tmp_path / "unbroken" / "resume", home) == []


def test_stop_after_the_last_round_costs_no_round(tmp_path):
    """While new clients train, for hours, a second signal ends the run."""
    config = experiment.write_config(tmp_path, ["fedselect"])
    run("run", config, "--out", tmp_path / "unbroken", "--quiet")
    job = start(["run", config, "--out", tmp_path, "--set", "evaluate.new_client_passes=100000000", "--set",
                 "checkpoint.every_rounds=0"], 1)
    home = tmp_path / "resume"
    try:
        wait_for_rounds(home, 5, job)
        assert wait_until((home / "checkpoint.h5").exists, job)
        rank = ranks_of(job)[0]
        os.kill(rank, signal.SIGUSR1)
        time.sleep(0.1)
        os.kill(rank, signal.SIGUSR2)
        job.communicate(timeout=60)
    finally:
        kill_all(job.pid)
    assert job.returncode not in (0, STOPPED)
    assert not (home / "result.h5").exists()
    done = run("run", config, "--resume", home, "--allow-change", "evaluate.new_client_passes", "--allow-change",
               "checkpoint.every_rounds")
    assert "goes on after round 5" in done.stderr
    assert experiment.differences(tmp_path / "unbroken" / "resume", home) == []


def test_kill_while_the_result_is_written(unbroken, tmp_path):
    """Before the first checkpoint: the method begins again."""
    config, expected = unbroken
    home = tmp_path / "resume"
    shutil.copytree(expected, home)
    for method in home.glob("*/"):
        (method / "result.h5").rename(method / "result.h5.partial")
    run("run", config, "--out", tmp_path, "--continue", "--quiet")
    assert experiment.differences(expected, home) == []


def test_kill_at_random_instants(tmp_path):
    lines = []
    assert kill_and_resume(tmp_path, 12, 7, say=lines.append) >= 12
    assert lines


def files_of(folder):
    """But for the lock that a killed program left."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


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
    wait_for_rounds(home, 1, job)
    os.kill(ranks_of(job)[0], signal.SIGUSR1)
    output, _ = job.communicate(timeout=60)
    assert "after round 1 of 5 and some clients of the next" in output
    before = files_of(home)
    fewer = run("run", "--resume", home, "--set", "rounds=1", "--allow-change", "rounds", check=False)
    assert fewer.returncode == 2 and "it can't be less than the 2 that have begun" in fewer.stderr
    assert files_of(home) == before
    run("run", "--resume", home, "--set", "rounds=2", "--allow-change", "rounds", "--quiet")
    assert len(experiment.metrics_of(home)) == 3


def test_refuse_another_config_before_the_first_checkpoint(tmp_path):
    config = experiment.write_config(tmp_path, ["fedselect"])
    home = tmp_path / "resume"
    job = start(["run", config, "--out", tmp_path, "--set", "rounds=100000", "--set", "checkpoint.every_rounds=0"], 1)
    wait_for_rounds(home, 3, job)
    kill_all(job.pid)
    job.communicate(timeout=60)
    before = files_of(home)
    done = run("run", "--resume", home, "--set", "train.lr=0.1", "--set", "rounds=5", check=False)
    assert done.returncode == 2
    assert "train.lr was 0.05, is 0.1: can't change within a run" in done.stderr
    assert "rounds was 100000, is 5: say --allow-change rounds" in done.stderr
    assert files_of(home) == before
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
    before = files_of(home)
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
        assert files_of(home) == before, arguments


def test_refuse_to_clear_what_is_no_run(tmp_path):
    config = experiment.write_config(tmp_path, ["fedselect"])
    home = tmp_path / "resume"
    home.mkdir()
    for name in ("log.txt", "notes"):
        (home / name).write_text("mine")
    before = files_of(home)
    done = run("run", config, "--out", tmp_path, "--continue", check=False)
    assert done.returncode == 2
    assert f"{home}/notes: is not of a run" in done.stderr
    assert files_of(home) == before


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
    done = refuse.resume(*more)
    assert done.returncode == 0, done.stderr
    assert "went back to" in done.stderr
    assert [row[0] for row in experiment.metrics_of(refuse.home)[1:]] == [str(t) for t in range(7)]


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
