"""One experiment, run twice: by the program and by the reference, from the same files."""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
import program  # noqa: E402
from make_idx import make_idx  # noqa: E402
from reference import networks  # noqa: E402
from reference.clients import Client  # noqa: E402
from reference.federation import Setting, Train  # noqa: E402
from reference.methods import METHODS  # noqa: E402
from reference.optimizers import LocalOptimizer, Server  # noqa: E402
from write_safetensors import write_safetensors  # noqa: E402

CLASSES = 4


@dataclass(frozen=True)
class Shape:
    """Size of the images and of the clients. No last batch has one sample, and some are without partner in a pass."""

    side: int
    train: tuple
    test: tuple
    batch: int
    passes: int
    lr: float


# Gradients jump where an input of relu crosses zero and where pooling has a tie, and batch norm over few values magnifies
# what is small. With many images of 12 x 12, rounding decides about such a place in nearly every run, and a reference that
# began an ulp apart would differ from itself. These shapes make that rare; see also `unstable`.
SHAPES = {
    "mlp": Shape(12, (11, 18, 26, 31, 40), (9, 12, 14, 16, 20), 8, 2, 0.05),
    "cnn": Shape(4, (6, 7, 8, 10, 11), (9, 12, 14, 16, 20), 4, 1, 0.1),
    "resnet8": Shape(8, (16, 20, 24, 32, 36), (9, 12, 14, 16, 20), 16, 1, 0.05),
}


# The files that both are given


def make_files(folder, shape):
    """Data and partition of all cases of a shape. Returns the folder."""
    if not folder.exists():
        make_idx(folder / "data", train=200, test=120, size=shape.side, classes=CLASSES, seed=3)
        make_partition(folder / "partition.h5", shape, [labels.numpy() for _, labels in read_data(folder / "data")])
    return folder


def make_partition(path, shape, labels):
    """Clients of two or three classes each; layout of /partition in docs/result-format.md. labels: those of the
    training and of the test samples."""
    random = np.random.default_rng(5)
    classes = [(0, 1), (1, 2, 3), (2, 3), (0, 3), (0, 1, 2)]
    with h5py.File(path, "w") as file:
        for part, sizes, label in zip(("train", "test"), (shape.train, shape.test), labels):
            free = list(random.permutation(len(label)))
            indices = []
            for own, size in zip(classes, sizes):
                taken = [i for i in free if label[i] in own][:size]
                assert len(taken) == size
                free = [i for i in free if i not in set(taken)]
                indices.append(taken)
            file[f"partition/{part}_indices"] = np.concatenate(indices).astype("i8")
            file[f"partition/{part}_offsets"] = np.cumsum([0, *map(len, indices)]).astype("i8")


def write_config(path, sections, method):
    lines = [f"{key} = {json.dumps(value)}" for key, value in sections[""].items()]
    for name, keys in sections.items():
        if name:
            lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    lines += ["", "[[method]]", *(f"{key} = {json.dumps(value)}" for key, value in method.items())]
    path.write_text("\n".join(lines) + "\n")


def read_idx(path, axes):
    return np.frombuffer(path.read_bytes(), dtype="u1", offset=4 + 4 * axes)


def read_data(folder):
    """Images and labels of training and test. Pixels as fractions of 255 become mean 0, deviation 1 over the training
    part."""
    labels = [read_idx(folder / f"{prefix}-labels-idx1-ubyte", 1).astype("i8") for prefix in ("train", "t10k")]
    pixels = [read_idx(folder / f"{prefix}-images-idx3-ubyte", 3) / 255 for prefix in ("train", "t10k")]
    side = round((pixels[0].size / labels[0].size) ** 0.5)
    pixels = [p.reshape(-1, 1, side, side) for p in pixels]
    mean, deviation = pixels[0].mean(), pixels[0].std()
    return [(torch.from_numpy(((p - mean) / deviation).astype("f4")), torch.from_numpy(y)) for p, y in zip(pixels, labels)]


def read_clients(data, partition):
    """The clients' samples in the partition's order. partition: an open group with indices and offsets."""
    clients = []
    train, test = ((partition[f"{p}_indices"][:], partition[f"{p}_offsets"][:]) for p in ("train", "test"))
    for k in range(len(train[1]) - 1):
        own = []
        for (x, y), (indices, offsets) in zip(data, (train, test)):
            rows = torch.from_numpy(indices[offsets[k] : offsets[k + 1]].astype("i8"))
            own += [x[rows], y[rows]]
        clients.append(Client(*own))
    return clients


# The two runs


@dataclass
class Case:
    """method and its keys; model; what else the config says; tolerances."""

    method: str
    keys: dict
    model: str = "mlp"
    hidden: int = 24
    rounds: int = 6
    train: dict = None
    server: dict = None
    participation: float = 0.6  # 3 of 5 clients
    federation: dict = None
    initial: object = None  # changes the initial values
    exact_masks: bool = False  # no differences are allowed near the cutoff either
    tolerance: float = 1e-4

    @property
    def shape(self):
        return SHAPES[self.model]

    def training(self):
        shape = self.shape
        return {"passes": shape.passes, "batch": shape.batch, "lr": shape.lr, **(self.train or {})}


class Programmed:
    """What the program computed."""

    def __init__(self, path, network):
        with h5py.File(path) as file:
            self.w = {name: torch.from_numpy(file[f"model/{name}"][:]) for name in network.names}
            self.metrics = {name: data[:] for name, data in file["metrics"].items()}
            self.cohorts = [np.flatnonzero(row).tolist() for row in self.metrics["participated"]]
            names = [n.decode() if isinstance(n, bytes) else n for n in file["layout/name"][:]]
            assert names == network.parameters, f"{names} are not {network.parameters}"
            bits = np.unpackbits(file["masks/bits"][:], axis=1, bitorder="little")[:, : network.size]
            self.masks = torch.from_numpy(bits.astype(bool))
            self.models = torch.from_numpy(file["client_models/values"][:]) if "client_models" in file else None


def run_program(case, folder, files):
    """Runs it and returns the path of the result."""
    model = {"name": case.model, "initial": str(folder / "initial.safetensors")}
    if case.model == "mlp":
        model["hidden"] = case.hidden
    sections = {
        "": {"name": "parity", "seed": 7, "rounds": case.rounds},
        "data": {"path": str(files / "data"), "clients": len(case.shape.train), "partition": "file",
                 "partition_file": str(files / "partition.h5")},
        "model": model,
        "train": {**case.training(), "shuffle": False},
        "federation": {"participation": case.participation, **(case.federation or {})},
        "evaluate": {"every": 1},
        "output": {"masks": True, "client_models": True},
    }
    if case.server:
        sections["server"] = case.server
    write_config(folder / "config.toml", sections, {"name": case.method, **case.keys})
    program.ask("run", folder / "config.toml", "--out", folder, "--quiet")
    return folder / "parity" / "result.h5"


def make_network(case, seed):
    """The network and its initial values."""
    torch.manual_seed(seed)
    network = networks.make(case.model, case.shape.side, 1, CLASSES, case.hidden)
    initial = network.values()
    for norm in network.norms:  # most inputs of the relu behind it are positive
        weight, bias = initial[f"{norm}.weight"], initial[f"{norm}.bias"]
        initial[f"{norm}.weight"] = 0.5 + 0.1 * torch.rand_like(weight)
        initial[f"{norm}.bias"] = 1 + 0.3 * torch.randn_like(bias)
    # The program sums shared values in steps of 2^-40. From 2^-16 on floats are no finer, so a mean of equals is exact, and
    # a parameter that nobody changes (a weight that meets only padding, say) stays as it is.
    initial = {n: v.sign() * v.abs().clamp(min=2**-16) for n, v in initial.items()}
    return network, case.initial(initial) if case.initial else initial


def run_reference(case, network, initial, clients, cohorts):
    """The reference, on the cohorts that the program drew."""
    train = case.training()
    optimizer = LocalOptimizer(train.get("optimizer", "sgd"),
                               **{k: v for k, v in train.items() if k in LocalOptimizer.__annotations__ and k != "kind"})
    server = dict(case.server or {})
    server = Server(server.pop("optimizer", "average"), **server)
    setting = Setting(network, initial, clients,
                      Train(train["passes"], train["batch"], learning_rate(train, case.rounds), optimizer), server)
    method = METHODS[case.method](setting, dict(case.keys))
    return method, [method.round(t, cohort) for t, cohort in enumerate(cohorts)]


def learning_rate(train, rounds):
    """The rate of a round."""
    lr, kind = train["lr"], train.get("schedule", "constant")

    def rate(t):
        warm = min(1.0, (t + 1) / train["warmup"]) if train.get("warmup") else 1.0
        if kind == "step":
            return warm * lr * train["lr_factor"] ** (t // train["lr_every"])
        if kind == "cosine":
            return warm * (train["lr_final"] + (lr - train["lr_final"]) * (1 + math.cos(math.pi * t / rounds)) / 2)
        return warm * lr

    return rate


@dataclass
class Runs:
    """Both runs of a case from one set of initial values."""

    network: object
    initial: dict
    clients: list
    ours: Programmed
    method: object
    records: list

    def unstable(self, case, differs):
        """Whether the reference differs from itself if it begins as far apart as rounding in training brings it and the
        program: then rounding alone explains why they differ. differs(method): from self.method, by more than is allowed."""
        generator = torch.Generator().manual_seed(1)
        for size in (1e-7, 3e-7, 1e-6) * 4:
            near = {n: v * (1 + size * torch.randn(v.shape, generator=generator)) for n, v in self.initial.items()}
            if differs(run_reference(case, self.network, near, self.clients, self.ours.cohorts)[0]):
                return True
        return False


def run_both(case, folder, files, seed):
    """seed: of the initial values."""
    network, initial = make_network(case, seed)
    write_safetensors(folder / "initial.safetensors", initial)
    ours = Programmed(run_program(case, folder, files), network)
    with h5py.File(files / "partition.h5") as file:
        clients = read_clients(read_data(files / "data"), file["partition"])
    return Runs(network, initial, clients, ours, *run_reference(case, network, initial, clients, ours.cohorts))
