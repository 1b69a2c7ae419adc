"""What several runs that differ in their seed alone say together: a mean, how sure it is, and differences by pairs."""

from collections.abc import Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Final

# Student's t, 97.5 %, by degrees of freedom from 1 (NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2).
T_975: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL_975: Final = 1.960


class Repeated:
    """The mean of some values and half the width of its 95 % confidence interval; None where there is but one."""

    def __init__(self, mean: float, half: float | None, count: int) -> None:
        self.mean = mean
        self.half = half
        self.count = count

    @property
    def is_clear(self) -> bool:
        """Tell whether the interval leaves out 0."""
        return self.half is not None and abs(self.mean) > self.half


def t_975(freedom: int) -> float:
    """Return Student's t for a two-sided interval of 95 %; beyond the table the expansion about the normal's."""
    if freedom <= len(T_975):
        return T_975[freedom - 1]
    z = NORMAL_975
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def repeated(values: Sequence[float]) -> Repeated:
    """Sum up values of one quantity. Shapes: one value a seed, at least one."""
    if len(values) == 1:
        return Repeated(values[0], None, 1)
    return Repeated(fmean(values), t_975(len(values) - 1) * stdev(values) / sqrt(len(values)), len(values))


def paired(values: Sequence[float], base: Sequence[float]) -> Repeated:
    """Sum up the differences from a base, seed by seed: what both owe to their common arrivals cancels.

    Shapes: as many values as base has, in the same order of seeds.
    """
    return repeated([a - b for a, b in zip(values, base, strict=True)])
