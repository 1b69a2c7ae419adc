"""Puts faults into parts of recordings, judges them, and says which of those not found have a legal explanation.

An explanation is told by the rows alone: nothing here asks the judge. What is neither found nor explained is a failure.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import NamedTuple

from exitless.judge.judge import judge
from exitless.vocab.kinds import Kind, RunState
from tests.judge.faults import FAULTS, Row
from tests.judge.recordings import Recording, part

LONG = 6_000
BEFORE_PS = 10 * 10**9
NO_PIC = 7
HALTS = (12, 0x78)


class Put(NamedTuple):
    """A fault at one place: the part without and with it, when and at which vCPU it is."""

    before: list[Row]
    after: list[Row]
    time: int
    vcpu: int
    xen: bool


class Outcome(NamedTuple):
    """What came of a fault: was it found, with the right phase, and if not, what explains it ("" for nothing)."""

    found: bool
    right: bool
    explained: str


def own(put: Put, *kinds: int) -> list[Row]:
    """Return the events of some kinds that the vCPU had before the fault."""
    return [r for r in put.before if r[0] < put.time and r[3] == put.vcpu and r[1] in kinds]


def gone(put: Put, kind: int) -> str:
    """No event of the kind is left."""
    return "" if any(r[1] == kind for r in put.after) else "no other event of the kind is in the part"


def never_asleep(put: Put) -> bool:
    """The vCPU has not slept in HLT since the part begins, so what was in service before it may be still."""
    halted = False
    for r in own(put, Kind.VM_EXIT, Kind.RUNSTATE):
        if r[1] == Kind.VM_EXIT:
            halted = r[4] in HALTS
        elif r[5] == RunState.BLOCKED and halted:
            return False
    return True


def not_taken(put: Put) -> str:
    """An injection is missing: what tells it is an end that finds nothing in service."""
    if not put.xen:
        return ""
    if not any(r[1] == Kind.IRQ_EOI and r[3] == put.vcpu and r[0] > put.time for r in put.after):
        return "Xen: the vCPU ends nothing afterwards, as with a callback, which has no EOI"
    if never_asleep(put):
        return "Xen: an interrupt in service since before the part may be what is ended"
    return ""


def not_of_xen(put: Put) -> str:
    """An injection of another vector needs a request of it."""
    return "Xen: requests are not recorded, so that the vector may have been requested" if put.xen else ""


def unwatched(put: Put) -> str:
    """A pCPU whose events were not recorded may have woken the vCPU."""
    named = {r[4] for r in put.before if r[1] == Kind.SCHED_TICKLE} | set(range(max(r[2] for r in put.before)))
    absent = named - {r[2] for r in put.before} - {-1}
    return "a pCPU has no event in the part, and may have done it" if absent else gone(put, Kind.SCHED_WAKE)


def another_waits(put: Put) -> str:
    """A window opens for an 8259's interrupt, whose pin was set."""
    pins = any(r[1] == Kind.PIC_SET and r[0] < put.time for r in put.before)
    return "a pin of an 8259 was set before, so its interrupt may wait" if pins else ""


def not_asked(put: Put) -> str:
    """Nothing tells that the vector is not an 8259's."""
    return "" if any(r[4] == 9 and r[5] == NO_PIC for r in put.after if r[1] == Kind.IRQ_INJECT) else (
        "Xen: no record tells that it is no 8259's: a guest without 8259s, or a callback"
    )  # fmt: skip


def not_written(put: Put) -> str:
    """Nothing but the end itself tells that EOI was written."""
    if why := gone(put, Kind.IRQ_EOI):
        return why
    written = any(
        (r[1], r[4]) in ((Kind.APIC_ACCESS, 0x10B0), (Kind.MSR_ACCESS, 0x80B + 2**32))
        and r[3] == put.vcpu and 0 <= put.time - r[0] < BEFORE_PS // 1000
        for r in put.after
    )  # fmt: skip
    return "" if written or not put.xen else "Xen: nothing else tells that the register written was EOI"


def merged(put: Put) -> str:
    """The request that is missing met one of its vector that waits already, and so changes nothing."""
    vector = next((r[4] for r in set(put.before) - set(put.after)), -1)
    waits = False
    for r in own(put, Kind.IRQ_REQUEST, Kind.IRQ_INJECT):
        if r[4] == vector:
            waits = r[1] == Kind.IRQ_REQUEST
    if not waits and never_asleep(put) and not any(r[4] <= vector for r in own(put, Kind.IRQ_INJECT)):
        return "the vector may have been requested before the part, and none up to it was taken since"
    return "the vector waits already, so that its request merges with another" if waits else ""


def from_before(put: Put) -> str:
    """A vector injected early may have been requested before the part, where nothing is known of the vCPU yet."""
    known = bool(own(put, Kind.IRQ_INJECT)) or not never_asleep(put)
    return "" if known else "the vector may have been requested before the part"


def either_side(put: Put) -> str:
    """A request comes from another CPU, and so may stand on either side of what a vCPU does."""
    moved = {r[1] for r in set(put.before) - set(put.after)}
    return "a request may come before or after what the vCPU does" if Kind.IRQ_REQUEST in moved else ""


EXPLAINED: dict[str, Callable[[Put], str]] = {
    "request of another vector": merged,
    "request at another vCPU": merged,
    "injection before its request": from_before,
    "injection left out": not_taken,
    "injection into another vCPU": not_taken,
    "injection of another vector": not_of_xen,
    "injection of a vector below 16": not_asked,
    "end of interrupt left out": not_written,
    "window for nothing": another_waits,
    "run without wake-up": unwatched,
    "two events swapped": either_side,
}


def outcomes(fault: str, recorded: Recording, places: int, chance: Random) -> Iterator[Outcome]:
    """Put a fault at random places of a recording, where it can be put, and judge each part alone."""
    put, phases = FAULTS[fault]
    for _ in range(places):
        first = chance.randrange(max(1, len(recorded.rows) - LONG))
        before = part(recorded.rows, first, first + LONG)
        changed = put(before, 0.4 + 0.4 * chance.random())
        if changed is None:
            continue
        at = Put(before, *changed, not recorded.threads)
        findings = judge([at.after], threads=recorded.threads).findings
        found = bool(findings) and findings[0].row[0] >= at.time - BEFORE_PS
        right = found and (not phases or findings[0].phase in phases)
        explained = "" if found or fault not in EXPLAINED else EXPLAINED[fault](at)
        yield Outcome(found, right, explained)
