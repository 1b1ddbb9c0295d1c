"""What steps a client's model, and what steps the server's."""

import math
from dataclasses import dataclass

import torch

from .tensors import each, zeros


@dataclass
class LocalOptimizer:
    """SGD or Adam as in torch.optim, fresh for each client and round. With a scope (a mask of 1 = train) the other
    indices keep parameters, moments and step counts."""

    kind: str = "sgd"
    momentum: float = 0.0
    weight_decay: float = 0.0
    grad_clip: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def start(self, parameters):
        """Forgets all steps."""
        self.first = zeros(parameters)
        self.second = zeros(parameters)
        self.steps = zeros(parameters)

    def step(self, theta, gradient, lr, scope=None):
        """Steps theta's parameters in place."""
        gradient = self.clipped(gradient)
        for name, g in gradient.items():
            now = torch.ones_like(g, dtype=torch.bool) if scope is None else scope[name]
            g = g + self.weight_decay * theta[name]
            if self.kind == "sgd":
                first, second, steps = self.momentum * self.first[name] + g, self.second[name], self.steps[name]
                moved = theta[name] - lr * first
            else:
                steps = self.steps[name] + 1
                first = self.beta1 * self.first[name] + (1 - self.beta1) * g
                second = self.beta2 * self.second[name] + (1 - self.beta2) * g * g
                mean = first / (1 - self.beta1**steps.double()).float()
                root = (second / (1 - self.beta2**steps.double()).float()).sqrt()
                moved = theta[name] - lr * mean / (root + self.epsilon)
            theta[name] = torch.where(now, moved, theta[name])
            self.first[name] = torch.where(now, first, self.first[name])
            self.second[name] = torch.where(now, second, self.second[name])
            self.steps[name] = torch.where(now, steps, self.steps[name])

    def clipped(self, gradient):
        """The norm is over all parameters, in scope or not."""
        if not self.grad_clip:
            return gradient
        norm = math.sqrt(sum(float(g.double().square().sum()) for g in gradient.values()))
        return each(lambda g: g * min(1.0, self.grad_clip / (norm + 1e-6)), gradient)


@dataclass
class Server:
    """Reddi et al. 2021: w - mean as a gradient. Steps only where somebody shared; running statistics take the mean."""

    kind: str = "average"
    lr: float = 1.0
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.99
    epsilon: float = 1e-3

    def start(self, parameters):
        self.first = zeros(parameters)
        self.second = zeros(parameters)

    def step(self, w, mean, shared):
        """The next global model; mean is meaningless where shared is False."""
        return {name: torch.where(shared[name], self._step(name, w[name], mean[name], shared[name]), w[name]) for name in w}

    def _step(self, name, w, mean, shared):
        if self.kind == "average" or name not in self.first:
            return mean
        pseudo_gradient = w - mean
        m, v = self.first[name], self.second[name]
        if self.kind == "momentum":
            m = self.momentum * m + pseudo_gradient
            step = m
        else:
            square = pseudo_gradient**2
            m = self.beta1 * m + (1 - self.beta1) * pseudo_gradient
            if self.kind == "adam":
                v = self.beta2 * v + (1 - self.beta2) * square
            else:  # yogi
                v = v - (1 - self.beta2) * square * torch.sign(v - square)
            step = m / (v.sqrt() + self.epsilon)
        self.first[name] = torch.where(shared, m, self.first[name])
        self.second[name] = torch.where(shared, v, self.second[name])
        return w - self.lr * step
