"""The reference itself, on cases small enough to compute by hand: a model of one parameter whose loss on a sample y is
(theta - y)^2 / 2, so that its gradient on a batch is theta - mean(y)."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from reference import selection  # noqa: E402
from reference.clients import Client  # noqa: E402
from reference.federation import Setting, Train  # noqa: E402
from reference.fedselect import FedSelect, FedSelectLtn  # noqa: E402
from reference.methods import METHODS  # noqa: E402
from reference.optimizers import LocalOptimizer, Server  # noqa: E402


class OneParameter:
    parameters, statistics, names, size = ["w"], [], ["w"], 1
    layers, norms = {"layer": ["w"]}, []

    def head(self):
        return "layer"

    def tensors_of(self, layers):
        return ["w"] if layers else []

    def gradient(self, theta, x, y, term=None):
        difference = theta["w"] - y.float().mean()
        return float(difference**2 / 2), {"w": difference}

    def correct(self, theta, x, y):
        return 0


def clients_of(*targets):
    """A client for each list of targets."""
    tensors = [torch.tensor(values, dtype=torch.float32) for values in targets]
    return [Client(y, y, y, y) for y in tensors]


def make(name, targets, *, begin=0.0, lr=0.5, batch=1, passes=1, server=None, optimizer=None, **keys):
    setting = Setting(OneParameter(), {"w": torch.tensor([begin])}, clients_of(*targets),
                      Train(passes, batch, lambda t: lr, optimizer or LocalOptimizer()), server or Server())
    return METHODS[name](setting, keys)


def value(theta):
    return pytest.approx(float(theta["w"]), abs=1e-6)


def test_fedavg_weighs_by_samples_and_local_does_not_average():
    # Client 0: 0 -> 1 (target 2). Client 1: 0 -> 2 -> 3 (targets 4, 4). Mean (1 * 1 + 2 * 3) / 3.
    method = make("fedavg", [[2], [4, 4]])
    method.round(0, [0, 1])
    assert value(method.w) == 7 / 3
    local = make("local", [[2], [4, 4]])
    local.round(0, [0, 1])
    assert value(local.w) == 0 and value(local.deployed(0)) == 1 and value(local.deployed(1)) == 3


def test_fedprox():
    # Targets 2, 2: 0 -> 1; then gradient (1 - 2) + mu (1 - 0) with mu = .5: 1 -> 1.25.
    method = make("fedprox", [[2, 2]], mu=0.5)
    method.round(0, [0])
    assert value(method.w) == 1.25


def test_scaffold():
    # Round 0, both clients, c = c_k = 0: 0 -> 1 and 0 -> 2 -> 3. c_0 = (0 - 1) / (1 * .5) = -2, c_1 = (0 - 3) / (2 * .5) = -3.
    # w = mean(1, 3) = 2, c = 2/2 * mean(-2, -3) = -2.5.
    method = make("scaffold", [[2], [4, 4]])
    method.round(0, [0, 1])
    assert value(method.w) == 2 and value(method.c) == -2.5
    assert value(method.c_k[0]) == -2 and value(method.c_k[1]) == -3
    # Round 1, client 1 alone: gradient - c_1 + c = g + .5. 2 -> 2 - .5 (-2 + .5) = 2.75 -> 2.75 - .5 (-1.25 + .5) = 3.125.
    # c_1+ = -3 + 2.5 + (2 - 3.125) / 1 = -1.625; c = -2.5 + 1/2 (-1.625 + 3) = -1.8125. w = 3.125.
    method.round(1, [1])
    assert value(method.w) == 3.125 and value(method.c_k[1]) == -1.625 and value(method.c) == -1.8125


def test_scaffold_global_lr():
    method = make("scaffold", [[2], [4, 4]], global_lr=0.5)
    method.round(0, [0, 1])
    assert value(method.w) == 1 and value(method.c) == -2.5


def test_ditto():
    # w: 0 -> 1. v from the initial 0: step 1 with gradient -2 + lambda 0: 1. Round 1 starts at w = 1:
    # v = 1 - .5 ((1 - 2) + .25 (1 - 1)) = 1.5; w -> 1.5. Round 2, w = 1.5: v = 1.5 - .5 (-.5 + .25 * 0) = 1.75.
    method = make("ditto", [[2]], **{"lambda": 0.25})
    for t, expected in enumerate((1, 1.5, 1.75)):
        method.round(t, [0])
        assert value(method.v[0]) == expected
    # Two clients: w = mean(1, 3) over samples (7/3); v_0 of round 1 is pulled to it: 1 - .5 ((1 - 2) + .25 (1 - 7/3)).
    method = make("ditto", [[2], [4, 4]], **{"lambda": 0.25})
    method.round(0, [0, 1])
    method.round(1, [0])
    assert value(method.v[0]) == 1 - 0.5 * (-1 + 0.25 * (1 - 7 / 3))


def test_pfedme():
    # w = theta = 0, lambda 2, inner rate .25, two inner steps, batch target 4:
    # theta: 0 - .25 (-4 + 0) = 1; 1 - .25 (-3 + 2 * 1) = 1.25. w_k = 0 - 2 * .1 (0 - 1.25) = .25.
    # Second batch, theta goes on: 1.25 - .25 (-2.75 + 2 * 1) = 1.4375; 1.4375 - .25 (-2.5625 + 2 (1.4375 - .25)) = 1.484375;
    # w_k = .25 + .2 (1.484375 - .25) = .496875. Server with beta .5: half of it.
    method = make("pfedme", [[4, 4]], lr=0.1, inner_lr=0.25, inner_steps=2, beta=0.5, **{"lambda": 2.0})
    record = method.round(0, [0])
    assert value(method.deployed(0)) == 1.484375 and value(method.own[0]) == 0.496875 and value(method.w) == 0.2484375
    assert record.gradients[0] == 4


def test_per_fedavg():
    # Batches with targets 2, 4, 6; inner rate .5. Pair (2, 4): theta' = 0 - .5 (-2) = 1, theta = 0 - .1 (1 - 4) = .3.
    # The last one alone: theta' = .3 - .5 (-5.7) = 3.15, theta = .3 - .1 (3.15 - 6) = .585.
    # Tested: .585 - .5 (.585 - 2).
    method = make("per-fedavg", [[2, 4, 6]], lr=0.1, inner_lr=0.5)
    record = method.round(0, [0])
    assert value(method.w) == 0.585 and record.gradients[0] == 4
    assert value(method.tested(0, 0)) == 0.585 - 0.5 * (0.585 - 2)


def test_apfl():
    # Round 0: v = w = 0, a = .5, targets 2, 4, rate .1. Batch 1: g = -2 for both, v = .1, w = .2; <v - w, g> = 0: a stays.
    # Batch 2: mixture .15, g_v = .5 (-3.85) -> v = .1 + .1925 = .2925; w = .2 + .38 = .58.
    method = make("apfl", [[2, 4]], lr=0.1, alpha=0.5)
    method.round(0, [0])
    assert value(method.v[0]) == 0.2925 and value(method.w) == 0.58 and method.a[0] == 0.5
    assert value(method.deployed(0)) == 0.43625
    # Round 1: batch 1 at mixture .43625: g = -1.56375, slope (.2925 - .58) g = .449578, next a = .5 - .0449578; this
    # batch still uses .5: v = .2925 + .1 * .5 * 1.56375 = .3706875, w = .58 + .142 = .722.
    # Batch 2 with the new a.
    method.round(1, [0])
    a = 0.5 - 0.1 * (0.2925 - 0.58) * (0.43625 - 2)
    mixture = a * 0.3706875 + (1 - a) * 0.722
    assert method.a[0] == pytest.approx(a)
    assert value(method.v[0]) == 0.3706875 - 0.1 * a * (mixture - 4)
    assert value(method.w) == 0.722 - 0.1 * (0.722 - 4)


def test_fedbabu_with_nothing_but_a_head_does_not_move():
    method = make("fedbabu", [[2]], fine_tune_passes=2)
    method.round(0, [0])
    assert value(method.deployed(0)) == 0 and value(method.tested(0, 0)) == 1.5


def test_decay_is_part_of_the_gradient_and_clipping_comes_before_it():
    # Gradient -3 clipped to -1, plus .5 * 1: 1 - .5 (-.5).
    method = make("fedavg", [[4]], begin=1.0, optimizer=LocalOptimizer(grad_clip=1.0, weight_decay=0.5))
    method.round(0, [0])
    assert value(method.w) == 1.25


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_local_optimizer_is_that_of_torch(kind):
    torch.manual_seed(1)
    begin, gradients = torch.randn(7), torch.randn(5, 7)
    parameter = torch.nn.Parameter(begin.clone())
    theirs = (torch.optim.SGD([parameter], lr=0.1, momentum=0.9, weight_decay=0.01) if kind == "sgd"
              else torch.optim.Adam([parameter], lr=0.1, betas=(0.8, 0.95), eps=1e-4, weight_decay=0.01))
    ours = LocalOptimizer(kind, momentum=0.9, weight_decay=0.01, beta1=0.8, beta2=0.95, epsilon=1e-4)
    theta = {"w": begin.clone()}
    ours.start(theta)
    for g in gradients:
        parameter.grad = g.clone()
        theirs.step()
        ours.step(theta, {"w": g}, 0.1)
    assert torch.allclose(theta["w"], parameter.data, atol=1e-6)


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_scope_leaves_the_others_alone(kind):
    """Two halves trained in turn are two models with optimizers of their own."""
    torch.manual_seed(2)
    begin, gradients = torch.randn(6), torch.randn(4, 6)
    mask = torch.tensor([True, False, True, True, False, False])
    both, half = ({"w": begin.clone()} for _ in range(2))
    one, other = LocalOptimizer(kind, momentum=0.9), LocalOptimizer(kind, momentum=0.9)
    one.start(both)
    other.start(half)
    for i, g in enumerate(gradients):
        one.step(both, {"w": g}, 0.1, {"w": mask if i % 2 else ~mask})
        if i % 2:
            other.step(half, {"w": g}, 0.1)
    assert torch.equal(both["w"][mask], half["w"][mask])


def test_servers_by_hand():
    everywhere, w, mean = {"w": torch.tensor([True])}, {"w": torch.tensor([1.0])}, {"w": torch.tensor([0.5])}
    for kind, expected in {
        "average": [0.5, 0.5],
        "momentum": [1 - 0.1 * 0.5, 0.95 - 0.1 * (0.9 * 0.5 + 0.45)],
        # m = .05, v = .01 * .25; then D is w - .5 again.
        "adam": [1 - 0.1 * 0.05 / (0.0025**0.5 + 0.001)],
        "yogi": [1 - 0.1 * 0.05 / (0.0025**0.5 + 0.001)],
    }.items():
        server = Server(kind, lr=0.1, momentum=0.9, beta1=0.9, beta2=0.99, epsilon=0.001)
        server.start(w)
        now = w
        for value_ in expected:
            now = server.step(now, mean, everywhere)
            assert float(now["w"]) == pytest.approx(value_)
    # Second step of yogi: v = .0025 > D^2? D = w - .5; v shrinks or grows by .01 D^2.
    server = Server("yogi", lr=0.1, beta1=0.9, beta2=0.99, epsilon=0.001)
    server.start(w)
    first = server.step(w, mean, everywhere)
    second = server.step(first, mean, everywhere)
    d = float(first["w"]) - 0.5
    v = 0.0025 + 0.01 * d * d  # D^2 is larger than v, so sign is -1
    assert float(second["w"]) == pytest.approx(float(first["w"]) - 0.1 * (0.9 * 0.05 + 0.1 * d) / (v**0.5 + 0.001))
    server = Server("adam", lr=0.1)
    server.start(w)
    nowhere = server.step(w, {"w": torch.tensor([float("nan")])}, {"w": torch.tensor([False])})
    assert float(nowhere["w"]) == 1 and float(server.second["w"]) == 0


# Selection


KEYS = FedSelect.defaults


def grown(mask, delta, **keys):
    """Grows once, on a vector of its own."""
    mask, delta = {"w": torch.tensor(mask, dtype=torch.bool)}, {"w": torch.tensor(delta, dtype=torch.float32)}
    return selection.grow(mask, delta, {**KEYS, **keys}, ["w"], selection.Window(delta))["w"].int().tolist()


def test_density_of_the_authors_schedule():
    torch.manual_seed(4)
    n, mask, densities = 40000, {"w": torch.zeros(40000, dtype=torch.bool)}, []
    for _ in range(8):
        delta = {"w": torch.rand(n)}
        mask = selection.grow(mask, delta, KEYS, ["w"], selection.Window(delta))
        densities.append(float(mask["w"].double().mean()))
    assert densities[:6] == pytest.approx([0.25, 0.4375, 0.578, 0.684, 0.763, 0.822], abs=5e-4)
    assert densities[6:] == densities[5:6] * 2


def test_ties_take_the_lower_index_and_zero_never():
    assert grown([0] * 8, [1, 2, 1, 1, 1, 1, 1, 1], rate=0.5) == [1, 1, 1, 1, 0, 0, 0, 0]
    assert grown([0] * 8, [0, 0, 0, 0, 0, 3, 0, 0], rate=0.5) == [0, 0, 0, 0, 0, 1, 0, 0]
    assert grown([1, 0, 0, 0, 0, 0], [9, 1, 2, 3, 4, 5], rate=0.5) == [1, 0, 0, 0, 1, 1]  # round(2.5) is 2


def test_threshold_takes_all_ties():
    assert grown([0] * 8, [1, 2, 1, 1, 1, 1, 1, 0], rate=0.5, ties="threshold") == [1, 1, 1, 1, 1, 1, 1, 0]
    assert grown([0] * 4, [0, 0, 0, 0], rate=0.25, ties="threshold") == [1, 1, 1, 1]


def test_one_element():
    assert grown([0], [1.0], rate=0.25) == [0]
    assert grown([0], [1.0], rate=0.5) == [0]  # round(.5) is 0
    assert grown([0], [1.0], rate=0.75) == [1]
    assert grown([0], [1.0], rate=0.25, ties="threshold") == [0]  # the cutoff would be one past the end
    assert grown([0], [1.0], rate=0.5, ties="threshold") == [1]
    assert grown([1], [1.0], rate=0.75) == [1]


def test_limits():
    assert sum(grown([0] * 10, list(range(1, 11)), rate=0.5, limit=0.3, limit_rule="clamp")) == 3
    assert sum(grown([0] * 10, list(range(1, 11)), rate=0.5, limit=0.3)) == 5
    assert sum(grown([1] * 3 + [0] * 7, list(range(1, 11)), rate=0.5, limit=0.3)) == 7  # .3 <= .3, round(3.5) is 4
    assert sum(grown([1] * 4 + [0] * 6, list(range(1, 11)), rate=0.5, limit=0.3)) == 4


def test_shrink_keeps_the_rounded_fraction_of_the_alive():
    mask, change = {"w": torch.ones(10, dtype=torch.bool)}, {"w": torch.zeros(10)}
    window = selection.Window(change)
    for left in (5, 2, 1, 0):
        mask = selection.shrink(mask, change, 0.5, "tensor", ["w"], window)
        assert mask["w"].tolist() == [i < left for i in range(10)]


def test_prune_takes_the_higher_index_of_equals():
    values = {"w": torch.tensor([[3.0, -1.0, 1.0, 2.0]])}
    kept = {"w": torch.zeros(1, 4, dtype=torch.bool)}
    window = selection.Window(values)
    assert selection.prune(kept, values, 0.25, ["w"], window)["w"].tolist() == [[False, False, True, False]]
    assert selection.prune(kept, values, 0.5, ["w"], window)["w"].tolist() == [[False, True, True, False]]


def test_window_counts_what_is_near_the_cutoff():
    delta = {"w": torch.tensor([1.0, 2.0, 2.00001, 3.0])}
    window = selection.Window(delta)
    selection.grow({"w": torch.zeros(4, dtype=torch.bool)}, delta, {**KEYS, "rate": 0.5}, ["w"], window)
    assert window.near["w"].tolist() == [False, True, True, False]


class TwoParameters(OneParameter):
    """A tensor of two values, each with a target of its own: y, and 3 y."""

    size = 2

    def gradient(self, theta, x, y, term=None):
        return 0.0, {"w": theta["w"] - y.float().mean() * torch.tensor([1.0, 3.0])}


def make_two(method, targets, **keys):
    setting = Setting(TwoParameters(), {"w": torch.zeros(2)}, clients_of(*targets),
                      Train(1, 1, lambda t: 0.5, LocalOptimizer()), Server())
    return method(setting, keys)


def test_fedselect_by_hand():
    # Growth in every round, rate .5. Round 0, mask 0: client 0 (target 2) goes 0 -> (1, 3), client 1 (4) -> (2, 6): both
    # propose the second index, the old mask averages both: w = (1.5, 4.5), where the personal life of the second starts.
    method = make_two(FedSelect, [[2], [4]], rate=0.5, growth_first=0, growth_every=1, limit=0.4,
                      eligible="all")
    method.round(0, [0, 1])
    assert method.w["w"].tolist() == [1.5, 4.5]
    assert [m["w"].tolist() for m in method.mask] == [[False, True]] * 2
    assert method.model(0)["w"].tolist() == [1.5, 4.5]
    # Round 1, client 1 alone: personal 4.5 -> 8.25, then shared 1.5 -> 2.75. Client 0 receives the shared one.
    method.round(1, [1])
    assert method.model(1)["w"].tolist() == [2.75, 8.25] and method.model(0)["w"].tolist() == [2.75, 4.5]
    assert method.mask[1]["w"].tolist() == [False, True]  # .5 > .4: no growth


def test_fedselect_ltn_by_hand():
    # Two iterations, rate .5: iteration 0 changes (1, 3) -> the second survives. Rewind; iteration 1 trains it alone;
    # rewind; LocalAlt: 0 -> 3 personal, then 0 -> 1 shared. w: the first index only.
    method = make_two(FedSelectLtn, [[2], [4]], rate=0.5, iterations=2)
    record = method.round(0, [0])
    assert method.model(0)["w"].tolist() == [1, 3] and method.w["w"].tolist() == [1, 0]
    assert method.model(1)["w"].tolist() == [1, 0] and record.gradients[0] == 4
    # Without rewind LocalAlt goes on from (0, 3): 3 -> 4.5.
    method = make_two(FedSelectLtn, [[2], [4]], rate=0.5, iterations=2, rewind=False)
    method.round(0, [0])
    assert method.model(0)["w"].tolist() == [1, 4.5]


def test_lottery_fl_prunes_and_rewinds():
    class Two(TwoParameters):
        def correct(self, theta, x, y):
            return len(y)

    setting = Setting(Two(), {"w": torch.tensor([[1.0, -0.5]])}, clients_of([2, 2], [4, 4]),
                      Train(1, 1, lambda t: 0.5, LocalOptimizer()), Server())
    method = METHODS["lotteryfl"](setting, dict(prune_rate=0.5, validation=0.25))
    # Client 0: one of two samples is for validation. The second value goes; 1 -> 1.5.
    method.round(0, [0])
    assert method.mask[0]["w"].tolist() == [[False, True]] and method.w["w"].tolist() == [[1.5, -0.5]]
    assert method.model(0)["w"].tolist() == [[1.5, 0]] and method.model(1)["w"].tolist() == [[1.5, -0.5]]
