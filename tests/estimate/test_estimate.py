"""`fedselect estimate`, then the run it foretold: bytes, gradients and FLOPs exactly, of every method on 1 rank, of some on 2; files
nearly; what is warned of, and what is refused. Not speed, not memory: bench/estimate.py. ctest sets FEDSELECT_PROGRAM."""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from make_idx import make_idx  # noqa: E402
from program import FREES, method_names, run  # noqa: E402

ROUNDS = 8
SOME = ["fedselect-ltn", "fedselect", "fedavg", "scaffold", "fedpac"]
EXPERIMENT = """
rounds = {rounds}
[data]
path = "{data}"
clients = 6
partition = "shards"
classes_per_client = 2
train_per_class = 6

[federation]
participation = 0.7

[faults]
dropout = 0.1

[model]
name = "resnet8"

[train]
passes = 2
batch = 8
"""
PROFILE = ROOT / "configs" / "profiles" / "mobile.toml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("estimate")
    text = EXPERIMENT.format(data=make_idx(path / "data"), rounds=ROUNDS)
    (path / "one.toml").write_text(text + '[[method]]\nname = "fedavg"\n')
    return path


def estimate(folder, config, *arguments, ranks=1):
    out = folder / "estimate.json"
    done = run("estimate", config, "--json", out, *arguments, ranks=ranks)
    return json.loads(out.read_text()), done


def of_cohort(values, took_part):
    """Sum, least and most over the clients of a round's cohort, for each round."""
    return [{"sum": int(row[who].sum()), "least": int(row[who].min()), "most": int(row[who].max())}
            for row, who in zip(values, took_part)]


@pytest.mark.parametrize("ranks, methods", [(1, method_names), (2, lambda: SOME)])
def test_foretells_what_is_sent_and_computed(folder, ranks, methods):
    text = EXPERIMENT.format(data=folder / "data", rounds=ROUNDS)
    text += "".join(f'[[method]]\nname = "{name}"\n' for name in methods())
    config = folder / f"ranks-{ranks}.toml"
    config.write_text(text)
    foretold, _ = estimate(folder, config, ranks=ranks)
    name = f"ranks-{ranks}"
    run("run", config, "--out", folder, "--name", name, "--quiet", ranks=ranks)
    assert foretold["ranks"] == ranks
    assert [method["label"] for method in foretold["methods"]] == methods()
    for method in foretold["methods"]:
        path = folder / name / method["label"]
        with h5py.File(path / "result.h5") as file:
            metrics = {key: item[()] for key, item in file["metrics"].items()}
        took_part = metrics["participated"] > 0
        assert [r["cohort"] for r in method["rounds"]] == took_part.sum(axis=1).tolist()
        assert (method["sureness"] == "if-all-prune") == (method["label"] in ("lotteryfl", "sub-fedavg"))
        assert (method["sureness"] == "at-least") == (method["label"] == "fedselect")
        if method["sureness"] == "if-all-prune":
            # Whoever is less accurate prunes less, and sends more.
            assert sum(r["bytes_down"]["sum"] for r in method["rounds"]) <= metrics["bytes_down"].sum()
            continue
        for key in ("bytes_up", "bytes_down", "gradients"):
            found = of_cohort(metrics[key], took_part)
            assert [r[key] for r in method["rounds"]] == found, (method["label"], key)
        assert method["bytes"] == metrics["bytes_up"].sum() + metrics["bytes_down"].sum()
        assert method["flops"] == pytest.approx(metrics["flops"].sum(), rel=1e-12)


def test_foretells_files_and_real_clients(folder):
    config = folder / "large.toml"
    config.write_text(f"""
name = "large"
rounds = 6
[data]
path = "{folder / 'data'}"
clients = 6
partition = "iid"
[model]
name = "mlp"
hidden = 400
[checkpoint]
at_end = true
[[method]]
name = "fedselect"
""")
    foretold, done = estimate(folder, config, "--profile", PROFILE)
    run("run", config, "--out", folder, "--quiet")
    method = foretold["methods"][0]
    sizes = {"result": "result.h5", "checkpoint": "checkpoint.h5", "journal": "journal.bin", "metrics": "metrics.csv"}
    for key, name in sizes.items():
        found = (folder / "large" / name).stat().st_size
        tolerance = 0 if key == "journal" else 0.25
        assert method["files"][key] == pytest.approx(found, rel=tolerance), name
    assert 0 < method["state_bytes"] < method["rank_bytes"] <= foretold["node_bytes"]
    # By hand, of the class phone-4g: 30 Mbit/s down, 5 GFLOP/s, 8 Mbit/s up; a mean client of each round.
    seconds = [8 * r["bytes_down"]["sum"] / 6 / 30e6 + r["flops"] / 6 / 5e9 + 8 * r["bytes_up"]["sum"] / 6 / 8e6
               for r in method["rounds"]]
    federation = method["federation"]
    assert federation["seconds_per_round"]["phone-4g"] == pytest.approx(np.mean(seconds))
    assert federation["hours"] == pytest.approx(sum(seconds) / 3600)  # the slowest class
    assert "real clients (mobile), seconds of a round" in done.stdout


def test_warns_of_what_cannot_be(folder):
    arguments = ["--set", "rounds=3", "--ranks", "9", "--ranks-per-node", "4", "--time", "0"]
    foretold, done = estimate(folder, folder / "one.toml", *arguments)
    assert foretold["ranks"] == 9 and foretold["ranks_on_node"] == 4
    assert "warning: time: 0:00:" in done.stderr
    assert "warning: 9 ranks for 6 clients, 3 without work" in done.stderr
    assert "was not measured" in done.stdout


def test_a_robust_merge_keeps_what_all_share(folder, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", FREES["ASAN_OPTIONS"])
    wide = ["--set", "model.name=mlp", "--set", "model.hidden=20000"]
    mean, _ = estimate(folder, folder / "one.toml", *wide)
    median, done = estimate(folder, folder / "one.toml", *wide, "--set", 'server.merge=median')
    more = median["rank_bytes"] - mean["rank_bytes"]
    everyone = max(r["cohort"] for r in median["methods"][0]["rounds"]) * median["model_bytes"]
    assert everyone < more < 6 * everyone  # kept, exchanged, and a few timed ones
    assert "warning: time: without what the merge of server.merge takes" in done.stderr


def test_warns_of_a_jobs_memory(folder, monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "20")
    _, done = estimate(folder, folder / "one.toml")
    assert "a node, but of this one the job has 21 MB: fewer ranks" in done.stderr


@pytest.mark.parametrize("arguments, message", [
    (("--profile", "{folder}/none.toml"), "none.toml: can't be read"),
    (("--profile", "{folder}/bad.toml"), "bad.toml:5:1: class.uplnk: unknown key; did you mean class.uplink?"),
    (("--time", "2 hours"), "--time 2 hours: must be MINUTES, M:S, H:M:S, DAYS-HOURS, D-H:M or D-H:M:S"),
    (("--ranks", "0"), "--ranks"),
    (("--device", "abacus"), "--device"),
    (("--set", "rounds=0"), "rounds"),
])
def test_refuses(folder, arguments, message):
    (folder / "bad.toml").write_text('name = "a"\n\n[[class]]\nname = "b"\nuplnk = 1\n')
    filled = [argument.format(folder=folder) for argument in arguments]
    done = run("estimate", folder / "one.toml", *filled, check=False)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
