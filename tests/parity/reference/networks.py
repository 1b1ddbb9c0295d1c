"""The networks, and what the methods need of one: gradients, tests, and which tensor belongs to which layer."""

import torch
from torch import nn

from . import modules


class Network:
    """A torch module that is given its values, as a dict, at each call."""

    def __init__(self, module):
        self.module = module
        self.parameters = [name for name, _ in module.named_parameters()]
        self.statistics = [n for n, _ in module.named_buffers() if not n.endswith("num_batches_tracked")]
        self.names = self.parameters + self.statistics
        self.size = sum(p.numel() for p in module.parameters())
        self._variables = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        # Layers with parameters, from the input on: each a list of its tensors' names, running statistics included.
        self.layers = {}
        self.norms = []
        for layer, inner in module.named_modules():
            own = [f"{layer}.{n}" for n, _ in (*inner.named_parameters(recurse=False), *inner.named_buffers(recurse=False))]
            own = [n for n in own if n in self.names]
            if own:
                self.layers[layer] = own
                if isinstance(inner, nn.modules.batchnorm._NormBase) or isinstance(inner, nn.GroupNorm):
                    self.norms.append(layer)

        self.module.get_submodule(self.head()).register_forward_pre_hook(self._remember_features)

    def _remember_features(self, head, inputs):
        self._features = inputs[0]

    def values(self):
        return {name: self._variables[name].detach().clone() for name in self.names}

    def tensors_of(self, layers):
        return [name for layer in layers for name in self.layers[layer]]

    def head(self):
        return list(self.layers)[-1]

    def gradient(self, theta, x, y, term=None):
        """The mean loss over the batch and its gradient; running statistics in theta move on. term(features, y): a further
        term of the loss, of what the head reads; the returned loss leaves it out."""
        logits = self._forward(theta, x)
        loss = nn.functional.cross_entropy(logits, y)
        for name in self.parameters:
            self._variables[name].grad = None
        (loss + term(self._features, y) if term else loss).backward()
        return loss.item(), {name: self._variables[name].grad.clone() for name in self.parameters}

    def features(self, theta, x):
        """What the head reads, as in a test."""
        with torch.no_grad():
            self._load(theta)
            self.module.eval()
            self.module(x)
            return self._features

    def forward(self, theta, x):
        """The forward part of a training step: moves only running statistics."""
        with torch.no_grad():
            self._forward(theta, x)

    def correct(self, theta, x, y):
        """How many samples theta classifies rightly."""
        with torch.no_grad():
            self._load(theta)
            self.module.eval()
            return int((self.module(x).argmax(1) == y).sum())

    def _forward(self, theta, x):
        self._load(theta)
        self.module.train()
        logits = self.module(x)
        for name in self.statistics:
            theta[name] = self._variables[name].clone()
        return logits

    def _load(self, theta):
        with torch.no_grad():
            for name in self.names:
                self._variables[name].copy_(theta[name])


def make(name, side, channels, classes, hidden=200):
    """The program's network of this name for images of channels x side x side."""
    if name == "logistic":
        return Network(modules.Logistic(channels * side * side, classes))
    if name == "mlp":
        return Network(modules.Mlp(channels * side * side, hidden, classes))
    if name == "cnn":
        return Network(modules.Cnn(side, channels, classes))
    if name == "resnet8":
        return Network(modules.ResNet8(channels, classes))
    raise ValueError(name)
