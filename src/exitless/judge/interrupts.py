"""What each event says about a vCPU's local APIC, its injection and its windows."""

from typing import Final

from exitless.bits.words import PACKED, clear_bit, set_bit
from exitless.judge import laws
from exitless.judge.case import Case
from exitless.judge.vcpu import NONE, UNKNOWN, UNTOLD, Mode, Row, Vcpu, Window
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, RunState

NMI: Final = 2
UNTOLD_END: Final = -1
SOFTWARE: Final = 6
LAPIC: Final = 2
NO_PIC: Final = 7
CARRIERS: Final = frozenset({0, 32, 44, 45, 48, 49, 56, 85, 0x4E, 0x7C, 0x400, 0x402, 0x403})
PORT_IO: Final = (30, 0x7B)
HALTS: Final = (Exit.HLT, 0x78)
WINDOWS: Final = (Exit.INTERRUPT_WINDOW, 0x64)
PROGRESS: Final = frozenset({*PORT_IO, *HALTS, 10, 0x72})
MERGED, MASKED, LEVEL = 1, 2, 4
SPURIOUS: Final = 7
PINS: Final = 16
LOWEST: Final = 16
# EOI in the APIC's page and as an MSR, as accesses to them are told.
APIC_EOI, APIC_WRITTEN = 0xB0, 4096
X2APIC_EOI, MSR_WRITTEN = 0x80B, 2**32
# One NMI is taken and one more held pending, each by an entry of its own; and one entry may find them blocked.
NMI_ENTRIES: Final = 3


def name(vector: int) -> str:
    """Write a vector."""
    return f"0x{vector:02x}"


def request(j: Case, v: Vcpu | None, row: Row) -> None:
    """A local APIC accepted a vector."""
    vector = row[4] & 0xFF
    j.ever.add(vector)
    if v is None:
        if vector >= 16:
            for other in j.vcpus:
                other.apic.perhaps_requested(vector)
                other.asked.add(vector)
                other.dirty = True
        return
    if vector == NMI:
        v.nmis = NMI_ENTRIES
    else:
        if not j.delivery and v.apic.may_be_requested(vector):
            set_bit(v.apic.most.isr, 0, PACKED, vector)
        v.apic.request(vector)
        v.asked.add(vector)
        v.dirty = True
        if v.runs != RunState.RUNNING or v.pcpu != row[2]:
            v.fresh.add(vector)
    if v.runs == RunState.BLOCKED and v.reason in HALTS and v.owed is None:
        v.owed = row


def init(j: Case, v: Vcpu | None, row: Row) -> None:
    """A guest sent an IPI; one without a vector may be an INIT, which resets local APICs of others when it arrives."""
    if v is not None:
        carried_out(j, v, row)
    if row[4] < 0:
        for other in j.vcpus:
            if other is not v:
                other.forget_apic()
                other.resets = True


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
    elif v.mode == Mode.UNKNOWN:
        v.mode, v.reason = Mode.HYPERVISOR, UNKNOWN
    if row[5] == SOFTWARE:
        v.field = v.last = vector
        return
    if not j.marked and vector == v.last and j.threads and not v.apic.may_be_requested(vector):
        v.field = vector
        return
    if v.slept is not None and not v.apic.may_be_requested(vector):
        v.slept = None
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
    if row[5] == NO_PIC and vector < LOWEST:
        j.doubt(laws.LEGAL, v, row, f"{name(vector)} is no 8259's", j.foreign.setdefault(vector, []))
    elif j.delivery:
        take(j, v, row, vector)
    v.field = v.last = vector
    v.told.add(vector)
    v.dirty = True


def take(j: Case, v: Vcpu, row: Row, vector: int) -> None:
    """A vector leaves the APIC, or an 8259, or Xen's callback."""
    apic = v.apic
    unasked = f"{name(vector)} is not requested"
    if not j.threads:
        source = row[5] if row[5] not in (NONE, NO_PIC) else j.sources.get(vector, NONE)
        if source not in (NONE, LAPIC):
            return
        sure = source == LAPIC
        if sure and not apic.may_be_requested(vector):
            j.break_(laws.REQUESTED, v, row, unasked)
    else:
        from_pic = may_come_from_pic(j, vector)
        known = j.requests or vector in j.ever or vector in j.ended
        sure = not from_pic and known and vector >= LOWEST
        if not apic.may_be_requested(vector):
            if from_pic:
                if vector & 7 not in j.level:
                    j.pic.discard(vector & 7)
                return
            if v.last == UNTOLD and vector not in j.ever and (j.lines or Kind.PIC_SET in j.seen):
                return  # an 8259's that was there before all that is known, since KVM takes those first
            if Kind.PIC_SET not in j.seen and vector not in j.ever:
                if not j.lines:
                    j.doubt(laws.REQUESTED, v, row, unasked, j.foreign.setdefault(vector, []))
                return
            j.break_(laws.REQUESTED, v, row, unasked)
            sure = True
    if sure:
        top = apic.highest_request()
        if top > vector and top not in v.fresh:
            j.break_(laws.HIGHEST, v, row, f"{name(top)} is requested too")
        served = apic.in_service()
        if apic.is_masked(vector):
            masked(j, v, row, vector, served)
    apic.take(vector, v.fresh, sure)
    v.fresh.discard(vector)
    if not j.requests:
        apic.any_requested()
    if not j.ends:
        apic.forget_service()


def masked(j: Case, v: Vcpu, row: Row, vector: int, served: int) -> None:
    """A vector is injected over one in service that masks it: most likely that one's end is missing.

    When it is ended after all before it is injected again, the injection was what went wrong.
    """
    why = f"{name(served)} is in service, its end is missing"
    if served not in j.ended:
        j.doubt(laws.UNMASKED, v, row, why, j.unended.setdefault(served, []), laws.END)
    elif j.break_(laws.UNMASKED, v, row, why, laws.END):
        v.overtaken = (served if served != vector else NONE, len(j.findings) - 1)


def overtaken_ends(j: Case, v: Vcpu, vector: int) -> bool:
    """A vector that was overtaken by a masked one is ended; tells whether this end is that one."""
    served, n = v.overtaken
    if served != vector:
        return False
    v.overtaken = (NONE, NONE)
    if n < len(j.findings):
        early = j.findings[n]
        j.findings[n] = early._replace(phase=laws.INJECT, says=f"{name(served)} is in service, and ended only later")
    return True


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
    once = v.last
    if Kind.VM_ENTRY in j.seen:
        once = v.field if v.field != NONE else v.given
    if once not in (UNTOLD, vector):
        j.break_(laws.AGAIN, v, row, f"{name(once)} was injected last" if once >= 0 else "nothing is to be repeated")
        v.apic.forget()
        v.dirty = True
    v.field = v.last = vector


def deliver(j: Case, v: Vcpu | None, row: Row) -> None:
    """The processor delivered a vector by itself, which only a simulation shows."""
    if v is not None:
        v.apic.take(row[4], v.fresh, False)
        v.dirty = True


def line(j: Case, v: Vcpu | None, row: Row) -> None:
    """A line that an 8259 may have was raised or lowered, or the pin of an I/O APIC that shares it."""
    pin = row[4] if row[1] == Kind.GUEST_LINE else row[5] & 0xFF
    j.lines = j.lines or pin < PINS


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
    v.dirty = v.ending = True
    j.ended.add(row[4])
    ended = seen_end if j.delivery else unseen_end
    if not ended(j, v, row, row[4]):
        return
    settle(j, v)
    if j.own and v.mode == Mode.GUEST:
        v.carrier = row if row[5] == 1 else None
        return
    if v.mode == Mode.GUEST or (v.mode == Mode.HYPERVISOR and (v.reason not in CARRIERS or v.ends)):
        v.carrier = row
    v.ends += 1


def access(j: Case, v: Vcpu | None, row: Row) -> None:
    """The guest's access to a register of its local APIC was carried out; a write of EOI ends an interrupt."""
    if v is None or not carried_out(j, v, row):
        return
    if row[1] == Kind.APIC_ACCESS:
        ends = row[4] == APIC_EOI + APIC_WRITTEN
    else:
        ends = row[4] == X2APIC_EOI + MSR_WRITTEN
    if ends:
        v.wrote = row


def carried_out(j: Case, v: Vcpu, row: Row) -> bool:
    """Tell whether an access was carried out after an exit; a simulation shows it when the guest makes it."""
    if v.mode == Mode.GUEST and not j.own:
        j.break_(laws.CARRIED_OUT, v, row, "the guest runs")
        v.mode = Mode.UNKNOWN
    return v.mode == Mode.HYPERVISOR and not j.own


def unended(j: Case, v: Vcpu) -> None:
    """The guest goes on: what it wrote to EOI since the exit has ended an interrupt by now."""
    row, v.wrote = v.wrote, None
    if row is not None and not v.ending:
        j.break_(laws.WRITTEN, v, row, "nothing was ended")
        v.apic.end()
    v.ending = False


def seen_end(j: Case, v: Vcpu, row: Row, vector: int) -> bool:
    """An interrupt ended that was seen to be injected; tells whether it may have been in service."""
    apic = v.apic
    if vector >= 0:
        legal = apic.ends(vector) or overtaken_ends(j, v, vector)
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
    row, v.carrier = v.carrier, None
    if row is None:
        return
    if v.mode == Mode.GUEST:
        if j.threads and Kind.EOI_SPARED not in j.seen:
            j.doubt(laws.CARRIED, v, row, "the guest runs", j.unspared)
        else:
            j.break_(laws.CARRIED, v, row, "the guest runs")
    elif v.reason not in CARRIERS:
        j.break_(laws.CARRIED, v, row, "the exit carries no end")
    else:
        j.break_(laws.CARRIED, v, row, "the exit carried one already")


def pic(j: Case, v: Vcpu | None, row: Row) -> None:
    """A pin of an 8259 was set."""
    pin = row[4] & 7
    if row[5] & LEVEL:
        j.level.add(pin)
    (j.latched if row[5] & MASKED else j.pic).add(pin)
    for other in j.vcpus:
        other.dirty = True
