"""The simulator's parts by themselves: calendar, chance, NIC and disk arithmetic, the table of costs."""

import heapq
import tomllib
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitless.scenario.costs import COST_NAMES
from exitless.sim.calendar import Calendar
from exitless.sim.chance import Stream, mix
from exitless.sim.costs import Cost
from exitless.sim.devices.disk import DiskQueue, complete, submit
from exitless.sim.devices.nic import Nic, NicQueue, arrive, mean_gap_ps, next_frame_ps, wire_time_ps

TEN_GBIT = 10**10


def entry(calendar: Calendar) -> tuple[int, int, int, int]:
    return int(calendar.now), int(calendar.event), int(calendar.x), int(calendar.y)


# ---- the calendar ----


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 65535), st.integers(0, 2**30 - 1))))
def test_entries_leave_by_time_and_among_equals_in_the_order_of_their_coming(
    pushes: list[tuple[int, int, int, int]],
) -> None:
    calendar, heap = Calendar(2), list[tuple[int, int, tuple[int, int, int]]]()
    for n, (time, event, x, y) in enumerate(pushes):
        calendar.push(time, event, x, y)
        heapq.heappush(heap, (time, n, (event, x, y)))
        assert calendar.next_time() == heap[0][0]
    while heap:
        time, _, rest = heapq.heappop(heap)
        assert calendar.pop()
        assert entry(calendar) == (time, *rest)
    assert not calendar.pop()
    assert calendar.next_time() == -1


@given(st.lists(st.one_of(st.none(), st.integers(0, 20)), max_size=60))
def test_pushes_between_pops_keep_the_order(script: list[int | None]) -> None:
    """None pops; a push behind the present moment is at the earliest now."""
    calendar, heap, now = Calendar(1), list[tuple[int, int]](), 0
    for n, after in enumerate(script):
        if after is not None:
            calendar.push(now + after, 1, n, 0)
            heapq.heappush(heap, (now + after, n))
        elif heap:
            time, number = heapq.heappop(heap)
            assert calendar.pop()
            assert entry(calendar) == (time, 1, number, 0)
            now = time


def test_the_largest_arguments_come_back_whole() -> None:
    calendar = Calendar(1)
    calendar.push(2**61, 65535, 65535, 2**30 - 1)
    assert calendar.pop()
    assert entry(calendar) == (2**61, 65535, 65535, 2**30 - 1)


# ---- chance ----


def test_mixing_is_a_bijection_on_what_was_tried() -> None:
    words = [*range(20000), *range(2**32 - 1000, 2**32)]
    mixed = [int(mix(word)) for word in words]
    assert len(set(mixed)) == len(words)
    assert all(0 <= word < 2**32 for word in mixed)


def test_a_draw_is_a_function_of_seed_stream_and_count_alone() -> None:
    """What others draw in between changes nothing."""
    alone, busy, other = Stream(7, 3), Stream(7, 3), Stream(7, 4)
    for _ in range(100):
        other.word()
        assert alone.word() == busy.word()
        other.exponential(1000)


def test_streams_and_seeds_do_not_share_their_numbers() -> None:
    drawn = {}
    for seed in range(4):
        for stream in range(4):
            source = Stream(seed, stream)
            drawn[seed, stream] = [int(source.word()) for _ in range(200)]
    for key, numbers in drawn.items():
        for other, theirs in drawn.items():
            if key != other:
                assert sum(a == b for a, b in zip(numbers, theirs, strict=True)) <= 1
                assert len(set(numbers) & set(theirs)) <= 2


@given(seed=st.integers(0, 2**32 - 1), limit=st.integers(1, 2**30))
def test_below_stays_below(seed: int, limit: int) -> None:
    source = Stream(seed, 1)
    assert all(0 <= source.below(limit) < limit for _ in range(50))


def test_below_is_even_and_exponential_has_its_mean_and_shape() -> None:
    """20,000 draws with one fixed seed: each of 16 values within a tenth of its share; mean within 2 per cent; e**-1 of
    the draws above the mean, e**-3 above three times."""
    source = Stream(1, 1)
    counts = [0] * 16
    for _ in range(20000):
        counts[source.below(16)] += 1
    assert all(1125 < n < 1375 for n in counts)
    times = [int(source.exponential(10**9)) for _ in range(20000)]
    assert abs(sum(times) / 20000 / 10**9 - 1) < 0.02
    assert abs(sum(t > 10**9 for t in times) / 20000 - 0.3679) < 0.01
    assert abs(sum(t > 3 * 10**9 for t in times) / 20000 - 0.0498) < 0.006
    assert min(times) >= 1


@given(seed=st.integers(0, 2**32 - 1), mean=st.integers(0, 10**12))
def test_an_exponential_draw_fits_a_64_bit_word_on_the_way(seed: int, mean: int) -> None:
    """The longest possible is below 24 times the mean: 32 bits hold no rarer event."""
    assert 1 <= Stream(seed, 0).exponential(mean) <= 24 * mean + 1


# ---- the NIC ----


def test_line_arithmetic_is_exact() -> None:
    """(length + 8 preamble + 12 gap) bytes of 8 bits at 100 ps; a frame is padded to 64 bytes."""
    assert wire_time_ps(1518, TEN_GBIT) == 1_230_400
    assert wire_time_ps(64, TEN_GBIT) == 67_200
    for length in range(1, 65):
        assert wire_time_ps(length, TEN_GBIT) == 67_200
    for length in range(64, 9217):
        assert wire_time_ps(length, TEN_GBIT) == (length + 20) * 800
    assert wire_time_ps(1518, 10**9) == 12_304_000


@pytest.mark.parametrize("load", [1, 10, 30, 50, 99, 100])
def test_the_mean_gap_makes_the_load(load: int) -> None:
    """wire * train / (wire * train + gap) = load."""
    wire = wire_time_ps(1518, TEN_GBIT)
    for train in (1, 16, 64):
        gap = mean_gap_ps(wire, train, load * 10)
        assert abs(wire * train * 100 / (wire * train + gap) - load) < 0.001


def wired(train: int, load: int, queues: int = 1) -> Nic:
    nic = Nic(0, 5, 100)
    nic.wire_ps, nic.train, nic.descriptors = wire_time_ps(1518, TEN_GBIT), train, 8
    nic.gap_ps = mean_gap_ps(nic.wire_ps, train, load * 10)
    nic.queues = [NicQueue(n, 0, n) for n in range(queues)]
    return nic


@pytest.mark.parametrize("train", [1, 2, 16])
def test_frames_never_come_closer_than_the_wire_allows_and_in_the_long_run_as_loaded(train: int) -> None:
    nic = wired(train, 30)
    times = [int(next_frame_ps(nic)) for _ in range(30000)]
    assert min(times) == nic.wire_ps or train == 1
    assert all(t >= nic.wire_ps for t in times)
    assert abs(len(times) * int(nic.wire_ps) / sum(times) - 0.30) < 0.02


def test_a_full_line_has_no_gaps() -> None:
    nic = wired(1, 100)
    assert {int(next_frame_ps(nic)) for _ in range(100)} == {1_230_400}


def test_a_full_ring_drops_and_counts() -> None:
    nic = wired(1, 30)
    assert [int(arrive(nic)) for _ in range(10)] == [0] * 8 + [-1, -1]
    assert (nic.frames, nic.dropped, nic.queues[0].ring, nic.queues[0].cause) == (10, 2, 8, 1)


def test_queues_share_the_frames() -> None:
    nic = wired(1, 30, 4)
    nic.descriptors = 10**6
    for _ in range(4000):
        arrive(nic)
    assert sum(q.ring for q in nic.queues) == 4000
    assert all(850 < q.ring < 1150 for q in nic.queues)


# ---- the disk ----


def test_requests_fly_and_are_done() -> None:
    queue = DiskQueue(0, 3, 800_000_000, 1, 200)
    for n in range(1, 5):
        assert submit(queue) >= 1
        assert (queue.flying, queue.done) == (n, 0)
    for n in range(1, 5):
        complete(queue)
        assert (queue.flying, queue.done) == (4 - n, n)


# ---- costs ----


def test_every_step_has_a_number_a_name_a_value_and_an_origin() -> None:
    """The numbers run from 0 without holes; each value is whole, each origin one of the three words."""
    numbers = [getattr(Cost, name.upper()) for name in COST_NAMES]
    assert numbers == list(range(Cost.COUNT))
    for file in (resources.files("exitless.scenario") / "presets").iterdir():
        if file.name.endswith(".toml"):
            table = tomllib.loads(file.read_text("utf-8"))["cost"]
            assert sorted(table) == sorted(COST_NAMES)
            for row in table.values():
                assert ("cycles" in row) != ("ns" in row)
                assert row.get("cycles", row.get("ns")) >= 0
                assert row["origin"] in ("measured", "published", "guess")
                assert row["source"]
