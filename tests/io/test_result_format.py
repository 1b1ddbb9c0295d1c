"""The built program's files against docs/result-format.md: its table is read, so page and program can't drift apart.
ctest sets FEDSELECT_PROGRAM."""

import csv
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tests" / "tools"))
from make_idx import make_idx  # noqa: E402
from program import ALONE, FREES, program, run  # noqa: E402

PAGE = (ROOT / "docs" / "result-format.md").read_text()
TYPES = {"u8": "|u1", "i32": "<i4", "i64": "<i8", "f32": "<f4", "f64": "<f8"}
ROUNDS, CLIENTS, NEW, CLASSES, RANKS = 4, 7, 2, 4, 2
CONFIG = f"""
name = "format"
seed = 3
rounds = {ROUNDS}
[data]
path = "DATA"
clients = {CLIENTS}
partition = "dirichlet"
beta = 1.0
min_samples = 4
[model]
name = "mlp"
hidden = 4
[train]
passes = 1
[federation]
participation = 0.6      # 3 of 5 clients
new_clients = {NEW}
[evaluate]
every = 2
target = 0.2
cross = true
[output]
client_models = true
[[method]]
name = "fedselect"
growth_every = 1
growth_first = 0
evaluate_at = "after-broadcast"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run."""
    base = tmp_path_factory.mktemp("format")
    config = base / "config.toml"
    config.write_text(CONFIG.replace("DATA", str(make_idx(base / "data", classes=CLASSES))))
    run("run", config, "--out", base / "runs", ranks=RANKS)
    return base / "runs" / "format"


@pytest.fixture(scope="module")
def result(folder):
    with h5py.File(folder / "result.h5") as file:
        yield file


def documented():
    """{path: (type, shape as written)} of the page's table; shape None for a scalar."""
    rows = re.findall(r"^\| (`/.*?) \| (.*?) \|", PAGE, re.MULTILINE)
    sets = {}
    for paths, kind in rows:
        names = re.findall(r"`(.*?)`", paths)
        group = names[0].rsplit("/", 1)[0]
        match = re.fullmatch(r"(\w+)(?: \((.*)\))?", kind)
        for name in names:
            if match and name != "/":
                sets[name if name.startswith("/") else f"{group}/{name}"] = match.groups()
    return sets


def expand(file, sets):
    """Puts the tensors' names in the place of /model/NAME."""
    kind = sets.pop("/model/NAME")
    names = file["layout/name"].asstr()[:]
    return sets | {f"/model/{name}": kind for name in names}


def shape_of(file, path, written):
    """The shape that the page promises, None where it does not say."""
    if written is None:
        return ()
    if written == "tensor's shape":
        index = list(file["layout/name"].asstr()[:]).index(path.split("/")[-1])
        return tuple(int(n) for n in file["layout/shape"].asstr()[index].split(","))
    if written == "sum of samples":
        return (int(file[path.replace("partition", "clients").replace("indices", "samples")][:].sum()),)
    sizes = {
        "R": ROUNDS, "N": CLIENTS, "W": NEW, "C": CLASSES, "M": RANKS, "ceil": math.ceil,
        "T": len(file["layout/name"]), "S": len(file["layout/statistic_name"]), "P": len(file["timings/phase"]), "d": int(file.attrs["parameters"]),
    }
    sizes["D"] = sum(tensor.size for tensor in file["model"].values())
    return tuple(eval(part, {}, sizes) for part in re.split(r", (?![^(]*\))", written))


def test_table_was_understood():
    sets = documented()
    assert len(sets) == 55, sorted(sets)
    assert sets["/metrics/bytes_down"] == ("i64", "R, N")
    assert sets["/config"] == ("string", None)


def test_file_holds_what_the_page_lists_and_nothing_else(result):
    found = []
    result.visititems(lambda name, item: found.append("/" + name) if isinstance(item, h5py.Dataset) else None)
    assert sorted(found) == sorted(expand(result, documented()))


def test_types_and_shapes(result):
    for path, (kind, written) in expand(result, documented()).items():
        dataset = result[path]
        assert dataset.shape == shape_of(result, path, written), path
        if kind == "string":
            info = h5py.check_string_dtype(dataset.dtype)
            assert info is not None and info.encoding == "utf-8", path
        else:
            assert dataset.dtype.str == TYPES[kind], path


def test_attributes(result):
    row = re.search(r"^\| `/` attributes \| *\| (.*) \|$", PAGE, re.MULTILINE).group(1)
    row = re.sub(r"which model `accuracy` tests", "", row)
    assert sorted(result.attrs) == sorted(re.findall(r"`(\w+)`", row))
    wanted = {"format": "fedselect-result", "version": 1, "name": "format", "label": "fedselect", "method": "fedselect",
              "dataset": "data", "seed": 3, "rounds": ROUNDS, "clients": CLIENTS, "tested_on": "after-broadcast"}
    assert {key: result.attrs[key] for key in wanted} == wanted
    assert result.attrs["parameters"] == result["layout/size"][:].sum()


def test_phases_are_the_listed_ones(result):
    row = re.search(r"`/timings/phase` \|.*?\| (.*) \|", PAGE).group(1)
    assert result["timings/phase"].asstr()[:].tolist() == re.findall(r'"(\w+)"', row)


def test_missing_values(result):
    took_part = result["metrics/participated"][:] == 1
    assert (took_part.sum(axis=1) == 3).all() and not took_part[:, -NEW:].any()
    evaluated = np.array([t % 2 == 1 for t in range(ROUNDS)])
    accuracy = result["metrics/accuracy"][:]
    assert np.isnan(accuracy[~evaluated]).all() and np.isfinite(accuracy[evaluated, :-NEW]).all()
    assert np.isnan(accuracy[:, -NEW:]).all()
    assert (np.isfinite(result["metrics/loss"][:]) == took_part).all()
    for name in ("samples", "gradients", "flops", "bytes_up", "bytes_down"):
        assert ((result[f"metrics/{name}"][:] > 0) == took_part).all(), name
    after = result["metrics/accuracy_after"][:]
    assert (np.isfinite(after) == took_part & evaluated[:, None]).all()


def test_masks_agree_with_densities(result):
    d = int(result.attrs["parameters"])
    masks = np.unpackbits(result["masks/bits"][:], axis=1, bitorder="little")
    assert not masks[:, d:].any()
    ends = np.cumsum(result["layout/size"][:])
    density = result["metrics/density"][-1, :-NEW]
    parts = np.split(masks[:, :d], ends[:-1], axis=1)
    found = np.stack([part.mean(axis=1) for part in parts], axis=1).astype(np.float32)
    assert (density == found[:-NEW]).all() and not masks[-NEW:].any()
    assert 0 < density.max() < 1


def test_client_models_share_what_is_not_personal(result):
    d = int(result.attrs["parameters"])
    masks = np.unpackbits(result["masks/bits"][:], axis=1, bitorder="little")[:, :d]
    names = result["layout/name"].asstr()[:]
    shared = np.concatenate([result[f"model/{name}"][:].ravel() for name in names])
    models = result["client_models/values"][:, :d]
    assert (models[masks == 0] == np.broadcast_to(shared, models.shape)[masks == 0]).all()
    assert (models != shared).any()


def test_summary_is_numpys(result):
    samples = result["clients/test_samples"][:]
    for t, accuracy in enumerate(result["metrics/accuracy"][:]):
        tested = np.isfinite(accuracy)
        values, found = np.sort(accuracy[tested]), {name: row[t] for name, row in result["summary"].items()}
        if not len(values):
            assert np.isnan(list(found.values())).all()
            continue
        wanted = {"mean": values.mean(), "mean_by_samples": np.average(accuracy[tested], weights=samples[tested]),
                  "deviation": values.std(), "worst": values[0], "worst_decile": values[: math.ceil(len(values) / 10)].mean(),
                  "jain": values.sum() ** 2 / (len(values) * (values**2).sum())}
        wanted |= {f"percentile_{q}": np.percentile(values, q) for q in (10, 25, 50, 75, 90)}
        assert found == pytest.approx(wanted, abs=1e-12)


def test_cost_to_target(result):
    mean = result["summary/mean"][:]
    reached = np.flatnonzero(mean >= 0.2)
    assert len(reached), "the case is empty: choose a lower target"
    end = reached[0] + 1
    assert result.attrs["rounds_to_target"] == end
    assert result.attrs["bytes_to_target"] == sum(result[f"metrics/bytes_{way}"][:end].sum() for way in ("up", "down"))
    assert result.attrs["gradients_to_target"] == result["metrics/gradients"][:end].sum()


def test_flops(result):
    # one sample through the mlp: 64 inputs, 4 hidden, CLASSES outputs; no gradient by the input
    first, second = 2 * 64 * 4, 2 * 4 * CLASSES
    assert result.attrs["forward_flops"] == first + second
    assert result.attrs["training_flops"] == 2 * first + 3 * second
    assert (result["metrics/flops"][:] == result["metrics/gradients"][:] * result.attrs["training_flops"]).all()


def test_masks_are_compared(result):
    d = int(result.attrs["parameters"])
    masks = np.unpackbits(result["masks/bits"][:], axis=1, bitorder="little")[:, :d].astype(np.int64)
    assert (result["masks/hamming"][:] == (masks[:, None] != masks).sum(axis=2)).all()
    for t, part in enumerate(np.split(masks, np.cumsum(result["layout/size"][:])[:-1], axis=1)):
        common, f = part @ part.T, part.mean(axis=1)
        union = (part[:, None] | part).sum(axis=2)
        with np.errstate(invalid="ignore"):
            wanted = (common / union).astype(np.float32)
            chance = np.outer(f, f) / (f[:, None] + f - np.outer(f, f))
        assert np.array_equal(result["masks/iou"][t], wanted, equal_nan=True)
        assert np.allclose(result["masks/chance_iou"][t], chance, rtol=1e-6, equal_nan=True)
    assert 0 < np.nanmax(np.triu(result["masks/iou"][0], 1)) < 1


def test_report_computes_the_same_iou(folder, result):
    sys.path.insert(0, str(ROOT / "analysis"))
    from fedselect_analysis import metrics, reading
    run = reading.read_run(folder)
    intersections = metrics.tensor_intersections(reading.read_masks(run, np.arange(CLIENTS)), run.tensor_sizes)
    assert np.array_equal(metrics.iou(intersections).astype(np.float32), result["masks/iou"][:], equal_nan=True)


def test_mask_changes(result):
    # A mask only grows here, so what changed adds up to what is personal; and a client out of the cohort changes nothing.
    changes = result["metrics/mask_changes"][:]
    masks = np.unpackbits(result["masks/bits"][:], axis=1, bitorder="little")
    assert (changes.sum(axis=0) == masks.sum(axis=1)).all() and changes.any()
    assert not changes[result["metrics/participated"][:] == 0].any()
    density = result["metrics/density"][:] * result["layout/size"][:]
    own = density[-1].sum(axis=1) - density[-2].sum(axis=1)
    known = result["metrics/participated"][-1] & result["metrics/participated"][-2] == 1
    assert np.round(own[known]).astype(int).tolist() == changes[-1][known].tolist() and known.any()


def test_cross_accuracy(result):
    cross = result["cross/accuracy"][:]
    last = result["metrics/accuracy"][-1].astype(np.float32)
    assert (np.diagonal(cross)[:-NEW] == last[:-NEW]).all()
    assert (np.diagonal(cross)[-NEW:] == result["new_clients/accuracy_before"][:].astype(np.float32)).all()
    correct = cross * result["clients/test_samples"][:]
    assert np.abs(correct - correct.round()).max() < 1e-4
    assert len({row.tobytes() for row in cross}) > 2


def test_new_clients(result):
    assert result["new_clients/client"][:].tolist() == list(range(CLIENTS - NEW, CLIENTS))
    before, after = (result[f"new_clients/accuracy_{when}"][:] for when in ("before", "after"))
    assert ((before >= 0) & (after <= 1)).all() and (before != after).any()


def test_too_many_new_clients_are_refused(folder, tmp_path):
    done = run("run", folder / "config.toml", "--out", tmp_path, "--set", f"federation.new_clients={CLIENTS}", check=False)
    assert done.returncode == 2 and f"federation.new_clients = {CLIENTS}" in done.stderr
    config = tmp_path / "config.toml"
    text = (folder / "config.toml").read_text().replace(f"new_clients = {NEW}", f"new_clients = {CLIENTS}")
    config.write_text(text)
    line = 1 + text.split("new_clients")[0].count("\n")
    assert f"{config}:{line}:" in run("run", config, "--out", tmp_path, check=False).stderr


def test_partition_is_one(result):
    for split in ("train", "test"):
        indices, offsets = result[f"partition/{split}_indices"][:], result[f"partition/{split}_offsets"][:]
        assert len(set(indices.tolist())) == len(indices)
        assert (np.diff(offsets) == result[f"clients/{split}_samples"][:]).all()
        counts = result[f"partition/{split}_class_counts"][:]
        for client in range(CLIENTS):
            labels = indices[offsets[client] : offsets[client + 1]] % CLASSES  # as make_idx makes them
            assert (np.bincount(labels, minlength=CLASSES) == counts[client]).all()


def test_metrics_csv(folder, result):
    header = re.search(r"^`(round,.*)`$", PAGE, re.MULTILINE).group(1)
    lines = (folder / "metrics.csv").read_text().splitlines()
    assert lines[0] == header
    rows = list(csv.DictReader(lines))
    assert [int(row["round"]) for row in rows] == list(range(ROUNDS))
    for t, row in enumerate(rows):
        cohort = result["metrics/participated"][t] == 1
        assert int(row["clients"]) == cohort.sum()
        accuracy = result["metrics/accuracy"][t][cohort]
        if np.isnan(accuracy).all():
            assert row["accuracy_mean"] == row["accuracy_worst"] == ""
        else:
            assert float(row["accuracy_mean"]) == pytest.approx(accuracy.mean(), abs=1e-12)
            assert float(row["accuracy_worst"]) == accuracy.min()
        for name in ("bytes_up", "bytes_down", "gradients", "diverged"):
            assert int(row[name]) == result[f"metrics/{name}"][t].sum(), name
        share = result["metrics/density"][t][cohort] @ result["layout/size"][:] / result.attrs["parameters"]
        assert float(row["personal_share"]) == pytest.approx(share.mean(), abs=1e-6)


def test_texts_agree(folder, result):
    assert result["config"].asstr()[()] == (folder / "config.toml").read_text()
    manifest = json.loads((folder / "manifest.json").read_text())
    at_start = json.loads(result["provenance"].asstr()[()])
    assert set(manifest) - set(at_start) == {"end", "seconds", "finish_seconds"}
    assert all(manifest[key] == value for key, value in at_start.items())
    assert 0 < manifest["finish_seconds"] < manifest["seconds"]
    manifest = json.loads((folder / "manifest.json").read_text())
    row = re.search(r"^\| `manifest.json` \| .*\| *$|^\| `manifest.json` \| (.*) \|$", PAGE, re.MULTILINE)
    assert row, "the page no longer lists manifest.json"
    for key in ("version", "git_revision", "compiler", "libraries", "hosts", "device", "start", "seconds"):
        assert manifest[key] not in (None, "", []), key
    assert manifest["ranks"] == RANKS


def test_the_example_on_the_page_runs(folder, monkeypatch):
    text = re.search(r"(    import h5py.*)", PAGE, re.DOTALL).group(1)
    code = "\n".join(line[4:] for line in text.splitlines())
    code = re.sub(r'"runs/.*?"', repr(str(folder / "result.h5")), code)
    names = {}
    exec(code, names)
    assert names["masks"].shape == (CLIENTS, names["d"]) and names["accuracy"].shape == (CLIENTS,)


def test_nothing_half_written_is_left(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "audit.jsonl", "config.toml", "log.txt", "manifest.json", "metrics.csv", "result.h5"]


def peak_of_run(config, folder, rounds):
    """Resident bytes at most."""
    command = [program(), "run", config, "--out", folder / str(rounds), "--quiet", "--set", f"rounds={rounds}"]
    job = subprocess.Popen(command, env=os.environ | ALONE | FREES, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(job.pid, 0)
    assert status == 0
    return usage.ru_maxrss * 1024


def test_memory_does_not_grow_with_rounds(tmp_path):
    """5,000 clients are tested in every round: 120 bytes of records each, which would be 24 MB in 40 rounds, were they
    kept. After 30 rounds the buffers of the result's chunks were full once."""
    config = tmp_path / "config.toml"
    data = make_idx(tmp_path / "data", train=10000, test=5000)
    config.write_text(f'name = "many"\nrounds = 1\n[data]\npath = "{data}"\nclients = 5000\npartition = "iid"\n[model]\n'
                      'name = "mlp"\nhidden = 4\n[train]\npasses = 1\n[federation]\nparticipation = 0.002\n'
                      '[[method]]\nname = "fedavg"\n')
    few, many = (peak_of_run(config, tmp_path, rounds) for rounds in (30, 70))
    assert many - few < 10e6
