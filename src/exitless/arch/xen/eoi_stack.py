"""Interrupts whose EOI waits for guests: the pending-EOI stack of a pCPU, and the limit on how often one comes. irq.c.

An EOI of the local APIC ends the highest vector in service, so only the top of the stack may be ended.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import PACKED, has_bit, zeros

SLOTS: Final = 208
FORCED_EOI_PS: Final = 1_000_000_000
RATE_LIMIT: Final = 10_000
QUANTUM_PS: Final = 10_000_000_000


class EoiStack:
    """The pending-EOI stack of one pCPU.

    Shapes: ``irq``, ``vector`` and ``ready`` (0 or 1) from the bottom to ``depth`` - 1, vectors strictly increasing.
    Cites: Xen irq.c pending_eoi
    """

    def __init__(self) -> None:
        self.depth: i64 = 0
        self.irq: vec[i64] = zeros(SLOTS)
        self.vector: vec[i64] = zeros(SLOTS)
        self.ready: vec[i64] = zeros(SLOTS)


class End:
    """What the end of an interrupt of Xen's own comes to. Cites: Xen irq.c pending_eoi"""

    NOW: Final = 0
    WAITS: Final = 1


class Rate:
    """How often one interrupt has come in the present quantum. Cites: Xen irq.c irq_ratelimit"""

    def __init__(self) -> None:
        self.since_ps: i64 = 0
        self.count: i64 = 0


def push(stack: EoiStack, irq: i64, vector: i64) -> bool:
    """do_IRQ puts an interrupt of type EOI on the stack, not ready.

    Changes: the stack
    Returns: False when that would break the order, which the local APIC rules out: it delivers only what is above
        all in service.
    Cites: Xen irq.c pending_eoi
    """
    if stack.depth > 0 and stack.vector[stack.depth - 1] >= vector:
        return False
    _write(stack, stack.depth, irq, vector, 0)
    stack.depth += 1
    return True


def _write(stack: EoiStack, at: i64, irq: i64, vector: i64, ready: i64) -> None:
    stack.irq[at] = irq
    stack.vector[at] = vector
    stack.ready[at] = ready


def mark_ready(stack: EoiStack, irq: i64) -> bool:
    """The guests have ended an interrupt: its entry is marked, however deep it is.

    Changes: ready. Returns: whether there was an entry that was not marked yet. Cites: Xen irq.c set_eoi_ready
    """
    at: i64 = stack.depth - 1
    while at >= 0:
        if stack.irq[at] == irq:
            was: bool = stack.ready[at] != 0
            stack.ready[at] = 1
            return not was
        at -= 1
    return False


def holds(stack: EoiStack, irq: i64) -> bool:
    """Tell whether an interrupt has an entry that is not marked ready. Cites: Xen irq.c set_eoi_ready"""
    at: i64 = stack.depth - 1
    while at >= 0:
        if stack.irq[at] == irq and stack.ready[at] == 0:
            return True
        at -= 1
    return False


def pop_ready(stack: EoiStack) -> i64:
    """Take the top off the stack if it is ready; the caller gives the local APIC an EOI for it, and asks again.

    Changes: the stack. Returns: the vector that the EOI ends, or -1. Cites: Xen irq.c flush_ready_eoi
    """
    if stack.depth == 0 or stack.ready[stack.depth - 1] == 0:
        return -1
    stack.depth -= 1
    return stack.vector[stack.depth]


def end_internal(stack: EoiStack, irq: i64, vector: i64) -> i64:
    """An interrupt that Xen itself handles is over, with EOI at the end: below higher entries it must wait its turn.

    Changes: the stack, when it waits
    Returns: End; NOW: the local APIC's EOI ends just this vector.
    Cites: Xen irq.c pending_eoi
    """
    at: i64 = stack.depth
    while at > 0 and stack.vector[at - 1] > vector:
        _write(stack, at, stack.irq[at - 1], stack.vector[at - 1], stack.ready[at - 1])
        at -= 1
    if at == stack.depth:
        return End.NOW
    _write(stack, at, irq, vector, 1)
    stack.depth += 1
    return End.WAITS


def is_increasing(stack: EoiStack) -> bool:
    """Tell whether the vectors increase from the bottom to the top. Cites: Xen irq.c pending_eoi"""
    at: i64 = 1
    while at < stack.depth:
        if stack.vector[at - 1] >= stack.vector[at]:
            return False
        at += 1
    return True


def is_in_service(stack: EoiStack, isr: vec[i64]) -> bool:
    """Tell whether every entry's vector is in service at the local APIC; ``isr`` has packed words of the ISR.

    Cites: Xen irq.c pending_eoi
    """
    at: i64 = 0
    while at < stack.depth:
        if not has_bit(isr, 0, PACKED, stack.vector[at]):
            return False
        at += 1
    return True


def held_class(stack: EoiStack) -> i64:
    """Ask for the priority class that guests hold back on this pCPU: device vectors up to it wait.

    Returns: 0 to 15, 0 for none. Never F: F0H and above are Xen's own. Cites: Xen irq.c pending_eoi
    """
    if stack.depth == 0:
        return 0
    return stack.vector[stack.depth - 1] >> 4


def exceeds_rate(rate: Rate, now_ps: i64, limit: i64) -> bool:
    """One more interrupt has come; tell whether its source is to be switched off for the rest of a quantum of 10 ms.

    The caller masks it and lets a timer of 10 ms switch it on again. A ``limit`` of 0 is none.

    Changes: rate. Units: ps. Cites: Xen irq.c irq_ratelimit
    """
    if limit == 0:
        return False
    if now_ps - rate.since_ps >= QUANTUM_PS or rate.count == 0:
        rate.since_ps = now_ps
        rate.count = 0
    rate.count += 1
    return rate.count > limit


def forced_at(armed_ps: i64) -> i64:
    """Ask when Xen ends an interrupt that guests have not ended. Units: ps. Cites: Xen irq.c irq_guest_eoi_timer_fn"""
    return armed_ps + FORCED_EOI_PS
