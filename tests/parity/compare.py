"""How the two runs of an experiment compare."""

from dataclasses import dataclass

import torch


@dataclass
class Comparison:
    weights: float  # largest norm-wise relative difference over the tensors of the global and of the clients' models
    where: str  # of which tensor
    left_out: float  # share of the parameters that this comparison leaves out, being near a cutoff
    moved: float  # how far training moved the weights, in the same measure
    explained: int  # mask bits that differ, near a cutoff
    unexplained: int
    ones: int  # personal bits, all clients together
    images: float  # largest difference of accuracy, in test images
    records: list  # what else differs, in words


def relative(ours, theirs):
    norm = theirs.double().norm().item()
    difference = (ours.double() - theirs.double()).norm().item()
    return difference / norm if norm else difference


def flat(d, names):
    return torch.cat([d[name].flatten() for name in names])


def models(method):
    """Of a reference's method: the global tensors and those of the clients' models, by name."""
    found = {f"global {n}": method.w[n] for n in method.network.names}
    for k in range(len(method.clients)):
        found.update({f"client {k} {n}": v for n, v in method.tested(method.rounds - 1, k).items()})
    return found


def clear_of_cutoffs(method, tensor):
    """Which indices were never near a cutoff, for any client."""
    return ~torch.stack([window.near[tensor] for window in method.window]).any(0).flatten()


def largest_difference(found, method):
    """The largest norm-wise relative difference of a tensor from the reference's, and of which. Left out are indices that
    were near a cutoff: whether such a one is a client's own or a mean may hang on rounding."""
    errors = []
    for name, expected in models(method).items():
        clear = clear_of_cutoffs(method, name.split()[-1])
        errors.append((relative(found[name].flatten() * clear, expected.flatten() * clear), name))
    return max(errors)


def differing_bits(mask, method, k):
    """How many bits of a flat mask differ from that of client k, near a cutoff and elsewhere."""
    names = method.network.parameters
    differs, near = mask != flat(method.mask[k], names), flat(method.window[k].near, names)
    return int((differs & near).sum()), int((differs & ~near).sum())


def unlike(method, other, tolerance):
    """Whether two runs of the reference differ by more than the program may differ from it."""
    if largest_difference(models(other), method)[0] >= tolerance:
        return True
    names = method.network.parameters
    return any(differing_bits(flat(other.mask[k], names), method, k)[1] for k in range(len(method.clients)))


def compare(runs):
    ours, method, records = runs.ours, runs.method, runs.records
    found = {**models(method), **{f"global {n}": value for n, value in ours.w.items()}}
    if ours.models is not None:
        sizes = [method.w[n].numel() for n in method.network.names]
        for k, values in enumerate(ours.models):
            found.update({f"client {k} {n}": part for n, part in zip(method.network.names, torch.split(values, sizes))})
    weights, where = largest_difference(found, method)
    names = method.network.parameters
    moved = max(relative(flat(method.deployed(k), names), flat(runs.initial, names)) for k in range(len(method.clients)))

    took_part = sorted({k for record in records for k in record.gradients})  # the others have no mask yet
    bits = [differing_bits(ours.masks[k], method, k) for k in took_part]
    explained, unexplained = (sum(column) for column in zip(*bits))
    ones = sum(int(flat(method.mask[k], names).sum()) for k in took_part)
    left_out = 1 - sum(int(clear_of_cutoffs(method, name).sum()) for name in names) / method.network.size
    differences = compare_records(ours, method, records, 4 * explained)
    return Comparison(weights, where, left_out, moved, explained, unexplained, ones, *differences)


def compare_records(ours, method, records, bytes_of_masks):
    """bytes_of_masks: how far bytes may differ because masks do."""
    images, differences = 0.0, []
    for t, record in enumerate(records):
        for k, client in enumerate(method.clients):
            tested = float(ours.metrics["accuracy"][t, k])
            if k in record.gradients and tested != tested:
                differences.append(f"round {t} client {k}: accuracy is missing")
            if tested == tested and k in record.accuracy:
                images = max(images, abs(tested - record.accuracy[k]) * len(client.test_y))
            loss = float(ours.metrics["loss"][t, k])
            if k in record.loss and not abs(loss - record.loss[k]) <= 1e-3 * record.loss[k]:
                differences.append(f"round {t} client {k}: loss is {loss}, reference {record.loss[k]}")
            for name in ("gradients", "bytes_up", "bytes_down"):
                expected, got = getattr(record, name).get(k, 0), int(ours.metrics[name][t, k])
                if abs(expected - got) > (bytes_of_masks if name != "gradients" else 0):
                    differences.append(f"round {t} client {k}: {name} is {got}, reference {expected}")
    return images, differences
