"""Random numbers by counter: one stream a source, so that a new device changes nobody else's draws.

A draw is a function of (seed, stream, counter) alone: two rounds of a 32-bit integer mixer (the finalizer
known from MurmurHash3 with other constants), in 32-bit words so that compiled and interpreted forms agree.
"""

from typing import Final

from mypy_extensions import i64

_MASK: Final = 4294967295


def mix(x: i64) -> i64:
    """Mix one 32-bit word; a bijection on 32 bits."""
    h: i64 = x & 4294967295
    h = ((h >> 16) ^ h) * 73244475 & 4294967295
    h = ((h >> 16) ^ h) * 73244475 & 4294967295
    return (h >> 16) ^ h


class Stream:
    """The draws of one source."""

    def __init__(self, seed: i64, stream: i64) -> None:
        self.key: i64 = mix(mix(seed & 4294967295) ^ mix((stream + 1) * 40503 & 4294967295))
        self.counter: i64 = 0

    def word(self) -> i64:
        """Return the next 32-bit word."""
        self.counter += 1
        return mix(mix(self.counter & 4294967295) ^ self.key)

    def below(self, limit: i64) -> i64:
        """Return a number in ``0 <= n < limit`` for ``limit`` up to 2**30 (multiply and shift)."""
        return (self.word() * limit) >> 32

    def exponential(self, mean: i64) -> i64:
        """Return an exponentially distributed whole number with about this mean, at least 1.

        Integer only: the logarithm comes from counting leading zero bits and a 6-bit table step, exact to
        about one per cent, which is finer than any arrival rate here is known.
        """
        w: i64 = self.word() | 1
        bits: i64 = 0
        v: i64 = w
        while v < 2147483648:
            v = v + v
            bits += 1
        # v in [2**31, 2**32): the fraction of a binary order, linear with a quadratic correction, in 1/65536
        f: i64 = (v - 2147483648) >> 15
        log2: i64 = f + (f * (65536 - f) >> 16) * 22640 // 65536
        orders: i64 = (bits + 1) * 65536 - log2
        # ln 2 = 45426/65536
        return mean * (orders * 45426 >> 16) // 65536 + 1
