"""What each event says about who runs where."""

from typing import Final

from exitless.judge import laws
from exitless.judge.case import Case
from exitless.judge.interrupts import CARRIERS, HALTS, PORT_IO, PROGRESS, WINDOWS, name, settle, unended
from exitless.judge.vcpu import NONE, RUNSTATE_NAMES, UNKNOWN, UNTOLD, Mode, Row, Vcpu, Window
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import RunState

# After these exits of VMX, Linux may enter the guest again on a fast path that records no entry.
FAST: Final = frozenset({UNKNOWN, Exit.HLT, Exit.MSR_WRITE, Exit.PREEMPTION_TIMER})
NEVER: Final[frozenset[int]] = frozenset()
# Exits that Xen's device model may carry out: the vCPU counts as offline meanwhile, and nobody resets its local APIC.
EMULATED: Final = frozenset({*PORT_IO, Exit.EPT_VIOLATION, 49, 0x400})
# What an exit of an interrupt window says that opens at the HLT where the exit before it stood.
AT_HLT: Final = 1
# Both 8259s' ports, and those of their edge and level registers; an exit of port I/O has its port in bits 16 to 31.
PIC_PORTS: Final = frozenset({0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1})


def placed(j: Case, v: Vcpu, row: Row) -> None:
    """An entry or exit happens where the vCPU runs."""
    if v.runs == UNKNOWN or (v.runs == RunState.RUNNING and v.pcpu == row[2]):
        return
    where = f"it runs on pCPU {v.pcpu}" if v.runs == RunState.RUNNING else "it has no pCPU"
    j.break_(laws.PLACED, v, row, where)
    v.runs = v.pcpu = UNKNOWN


def enter(j: Case, v: Vcpu | None, row: Row) -> None:
    """The guest runs."""
    if v is None:
        return
    if v.carrier is not None:
        settle(j, v)
    unended(j, v)
    v.entered = row[2]
    if v.resets:
        v.forget_apic()
        v.resets = False
    placed(j, v, row)
    if v.mode == Mode.GUEST:
        j.break_(laws.PAIRED, v, row, "the guest runs")
    if row[4] >= 0 and v.field != UNTOLD and row[4] != v.field and v.mode == Mode.HYPERVISOR:
        j.break_(laws.DELIVERED, v, row, f"{name(v.field)} was injected" if v.field >= 0 else "nothing was injected")
    if v.open and v.field == NONE and not v.nmis:
        top = v.apic.top_sure()
        if top >= 0 and top not in v.fresh:
            j.break_(laws.USED, v, row, f"{name(top)} is requested")
            v.apic.forget_requests()
            v.dirty = True
    v.open = False
    v.slept = None
    if v.window == Window.CLOSED and not j.windows:
        if v.dirty:
            v.possible = not j.requests or bool(j.pic) or v.apic.top_possible() >= 0
            v.dirty = False
        if v.possible:
            v.window = Window.PERHAPS
    v.quiet = v.mode == Mode.HYPERVISOR and v.field == NONE and not v.nmis
    v.mode = Mode.GUEST
    v.given = v.field
    v.field = NONE
    v.nmis = max(0, v.nmis - 1)


def leave(j: Case, v: Vcpu | None, row: Row) -> None:
    """The guest exits."""
    if v is None:
        return
    reason = row[4]
    if v.carrier is not None:
        if j.own and v.mode == Mode.GUEST and reason in CARRIERS:
            v.carrier = None
        settle(j, v)
    placed(j, v, row)
    if v.mode == Mode.HYPERVISOR and v.reason not in (FAST if j.threads else NEVER):
        j.break_(laws.ENTERED, v, row, "it has exited already and was not entered since")
    v.open = False
    if reason in WINDOWS:
        if v.window == Window.CLOSED:
            armed_for_nothing(j, v, row)
        elif row[5] == AT_HLT and v.quiet and v.mode == Mode.GUEST:
            j.break_(laws.SHADOW, v, row, "the entry injected nothing there, and the HLT has not run since")
        v.window = Window.CLOSED
        v.open = v.mode == Mode.GUEST
    elif reason in PROGRESS:
        v.closed = False
        if reason in PORT_IO and j.latched and (row[5] < 0 or row[5] >> 16 & 0xFFFF in PIC_PORTS):
            j.pic |= j.latched
            j.latched.clear()
            for other in j.vcpus:
                other.dirty = True
    v.mode = Mode.HYPERVISOR
    v.reason = reason
    v.ends = 0
    v.wrote, v.ending = None, False
    v.fresh.clear()
    v.field = NONE


def armed_for_nothing(j: Case, v: Vcpu, row: Row) -> None:
    """An interrupt window opens that had no reason, unless the one in service had been ended."""
    waits, served = v.apic.highest_request(), v.apic.in_service()
    if waits >= 0 and served >= 0 and waits not in v.fresh:
        why = f"nothing could be taken: {name(served)} is in service, its end is missing"
        if served in j.ended:
            j.break_(laws.ARMED, v, row, why, laws.END)
        else:
            j.doubt(laws.ARMED, v, row, why, j.unended.setdefault(served, []), laws.END)
    else:
        j.break_(laws.ARMED, v, row, "nothing was pending when the guest was entered")


def runstate(j: Case, v: Vcpu | None, row: Row) -> None:
    """A vCPU changes its runstate."""
    if v is None:
        return
    _, _, pcpu, place, old, new = row
    if old == RunState.RUNNING and v.mode == Mode.GUEST and v.entered == pcpu:
        j.break_(laws.STOPPED, v, row, "the guest runs")
        v.mode = Mode.UNKNOWN
    if old == RunState.BLOCKED and new == RunState.RUNNABLE:
        if v.runs == RunState.BLOCKED and not v.woken:
            j.break_(laws.WOKEN, v, row, "nobody woke it")
        if v.runs == RunState.BLOCKED:
            v.runs = RunState.RUNNABLE
        return
    if v.runs != UNKNOWN and v.runs != old:
        if v.runs == RunState.BLOCKED and new == RunState.RUNNING:
            j.break_(laws.WOKEN, v, row, "it is blocked")
        elif not (j.threads and v.runs == RunState.RUNNABLE):
            j.break_(
                laws.CHAINED, v, row, f"it is {RUNSTATE_NAMES[v.runs]}" + (f" on pCPU {v.pcpu}" if v.pcpu >= 0 else "")
            )
    if new == RunState.RUNNING:
        run(j, v, row)
        return
    if old == RunState.RUNNING and j.on.get(pcpu) == place:
        j.on[pcpu] = NONE
    v.runs, v.pcpu = new, UNKNOWN
    if new == RunState.OFFLINE and not (v.mode == Mode.HYPERVISOR and v.reason in EMULATED):
        v.forget_apic()
    if new == RunState.BLOCKED:
        block(j, v, row)


def run(j: Case, v: Vcpu, row: Row) -> None:
    """A vCPU gets a pCPU."""
    pcpu = row[2]
    other = j.on.get(pcpu, NONE)
    if other not in (NONE, v.place) and j.vcpus[other].runs == RunState.RUNNING:
        j.break_(laws.CHAINED, v, row, f"pCPU {pcpu} runs another vCPU")
        j.vcpus[other].runs = UNKNOWN
    j.on[pcpu] = v.place
    if j.partly:
        v.forget()
    v.runs, v.pcpu, v.woken, v.owed = RunState.RUNNING, pcpu, False, None


def block(j: Case, v: Vcpu, row: Row) -> None:
    """A vCPU gives its pCPU away until it is woken."""
    if v.woken:
        v.runs, v.woken = UNKNOWN, False
    if v.reason not in HALTS or v.mode != Mode.HYPERVISOR:
        return
    if v.blank:
        v.apic.keep(v.asked if j.requests else None, v.told)
        v.blank = False
        v.dirty = True
    top = v.apic.top_sure()
    if top >= 0 and top not in v.fresh:
        v.slept = row


def wake(j: Case, v: Vcpu | None, row: Row) -> None:
    """A vCPU is woken."""
    if v is None:
        return
    v.owed = None
    v.woken = True
