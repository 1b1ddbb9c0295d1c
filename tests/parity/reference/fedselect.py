"""The two FedSelects."""

from . import selection
from .federation import Method
from .tensors import each, constant_mask, minus, where


def inverse(mask):
    return each(lambda m: ~m, mask)


def local_alt(trainer, theta, mask, passes, alternation):
    """LocalAlt: passes on the personal half and on the shared half in turn."""
    if alternation == "interleaved":
        for _ in range(passes):
            trainer.passes(theta, 1, scope=mask)
            trainer.passes(theta, 1, scope=inverse(mask))
    else:
        trainer.passes(theta, passes, scope=mask)
        trainer.passes(theta, passes, scope=inverse(mask))


def change(network, theta, reference):
    return each(lambda d: d.abs(), minus(theta, {n: reference[n] for n in network.parameters}))


class FedSelectMethod(Method):
    weighting = "uniform"

    def personal(self):
        return self.network.statistics if self.keys["norm_statistics"] == "local" else []


class FedSelectLtn(FedSelectMethod):
    """arXiv 2306.13264: the mask is searched afresh in each round by GradLTN."""

    defaults = dict(rate=0.5, iterations=5, rewind=True, scope="tensor", norm_statistics="local",
                    alternation="interleaved", evaluate_at="after-local")

    def searches(self):
        return self.keys["iterations"] > 1  # else the mask is all ones

    def train(self, t, k, trainer, theta):
        names = self.network.parameters
        origin = dict(theta)
        mask = constant_mask(theta, names + self.personal())  # all ones
        for i in range(self.keys["iterations"]):
            if i > 0:
                mask = selection.shrink(mask, change(self.network, theta, origin), self.keys["rate"],
                                        self.keys["scope"], names, self.window[k])
                theta.update(origin)
                trainer.fresh(theta)
            trainer.passes(theta, self.passes, scope=mask)
        if self.keys["rewind"]:
            theta.update(origin)
            trainer.fresh(theta)
        local_alt(trainer, theta, mask, self.passes, self.keys["alternation"])
        self.mask[k] = mask


class FedSelect(FedSelectMethod):
    """arXiv 2404.02478: the mask grows from zeros by GradSelect, and takes effect after the broadcast."""

    defaults = dict(rate=0.25, limit=0.8, limit_rule="check-before", scope="tensor", eligible="weights",
                    growth_every=3, growth_first=3, reference="last-growth", ties="exact",
                    norm_statistics="local", alternation="interleaved", evaluate_at="after-local")

    def start(self):
        self.reference = [self.setting.initial for _ in self.clients]
        self.proposed = [None for _ in self.clients]

    def eligible(self):
        """Names of the tensors whose parameters may become personal."""
        rules = {
            "weights": lambda name: name.endswith("weight"),
            "matrix": lambda name: self.w[name].dim() >= 2,
            "all": lambda name: True,
        }
        return [name for name in self.network.parameters if rules[self.keys["eligible"]](name)]

    def train(self, t, k, trainer, theta):
        begin = dict(theta)
        local_alt(trainer, theta, self.mask[k], self.passes, self.keys["alternation"])
        self.proposed[k] = None
        since = t - self.keys["growth_first"]
        if since >= 0 and since % self.keys["growth_every"] == 0:
            reference = self.reference[k] if self.keys["reference"] == "last-growth" else begin
            self.proposed[k] = selection.grow(self.mask[k], change(self.network, theta, reference), self.keys,
                                              self.eligible(), self.window[k])
            self.reference[k] = dict(theta)

    def next_mask(self, k):
        return self.proposed[k] or self.mask[k]

    def after_merge(self, cohort):
        for k in cohort:  # a newly selected index starts its personal life from the global mean
            self.own[k] = where(self.mask[k], self.own[k], self.w)
            self.mask[k] = self.next_mask(k)
            self.proposed[k] = None
