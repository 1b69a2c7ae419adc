"""What Xen does on the way into a guest: vmx_intr_assist, step by step, as one procedure over a vCPU.

The order of its questions is Xen's and decides the window tax: after an injection it asks again what is pending,
and the event-channel callback is still pending because the guest has not run yet.
"""

from mypy_extensions import i64

from exitless.arch.outcome import Blocked, Source
from exitless.arch.vmx.eoi import set_eoi_exit
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.xen.callback import (
    ASSIST_OUT,
    ASSIST_PROCEED,
    ASSIST_THRESHOLD,
    assist_blocked,
    interrupt_blocked,
    pending_source,
    window_after_injection,
)
from exitless.mech.delivery import Delivery
from exitless.mech.vcpu import VirtualCpu


class Assist:
    """What one pass did: read by the driver, which records it and charges for it.

    ``source`` and ``vector`` are what was found first. ``injected`` is the vector put into the entry field, -1 for
    none; ``window_first`` and ``window_after`` hold the vector for which the window was armed before and after an
    injection, -1 for not; ``after_source`` is the source that was still pending.
    """

    def __init__(self) -> None:
        self.source: i64 = 0
        self.vector: i64 = 0
        self.injected: i64 = -1
        self.window_first: i64 = -1
        self.window_after: i64 = -1
        self.after_source: i64 = 0
        self.rvi_before: i64 = 0
        self.synced: i64 = 0
        self.eoi_map_written: i64 = 0


def set_irq(vcpu: VirtualCpu, delivery: Delivery, vector: i64, level: i64) -> i64:
    """A vector is for this vCPU's local APIC: the EOI-exit bitmap follows its trigger mode, then it is requested.

    Returns: Kick, as the delivery answers it. Cites: Xen vlapic.c vlapic_set_irq
    """
    if vcpu.has_vid != 0 and set_eoi_exit(vcpu.vapic, vector, level != 0):
        vcpu.eoi_map_dirty = 1
    return delivery.request(vcpu, vector, level)


def what_is_pending(vcpu: VirtualCpu, delivery: Delivery, out: Assist) -> i64:
    """Ask for the most urgent source; merges PIR into VIRR whatever the answer.

    Changes: PIR, VIRR; ``out.source`` and ``out.vector`` say what was found
    """
    if vcpu.pid.on != 0:
        out.synced = 1
    lapic: i64 = delivery.pending(vcpu)
    source: i64 = pending_source(0, 0, vcpu.callback_style, vcpu.info.upcall_pending, 0, lapic)
    out.source = source
    if source == Source.VECTOR:
        out.vector = vcpu.callback_vector
    else:
        out.vector = lapic
    return source


def is_blocked(vcpu: VirtualCpu, source: i64, vector: i64) -> i64:
    """Tell why the guest cannot take ``vector`` now; one of Blocked."""
    shadow: i64 = vcpu.state.sti_blocking | vcpu.state.mov_ss_blocking
    return interrupt_blocked(
        source, vcpu.state.interrupt_flag, shadow, 0, (vcpu.vapic.page[Reg.VTPR] >> 4) & 15, vector
    )


def has_deliverable(vcpu: VirtualCpu, delivery: Delivery, out: Assist) -> bool:
    """Tell whether the vCPU would take an interrupt if it ran: the question a blocking vCPU asks last."""
    source: i64 = what_is_pending(vcpu, delivery, out)
    if source == Source.NONE:
        return False
    if source == Source.LAPIC and vcpu.has_vid != 0 and out.vector >> 4 <= vcpu.vapic.svi >> 4:
        return False
    return is_blocked(vcpu, source, out.vector) == Blocked.NONE


def intr_assist(vcpu: VirtualCpu, delivery: Delivery, out: Assist) -> None:
    """One pass of vmx_intr_assist.

    Changes: PIR, VIRR, RVI or the entry field, the EOI-exit bitmap, interrupt-window exiting, the TPR threshold
    Cites: Xen intr.c vmx_intr_assist
    """
    out.injected = -1
    out.window_first = -1
    out.window_after = -1
    out.synced = 0
    out.eoi_map_written = 0
    out.rvi_before = vcpu.vapic.rvi
    timer: i64 = -1
    if vcpu.timer_pending > 0:
        timer = vcpu.timer_vector
        set_irq(vcpu, delivery, timer, 0)
    if vcpu.has_vid == 0:
        vcpu.controls.tpr_threshold = 0
    source: i64 = what_is_pending(vcpu, delivery, out)
    if source == Source.NONE:
        return
    vector: i64 = out.vector
    valid: i64 = 0
    if vcpu.state.entry_vector >= 0:
        valid = 1
    decision: i64 = assist_blocked(vcpu.has_vid, source, is_blocked(vcpu, source, vector), valid)
    if decision != ASSIST_PROCEED:
        if decision == ASSIST_THRESHOLD:
            vcpu.controls.tpr_threshold = vector >> 4
        elif decision != ASSIST_OUT:
            vcpu.vapic.window_exiting = 1
            out.window_first = vector
        return
    if source == Source.VECTOR:
        vcpu.state.entry_vector = vector
        out.injected = vector
    else:
        if vcpu.has_vid != 0 and timer >= 0 and set_eoi_exit(vcpu.vapic, vector, True):
            vcpu.eoi_map_dirty = 1
        if delivery.grant(vcpu, vector) != 0:
            out.injected = vector
        out.eoi_map_written = vcpu.eoi_map_dirty
        vcpu.eoi_map_dirty = 0
        if vector == timer:
            vcpu.timer_pending -= 1
    lapic: i64 = delivery.pending(vcpu)
    out.after_source = pending_source(0, 0, vcpu.callback_style, vcpu.info.upcall_pending, 0, lapic)
    if window_after_injection(vcpu.has_vid, out.after_source):
        vcpu.vapic.window_exiting = 1
        out.window_after = vcpu.callback_vector
        if out.after_source == Source.LAPIC:
            out.window_after = lapic
