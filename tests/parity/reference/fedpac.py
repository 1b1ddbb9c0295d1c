"""Xu et al., ICLR 2023, algorithm 1: feature alignment and classifier collaboration."""

from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
import torch

from .baselines import LayerMethod
from .tensors import copy


@dataclass
class Statistics:
    """Features of a client's samples: V, and p(c) mu_c, a row a class."""

    variance: float
    bias: np.ndarray


class FedPac(LayerMethod):
    defaults = {"head_passes": 1, "lambda": 1.0}

    def start(self):
        self.centroids = {}  # of the classes that the last cohort had
        self.classes, self.features = self.w[self.network.tensors_of([self.network.head()])[0]].shape

    def local_round(self, t, k, trainer):
        theta = self.model(k)
        self.statistics[k] = self.extract(k, theta)
        trainer.fresh(theta)
        trainer.passes(theta, self.keys["head_passes"], scope=self.on(personal=True))
        trainer.fresh(theta)
        trainer.passes(theta, self.passes - self.keys["head_passes"], scope=self.on(personal=False), term=self.alignment)
        self.means[k] = self.class_means(k, theta)
        self.own[k] = theta
        return theta

    def round(self, t, cohort):
        self.statistics, self.means = {}, {}
        return super().round(t, cohort)

    def alignment(self, features, y):
        """lambda times torch.nn.MSELoss of features and centroids; a class without one is its own."""
        targets = torch.stack([self.centroids.get(int(c), f.detach()) for c, f in zip(y, features)])
        return self.keys["lambda"] * torch.nn.functional.mse_loss(features, targets)

    def class_means(self, k, theta):
        client = self.clients[k]
        features = self.network.features(theta, client.x).double()
        return {int(c): features[client.y == c].mean(0) for c in client.y.unique()}

    def extract(self, k, theta):
        client = self.clients[k]
        features = self.network.features(theta, client.x).double()
        variance, bias = 0.0, np.zeros((self.classes, self.features))
        for c, mean in self.class_means(k, theta).items():
            own = features[client.y == c]
            p = len(own) / client.samples
            variance += p * float((own.T @ own).trace()) / len(own) - p**2 * float(mean @ mean)
            bias[c] = p * mean.numpy()
        return Statistics(variance / client.samples, bias)

    def after_merge(self, cohort):
        self.centroids = {}
        for c in range(self.classes):
            counts = {k: int((self.clients[k].y == c).sum()) for k in cohort}
            total = sum(counts.values())
            if total:
                self.centroids[c] = (sum(n * self.means[k][c] for k, n in counts.items() if n) / total).float()
        heads = {k: copy({n: self.own[k][n].double() for n in self.personal()}) for k in cohort}
        for i in cohort:
            weights = best_weights(self.program(i, cohort))
            for name in self.personal():
                self.own[i][name] = sum(a * heads[j][name] for a, j in zip(weights, cohort)).float()

    def program(self, i, cohort):
        """The matrix of the quadratic program of client i."""
        away = np.stack([(self.statistics[i].bias - self.statistics[j].bias).ravel() for j in cohort])
        return np.diag([self.statistics[j].variance for j in cohort]) + away @ away.T

    def head_values(self):
        return sum(self.w[name].numel() for name in self.personal())

    def values_sent(self, k):
        """Besides the shared ones: the head; V, a count a class, class means before and after training."""
        return super().values_sent(k) + self.head_values() + 1 + self.classes * (1 + 2 * self.features)

    def values_received(self, k):
        """Besides the shared ones: the combined head; a centroid and a count a class."""
        return super().values_sent(k) + self.head_values() + self.classes * (1 + self.features)


def best_weights(matrix):
    """The point of the simplex with the least a^T matrix a: the best of all faces' minima that lie on them."""
    n = len(matrix)
    best, least = None, np.inf
    for face in map(list, chain.from_iterable(combinations(range(n), size) for size in range(1, n + 1))):
        inverse = np.linalg.pinv(matrix[np.ix_(face, face)]).sum(1)
        a = np.zeros(n)
        a[face] = inverse / inverse.sum() if inverse.sum() else 1 / len(face)
        if (a >= 0).all() and a @ matrix @ a < least:
            best, least = a, a @ matrix @ a
    return best
