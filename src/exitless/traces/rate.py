"""How ticks of a recording's clock become ps, without loss, in 64 bits wherever they suffice."""

from math import gcd
from typing import Final

from mypy_extensions import i64

from exitless.bits.words import shl

PS_PER_S: Final = 1_000_000_000_000
# Times a number; by one multiplication and division; by two of at most 40 bits each; in longer numbers.
TIMES: Final = 0
ONCE: Final = 1
TWICE: Final = 2
LONG: Final = 3
MOST_TIMES: Final = 2**52
MOST_OVER: Final = 2**40
WORD: Final = 2**62 - 1
LOW: Final = 2**20 - 1


class Rate:
    """Ticks times ``times`` divided by ``over`` are ps."""

    def __init__(self, times: int, over: int) -> None:
        self.given = times, over
        common = gcd(times, over)
        times, over = times // common, over // common
        self.how: i64 = LONG
        self.times: i64 = 0
        self.over: i64 = 1
        if times < MOST_TIMES and over < MOST_OVER:
            self.how = TIMES if over == 1 else ONCE if times * over <= WORD else TWICE
            self.times, self.over = times, over

    def ps(self, ticks: i64) -> i64:
        """Return how long some ticks are."""
        if self.how == TIMES:
            return ticks * self.times
        if self.how == LONG:
            return int(ticks) * self.given[0] // self.given[1]
        over: i64 = self.over
        whole: i64 = ticks // over
        rest: i64 = ticks - whole * over
        if self.how == ONCE:
            return whole * self.times + rest * self.times // over
        by: i64 = self.times // over
        left: i64 = self.times - by * over
        high: i64 = (rest >> 20) * left
        carry: i64 = high // over
        low: i64 = shl(high - carry * over, 20) + (rest & LOW) * left
        return whole * self.times + rest * by + shl(carry, 20) + low // over
