"""Sweeps of the built program: the same tables whatever the workers, killed, stopped, failing and as an array of tasks. ctest
sets FEDSELECT_PROGRAM and picks cases with -k."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
sys.path.insert(0, str(Path(__file__).parent.parent / "resume"))
from compare_results import first_difference  # noqa: E402
from job import kill_all, ranks_of, start, wait_until  # noqa: E402
from make_idx import make_idx  # noqa: E402
from program import ALONE, FREES, ask, program, run  # noqa: E402

EXPERIMENT = """
name = "experiment"
rounds = {rounds}
[data]
path = "{data}"
clients = 4
partition = "iid"
[model]
name = "mlp"
hidden = 6
[train]
passes = 1
batch = 16
[[method]]
name = "fedselect"
[[method]]
name = "fedavg"
"""
SWEEP = """
name = "sweep"
experiment = "experiment.toml"
seeds = [1, 2]
"""
GRID = SWEEP + """
[[parameter]]
key = "method.rate"
values = [0.1, 0.3]
[[parameter]]
key = "train.lr"
values = [0.01, 0.1]
"""


def write(folder, sweep, rounds=4):
    (folder / "experiment.toml").write_text(EXPERIMENT.format(data=make_idx(folder / "data"), rounds=rounds))
    (folder / "sweep.toml").write_text(sweep)
    return folder / "sweep.toml"


def table(folder):
    """sweep.csv without the seconds."""
    with open(folder / "sweep" / "sweep.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        del row["seconds"]
    return rows


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """A grid on one rank: its file and its folder."""
    folder = tmp_path_factory.mktemp("grid")
    path = write(folder, GRID)
    done = run("sweep", path, "--out", folder / "one", "--quiet")
    return path, folder / "one", done.stdout


def test_results_are_those_of_runs(grid, tmp_path):
    path, folder, printed = grid
    rows = table(folder)
    # Four points of fedselect; fedavg has no rate, so its points are two.
    assert [row["method"] for row in rows] == ["fedselect"] * 2 + ["fedavg"] * 2 + ["fedselect"] * 2 + ["fedavg"] * 2 + (
        ["fedselect"] * 4)
    assert {row["method.rate"] for row in rows if row["method"] == "fedavg"} == {""}
    assert all(row["status"] == "done" and row["rounds"] == "4" for row in rows)
    row = rows[-1]
    run("run", path.parent / "experiment.toml", "--out", tmp_path, "--quiet", "--set", "name=sweep", "--set",
        f"seed={row['seed']}", "--set", f"method.rate={row['method.rate']}", "--set", f"train.lr={row['train.lr']}")
    with h5py.File(tmp_path / "sweep/fedselect/result.h5") as a, h5py.File(folder / "sweep/trials" / row["trial"] / "result.h5") as b:
        assert not first_difference(a, b)
    scores = {}
    for row in rows:
        if row["method"] == "fedavg":
            scores.setdefault(row["train.lr"], []).append(float(row["accuracy"]))
    best = max(scores, key=lambda lr: sum(scores[lr]))
    line = next(line for line in printed.splitlines() if line.startswith("fedavg"))
    assert line.split()[1:3] == ["2", f"{sum(scores[best]) / 2:.4f}"] and line.endswith(f"train.lr={best}")
    with h5py.File(folder / "sweep/sweep.h5") as file:
        assert file.attrs["format"] == "fedselect-sweep" and file.attrs["metric"] == "accuracy"
        assert [text.decode() for text in file["parameters/keys"][:]] == ["method.rate", "train.lr"]
        assert [text.decode() for text in file["parameters/1"][:]] == [row["train.lr"] for row in rows]
        assert list(file["trials/accuracy"][:]) == [float(row["accuracy"]) for row in rows]
        assert list(file["trials/candidate"][:]) == [i // 2 for i in range(len(rows))]


@pytest.mark.parametrize("ranks, per_trial", [(2, 1), (3, 1), (4, 2), (3, 2)])
def test_results_do_not_depend_on_workers(grid, tmp_path, ranks, per_trial):
    path, folder, _ = grid
    run("sweep", path, "--out", tmp_path, "--quiet", "--ranks-per-trial", per_trial, ranks=ranks)
    assert table(tmp_path) == table(folder)


def test_results_of_a_killed_and_of_a_stopped_sweep(grid, tmp_path):
    path, folder, _ = grid
    home = tmp_path / "sweep"
    longer = ["--out", tmp_path, "--continue"]
    job = start(["sweep", path, *longer], 2)
    wait_until(lambda: list(home.glob("trials/*/result.h5")), job)
    kill_all(job.pid)
    job = start(["sweep", path, *longer], 2)
    done = len(list(home.glob("trials/*/result.h5")))
    wait_until(lambda: len(list(home.glob("trials/*/result.h5"))) > done, job)
    for rank in ranks_of(job):
        os.kill(rank, signal.SIGUSR1)
    output, _ = job.communicate(timeout=60)
    assert job.returncode in (0, 75), output
    run("sweep", path, *longer, "--quiet")
    assert table(tmp_path) == table(folder)
    # It is done: nothing runs again.
    before = {path: path.stat().st_mtime_ns for path in home.glob("trials/*/result.h5")}
    assert "best of" in run("sweep", path, *longer, "--quiet", ranks=2).stdout
    assert before == {path: path.stat().st_mtime_ns for path in home.glob("trials/*/result.h5")}


def test_one_that_fails_is_killed_without_advancing(tmp_path):
    """Three jobs were killed in each of two trials; in one of them the last one wrote a checkpoint."""
    path = write(tmp_path, SWEEP.replace("seed", 'methods = ["fedavg"]\nseed'), rounds=1000)
    arguments = ["sweep", path, "--out", tmp_path, "--set", "checkpoint.every_rounds=50"]
    home = tmp_path / "sweep"
    job = start(arguments, 1)
    wait_until(lambda: list(home.glob("trials/*/checkpoint.h5")), job)
    kill_all(job.pid)
    journal = home / "journal/sweep.jsonl"
    begun = json.loads(journal.read_text().splitlines()[0])
    other = next(line.split()[1] for line in ask(*arguments, "--list").splitlines() if begun["trial"] not in line)
    with open(journal, "a") as file:
        for trial in [begun["trial"]] * 2 + [other] * 3:
            file.write(json.dumps(begun | {"trial": trial, "time": "2026-01-01T00:00:00.000Z"}) + "\n")
    done = run(*arguments, "--continue", "--quiet", check=False)
    assert done.returncode == 1, done.stderr
    assert {row["trial"]: (row["status"], row["message"]) for row in table(tmp_path)} == {
        begun["trial"]: ("done", ""), other: ("failed", "the job ended 3 times while it ran")}
    run(*arguments, "--retry-failed", "--quiet")


def test_what_is_wrong_with_the_number_of_ranks_is_told(tmp_path):
    path = write(tmp_path, SWEEP.replace("seeds = [1, 2]", 'seeds = [1]\nmethods = ["fedavg"]'), rounds=1)
    told = run("sweep", path, "--out", tmp_path / "a", "--quiet", ranks=2).stderr
    assert told.count("warning: ") == 1 and "warning: 2 workers for 1 trials, 1 without work" in told
    told = run("sweep", path, "--out", tmp_path / "b", "--quiet", "--ranks-per-trial", 5, ranks=6).stderr
    assert told.count("warning: ") == 2
    assert "warning: 6 ranks for 5 places in workers of 5, 1 without work" in told
    assert "warning: 5 ranks of a trial for 4 clients, 1 without work" in told
    assert "warning: " not in run("sweep", path, "--out", tmp_path / "c", "--quiet").stderr


HALVING = SWEEP + """
[search]
kind = "random"
points = 6
[halving]
first_rounds = 1
factor = 2
{wait}
[[parameter]]
key = "train.lr"
low = 0.0001
high = 0.5
scale = "log"
"""


def test_halving_runs_the_best_to_the_end(tmp_path):
    path = write(tmp_path, HALVING.format(wait=""), rounds=6)
    run("sweep", path, "--out", tmp_path / "a", "--quiet")
    run("sweep", path, "--out", tmp_path / "b", "--quiet", ranks=2)
    rows = table(tmp_path / "a")
    assert rows == table(tmp_path / "b")
    # Rungs of 1, 2, 4 and 6 rounds: six candidates of each method, then three, one, one, of two seeds each.
    for method in ("fedselect", "fedavg"):
        mine = [row for row in rows if row["method"] == method]
        assert sorted(int(row["rounds"]) for row in mine) == [1] * 6 + [2] * 4 + [6] * 2
    # One that went on in steps is one that ran through.
    row = next(row for row in rows if row["rounds"] == "6")
    run("run", tmp_path / "experiment.toml", "--out", tmp_path, "--quiet", "--set", "name=sweep", "--set",
        f"seed={row['seed']}", "--set", f"train.lr={row['train.lr']}")
    with h5py.File(tmp_path / "sweep" / row["method"] / "result.h5") as a, h5py.File(
            tmp_path / "a/sweep/trials" / row["trial"] / "result.h5") as b:
        assert not first_difference(a, b)


def test_halving_without_waiting_ends(tmp_path):
    path = write(tmp_path, HALVING.format(wait="wait = false"), rounds=6)
    run("sweep", path, "--out", tmp_path, "--quiet", ranks=3)
    finished = {row["method"] for row in table(tmp_path) if row["rounds"] == "6"}
    assert finished == {"fedselect", "fedavg"}


def test_halving_at_rounds_without_evaluation_is_refused(tmp_path):
    path = write(tmp_path, HALVING.format(wait="") + '[[parameter]]\nkey = "evaluate.every"\nvalues = [2]\n')
    done = run("sweep", path, "--out", tmp_path, check=False)
    assert done.returncode == 2 and "halving.first_rounds = 1: no evaluation is then" in done.stderr


FAILING = SWEEP + """
[[parameter]]
key = "train.lr"
values = [0.05, 1e6]
[[parameter]]
key = "train.on_divergence"
values = ["abort"]
"""


@pytest.mark.parametrize("ranks, per_trial", [(1, 1), (2, 1), (4, 2)])
def test_one_that_fails_ends_no_other(tmp_path, ranks, per_trial):
    path = write(tmp_path, FAILING)
    arguments = ("sweep", path, "--out", tmp_path, "--quiet", "--ranks-per-trial", per_trial)
    done = run(*arguments, ranks=ranks, check=False)
    assert done.returncode == 1 and "4 of 8 trials failed" in done.stderr and "--retry-failed" in done.stderr
    rows = table(tmp_path)
    assert [row["status"] for row in rows] == ["done"] * 4 + ["failed"] * 4
    assert all("diverged in round 0" in row["message"] for row in rows[4:])
    # They fail again, and alone are run again.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "sweep").glob("trials/*/result.h5")}
    assert len(before) == 4
    again = run(*arguments, "--retry-failed", ranks=ranks, check=False)
    assert again.returncode == 1 and table(tmp_path) == rows
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "sweep").glob("trials/*/result.h5")}
    begun = (tmp_path / "sweep/journal/sweep.jsonl").read_text().count('"begun"')
    assert begun == 8 + 4


def peak_of_failures(folder, seeds):
    """Resident bytes at most."""
    path = folder / "sweep.toml"
    path.write_text(FAILING.replace("0.05, ", "").replace("seeds = [1, 2]", f"seeds = {list(range(seeds))}") + f"""
[[parameter]]
key = "model.initial"
values = ["", "{folder / "nowhere"}"]
""")
    command = [program(), "sweep", path, "--out", folder / str(seeds), "--quiet"]
    job = subprocess.Popen(command, env=os.environ | ALONE | FREES, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(job.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    rows = table(folder / str(seeds))
    assert [row["status"] for row in rows] == ["failed"] * 4 * seeds
    return usage.ru_maxrss * 1024


def test_memory_does_not_grow_with_what_fails(tmp_path):
    """The data are 23 MB. Half of the trials fail in training, half while they are loaded, after their data were."""
    data = make_idx(tmp_path / "data", train=1500, test=300, size=112)
    (tmp_path / "experiment.toml").write_text(EXPERIMENT.format(data=data, rounds=1))
    few, many = (peak_of_failures(tmp_path, seeds) for seeds in (1, 6))
    assert many - few < 40e6


def test_what_is_wrong_ends_it_before_anything_is_made(tmp_path):
    path = write(tmp_path, GRID.replace("train.lr", "train.lx"))
    done = run("sweep", path, "--out", tmp_path, check=False)
    assert done.returncode == 2 and "train.lx: unknown key; did you mean train.lr?" in done.stderr
    path = write(tmp_path, GRID + '[[parameter]]\nkey = "data.clients"\nvalues = [100000]\n')
    done = run("sweep", path, "--out", tmp_path, check=False)
    assert done.returncode == 2 and "data.clients" in done.stderr
    path = write(tmp_path, GRID.replace("seeds = [1, 2]", f"seeds = {list(range(1001))}") + '''[[parameter]]
key = "train.momentum"
low = 0
high = 0.9
points = 200
''')
    done = run("sweep", path, "--out", tmp_path, check=False)
    assert done.returncode == 2 and "800 points x 1001 seeds x 2 methods: a sweep has 1000000 trials at most" in done.stderr
    path = write(tmp_path, GRID)
    done = run("sweep", path, "--out", tmp_path, "--ranks-per-trial", 3, ranks=2, check=False)
    assert done.returncode == 2 and "--ranks-per-trial 3: the job has 2 ranks" in done.stderr
    assert not (tmp_path / "sweep").exists()
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep/notes").write_text("mine")
    done = run("sweep", path, "--out", tmp_path, check=False)
    assert done.returncode == 2 and "--continue" in done.stderr


def test_tasks_of_an_array_may_begin_at_once(grid, tmp_path):
    path, folder, _ = grid
    arguments = ["sweep", path, "--out", tmp_path, "--continue", "--quiet"]
    tasks = [start([*arguments, "--only", number], 1) for number in range(1, 13)]
    for task in tasks:
        output, _ = task.communicate(timeout=100)
        assert task.returncode == 0, output
    run("sweep", path, "--out", tmp_path, "--tables", "--quiet")     # runs nothing: the tasks have done it all
    assert table(tmp_path) == table(folder)


def test_two_at_once_in_a_folder_are_wrong(tmp_path):
    path = write(tmp_path, GRID, rounds=100)
    job = start(["sweep", path, "--out", tmp_path, "--quiet"], 1)
    wait_until(lambda: list(tmp_path.glob("sweep/trials/*/log.txt")), job)
    done = run("sweep", path, "--out", tmp_path, "--continue", check=False)
    kill_all(job.pid)
    assert done.returncode == 2 and "another program is at work" in done.stderr
    assert not (tmp_path / "sweep/journal/sweep.jsonl").read_text().count('"failed"')


def test_array_trial_that_was_retried_elsewhere_is_done(tmp_path):
    path = write(tmp_path, SWEEP, rounds=1)
    trial = ask("sweep", path, "--list").split()[1]
    journal = tmp_path / "sweep/journal"
    journal.mkdir(parents=True)
    failed = {"trial": trial, "status": "failed", "rounds": 0, "accuracy": None, "worst_accuracy": None, "personal_share": None,
              "bytes": 0, "gradients": 0, "diverged": 0, "seconds": 0, "message": "by hand"}
    (journal / "sweep.jsonl").write_text(json.dumps(failed | {"time": "2026-01-01T00:00:00.000Z"}) + "\n")
    run("sweep", path, "--out", tmp_path, "--only", 1, "--retry-failed", "--quiet")
    run("sweep", path, "--out", tmp_path, "--continue", "--quiet")
    assert {row["status"] for row in table(tmp_path)} == {"done"}


MANY = SWEEP.replace("seeds = [1, 2]", 'seeds = [1]\nmethods = ["fedavg"]') + """
[[parameter]]
key = "model.hidden"
values = [6, 1500000, 7]
"""


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="AddressSanitizer needs more addresses")
def test_one_that_fails_for_memory_ends_no_other(tmp_path):
    path = write(tmp_path, MANY)
    command = f"ulimit -v 4000000; exec {program()} sweep {path} --out {tmp_path} --quiet"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=100, env=os.environ | ALONE)
    assert done.returncode == 1 and "1 of 3 trials failed" in done.stderr, done.stderr
    assert [row["status"] for row in table(tmp_path)] == ["done", "failed", "done"]


def test_results_with_keys_set_for_all_trials(grid, tmp_path):
    path, folder, _ = grid
    run("sweep", path, "--out", tmp_path, "--set", "rounds=1", "--quiet", ranks=2)
    rows = table(tmp_path)
    assert {row["rounds"] for row in rows} == {"1"} and len(rows) == len(table(folder))
    done = run("sweep", path, "--out", tmp_path, "--set", "train.lr=1", check=False)
    assert done.returncode == 2 and "--set train.lr=1: the sweep sets train.lr itself" in done.stderr


def test_tables_of_an_array_with_gaps(tmp_path):
    path = write(tmp_path, FAILING)
    tables = ("sweep", path, "--out", tmp_path, "--tables", "--quiet")
    for number in (1, 2, 5):
        run("sweep", path, "--out", tmp_path, "--only", number, "--quiet", check=False)
    before = sorted(tmp_path.glob("sweep/trials/*/*"))
    done = run(*tables, check=False)
    assert done.returncode == 1, done.stderr
    assert "5 of 8 trials are missing" in done.stderr and "1 of 8 trials failed" in done.stderr
    assert [row["status"] for row in table(tmp_path)] == ["done"] * 2 + ["waiting"] * 2 + ["failed"] + ["waiting"] * 3
    assert sorted(tmp_path.glob("sweep/trials/*/*")) == before
    assert '"begun"' not in "".join(path.read_text() for path in tmp_path.glob("sweep/journal/sweep.jsonl"))


def test_halving_that_was_cut_off_has_tables_with_gaps(tmp_path):
    path = write(tmp_path, HALVING.format(wait=""), rounds=6)
    arguments = ("sweep", path, "--out", tmp_path, "--quiet")
    run(*arguments)
    whole = table(tmp_path)
    run(*arguments, "--tables")
    assert table(tmp_path) == whole
    journal = tmp_path / "sweep/journal/sweep.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-4]))
    done = run(*arguments, "--tables", check=False)
    assert done.returncode == 1 and "of 24 trials are missing, or not at their ends" in done.stderr, done.stderr


@pytest.mark.parametrize("option", [["--continue"], ["--only", "1"], ["--retry-failed"], ["--list"]])
def test_tables_with_what_would_run_or_list_is_wrong(tmp_path, option):
    done = run("sweep", write(tmp_path, GRID), "--out", tmp_path, "--tables", *option, check=False)
    assert done.returncode == 2 and "excludes" in done.stderr, done.stderr
    assert not (tmp_path / "sweep").exists()


def test_tables_of_a_sweep_that_was_not_begun_are_wrong(tmp_path):
    done = run("sweep", write(tmp_path, GRID), "--out", tmp_path, "--tables", check=False)
    assert done.returncode == 2 and "sweep: no sweep was begun there" in done.stderr, done.stderr
    assert not (tmp_path / "sweep").exists()


def test_array_of_tasks_comes_to_the_same_tables(grid, tmp_path):
    path, folder, _ = grid
    trials = ask("sweep", path, "--list").splitlines()
    assert [line.split()[1] for line in trials] == [row["trial"] for row in table(folder)]
    for number in range(1, len(trials) + 1):
        run("sweep", path, "--out", tmp_path, "--only", number, "--quiet", ranks=1 + number % 2)
        done = {path.parent.name for path in tmp_path.glob("sweep/trials/*/result.h5")}
        assert done == {line.split()[1] for line in trials[:number]}
    assert not (tmp_path / "sweep/sweep.csv").exists()
    assert "best of" in run("sweep", path, "--out", tmp_path, "--tables", "--quiet", ranks=2).stdout
    assert table(tmp_path) == table(folder)
    assert (tmp_path / "sweep/sweep.h5").exists() and (tmp_path / "sweep/sweep.toml").read_text() == path.read_text()
    done = run("sweep", path, "--out", tmp_path, "--only", 99, check=False)
    assert done.returncode == 2 and "--only 99: the sweep has 12 trials" in done.stderr
