"""The promise of docs/result-format.md: the same bits for every number of ranks, of clients side by side and of states in memory, for every method,
and again from the config that a run left behind. ctest sets FEDSELECT_PROGRAM and picks cases with -k."""

import sys
from pathlib import Path

import h5py
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from compare_results import first_difference  # noqa: E402
from make_idx import make_idx  # noqa: E402
from program import ask, method_names, run  # noqa: E402

GROUPS = {1: 1, 2: 3, 3: 2, 4: 1}   # by ranks: clients trained side by side
MEMORY = {1: 1, 2: 0, 3: 1e-5, 4: 1}   # GiB for clients' states: all, none, or 10 kB of them in memory
CONFIG = """
name = "invariance"
seed = 11
rounds = 4

[data]
path = "{data}"
clients = 8
partition = "quantity"   # unequal sizes
beta = 0.6
min_samples = 6

[model]
name = "{model}"
{hidden}
[train]
passes = 2
batch = 8
lr = 0.05
{momentum}weight_decay = 0.001
grad_clip = 5.0

[federation]
participation = 0.6      # 4 of 7 clients
new_clients = 1          # the eighth

[evaluate]
every = 2
target = 0.3
cross = true
new_client_passes = 2
"""
CASES = {
    "mlp-uniform": ("mlp", "uniform", "", ""),
    "mlp-samples": ("mlp", "samples", "momentum = 0.9\n", ""),
    "cnn-uniform": ("cnn", "uniform", "optimizer = \"adam\"\ncrop_padding = 2\nflip = true\n", "optimizer = \"yogi\"\nlr = 0.01\n"),
    "resnet8-samples": ("resnet8", "samples", "", ""),
}
PLAIN_ONLY = ("scaffold", "pfedme")   # refuse momentum, Adam and server optimizers
# So that masks grow within four rounds.
EXTRA = {"fedselect": "growth_every = 1\ngrowth_first = 0\n"}


def fits(method, model, optimizer, server):
    """Whether the method can be run so."""
    if method == "fedbn" and model != "resnet8":
        return False
    return not (optimizer and method in PLAIN_ONLY or server and method in (*PLAIN_ONLY, "local"))


def write_config(folder, model, weighting, optimizer, server):
    """An experiment of all methods; those with a choice of weighting take the given one."""
    data = make_idx(folder / "data")
    text = CONFIG.format(data=data, model=model, hidden="hidden = 12\n" if model == "mlp" else "",
                         momentum=optimizer)
    if server:
        text += "[server]\n" + server
    for name in method_names():
        if not fits(name, model, optimizer, server):
            continue
        text += f'\n[[method]]\nname = "{name}"\n{EXTRA.get(name, "")}'
        if "weighting" in ask("methods", name):
            text += f'weighting = "{weighting}"\n'
    path = folder / "config.toml"
    path.write_text(text)
    return path


def assert_same(a, b):
    with h5py.File(a) as first, h5py.File(b) as second:
        difference = first_difference(first, second)
    assert not difference, f"{a} and {b} differ: {difference}"


@pytest.mark.parametrize("case", CASES)
def test_results_do_not_depend_on_ranks(case, tmp_path):
    config = write_config(tmp_path, *CASES[case])
    for ranks, group in GROUPS.items():
        run("run", config, "--out", tmp_path / str(ranks), "--group", group, "--client-memory", MEMORY[ranks], "--quiet",
            ranks=ranks)
    one = tmp_path / "1" / "invariance"
    methods = sorted(folder.name for folder in one.iterdir() if folder.is_dir())
    model, _, optimizer, server = CASES[case]
    assert methods == sorted(name for name in method_names() if fits(name, model, optimizer, server))
    for method in methods:
        for ranks in GROUPS:
            assert_same(one / method / "result.h5", tmp_path / str(ranks) / "invariance" / method / "result.h5")
    again = tmp_path / "again"
    run("run", one / "fedselect" / "config.toml", "--out", again, "--quiet", ranks=3)
    repeated = list(again.rglob("result.h5"))
    assert len(repeated) == 1
    assert_same(one / "fedselect" / "result.h5", repeated[0])
    assert_masks_matter(one)


def assert_masks_matter(folder):
    """Guards the test itself: a comparison that finds nothing anywhere, or masks all alike, would show nothing."""
    with h5py.File(folder / "fedavg" / "result.h5") as a, h5py.File(folder / "fedper" / "result.h5") as b:
        assert first_difference(a, b)
    for method in ("fedselect", "fedselect-ltn"):
        with h5py.File(folder / method / "result.h5") as file:
            masks = file["masks/bits"][:]
            assert len({row.tobytes() for row in masks}) > 2, method
            assert file["metrics/participated"][:].sum() == 4 * 4, method
