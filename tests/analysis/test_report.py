"""Tests of analysis/report against numbers worked out by hand, on invented result files (synthetic.py)."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.dont_write_bytecode = True
ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "analysis"), str(Path(__file__).parent)]

import synthetic  # noqa: E402
from fedselect_analysis import command, metrics, style, summary  # noqa: E402
from fedselect_analysis.figures import masks  # noqa: E402
from fedselect_analysis.reading import ReportError, read_cross, read_masks, read_run, read_runs  # noqa: E402

NAN = float("nan")
FIGURES = {
    "accuracy_over_rounds",
    "accuracy_bands",
    "against_reference",
    "fairness",
    "personal_share",
    "mask_changes",
    "mask_iou",
    "mask_iou_tensors",
    "accuracy_over_bytes",
    "time_by_phase",
    "partition",
}


@pytest.fixture
def tiny(tmp_path):
    """2 rounds x 3 clients; client 0 sat out round 1, so its accuracy stays at 0.2. Layout: w (6 values), b (2 values)."""
    participated = [[1, 1, 1], [0, 1, 1]]
    seconds = np.zeros((2, 2, 8))
    seconds[:, :, 0] = [[1, 3], [4, 2]]  # training per round and rank
    seconds[0, 0, 5] = 1.5
    synthetic.write_result(
        tmp_path / "a",
        label="first",
        accuracy=[[0.2, 0.4, 0.6], [NAN, 0.8, 0.5]],
        participated=participated,
        density=[[[0, 0]] * 3, [[NAN, NAN], [0.5, 0], [1, 0.5]]],
        gradients=[[10, 10, 10], [0, 30, 40]],
        bytes_up=[[8, 8, 8], [0, 16, 16]],
        bytes_down=[[4, 4, 4], [0, 4, 4]],
        seconds=seconds,
        masks=[[1, 1, 0, 0, 0, 0, 0, 1], [1, 0, 1, 0, 0, 0, 0, 1], [0, 0, 1, 1, 0, 0, 1, 0]],
        class_counts=[[5, 5, 0], [5, 0, 5], [0, 0, 10]],
    )
    return tmp_path / "a"


def run_report(*arguments, python=sys.executable, options=()):
    return subprocess.run([python, *options, ROOT / "analysis/report", *arguments], capture_output=True, text=True)


def test_curves_carry_a_clients_last_accuracy(tiny):
    run = read_run(tiny)
    assert run.evaluated.tolist() == [0, 1]
    assert run.final.tolist() == [0.2, 0.8, 0.5]
    assert run.mean == pytest.approx([0.4, 0.5])
    assert run.worst == pytest.approx([0.2, 0.2])
    assert run.low == pytest.approx([0.24, 0.26])  # linear between order statistics
    assert run.high == pytest.approx([0.56, 0.74])


def test_rounds_without_evaluation_are_left_out(tmp_path):
    synthetic.write_result(tmp_path, accuracy=[[NAN] * 2, [0.5, 0.7], [NAN] * 2], density=np.zeros((3, 2, 2)))
    run = read_run(tmp_path)
    assert run.evaluated.tolist() == [1] and run.mean == pytest.approx([0.6])
    assert metrics.cost_to_reach(run, 0.6).rounds == 2


def test_costs(tiny):
    run = read_run(tiny)
    assert run.total_bytes.tolist() == [36, 76] and run.total_gradients.tolist() == [30, 100]
    assert metrics.cost_to_reach(run, 0.4) == metrics.Cost(1, 36e-6, 30)
    assert metrics.cost_to_reach(run, 0.45) == metrics.Cost(2, 76e-6, 100)
    assert metrics.cost_to_reach(run, 0.51) is None
    assert metrics.accuracy_at_gradients(run, 99) == pytest.approx(0.4)
    assert np.isnan(metrics.accuracy_at_gradients(run, 29))


def test_personal_share_weighs_tensors_by_size_and_clients_equally(tiny):
    run = read_run(tiny)
    assert run.density[-1] == pytest.approx([0.75, 0.25])
    assert run.personal_share == pytest.approx((6 * 0.75 + 2 * 0.25) / 8)
    assert run.has_partial_tensors


def test_times(tiny):
    run = read_run(tiny)
    assert run.phase_seconds[:, 0].tolist() == [5, 5]
    assert run.train_imbalance == pytest.approx((3 + 4) / (2 + 3))  # round by round, though the totals are equal
    assert run.seconds == pytest.approx(6.5)


def test_spread_by_hand():
    measures = metrics.spread(np.array([0.2, NAN, 0.8, 0.5]))
    assert (measures.tested, measures.worst, measures.best, measures.median) == (3, 0.2, 0.8, 0.5)
    assert measures.mean == pytest.approx(0.5)
    assert measures.std == pytest.approx(np.sqrt(0.06))
    assert measures.jain == pytest.approx(1.5**2 / (3 * 0.93))
    assert metrics.spread(np.arange(11) / 10).worst_decile == pytest.approx(0.05)  # ceil(1.1) = 2 clients
    assert metrics.spread(np.zeros(4)).jain == 1.0


def test_wins():
    assert metrics.wins_losses_ties(np.array([0.5, 0.2, 0.3, NAN]), np.array([0.4, 0.3, 0.3, 0.1])) == (1, 1, 1)


def test_iou_and_chance_by_hand(tiny):
    run = read_run(tiny)
    clients = np.arange(3)
    overlap = metrics.mask_overlap(run, read_masks(run, clients), clients, run.tensor_names, np.arange(2))
    # masks {0,1,7}, {0,2,7}, {2,3,6}: intersections 2, 0, 1 of unions 4, 6, 5
    assert metrics.pairs(overlap.matrix) == pytest.approx([2 / 4, 0, 1 / 5])
    assert overlap.group_iou == pytest.approx(np.array([[1 / 3, 0, 1 / 3], [1, 0, 0]]))
    assert overlap.density == pytest.approx(3 / 8) and overlap.chance_flat == pytest.approx((3 / 8) / (13 / 8))
    # densities 1/3 of 6 values, 1/2 of 2 values: intersections 6/9 + 2/4, unions 6 (2/3 - 1/9) + 2 (1 - 1/4)
    assert overlap.chance == pytest.approx((6 / 9 + 2 / 4) / (6 * 5 / 9 + 2 * 3 / 4))
    assert overlap.group_chance == pytest.approx([(1 / 3) / (5 / 3), 0.5 / 1.5])
    # classes {0,1}, {0,2}, {2}: pairs (0,1) and (1,2) share one
    assert (overlap.common_pairs, overlap.disjoint_pairs) == (2, 1)
    assert overlap.iou_common == pytest.approx(0.35) and overlap.iou_disjoint == 0


def test_chance_equals_that_of_independent_masks():
    assert metrics.chance_iou(0.5) == pytest.approx(1 / 3)
    bits = np.packbits(np.random.default_rng(1).random((6, 200_000)) < 0.3, axis=1, bitorder="little")
    found = metrics.pairs(metrics.iou(metrics.tensor_intersections(bits, np.array([200_000]))[0]))
    assert found == pytest.approx(metrics.chance_iou(0.3), abs=0.005)


def test_intersections_across_bytes_and_blocks():
    sizes = np.array([3, metrics.MASK_BLOCK + 5, 1, 13])
    masks = np.random.default_rng(2).random((4, sizes.sum())) < 0.4
    found = metrics.tensor_intersections(np.packbits(masks, axis=1, bitorder="little"), sizes)
    for tensor, part in enumerate(np.split(masks.astype(int), sizes.cumsum()[:-1], axis=1)):
        assert (found[tensor] == part @ part.T).all()


def test_two_empty_masks_have_no_iou():
    assert np.isnan(metrics.iou(np.zeros((2, 2)))).all()


def test_sample_of_clients_is_fixed_and_bounded():
    sample = metrics.sample_clients(10_000, 100)
    assert len(set(sample)) == 100 and (np.diff(sample) > 0).all()
    assert (sample == metrics.sample_clients(10_000, 100)).all()
    assert metrics.sample_clients(3, 100).tolist() == [0, 1, 2]


def test_layers_stand_for_many_tensors(tiny):
    run = read_run(tiny)
    assert metrics.tensor_groups(run, 2)[0] == ["w", "b"]
    names, groups = metrics.tensor_groups(run, 1)
    assert names == ["layer 0", "layer 1"] and groups.tolist() == [0, 1]


def test_labels_stay_apart():
    long = ["the same beginning of a label, one", "the same beginning of a label, two", "x" * 40, "x" * 41, "plain"]
    shorts = style.short_labels(long)
    assert len(set(shorts)) == len(long) and max(map(len, shorts)) <= style.LABEL_LENGTH


def test_label_places_keep_order_and_distance():
    placed = style.spread_labels(np.array([0.5, 0.5, 0.49, 0.9]), 0.1, 0.0, 1.0)
    assert placed == pytest.approx([0.497, 0.597, 0.397, 0.9], abs=1e-3)


def test_terminal_table(tiny):
    header, line = summary.terminal_table([read_run(tiny)]).splitlines()
    assert line.split() == ["first", "50.00", "20.00", "0.000", "62.50", "6.5"]
    assert len(header) == len(line)


def test_headline_compares_with_fedavg(tmp_path):
    for name, accuracy in (("fedavg", 0.4), ("fedselect", 0.7), ("local", 0.9)):
        synthetic.write_result(
            tmp_path / name, label=name, method=name, accuracy=np.full((1, 3), accuracy), density=np.zeros((1, 3, 2))
        )
    text = " ".join(summary.headline(read_runs([tmp_path])))
    assert "fedselect with a mean client accuracy of 70.0 %, +30.0 points against fedavg (40.0 %)" in text
    assert "3 win, 0 lose" in text and "1.00 times as many bytes" in text
    assert "federation brings −20.0 points" in text


def test_full_report_is_one_file_without_references(tmp_path):
    for number in range(4):
        synthetic.invent_run(tmp_path / str(number), number, clients=12, rounds=10, every=2, participation=0.5)
    done = run_report(tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.splitlines()[-1] == str(tmp_path / "out/report.html")
    assert {path.stem for path in (tmp_path / "out/figures").iterdir()} == FIGURES
    page = (tmp_path / "out/report.html").read_text()
    assert not re.search(r"https?://|<link|<script|@import|url\(", page)
    assert set(re.findall(r'src="(.{22})', page)) == {"data:image/png;base64,"}
    assert page.count("<img") == len(FIGURES)
    assert "synthetic &lt;test&gt;" in page and str(tmp_path) not in page
    assert "most recent accuracy" in page


def test_cross_matrix_and_new_clients(tmp_path):
    for number in range(3):
        synthetic.invent_run(tmp_path / str(number), number, clients=12, rounds=6, new=3 if number else 0)
    done = run_report(tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert {path.stem for path in (tmp_path / "out/figures").iterdir()} == FIGURES | {"cross_accuracy", "new_clients"}
    page = (tmp_path / "out/report.html").read_text()
    assert "new clients, after training" in page and "most recent accuracy" not in page


def test_new_clients_are_read(tmp_path):
    cross = [[0.5, 0.1, 0.3], [0.2, 0.75, NAN], [0.1, 0.3, 0.25]]
    synthetic.write_result(
        tmp_path,
        accuracy=[[0.5, 0.75, NAN]],
        density=np.zeros((1, 3, 2)),
        participated=[[1, 1, 0]],
        masks=np.ones((3, 8)),
        cross=cross,
        new_clients=([2], [0.25], [0.5]),
    )
    run = read_run(tmp_path)
    assert (run.taking_part, run.new_clients.tolist(), run.new_before.tolist(), run.new_after.tolist()) == (2, [2], [0.25], [0.5])
    assert metrics.matrix_clients(run).tolist() == [0, 1]
    assert run.flops == 2 * 50 * 1000
    found = read_cross(run, np.array([0, 1, 2]))
    assert metrics.off_diagonal_mean(found) == pytest.approx((0.1 + 0.3 + 0.2 + 0.1 + 0.3) / 5)
    assert read_cross(run, np.array([0, 2])) == pytest.approx(np.array([[0.5, 0.3], [0.1, 0.25]]))


def test_mask_changes_are_shares_of_the_parameters(tmp_path):
    synthetic.write_result(
        tmp_path,
        accuracy=[[0.5, 0.5], [0.5, 0.5], [NAN, NAN]],
        density=np.zeros((3, 2, 2)),
        participated=[[1, 1], [1, 0], [0, 0]],
        mask_changes=[[4, 2], [1, 0], [0, 0]],
    )
    run = read_run(tmp_path)
    assert run.mask_changes == pytest.approx([3 / 8, 1 / 8, NAN], nan_ok=True)
    assert masks.changes_answer(run) == "tiny: no mask changes after round 1."


def test_hamming_distance_of_masks(tmp_path):
    bits = [[1, 1, 0, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 1]]
    synthetic.write_result(tmp_path, accuracy=[[0.5] * 3], density=np.full((1, 3, 2), 0.3), masks=bits)
    (overlap,) = masks.overlaps([read_run(tmp_path)])
    assert overlap.hamming == pytest.approx((2 + 6 + 6) / 3 / 8)


def test_ranks_that_a_round_did_not_have(tmp_path):
    """A resumed run may change their number."""
    seconds = np.ones((2, 3, len(synthetic.PHASES)))
    seconds[1, 1:] = NAN
    synthetic.write_result(tmp_path, accuracy=[[0.5], [0.5]], density=np.zeros((2, 1, 2)), seconds=seconds)
    run = read_run(tmp_path)
    assert run.phase_seconds[:, 0].tolist() == [2, 1, 1] and run.train_imbalance == 1


def test_report_repeats_to_the_byte(tmp_path):
    synthetic.invent_run(tmp_path / "run", 1, clients=5, rounds=4)
    pages = [command.write_report(read_runs([tmp_path / "run"]), tmp_path / out).read_bytes() for out in "ab"]
    assert pages[0] == pages[1]


def test_default_place_is_beside_the_run(tiny):
    assert run_report(tiny).stdout.splitlines()[-1] == str(tiny / "report/report.html")


@pytest.mark.parametrize("clients, rounds", [(1, 1), (2, 3)])
def test_smallest_runs(tmp_path, clients, rounds):
    for number in (0, 1, 4):
        synthetic.invent_run(tmp_path / str(number), number, clients=clients, rounds=rounds)
    assert run_report(tmp_path).returncode == 0


def test_many_clients(tmp_path):
    for number in (0, 1):
        synthetic.invent_run(tmp_path / str(number), number, clients=3000, rounds=5, participation=0.1)
    assert run_report(tmp_path).returncode == 0


def test_runs_without_masks_or_bytes(tmp_path):
    for label, density in (("fedavg", 0), ("local", 1)):
        synthetic.write_result(
            tmp_path / label,
            label=label,
            method=label,
            accuracy=[[0.5, 0.6]],
            density=np.full((1, 2, 2), density),
            bytes_up=np.zeros((1, 2)),
            bytes_down=np.zeros((1, 2)),
        )
    done = run_report(tmp_path)
    assert done.returncode == 0
    assert not (tmp_path / "report/figures/mask_iou.png").exists()
    assert "In no run does a mask split a tensor" in (tmp_path / "report/report.html").read_text()


def test_equal_labels_are_told_apart(tmp_path, tiny):
    shutil.copytree(tiny, tmp_path / "b")
    assert [run.label for run in read_runs([tiny, tmp_path / "b"])] == ["first #1", "first #2"]


def test_attributes_of_fixed_length(tiny):
    with h5py.File(tiny / "result.h5", "r+") as file:
        for name in ("format", "label", "dataset"):
            file.attrs[name] = np.bytes_(file.attrs[name])
    assert read_run(tiny).label == "first"


def refused(*paths):
    """The one message with which the command refuses `paths`."""
    done = run_report(*paths)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


def test_refuses_what_is_no_run(tmp_path, tiny):
    assert "is no folder" in refused(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    assert "is not a run" in refused(tmp_path / "empty")
    (tiny / "result.h5").write_bytes(b"not HDF5")
    assert "can't be read as HDF5" in refused(tiny)


def test_refuses_a_torn_file(tiny):
    path = tiny / "result.h5"
    path.write_bytes(path.read_bytes()[:-2000])
    assert "torn" in refused(tiny)


def test_refuses_other_versions_and_formats(tiny):
    with h5py.File(tiny / "result.h5", "r+") as file:
        file.attrs["version"] = 2
    assert "version 2" in refused(tiny)
    with h5py.File(tiny / "result.h5", "r+") as file:
        file.attrs["format"] = "other"
    assert "not a result of fedselect" in refused(tiny)


def test_refuses_incomplete_and_inconsistent_files(tiny):
    with h5py.File(tiny / "result.h5", "r+") as file:
        kept = file["metrics/gradients"][:]
        del file["metrics/gradients"]
    assert "gradients" in refused(tiny)
    with h5py.File(tiny / "result.h5", "r+") as file:
        file["metrics/gradients"] = kept[:1]
    assert "metrics/gradients has shape (1, 3), not (2, 3)" in refused(tiny)


def test_refuses_a_run_without_accuracy(tmp_path):
    synthetic.write_result(tmp_path / "run", accuracy=[[NAN, NAN]], density=np.zeros((1, 2, 2)))
    assert "holds no accuracy" in refused(tmp_path / "run")


@pytest.mark.parametrize(
    "change, message",
    [
        ({"dataset": "other"}, "different data sets: other and toy"),
        ({"class_counts": [[5, 5], [5, 5], [9, 1]]}, "different partitions"),
        ({"accuracy": [[0.5] * 2], "density": np.zeros((1, 2, 2))}, "different numbers of clients: 2 and 3"),
    ],
)
def test_refuses_runs_that_cannot_be_compared(tmp_path, change, message):
    plain = {"accuracy": [[0.5] * 3], "density": np.zeros((1, 3, 2))}
    synthetic.write_result(tmp_path / "a", **plain)
    synthetic.write_result(tmp_path / "b", **{**plain, **change})
    assert message in refused(tmp_path)
    with pytest.raises(ReportError):
        read_runs([tmp_path])


def test_missing_modules_are_named():
    done = run_report("anything", options=["-S"])  # -S: no site-packages
    assert done.returncode == 2 and "numpy, h5py, matplotlib" in done.stderr and "Traceback" not in done.stderr
