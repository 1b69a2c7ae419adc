"""Means of repeated runs: Student's interval as tables give it, and differences by pairs."""

import math
from itertools import pairwise

import pytest

from exitless.study.repeats import paired, repeated, t_975


def test_one_value_has_no_interval() -> None:
    one = repeated([3.0])
    assert (one.mean, one.half, one.count, one.is_clear) == (3.0, None, 1, False)


def test_the_interval_is_t_times_the_standard_error() -> None:
    """Of 1, 2, 3, 4: mean 2.5, deviation sqrt(5/3), t at 3 degrees of freedom 3.182."""
    r = repeated([1.0, 2.0, 3.0, 4.0])
    assert r.mean == 2.5 and r.half is not None
    assert math.isclose(r.half, 3.182 * math.sqrt(5 / 3) / 2)
    assert not repeated([-1.0, 1.0]).is_clear and repeated([2.0, 2.1]).is_clear


@pytest.mark.parametrize(("freedom", "printed"), [(1, 12.706), (30, 2.042), (40, 2.021), (60, 2.000), (120, 1.980)])
def test_t_is_what_printed_tables_say(freedom: int, printed: float) -> None:
    assert abs(t_975(freedom) - printed) < 0.0006


def test_t_falls_with_every_degree_of_freedom() -> None:
    values = [t_975(n) for n in range(1, 500)]
    assert all(a > b for a, b in pairwise(values)) and values[-1] > 1.96


def test_what_both_have_in_common_cancels() -> None:
    """Seeds that move both by the same amount leave a difference without spread."""
    r = paired([11.0, 21.0, 31.0], [10.0, 20.0, 30.0])
    assert (r.mean, r.half, r.is_clear) == (1.0, 0.0, True)
    with pytest.raises(ValueError, match="longer"):
        paired([1.0], [1.0, 2.0])
