"""own_method_test.py PROGRAM MPIRUN: the example of docs/own-method.md runs, and its method beats FedAvg where clients
differ."""

import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tools"))
from make_idx import make_idx  # noqa: E402

PROGRAM, MPIRUN = sys.argv[1:3]
CONFIG = """rounds = 8
[data]
path = "{data}"
clients = 4
classes_per_client = 1
[model]
name = "logistic"
[train]
passes = 2
batch = 8
[[method]]
name = "fedavg"
"""

with tempfile.TemporaryDirectory() as home:
    config = pathlib.Path(home) / "own.toml"
    config.write_text(CONFIG.format(data=make_idx(pathlib.Path(home) / "data")))
    answers = [subprocess.run([MPIRUN, str(ranks), PROGRAM, str(config)], check=True, capture_output=True,
                              text=True, timeout=60).stdout for ranks in (1, 3)]
    assert answers[0] == answers[1], answers
    mine, fedavg = (float(line.split()[1]) for line in answers[0].splitlines())
    assert mine > fedavg, answers[0]
