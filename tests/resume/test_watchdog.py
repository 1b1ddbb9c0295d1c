"""A rank that is killed, stops or hangs: all ranks end within 10 s, somebody says which rank and why, and the run goes on
from its last checkpoint to the same bits."""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import experiment  # noqa: E402
from job import family, kill_all, ranks_of, start, wait_until  # noqa: E402
from program import run  # noqa: E402

RANKS = 3
LIMIT_SECONDS = 10
SHORT = ("--silence-limit", "2")   # instead of the default
LONG = ("--set", "rounds=100000", "--set", "evaluate.every=1000")   # nobody waits for its end


@pytest.fixture
def job(tmp_path, request):
    """A job in its rounds, with a checkpoint on disk, and its folder; its parameter: further options."""
    config = experiment.write_config(tmp_path, ["fedselect"])
    home = tmp_path / "resume"
    job = start(["run", config, "--out", tmp_path, *LONG, *getattr(request, "param", ())], RANKS)
    assert wait_until(lambda: list(home.glob("checkpoint.previous.h5")), job)
    yield job, home
    kill_all(job.pid)
    job.communicate(timeout=LIMIT_SECONDS)


def rank_of(process):
    variables = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    return next(int(v.split(b"=")[1]) for v in variables if v.startswith(b"OMPI_COMM_WORLD_RANK="))


def is_alive(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def fail(job, rank, number):
    """Sends a rank a signal. Returns what the job says, once none of its processes is left."""
    everyone = family(job.pid)
    victim = next(process for process in ranks_of(job) if rank_of(process) == rank)
    begin = time.monotonic()
    os.kill(victim, number)
    output, _ = job.communicate(timeout=60)
    while any(map(is_alive, everyone)) and time.monotonic() - begin < 60:
        time.sleep(0.01)
    assert time.monotonic() - begin < LIMIT_SECONDS
    assert job.returncode != 0
    return output


def goes_on(home):
    """The run goes on from its checkpoint as one that was never broken."""
    rounds = len(experiment.metrics_of(home))
    more = ("--set", f"rounds={rounds + 2}", "--allow-change", "rounds", "--quiet")
    run("run", "--resume", home, *more)
    assert [row[0] for row in experiment.metrics_of(home)[1:]] == [str(t) for t in range(rounds + 2)]


@pytest.mark.parametrize("job, rank", [((), 0), (SHORT, 1), (SHORT, 2)], indirect=["job"])
def test_a_stopped_rank_ends_the_job(job, rank):
    job, home = job
    output = fail(job, rank, signal.SIGSTOP)
    said = [line for line in output.splitlines() if line.startswith("fedselect: ")]
    assert len(said) == 1, output
    assert said[0].startswith(f"fedselect: rank {(rank + 1) % RANKS}: rank {rank} on node ")
    assert "gave no sign of life for" in said[0] and "--resume" in said[0]
    goes_on(home)


def test_a_killed_rank_ends_the_job(job):
    job, home = job
    output = fail(job, 1, signal.SIGKILL)
    assert "process rank 1" in output and "signal 9" in output   # mpirun's own message
    goes_on(home)


def test_a_job_that_was_stopped_as_a_whole_goes_on(tmp_path):
    """As gang scheduling does: longer than the limit, then all ranks at once."""
    config = experiment.write_config(tmp_path, ["fedselect"])
    limits = ("--silence-limit", "2", "--stall-limit", "2")
    job = start(["run", config, "--out", tmp_path, *LONG, *limits], RANKS)
    home = tmp_path / "resume"
    assert wait_until(lambda: list(home.glob("checkpoint.previous.h5")), job)
    ranks = ranks_of(job)
    for process in ranks:
        os.kill(process, signal.SIGSTOP)
    time.sleep(4)
    for process in ranks:
        os.kill(process, signal.SIGCONT)
    rounds = len(experiment.metrics_of(home))
    assert wait_until(lambda: len(experiment.metrics_of(home)) > rounds + 5, job)
    os.kill(ranks[0], signal.SIGUSR1)
    output, _ = job.communicate(timeout=60)
    assert job.returncode == 75, output


@pytest.mark.parametrize("ranks", [1, 2])
def test_work_that_stands_still_ends_the_job(tmp_path, ranks):
    """A file that never answers: whoever opens it waits until we give back what we hold on it, or for 45 s."""
    config = experiment.write_config(tmp_path, ["fedselect"])
    signal.signal(signal.SIGIO, signal.SIG_IGN)   # by which the system asks for it
    file = os.open(tmp_path / "absences", os.O_RDWR | os.O_CREAT)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    begin = time.monotonic()
    done = run("run", config, "--out", tmp_path, "--set", f"faults.unavailable={tmp_path / 'absences'}", "--stall-limit", "2",
               ranks=ranks, check=False)
    assert time.monotonic() - begin < LIMIT_SECONDS
    os.close(file)
    assert done.returncode == 1, done.stderr
    assert "the work of this rank stands still for 2" in done.stderr and "--stall-limit" in done.stderr
