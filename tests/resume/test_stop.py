"""A run that was stopped or killed goes on to the same bits on another number of ranks. ctest sets
FEDSELECT_PROGRAM and picks cases with -k. kill_and_resume.py does the same for as long as one likes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

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


def test_stop_within_a_round_that_is_longer_than_the_cadence(tmp_path):
    """Checkpoints are written in mid-round too, and change nothing, whether the run goes on by itself or from one of them."""
    config = experiment.write_config(tmp_path, ["fedselect", "scaffold", "fedpac"], "every_minutes = 1e-9\n")

    def in_mid_round(home):
        return [path for path in home.rglob("log.txt") if "and some clients of the next: " in path.read_text()]

    run("run", config, "--out", tmp_path / "alone", "--quiet")
    run("run", config, "--out", tmp_path / "whole", "--quiet", ranks=2)
    expected, home = tmp_path / "alone" / "resume", tmp_path / "whole" / "resume"
    assert in_mid_round(home)
    assert experiment.differences(expected, home) == []

    job = start(["run", config, "--out", tmp_path], 2)
    home = tmp_path / "resume"
    assert wait_until(lambda: in_mid_round(home), job)
    kill_all(job.pid)
    job.communicate(timeout=60)
    run("run", "--resume", home, "--quiet", ranks=3)
    assert experiment.differences(expected, home) == []


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


def seconds_of(process):
    """Processor time that it has had."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
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
        ready = seconds_of(job.pid)
        assert wait_until(lambda: seconds_of(job.pid) > ready + 0.5, job)   # all that it does from then on is train
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


def test_stop_in_the_test_at_the_end_of_a_round(tmp_path):
    """Of all clients, each of which is fine-tuned for it: after the one in hand. The checkpoint has the model after the round,
    and the test begins again."""
    config = experiment.write_config(tmp_path, ["fedavg-ft"])
    settings = ["--set", "rounds=2", "--set", "evaluate.cross=false", "--set", "method.fine_tune_passes=8000"]
    run("run", config, "--out", tmp_path / "unbroken", *settings, "--quiet", ranks=3)
    job = start(["run", config, "--out", tmp_path, *settings], 2)
    home = tmp_path / "resume"
    experiment.wait_for_rounds(home, 1, job)
    ranks = ranks_of(job)
    ready = seconds_of(ranks[0])
    assert wait_until(lambda: seconds_of(ranks[0]) > ready + 0.3, job)   # training takes no time
    os.kill(ranks[1], signal.SIGUSR1)
    output, _ = job.communicate(timeout=60)
    assert job.returncode == STOPPED and "after round 1 of 2 and the next but for its test" in output, output
    assert "checkpoint.h5: masks after round 1 are those of the log, and so is every byte of it" in ask("verify", home)
    run("run", "--resume", home, "--quiet", ranks=3)
    assert experiment.differences(tmp_path / "unbroken" / "resume", home) == []


def test_stop_after_the_last_round_costs_no_round(tmp_path):
    """While new clients train, for hours, a second signal ends the run."""
    config = experiment.write_config(tmp_path, ["fedselect"])
    settings = ["--set", "evaluate.cross=false"]
    run("run", config, "--out", tmp_path / "unbroken", "--quiet", *settings)
    job = start(["run", config, "--out", tmp_path, *settings, "--set", "evaluate.new_client_passes=100000000", "--set",
                 "checkpoint.every_rounds=0"], 1)
    home = tmp_path / "resume"
    try:
        experiment.wait_for_rounds(home, 5, job)
        assert wait_until((home / "checkpoint.h5").exists, job)
        rank = ranks_of(job)[0]
        ready = seconds_of(rank)
        assert wait_until(lambda: seconds_of(rank) > ready + 0.5, job)   # all that it does from then on is train
        os.kill(rank, signal.SIGUSR1)
        time.sleep(0.1)
        os.kill(rank, signal.SIGUSR2)
        job.communicate(timeout=60)
    finally:
        kill_all(job.pid)
    assert job.returncode not in (0, STOPPED)
    assert not (home / "result.h5").exists()
    done = run("run", config, "--resume", home, *settings, "--allow-change", "evaluate.new_client_passes",
               "--allow-change", "checkpoint.every_rounds")
    assert "goes on after round 5" in done.stderr
    assert experiment.differences(tmp_path / "unbroken" / "resume", home) == []


def test_stop_while_new_clients_train(tmp_path):
    """After the client in hand; what was measured of the others by then is measured again."""
    config = experiment.write_config(tmp_path, ["fedselect"])
    settings = ["--set", "federation.new_clients=3", "--set", "evaluate.new_client_passes=50000", "--set",
                "checkpoint.every_rounds=0", "--device", "cpu"]
    run("run", config, "--out", tmp_path / "unbroken", *settings, "--quiet", ranks=3)
    job = start(["run", config, "--out", tmp_path, *settings], 1)
    home = tmp_path / "resume"
    rank = wait_until(lambda: ranks_of(job), job)[0]
    assert wait_until((home / "checkpoint.h5").exists, job)
    os.kill(rank, signal.SIGUSR1)
    output, _ = job.communicate(timeout=60)
    assert job.returncode == STOPPED and "after round 5 of 5: go on with" in output, output
    run("run", "--resume", home, "--quiet", "--device", "cpu", ranks=2)
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
