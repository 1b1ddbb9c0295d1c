"""Which parameters become personal, survive or are pruned. Changes are float32, ranks break ties by index, and each
choice leaves behind which indices lie so near its cutoff that rounding may decide about them."""

import math

import torch

WINDOW = 1e-4  # relative distance from the cutoff


def round_half_even(x):
    return round(x)  # Python's rule


def groups(names, scope):
    """The sets of tensors over which a fraction is taken."""
    return [[name] for name in names] if scope == "tensor" else [list(names)]


def joined(d, group):
    return torch.cat([d[name].flatten() for name in group])


def parted(vector, like, group):
    """The inverse of joined."""
    parts = torch.split(vector, [like[name].numel() for name in group])
    return {name: part.reshape(like[name].shape) for name, part in zip(group, parts)}


def largest(values, free, number):
    """A mask of the `number` largest values among the free ones, lower index first among equals."""
    order = torch.argsort(torch.where(free, values, torch.full_like(values, -1)), descending=True, stable=True)
    chosen = torch.zeros_like(free)
    chosen[order[:number]] = True
    return chosen


class Window:
    """Remembers, per index, whether it was ever near a cutoff, and how often that was."""

    def __init__(self, like):
        self.near = {name: torch.zeros(t.shape, dtype=torch.bool) for name, t in like.items()}

    def add(self, values, free, chosen, group):
        """The cutoff lies between the smallest value that is chosen and the largest that is not. Near it is what would have
        to change by no more than the window to go to the other side. A change of 0 is exact, so never near."""
        inside, outside = values[free & chosen], values[free & ~chosen]
        near = torch.zeros_like(free)
        if len(inside) and len(outside):
            near |= free & chosen & (values <= outside.max() * (1 + WINDOW))
            near |= free & ~chosen & (values >= inside.min() * (1 - WINDOW))
            near &= values > 0
        for name, part in parted(near, self.near, group).items():
            self.near[name] |= part

    def add_least(self, values, free, pruned, group):
        """The same where the smallest are chosen."""
        self.add(values, free, free & ~pruned, group)


def shrink(mask, change, rate, scope, names, window):
    """GradLTN: of the indices alive in mask, the fraction `rate` with the largest change."""
    result = dict(mask)
    for group in groups(names, scope):
        alive, delta = joined(mask, group), joined(change, group)
        chosen = largest(delta, alive, round_half_even(rate * int(alive.sum())))
        window.add(delta, alive, chosen, group)
        result.update(parted(chosen, mask, group))
    return result


def grow(mask, change, keys, names, window):
    """GradSelect: mask OR the fraction `rate` of the indices still shared with the largest change."""
    result = dict(mask)
    for group in groups(names, keys["scope"]):
        personal, delta = joined(mask, group), joined(change, group)
        n, taken = len(personal), int(personal.sum())
        if taken / n > keys["limit"]:
            continue
        free = ~personal
        number = round_half_even(keys["rate"] * (n - taken))
        if keys["limit_rule"] == "clamp":
            number = min(number, math.floor(keys["limit"] * n) - taken)
        if keys["ties"] == "exact":
            chosen = largest(delta, free, number) & free & (delta > 0)
        else:
            at = round_half_even((1 - keys["rate"]) * (n - taken))
            ordered = delta[free].sort().values
            chosen = free & (delta >= ordered[at]) if at < len(ordered) else torch.zeros_like(free)
        window.add(delta, free, chosen, group)
        result.update(parted(personal | chosen, mask, group))
    return result


def prune(pruned, values, rate, names, window):
    """Of each tensor, the fraction `rate` of the weights still kept with the smallest magnitude; of equal ones those
    with the higher index."""
    result = dict(pruned)
    for name in names:
        kept, size = ~pruned[name].flatten(), values[name].abs().flatten()
        number = round_half_even(rate * int(kept.sum()))
        survivors = largest(size, kept, int(kept.sum()) - number) & kept
        window.add_least(size, kept, kept & ~survivors, [name])
        result[name] = (pruned[name].flatten() | (kept & ~survivors)).reshape(pruned[name].shape)
    return result
