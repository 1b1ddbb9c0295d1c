"""audit.jsonl against what Python's own SHA-256 makes of the files, what verify says of every way to alter a run's folder, and
going back to a version that was kept."""

import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import experiment  # noqa: E402
from job import kill_all, ranks_of, start, wait_until  # noqa: E402
from program import ask, finish, program, run  # noqa: E402

ROUNDS = 5


def sha(content):
    return hashlib.sha256(content).hexdigest()


def lines_of(home):
    return (home / "audit.jsonl").read_bytes().splitlines()


def entries_of(home):
    return [json.loads(line) for line in lines_of(home)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that kept every second version."""
    folder = tmp_path_factory.mktemp("audit")
    config = experiment.write_config(folder, ["fedselect"])
    run("run", config, "--out", folder, "--quiet", "--set", "checkpoint.keep_every=2", "--set", "checkpoint.at_end=true",
        ranks=2)
    return folder / "resume"


@pytest.fixture
def home(finished, tmp_path):
    """A copy to be spoilt."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def refusal(home, *options):
    done = finish([program(), "verify", str(home), *options], False)
    assert done.returncode == 2, done.stdout
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_audit_says_what_happened(finished):
    lines, entries = lines_of(finished), entries_of(finished)
    assert [entry["what"] for entry in entries] == ["begin", "round", "round", "keep", "round", "round", "keep", "round",
                                                    "finish"]
    assert entries[0]["parent"] == "0" * 64
    assert [entry["parent"] for entry in entries[1:]] == [sha(line) for line in lines[:-1]]
    assert {entry["config"] for entry in entries} == {sha((finished / "config.toml").read_bytes())}
    assert entries[-1]["result"] == sha((finished / "result.h5").read_bytes())
    assert entries[-1]["metrics"] == sha((finished / "metrics.csv").read_bytes())
    rounds = [entry for entry in entries if entry["what"] == "round"]
    assert [entry["rounds"] for entry in rounds] == [1, 2, 3, 4, 5]
    with h5py.File(finished / "result.h5") as file:
        model = b"".join(file[f"model/{name}"][()].tobytes() for name in file["layout/name"].asstr())
        assert rounds[-1]["model"] == sha(model) and rounds[-1]["bytes"] == len(model)
        changes = file["metrics/mask_changes"][()]
        masks = {}
        for t, entry in enumerate(rounds):
            assert [(k, changes[t, k]) for k in np.flatnonzero(changes[t])] == [(k, n) for k, n, _ in entry["masks"]]
            masks |= {k: mask for k, _, mask in entry["masks"]}
        assert masks
        for client, mask in masks.items():
            assert mask == sha(file["masks/bits"][client].tobytes())[:32]


def test_audit_verifies_and_lists(finished):
    said = ask("verify", finished)
    for what in ("9 entries", "config.toml", "rounds 1 to 5", "checkpoint.h5", "round-2.h5", "round-4.h5", "result.h5"):
        assert what in said
    head = sha(lines_of(finished)[-1])
    assert f"head {head}" in said and head in (finished / "log.txt").read_text()
    assert ask("verify", finished, "--head", head) == said
    assert "never had the head" in refusal(finished, "--head", "0" * 64)
    said = ask("history", finished)
    assert "versions/round-4.h5" in said and entries_of(finished)[1]["model"][:12] in said


def replace(path, before, after):
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after, 1))


def set_value(path, name, index, value):
    with h5py.File(path, "r+") as file:
        file[name][index] = value


def rechain(home, entries):
    """The log written anew with these entries, as a forger would."""
    parent, text = "0" * 64, b""
    for entry in entries:
        line = json.dumps(entry | {"parent": parent}, separators=(",", ":")).encode()
        text, parent = text + line + b"\n", sha(line)
    (home / "audit.jsonl").write_bytes(text)


def test_audit_finds_what_was_altered(home):
    log = home / "audit.jsonl"
    whole, lines = log.read_bytes(), lines_of(home)
    for spoilt, line in ((b"\n".join(lines[:2] + lines[3:]) + b"\n", 3), (whole.replace(b'"rounds":2', b'"rounds":3', 1), 4),
                         (b"\n".join(lines[1:]) + b"\n", 1), (whole.replace(lines[4], b"{}"), 5),
                         (whole.replace(lines[4], b"\xff\x00"), 5)):
        log.write_bytes(spoilt)
        assert f"audit.jsonl:{line}: " in refusal(home)
    log.write_bytes(b"\n".join(lines[:-1]) + b"\n")
    assert "result.h5: is there, but the log does not end with it" in refusal(home)
    log.write_bytes(b"")
    assert "does not begin" in refusal(home)
    entries = [json.loads(line) for line in lines]
    rechain(home, entries[:3] + entries[4:])
    assert "was not written when the log stood where it says" in refusal(home)
    head = sha(lines[-1])
    for name in ("checkpoint.h5", "checkpoint.previous.h5", "versions/round-2.h5", "versions/round-4.h5"):
        (home / name).unlink()
    assert "never had the head" in refusal(home, "--head", head)
    log.write_bytes(whole)
    assert "round-2" not in ask("verify", home)
    assert "no longer there" in ask("history", home)


@pytest.mark.parametrize("name, data, index", [("result.h5", "model/fc.0.bias", 0), ("checkpoint.h5", "server/model", 3),
                                               ("versions/round-2.h5", "server/model", 3)])
def test_audit_finds_an_altered_model(home, name, data, index):
    with h5py.File(home / name) as file:
        data = data if data in file else next(f"model/{n}" for n in file["model"] if n.endswith("bias"))
    set_value(home / name, data, index, 0.125)
    assert name.split("/")[-1] in refusal(home)


def test_audit_finds_altered_masks_config_and_metrics(home):
    version = home / "versions" / "round-4.h5"
    with h5py.File(version) as file:
        row = file["clients/mask"][()].max()
        word = int(file["masks"][row, 0])
    set_value(version, "masks", (row, 0), word ^ 2)
    assert "holds another mask of client" in refusal(home)
    set_value(version, "masks", (row, 0), word)
    replace(home / "metrics.csv", b"round", b"ruond")
    assert "metrics.csv: is not what the run finished with" in refusal(home)
    replace(home / "metrics.csv", b"ruond", b"round")
    replace(home / "config.toml", b"seed = 3", b"seed = 4")
    assert "config.toml: is not the config of the log" in refusal(home)
    (home / "audit.jsonl").unlink()
    assert "cannot read it" in refusal(home)


def test_audit_of_a_run_that_went_back(home, finished, tmp_path):
    assert "round-3.h5: is not there" in run("run", "--resume", home, "--from-round", "3", check=False).stderr
    run("export", home, "--global", "--round", "2", "--output", tmp_path / "two.safetensors")
    run("run", "--resume", home, "--from-round", "2", "--quiet", ranks=3)
    with h5py.File(finished / "result.h5") as a, h5py.File(home / "result.h5") as b:
        assert not experiment.first_difference(a, b)
    entries = entries_of(home)
    assert [entry["what"] for entry in entries[9:]] == ["resume", "round", "round", "keep", "round", "finish"]
    assert [entry["rounds"] for entry in entries[9:]] == [2, 3, 4, 4, 5, 5]
    models = {entry["rounds"]: entry["model"] for entry in entries if entry["what"] == "round"}
    content = (tmp_path / "two.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    begin = {name: at["data_offsets"] for name, at in header.items() if name != "__metadata__"}
    with h5py.File(home / "result.h5") as file:
        names = list(file["layout/name"].asstr())
    assert sha(b"".join(content[8 + size + begin[n][0] : 8 + size + begin[n][1]] for n in names)) == models[2]
    ask("verify", home)
    # A round that comes out differently when it is computed again is found, even in a log written anew.
    changed = [entry | ({"model": "0" * 64} if n == 10 else {}) for n, entry in enumerate(entries)]
    rechain(home, changed)
    assert "audit.jsonl:11: is a round that came out differently before" in refusal(home)


def test_audit_of_a_killed_run(tmp_path):
    config = experiment.write_config(tmp_path, ["fedselect", "fedrep"])
    home = tmp_path / "resume"
    job = start(["run", config, "--out", tmp_path, "--set", "rounds=10000"], 2)
    assert wait_until(lambda: list(home.rglob("checkpoint.previous.h5")), job)
    kill_all(job.pid)
    job.communicate(timeout=60)
    with open(home / "fedselect" / "audit.jsonl", "ab") as log:
        log.write(b'{"parent":"12')   # a line that was being written
    assert "are those of the log" in ask("verify", home)
    rounds = len(experiment.metrics_of(home / "fedselect"))
    run("run", "--resume", home, "--set", f"rounds={rounds}", "--allow-change", "rounds", "--quiet")
    said = ask("verify", home)
    assert said.count("as the run finished with them") == 2
    assert any(entry.get("cut_bytes") == 13 for entry in entries_of(home / "fedselect"))


def test_audit_of_a_stop_at_the_end_of_a_kept_round(tmp_path):
    """Of a single client, since a round of several stops between them."""
    config = experiment.write_config(tmp_path, ["fedselect"])
    home = tmp_path / "resume"
    job = start(["run", config, "--out", tmp_path, "--set", "rounds=1000000", "--set", "checkpoint.keep_every=1", "--set",
                 "checkpoint.every_minutes=0", "--set", "data.clients=1", "--set", "federation.new_clients=0"], 1)
    assert wait_until(lambda: len(list(home.glob("versions/*.h5"))) > 2, job)
    os.kill(ranks_of(job)[0], signal.SIGUSR1)
    output, _ = job.communicate(timeout=60)
    assert job.returncode == 75, output
    rounds = len(experiment.metrics_of(home)) - 1
    assert f"after round {rounds} of" in (home / "log.txt").read_text()
    assert (home / f"versions/round-{rounds}.h5").is_file()
    assert entries_of(home)[-1]["what"] == "keep" and entries_of(home)[-1]["rounds"] == rounds
    ask("verify", home)
