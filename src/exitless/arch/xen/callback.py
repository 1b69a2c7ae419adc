"""How an event becomes an interrupt in an HVM guest: callbacks, what is pending first, and the windows it takes.

Xen's hvm/irq.c, hvm.c and vmx/intr.c.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Blocked, Source

# What vmx_intr_assist does about what it found pending.
ASSIST_PROCEED: Final = 0
ASSIST_WINDOW: Final = 1
ASSIST_THRESHOLD: Final = 2
ASSIST_OUT: Final = 3

# What asserting the callback comes to.
ASSERT_NOTHING: Final = 0
ASSERT_TASKLET: Final = 1
ASSERT_LAPIC: Final = 2
ASSERT_KICK: Final = 3
ASSERT_WIRE: Final = 4

LOWEST_UPCALL_VECTOR: Final = 16


class Callback:
    """How a domain, or with UPCALL_VECTOR one vCPU, wants to be told of events. Cites: Xen params.h callback_irq"""

    NONE: Final = 0
    GSI: Final = 1
    PCI_INTX: Final = 2
    VECTOR: Final = 3
    UPCALL_VECTOR: Final = 4


def decode_callback_irq(high: i64, low: i64) -> i64:
    """Ask which style HVM_PARAM_CALLBACK_IRQ stands for; it comes in 32-bit halves, with its type in bits 63:56.

    Returns: Callback; an unknown type and GSI 0 are NONE. Cites: Xen params.h callback_irq
    """
    kind: i64 = (high >> 24) & 255
    if kind == 0 and low & 255 != 0:
        return Callback.GSI
    if kind == 1:
        return Callback.PCI_INTX
    if kind == 2:
        return Callback.VECTOR
    return Callback.NONE


def callback_number(low: i64) -> i64:
    """Return the GSI, or the guest vector, that the parameter holds. Cites: Xen params.h callback_irq"""
    return low & 255


def callback_device(low: i64) -> i64:
    """Return the device number of a PCI INTx callback. Cites: Xen params.h callback_irq"""
    return (low >> 11) & 31


def callback_intx(low: i64) -> i64:
    """Return which of the four INTx wires a PCI callback drives, 0 for INTA. Cites: Xen params.h callback_irq"""
    return low & 3


def effective_style(style: i64, upcall_vector: i64) -> i64:
    """Ask how one vCPU is told: its own upcall vector goes before the domain's callback.

    Cites: Xen hvm.c hvmop_set_evtchn_upcall_vector
    """
    if upcall_vector >= LOWEST_UPCALL_VECTOR:
        return Callback.UPCALL_VECTOR
    return style


def is_upcall_vector(vector: i64) -> bool:
    """Tell whether HVMOP_set_evtchn_upcall_vector takes ``vector``; below 10H it answers EINVAL.

    Cites: Xen hvm.c hvmop_set_evtchn_upcall_vector
    """
    return LOWEST_UPCALL_VECTOR <= vector <= 255


def assert_callback(deferred: i64, style: i64, domain_has_vectors: i64, vcpu: i64) -> i64:
    """Events are pending for an HVM vCPU that had none: what Xen does to tell it.

    ``deferred`` is 1 in interrupt context or with interrupts disabled; ``style`` is the effective one;
    ``domain_has_vectors`` is 1 when vCPU 0 has an upcall vector, which counts as a vector callback for all.
    upcall_pending is visible before any of this happens.

    Returns: ASSERT_TASKLET (again from a tasklet), ASSERT_LAPIC (an edge interrupt in the vCPU's own local APIC),
        ASSERT_KICK, ASSERT_WIRE (the level follows vCPU 0's upcall_pending), or ASSERT_NOTHING.
    Cites: Xen hvm/irq.c hvm_assert_evtchn_irq
    """
    if deferred != 0:
        return ASSERT_TASKLET
    if style == Callback.UPCALL_VECTOR:
        return ASSERT_LAPIC
    if style == Callback.VECTOR or domain_has_vectors != 0:
        return ASSERT_KICK
    if vcpu == 0 and (style == Callback.GSI or style == Callback.PCI_INTX):
        return ASSERT_WIRE
    return ASSERT_NOTHING


def wire_level(style: i64, upcall_pending_vcpu0: i64) -> i64:
    """Ask for the level of a GSI or INTx callback: vCPU 0 alone drives it, sampled at the exits of any vCPU.

    Returns: 0 or 1. Cites: Xen hvm/irq.c hvm_maybe_deassert_evtchn_irq
    """
    if (style == Callback.GSI or style == Callback.PCI_INTX) and upcall_pending_vcpu0 != 0:
        return 1
    return 0


def pending_source(nmi: i64, mce: i64, style: i64, upcall_pending: i64, pic: i64, lapic_vector: i64) -> i64:
    """Ask which interrupt goes first. A vector callback goes before every vector of the local APIC.

    ``style`` is the domain's: with a per-vCPU upcall vector the upcall is one of the local APIC's vectors.
    Acknowledging a callback changes nothing here: it stays the answer until the guest clears upcall_pending.

    Returns: Source. Cites: Xen hvm/irq.c hvm_vcpu_has_pending_irq
    """
    if nmi != 0:
        return Source.NMI
    if mce != 0:
        return Source.MCE
    if style == Callback.VECTOR and upcall_pending != 0:
        return Source.VECTOR
    if pic != 0:
        return Source.PIC
    if lapic_vector != 0:
        return Source.LAPIC
    return Source.NONE


def interrupt_blocked(
    source: i64, interrupt_flag: i64, shadow: i64, nmi_blocking: i64, tpr_class: i64, vector: i64
) -> i64:
    """Ask why the guest cannot take what is pending now. TPR holds back the local APIC's vectors only.

    Returns: Blocked. Cites: Xen hvm.c hvm_interrupt_blocked
    """
    if source != Source.NMI and interrupt_flag == 0:
        return Blocked.FLAG
    if shadow != 0:
        return Blocked.SHADOW
    if source == Source.NMI and nmi_blocking != 0:
        return Blocked.NMI
    if source == Source.LAPIC and tpr_class >= vector >> 4:
        return Blocked.TPR
    return Blocked.NONE


def assist_blocked(vid: i64, source: i64, blocked: i64, injection_valid: i64) -> i64:
    """Step 5 of vmx_intr_assist: whether the interrupt is acknowledged now, or what is done to come back for it.

    With virtual-interrupt delivery the processor itself holds back vectors of the local APIC; and a callback that
    meets a valid injection field arms no window, so it waits for the next exit.

    Returns: ASSIST_PROCEED, ASSIST_WINDOW (arm interrupt-window exiting), ASSIST_THRESHOLD (TPR threshold := the
        vector's class), or ASSIST_OUT.
    Cites: Xen intr.c vmx_intr_assist
    """
    if vid != 0:
        pic_or_nmi: bool = source == Source.PIC or source == Source.NMI
        if blocked != Blocked.NONE and (pic_or_nmi or source == Source.VECTOR):
            return ASSIST_WINDOW
        if injection_valid != 0:
            if pic_or_nmi or source == Source.MCE:
                return ASSIST_WINDOW
            return ASSIST_OUT
        return ASSIST_PROCEED
    if blocked == Blocked.TPR:
        return ASSIST_THRESHOLD
    if blocked != Blocked.NONE or injection_valid != 0:
        return ASSIST_WINDOW
    return ASSIST_PROCEED


def window_after_injection(vid: i64, next_source: i64) -> bool:
    """Step 8 of vmx_intr_assist: something is still pending after an injection; tell whether a window is armed for it.

    Cites: Xen intr.c vmx_intr_assist
    """
    if vid != 0:
        return next_source == Source.PIC or next_source == Source.VECTOR
    return next_source != Source.NONE
