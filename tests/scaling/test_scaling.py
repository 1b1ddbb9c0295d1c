"""`fedselect scaling` at 1, 2 and 4 ranks: what is in scaling.h5, that its numbers agree with each other, that points measured
by jobs of their own join, what is refused; and the figures of analysis/scaling. Not speed. ctest sets FEDSELECT_PROGRAM."""

import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "tools"), str(ROOT / "analysis")]
from make_idx import make_idx  # noqa: E402
from program import ALONE, program, run  # noqa: E402

PHASES = ["train", "select", "aggregate", "communicate", "store", "evaluate", "write", "other"]
ROUNDS, WARMUP, REPEATS = 3, 1, 2
EXPERIMENT = """
[data]
path = "{data}"
clients = 8
partition = "shards"
classes_per_client = 1
train_per_class = 12

[model]
name = "mlp"
hidden = 12

[train]
passes = 1
batch = 8

[[method]]
name = "fedselect"

[[method]]
name = "fedavg"
"""
STUDY = f"""
name = "tiny"
config = "experiment.toml"
method = "fedavg"
rounds = {ROUNDS}
warmup = {WARMUP}
repeats = {REPEATS}
"""
STRONG = "values = [1, 2, 4]\n"
WEAK = 'kind = "weak"\nclients_per_rank = 4\nvalues = [1, 2]\n'


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "experiment.toml").write_text(EXPERIMENT.format(data=make_idx(tmp_path / "data")))
    return tmp_path


def scaling(folder, more, *arguments, ranks=1, code=0):
    (folder / "study.toml").write_text(STUDY + more)
    done = run("scaling", folder / "study.toml", "--out", folder / "out", *arguments, ranks=ranks, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def draw(folder):
    return subprocess.run([sys.executable, ROOT / "analysis" / "scaling", folder], capture_output=True, text=True, timeout=60)


def median_rounds(file):
    return np.median(file["rounds/seconds"][:], axis=2)  # (K, S)


def check_file(file, ranks, clients):
    """Shapes, and that what is derived is what the rounds say."""
    count, most = len(ranks), max(ranks)
    attributes = {name: file.attrs[name] for name in ("format", "version", "name", "method", "over")}
    assert attributes["format"] == "fedselect-scaling" and attributes["version"] == 1 and attributes["name"] == "tiny"
    assert file["points/ranks"][:].tolist() == ranks
    assert file["points/clients"][:].tolist() == clients
    assert list(file["rounds/phase"].asstr()[:]) == PHASES
    seconds = file["rounds/phase_seconds"][:]
    assert seconds.shape == (count, REPEATS, ROUNDS, most, len(PHASES))
    for k, here in enumerate(ranks):
        assert (seconds[k, :, :, :here] >= 0).all() and np.isnan(seconds[k, :, :, here:]).all()
        busy = seconds[k, :, :, :here].sum(axis=3) - seconds[k, :, :, :here, PHASES.index("communicate")]
        assert file["rounds/imbalance"][k] == pytest.approx(busy.max(axis=2) / busy.mean(axis=2))
        assert file["summary/phase_seconds"][k] == pytest.approx(seconds[k, :, :, :here].mean(axis=(0, 1, 2)))
    assert file["rounds/seconds"][:] == pytest.approx(seconds[:, :, :, 0].sum(axis=3))
    assert file["rounds/warmup_seconds"].shape == (count, REPEATS, WARMUP)
    assert (file["rounds/warmup_seconds"][:] > 0).all()
    assert file["summary/seconds"][:, 0] == pytest.approx(median_rounds(file).mean(axis=1))
    reduced, needed = file["rounds/reduced_bytes"][:], file["rounds/needed_bytes"][:]
    parameters = file["points/parameters"][:]
    assert (needed == 4 * parameters[:, None, None]).all()  # fedavg shares all
    several = np.array(ranks) > 1
    assert (reduced[~several] == 0).all()
    assert (reduced[several] >= 8 * parameters[several, None, None]).all()  # sums of 8 bytes; all ranks know the weights
    factor = 2 * (np.array(ranks) - 1) / np.array(ranks)
    assert file["summary/traffic_bytes"][:] == pytest.approx(factor * reduced.mean(axis=(1, 2)))
    assert file["summary/least_traffic_bytes"][:] == pytest.approx(factor * needed.mean(axis=(1, 2)))


def test_strong_scaling_on_four_ranks(folder):
    said = scaling(folder, STRONG, ranks=4)
    assert len(said.stdout.splitlines()) == 1 + 3 + 2 and "serial fraction (Amdahl)" in said.stdout
    assert [p.name for p in (folder / "out" / "tiny").iterdir()] == ["scaling.h5"]  # nothing of the trials
    with h5py.File(folder / "out" / "tiny" / "scaling.h5") as file:
        check_file(file, [1, 2, 4], [8, 8, 8])
        assert (file.attrs["kind"], file.attrs["fit"]) == ("strong", "Amdahl")
        assert len({flops for point in file["rounds/flops"][:] for flops in point.ravel()}) == 1  # the same work
        medians = median_rounds(file)
        speedup = medians[0] / medians
        assert file["summary/speedup"][:, 0] == pytest.approx(speedup.mean(axis=1))
        assert file["summary/efficiency"][:, 0] == pytest.approx(speedup.mean(axis=1) / [1, 2, 4])
        half = 12.706204736174698 * speedup.std(axis=1, ddof=1) / np.sqrt(REPEATS)
        assert file["summary/speedup"][:, 2] - file["summary/speedup"][:, 0] == pytest.approx(half, rel=1e-9, abs=1e-12)
        lines = [np.polyfit([1, 1 / 2, 1 / 4], medians[:, repeat], 1) for repeat in range(REPEATS)]
        assert file["summary/fraction"][0] == pytest.approx(np.mean([b / (a + b) for a, b in lines]))
        assert "rounds = 4" in file["points/config"].asstr()[0]
    drawn = draw(folder / "out" / "tiny")
    assert drawn.returncode == 0, drawn.stderr
    page = (folder / "out" / "tiny" / "scaling.md").read_text()
    for name in ("efficiency", "phases", "rounds", "traffic"):
        assert (folder / "out" / "tiny" / "figures" / f"{name}.png").stat().st_size > 5000
        assert f"figures/{name}.png" in page


def test_weak_scaling_point_by_point(folder):
    for ranks in (1, 2):
        scaling(folder, WEAK, "--point", ranks, ranks=ranks)
    assert "serial fraction (Gustafson)" in scaling(folder, WEAK, "--join").stdout
    with h5py.File(folder / "out" / "tiny" / "scaling.h5") as file:
        check_file(file, [1, 2], [4, 8])
        medians = median_rounds(file)
        assert file["summary/efficiency"][1, 0] == pytest.approx((medians[0] / medians[1]).mean())
        assert (file["rounds/flops"][1] == 2 * file["rounds/flops"][0]).all()
    assert "is not the study as it is now" in scaling(folder, WEAK + "# changed\n", "--join", code=2).stderr


def cut_off(folder, file, *arguments):
    """Kills a study of 60 repeats after the first ones; the rounds that its file has."""
    (folder / "study.toml").write_text(STUDY.replace(f"repeats = {REPEATS}", "repeats = 60") + "values = [1]\n")
    for _ in range(5):
        job = subprocess.Popen([program(), "scaling", folder / "study.toml", "--out", folder / "out", *map(str, arguments)],
                               env=os.environ | ALONE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while not file.exists() and job.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
        job.kill()
        job.wait()
        with h5py.File(file) as measured:
            rounds = measured["rounds/seconds"][:]
        if rounds.shape[1] < 60:
            return rounds
        file.unlink()   # it was done before this process got its turn
    raise AssertionError("every study was done before it could be killed")


def go_on(folder, *arguments, code=0):
    done = run("scaling", folder / "study.toml", "--out", folder / "out", "--continue", *arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr


def test_a_study_that_was_killed_goes_on(folder):
    file = folder / "out" / "tiny" / "scaling.h5"
    before = cut_off(folder, file)
    assert f"{before.shape[1]} of 60 repeats were measured before" in go_on(folder)
    with h5py.File(file) as measured:
        assert measured["rounds/seconds"].shape == (1, 60, ROUNDS)
        assert (measured["rounds/seconds"][:, :before.shape[1]] == before).all()
    whole = file.read_bytes()
    assert "60 of 60 repeats were measured before" in go_on(folder)  # nothing is left to do
    assert file.read_bytes() == whole
    experiment = folder / "experiment.toml"
    experiment.write_text(experiment.read_text().replace("hidden = 12", "hidden = 13"))
    assert "was measured with another model.hidden" in go_on(folder, code=2)
    assert [p.name for p in file.parent.iterdir()] == ["scaling.h5"]


def test_a_second_program_is_refused(folder):
    """That measures into the same file."""
    (folder / "study.toml").write_text(STUDY.replace(f"repeats = {REPEATS}", "repeats = 100000") + "values = [1, 2]\n")
    command = [program(), "scaling", folder / "study.toml", "--out", folder / "out", "--point", "1"]
    job = subprocess.Popen(command, env=os.environ | ALONE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    points = folder / "out" / "tiny" / "points"
    until = time.monotonic() + 60
    while not (points / "1.h5").exists() and job.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    again = run(*command[1:], check=False)
    job.kill()
    job.wait()
    assert again.returncode == 2
    assert f"{points / '1.h5.lock'}: another program is at work on this run" in again.stderr


def test_repeats_measured_otherwise_are_refused(folder):
    file = folder / "out" / "tiny" / "scaling.h5"
    cut_off(folder, file)
    before = file.read_bytes()
    experiment = (folder / "experiment.toml").read_text()
    (folder / "experiment.toml").write_text(experiment.replace("hidden = 12", "hidden = 13"))
    assert "was measured with another model.hidden: remove it, or leave out --continue" in go_on(folder, code=2)
    (folder / "experiment.toml").write_text(experiment)
    with h5py.File(file, "r+") as measured:
        manifest = measured["points/manifest"].asstr()[0]
        del measured["points/manifest"]
        measured.create_dataset("points/manifest", data=[manifest.replace('"device": "cpu', '"device": "tpu')],
                                dtype=h5py.string_dtype())
    assert "was measured on another device" in go_on(folder, code=2)
    file.write_bytes(before)
    assert "was measured with other options" in go_on(folder, "--group", 2, code=2)
    (folder / "study.toml").write_text((folder / "study.toml").read_text() + "# changed\n")
    assert "is not the study as it is now" in go_on(folder, code=2)
    assert file.read_bytes() == before


def test_a_point_that_was_cut_off_is_not_joined(folder):
    before = cut_off(folder, folder / "out" / "tiny" / "points" / "1.h5", "--point", 1)
    done = run("scaling", folder / "study.toml", "--out", folder / "out", "--join", check=False)
    assert done.returncode == 2
    assert f"has {before.shape[1]} of 60 repeats: measure the others (fedselect scaling STUDY --point 1" in done.stderr
    go_on(folder, "--point", 1)
    run("scaling", folder / "study.toml", "--out", folder / "out", "--join")


def test_clients_that_come_with_the_data(folder):
    """Their number isn't in the config, so it is no difference."""
    run("run", folder / "experiment.toml", "--out", folder, "--quiet", "--set", "rounds=1", "--name", "made")
    text = (folder / "experiment.toml").read_text()
    begin, end = text.index("clients = 8"), text.index("[model]")
    data = f'partition = "file"\npartition_file = "{folder / "made" / "fedavg" / "result.h5"}"\n\n'
    (folder / "experiment.toml").write_text(text[:begin] + data + text[end:])
    scaling(folder, "values = [1]\n")
    assert "2 of 2 repeats were measured before" in go_on(folder)


def test_points_that_differ_in_more_are_not_joined(folder):
    clients = 'over = "clients"\nvalues = [4, 8]\n'
    scaling(folder, clients, "--point", 4, ranks=1)
    scaling(folder, clients, "--point", 8, ranks=2)
    assert "8.h5: was measured on another number of ranks than the point 4" in scaling(folder, clients, "--join", code=2).stderr
    experiment = folder / "experiment.toml"
    experiment.write_text(experiment.read_text().replace("hidden = 12", "hidden = 13"))
    scaling(folder, clients, "--point", 8, ranks=1)
    assert "8.h5: was measured with another model.hidden than" in scaling(folder, clients, "--join", code=2).stderr


def test_ranks_that_nothing_needs_are_told(folder):
    said = scaling(folder, WEAK, "--point", 1, ranks=3).stderr
    assert "warning: 2 of the job's 3 ranks take part in no point: a job of 1 is enough" in said


@pytest.mark.parametrize("over, values", [("clients", [4, 8]), ("parameters", [4, 32])])
def test_work_that_grows(folder, over, values):
    key = 'key = "model.hidden"\n' if over == "parameters" else ""
    assert "doesn't grow with the work" in scaling(folder, f'over = "{over}"\n{key}values = {values}\n', ranks=2).stdout
    with h5py.File(folder / "out" / "tiny" / "scaling.h5") as file:
        check_file(file, [2, 2], values if over == "clients" else [8, 8])
        assert file.attrs["kind"] == "size"
        work = file["rounds/flops"][:].mean(axis=2)
        rate = work / median_rounds(file)
        assert file["summary/efficiency"][:, 0] == pytest.approx((rate / rate[0]).mean(axis=1))
    assert draw(folder / "out" / "tiny").returncode == 0


@pytest.mark.parametrize("more, arguments, said", [
    (STRONG, (), "values: the point of 2 ranks needs more than the 1 of this job: start the study on 4 ranks"),
    (STRONG, ("--point", 3), "--point 3: the study tiny has no such value (there are 1, 2, 4)"),
    (STRONG, ("--join",), "1.h5: is missing: measure this point first"),
    ("values = [1]\nset = [\"modle.name=1\"]\n", (), "--set modle.name=1: modle.name: unknown key"),
    ("values = [1]\nrouns = 1\n", (), "rouns: unknown key; did you mean rounds?"),
    ("values = [1]\n" + STRONG, (), "not TOML"),
])
def test_refusals(folder, more, arguments, said):
    done = scaling(folder, more, *arguments, code=2)
    assert said in done.stderr


def test_a_method_has_to_be_named(folder):
    (folder / "study.toml").write_text(STUDY.replace('method = "fedavg"\n', "") + "values = [1]\n")
    done = run("scaling", folder / "study.toml", "--out", folder / "out", check=False)
    assert done.returncode == 2 and "has several methods, name one of fedselect, fedavg" in done.stderr


def test_what_only_the_data_show_ends_all_ranks(folder):
    """The second point fails on its two ranks while two others wait."""
    more = WEAK.replace("per_rank = 4", "per_rank = 2")
    done = scaling(folder, more.replace("[1, 2]", "[2, 3]"), ranks=4, code=2)
    assert "data.clients = 6 with data.classes_per_client = 1 gives 6 shards" in done.stderr


def test_weak_scaling_says_where_the_work_differs(folder):
    said = scaling(folder, WEAK + 'set = ["data.train_per_class=0"]\n', ranks=2).stdout
    assert "warning: the work of a rank differs between points, 2.00 to 1" in said


def test_figures_refuse_what_is_no_study(folder):
    done = draw(folder)
    assert done.returncode == 2 and "holds no scaling.h5" in done.stderr
    (folder / "scaling.h5").write_text("nothing")
    done = draw(folder)
    assert done.returncode == 2 and "can't be read as HDF5" in done.stderr
