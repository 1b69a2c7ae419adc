"""RDMSR and WRMSR of the x2APIC registers in virtual-x2APIC mode. SDM vol. 3, 29.5 of the 2016 edition."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.vmx.access import Operation
from exitless.arch.vmx.controls import Controls, has_ipiv, has_vid, secondary
from exitless.arch.vmx.eoi import eoi_virtualization
from exitless.arch.vmx.evaluate import self_ipi_virtualization
from exitless.arch.vmx.ipi import is_virtual_ipi
from exitless.arch.vmx.priority import tpr_virtualization
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import PACKED, has_bit
from exitless.vocab.exits import Exit

# Bits 31:20, 17:16 and 13 of the ICR's low half.
ICR_RESERVED: Final = 4294123520


def read_msr(vapic: VirtualApic, controls: Controls, op: Operation, index: i64) -> i64:
    """The guest executes RDMSR of 800H + ``index`` (0 to FFH) at CPL 0.

    Changes: the operation's halves
    Returns: Access.VIRTUALIZED, Access.PHYSICAL (the real register or its fault), or Exit.MSR_READ (fault-like).
    Cites: SDM apicv.x2apic-msrs
    """
    if controls.msr_bitmaps == 0 or has_bit(controls.msr_read_exit, 0, PACKED, index):
        return Exit.MSR_READ
    if not secondary(controls, controls.virtualize_x2apic_mode):
        return Access.PHYSICAL
    if not secondary(controls, controls.apic_register_virtualization) and index != 8:
        return Access.PHYSICAL
    op.low = vapic.page[index * 4]
    op.high = vapic.page[index * 4 + 1]
    return Access.VIRTUALIZED


def _write_icr(vapic: VirtualApic, controls: Controls, op: Operation) -> i64:
    """WRMSR 830H with IPI virtualization: reserved bits, the store, then an IPI or an exit."""
    if op.low & ICR_RESERVED != 0 and controls.choices.vmx_ipiv_reserved_exits == 0:
        return Access.GENERAL_PROTECTION
    vapic.page[Reg.VICR_LO] = op.low
    vapic.page[Reg.VICR_X2_HI] = op.high
    if is_virtual_ipi(op.low, controls):
        op.low = op.low & 255
        return Access.VIRTUAL_IPI
    op.qualification = 768
    return Exit.APIC_WRITE


def write_msr(vapic: VirtualApic, controls: Controls, op: Operation, index: i64) -> i64:
    """The guest executes WRMSR of 800H + ``index`` at CPL 0 with ``op.high``:``op.low``.

    Changes: the page, then what TPR, EOI or self-IPI virtualization changes
    Returns: Exit.NONE when it was virtualized, Access.PHYSICAL, Access.GENERAL_PROTECTION, Exit.MSR_WRITE
        (fault-like), a trap-like exit, or Access.VIRTUAL_IPI: IPI virtualization of vector ``op.low`` to ``op.high``.
    Cites: SDM apicv.x2apic-msrs
    """
    if controls.msr_bitmaps == 0 or has_bit(controls.msr_write_exit, 0, PACKED, index):
        return Exit.MSR_WRITE
    vid: bool = has_vid(controls)
    if not secondary(controls, controls.virtualize_x2apic_mode):
        return Access.PHYSICAL
    if index == 48 and has_ipiv(controls):
        return _write_icr(vapic, controls, op)
    if not (index == 8 or (vid and (index == 11 or index == 63))):
        return Access.PHYSICAL
    if op.high != 0 or (op.low != 0 if index == 11 else op.low > 255):
        return Access.GENERAL_PROTECTION
    vapic.page[index * 4] = op.low
    vapic.page[index * 4 + 1] = op.high
    if index == 8:
        return tpr_virtualization(vapic, controls)
    if index == 11:
        op.qualification = vapic.svi
        return eoi_virtualization(vapic)
    if op.low & 240 != 0:
        self_ipi_virtualization(vapic, op.low)
        return Exit.NONE
    op.qualification = 1008
    return Exit.APIC_WRITE
