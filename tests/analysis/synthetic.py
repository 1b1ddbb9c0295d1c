"""Writes result files as docs/result-format.md describes them, with invented numbers. For tests of the report only.

`python3 synthetic.py FOLDER METHODS CLIENTS` writes a folder of runs to look at.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np

PHASES = ["train", "select", "aggregate", "communicate", "store", "evaluate", "write", "other"]
# label, method, end accuracy, tested on, kind of mask
METHODS = [
    ("fedavg", "fedavg", 0.52, "after-broadcast", "none"),
    ("fedselect", "fedselect", 0.86, "after-local", "growing"),
    ("fedselect-ltn", "fedselect-ltn", 0.84, "after-broadcast", "searched"),
    ("fedrep", "fedrep", 0.80, "after-broadcast", "head"),
    ("local", "local", 0.74, "after-local", "all"),
    ("lotteryfl", "lotteryfl", 0.72, "after-broadcast", "shrinking"),
    ("fedavg-ft", "fedavg-ft", 0.78, "fine-tuned", "none"),
    ("fedselect, p=.50, limit .30, scope global", "fedselect", 0.85, "after-local", "growing"),
    ("fedselect, p=.10, limit .30, scope global", "fedselect", 0.83, "after-local", "growing"),
    ("ditto", "ditto", 0.75, "after-broadcast", "none"),
    ("fedprox", "fedprox", 0.53, "after-broadcast", "none"),
    ("fedalt with the two last layers personal", "fedalt", 0.79, "after-broadcast", "head"),
]
TENSORS = [
    ("conv1.weight", (8, 3, 5, 5), 0),
    ("conv1.bias", (8,), 0),
    ("conv2.weight", (16, 8, 5, 5), 1),
    ("conv2.bias", (16,), 1),
    ("fc1.weight", (32, 64), 2),
    ("fc1.bias", (32,), 2),
    ("fc2.weight", (10, 32), 3),
    ("fc2.bias", (10,), 3),
]


def write_result(
    folder: Path,
    *,
    accuracy,
    density,
    layout=(("w", (6,), 0), ("b", (2,), 1)),
    label="tiny",
    method="fedavg",
    dataset="toy",
    tested_on="after-broadcast",
    before=None,
    after=None,
    participated=None,
    gradients=None,
    bytes_up=None,
    bytes_down=None,
    mask_changes=None,
    masks=None,
    class_counts=None,
    seconds=None,
    cross=None,
    new_clients=None,
    version=1,
    seed=1,
) -> Path:
    """Writes folder/result.h5 from what the caller gives and plain values for the rest; returns the file's path.

    `accuracy`: (R, N); `density`: (R, N, T); `masks`: (N, d) of 0 and 1, or None for a file without them;
    `cross`: (N, N), `new_clients`: (indices, before, after), likewise.
    """
    accuracy = np.asarray(accuracy, float)
    rounds, clients = accuracy.shape
    names, shapes, layers = zip(*layout)
    sizes = np.array([np.prod(shape) for shape in shapes], np.int64)
    parameters = int(sizes.sum())
    participated = np.ones((rounds, clients), np.uint8) if participated is None else np.asarray(participated, np.uint8)
    counts = np.asarray([[5, 5]] * clients if class_counts is None else class_counts, np.int64)
    seconds = np.ones((rounds, 1, len(PHASES))) if seconds is None else np.asarray(seconds, float)

    def integers(values, default):
        return np.asarray(participated.astype(np.int64) * default if values is None else values, np.int64)

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "result.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {
                "format": "fedselect-result",
                "version": version,
                "name": "test",
                "label": label,
                "method": method,
                "dataset": dataset,
                "seed": seed,
                "rounds": rounds,
                "clients": clients,
                "parameters": parameters,
                "tested_on": tested_on,
            }
        )
        file["config"] = f'[[method]]\nname = "{method}"\n'
        file["provenance"] = '{"program": "synthetic <test>"}'
        metrics = file.create_group("metrics")
        metrics["participated"] = participated
        metrics["diverged"] = np.zeros((rounds, clients), np.uint8)
        metrics["accuracy"] = accuracy
        metrics["accuracy_before"] = accuracy if before is None else before
        metrics["accuracy_after"] = accuracy if after is None else after
        metrics["loss"] = np.where(participated, 1.0, np.nan)
        metrics["samples"] = integers(None, 10)
        metrics["gradients"] = integers(gradients, 50)
        metrics["flops"] = metrics["gradients"][:] * 1000.0
        metrics["bytes_up"] = integers(bytes_up, 4 * parameters)
        metrics["bytes_down"] = integers(bytes_down, 4 * parameters)
        metrics["mask_changes"] = integers(mask_changes, 0)
        metrics["density"] = np.asarray(density, np.float32)
        layout_group = file.create_group("layout")
        layout_group["name"] = list(names)
        layout_group["shape"] = [",".join(map(str, shape)) for shape in shapes]
        layout_group["size"] = sizes
        layout_group["layer"] = np.array(layers, np.int32)
        if masks is not None:
            file["masks/bits"] = np.packbits(np.asarray(masks, np.uint8), axis=1, bitorder="little")
        if cross is not None:
            file["cross/accuracy"] = np.asarray(cross, np.float32)
        if new_clients is not None:
            file["new_clients/client"] = np.asarray(new_clients[0], np.int32)
            file["new_clients/accuracy_before"], file["new_clients/accuracy_after"] = new_clients[1:]
        file["clients/train_samples"] = counts.sum(axis=1)
        file["clients/test_samples"] = counts.sum(axis=1)
        for split in ("train", "test"):
            file[f"partition/{split}_class_counts"] = counts
            file[f"partition/{split}_indices"] = np.arange(counts.sum())
            file[f"partition/{split}_offsets"] = np.append(0, counts.sum(axis=1).cumsum())
        file["timings/phase"] = PHASES
        file["timings/seconds"] = seconds
        file["timings/rank_of_client"] = np.arange(clients, dtype=np.int32) % seconds.shape[1]
        file["timings/gradient_rate"] = np.full(seconds.shape[:2], 1000.0)
    return path


def shard_counts(clients: int, classes: int = 10, held: int = 2, per_class: int = 20) -> np.ndarray:
    """(N, C): `held` classes a client, drawn by a fixed seed."""
    random = np.random.default_rng(5)
    counts = np.zeros((clients, classes), np.int64)
    for row in counts:
        row[random.choice(classes, held, replace=False)] = per_class
    return counts


def invent_density(kind: str, rounds: int, random) -> np.ndarray:
    """(R, T) personal fraction of each tensor for a kind of mask."""
    weights = np.array([name.endswith("weight") for name, _, _ in TENSORS])
    head = np.array([layer == 3 for _, _, layer in TENSORS])
    time = np.arange(rounds)[:, None]
    if kind == "growing":
        grown = 1 - 0.75 ** np.minimum(time // 3, 6)
        return grown * weights * (1 - 0.15 * random.random(len(TENSORS)))
    if kind == "searched":
        return np.full((rounds, len(TENSORS)), 0.0625)
    if kind == "shrinking":
        return 1 - 0.8 ** np.minimum(time // 5, 5) * weights
    return np.broadcast_to({"none": 0 * head, "head": head, "all": 0 * head + 1}[kind], (rounds, len(TENSORS))).astype(
        float
    )


def invent_masks(density: np.ndarray, counts: np.ndarray, random) -> np.ndarray:
    """(N, d) masks of the given (T) density that agree more where clients share classes: ranks of scores, partly by class."""
    parts = []
    for (_, shape, _), fraction in zip(TENSORS, density):
        size = int(np.prod(shape))
        scores = (counts > 0) @ random.normal(size=(counts.shape[1], size)) + 1.5 * random.normal(
            size=(len(counts), size)
        )
        ranks = scores.argsort(axis=1).argsort(axis=1)
        parts.append(ranks >= size - round(fraction * size))
    return np.concatenate(parts, axis=1)


def invent_run(
    folder: Path,
    number: int,
    clients: int,
    rounds: int = 40,
    every: int = 1,
    participation: float = 1.0,
    ranks: int = 4,
    method=None,
    new: int = 0,
) -> Path:
    """A plausible run of METHODS[number]: saturating accuracies, client spread, bytes by what is shared, 4 ranks.

    With `new` > 0 so many last clients never take part, and there is a cross matrix.
    """
    label, name, peak, tested_on, kind = method or METHODS[number]
    random = np.random.default_rng(100 + number)
    counts = shard_counts(clients)
    ability = random.normal(0, 0.16 if peak < 0.6 else 0.08, clients)
    time = np.arange(1, rounds + 1)[:, None]
    curve = 0.1 + (peak - 0.1) * (1 - np.exp(-time / (rounds * (0.1 + 0.02 * (number % 5)))))
    accuracy = np.clip(curve + ability * curve + random.normal(0, 0.02, (rounds, clients)), 0, 1)
    accuracy = np.round(accuracy * 200) / 200
    participated = np.zeros((rounds, clients), np.uint8)
    for row in participated:
        row[random.choice(clients - new, max(int(participation * (clients - new)), 1), replace=False)] = 1
    evaluated = (np.arange(1, rounds + 1) % every == 0)[:, None] & (participated == 1)
    accuracy[~evaluated] = np.nan
    density = invent_density(kind, rounds, random)
    per_client = np.where(participated[:, :, None] == 1, density[:, None, :], np.nan).astype(np.float32)
    sizes = np.array([np.prod(shape) for _, shape, _ in TENSORS])
    shared = (4 * ((1 - density) @ sizes)).astype(np.int64)[:, None] * participated
    seconds = random.uniform(0.02, 0.05, (rounds, ranks, len(PHASES)))
    seconds[:, :, 0] = (2.4 if name == "fedselect-ltn" else 0.4) * random.uniform(0.8, 1.2, (rounds, ranks))
    passes = 30 if name == "fedselect-ltn" else 5
    return write_result(
        folder,
        accuracy=accuracy,
        before=accuracy * 0.9,
        after=np.minimum(accuracy * 1.03, 1),
        density=per_client,
        layout=TENSORS,
        label=label,
        method=name,
        tested_on=tested_on,
        participated=participated,
        gradients=participated.astype(np.int64) * passes * 40,
        bytes_up=shared,
        bytes_down=shared,
        mask_changes=(abs(np.diff(density, axis=0, prepend=0)) @ sizes).astype(np.int64)[:, None] * participated,
        masks=invent_masks(density[-1], counts, random),
        class_counts=counts,
        seconds=seconds,
        cross=invent_cross(counts, accuracy[-1], peak, random) if new else None,
        new_clients=invent_new_clients(clients, new, peak, random) if new else None,
    )


def invent_cross(counts: np.ndarray, own: np.ndarray, peak: float, random) -> np.ndarray:
    """(N, N) accuracies: high where the two clients hold the same classes."""
    shares = counts / counts.sum(axis=1, keepdims=True)
    overlap = np.array([np.minimum(share, shares).sum(axis=1) for share in shares])
    cross = np.clip(0.3 * peak + 0.7 * peak * overlap + random.normal(0, 0.03, overlap.shape), 0, 1)
    known = np.flatnonzero(np.isfinite(own))
    cross[known, known] = own[known]
    return cross


def invent_new_clients(clients: int, new: int, peak: float, random) -> tuple:
    """Indices, accuracy before and after."""
    before = np.clip(0.5 * peak + random.normal(0, 0.1, new), 0, 1)
    return np.arange(clients - new, clients), before, np.clip(before + random.uniform(0.05, 0.3, new), 0, 1)


if __name__ == "__main__":
    for index in range(int(sys.argv[2])):
        invent_run(Path(sys.argv[1]) / f"{index:02d}", index, int(sys.argv[3]), new=int(sys.argv[3]) // 6)
