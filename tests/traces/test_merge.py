"""Ticks become ps without loss, and pCPUs are merged by time, in both forms."""

from hypothesis import given, settings
from hypothesis import strategies as st

from exitless.record.columns import BLOCK_ROWS, Columns, unpacked
from exitless.study.times import Counts, Times
from exitless.traces.merge import NO_TIME, Part, Weave
from exitless.traces.rate import PS_PER_S, Rate

FREQUENCIES = (1_000, 999_983, 10**9, 2_400_000_000, 2_599_998_123, 9_999_999_967, 999_999_999_989, 10**12)


def exact(ticks: int, times: int, over: int) -> int:
    """Multiply and divide in numbers of any length."""
    return ticks * times // over


@given(st.sampled_from(FREQUENCIES), st.integers(0, 2**61))
@settings(deadline=None)
def test_ticks_of_any_frequency_become_whole_ps(hz: int, ps: int) -> None:
    """The time of some ticks is their number times 10^12 over the frequency, rounded down, up to 2^61 ps."""
    ticks = ps * hz // PS_PER_S
    assert Rate(PS_PER_S, hz).ps(ticks) == exact(ticks, PS_PER_S, hz)


@given(st.integers(1, 2**32 - 1), st.integers(0, 63), st.integers(0, 2**60))
@settings(deadline=None)
def test_a_files_own_conversion_is_exact(times: int, right: int, ps: int) -> None:
    """TSC2NSEC of a trace.dat multiplies by up to 32 bits and shifts right by up to 63."""
    ticks = min(ps * 2**right // (times * 1000), 2**62)
    assert Rate(times * 1000, 2**right).ps(ticks) == exact(ticks, times * 1000, 2**right)


class Listed(Part):
    """Events whose times are given; ``name`` stands in their rows."""

    def __init__(self, name: int, times: list[int], columns: Columns) -> None:
        super().__init__()
        self.name, self.times, self.columns = name, times, columns
        self.step()

    def put(self) -> None:
        self.columns.row(self.now, 1, self.name, -1, 0, 0)

    def step(self) -> bool:
        self.now = self.times.pop(0) if self.times else NO_TIME
        return self.now != NO_TIME


@given(st.lists(st.lists(st.integers(0, 30), max_size=20), max_size=6))
@settings(deadline=None)
def test_parts_are_merged_by_time_and_at_equal_times_by_their_order(parts: list[list[int]]) -> None:
    """What comes out is what sorting all events by time and part gives."""
    columns = Columns([])
    weave = Weave([Listed(n, sorted(times), columns) for n, times in enumerate(parts)], columns)
    assert not weave.fill()
    expected = sorted((time, n) for n, times in enumerate(parts) for time in times)
    assert [(row[0], row[2]) for row in unpacked(columns)] == expected


def test_a_full_block_is_handed_out_before_there_are_more() -> None:
    """``fill`` stops while a further event's rows still fit, and goes on when the columns have been emptied."""
    columns = Columns([])
    weave = Weave([Listed(0, list(range(BLOCK_ROWS + 10)), columns)], columns)
    assert weave.fill() and BLOCK_ROWS - 4 <= columns.fill < BLOCK_ROWS
    first = int(columns.fill)
    columns.fill = 0
    assert not weave.fill() and first + columns.fill == BLOCK_ROWS + 10


@given(st.lists(st.integers(0, 2**62 - 1), min_size=1, max_size=60), st.integers(0, 1000))
@settings(deadline=None)
def test_a_percentile_is_the_nearest_rank(sample: list[int], per_mille: int) -> None:
    """Of n times in order, the one at ``ceil(p * n)``; the first for p = 0."""
    times = Times()
    for time in sample:
        times.add(time % 2**40)
    ordered = sorted(time % 2**40 for time in sample)
    rank = max(-(-per_mille * len(sample) // 1000), 1)
    assert times.at_ps(per_mille) == ordered[rank - 1] and times.total == sum(ordered)


@given(st.lists(st.one_of(st.integers(-3, 20), st.integers(2**40, 2**40 + 2))))
@settings(deadline=None)
def test_numbers_are_counted_whether_small_or_not(numbers: list[int]) -> None:
    """Small numbers are counted in an array, others in a dictionary; nobody sees where."""
    counts = Counts(8)
    for number in numbers:
        counts.add(number)
    assert counts.counted() == {number: numbers.count(number) for number in sorted(set(numbers))}
    assert all(counts.has(number) for number in numbers) and not counts.has(21)
