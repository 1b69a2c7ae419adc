"""The local vector table: seven local sources, their registers, and the pins LINT0 and LINT1. SDM vol. 3, 10.5.1."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Accept, Access
from exitless.arch.x86.acceptance import Arrival, arrival_of
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.lapic import LVT_MASKED, SVR_ENABLE, accept
from exitless.arch.x86.message import DeliveryMode

POLARITY: Final = 8192
REMOTE_IRR: Final = 16384
TRIGGER: Final = 32768
STATUS: Final = 4096
READ_ONLY: Final = 20480


class Lvt:
    """Entries of the local vector table. Cites: SDM apic.lvt"""

    CMCI: Final = 0
    TIMER: Final = 1
    THERMAL: Final = 2
    PERFMON: Final = 3
    LINT0: Final = 4
    LINT1: Final = 5
    ERROR: Final = 6
    COUNT: Final = 7


def defined_bits(apic: Apic, entry: i64) -> i64:
    """Return which bits of an entry mean anything, read-only ones included. Cites: SDM apic.lvt"""
    if entry == Lvt.TIMER:
        if apic.has_deadline == 0:
            return 200959
        return 463103
    if entry == Lvt.ERROR:
        return 69887
    if entry == Lvt.LINT0 or entry == Lvt.LINT1:
        return 129023
    return 71679


def writable_bits(apic: Apic, entry: i64) -> i64:
    """Return which bits of an entry software can change: all that mean anything but delivery status and remote IRR.

    Cites: SDM apic.lvt
    """
    return defined_bits(apic, entry) & ~READ_ONLY


def lvt_value(apic: Apic, entry: i64) -> i64:
    """Return what an entry reads. Cites: SDM apic.lvt"""
    if entry == Lvt.ERROR:
        return apic.core.lvt_error
    return apic.lvt[entry]


def _store(apic: Apic, entry: i64, value: i64) -> None:
    if entry == Lvt.ERROR:
        apic.core.lvt_error = value
    else:
        apic.lvt[entry] = value


def write_lvt(apic: Apic, entry: i64, value: i64) -> i64:
    """Software writes an entry. While SVR[8] is 0 its mask bit stays set, whatever is written.

    Changes: the entry; an unmasked, asserted level pin requests at once
    Returns: 0, or Access.GENERAL_PROTECTION in x2APIC mode for a reserved bit.
    Cites: SDM apic.lvt, SDM apic.x2apic
    """
    if apic.x2apic != 0:
        if value & ~defined_bits(apic, entry) != 0:
            return Access.GENERAL_PROTECTION
        if apic.choices.apic_lvt_status_faults != 0 and value & READ_ONLY & defined_bits(apic, entry) != 0:
            return Access.GENERAL_PROTECTION
    kept: i64 = lvt_value(apic, entry) & REMOTE_IRR
    written: i64 = value & writable_bits(apic, entry)
    if apic.core.svr & SVR_ENABLE == 0:
        written = written | LVT_MASKED
    if written & TRIGGER == 0:
        kept = 0
    _store(apic, entry, written | kept)
    if is_level(apic, entry) and _is_asserted(apic, entry):
        local_event(apic, entry)
    return 0


def mask_all(apic: Apic) -> None:
    """SVR[8] has become 0: every mask bit is set. Changes: all entries. Cites: SDM apic.reset"""
    i: i64 = 0
    while i < Lvt.COUNT:
        _store(apic, i, lvt_value(apic, i) | LVT_MASKED)
        i += 1


def delivery_of(apic: Apic, entry: i64) -> i64:
    """Return the delivery mode of an entry: timer and error are always fixed. Cites: SDM apic.lvt"""
    if entry == Lvt.TIMER or entry == Lvt.ERROR:
        return DeliveryMode.FIXED
    return (lvt_value(apic, entry) >> 8) & 7


def is_level(apic: Apic, entry: i64) -> bool:
    """Tell whether an entry is level triggered: only LINT0, with fixed delivery, may be. LINT1 is an edge whatever its
    bit 15 says, and NMI, SMI and INIT are edges too.

    Cites: SDM apic.lvt
    """
    return entry == Lvt.LINT0 and delivery_of(apic, entry) == DeliveryMode.FIXED and apic.lvt[entry] & TRIGGER != 0


def is_allowed(entry: i64, delivery: i64) -> bool:
    """Tell whether an entry may have a delivery mode: INIT and ExtINT only the pins. Cites: SDM apic.lvt"""
    if delivery == DeliveryMode.FIXED or delivery == DeliveryMode.SMI or delivery == DeliveryMode.NMI:
        return True
    pin: bool = entry == Lvt.LINT0 or entry == Lvt.LINT1
    return pin and (delivery == DeliveryMode.INIT or delivery == DeliveryMode.EXTINT)


def local_event(apic: Apic, entry: i64) -> i64:
    """A local source fires.

    A performance-counter interrupt masks its entry as it is delivered. A level pin sets remote IRR when its vector is
    accepted, and while that is set requests nothing more.

    Changes: TMR, IRR, the pending error status; the entry's mask or remote IRR
    Returns: Arrival.MASKED, one of Accept for a vector, or another Arrival (IGNORED: the entry's mode is reserved).
    Cites: SDM apic.lvt
    """
    value: i64 = lvt_value(apic, entry)
    if apic.core.enabled == 0:
        return Accept.DROPPED
    if value & LVT_MASKED != 0 or (value & REMOTE_IRR != 0 and is_level(apic, entry)):
        return Arrival.MASKED
    delivery: i64 = delivery_of(apic, entry)
    if not is_allowed(entry, delivery):
        return Arrival.IGNORED
    if entry == Lvt.PERFMON:
        apic.lvt[entry] = value | LVT_MASKED
    if delivery != DeliveryMode.FIXED:
        return arrival_of(delivery)
    if not is_level(apic, entry):
        return accept(apic.core, value & 255, 0)
    answer: i64 = accept(apic.core, value & 255, 1)
    if answer == Accept.ACCEPTED or answer == Accept.MERGED:
        apic.lvt[entry] = value | REMOTE_IRR
    return answer


def _is_asserted(apic: Apic, entry: i64) -> bool:
    """Tell whether a pin is at the level that its polarity bit calls active; never for other entries."""
    if entry != Lvt.LINT0 and entry != Lvt.LINT1:
        return False
    return apic.pins[entry - Lvt.LINT0] != (apic.lvt[entry] >> 13) & 1


def set_pin(apic: Apic, entry: i64, level: i64) -> i64:
    """The pin LINT0 or LINT1 takes a level, 1 for high. An edge is a change from inactive to active.

    Changes: the pin; as in :func:`local_event`
    Returns: Arrival.IGNORED when there is nothing to deliver, otherwise as :func:`local_event` answers.
    Cites: SDM apic.lvt
    """
    before: bool = _is_asserted(apic, entry)
    apic.pins[entry - Lvt.LINT0] = level
    if not _is_asserted(apic, entry) or (before and not is_level(apic, entry)):
        return Arrival.IGNORED
    return local_event(apic, entry)


def end_level(apic: Apic, vector: i64) -> None:
    """The EOI of ``vector`` reaches the level pins: remote IRR is cleared, and an active line requests again.

    Changes: remote IRR; TMR and IRR. Cites: SDM apic.lvt, SDM apic.eoi
    """
    value: i64 = apic.lvt[Lvt.LINT0]
    if value & REMOTE_IRR == 0 or value & 255 != vector:
        return
    apic.lvt[Lvt.LINT0] = value & ~REMOTE_IRR
    if is_level(apic, Lvt.LINT0) and _is_asserted(apic, Lvt.LINT0):
        local_event(apic, Lvt.LINT0)
