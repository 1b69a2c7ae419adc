"""Named predicates over state: what must hold between any two steps; checker and simulator ask the same ones."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.posted import PostedDescriptor, has_posted
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.arch.xen.eoi_stack import EoiStack, is_in_service, is_increasing
from exitless.arch.xen.fifo import LINKED, MASKED, PENDING, ControlBlock, EventArray, is_set
from exitless.arch.xen.two_level import SharedInfo, VcpuInfo, is_active
from exitless.bits.words import ON_PAGE, PACKED, has_bit, highest_bit


class Law:
    """Numbers of the laws. Cites: SDM apicv.state"""

    NONE: Final = 0
    SVI_IS_HIGHEST_IN_SERVICE: Final = 1
    RVI_COVERS_REQUESTS: Final = 2
    POSTED_IS_OUTSTANDING: Final = 3
    RUNNING_IS_NOTIFIED_HERE: Final = 4
    BLOCKED_IS_WOKEN: Final = 5
    PENDING_IS_NOT_BLOCKED: Final = 6
    BALANCE: Final = 7
    SLEEPER_HAS_NO_REQUEST: Final = 8
    PENDING_IS_SELECTED: Final = 9
    SELECTED_IS_MARKED: Final = 10
    PENDING_IS_LINKED: Final = 11
    READY_IS_MARKED: Final = 12
    STACK_IS_IN_SERVICE: Final = 13
    INTERRUPT_IS_RAISED: Final = 14


LAW_NAMES: Final = {
    1: "SVI is the highest vector in VISR",
    2: "at VM entry RVI is of the class of the highest vector in VIRR or above, or the window is armed, or a kick that "
    "came after the last look is on its way",
    3: "with SN clear, a descriptor that holds a vector has ON set",
    4: "a vCPU in its guest has SN clear, NDST naming its pCPU, and NV = notification vector",
    5: "a blocked vCPU with VT-d posting has NV = wakeup vector and is on the list of the pCPU in NDST",
    6: "a vCPU whose upcall is pending and deliverable is not blocked",
    8: "a vCPU that sleeps with IF=1 has no deliverable request in VIRR",
    7: "asserted = delivered + coalesced + pending for every source",
    9: "an unmasked pending port has its selector bit, or somebody under way will see to it",
    10: "with a selector bit upcall_pending is set, or somebody under way sets or reads it",
    11: "an unmasked pending port is linked, or somebody under way will see to it",
    12: "with a ready queue upcall_pending is set, or somebody under way sets or reads it",
    13: "the pending-EOI stack increases, and its vectors are those in service that wait for a guest",
    14: "every interrupt that do_IRQ took for a guest was raised, merged into one that will be, or is on its way",
}
# The invariants of docs/laws.md, and the predicate of this file behind each law (none: a count of the simulator's).
INVARIANTS: Final = {
    "I1": [2], "I2": [3], "I3": [4], "I4": [5], "I5": [9, 11], "I6": [10, 12], "I7": [6, 8], "I8": [13],
    "I9": [14, 7], "I10": [1],
}  # fmt: skip
PREDICATES: Final = {
    1: "svi_is_highest", 2: "rvi_covers", 3: "posted_is_outstanding", 4: "running_is_notified", 5: "blocked_is_woken",
    6: "pending_is_not_blocked", 7: "", 8: "sleeper_has_no_request", 9: "pending_is_selected",
    10: "selected_is_marked", 11: "pending_is_linked", 12: "ready_is_marked", 13: "stack_is_in_service",
    14: "interrupt_is_raised",
}  # fmt: skip


def svi_is_highest(vapic: VirtualApic) -> bool:
    """SVI names the highest vector in service. Cites: SDM apicv.state"""
    return vapic.svi == highest_bit(vapic.page, Reg.VISR, ON_PAGE)


def rvi_covers(vapic: VirtualApic) -> bool:
    """At VM entry no request of a higher class than RVI waits in VIRR unseen. Cites: SDM apicv.evaluation"""
    if vapic.window_exiting != 0:
        return True
    return highest_bit(vapic.page, Reg.VIRR, ON_PAGE) >> 4 <= vapic.rvi >> 4


def posted_is_outstanding(pid: PostedDescriptor) -> bool:
    """With SN clear, vectors in PIR have ON set, so that somebody is bound to look. Cites: VT-d posted.descriptor"""
    return pid.sn != 0 or pid.on != 0 or not has_posted(pid)


def running_is_notified(pid: PostedDescriptor, pcpu: i64) -> bool:
    """A running vCPU's notifications come to the pCPU it runs on. Cites: VT-d posted.descriptor"""
    return pid.sn == 0 and pid.ndst == pcpu


def blocked_is_woken(pid: PostedDescriptor, wakeup_vector: i64, listed: bool) -> bool:
    """A blocked vCPU's notification is the wakeup vector, and its handler will find the vCPU.

    Cites: VT-d posted.descriptor
    """
    return pid.nv == wakeup_vector and listed


def sleeper_has_no_request(vapic: VirtualApic) -> bool:
    """Nothing in VIRR is above what is in service, so that a sleeping vCPU sleeps rightly.

    Cites: SDM apicv.evaluation
    """
    return highest_bit(vapic.page, Reg.VIRR, ON_PAGE) >> 4 <= vapic.svi >> 4


def pending_is_selected(shared: SharedInfo, info: VcpuInfo, port: i64, seen_to: bool) -> bool:
    """Nobody needs to come across a pending port by chance: its selector bit is set, unless a raise, an unmasking or
    the guest's loop is under way (``seen_to``), which is the caller's to know.

    Cites: Xen event_2l.c evtchn_2l_set_pending
    """
    return seen_to or not is_active(shared, port) or has_bit(info.selector, 0, PACKED, port >> 6)


def selected_is_marked(info: VcpuInfo, seen_to: bool) -> bool:
    """A selector bit comes with upcall_pending, unless somebody is about to set it or the guest is in its loop.

    Cites: Xen domain.c vcpu_mark_events_pending
    """
    return seen_to or info.upcall_pending != 0 or (info.selector[0] == 0 and info.selector[1] == 0)


def pending_is_linked(array: EventArray, port: i64, seen_to: bool) -> bool:
    """A pending port is linked or masked, or its page is not there; else somebody is under way (``seen_to``).

    Cites: Xen event_fifo.c raise
    """
    return seen_to or not is_set(array, port, PENDING) or is_set(array, port, MASKED) or is_set(array, port, LINKED)


def ready_is_marked(block: ControlBlock, info: VcpuInfo, seen_to: bool) -> bool:
    """A ready queue comes with upcall_pending, unless somebody is about to set it or the guest is in its loop.

    Cites: Xen event_fifo.c raise
    """
    return seen_to or info.upcall_pending != 0 or block.ready == 0


def stack_is_in_service(stack: EoiStack, isr: vec[i64]) -> bool:
    """The pending-EOI stack increases strictly, and each of its vectors is in service. Cites: Xen irq.c pending_eoi"""
    return is_increasing(stack) and is_in_service(stack, isr)


def stack_is_whole(stack: EoiStack, isr: vec[i64], held: vec[i64]) -> bool:
    """Nothing in service waits for a guest without an entry; ``held`` has a bit for each vector of type EOI here.

    Cites: Xen irq.c pending_eoi
    """
    count: i64 = 0
    i: i64 = 0
    while i < 8:
        word: i64 = isr[i] & held[i]
        while word != 0:
            word = word & (word - 1)
            count += 1
        i += 1
    return count == stack.depth


def pending_is_not_blocked(info: VcpuInfo, blocked: i64, seen_to: bool) -> bool:
    """An upcall that is pending and not masked keeps its vCPU from sleeping, unless somebody is under way to wake it.

    Cites: Xen core.c vcpu_block
    """
    return seen_to or blocked == 0 or info.upcall_pending == 0 or info.upcall_mask != 0


def interrupt_is_raised(taken: i64, raised: i64, merged: i64, waiting: i64) -> bool:
    """None of the interrupts that do_IRQ took for a guest is forgotten: raised, merged, or one of those that wait.

    Cites: Xen dpci.c raise_softirq_for
    """
    return taken == raised + merged + waiting
