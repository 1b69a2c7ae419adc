"""The local APIC's timer: one-shot, periodic and TSC-deadline mode. SDM vol. 3, 10.5.4.

Time is an argument: ``bus`` in ticks of the timer's input clock (before the divider) for the counting modes, ``tsc``
for the deadline mode. A rule never waits; :func:`next_deadline` says when to come back.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.x86.acceptance import Arrival
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.lapic import LVT_MASKED
from exitless.arch.x86.lvt import Lvt, local_event, write_lvt
from exitless.bits.words import shl

NOTHING_DUE: Final = -1
DIVIDE_WRITABLE: Final = 11


class TimerMode:
    """Bits 18:17 of the timer's LVT entry. Cites: SDM apic.timer"""

    ONE_SHOT: Final = 0
    PERIODIC: Final = 1
    DEADLINE: Final = 2
    RESERVED: Final = 3


def timer_mode(apic: Apic) -> i64:
    """Return the timer's mode; without TSC-deadline mode bit 17 alone decides. Cites: SDM apic.timer"""
    if apic.has_deadline == 0:
        return (apic.lvt[Lvt.TIMER] >> 17) & 1
    return (apic.lvt[Lvt.TIMER] >> 17) & 3


def divisor(divide: i64) -> i64:
    """Return by how much the input clock is divided: bits 3, 1 and 0 say 2, 4, ... 128, and 1 when all are set.

    Cites: SDM apic.timer
    """
    code: i64 = (divide & 3) + ((divide >> 1) & 4)
    if code == 7:
        return 1
    return shl(2, code)


def _is_counting(mode: i64) -> bool:
    return mode == TimerMode.ONE_SHOT or mode == TimerMode.PERIODIC


def current_count(apic: Apic, bus: i64) -> i64:
    """Return what the current-count register reads: 0 when stopped and in deadline mode.

    A periodic count that has passed 0 has begun again at the initial count. Units: ``bus`` in input-clock ticks.
    Cites: SDM apic.timer
    """
    timer = apic.timer
    mode: i64 = timer_mode(apic)
    if timer.count == 0 or not _is_counting(mode):
        return 0
    passed: i64 = (bus - timer.origin) // divisor(timer.divide)
    if passed < timer.count:
        return timer.count - passed
    if mode == TimerMode.ONE_SHOT or timer.initial == 0:
        return 0
    return timer.initial - (passed - timer.count) % timer.initial


def write_initial(apic: Apic, value: i64, bus: i64) -> None:
    """Software writes the initial count: counting starts, or starts again; 0 stops it. In deadline mode it is ignored.

    Changes: initial and current count. Cites: SDM apic.timer
    """
    if timer_mode(apic) == TimerMode.DEADLINE:
        return
    apic.timer.initial = value
    apic.timer.count = 0
    if _is_counting(timer_mode(apic)):
        apic.timer.count = value
    apic.timer.origin = bus


def write_divide(apic: Apic, value: i64, bus: i64) -> None:
    """Software writes the divide configuration while the timer may be counting.

    Changes: the divider; what is left of the count goes on at the new rate, or starts again by choice
    Cites: SDM apic.timer
    """
    timer = apic.timer
    left: i64 = current_count(apic, bus)
    if apic.choices.timer_divide_change_restarts != 0 and left != 0:
        left = timer.initial
    timer.count = left
    timer.origin = bus
    timer.divide = value & DIVIDE_WRITABLE


def _disarm(apic: Apic) -> None:
    apic.timer.count = 0
    apic.timer.deadline_low = 0
    apic.timer.deadline_high = 0


def write_timer_lvt(apic: Apic, value: i64) -> i64:
    """Software writes the timer's LVT entry. A write that changes the mode disarms the timer.

    Changes: the entry, current count, IA32_TSC_DEADLINE; IRR when a kept expiry is delivered by choice
    Returns: as :func:`~exitless.arch.x86.lvt.write_lvt`. Cites: SDM apic.timer, SDM apic.lvt
    """
    old: i64 = timer_mode(apic)
    answer: i64 = write_lvt(apic, Lvt.TIMER, value)
    if answer != 0:
        return answer
    new: i64 = timer_mode(apic)
    if new != old and (
        apic.choices.timer_any_mode_change_disarms != 0 or not (_is_counting(old) and _is_counting(new))
    ):
        _disarm(apic)
    if apic.timer.kept != 0 and apic.lvt[Lvt.TIMER] & LVT_MASKED == 0:
        apic.timer.kept = 0
        local_event(apic, Lvt.TIMER)
    return 0


def read_deadline(apic: Apic, high: i64) -> i64:
    """Return the low (``high`` 0) or high half of IA32_TSC_DEADLINE: 0 unless in deadline mode and armed.

    Cites: SDM apic.timer
    """
    if timer_mode(apic) != TimerMode.DEADLINE:
        return 0
    if high != 0:
        return apic.timer.deadline_high
    return apic.timer.deadline_low


def write_deadline(apic: Apic, low: i64, high: i64, tsc: i64) -> i64:
    """Software writes IA32_TSC_DEADLINE: a value other than 0 arms, 0 disarms; a time that is over fires at once. In
    the other modes it is ignored.

    Changes: IA32_TSC_DEADLINE; as in :func:`expire`
    Returns: NOTHING_DUE, what :func:`expire` answers, or Access.GENERAL_PROTECTION without TSC-deadline mode.
    Cites: SDM apic.timer
    """
    if apic.has_deadline == 0:
        return Access.GENERAL_PROTECTION
    if timer_mode(apic) != TimerMode.DEADLINE:
        return NOTHING_DUE
    apic.timer.deadline_low = low
    apic.timer.deadline_high = high
    return expire(apic, tsc)


def next_deadline(apic: Apic) -> i64:
    """Return when the timer expires next: TSC ticks in deadline mode, input-clock ticks otherwise; -1 for never.

    A TSC deadline of 2**63 or more is never: no run lasts so long. Cites: SDM apic.timer
    """
    timer = apic.timer
    mode: i64 = timer_mode(apic)
    if mode == TimerMode.DEADLINE:
        if (timer.deadline_low == 0 and timer.deadline_high == 0) or timer.deadline_high >> 31 != 0:
            return -1
        return shl(timer.deadline_high, 32) + timer.deadline_low
    if timer.count == 0 or not _is_counting(mode):
        return -1
    return timer.origin + timer.count * divisor(timer.divide)


def expire(apic: Apic, now: i64) -> i64:
    """Let the timer expire once if it is due at ``now``; a driver calls again while the answer is not NOTHING_DUE.

    A masked expiry delivers nothing, and is over all the same. Periodic: the count begins again at the initial count,
    at the very tick at which it reached 0.

    Changes: current count or IA32_TSC_DEADLINE; IRR as in :func:`~exitless.arch.x86.lvt.local_event`
    Returns: NOTHING_DUE, or what the local source answers (Accept, Arrival.MASKED).
    Units: ``now`` in the clock of :func:`next_deadline`.
    Cites: SDM apic.timer
    """
    due: i64 = next_deadline(apic)
    if due < 0 or now < due:
        return NOTHING_DUE
    timer = apic.timer
    if timer_mode(apic) == TimerMode.PERIODIC:
        timer.origin = due
        timer.count = timer.initial
    else:
        _disarm(apic)
    answer: i64 = local_event(apic, Lvt.TIMER)
    if answer == Arrival.MASKED and apic.choices.timer_masked_expiry_is_kept != 0:
        timer.kept = 1
    return answer


def collapse_missed(apic: Apic, bus: i64) -> i64:
    """KVM finds a periodic timer whose next expiry is over: the ticks that were missed become one, due now.

    Changes: when the period began. Returns: how many expiries were left out.
    Cites: KVM lapic.c advance_periodic_target_expiration
    """
    due: i64 = next_deadline(apic)
    if timer_mode(apic) != TimerMode.PERIODIC or due < 0 or bus < due:
        return 0
    timer = apic.timer
    rate: i64 = divisor(timer.divide)
    missed: i64 = (bus - due) // (timer.initial * rate)
    timer.count = timer.initial
    timer.origin = bus - timer.initial * rate
    return missed
