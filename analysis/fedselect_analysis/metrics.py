"""Numbers over clients, masks and costs (source: algorithms.md, section 6). Accuracies in [0, 1] in and out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .reading import Run

MAX_MATRIX_CLIENTS = 100  # clients whose masks are compared pair by pair
MAX_PAIR_WORK = 2e10  # clients^2 * parameters: bounds the time spent on one run's masks
SAMPLE_SEED = 20240402  # which clients are drawn where there are too many; fixed, so that a report can be repeated
MASK_BLOCK = 1 << 16  # parameters unpacked at a time

NOT_PERSONALISED = ("fedavg", "fedprox", "scaffold")  # every client ends with the global model


@dataclass(frozen=True)
class Spread:
    """How accuracy is distributed over clients. `worst_decile`: mean of the lowest ceil(N / 10). `std`: of the population.
    `jain`: (sum x)^2 / (N sum x^2), 1 = all equal."""

    tested: int
    mean: float
    std: float
    worst: float
    worst_decile: float
    median: float
    best: float
    jain: float


def spread(accuracy: np.ndarray) -> Spread:
    """Spread of (N) accuracies; NaN (a client never tested) is left out, one finite value at least is needed."""
    values = np.sort(accuracy[np.isfinite(accuracy)])
    squares = float((values**2).sum())
    jain = float(values.sum()) ** 2 / (len(values) * squares) if squares > 0 else 1.0
    lowest = values[: math.ceil(len(values) / 10)]
    return Spread(
        len(values),
        float(values.mean()),
        float(values.std()),
        float(values[0]),
        float(lowest.mean()),
        float(np.median(values)),
        float(values[-1]),
        jain,
    )


def finite_mean(values: np.ndarray) -> float:
    """Mean of the finite values; NaN where there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan


def wins_losses_ties(accuracy: np.ndarray, reference: np.ndarray) -> tuple[int, int, int]:
    """Clients better, worse and equal to their own value in `reference`; clients untested in either are left out."""
    difference = accuracy - reference
    return int((difference > 0).sum()), int((difference < 0).sum()), int((difference == 0).sum())


def reference_run(runs: list[Run]) -> Run:
    """The run that others are compared with: the first fedavg, else the first run."""
    return next((run for run in runs if run.method == "fedavg"), runs[0])


def best_first(runs: list[Run]) -> list[Run]:
    """The runs by final mean accuracy."""
    return sorted(runs, key=lambda run: run.mean[-1], reverse=True)


def best_personalised(runs: list[Run]) -> Run | None:
    """Highest final mean accuracy among federated methods that give clients models of their own."""
    candidates = [run for run in runs if run.method not in (*NOT_PERSONALISED, "local")]
    return max(candidates, key=lambda run: run.mean[-1], default=None)


@dataclass(frozen=True)
class Cost:
    """What a run had spent at the end of the first evaluated round whose mean accuracy reaches a target."""

    rounds: int
    megabytes: float
    gradients: int


def cost_to_reach(run: Run, target: float) -> Cost | None:
    """Cost until mean accuracy >= target for the first time; None where it never does."""
    reached = np.flatnonzero(run.mean >= target)
    if not len(reached):
        return None
    last = run.evaluated[reached[0]]
    return Cost(int(last) + 1, run.total_bytes[last] / 1e6, int(run.total_gradients[last]))


def accuracy_at_gradients(run: Run, budget: float) -> float:
    """Mean accuracy at the last evaluated round that `budget` sample gradients pay for; NaN if they pay for none."""
    affordable = np.flatnonzero(run.total_gradients[run.evaluated] <= budget)
    return float(run.mean[affordable[-1]]) if len(affordable) else math.nan


def sample_clients(count: int, limit: int) -> np.ndarray:
    """All of `count` clients, or `limit` of them drawn without replacement by a fixed seed; ascending."""
    if count <= limit:
        return np.arange(count)
    return np.sort(np.random.default_rng(SAMPLE_SEED).choice(count, limit, replace=False))


def chance_iou(density: np.ndarray | float) -> np.ndarray | float:
    """Expected IoU of two independent random masks of density f: f / (2 - f)."""
    return density / (2 - density)


def tensor_intersections(bits: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(T, S, S) sizes of the pairwise intersections of S packed masks, tensor by tensor; the diagonal holds mask sizes.

    `bits`: (S, ceil(d/8)) u8, least significant bit first; `sizes`: (T) parameters per tensor, one after another.
    Counts come from float32 products of at most MASK_BLOCK ones, so they are exact.
    """
    clients = len(bits)
    result = np.zeros((len(sizes), clients, clients))
    begin = 0
    for tensor, size in enumerate(sizes):
        end = begin + int(size)
        for first in range(begin, end, MASK_BLOCK):
            last = min(first + MASK_BLOCK, end)
            ones = np.unpackbits(bits[:, first // 8 : (last + 7) // 8], axis=1, bitorder="little")
            ones = ones[:, first % 8 : first % 8 + last - first].astype(np.float32)
            result[tensor] += ones @ ones.T
        begin = end
    return result


def iou(intersections: np.ndarray) -> np.ndarray:
    """IoU of every pair from (..., S, S) intersections; NaN where both masks are empty."""
    own = np.diagonal(intersections, axis1=-2, axis2=-1)
    union = own[..., :, None] + own[..., None, :] - intersections
    return np.divide(intersections, union, out=np.full(union.shape, np.nan), where=union > 0)


def pairs(matrix: np.ndarray) -> np.ndarray:
    """(..., S, S) -> (..., S(S-1)/2): the entries above the diagonal."""
    rows, columns = np.triu_indices(matrix.shape[-1], k=1)
    return matrix[..., rows, columns]


def off_diagonal_mean(matrix: np.ndarray) -> float:
    """Mean of the finite entries of a square matrix outside its diagonal; NaN where there is none."""
    return finite_mean(matrix[~np.eye(len(matrix), dtype=bool)])


@dataclass(frozen=True)
class MaskOverlap:
    """Overlap of S clients' final masks. G groups of tensors (a tensor, or a layer where there are many tensors).

    `chance` is that of independent masks with the same density in every tensor: sum n f^2 / sum n (2 f - f^2) over tensors
    of n parameters. It is f / (2 - f) (`chance_flat`) where all tensors have the density f, and more where they differ.
    """

    run: Run
    clients: np.ndarray  # (S) indices
    matrix: np.ndarray  # (S, S) IoU of whole masks
    density: float
    hamming: float  # mean over pairs of the share of parameters in which two masks differ
    chance: float
    chance_flat: float
    group_names: list[str]  # (G)
    group_iou: np.ndarray  # (G, pairs)
    group_density: np.ndarray  # (G)
    group_chance: np.ndarray  # (G) by the same rule within the group
    iou_common: float  # mean IoU of pairs with a training class in common; NaN where there is none
    iou_disjoint: float  # mean IoU of the other pairs; NaN where there is none
    common_pairs: int
    disjoint_pairs: int


def mask_overlap(run: Run, bits: np.ndarray, clients: np.ndarray, names: list[str], groups: np.ndarray) -> MaskOverlap:
    """Compares the packed final masks `bits` of `clients`; `groups` (T) gives each tensor's group, `names` (G) their names."""
    intersections = tensor_intersections(bits, run.tensor_sizes)
    density = np.diagonal(intersections, axis1=1, axis2=2).mean(axis=1) / np.maximum(run.tensor_sizes, 1)
    members = np.arange(len(names))[:, None] == groups  # (G, T)
    matrix = iou(intersections.sum(axis=0))
    common = pairs(class_overlap(run.class_counts[clients]) > 0)
    whole = pairs(matrix)
    both = intersections.sum(axis=0)
    differing = np.diag(both)[:, None] + np.diag(both) - 2 * both
    mean_density = float(np.average(density, weights=run.tensor_sizes))
    return MaskOverlap(
        run,
        clients,
        matrix,
        mean_density,
        finite_mean(pairs(differing)) / run.parameters,
        stratified_chance(density, run.tensor_sizes),
        float(chance_iou(mean_density)),
        names,
        np.array([pairs(iou(intersections[member].sum(axis=0))) for member in members]),
        np.array([np.average(density[member], weights=run.tensor_sizes[member]) for member in members]),
        np.array([stratified_chance(density[member], run.tensor_sizes[member]) for member in members]),
        finite_mean(whole[common]),
        finite_mean(whole[~common]),
        int(common.sum()),
        int((~common).sum()),
    )


def stratified_chance(density: np.ndarray, sizes: np.ndarray) -> float:
    """IoU expected of independent masks with density f_t in tensors of n_t parameters: sum n f^2 / sum n (2 f - f^2)."""
    union = float((sizes * (2 * density - density**2)).sum())
    return float((sizes * density**2).sum()) / union if union > 0 else math.nan


def class_overlap(counts: np.ndarray) -> np.ndarray:
    """(N, C) sample counts -> (N, N) overlap of class mixes: sum over classes of the smaller of two shares, in [0, 1]."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.array([np.minimum(share, shares).sum(axis=1) for share in shares])


def matrix_clients(run: Run) -> np.ndarray:
    """Clients whose masks are compared: all that take part, or as many as MAX_MATRIX_CLIENTS and MAX_PAIR_WORK allow (two at least)."""
    affordable = int(math.sqrt(MAX_PAIR_WORK / max(run.parameters, 1)))
    return sample_clients(run.taking_part, max(2, min(MAX_MATRIX_CLIENTS, affordable)))


def tensor_groups(run: Run, limit: int) -> tuple[list[str], np.ndarray]:
    """Rows of a figure: the tensors where there are at most `limit`, else the layers. Returns names (G), group of each (T).

    A layer is called after its first tensor without that one's last component ("conv1.weight" -> "conv1").
    """
    if len(run.tensor_names) <= limit:
        return run.tensor_names, np.arange(len(run.tensor_names))
    layers, first, groups = np.unique(run.tensor_layers, return_index=True, return_inverse=True)
    return [
        run.tensor_names[index].rpartition(".")[0] or f"layer {layer}" for layer, index in zip(layers, first)
    ], groups
