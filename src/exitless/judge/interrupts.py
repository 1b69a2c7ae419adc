"""What each event says about a vCPU's local APIC, its injection and its windows."""

from typing import Final

from exitless.bits.words import PACKED, clear_bit, set_bit
from exitless.judge import laws
from exitless.judge.case import Case
from exitless.judge.vcpu import NONE, UNTOLD, Mode, Row, Vcpu, Window
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import RunState

NMI: Final = 2
UNTOLD_END: Final = -1
SOFTWARE: Final = 6
LAPIC: Final = 2
CARRIERS: Final = frozenset({0, 32, 44, 45, 48, 49, 56, 85, 0x4E, 0x7C, 0x400, 0x402, 0x403})
PORT_IO: Final = (30, 0x7B)
HALTS: Final = (Exit.HLT, 0x78)
WINDOWS: Final = (Exit.INTERRUPT_WINDOW, 0x64)
PROGRESS: Final = frozenset({*PORT_IO, *HALTS, 10, 0x72})
MERGED, MASKED, LEVEL = 1, 2, 4
SPURIOUS: Final = 7


def name(vector: int) -> str:
    """Write a vector."""
    return f"0x{vector:02x}"


def request(j: Case, v: Vcpu | None, row: Row) -> None:
    """A local APIC accepted a vector."""
    vector = row[4]
    j.ever.add(vector)
    if v is None:
        if vector >= 16:
            for other in j.vcpus:
                other.apic.perhaps_requested(vector)
                other.asked.add(vector)
                other.dirty = True
        return
    if vector != NMI:
        if not j.delivery and v.apic.may_be_requested(vector):
            set_bit(v.apic.most.isr, 0, PACKED, vector)
        v.apic.request(vector)
        v.asked.add(vector)
        v.dirty = True
        if v.runs != RunState.RUNNING or v.pcpu != row[2]:
            v.fresh.add(vector)
    if v.runs == RunState.BLOCKED and v.reason in HALTS and v.owed is None:
        v.owed = row


def inject(j: Case, v: Vcpu | None, row: Row) -> None:
    """The hypervisor filled the entry-injection field."""
    vector = row[4]
    if v is None:
        for other in j.vcpus:
            other.forget()
        return
    if v.mode == Mode.GUEST:
        j.break_(laws.OUTSIDE, v, row, "the guest runs")
        v.mode = Mode.UNKNOWN
    if row[5] == SOFTWARE:
        v.field = v.last = vector
        return
    if not j.marked and vector == v.last and not j.windows and not v.apic.may_be_requested(vector):
        v.field = vector
        return
    if v.slept is not None:
        j.break_(
            laws.RIGHTLY,
            v,
            v.slept,
            f"{name(vector)} is injected as soon as it is woken, so its interrupts were not masked",
        )
        v.slept = None
    if v.field >= 0:
        j.break_(laws.ONCE, v, row, f"{name(v.field)} waits for the entry already")
    if j.delivery:
        take(j, v, row, vector)
    v.field = v.last = vector
    v.told.add(vector)
    v.dirty = True


def take(j: Case, v: Vcpu, row: Row, vector: int) -> None:
    """A vector leaves the APIC, or an 8259, or Xen's callback."""
    apic = v.apic
    if j.windows:
        source = j.sources.get(vector, NONE)
        if source not in (NONE, LAPIC):
            return
        sure = source == LAPIC
    else:
        from_pic = may_come_from_pic(j, vector)
        sure = not from_pic
        if not apic.may_be_requested(vector):
            if from_pic:
                if vector & 7 not in j.level:
                    j.pic.discard(vector & 7)
                return
            j.break_(laws.REQUESTED, v, row, f"{name(vector)} is not requested")
            sure = True
    if sure:
        top = apic.highest_request()
        if top > vector and top not in v.fresh:
            j.break_(laws.HIGHEST, v, row, f"{name(top)} is requested too")
        if apic.is_masked(vector):
            j.break_(laws.UNMASKED, v, row, f"{name(apic.in_service())} is in service")
    apic.take(vector, v.fresh, sure)
    v.fresh.discard(vector)
    if not j.requests:
        apic.any_requested()
    if not j.ends:
        apic.forget_service()


def may_come_from_pic(j: Case, vector: int) -> bool:
    """Tell whether an 8259 may have given the vector: its pin was raised, and no local APIC ever accepted it."""
    return bool(j.pic or j.latched) and vector not in j.ever and (vector & 7 in j.pic or vector & 7 == SPURIOUS)


def inject_again(j: Case, v: Vcpu | None, row: Row) -> None:
    """The hypervisor injects once more what an entry did not deliver."""
    if v is None:
        return
    vector = row[4]
    if v.mode == Mode.GUEST:
        j.break_(laws.OUTSIDE, v, row, "the guest runs")
        v.mode = Mode.UNKNOWN
    if v.last != UNTOLD and v.last != vector:
        j.break_(
            laws.AGAIN, v, row, f"{name(v.last)} was injected last" if v.last >= 0 else "nothing is to be repeated"
        )
        v.apic.forget()
        v.dirty = True
    v.field = v.last = vector


def window(j: Case, v: Vcpu | None, row: Row) -> None:
    """The hypervisor arms interrupt-window exiting for a vector that waits."""
    vector, source = row[4], row[5]
    j.sources[vector] = source
    if v is None:
        return
    v.window = Window.ARMED
    if source == LAPIC:
        v.apic.request(vector)


def end(j: Case, v: Vcpu | None, row: Row) -> None:
    """The guest ended an interrupt: a told vector, one that is not told (-1), or none (-2)."""
    if v is None:
        return
    v.dirty = True
    ended = seen_end if j.delivery else unseen_end
    if not ended(j, v, row, row[4]):
        return
    settle(j, v)
    if v.mode == Mode.GUEST or (v.mode == Mode.HYPERVISOR and (v.reason not in CARRIERS or v.ends)):
        v.carrier = row
    v.ends += 1


def seen_end(j: Case, v: Vcpu, row: Row, vector: int) -> bool:
    """An interrupt ended that was seen to be injected; tells whether it may have been in service."""
    apic = v.apic
    if vector >= 0:
        legal = apic.ends(vector)
        if not legal:
            top = apic.in_service()
            above = f"{name(top)} is in service above it"
            j.break_(laws.IN_SERVICE, v, row, above if top > vector else f"{name(vector)} is not in service")
            clear_bit(apic.least.irr, 0, PACKED, vector)
        apic.end_of(vector)
        if vector == v.last:
            v.last = NONE
        v.closed = True
        return legal
    if vector == UNTOLD_END:
        legal = apic.may_serve()
        if not legal:
            j.break_(laws.SOMETHING, v, row, "nothing is in service")
        apic.end()
        return legal
    legal = apic.in_service() < 0
    if not legal:
        j.break_(laws.IN_SERVICE, v, row, f"{name(apic.in_service())} is in service")
    elif v.closed:
        legal = False
        j.break_(laws.SOMETHING, v, row, "the interrupt taken last has been ended, and the guest has not moved on")
    apic.nothing_in_service()
    return legal


def unseen_end(j: Case, v: Vcpu, row: Row, vector: int) -> bool:
    """An interrupt ended whose delivery left no event: what was requested may be in service since."""
    if vector < 0 or not j.requests:
        return True
    if v.apic.may_be_in_service(vector):
        clear_bit(v.apic.most.isr, 0, PACKED, vector)
    elif v.apic.may_be_requested(vector):
        clear_bit(v.apic.most.irr, 0, PACKED, vector)
    else:
        j.break_(laws.BACKED, v, row, f"{name(vector)} was not requested since it was ended last")
        return False
    return True


def spared(j: Case, v: Vcpu | None, row: Row) -> None:
    """The end just before took no exit."""
    if v is not None and v.carrier is not None:
        v.carrier = None
        v.ends -= 1


def settle(j: Case, v: Vcpu) -> None:
    """An end that no exit carried should have been told to be spared by now."""
    if v.carrier is not None:
        why = (
            "the guest runs"
            if v.mode == Mode.GUEST
            else "the exit carries no end"
            if v.reason not in CARRIERS
            else "the exit carried one already"
        )
        j.break_(laws.CARRIED, v, v.carrier, why)
        v.carrier = None


def pic(j: Case, v: Vcpu | None, row: Row) -> None:
    """A pin of an 8259 was set."""
    pin = row[4] & 7
    if row[5] & LEVEL:
        j.level.add(pin)
    (j.latched if row[5] & MASKED else j.pic).add(pin)
    for other in j.vcpus:
        other.dirty = True
