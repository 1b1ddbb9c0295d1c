"""Dicts of tensors: name -> tensor, PyTorch's names, the order of the parameter vector."""

import torch


def each(function, *dicts):
    """function(a[name], b[name], ...) for each name."""
    return {name: function(*(d[name] for d in dicts)) for name in dicts[0]}


def copy(a):
    return each(torch.clone, a)


def zeros(a):
    return each(torch.zeros_like, a)


def plus(a, factor, b):
    """a + factor * b, at the names of b."""
    return {name: a[name] + factor * b[name] if name in b else a[name] for name in a}


def minus(a, b):
    """a - b, at the names of b."""
    return {name: a[name] - b[name] for name in b}


def mix(alpha, a, b):
    return each(lambda x, y: alpha * x + (1 - alpha) * y, a, b)


def where(mask, a, b):
    """a where the mask is 1 (personal), b where it is 0 (shared)."""
    return each(torch.where, mask, a, b)


def constant_mask(a, names):
    """A mask that is 1 for all of the named tensors and 0 for the others."""
    return {name: torch.full(a[name].shape, name in names) for name in a}


def count(mask, names):
    return sum(int(mask[name].sum()) for name in names)


def dot(a, b):
    return sum(float((a[name].double() * b[name].double()).sum()) for name in a)
