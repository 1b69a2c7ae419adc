"""Events that software puts before a guest: EVENTINJ, and V_IRQ's virtual interrupt. APM vol. 2, 15.20 and 15.21."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.svm.vmcb import SvmExit, Vmcb

VALID: Final = 2147483648


class EventType:
    """Bits 10:8 of EVENTINJ. Cites: APM svm.eventinj"""

    INTR: Final = 0
    NMI: Final = 2
    EXCEPTION: Final = 3
    SOFTWARE: Final = 4


def check_injection(event: i64) -> i64:
    """VMRUN looks at the low half of EVENTINJ: vector 7:0, type 10:8, error code valid 11, valid 31.

    Returns: SvmExit.NONE; or INVALID for a reserved type, and for an exception whose vector is none (2 is the NMI's,
        and those above 31 are interrupts).
    Cites: APM svm.eventinj
    """
    if event & VALID == 0:
        return SvmExit.NONE
    kind: i64 = (event >> 8) & 7
    vector: i64 = event & 255
    if kind == EventType.EXCEPTION:
        if vector == 2 or vector > 31:
            return SvmExit.INVALID
        return SvmExit.NONE
    if kind == EventType.INTR or kind == EventType.NMI or kind == EventType.SOFTWARE:
        return SvmExit.NONE
    return SvmExit.INVALID


class VirtualInterrupt:
    """What becomes of V_IRQ at an instruction boundary. Cites: APM svm.interrupts"""

    NOTHING: Final = 0
    EXIT: Final = 1
    TAKEN: Final = 2


def virtual_interrupt(vmcb: Vmcb, interrupt_flag: i64, gif: i64, intercepts: bool) -> i64:
    """The virtual interrupt of V_IRQ is looked at, in a guest without AVIC: its priority is above V_TPR, or V_IGN_TPR
    is set; IF and GIF are 1, and there is no interrupt shadow.

    Changes: V_IRQ becomes 0 when it is taken, after the intercept has been looked at and before the IDT is
    Returns: NOTHING, EXIT (:func:`vintr_exit_code`, just before it would be taken), or TAKEN.
    Cites: APM svm.interrupts
    """
    if vmcb.avic != 0 or vmcb.v_irq == 0 or interrupt_flag == 0 or gif == 0 or vmcb.shadow != 0:
        return VirtualInterrupt.NOTHING
    if vmcb.v_ign_tpr == 0 and vmcb.v_intr_prio <= vmcb.v_tpr & 15:
        return VirtualInterrupt.NOTHING
    if intercepts:
        return VirtualInterrupt.EXIT
    vmcb.v_irq = 0
    return VirtualInterrupt.TAKEN


def vintr_exit_code(vmcb: Vmcb) -> i64:
    """Return the exit code of the VINTR intercept. Cites: APM svm.exit-codes"""
    return vmcb.choices.svm_vintr_exit_code
