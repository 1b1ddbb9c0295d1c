"""study_test.py FEDSELECT STUDY: analysis/study runs an experiment over values and seeds, goes on where it stopped, and its
table holds the means that the runs' own files give."""

import csv
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tools"))
from make_idx import make_idx  # noqa: E402

FEDSELECT, STUDY = sys.argv[1:3]
CONFIG = """rounds = 2
[data]
path = "{data}"
clients = 4
classes_per_client = 1
[model]
name = "logistic"
[[method]]
name = "fedavg"
[[method]]
name = "local"
"""

with tempfile.TemporaryDirectory() as home:
    home = pathlib.Path(home)
    config = home / "study.toml"
    config.write_text(CONFIG.format(data=make_idx(home / "data")))

    def study(*arguments, code=0):
        done = subprocess.run([sys.executable, STUDY, config, "--out", home / "out", "--ranks", "1", "--program", FEDSELECT,
                               *arguments], capture_output=True, text=True, timeout=100)
        assert done.returncode == code, done.stderr
        return done

    assert study("--vary", "data.classes_per_client=1,2", "--seeds", "1").stderr.count(" took ") == 2
    (home / "out" / "classes_per_client-1-seed-2" / "runs").mkdir(parents=True)  # as a killed study leaves it
    assert study("--vary", "data.classes_per_client=1,2", "--seeds", "1,2").stderr.count(" took ") == 2  # only seed 2
    rows = list(csv.DictReader(open(home / "out" / "study.csv")))
    assert len(rows) == 2 * 2 * 2
    for row in rows:
        run = home / "out" / f"classes_per_client-{row['data.classes_per_client']}-seed-{int(row['seed_number']) + 1}" / "done" / row["method"]
        last = list(csv.DictReader(open(run / "metrics.csv")))[-1]
        assert abs(float(row["accuracy"]) - float(last["accuracy_mean"])) < 1e-9, row
    local = [100 * float(r["accuracy"]) for r in rows if r["method"] == "local" and r["data.classes_per_client"] == "1"]
    cell = f"{statistics.fmean(local):.1f} +- {statistics.stdev(local):.1f}"
    assert cell in (home / "out" / "study.md").read_text()
    assert (home / "out" / "study.png").stat().st_size > 1000
    assert "--vary nonsense: must be KEY=VALUE" in study("--vary", "nonsense", code=2).stderr
    assert "unknown key" in study("--vary", "data.clent=3", "--seeds", "7", code=2).stderr
