"""Methods that share what their masks keep: 0 = kept, 1 = pruned and 0 in value."""

from .federation import Method
from .fedselect import inverse
from .selection import Window, prune, round_half_even
from .tensors import count, where, zeros


class Pruning(Method):
    def prunable(self):
        return [name for name in self.network.parameters if self.w[name].dim() >= 2]

    def validation_samples(self, k):
        return max(1, round_half_even(self.keys["validation"] * self.clients[k].samples))

    def local_samples(self, k):
        return self.clients[k].samples - self.validation_samples(k)

    def may_prune(self, k, theta):
        """Accurate on the validation part, and more kept than is the target."""
        client, n = self.clients[k], self.validation_samples(k)
        accuracy = self.network.correct(theta, client.x[-n:], client.y[-n:]) / n
        weights = sum(self.w[name].numel() for name in self.prunable())
        kept = 1 - count(self.mask[k], self.prunable()) / weights
        return accuracy > self.keys["accuracy_threshold"] and kept > self.keys["target"]

    def pruned(self, k, theta, window):
        return prune(self.mask[k], theta, self.keys["prune_rate"], self.prunable(), window)

    def kept_part(self, k, values):
        return where(self.mask[k], zeros(values), values)


class LotteryFl(Pruning):
    defaults = dict(prune_rate=0.2, target=0.3, accuracy_threshold=0.5, validation=0.1)

    def local_round(self, t, k, trainer):
        theta = self.kept_part(k, self.w)
        if self.may_prune(k, theta):
            self.mask[k] = self.pruned(k, theta, self.window[k])
            theta = self.kept_part(k, self.setting.initial)  # the lottery ticket's rewind
        trainer.fresh(theta)
        trainer.passes(theta, self.passes, scope=inverse(self.mask[k]))
        self.own[k] = theta
        return theta


class SubFedAvg(Pruning):
    defaults = dict(prune_rate=0.1, target=0.5, accuracy_threshold=0.5, validation=0.1, distance=1e-4)

    def local_round(self, t, k, trainer):
        theta = self.kept_part(k, self.w)
        trainer.fresh(theta)
        scope = inverse(self.mask[k])
        trainer.passes(theta, 1, scope)
        early = self.pruned(k, theta, Window(theta))
        trainer.passes(theta, self.passes - 1, scope)
        late = self.pruned(k, theta, self.window[k])
        weights = sum(self.w[name].numel() for name in self.prunable())
        distance = sum(int((early[name] != late[name]).sum()) for name in self.prunable()) / weights
        if distance > self.keys["distance"] and self.may_prune(k, theta):
            self.mask[k] = late
            theta = self.kept_part(k, theta)
        self.own[k] = theta
        return theta
