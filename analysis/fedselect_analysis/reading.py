"""Finds runs and reads their result.h5, reduced block by block so that memory stays bounded (source: docs/result-format.md)."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

RESULT_FILE = "result.h5"
FORMAT = "fedselect-result"
VERSION = 1
BLOCK_BYTES = 32 << 20  # what is read of one data set at a time
MAX_DENSITY_ROUNDS = 200  # rounds at which densities are read, evenly spaced, the last one always


class ReportError(Exception):
    """The user's input is at fault; the text says what is wrong, why, and what to do."""


@dataclass(frozen=True)
class Run:
    """One run, reduced over clients. R rounds, N clients, T tensors, C classes, M ranks, P phases, E evaluated rounds.

    Accuracies are in [0, 1]. A client's accuracy at a round is its most recent finite value (NaN until it has one), so the
    end of every curve agrees with `final`. Sums over the cohort: `gradients` (samples), `bytes_up`, `bytes_down`.
    """

    path: Path
    label: str
    method: str
    dataset: str
    seed: int
    rounds: int
    clients: int
    parameters: int
    tested_on: str
    config: str
    provenance: str
    tensor_names: list[str]  # (T)
    tensor_sizes: np.ndarray  # (T) values per tensor
    tensor_layers: np.ndarray  # (T) layer of each tensor
    evaluated: np.ndarray  # (E) 0-based rounds in which some client was tested
    mean: np.ndarray  # (E) over clients tested so far; likewise the next three
    low: np.ndarray  # (E) 10th percentile
    high: np.ndarray  # (E) 90th percentile
    worst: np.ndarray  # (E)
    final: np.ndarray  # (N) the method's own accuracy at the end
    final_before: np.ndarray  # (N) of the model with which the client began its last tested round
    final_after: np.ndarray  # (N) after the local training of that round
    cohort: np.ndarray  # (R) clients that took part
    diverged: int  # client rounds left out of the aggregate
    gradients: np.ndarray  # (R)
    bytes_up: np.ndarray  # (R)
    bytes_down: np.ndarray  # (R)
    mask_changes: np.ndarray  # (R) share of all parameters whose mask bit changed, mean over the cohort; NaN without one
    density_rounds: np.ndarray  # (D) 0-based
    density: np.ndarray  # (D, T) mean personal fraction over the round's cohort
    has_partial_tensors: bool  # some client holds a tensor that is neither all shared nor all personal
    has_masks: bool  # /masks/bits is there
    phases: list[str]  # (P)
    phase_seconds: np.ndarray  # (M, P) summed over rounds
    train_imbalance: float  # slowest rank's training time over the mean, both summed over rounds; 1 = balanced
    class_counts: np.ndarray  # (N, C) training samples
    test_digest: str  # names the test samples of every client
    flops: float  # nominal, of all training; NaN in files from before it was recorded
    has_cross: bool  # /cross/accuracy is there
    new_clients: np.ndarray  # (W) indices of the clients that never took part, the last ones; W may be 0
    new_before: np.ndarray  # (W) accuracy of the global model on them
    new_after: np.ndarray  # (W) after training on their own

    @property
    def taking_part(self) -> int:
        """Clients that take part: the first ones."""
        return self.clients - len(self.new_clients)

    @property
    def personal_share(self) -> float:
        """Personal fraction of all parameters, mean over the last round's cohort."""
        return float(np.average(self.density[-1], weights=self.tensor_sizes))

    @property
    def total_bytes(self) -> np.ndarray:
        """(R) bytes sent up and down until the end of each round, summed over cohorts."""
        return np.cumsum(self.bytes_up + self.bytes_down)

    @property
    def total_gradients(self) -> np.ndarray:
        """(R) sample gradients computed until the end of each round."""
        return np.cumsum(self.gradients)

    @property
    def seconds(self) -> float:
        """Wall time inside rounds: the largest over ranks."""
        return float(self.phase_seconds.sum(axis=1).max())


def find_run_folders(paths: list[Path]) -> list[Path]:
    """The run folders that `paths` name: each is a run, or a folder whose sub-folders are runs (these sorted by name)."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            raise ReportError(f"{path} is no folder: name a run, or a folder that contains runs")
        inside = sorted(child.parent for child in path.glob(f"*/{RESULT_FILE}"))
        folders = [path] if (path / RESULT_FILE).is_file() else inside
        if not folders:
            raise ReportError(
                f"{path} is not a run (neither it nor a folder in it holds {RESULT_FILE}): "
                "a run writes that file when its first evaluated round is done"
            )
        found += [folder for folder in folders if folder not in found]
    return found


def read_runs(paths: list[Path]) -> list[Run]:
    """Reads all runs named by `paths`, refuses runs that can't be compared, makes their labels differ."""
    runs = [read_run(folder) for folder in find_run_folders(paths)]
    for run in runs[1:]:
        difference = first_difference(runs[0], run)
        if difference:
            raise ReportError(
                f"{run.path} and {runs[0].path} can't stand in one report ({difference}): "
                "compare runs on the same data set and partition"
            )
    return with_unique_labels(runs)


def first_difference(a: Run, b: Run) -> str:
    """What keeps `a` and `b` from being compared client by client; empty where nothing does."""
    if a.dataset != b.dataset:
        return f"different data sets: {b.dataset} and {a.dataset}"
    if a.clients != b.clients:
        return f"different numbers of clients: {b.clients} and {a.clients}"
    if a.class_counts.shape != b.class_counts.shape or (a.class_counts != b.class_counts).any():
        return "different partitions: the clients' training samples per class differ"
    if a.test_digest != b.test_digest:
        return "different partitions: the clients' test samples differ"
    return ""


def with_unique_labels(runs: list[Run]) -> list[Run]:
    """Runs whose label occurs more than once get their place in the command added: "fedavg #1", "fedavg #3"."""
    labels = [run.label for run in runs]
    return [
        run if labels.count(run.label) == 1 else replace(run, label=f"{run.label} #{number}")
        for number, run in enumerate(runs, start=1)
    ]


def read_run(folder: Path) -> Run:
    """Reads one run. Throws ReportError for a file that is torn, foreign, of another version, or lacks a part."""
    with open_result(folder) as file:
        return read_open_file(file, folder)


@contextmanager
def open_result(folder: Path):
    """Opens a run's result after checking header and shapes; turns HDF5's errors into ReportError."""
    path = folder / RESULT_FILE
    try:
        with h5py.File(path, "r") as file:
            check_header(file, path)
            check_shapes(file, path)
            yield file
    except KeyError as error:
        raise ReportError(
            f"{path} lacks a part of the result format ({error.args[0]}): " "see docs/result-format.md"
        ) from error
    except OSError as error:
        raise ReportError(
            f"{path} can't be read as HDF5 ({error}): the file is torn or not a result; "
            "copy it again or repeat the run"
        ) from error


def check_header(file: h5py.File, path: Path) -> None:
    """Refuses HDF5 files that are not results of the version read here."""
    form = attribute_text(file, "format") if "format" in file.attrs else "missing"
    if form != FORMAT:
        raise ReportError(
            f"{path} is not a result of fedselect (attribute format is {form}, not {FORMAT}): " "name a run folder"
        )
    version = int(file.attrs["version"])
    if version != VERSION:
        raise ReportError(
            f"{path} has result format version {version} (this report reads version {VERSION}): "
            "use the analysis/ folder of the program that wrote it"
        )


def check_shapes(file: h5py.File, path: Path) -> None:
    """Refuses data sets whose shapes contradict each other, and files without a round or a client."""
    rounds, clients = int(file.attrs["rounds"]), int(file.attrs["clients"])
    tensors, phases = len(file["layout/name"]), len(file["timings/phase"])
    if rounds == 0 or clients == 0:
        raise ReportError(f"{path} holds {rounds} rounds of {clients} clients: nothing to report yet")
    per_client = {
        f"metrics/{name}": (rounds, clients)
        for name in (
            "participated",
            "diverged",
            "accuracy",
            "accuracy_before",
            "accuracy_after",
            "gradients",
            "bytes_up",
            "bytes_down",
            "mask_changes",
        )
    }
    wanted = per_client | {
        "metrics/density": (rounds, clients, tensors),
        "layout/size": (tensors,),
        "layout/layer": (tensors,),
        "timings/seconds": (rounds, None, phases),
        "partition/train_class_counts": (clients, None),
        "partition/test_offsets": (clients + 1,),
    }
    if "masks/bits" in file:
        wanted["masks/bits"] = (clients, (int(file.attrs["parameters"]) + 7) // 8)
    if "cross/accuracy" in file:
        wanted["cross/accuracy"] = (clients, clients)
    if "new_clients" in file:
        count = len(file["new_clients/client"])
        wanted |= {f"new_clients/{name}": (count,) for name in ("accuracy_before", "accuracy_after")}
    for name, shape in wanted.items():
        found = file[name].shape
        if len(found) != len(shape) or any(want not in (None, have) for want, have in zip(shape, found)):
            raise ReportError(f"{path} is inconsistent ({name} has shape {found}, not {shape}): repeat the run")


def read_open_file(file: h5py.File, folder: Path) -> Run:
    """Builds the Run from an open file whose header was checked."""
    attributes = file.attrs
    metrics = {
        name: round_sums(file[f"metrics/{name}"])
        for name in ("participated", "diverged", "gradients", "bytes_up", "bytes_down", "mask_changes")
    }
    seconds, imbalance = phase_times(file)
    return Run(
        path=folder,
        **{name: attribute_text(file, name) for name in ("label", "method", "dataset", "tested_on")},
        **{name: int(attributes[name]) for name in ("seed", "rounds", "clients", "parameters")},
        config=file["config"].asstr()[()],
        provenance=file["provenance"].asstr()[()],
        tensor_names=list(file["layout/name"].asstr()[:]),
        tensor_sizes=file["layout/size"][:],
        tensor_layers=file["layout/layer"][:],
        **accuracy_curves(file["metrics/accuracy"], folder),
        final_before=last_finite(file["metrics/accuracy_before"]),
        final_after=last_finite(file["metrics/accuracy_after"]),
        cohort=metrics["participated"],
        diverged=int(metrics["diverged"].sum()),
        gradients=metrics["gradients"],
        bytes_up=metrics["bytes_up"],
        bytes_down=metrics["bytes_down"],
        mask_changes=np.divide(
            metrics["mask_changes"] / int(attributes["parameters"]),
            metrics["participated"],
            out=np.full(len(metrics["participated"]), np.nan),
            where=metrics["participated"] > 0,
        ),
        **density_curves(file["metrics/density"]),
        has_masks="masks/bits" in file,
        phases=list(file["timings/phase"].asstr()[:]),
        phase_seconds=seconds,
        train_imbalance=imbalance,
        class_counts=file["partition/train_class_counts"][:],
        test_digest=digest(file["partition"]),
        flops=float(sum(block.sum() for _, block in row_blocks(file["metrics/flops"])))
        if "metrics/flops" in file
        else float("nan"),
        has_cross="cross/accuracy" in file,
        **new_clients(file),
    )


def attribute_text(file: h5py.File, name: str) -> str:
    """A root attribute that holds text, of fixed or variable length."""
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def row_blocks(dataset: h5py.Dataset):
    """Yields (first row, rows) so that a block holds about BLOCK_BYTES at most, one row at least."""
    row_bytes = max(1, dataset.dtype.itemsize * int(np.prod(dataset.shape[1:])))
    step = max(1, BLOCK_BYTES // row_bytes)
    for first in range(0, dataset.shape[0], step):
        yield first, dataset[first : first + step]


def round_sums(dataset: h5py.Dataset) -> np.ndarray:
    """(R) int64 sums over clients of an integer (R, N) data set."""
    return np.concatenate([block.sum(axis=1, dtype=np.int64) for _, block in row_blocks(dataset)])


def last_finite(dataset: h5py.Dataset) -> np.ndarray:
    """(N) each client's most recent finite value in an (R, N) data set, NaN where there is none."""
    current = np.full(dataset.shape[1], np.nan)
    for _, block in row_blocks(dataset):
        for row in block:
            np.copyto(current, row, where=np.isfinite(row))
    return current


def accuracy_curves(dataset: h5py.Dataset, folder: Path) -> dict:
    """Reduces (R, N) accuracies to `evaluated`, `mean`, `low`, `high`, `worst` (E each) and `final` (N)."""
    current = np.full(dataset.shape[1], np.nan)
    evaluated, points = [], []
    for first, block in row_blocks(dataset):
        for number, row in enumerate(block, start=first):
            fresh = np.isfinite(row)
            if not fresh.any():
                continue
            np.copyto(current, row, where=fresh)
            known = current[np.isfinite(current)]
            evaluated.append(number)
            points.append((known.mean(), *np.percentile(known, (10, 90)), known.min()))
    if not points:
        raise ReportError(
            f"{folder / RESULT_FILE} holds no accuracy (no client was tested in any round): "
            "let the run evaluate at least once"
        )
    mean, low, high, worst = np.array(points).T
    return {"evaluated": np.array(evaluated), "mean": mean, "low": low, "high": high, "worst": worst, "final": current}


def density_curves(dataset: h5py.Dataset) -> dict:
    """Reduces (R, N, T) densities to `density_rounds` (D), `density` (D, T) and `has_partial_tensors`."""
    rounds, _, tensors = dataset.shape
    chosen = np.unique(np.linspace(0, rounds - 1, min(rounds, MAX_DENSITY_ROUNDS)).round().astype(int))
    means, kept, partial = [], [], False
    for number in chosen:
        rows = dataset[number]
        rows = rows[np.isfinite(rows).all(axis=1)]
        if len(rows):
            kept.append(number)
            means.append(rows.mean(axis=0, dtype=np.float64))
            partial = partial or bool(((rows > 0) & (rows < 1)).any())
    if not kept:
        return {"density_rounds": chosen[-1:], "density": np.zeros((1, tensors)), "has_partial_tensors": False}
    return {"density_rounds": np.array(kept), "density": np.array(means), "has_partial_tensors": partial}


def phase_times(file: h5py.File) -> tuple[np.ndarray, float]:
    """(M, P) seconds summed over rounds, and the imbalance of training: sum over rounds of the maximum / of the mean."""
    dataset = file["timings/seconds"]
    train = list(file["timings/phase"].asstr()[:]).index("train")
    total = np.zeros(dataset.shape[1:])
    slowest = mean = 0.0
    for _, block in row_blocks(dataset):
        total += np.nansum(block, axis=0)  # NaN: a rank that the round did not have
        slowest += np.nanmax(block[:, :, train], axis=1).sum()
        mean += np.nanmean(block[:, :, train], axis=1).sum()
    return total, slowest / mean if mean > 0 else 1.0


def new_clients(file: h5py.File) -> dict:
    """`new_clients`, `new_before`, `new_after` (W each); empty where every client takes part."""
    names = {"new_clients": "client", "new_before": "accuracy_before", "new_after": "accuracy_after"}
    if "new_clients" not in file:
        return {name: np.zeros(0) for name in names}
    return {name: file[f"new_clients/{stored}"][:] for name, stored in names.items()}


def digest(partition: h5py.Group) -> str:
    """A hash of every client's test samples."""
    sha = hashlib.sha256(partition["test_offsets"][:].tobytes())
    for _, block in row_blocks(partition["test_indices"]):
        sha.update(block.tobytes())
    return sha.hexdigest()


def read_masks(run: Run, clients: np.ndarray) -> np.ndarray:
    """(S, ceil(d/8)) u8 final masks of the clients with the given ascending indices, packed as in the file."""
    with open_result(run.path) as file:
        return file["masks/bits"][clients]


def read_cross(run: Run, clients: np.ndarray) -> np.ndarray:
    """(S, S) accuracy of the models (rows) of the clients with the given ascending indices on their test samples (columns)."""
    with open_result(run.path) as file:
        return file["cross/accuracy"][clients][:, clients]
