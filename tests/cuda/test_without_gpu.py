"""A program that was built for GPUs, where there is none. ctest sets FEDSELECT_PROGRAM."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from make_idx import make_idx  # noqa: E402
from program import run  # noqa: E402

CONFIG = """
name = "nogpu"
rounds = 1

[data]
path = "{data}"
clients = 4
partition = "iid"

[model]
name = "logistic"

[[method]]
name = "fedavg"
"""


@pytest.fixture(name="config")
def write_config(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")    # for CUDA
    monkeypatch.setenv("FEDSELECT_HOST_DEVICES", "0")  # for kernels executed on the CPU
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(data=make_idx(tmp_path / "data")))
    return path


@pytest.mark.skipif("FEDSELECT_HOST" not in os.environ, reason="needs a GPU that is too old")
def test_a_gpu_without_code_is_none(config, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDSELECT_HOST_DEVICES", "2")
    monkeypatch.setenv("FEDSELECT_HOST_NO_CODE", "1")
    done = run("run", config, "--device", "cuda", "--out", tmp_path / "none", ranks=2, check=False)
    assert done.returncode == 2
    assert "build with -DCMAKE_CUDA_ARCHITECTURES=" in done.stderr
    done = run("run", config, "--out", tmp_path / "auto", ranks=2)
    assert "device auto: the CPU, for rank 0 has no GPU to compute on (kernels on the CPU (sm_" in done.stderr


@pytest.mark.skipif("FEDSELECT_HOST" not in os.environ, reason="needs a GPU that others have to themselves")
def test_a_gpu_that_cant_be_opened_is_none(config, tmp_path, monkeypatch):
    monkeypatch.setenv("FEDSELECT_HOST_DEVICES", "2")
    monkeypatch.setenv("FEDSELECT_HOST_BUSY", "1")
    why = "rank 1 has no GPU to compute on (kernels on the CPU (sm_00, number 1) can't be opened: cudaErrorDevicesUnavailable"
    done = run("run", config, "--device", "cuda", "--out", tmp_path / "none", ranks=2, check=False)
    assert done.returncode == 2
    assert f"--device cuda: {why}" in done.stderr
    assert "CMAKE_CUDA_ARCHITECTURES" not in done.stderr
    done = run("run", config, "--out", tmp_path / "auto", ranks=2)
    assert f"device auto: the CPU, for {why}" in done.stderr


@pytest.mark.parametrize("ranks", (1, 2))
def test_cuda_is_an_error_that_says_what_to_do(config, tmp_path, ranks):
    done = run("run", config, "--device", "cuda", "--out", tmp_path / "none", ranks=ranks, check=False)
    assert done.returncode == 2
    assert "--device cuda: rank 0 has no GPU" in done.stderr
    assert "use --device cpu" in done.stderr
    assert not (tmp_path / "none").exists()


def test_auto_takes_the_cpu_and_says_so(config, tmp_path):
    done = run("run", config, "--out", tmp_path / "auto", ranks=2)
    assert "device auto: the CPU, for" in done.stderr
    assert '"device": "cpu' in (tmp_path / "auto" / "nogpu" / "manifest.json").read_text()
