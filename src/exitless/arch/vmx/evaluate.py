"""Evaluation and delivery of virtual interrupts. SDM vol. 3, 29.2.1 and 29.2.2 of the 2016 edition."""

from mypy_extensions import i64

from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import ON_PAGE, clear_bit, highest_bit, set_bit


def evaluate_pending(vapic: VirtualApic) -> None:
    """One of the five evaluating actions has happened: a virtual interrupt is recognized, or it is not.

    Recognized means that interrupt-window exiting is 0 and the class of RVI is above the class of VPPR.
    The five actions are VM entry, TPR virtualization, EOI virtualization without exit, self-IPI
    virtualization and posted-interrupt processing; nothing else evaluates.

    Changes: recognition
    Cites: SDM apicv.evaluation
    """
    if vapic.window_exiting == 0 and vapic.rvi >> 4 > (vapic.page[Reg.VPPR] & 255) >> 4:
        vapic.recognized = 1
    else:
        vapic.recognized = 0


def deliver_virtual_interrupt(vapic: VirtualApic) -> i64:
    """The processor delivers the virtual interrupt in RVI; the caller has found it recognized and deliverable.

    Changes: VISR, SVI, VPPR, VIRR, RVI, recognition
    Returns: the vector that goes through the guest's IDT.
    Cites: SDM apicv.delivery
    """
    vector: i64 = vapic.rvi
    set_bit(vapic.page, Reg.VISR, ON_PAGE, vector)
    vapic.svi = vector
    vapic.page[Reg.VPPR] = vector & 240
    clear_bit(vapic.page, Reg.VIRR, ON_PAGE, vector)
    vapic.rvi = highest_bit(vapic.page, Reg.VIRR, ON_PAGE)
    vapic.recognized = 0
    return vector


def self_ipi_virtualization(vapic: VirtualApic, vector: i64) -> None:
    """The guest sends itself ``vector`` (16 or more) without an exit.

    Changes: VIRR, RVI, recognition
    Cites: SDM apicv.self-ipi
    """
    set_bit(vapic.page, Reg.VIRR, ON_PAGE, vector)
    if vector > vapic.rvi:
        vapic.rvi = vector
    evaluate_pending(vapic)
