"""The program's random streams (src/base/random.hpp), written anew: Philox4x32-10 of Salmon et al., SC 2011, in numpy."""

import numpy as np

FEATURE_SHIFT = 5
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox(counters, key):
    """Philox4x32-10 of an array (n, 4) of counters under one key of two words."""
    c = [np.asarray(counters, np.uint64)[:, i] for i in range(4)]
    k = [int(word) for word in key]
    for _ in range(10):
        first, second = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (second >> HALF) ^ c[1] ^ np.uint64(k[0]),
            second & LOW,
            (first >> HALF) ^ c[3] ^ np.uint64(k[1]),
            first & LOW,
        ]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return np.stack(c, axis=1)


class RandomStream:
    """Draws in the order in which the program draws them: `count` values of one kind at a time."""

    def __init__(self, seed, purpose, client=0, round=0, step=0):
        self.key = philox([[seed % 2**32, seed >> 32, purpose, 0]], (0x66656473, 0x656C6563))[0, :2]
        self.name = (client, round, step)
        self.used = 0

    def words(self, count):
        first, last = self.used // 4, (self.used + count + 3) // 4
        counters = [(block, *self.name) for block in range(first, last)]
        found = philox(counters, self.key).reshape(-1)[self.used - 4 * first :][:count]
        self.used += count
        return found

    def uniform(self, *shape):
        words = self.words(2 * int(np.prod(shape))).reshape(-1, 2)
        return (((words[:, 0] << np.uint64(21)) ^ (words[:, 1] >> np.uint64(11))) * 2.0**-53).reshape(shape)

    def below(self, n, *shape):
        """Rejects nothing: no n of a test leaves a remainder that would ever be drawn."""
        words = self.words(2 * int(np.prod(shape))).reshape(-1, 2)
        return (((words[:, 0] << HALF) | words[:, 1]) % np.uint64(n)).astype(int).reshape(shape)

    def normal(self, *shape):
        pairs = self.uniform(int(np.prod(shape)), 2)
        return (np.sqrt(-2 * np.log(1 - pairs[:, 0])) * np.cos(2 * np.pi * pairs[:, 1])).reshape(shape)
