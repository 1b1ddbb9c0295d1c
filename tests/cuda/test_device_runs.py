"""Whole runs on GPUs against the CPU's, on Fashion-MNIST: masks of the same size that differ in next to no index, accuracies
within one test image a client, the same bits for every number of ranks and clients side by side. ctest sets FEDSELECT_PROGRAM.

Equal scores give equal masks to the bit (parameters_test.cpp), but after training on another device scores differ by
rounding, and those that lie at the cutoff change sides."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from compare_results import first_difference  # noqa: E402
from program import run  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent.parent / "invariance"))
from test_rank_invariance import CASES, write_config as write_all_methods  # noqa: E402

if "FEDSELECT_HOST" not in os.environ and not shutil.which("nvidia-smi"):
    pytest.skip("no GPU", allow_module_level=True)



def gpus():
    """How many GPUs the ranks of this machine can have."""
    if "FEDSELECT_HOST" in os.environ:
        return int(os.environ.get("FEDSELECT_HOST_DEVICES", 8))
    return len(subprocess.run(["nvidia-smi", "-L"], check=True, capture_output=True, text=True).stdout.splitlines())


METHODS = ("fedselect-ltn", "fedselect", "fedavg", "fedrep")
TEST_IMAGES = 60
AT_THE_CUTOFF = 1e-3   # of all indices
BY_MAGNITUDE = ("fedselect", "fedselect-ltn", "lotteryfl", "sub-fedavg")   # masks decide what is trained
CONFIG = """
name = "devices"
seed = 3
rounds = 3

[data]
path = "/usr/share/datasets/fashion-mnist"
clients = 10
partition = "shards"
classes_per_client = 2
train_per_class = {train}
test_per_class = 30

[model]
name = "{model}"
{hidden}
[train]
passes = {passes}
batch = 8
lr = 0.05
grad_clip = 10.0
"""
EXTRA = {"fedselect": "growth_every = 1\ngrowth_first = 0\n", "fedselect-ltn": "iterations = 2\n"}


def write_config(folder, methods, model="mlp", hidden="hidden = 32\n", train=12, passes=2):
    text = CONFIG.format(model=model, hidden=hidden, train=train, passes=passes)
    for method in methods:
        text += f'\n[[method]]\nname = "{method}"\n{EXTRA.get(method, "")}'
    path = folder / "config.toml"
    path.write_text(text)
    return path


def run_on(device, config, out, ranks, *more):
    return run("run", config, "--device", device, "--out", out, *more, ranks=ranks)


def read(folder, method, name):
    with h5py.File(folder / "devices" / method / "result.h5") as file:
        return file[name][:]


def assert_same_results(a, b, methods):
    for method in methods:
        with h5py.File(a / "devices" / method / "result.h5") as first, \
                h5py.File(b / "devices" / method / "result.h5") as second:
            assert not first_difference(first, second), f"{method}: {a} and {b}"


def ones(masks):
    """Personal parameters of each client."""
    return numpy.unpackbits(masks, axis=1).sum(axis=1)


def assert_like_the_cpu(cpu, gpu, methods):
    for method in methods:
        if method.startswith("fedselect"):
            here, there = read(cpu, method, "masks/bits"), read(gpu, method, "masks/bits")
            assert len({row.tobytes() for row in here}) > 2
            assert numpy.array_equal(ones(here), ones(there)), f"{method}: other numbers of personal parameters"
            assert ones(here ^ there).sum() <= AT_THE_CUTOFF * 8 * here.size, f"{method}: masks differ"
        for name in ("accuracy", "accuracy_after"):
            apart = numpy.abs(read(cpu, method, f"metrics/{name}") - read(gpu, method, f"metrics/{name}"))
            assert numpy.nanmax(apart) <= 1 / TEST_IMAGES + 1e-9, f"{method}: {name}"


def test_masks_and_accuracies_are_the_cpus_on_any_number_of_ranks(tmp_path):
    config = write_config(tmp_path, METHODS)
    run_on("cpu", config, tmp_path / "cpu", 2)
    notes = {ranks: run_on("cuda", config, tmp_path / str(ranks), ranks).stderr for ranks in (1, 2, 4)}
    assert "sums over ranks by MPI" in notes[1]  # nothing to add up
    for ranks in (2, 4):
        assert f"sums over ranks by {'NCCL' if ranks <= gpus() else 'MPI'}" in notes[ranks]
    assert_like_the_cpu(tmp_path / "cpu", tmp_path / "1", METHODS)
    for ranks in (2, 4):
        assert_same_results(tmp_path / "1", tmp_path / str(ranks), METHODS)
    run_on("cuda", config, tmp_path / "groups", 1, "--group", 3)
    assert_same_results(tmp_path / "1", tmp_path / "groups", METHODS)


def test_convolutions_and_norms(tmp_path):
    for model in ("cnn", "resnet8"):
        folder = tmp_path / model
        folder.mkdir()
        config = write_config(folder, ("fedselect",), model, "", train=2, passes=1)
        for device in ("cpu", "cuda"):
            run("run", config, "--device", device, "--set", "rounds=1", "--set", "data.clients=5", "--set",
                "data.test_per_class=4", "--out", folder / device)
        here, there = (read_tensors(folder / device / "devices" / "result.h5") for device in ("cpu", "cuda"))
        for name, values in here.items():
            scale = numpy.abs(values).max() or 1
            assert numpy.abs(values - there[name]).max() <= 1e-4 * scale, f"{model}: {name}"


def read_tensors(path):
    """The final global model."""
    tensors = {}
    with h5py.File(path) as file:
        file["model"].visititems(
            lambda name, item: tensors.update({name: item[:]}) if isinstance(item, h5py.Dataset) else None)
    return tensors


CLIPPED = {
    # Personal indices come to a tensor after steps of the same kind were recorded.
    "fedselect": 'scope = "global"\neligible = "all"\nrate = 0.0003\ngrowth_every = 1\ngrowth_first = 0\n',
    # The last search of a round leaves no shared index in some tensor.
    "fedselect-ltn": "rate = 0.25\niterations = 4\n",
}


@pytest.mark.parametrize("method", sorted(CLIPPED))
def test_recorded_steps_are_of_the_tensors_that_change(method, tmp_path):
    passes = 2 if method == "fedselect" else 1
    text = CONFIG.format(model="mlp", hidden="hidden = 32\n", train=6, passes=passes)
    config = tmp_path / "config.toml"
    config.write_text(f'{text}\n[[method]]\nname = "{method}"\n{CLIPPED[method]}')
    for group in (1, 3, 10):
        run_on("cuda", config, tmp_path / str(group), 1, "--group", group)
    for group in (3, 10):
        assert_same_results(tmp_path / "1", tmp_path / str(group), ("",))


@pytest.mark.skipif("FEDSELECT_HOST" not in os.environ, reason="needs device memory that can be closed to the host")
def test_every_method_leaves_device_memory_to_the_device(tmp_path, monkeypatch):
    config = write_all_methods(tmp_path, *CASES["mlp-uniform"])
    run("run", config, "--device", "cpu", "--out", tmp_path / "cpu", "--quiet")
    monkeypatch.setenv("FEDSELECT_HOST_FENCE", "1")
    run("run", config, "--device", "cuda", "--group", 2, "--out", tmp_path / "cuda", "--quiet")  # two groups take turns
    folders = sorted(path.parent for path in (tmp_path / "cpu" / "invariance").glob("*/result.h5"))
    assert len(folders) > 15
    for folder in folders:
        if folder.name in BY_MAGNITUDE:
            continue
        here, there = (read_tensors(tmp_path / device / "invariance" / folder.name / "result.h5") for device in ("cpu", "cuda"))
        for name, values in here.items():
            assert numpy.abs(values - there[name]).max() <= 1e-4 * numpy.abs(values).max(), f"{folder.name}: {name}"


@pytest.mark.skipif("FEDSELECT_HOST" not in os.environ, reason="needs devices that can be made to go away")
def test_ranks_that_share_a_gpu_sum_by_mpi(tmp_path, monkeypatch):
    monkeypatch.setenv("FEDSELECT_HOST_DEVICES", "1")
    config = write_config(tmp_path, ("fedavg",))
    shared = run_on("cuda", config, tmp_path / "shared", 2)
    assert "through host memory (ranks share a GPU, which NCCL can't)" in shared.stderr
    monkeypatch.setenv("FEDSELECT_HOST_DEVICES", "2")
    run_on("cuda", config, tmp_path / "apart", 2)
    assert_same_results(tmp_path / "shared", tmp_path / "apart", ("",))


@pytest.mark.skipif("FEDSELECT_HOST" not in os.environ, reason="needs devices that can be made parts of one")
def test_parts_of_a_gpu_have_their_own_memory_and_sum_by_mpi(tmp_path, monkeypatch):
    config = write_config(tmp_path, ("fedavg",))
    monkeypatch.setenv("FEDSELECT_HOST_MEMORY", str(104 << 20))  # half of it holds no data set
    monkeypatch.setenv("FEDSELECT_HOST_MIG", "1")
    done = run_on("cuda", config, tmp_path / "parts", 2, "--set", "rounds=1")
    assert "(ranks share a GPU, which NCCL can't)" in done.stderr
    monkeypatch.setenv("FEDSELECT_HOST_DEVICES", "1")
    done = run("run", config, "--device", "cuda", "--out", tmp_path / "shared", ranks=2, check=False)
    assert "the data set takes 55160000 of the 54" in done.stderr


@pytest.mark.skipif("FEDSELECT_HOST" not in os.environ, reason="needs memory that can be made scarce")
def test_groups_fit_the_memory(tmp_path, monkeypatch):
    """How many clients a group gets: device_memory_test.cpp."""
    config = write_config(tmp_path, ("fedavg",))

    def run_with(mebibytes, name, *more, check=True):
        monkeypatch.setenv("FEDSELECT_HOST_MEMORY", str(mebibytes << 20))
        return run("run", config, "--device", "cuda", "--set", "rounds=1", "--out", tmp_path / name, *more, check=check)

    run_with(1000, "much")
    run_with(92, "little")  # 60 % of it hold the data set, 53 MiB, and some of the 10 clients
    assert_same_results(tmp_path / "much", tmp_path / "little", ("",))
    done = run_with(56, "less", "--group", 10, check=False)
    assert done.returncode == 1
    assert "the GPU's memory is full: set a smaller --group" in done.stderr
    done = run_with(40, "least", check=False)
    assert done.returncode == 2
    assert "the data set takes 55160000 of the 41" in done.stderr
    monkeypatch.setenv("FEDSELECT_HOST_MEMORY", "55500000")  # a part is taken at once
    done = run("estimate", config, "--device", "cuda", check=False)
    assert done.returncode == 2
    assert "fedavg: 1 clients at a time and the data set need " in done.stderr and "but a rank has 55.2 MB" in done.stderr
