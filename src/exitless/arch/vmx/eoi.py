"""EOI virtualization, and the EOI-exit bitmap. SDM vol. 3, 29.1.4 of the 2016 edition."""

from mypy_extensions import i64

from exitless.arch.vmx.evaluate import evaluate_pending
from exitless.arch.vmx.priority import ppr_virtualization
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import ON_PAGE, PACKED, clear_bit, has_bit, highest_bit, set_bit
from exitless.vocab.exits import Exit


def eoi_virtualization(vapic: VirtualApic) -> i64:
    """The guest has ended the interrupt in service, which is the one SVI names.

    That vector leaves VISR, SVI becomes the highest vector still in service, VPPR follows. A vector whose bit
    is set in the EOI-exit bitmap ends in an exit, and pending virtual interrupts are then not evaluated.

    Changes: VEOI, VISR, SVI, VPPR, recognition
    Returns: Exit.EOI_INDUCED (trap-like; the qualification is the vector, left in VEOI's place by nobody: read
        SVI before the call), or Exit.NONE.
    Cites: SDM apicv.eoi
    """
    vector: i64 = vapic.svi
    vapic.page[Reg.VEOI] = 0
    clear_bit(vapic.page, Reg.VISR, ON_PAGE, vector)
    vapic.svi = highest_bit(vapic.page, Reg.VISR, ON_PAGE)
    ppr_virtualization(vapic)
    if has_bit(vapic.eoi_exit, 0, PACKED, vector):
        return Exit.EOI_INDUCED
    evaluate_pending(vapic)
    return Exit.NONE


def set_eoi_exit(vapic: VirtualApic, vector: i64, exits: bool) -> bool:
    """The hypervisor decides whether the EOI of ``vector`` exits.

    Changes: EOI-exit bitmap
    Returns: whether the bit changed, so that a VMCS word must be rewritten before the next entry.
    Cites: SDM apicv.eoi-exit-bitmap
    """
    had: bool = has_bit(vapic.eoi_exit, 0, PACKED, vector)
    if had == exits:
        return False
    if exits:
        set_bit(vapic.eoi_exit, 0, PACKED, vector)
    else:
        clear_bit(vapic.eoi_exit, 0, PACKED, vector)
    return True


def software_eoi(vapic: VirtualApic) -> i64:
    """The hypervisor ends the highest vector in service on the guest's behalf (an EOI that was emulated).

    SVI follows VISR, so that the processor does not go on with a vector that has ended.

    Changes: VISR, SVI, VPPR
    Returns: the vector that ended, or -1 when none was in service.
    Cites: Xen vlapic.c vlapic_EOI_set
    """
    vector: i64 = highest_bit(vapic.page, Reg.VISR, ON_PAGE)
    if vector == 0:
        return -1
    clear_bit(vapic.page, Reg.VISR, ON_PAGE, vector)
    vapic.svi = highest_bit(vapic.page, Reg.VISR, ON_PAGE)
    ppr_virtualization(vapic)
    return vector
