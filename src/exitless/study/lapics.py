"""A physical local APIC's request and service bits over time, as far as a record's rows prove them.

A record of a simulation that begins at time 0 begins with all of them clear; in any other, bits are unknown until a row
tells of them. A vector is requested where it is accepted; it comes into service where a guest's exit acknowledges it,
where the hypervisor handles it, or where a guest takes it directly; it ends with the EOI. Times are ps.
"""

from typing import Final, NamedTuple

from exitless.record.block import Event, Record
from exitless.study.registers import ALL
from exitless.study.spans import rows
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind

KINDS: Final = frozenset((Kind.LAPIC_ACCEPT, Kind.LAPIC_EOI, Kind.HOST_IRQ, Kind.VM_EXIT, Kind.IRQ_DELIVER))
TAKEN_AT_EXIT: Final = (Exit.EXTERNAL_INTERRUPT, Exit.EXCEPTION_NMI)


class State(NamedTuple):
    """From ``time`` on these bits are requested and in service; ``known`` has a 1 for what rows have told of."""

    time: int
    requested: int
    service: int
    known: int


def lapics(record: Record, first_ps: int, last_ps: int) -> dict[int, list[State]]:
    """Return every pCPU's states; the first is what was before ``first_ps``."""
    whole = record.header.origin == "simulated" and len(record) > 0 and min(record.time[:4096]) == 0
    found = rows(record, None if whole else first_ps, last_ps, KINDS)
    if not any(e.kind == Kind.LAPIC_ACCEPT for e in found):
        return {}
    direct = {
        (to, host)
        for to, host, guest in zip(
            record.header.source_vcpu, record.header.source_host_vector, record.header.source_vector, strict=False
        )
        if host == guest
    }
    empty = State(first_ps, 0, 0, ALL if whole else 0)
    out = {pcpu: [empty] for pcpu in range(record.header.pcpus)}
    for e in found:
        if e.pcpu < 0 or not 0 <= _vector(e) < 256:
            continue
        states = out.setdefault(e.pcpu, [empty])
        after = _after(e, states[-1], direct)
        if after[1:] == states[-1][1:]:
            continue
        if e.time_ps <= states[-1].time:
            states[-1] = after._replace(time=states[-1].time)
        else:
            states.append(after)
    return out


def _vector(e: Event) -> int:
    return e.b if e.kind == Kind.VM_EXIT else e.a


def _after(e: Event, s: State, direct: set[tuple[int, int]]) -> State:
    """Return the state after one row."""
    vector = _vector(e)
    bit = 2**vector
    known = s.known | bit
    if e.kind == Kind.LAPIC_ACCEPT:
        return State(e.time_ps, s.requested | bit, s.service, known)
    if e.kind == Kind.LAPIC_EOI:
        requested = s.requested if s.service & bit else s.requested & ~bit
        return State(e.time_ps, requested, s.service & ~bit, known)
    if e.kind == Kind.HOST_IRQ:
        taken = not s.service & bit
    elif e.kind == Kind.VM_EXIT:
        taken = e.a in TAKEN_AT_EXIT and bool(s.requested & bit)
    else:
        taken = (e.vcpu, vector) in direct
    return State(e.time_ps, s.requested & ~bit, s.service | bit, known) if taken else s
