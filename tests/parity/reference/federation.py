"""What all methods have in common: the round, the per-index mean, the tests. A method overrides a few verbs."""

from dataclasses import dataclass, field

import torch

from .clients import Trainer, fine_tuned
from .optimizers import LocalOptimizer, Server
from .selection import Window
from .tensors import constant_mask, copy, count, where


@dataclass
class Train:
    passes: int
    batch: int
    lr: object  # a function of the round
    optimizer: LocalOptimizer


@dataclass
class Setting:
    """What the program is given, too."""

    network: object
    initial: dict
    clients: list
    train: Train
    server: Server


@dataclass
class Record:
    """What one round leaves behind, by client."""

    accuracy: dict = field(default_factory=dict)
    gradients: dict = field(default_factory=dict)
    loss: dict = field(default_factory=dict)
    bytes_up: dict = field(default_factory=dict)
    bytes_down: dict = field(default_factory=dict)
    density: dict = field(default_factory=dict)


class Method:
    """Federated averaging with personal tensors: FedAvg as it stands."""

    defaults = {}
    weighting = "samples"

    def __init__(self, setting, keys):
        self.keys = {"passes": 0, "weighting": self.weighting, **self.defaults, **keys}
        self.setting, self.network, self.clients = setting, setting.network, setting.clients
        self.passes = self.keys["passes"] or setting.train.passes
        self.w = copy(setting.initial)  # the global model
        self.own = [copy(setting.initial) for _ in self.clients]  # of which the personal part counts
        self.mask = [constant_mask(self.w, self.personal()) for _ in self.clients]
        self.window = [Window(self.w) for _ in self.clients]
        self.rounds = 0  # done so far
        setting.server.start({name: self.w[name] for name in self.network.parameters})
        self.start()

    # Verbs of a method

    def start(self):
        """States that the method keeps besides."""

    def personal(self):
        """Names of the tensors that are personal from the beginning."""
        return []

    def train(self, t, k, trainer, theta):
        """Local training of theta, in place."""
        trainer.passes(theta, self.passes)

    def local_round(self, t, k, trainer):
        """Everything that client k does in a round; returns what it uploads."""
        theta = self.model(k)
        trainer.fresh(theta)
        self.train(t, k, trainer, theta)
        self.own[k] = theta
        return theta

    def merge(self, cohort, uploads):
        mean, shared = self.mean(cohort, uploads)
        self.w = self.setting.server.step(self.w, mean, shared)

    def after_merge(self, cohort):
        """What happens after the broadcast."""

    def deployed(self, k):
        """The model that client k would use."""
        return self.model(k)

    def tested(self, t, k):
        """The model whose accuracy counts, at the end of round t."""
        return self.deployed(k)

    def values_received(self, k):
        """How many values client k receives, if not as many as it sends."""
        return self.values_sent(k)

    def values_sent(self, k):
        """How many values client k sends."""
        names = self.network.names
        return sum(self.w[n].numel() for n in names) - count(self.mask[k], names)

    # What they are made of

    def model(self, k):
        """Personal values of client k where its mask is 1, the global model elsewhere."""
        return where(self.mask[k], self.own[k], self.w)

    def mean(self, cohort, uploads):
        """Per index over the cohort's clients that share it, and which indices somebody shared."""
        total = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in self.w.items()}
        weights = {name: torch.zeros_like(value, dtype=torch.float64) for name, value in self.w.items()}
        for k, upload in zip(cohort, uploads):
            weight = self.clients[k].samples if self.keys["weighting"] == "samples" else 1
            for name in total:
                shares = (~self.mask[k][name]).double() * weight
                total[name] += shares * upload[name].double()
                weights[name] += shares
        shared = {name: weights[name] > 0 for name in total}
        return {name: (total[name] / weights[name]).float() for name in total}, shared

    def trainer(self, t, k, samples=None):
        train = self.setting.train
        return Trainer(self.network, train.optimizer, self.clients[k], train.batch, train.lr(t), samples)

    def local_samples(self, k):
        """On how many of its samples client k trains."""
        return self.clients[k].samples

    def accuracy(self, k, theta):
        client = self.clients[k]
        return self.network.correct(theta, client.test_x, client.test_y) / len(client.test_y)

    def fine_tuned(self, t, k, theta, passes):
        return fine_tuned(self.trainer(t, k), theta, passes)

    def round(self, t, cohort):
        record, uploads = Record(), []
        self.rounds = t + 1
        for k in cohort:
            before = self.mask[k]
            trainer = self.trainer(t, k, self.local_samples(k))
            uploads.append(self.local_round(t, k, trainer))
            record.gradients[k] = trainer.gradients
            record.loss[k] = trainer.loss_sum / max(trainer.gradients, 1)
            after = self.next_mask(k)
            changed = self.searches() and any((before[n] != after[n]).any() for n in self.network.parameters)
            record.bytes_down[k] = 4 * self.values_received(k)
            record.bytes_up[k] = 4 * self.values_sent(k) + ((self.network.size + 7) // 8 if changed else 0)
            if self.keys.get("evaluate_at") == "after-local":
                record.accuracy[k] = self.accuracy(k, self.own[k])
        self.merge(cohort, uploads)
        self.after_merge(cohort)
        for k in range(len(self.clients)):
            if self.keys.get("evaluate_at") != "after-local":
                record.accuracy[k] = self.accuracy(k, self.tested(t, k))
            record.density[k] = [float(self.mask[k][n].double().mean()) for n in self.network.names]
        return record

    def searches(self):
        """Whether masks are the clients' choice; the server knows one that the method fixes."""
        return True

    def next_mask(self, k):
        """The mask with which client k leaves the round."""
        return self.mask[k]
