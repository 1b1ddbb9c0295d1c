"""A client's samples, its batches, and one client's local training in one round."""

from dataclasses import dataclass

import torch

from .tensors import copy


@dataclass
class Client:
    x: torch.Tensor
    y: torch.Tensor
    test_x: torch.Tensor
    test_y: torch.Tensor

    @property
    def samples(self):
        return len(self.y)

    def batches(self, size, samples=None):
        """Consecutive runs of the first `samples` samples; the same in every pass."""
        n = self.samples if samples is None else samples
        return [(self.x[i : min(i + size, n)], self.y[i : min(i + size, n)]) for i in range(0, n, size)]


class Trainer:
    """Trains one client in one round; counts sample gradients and their loss."""

    def __init__(self, network, optimizer, client, batch, lr, samples=None):
        self.network, self.optimizer, self.lr = network, optimizer, lr
        self.batches = client.batches(batch, samples)
        self.gradients, self.loss_sum = 0, 0.0

    def fresh(self, theta):
        self.optimizer.start({name: theta[name] for name in self.network.parameters})

    def gradient(self, theta, x, y, term=None):
        loss, gradient = self.network.gradient(theta, x, y, term)
        self.gradients += len(y)
        self.loss_sum += loss * len(y)
        return gradient

    def passes(self, theta, number, scope=None, extra=None, term=None):
        """`number` passes over theta, in place. scope: a mask, 1 = train it. extra(theta): what the method adds to the
        gradient; term: to the loss, as Network.gradient takes it."""
        for _ in range(number):
            if scope is not None and not any(scope[name].any() for name in self.network.parameters):
                self._forward_only(theta)
                continue
            for x, y in self.batches:
                gradient = self.gradient(theta, x, y, term)
                if extra:
                    added = extra(theta)
                    gradient = {name: gradient[name] + added[name] for name in gradient}
                self.optimizer.step(theta, gradient, self.lr, scope)

    def _forward_only(self, theta):
        """Nothing to train: only running statistics move."""
        if self.network.statistics:
            for x, _ in self.batches:
                self.network.forward(theta, x)


def fine_tuned(trainer, theta, passes):
    """A copy, after passes on everything with a fresh optimizer."""
    theta = copy(theta)
    trainer.fresh(theta)
    trainer.passes(theta, passes)
    return theta
