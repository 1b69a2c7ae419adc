"""The calendar does what heapq does, and entries of equal times leave in the order in which they came."""

import heapq
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exitless.sim.calendar import SEQUENCE_LIMIT, SLOTS, Calendar
from tests.parity.work import shuffled

ENTRY = st.tuples(st.integers(0, 12), st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 2**30 - 1))
LATE = st.tuples(st.integers(0, 2**61), st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 2**30 - 1))
POP = st.just((-1, 0, 0, 0))


def with_heapq(pushes: list[tuple[int, int, int, int]]) -> list[list[int]]:
    """Do the same pushes and pops on a heap of tuples that carry their order of arrival."""
    heap: list[tuple[int, int, int, int, int]] = []
    arrival = count()
    left = []
    for time, event, x, y in pushes:
        if time >= 0:
            heapq.heappush(heap, (time, next(arrival), event, x, y))
        elif heap:
            left.append(heapq.heappop(heap))
    while heap:
        left.append(heapq.heappop(heap))
    return [[time, event, x, y] for time, _, event, x, y in left]


@given(st.lists(st.one_of(ENTRY, ENTRY, POP), max_size=120))
@settings(max_examples=300, deadline=None)
def test_many_equal_times_leave_in_order_of_arrival(pushes: list[tuple[int, int, int, int]]) -> None:
    assert shuffled([list(push) for push in pushes]) == with_heapq(pushes)


@given(st.lists(st.one_of(LATE, POP), max_size=60))
@settings(max_examples=150, deadline=None)
def test_times_of_many_days_keep_their_order(pushes: list[tuple[int, int, int, int]]) -> None:
    assert shuffled([list(push) for push in pushes]) == with_heapq(pushes)


def test_an_empty_calendar_has_nothing_to_give() -> None:
    assert shuffled([[-1, 0, 0, 0]]) == []


def test_the_limits_of_a_ticket_are_refused_and_not_wrapped() -> None:
    calendar = Calendar(4)
    calendar.order = SEQUENCE_LIMIT - 2
    calendar.push(2**61, 65535, 65535, 2**30 - 1)
    with pytest.raises(OverflowError, match="numbered"):
        calendar.push(2**61, 1, 0, 0)
    assert calendar.pop() and [calendar.event, calendar.x, calendar.y] == [65535, 65535, 2**30 - 1]
    full = Calendar(4)
    full.capacity = full.count = SLOTS
    with pytest.raises(OverflowError, match="pending"):
        full.push(0, 1, 0, 0)
