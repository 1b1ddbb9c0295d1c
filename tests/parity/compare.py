"""How the two runs of an experiment compare."""

from dataclasses import dataclass

import torch


@dataclass
class Comparison:
    weights: float  # largest norm-wise relative difference over the tensors of the global and of the clients' models
    where: str  # of which tensor
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


def compare(case, ours, method, records):
    network = method.network
    errors = [(relative(ours.w[n], method.w[n]), f"global {n}") for n in network.names]
    if ours.models is not None:
        sizes = [method.w[n].numel() for n in network.names]
        for k in range(len(method.clients)):
            deployed = method.deployed(k)
            for name, part in zip(network.names, torch.split(ours.models[k], sizes)):
                errors.append((relative(part, deployed[name].flatten()), f"client {k} {name}"))
    weights, where = max(errors)
    initial = method.setting.initial
    moved = max(relative(flat(method.deployed(k), network.parameters), flat(initial, network.parameters))
                for k in range(len(method.clients)))

    explained = unexplained = ones = 0
    for k in sorted({k for record in records for k in record.gradients}):  # who took part: the others have no mask
        mask, near = flat(method.mask[k], network.parameters), flat(method.window[k].near, network.parameters)
        differs = mask != ours.masks[k]
        explained += int((differs & near).sum())
        unexplained += int((differs & ~near).sum())
        ones += int(mask.sum())

    return Comparison(weights, where, moved, explained, unexplained, ones, *compare_records(ours, method, records, 4 * explained))


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
            for name in ("gradients", "bytes_up", "bytes_down"):
                expected, got = getattr(record, name).get(k, 0), int(ours.metrics[name][t, k])
                if abs(expected - got) > (bytes_of_masks if name != "gradients" else 0):
                    differences.append(f"round {t} client {k}: {name} is {got}, reference {expected}")
    return images, differences
