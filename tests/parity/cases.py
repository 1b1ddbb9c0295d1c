"""All cases, by name. A name begins with its group; ctest runs a group at a time."""

import torch
from experiment import Case

# Keys with which each method does all that it can within six rounds.
METHODS = {
    "local": {},
    "fedavg": {},
    "fedavg-ft": {"fine_tune_passes": 2},
    "fedprox": {"mu": 0.5},
    "scaffold": {},
    "ditto": {"lambda": 0.7},
    "pfedme": {"lambda": 15.0, "beta": 0.8, "inner_steps": 3, "inner_lr": 0.03},
    "per-fedavg": {"inner_lr": 0.03},
    "apfl": {"alpha": 0.4},
    "fedper": {},
    "fedrep": {"passes": 3},
    "lg-fedavg": {"shared_layers": 1},
    "fedbabu": {"fine_tune_passes": 2},
    "fedalt": {"personal": ["head"]},
    "fedsim": {"personal": ["fc1"]},
    "fedpac": {"passes": 3, "lambda": 3.0},
    "lotteryfl": {"prune_rate": 0.2, "target": 0.5, "accuracy_threshold": 0.45, "validation": 0.2},
    "sub-fedavg": {"prune_rate": 0.1, "target": 0.7, "accuracy_threshold": 0.45, "validation": 0.2},
    "fedselect-ltn": {"rate": 0.5, "iterations": 3},
    "fedselect": {"growth_first": 0, "growth_every": 2},
}

# Every key of section 3's table in the values that METHODS doesn't have; and those of GradLTN.
FEDSELECT_KEYS = {
    "rate": {"rate": 0.6},
    "limit": {"limit": 0.3},
    "clamp": {"limit": 0.3, "limit_rule": "clamp"},
    "global": {"scope": "global"},
    "global-clamp": {"scope": "global", "limit": 0.3, "limit_rule": "clamp"},
    "matrix": {"eligible": "matrix"},
    "all": {"eligible": "all"},
    "growth": {"growth_first": 1, "growth_every": 1},
    "round-start": {"reference": "round-start"},
    "threshold": {"ties": "threshold"},
    "blocked": {"alternation": "blocked"},
    "after-broadcast": {"evaluate_at": "after-broadcast"},
    "samples": {"weighting": "samples"},
    "averaged-statistics": {"norm_statistics": "averaged"},
}
STATISTICS_ONLY = ("averaged-statistics",)
LTN_KEYS = {
    "rate": {"rate": 0.25, "iterations": 2},
    "no-rewind": {"rewind": False},
    "global": {"scope": "global"},
    "blocked": {"alternation": "blocked"},
    "after-broadcast": {"evaluate_at": "after-broadcast"},
    "samples": {"weighting": "samples"},
    "one-iteration": {"iterations": 1},
    "averaged-statistics": {"norm_statistics": "averaged"},
}
PRUNING_KEYS = {
    "target": {"target": 0.9},
    "accuracy-threshold": {"accuracy_threshold": 0.85},
    "validation": {"validation": 0.4},
    "distance": {"distance": 0.03},
}
RESNET_KEYS = {"fedsim": {"personal": ["bn1", "head"]}, "lg-fedavg": {"shared_layers": 3}, "sub-fedavg": {"passes": 2}}
MOMENTUM = {"momentum": 0.9, "lr": 0.02}
ADAM = {"optimizer": "adam", "lr": 0.003, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-4}
DECAY_CLIP = {"weight_decay": 0.02, "grad_clip": 0.7}
SCHEDULES = {
    "step": {"schedule": "step", "lr_factor": 0.5, "lr_every": 2},
    "cosine": {"schedule": "cosine", "lr_final": 0.01},
    "warmup": {"schedule": "constant", "warmup": 3},
    "warmup-cosine": {"schedule": "cosine", "lr_final": 0.01, "warmup": 3},
}
PLAIN_SGD_ONLY = ("scaffold", "pfedme")
SERVERS = {
    "momentum": {"optimizer": "momentum", "lr": 0.8, "momentum": 0.6},
    "adam": {"optimizer": "adam", "lr": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 0.003},
    "yogi": {"optimizer": "yogi", "lr": 0.02, "beta1": 0.8, "beta2": 0.95, "epsilon": 0.003},
}


def dead_units(initial):
    """Three quarters of the hidden units never fire: exactly zero change of their weights and of the next layer's."""
    units = initial["fc1.bias"].numel()
    initial["fc1.bias"][units // 4 :] = -10
    return initial


def firing_unit(initial):
    """The only hidden unit fires for most images, so it trains."""
    initial["fc1.bias"] += 2
    return initial


def equal_rows(initial):
    """Hidden units that are copies of each other, so their weights change alike, to the last bit."""
    for name in ("fc1.weight", "fc1.bias"):
        initial[name][1::2] = initial[name][::2]
    initial["fc2.weight"][:, 1::2] = initial["fc2.weight"][:, ::2]
    return initial


def all_cases():
    cases = {}
    for model in ("mlp", "cnn"):
        for method, keys in METHODS.items():
            if method == "sub-fedavg":
                keys = {**keys, "passes": 3}  # its two candidate masks are from different passes
            cases[f"{model}-{method}"] = Case(method, keys, model)

    for model, group in (("mlp", "keys"), ("resnet8", "resnet")):
        for name, keys in FEDSELECT_KEYS.items():
            if model == "resnet8" or name not in STATISTICS_ONLY:
                cases[f"{group}-fedselect-{name}"] = Case("fedselect", {**METHODS["fedselect"], **keys}, model)
        for name, keys in LTN_KEYS.items():
            if model == "resnet8" or name not in STATISTICS_ONLY:
                cases[f"{group}-fedselect-ltn-{name}"] = Case("fedselect-ltn", {**METHODS["fedselect-ltn"], **keys}, model)
    for method in (*METHODS, "fedbn"):
        keys = {**METHODS.get(method, {}), **RESNET_KEYS.get(method, {})}
        cases[f"resnet-{method}"] = Case(method, keys, "resnet8")
    for method in ("fedselect", "fedselect-ltn"):
        cases[f"resnet-{method}-fixed-cohort"] = Case(method, METHODS[method], "resnet8", federation={"sampling": "fixed"})
        cases[f"resnet-{method}-clip"] = Case(method, METHODS[method], "resnet8", train={"grad_clip": 3.5})
    for name, case in cases.items():
        if name.startswith("resnet-fedselect-ltn"):  # each selection is a chance for rounding to decide
            case.participation = 0.4
            case.keys = {"iterations": 2, **LTN_KEYS.get(name[len("resnet-fedselect-ltn-") :], {})}
    cases["resnet-fedselect-ltn-three"] = Case("fedselect-ltn", {"rate": 0.75, "iterations": 3}, "resnet8", participation=0.4)
    for method in ("fedselect", "fedselect-ltn", "fedavg"):
        cases[f"keys-{method}-fixed-cohort"] = Case(method, METHODS[method], federation={"sampling": "fixed"})
    for method in ("fedavg", "ditto", "lotteryfl", "sub-fedavg", "fedrep", "scaffold"):
        weighting = "samples" if method == "scaffold" else "uniform"
        cases[f"keys-{method}-{weighting}"] = Case(method, {**METHODS[method], "weighting": weighting})
    for method in ("lotteryfl", "sub-fedavg"):
        for name, keys in PRUNING_KEYS.items():
            if method == "sub-fedavg" or "distance" not in keys:
                cases[f"keys-{method}-{name}"] = Case(method, {**METHODS[method], **keys})
    for method in METHODS:
        cases[f"keys-{method}-defaults"] = Case(method, {})
    cases["keys-scaffold-global-lr"] = Case("scaffold", {"global_lr": 0.7})
    cases["keys-fedpac-passes"] = Case("fedpac", {"passes": 4, "head_passes": 2, "lambda": 0.0})
    cases["keys-fedpac-everyone"] = Case("fedpac", {"passes": 2}, participation=1.0)
    cases["keys-lg-fedavg-two"] = Case("lg-fedavg", {"shared_layers": 2}, "cnn")
    cases["keys-fedalt-two"] = Case("fedalt", {"personal": ["conv1", "head"]}, "cnn")

    for method, keys in METHODS.items():
        if method not in PLAIN_SGD_ONLY:
            cases[f"train-{method}-momentum"] = Case(method, keys, train={**MOMENTUM, **DECAY_CLIP})
            cases[f"train-{method}-adam"] = Case(method, keys, train={**ADAM, **DECAY_CLIP})
        else:
            cases[f"train-{method}-decay-clip"] = Case(method, keys, train=DECAY_CLIP)

    for schedule, keys in SCHEDULES.items():
        for method in ("fedavg-ft", "scaffold", "pfedme", "apfl", "fedselect"):
            cases[f"train-{method}-{schedule}"] = Case(method, METHODS[method], train=keys)

    for server, keys in SERVERS.items():
        for method in ("fedavg", "fedper", "apfl", "lotteryfl", "fedselect-ltn", "fedselect"):
            cases[f"server-{method}-{server}"] = Case(method, METHODS[method], server=keys)

    # Exactly equal changes: nothing is left to rounding.
    for rate in (0.25, 0.5):
        for ties in ("exact", "threshold"):
            keys = {**METHODS["fedselect"], "rate": rate, "ties": ties, "eligible": "all"}
            cases[f"ties-zero-{rate}-{ties}"] = Case("fedselect", keys, initial=dead_units, exact_masks=True)
    cases["ties-zero-ltn"] = Case("fedselect-ltn", METHODS["fedselect-ltn"], initial=dead_units, exact_masks=True)
    # Hidden units in pairs whose weights change alike: the cutoff falls between equals.
    for ties in ("exact", "threshold"):
        keys = {**METHODS["fedselect"], "ties": ties, "eligible": "all"}
        cases[f"ties-equal-{ties}"] = Case("fedselect", keys, initial=equal_rows, rounds=1)
    cases["ties-equal-ltn"] = Case("fedselect-ltn", METHODS["fedselect-ltn"], initial=equal_rows, rounds=1)
    # One hidden unit: tensors of one element, of 144 and of 4.
    for rate in (0.25, 0.5, 0.6):
        for ties in ("exact", "threshold"):
            keys = {**METHODS["fedselect"], "rate": rate, "ties": ties, "eligible": "all"}
            cases[f"ties-one-{rate}-{ties}"] = Case("fedselect", keys, hidden=1, initial=firing_unit)
        cases[f"ties-one-ltn-{rate}"] = Case("fedselect-ltn", {"rate": rate, "iterations": 3}, hidden=1, initial=firing_unit)

    # The authors' schedule, from the defaults: growth in rounds 3, 6, ..., 18.
    cases["schedule-fedselect"] = Case("fedselect", {}, rounds=20, participation=1.0)
    return cases


CASES = all_cases()
DENSITIES = [0.25, 0.4375, 0.578, 0.684, 0.763, 0.822]  # after the growths of the schedule's case
