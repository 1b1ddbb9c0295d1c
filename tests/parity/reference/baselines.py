"""Methods that share everything, or share whole layers."""

import dataclasses

from .federation import Method
from .tensors import constant_mask, copy, dot, each, minus, mix, plus, zeros


class Local(Method):
    """Every client alone."""

    def personal(self):
        return self.network.names


class FedAvg(Method):
    pass


class FedAvgFt(Method):
    """Fine-tunes before a test; the state is unchanged by it."""

    defaults = dict(fine_tune_passes=5)

    def tested(self, t, k):
        return self.fine_tuned(t, k, self.model(k), self.keys["fine_tune_passes"])


class FedProx(Method):
    """Gradient + mu (theta - w)."""

    defaults = dict(mu=0.01)

    def train(self, t, k, trainer, theta):
        w, mu = dict(theta), self.keys["mu"]
        trainer.passes(theta, self.passes, extra=lambda now: each(lambda d: mu * d, minus(now, {n: w[n] for n in self.network.parameters})))


class Scaffold(Method):
    """Gradient - c_k + c; control variates from what the steps did."""

    weighting = "uniform"
    defaults = dict(global_lr=1.0)

    def start(self):
        parameters = {name: self.w[name] for name in self.network.parameters}
        self.c = zeros(parameters)
        self.c_k = [zeros(parameters) for _ in self.clients]

    def train(self, t, k, trainer, theta):
        w = dict(theta)
        correction = minus(self.c, self.c_k[k])
        trainer.passes(theta, self.passes, extra=lambda now: correction)
        steps = self.passes * len(trainer.batches)
        drift = minus(w, {name: theta[name] for name in correction})
        self.next_c_k[k] = each(lambda c_k, c, d: c_k - c + d / (steps * trainer.lr), self.c_k[k], self.c, drift)

    def round(self, t, cohort):
        self.next_c_k = {}
        return super().round(t, cohort)

    def merge(self, cohort, uploads):
        mean, _ = self.mean(cohort, uploads)
        self.w = {name: self.w[name] + self.keys["global_lr"] * (mean[name] - self.w[name]) for name in self.w}
        for k in cohort:
            for name in self.c:
                difference = self.next_c_k[k][name] - self.c_k[k][name]
                self.c[name] = self.c[name] + self.weight(k, cohort) * len(cohort) / len(self.clients) * difference
        for k in cohort:
            self.c_k[k] = self.next_c_k[k]

    def weight(self, k, cohort):
        if self.keys["weighting"] == "uniform":
            return 1 / len(cohort)
        return self.clients[k].samples / sum(self.clients[i].samples for i in cohort)

    def values_sent(self, k):
        return super().values_sent(k) + self.network.size


class Ditto(Method):
    """A global model as FedAvg's, and a second one of each client, drawn towards it."""

    defaults = {"lambda": 1.0}

    def start(self):
        self.v = [copy(self.setting.initial) for _ in self.clients]

    def local_round(self, t, k, trainer):
        w = copy(self.w)
        upload = super().local_round(t, k, trainer)
        trainer.fresh(self.v[k])
        pull = lambda v: each(lambda d: self.keys["lambda"] * d, minus(v, {n: w[n] for n in self.network.parameters}))
        trainer.passes(self.v[k], self.passes, extra=pull)
        return upload

    def deployed(self, k):
        return self.v[k]


class PFedMe(Method):
    """Moreau envelopes: theta solves a proximal problem for each batch, w_k follows theta."""

    defaults = {"lambda": 15.0, "beta": 1.0, "inner_steps": 5, "inner_lr": 0.05}

    def start(self):
        self.theta = [copy(self.setting.initial) for _ in self.clients]

    def local_round(self, t, k, trainer):
        keys, lam = self.keys, self.keys["lambda"]
        w_k, theta = copy(self.w), copy(self.w)
        trainer.fresh(theta)
        for _ in range(self.passes):
            for x, y in trainer.batches:
                for _ in range(keys["inner_steps"]):
                    pulled = plus(trainer.gradient(theta, x, y), lam, minus(theta, {n: w_k[n] for n in self.network.parameters}))
                    trainer.optimizer.step(theta, pulled, keys["inner_lr"])
                w_k = plus(w_k, -lam * trainer.lr, minus(w_k, theta))
        self.theta[k] = theta
        self.own[k] = w_k
        return w_k

    def merge(self, cohort, uploads):
        mean, shared = self.mean(cohort, uploads)
        self.w = self.setting.server.step(self.w, mix(self.keys["beta"], mean, self.w), shared)

    def deployed(self, k):
        return self.theta[k]


class PerFedAvg(Method):
    """First-order MAML: each step uses the gradient at a point one step of another batch away."""

    defaults = dict(inner_lr=0.01)

    def adapted(self, trainer, theta, batch):
        """One step of plain SGD away, clipped and with weight decay as every step."""
        ahead, optimizer = copy(theta), dataclasses.replace(trainer.optimizer, kind="sgd", momentum=0.0)
        optimizer.start(ahead)
        optimizer.step(ahead, trainer.gradient(ahead, *batch), self.keys["inner_lr"])
        return ahead

    def train(self, t, k, trainer, theta):
        for _ in range(self.passes):
            for first, second in pairs(trainer.batches):
                ahead = self.adapted(trainer, theta, first)
                trainer.optimizer.step(theta, trainer.gradient(ahead, *second), trainer.lr)
                theta.update({name: ahead[name] for name in self.network.statistics})  # both batches move them

    def tested(self, t, k):
        trainer = self.trainer(t, k)
        return self.adapted(trainer, self.model(k), trainer.batches[0])


def pairs(batches):
    """Consecutive ones; a last one without partner is its own."""
    return [(batches[i], batches[min(i + 1, len(batches) - 1)]) for i in range(0, len(batches), 2)]


class Apfl(Method):
    """A mixture a v + (1 - a) w, its weight a learned too."""

    defaults = dict(alpha=0.5)

    def start(self):
        self.v = [copy(self.setting.initial) for _ in self.clients]
        self.a = [self.keys["alpha"] for _ in self.clients]

    def local_round(self, t, k, trainer):
        a, v, w_k = self.a[k], self.v[k], copy(self.w)
        parameters = self.network.parameters
        of_w, of_v = trainer.optimizer, dataclasses.replace(trainer.optimizer)
        trainer.fresh(w_k)
        of_v.start({name: v[name] for name in parameters})
        first = True
        for _ in range(self.passes):
            for x, y in trainer.batches:
                mixture = mix(a, v, w_k)
                at_mixture = trainer.gradient(mixture, x, y)
                v.update({name: mixture[name] for name in self.network.statistics})  # v keeps what the mixture saw
                at_w = trainer.gradient(w_k, x, y)
                if first:
                    slope = dot(minus(v, {n: w_k[n] for n in parameters}), at_mixture)
                    next_a = min(max(a - trainer.lr * slope, 0.0), 1.0)
                of_v.step(v, each(lambda g: a * g, at_mixture), trainer.lr)
                of_w.step(w_k, at_w, trainer.lr)
                if first:
                    a, first = next_a, False
        self.a[k], self.v[k], self.own[k] = a, v, w_k
        return w_k

    def deployed(self, k):
        return mix(self.a[k], self.v[k], self.w)


class LayerMethod(Method):
    """Named layers personal, the rest averaged."""

    def personal_layers(self):
        return [self.network.head()]

    def personal(self):
        return self.network.tensors_of(self.personal_layers())

    def on(self, personal):
        """The scope of the personal tensors, or of the others."""
        chosen = set(self.personal())
        return constant_mask(self.w, [n for n in self.w if (n in chosen) == personal])


class FedPer(LayerMethod):
    pass


class FedRep(LayerMethod):
    def train(self, t, k, trainer, theta):
        trainer.passes(theta, self.passes - 1, scope=self.on(personal=True))
        trainer.passes(theta, 1, scope=self.on(personal=False))


class LgFedAvg(LayerMethod):
    defaults = dict(shared_layers=1)

    def personal_layers(self):
        return list(self.network.layers)[: -self.keys["shared_layers"]]


class FedBabu(LayerMethod):
    """The head keeps its initial values until the test."""

    defaults = dict(fine_tune_passes=5)

    def train(self, t, k, trainer, theta):
        trainer.passes(theta, self.passes, scope=self.on(personal=False))

    def tested(self, t, k):
        return self.fine_tuned(t, k, self.model(k), self.keys["fine_tune_passes"])


class FedBn(LayerMethod):
    def personal_layers(self):
        return [layer for layer in self.network.layers if layer in self.network.norms]


class FedSim(LayerMethod):
    """Personal layers by name, everything trained at once."""

    defaults = dict(personal=["head"])

    def personal_layers(self):
        return [self.network.head() if layer == "head" else layer for layer in self.keys["personal"]]


class FedAlt(FedSim):
    """The personal layers first, then, with a fresh optimizer, the shared ones."""

    def train(self, t, k, trainer, theta):
        trainer.passes(theta, self.passes, scope=self.on(personal=True))
        trainer.fresh(theta)
        trainer.passes(theta, self.passes, scope=self.on(personal=False))
