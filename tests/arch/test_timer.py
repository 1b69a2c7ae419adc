"""The timer: dividers, one-shot, periodic and TSC-deadline mode, against the arithmetic of the manual."""

import pytest

from exitless.arch.outcome import Accept, Access
from exitless.arch.x86.acceptance import Arrival
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.lapic import acknowledge, deliverable
from exitless.arch.x86.timer import (
    NOTHING_DUE,
    TimerMode,
    collapse_missed,
    current_count,
    divisor,
    expire,
    next_deadline,
    read_deadline,
    timer_mode,
    write_deadline,
    write_divide,
    write_initial,
    write_timer_lvt,
)

DIVIDE_BY_1, DIVIDE_BY_2 = 0b1011, 0b0000


def running(mode: int, masked: int = 0) -> Apic:
    """Return an enabled APIC whose timer has this mode and vector 0x31, undivided."""
    apic = Apic(0, 0)
    apic.core.svr = 0x1FF
    write_divide(apic, DIVIDE_BY_1, 0)
    assert write_timer_lvt(apic, mode << 17 | masked << 16 | 0x31) == 0
    return apic


def test_dividers_are_those_of_the_figure() -> None:
    """Figure 10-10: bits 3, 1, 0."""
    values = [divisor(code >> 2 << 3 | code & 3) for code in range(8)]
    assert values == [2, 4, 8, 16, 32, 64, 128, 1]


@pytest.mark.parametrize("code", range(8))
def test_one_shot_counts_down_once(code: int) -> None:
    """10.5.4: it counts from the initial count at the divided clock, delivers at 0 and stays there."""
    apic = running(TimerMode.ONE_SHOT)
    divide = code >> 2 << 3 | code & 3
    by = divisor(divide)
    write_divide(apic, divide, 0)
    write_initial(apic, 7, 1000)
    assert next_deadline(apic) == 1000 + 7 * by
    for tick in range(7 * by):
        assert current_count(apic, 1000 + tick) == 7 - tick // by
        assert expire(apic, 1000 + tick) == NOTHING_DUE
    assert expire(apic, 1000 + 7 * by) == Accept.ACCEPTED
    assert (current_count(apic, 1000 + 9 * by), next_deadline(apic), deliverable(apic.core)) == (0, -1, 0x31)
    assert expire(apic, 10**9) == NOTHING_DUE


def test_periodic_reloads_at_zero() -> None:
    """10.5.4: at 0 the count is loaded again from the initial count, at the very tick."""
    apic = running(TimerMode.PERIODIC)
    write_initial(apic, 5, 100)
    assert [current_count(apic, 100 + t) for t in range(11)] == [5, 4, 3, 2, 1, 5, 4, 3, 2, 1, 5]
    for n in range(1, 4):
        assert next_deadline(apic) == 100 + 5 * n
        assert expire(apic, 100 + 5 * n - 1) == NOTHING_DUE
        assert expire(apic, 100 + 5 * n) == Accept.ACCEPTED
        assert current_count(apic, 100 + 5 * n) == 5
        assert acknowledge(apic.core) == 0x31
        apic.core.isr[1] = 0
    write_initial(apic, 0, 200)
    assert (next_deadline(apic), current_count(apic, 200)) == (-1, 0)


def test_a_late_look_finds_every_missed_tick_or_one() -> None:
    """Hardware would have expired each time; KVM lets what was missed collapse to one, due now."""
    apic = running(TimerMode.PERIODIC)
    write_initial(apic, 10, 0)
    answers = [expire(apic, 35), expire(apic, 35), expire(apic, 35), expire(apic, 35)]
    assert answers == [Accept.ACCEPTED, Accept.MERGED, Accept.MERGED, NOTHING_DUE]
    assert collapse_missed(apic, 35) == 0
    assert collapse_missed(apic, 75) == 3
    assert next_deadline(apic) == 75


def test_writing_the_initial_count_restarts_and_zero_stops() -> None:
    """10.5.4."""
    apic = running(TimerMode.ONE_SHOT)
    write_initial(apic, 100, 0)
    write_initial(apic, 50, 30)
    assert (current_count(apic, 30), next_deadline(apic)) == (50, 80)
    write_initial(apic, 0, 40)
    assert (current_count(apic, 41), next_deadline(apic)) == (0, -1)


def test_deadline_fires_when_the_counter_equals_or_exceeds() -> None:
    """10.5.4.1: one interrupt, and the MSR is cleared."""
    for now, due in ((999, False), (1000, True), (1001, True)):
        apic = running(TimerMode.DEADLINE)
        assert write_deadline(apic, 1000, 0, 0) == NOTHING_DUE
        assert next_deadline(apic) == read_deadline(apic, 0) == 1000
        assert expire(apic, now) == (Accept.ACCEPTED if due else NOTHING_DUE)
        assert read_deadline(apic, 0) == (0 if due else 1000)
        assert expire(apic, 5000) == (NOTHING_DUE if due else Accept.ACCEPTED)


def test_a_deadline_in_the_past_fires_at_once_and_zero_disarms() -> None:
    """10.5.4.1: "equals or exceeds" holds at the write already; 0 disarms."""
    apic = running(TimerMode.DEADLINE)
    assert write_deadline(apic, 5, 1, (1 << 32) + 5) == Accept.ACCEPTED
    write_deadline(apic, 5, 1, 0)
    assert (read_deadline(apic, 0), read_deadline(apic, 1), next_deadline(apic)) == (5, 1, (1 << 32) + 5)
    assert write_deadline(apic, 0, 0, 10**12) == NOTHING_DUE
    assert next_deadline(apic) == -1


def test_a_deadline_beyond_every_run_never_fires() -> None:
    """A value with bit 63 set is later than any time-stamp counter of a run."""
    apic = running(TimerMode.DEADLINE)
    assert write_deadline(apic, 0xFFFFFFFF, 0xFFFFFFFF, 2**62) == NOTHING_DUE
    assert (next_deadline(apic), read_deadline(apic, 1)) == (-1, 0xFFFFFFFF)


def test_each_mode_ignores_the_other_register() -> None:
    """10.5.4.1: in deadline mode the initial count is ignored and the current count reads 0; otherwise the MSR is."""
    apic = running(TimerMode.DEADLINE)
    write_initial(apic, 50, 0)
    assert (apic.timer.initial, current_count(apic, 1), next_deadline(apic)) == (0, 0, -1)
    apic = running(TimerMode.ONE_SHOT)
    assert write_deadline(apic, 1, 0, 100) == NOTHING_DUE
    assert (read_deadline(apic, 0), next_deadline(apic)) == (0, -1)


@pytest.mark.parametrize("any_change", [0, 1])
@pytest.mark.parametrize(("old", "new"), [(a, b) for a in range(4) for b in range(4)])
def test_a_change_of_mode_disarms(old: int, new: int, any_change: int) -> None:
    """10.5.4.1: a write that changes the mode disarms; timer_any_mode_change_disarms=0 is KVM's narrower rule."""
    apic = running(old)
    apic.choices.timer_any_mode_change_disarms = any_change
    write_initial(apic, 50, 0)
    write_deadline(apic, 50, 0, 0)
    armed = next_deadline(apic) >= 0
    assert armed == (old != TimerMode.RESERVED)
    write_timer_lvt(apic, new << 17 | 0x31)
    stays = armed and (old == new or (not any_change and {old, new} == {TimerMode.ONE_SHOT, TimerMode.PERIODIC}))
    assert (next_deadline(apic) >= 0) == stays


@pytest.mark.parametrize("any_change", [0, 1])
@pytest.mark.parametrize("counting", [TimerMode.ONE_SHOT, TimerMode.PERIODIC])
def test_what_deadline_mode_disarmed_does_not_come_back(counting: int, any_change: int) -> None:
    """10.5.4.1: a change into or out of deadline mode disarms, so that the way back finds the timer stopped."""
    for there, back in ((counting, TimerMode.DEADLINE), (TimerMode.DEADLINE, counting)):
        apic = running(there)
        apic.choices.timer_any_mode_change_disarms = any_change
        write_initial(apic, 50, 0)
        write_deadline(apic, 50, 3, 0)
        assert next_deadline(apic) > 0
        write_timer_lvt(apic, back << 17 | 0x31)
        assert (apic.timer.count, apic.timer.deadline_low, apic.timer.deadline_high) == (0, 0, 0)
        write_timer_lvt(apic, there << 17 | 0x31)
        assert next_deadline(apic) == -1


@pytest.mark.parametrize("kept", [0, 1])
def test_a_masked_expiry_is_over(kept: int) -> None:
    """Unmasking delivers nothing later; timer_masked_expiry_is_kept decides, from memory."""
    apic = running(TimerMode.ONE_SHOT, masked=1)
    apic.choices.timer_masked_expiry_is_kept = kept
    write_initial(apic, 5, 0)
    assert expire(apic, 5) == Arrival.MASKED
    assert (next_deadline(apic), apic.timer.kept) == (-1, kept)
    for unmasked in (0x31, 0x31):
        write_timer_lvt(apic, unmasked)
        assert deliverable(apic.core) == (0x31 if kept else -1)
    assert apic.timer.kept == 0
    apic.core.irr[1] = 0
    write_timer_lvt(apic, 0x31)
    assert deliverable(apic.core) == -1, "it is delivered once"


def test_without_deadline_mode_bit_17_alone_decides() -> None:
    """10.5.4.1: with CPUID.1:ECX[24]=0 bit 18 is reserved, and there is no MSR."""
    apic = Apic(0, 0)
    apic.has_deadline = 0
    apic.core.svr = 0x1FF
    for bits, mode in ((0, 0), (1, 1), (2, 0), (3, 1)):
        write_timer_lvt(apic, bits << 17)
        assert timer_mode(apic) == mode
    assert write_deadline(apic, 1, 0, 0) == Access.GENERAL_PROTECTION


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_new_divider_goes_on_or_starts_again(restarts: int) -> None:
    """The manual is silent: timer_divide_change_restarts decides."""
    apic = running(TimerMode.ONE_SHOT)
    apic.choices.timer_divide_change_restarts = restarts
    write_initial(apic, 100, 0)
    write_divide(apic, DIVIDE_BY_2, 40)
    assert current_count(apic, 40) == (100 if restarts else 60)
    assert next_deadline(apic) == 40 + 2 * (100 if restarts else 60)


def test_what_was_missed_is_counted_in_periods_of_the_divided_clock() -> None:
    """advance_periodic_target_expiration: whole periods after the first late one, which is due now."""
    for divide, by in ((DIVIDE_BY_1, 1), (DIVIDE_BY_2, 2), (0b0001, 4)):
        for bus in range(95 * by):
            apic = running(TimerMode.PERIODIC)
            write_divide(apic, divide, 0)
            write_initial(apic, 10, 0)
            assert collapse_missed(apic, bus) == max(0, bus // (10 * by) - 1)
            assert next_deadline(apic) == max(10 * by, bus)


def test_only_a_periodic_timer_misses_ticks() -> None:
    """A one-shot that is late stays due when it was; one that is stopped or in deadline mode has no period."""
    for mode, due in ((TimerMode.ONE_SHOT, 10), (TimerMode.DEADLINE, 10), (TimerMode.PERIODIC, -1)):
        apic = running(mode)
        write_initial(apic, 0 if due < 0 else 10, 0)
        write_deadline(apic, 10, 0, 0)
        assert collapse_missed(apic, 75) == 0
        assert next_deadline(apic) == due


def test_a_late_look_at_the_current_count() -> None:
    """10.5.4: a one-shot that has reached 0 reads 0 for ever, expired or not; a periodic one starts over."""
    for initial in (1, 2, 10):
        for mode in (TimerMode.ONE_SHOT, TimerMode.PERIODIC):
            apic = running(mode)
            write_initial(apic, initial, 100)
            for passed in range(35):
                once = max(0, initial - passed)
                again = initial - passed % initial
                assert current_count(apic, 100 + passed) == (again if mode == TimerMode.PERIODIC else once)


def test_a_period_after_a_new_divider_begins_at_the_initial_count() -> None:
    """10.5.4: what is left of this period goes on at the new rate; the next one has all of it."""
    apic = running(TimerMode.PERIODIC)
    write_initial(apic, 10, 0)
    write_divide(apic, DIVIDE_BY_2, 4)
    wanted = [6, 5, 4, 3, 2, 1, *range(10, 0, -1), 10]
    assert [current_count(apic, 4 + 2 * passed) for passed in range(17)] == wanted


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_new_divider_starts_no_timer_that_has_stopped(restarts: int) -> None:
    """10.5.4: only writing the initial count starts; 1 is left just before the end, 0 after it."""
    for mode in (TimerMode.ONE_SHOT, TimerMode.PERIODIC):
        apic = running(mode)
        apic.choices.timer_divide_change_restarts = restarts
        write_initial(apic, 10, 0)
        write_divide(apic, DIVIDE_BY_1, 9)
        assert next_deadline(apic) == 9 + (10 if restarts else 1)
        write_timer_lvt(apic, (TimerMode.PERIODIC - mode) << 17 | 0x31)
        for bus in (20, 21, 35):
            assert (current_count(apic, bus), next_deadline(apic), apic.timer.initial) == (0, -1, 10)
            write_divide(apic, DIVIDE_BY_2, bus)


def test_the_reserved_mode_keeps_a_count_and_does_not_run() -> None:
    """10.5.4: 11B is reserved; the initial count is stored, and nothing counts."""
    apic = running(TimerMode.RESERVED)
    write_initial(apic, 10, 5)
    timer = apic.timer
    assert (timer.initial, timer.count, timer.origin, current_count(apic, 7), next_deadline(apic)) == (10, 0, 5, 0, -1)
