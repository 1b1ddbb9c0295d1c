"""Tests of analysis/sweep against numbers worked out by hand, on an invented sweep."""

import math
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "analysis")]

from fedselect_analysis import sweep as report  # noqa: E402
from fedselect_analysis.reading import ReportError  # noqa: E402

KEYS = ["train.lr", "train.optimizer"]


def write_sweep(folder, rows):
    """rows: (method, candidate, seed, status, rounds, accuracy, [values])."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = list(zip(*rows))
    with h5py.File(folder / "sweep.h5", "w") as file:
        file.attrs.update(format="fedselect-sweep", version=1, name="invented", metric="accuracy")
        for name, number in (("method", 0), ("status", 3)):
            file[f"trials/{name}"] = np.array(columns[number], dtype="S")
        for name, number in (("candidate", 1), ("seed", 2), ("rounds", 4)):
            file[f"trials/{name}"] = np.array(columns[number])
        file["trials/whole_rounds"] = np.full(len(rows), 10)
        file["trials/accuracy"] = np.array(columns[5], dtype=float)
        file["trials/bytes"] = np.full(len(rows), 4_000_000)
        file["parameters/keys"] = np.array(KEYS, dtype="S")
        for k in range(len(KEYS)):
            file[f"parameters/{k}"] = np.array([values[k] for values in columns[6]], dtype="S")
    return folder


@pytest.fixture
def invented(tmp_path):
    """Two learning rates and two optimizers; only the rate matters. The best candidate by its score did not run to the end."""
    rows = []
    for c, (lr, optimizer, score, rounds) in enumerate(
        [("0.01", "sgd", 0.5, 10), ("0.01", "adam", 0.5, 10), ("0.1", "sgd", 0.7, 10), ("0.1", "adam", 0.71, 4)]
    ):
        for seed, off in ((1, -0.01), (2, 0.01)):
            rows.append(("m", c, seed, "done", rounds, score + off, [lr, optimizer]))
    rows.append(("n", 4, 1, "failed", 0, math.nan, ["", "sgd"]))
    return write_sweep(tmp_path / "sweep", rows)


def test_best_interval_and_importance(invented):
    sweep = report.read_sweep(invented)
    best = sweep.best("m")
    assert best.values == ["0.1", "sgd"] and best.score == pytest.approx(0.7)
    # Two values .69 and .71: deviation .01 sqrt(2), t = 12.706205 with one degree of freedom.
    assert best.half_width == pytest.approx(12.706205 * 0.01)
    assert sweep.methods == ["m"]  # nothing of n is done
    shares = report.importance(sweep, "m")
    # By hand, without the seeds' means: the rates' candidates are .5, .5 and .7, .71, twice each.
    scores = np.array([0.5, 0.5, 0.5, 0.5, 0.7, 0.7, 0.71, 0.71])
    total = ((scores - scores.mean()) ** 2).sum()
    within = 4 * 0.005**2
    assert shares["train.lr"] == pytest.approx((total - within - within / 6) / total)
    assert shares["train.lr"] > 0.98 and shares["train.optimizer"] == 0


def test_interval_of_any_number_of_seeds():
    """What tables of Student's t say; 1.96 is for infinitely many."""
    table = {1: 12.706205, 2: 4.302653, 3: 3.182446, 15: 2.131450, 16: 2.119905, 30: 2.042272, 100: 1.983972, 999: 1.962341}
    assert {freedom: report.student_t(freedom) for freedom in table} == pytest.approx(table, abs=1e-6)
    scores = {seed: seed % 2 for seed in range(17)}
    candidate = report.Candidate("m", [], scores, True, 0.0)
    deviation = math.sqrt((9 * (8 / 17) ** 2 + 8 * (9 / 17) ** 2) / 16)
    assert candidate.half_width == pytest.approx(2.119905 * deviation / math.sqrt(17), rel=1e-6)


def test_groups():
    assert list(report.groups(["0.1", "1", "0.1"])) == [0, 1, 0]
    assert list(report.groups(["b", "a"])) == [1, 0]
    many = [str(i) for i in range(40, 0, -1)]  # ten values of four neighbours would be more groups than MAX_BINS
    assert list(report.groups(many)) == [7 - i // 5 for i in range(40)]


def test_command_writes_tables_and_figures(invented, tmp_path):
    done = subprocess.run([sys.executable, ROOT / "analysis/sweep", invented, "--out", tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "| m | 70.0 % | ± 12.7 | 2 | 4 | 4 | train.lr = 0.1, train.optimizer = sgd |" in done.stdout
    assert "did not run all rounds" in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"sweep.md", "response.png", "parallel.png"}


def test_bad_input_has_one_message(tmp_path):
    with pytest.raises(ReportError, match="is not there"):
        report.read_sweep(tmp_path)
    (tmp_path / "sweep.h5").write_bytes(b"nothing")
    with pytest.raises(ReportError, match="can't be read as a sweep"):
        report.read_sweep(tmp_path)
    write_sweep(tmp_path, [("m", 0, 1, "waiting", 0, math.nan, ["0.1", "sgd"])])
    done = subprocess.run([sys.executable, ROOT / "analysis/sweep", tmp_path], capture_output=True, text=True)
    assert done.returncode == 2 and "no trial is done" in done.stderr
