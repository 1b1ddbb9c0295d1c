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


def digest_of(path):
    """The SHA-256 of the SHA-256s of the pieces of a file."""
    content = path.read_bytes()
    piece = 16 << 20
    return sha(b"".join(hashlib.sha256(content[at : at + piece]).digest() for at in range(0, len(content), piece)))


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
    assert [entry["what"] for entry in entries] == [
        "begin", "round", "checkpoint", "round", "checkpoint", "keep", "round", "checkpoint", "round", "checkpoint", "keep",
        "round", "checkpoint", "finish"]
    assert entries[0]["parent"] == "0" * 64
    assert [entry["parent"] for entry in entries[1:]] == [sha(line) for line in lines[:-1]]
    assert {entry["config"] for entry in entries} == {sha((finished / "config.toml").read_bytes())}
    assert entries[-1]["result"] == sha((finished / "result.h5").read_bytes())
    for key, name in (("metrics", "metrics.csv"), ("manifest", "manifest.json"), ("journal", "journal.bin")):
        assert entries[-1][key] == sha((finished / name).read_bytes())
    assert entries[0]["device"] == json.loads((finished / "manifest.json").read_text())["device"]
    digests = [entry["digest"] for entry in entries if entry["what"] == "checkpoint"]
    for n, name in ((1, "versions/round-2.h5"), (3, "checkpoint.previous.h5"), (3, "versions/round-4.h5"), (4, "checkpoint.h5")):
        assert digests[n] == digest_of(finished / name), name
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
    for what in ("14 entries", "config.toml", "rounds 1 to 5", "checkpoint.h5", "round-2.h5", "round-4.h5", "result.h5"):
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


def spoil_mask(path):
    """Twice: it is as it was."""
    with h5py.File(path, "r+") as file:
        row = file["clients/mask"][()].max()
        file["masks"][row, 0] = int(file["masks"][row, 0]) ^ 2


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
    for spoilt, line in ((b"\n".join(lines[:2] + lines[3:]) + b"\n", 3), (whole.replace(b'"rounds":2', b'"rounds":3', 1), 5),
                         (b"\n".join(lines[1:]) + b"\n", 1), (whole.replace(lines[4], b"{}"), 5),
                         (whole.replace(lines[4], b"\xff\x00"), 5)):
        log.write_bytes(spoilt)
        assert f"audit.jsonl:{line}: " in refusal(home)
    log.write_bytes(b"\n".join(lines[:-1]) + b"\n")
    assert "result.h5: is there, but the log does not end with it" in refusal(home)
    log.write_bytes(b"")
    assert "does not begin" in refusal(home)
    entries = [json.loads(line) for line in lines]
    rechain(home, entries[:5] + entries[6:])
    assert "was not written when the log stood where it says" in refusal(home)
    head = sha(lines[-1])
    for name in ("checkpoint.h5", "checkpoint.previous.h5", "versions/round-2.h5", "versions/round-4.h5"):
        (home / name).unlink()
    assert "never had the head" in refusal(home, "--head", head)
    log.write_bytes(whole)
    assert "round-2" not in ask("verify", home)
    assert "no longer there" in ask("history", home)


@pytest.mark.parametrize("name, data, index", [("result.h5", "model/fc.0.bias", 0), ("checkpoint.h5", "server/model", 3),
                                               ("versions/round-2.h5", "server/model", 3),
                                               ("checkpoint.h5", "personal", 0),
                                               ("checkpoint.previous.h5", "clients/hash", 2),
                                               ("versions/round-4.h5", "clients/tested_accuracy", 1)])
def test_audit_finds_altered_models_and_clients(home, name, data, index):
    with h5py.File(home / name) as file:
        data = data if data in file else next(f"model/{n}" for n in file["model"] if n.endswith("bias"))
    set_value(home / name, data, index, 0.125)
    assert name.split("/")[-1] in refusal(home)


def test_audit_finds_altered_masks_config_and_metrics(home):
    spoil_mask(home / "versions" / "round-4.h5")
    assert "round-4.h5: is not the checkpoint that the log tells of" in refusal(home)
    spoil_mask(home / "versions" / "round-4.h5")
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
    assert [entry["what"] for entry in entries[14:]] == ["resume", "round", "checkpoint", "round", "checkpoint", "keep", "round",
                                                         "checkpoint", "finish"]
    assert [entry["rounds"] for entry in entries[14:]] == [2, 3, 3, 4, 4, 4, 5, 5, 5]
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
    changed = [entry | ({"model": "0" * 64} if n == 15 else {}) for n, entry in enumerate(entries)]
    rechain(home, changed)
    assert "audit.jsonl:16: is a round that came out differently before" in refusal(home)
    # Not so where it was computed on another kind of device.
    for name in ("checkpoint.h5", "checkpoint.previous.h5", "versions/round-2.h5", "versions/round-4.h5"):
        (home / name).unlink()
    changed[14]["device"] = "abacus\x1b[31m"
    rechain(home, changed)
    said = ask("verify", home)
    assert "on another kind, which rounds in another way, these did: 3" in said
    assert "from round 3 on abacus?[31m: kinds of devices agree with each other to rounding only" in said


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
    last = [entry for entry in entries_of(home) if entry["what"] != "checkpoint"][-1]
    assert last["what"] == "keep" and last["rounds"] == rounds
    ask("verify", home)


def test_audit_of_a_finished_run_without_its_files(home):
    replace(home / "manifest.json", b'"device"', b'"devise"')
    assert "manifest.json: is not what the run finished with" in refusal(home)
    replace(home / "manifest.json", b'"devise"', b'"device"')
    with open(home / "journal.bin", "ab") as journal:
        journal.write(b"x")
    assert "journal.bin: is not what the run finished with" in refusal(home)
    with open(home / "journal.bin", "r+b") as journal:
        journal.write(b"x")
    assert "journal.bin: does not belong to checkpoint.h5" in refusal(home)
    (home / "result.h5").unlink()
    shutil.copy(home / "config.toml", home / "metrics.csv")
    for name in ("journal.bin", "checkpoint.h5", "checkpoint.previous.h5"):
        (home / name).unlink()
    assert "result.h5: is not there, though the log ends with it" in refusal(home)


def test_audit_knows_the_head_of_the_last_line_only(home):
    head = sha(lines_of(home)[-1])
    run("run", "--resume", home, "--from-round", "4", "--quiet")
    said = refusal(home, "--head", head)
    assert f"the head {head} is that of line 14, and 4 lines follow it" in said
    ask("verify", home, "--head", sha(lines_of(home)[-1]))


def test_audit_of_versions_under_wrong_names(home, tmp_path):
    version = home / "versions" / "round-3.h5"
    shutil.copy(home / "versions" / "round-4.h5", version)
    for arguments in (("verify", home), ("export", home, "--global", "--round", "3", "--output", tmp_path / "three"),
                      ("run", "--resume", home, "--from-round", "3")):
        done = finish([program(), *map(str, arguments)], False)
        assert done.returncode == 2 and "round-3.h5: holds the state after round 4, not after round 3" in done.stderr, arguments
    with h5py.File(version, "r+") as file:
        file.attrs["rounds"] = 3
    assert "round-3.h5: is not the checkpoint that the log tells of" in refusal(home)
    version.unlink()
    result = home / "versions" / "result-before-3.h5"
    shutil.copy(home / "result.h5", result)
    assert "result-before-3.h5: as the run finished with it before" in ask("verify", home)
    set_value(result, "clients/train_samples", 0, 1000)
    assert "result-before-3.h5: is no result that the run ever finished with" in refusal(home)


def make_older(home):
    """The run as a program would have left it that logged neither devices nor the bytes of checkpoints."""
    new = ("device", "open", "manifest", "journal")
    entries = [{key: value for key, value in entry.items() if key not in new} for entry in entries_of(home)
               if entry["what"] != "checkpoint"]
    rechain(home, entries)
    lines = lines_of(home)
    for path in (*home.glob("checkpoint*.h5"), *home.glob("versions/*.h5")):
        with h5py.File(path, "r+") as file:
            at = next(n for n, entry in enumerate(entries, 1)
                      if entry["what"] == "round" and entry["rounds"] == file.attrs["rounds"])
            file.attrs["audit_entries"] = at
            file.attrs["audit_head"] = sha(lines[at - 1])


def test_audit_of_an_older_run(home):
    make_older(home)
    said = ask("verify", home)
    assert said.count("are those of the log\n") == 5 and "every byte" not in said
    version = home / "versions" / "round-4.h5"
    spoil_mask(version)
    assert "holds another mask of client" in refusal(home)
    spoil_mask(version)
    run("run", "--resume", home, "--from-round", "2", "--quiet")
    assert ask("verify", home).count("every byte") == 3   # of the new ones
    entries = entries_of(home)
    rechain(home, [entry for n, entry in enumerate(entries) if n != 3])   # version 2 is not in the log
    for name in ("checkpoint.h5", "checkpoint.previous.h5", "versions/round-4.h5"):
        (home / name).unlink()
    assert "round-2.h5: is no version that the log tells of" in refusal(home)


def test_audit_of_an_experiment(tmp_path):
    config = experiment.write_config(tmp_path, ["fedselect", "fedrep", "local"])
    home = tmp_path / "resume"
    run("run", config, "--out", tmp_path, "--quiet")
    assert ask("verify", home).count("as the run finished with them") == 3
    head = sha(lines_of(home / "local")[-1])
    assert "holds several runs, and a head is of one" in refusal(home, "--head", head)
    ask("verify", home / "local", "--head", head)
    (home / "fedrep" / "audit.jsonl").rename(tmp_path / "log")
    assert "fedrep/audit.jsonl: cannot read it" in refusal(home)
    (tmp_path / "log").rename(home / "fedrep" / "audit.jsonl")
    for name in ("local", "fedrep"):
        shutil.rmtree(home / name)
        assert f"{name}/audit.jsonl: cannot read it" in refusal(home)
    (home / "fedselect" / "result.h5").unlink()
    assert "fedselect/result.h5: is not there" in refusal(home)


def test_audit_prints_no_control_characters_and_looks_up_versions_only(home, tmp_path):
    (tmp_path / "secret").write_text("")
    entries = entries_of(home)
    entries[5]["file"] = "../secret"
    entries[10]["file"] = "\x1b[2Jversions/round-4.h5\n"
    entries[10]["time"] = "\x1b]0;title\x07"
    rechain(home, entries)
    said = ask("history", home)
    assert "../secret (no longer there)" in said
    assert "?[2Jversions/round-4.h5? (no longer there)" in said and "?]0;title?" in said
    assert all(c == "\n" or c.isprintable() for c in said)


@pytest.mark.parametrize("arguments, names", [
    (("verify",), ("audit.jsonl", "config.toml", "result.h5", "metrics.csv", "manifest.json", "journal.bin", "checkpoint.h5",
                   "versions/round-2.h5")),
    (("history",), ("audit.jsonl",)),
    (("run", "--set", "rounds=7", "--allow-change", "rounds", "--quiet", "--resume"),
     ("audit.jsonl", "config.toml", "log.txt", "journal.bin", "manifest.json", "metrics.csv.partial", "checkpoint.h5"))])
def test_audit_waits_for_no_pipe(home, arguments, names):
    """A pipe into which nobody writes never answers."""
    for name in names:
        path = home / name
        kept = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        done = finish([program(), *arguments, str(home)], False, seconds=20)
        assert done.returncode == 2, (name, done.stderr)
        assert f"{path}: " in done.stderr and done.stderr.count("\n") == 1, done.stderr
        path.unlink()
        if kept is not None:
            path.write_bytes(kept)
