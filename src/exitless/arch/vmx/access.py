"""Which accesses to APIC registers are virtualized, exit, or reach the real local APIC. SDM vol. 3, 29.3 to 29.5."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.vmx.controls import Controls, has_vid, secondary
from exitless.arch.vmx.eoi import eoi_virtualization
from exitless.arch.vmx.evaluate import self_ipi_virtualization
from exitless.arch.vmx.priority import tpr_virtualization
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import PACKED, has_bit, shl
from exitless.vocab.exits import Exit


class Operation:
    """One operation of an instruction on the APIC-access page, or one RDMSR or WRMSR.

    ``low`` and ``high`` are the 32-bit halves read, or to be written. ``emulate`` is the page offset whose
    APIC-write emulation is owed after the operation, -1 for none. ``qualification`` belongs to the exit answered.
    Cites: SDM apicv.accesses
    """

    def __init__(self) -> None:
        self.low: i64 = 0
        self.high: i64 = 0
        self.emulate: i64 = -1
        self.emulate_size: i64 = 0
        self.qualification: i64 = 0


class AccessType:
    """Bits 15:12 of the exit qualification of an APIC access. Cites: SDM vmx.qualification-apic-access"""

    READ: Final = 0
    WRITE: Final = 1
    FETCH: Final = 2


def _apic_access(op: Operation, offset: i64, kind: i64) -> i64:
    op.qualification = offset + kind * 4096
    return Exit.APIC_ACCESS


def _in_low_doubleword(offset: i64, size: i64) -> bool:
    return offset & 12 == 0 and (offset + size - 1) & 12 == 0 and (offset & 3) + size <= 4


def _is_readable(row: i64) -> bool:
    """The reads that APIC-register virtualization covers, by the offset of their 16-byte slot."""
    if 256 <= row <= 640:
        return True
    if row == 32 or row == 48 or row == 128 or row == 176 or row == 208 or row == 224 or row == 240:
        return True
    return 768 <= row <= 896 or row == 992


def _is_writable(row: i64) -> bool:
    """The writes that APIC-register virtualization covers, by the offset of their 16-byte slot."""
    if row == 32 or row == 128 or row == 176 or row == 208 or row == 224 or row == 240 or row == 640:
        return True
    return 768 <= row <= 896 or row == 992


def page_read(vapic: VirtualApic, controls: Controls, op: Operation, offset: i64, size: i64) -> i64:
    """The guest reads ``size`` bytes (1, 2, 4 or 8) at ``offset`` of the APIC-access page.

    Changes: the operation's ``low`` and ``qualification``
    Returns: Access.VIRTUALIZED, or Exit.APIC_ACCESS (fault-like).
    Cites: SDM apicv.reads
    """
    if controls.use_tpr_shadow == 0 or size > 4 or op.emulate >= 0 or not _in_low_doubleword(offset, size):
        return _apic_access(op, offset, AccessType.READ)
    if not secondary(controls, controls.apic_register_virtualization):
        if offset != 128:
            return _apic_access(op, offset, AccessType.READ)
    elif not _is_readable(offset & 4080):
        return _apic_access(op, offset, AccessType.READ)
    word: i64 = vapic.page[offset >> 2] >> ((offset & 3) * 8)
    op.low = word & (shl(1, size * 8) - 1)
    return Access.VIRTUALIZED


def page_write(vapic: VirtualApic, controls: Controls, op: Operation, offset: i64, size: i64) -> i64:
    """The guest writes ``size`` bytes of ``op.low`` at ``offset`` of the APIC-access page.

    The data goes to the virtual-APIC page at once; what it causes is owed when the operation completes
    (:func:`write_emulation`).

    Changes: the page, ``op.emulate``
    Returns: Access.VIRTUALIZED, or Exit.APIC_ACCESS (fault-like).
    Cites: SDM apicv.writes
    """
    if controls.use_tpr_shadow == 0 or size > 4:
        return _apic_access(op, offset, AccessType.WRITE)
    if op.emulate >= 0 and (op.emulate != offset or op.emulate_size != size):
        return _apic_access(op, offset, AccessType.WRITE)
    if not _in_low_doubleword(offset, size):
        return _apic_access(op, offset, AccessType.WRITE)
    allowed: bool = offset == 128
    if secondary(controls, controls.apic_register_virtualization):
        allowed = _is_writable(offset & 4080)
    elif has_vid(controls):
        allowed = offset == 128 or offset == 176 or offset == 768
    if not allowed:
        return _apic_access(op, offset, AccessType.WRITE)
    shift: i64 = (offset & 3) * 8
    mask: i64 = shl(shl(1, size * 8) - 1, shift)
    vapic.page[offset >> 2] = (vapic.page[offset >> 2] & ~mask) | (shl(op.low, shift) & mask)
    op.emulate = offset
    op.emulate_size = size
    return Access.VIRTUALIZED


def is_virtual_self_ipi(icr_low: i64) -> bool:
    """Tell whether an ICR value is a fixed, edge, self-shorthand IPI of vector 16 or more. Cites: SDM apicv.self-ipi"""
    return icr_low & 4294948608 == 262144 and icr_low & 240 != 0


def write_emulation(vapic: VirtualApic, controls: Controls, op: Operation) -> i64:
    """The operation has completed: what its virtualized write causes happens now.

    Changes: by offset: VTPR and priority; EOI; self-IPI; VICR_HI
    Returns: an exit reason (all trap-like), or Exit.NONE.
    Cites: SDM apicv.write-emulation
    """
    offset: i64 = op.emulate
    op.emulate = -1
    if offset < 0:
        return Exit.NONE
    if offset == 128:
        vapic.page[Reg.VTPR] = vapic.page[Reg.VTPR] & 255
        return tpr_virtualization(vapic, controls)
    if offset == 176 and has_vid(controls):
        op.qualification = vapic.svi
        return eoi_virtualization(vapic)
    if offset == 768 and has_vid(controls) and is_virtual_self_ipi(vapic.page[Reg.VICR_LO]):
        self_ipi_virtualization(vapic, vapic.page[Reg.VICR_LO] & 255)
        return Exit.NONE
    if 784 <= offset <= 787:
        vapic.page[Reg.VICR_HI] = vapic.page[Reg.VICR_HI] & 4278190080
        return Exit.NONE
    op.qualification = offset
    return Exit.APIC_WRITE


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


def write_msr(vapic: VirtualApic, controls: Controls, op: Operation, index: i64) -> i64:
    """The guest executes WRMSR of 800H + ``index`` at CPL 0 with ``op.high``:``op.low``.

    Changes: the page, then what TPR, EOI or self-IPI virtualization changes
    Returns: Exit.NONE when it was virtualized, Access.PHYSICAL, Access.GENERAL_PROTECTION, Exit.MSR_WRITE
        (fault-like), or a trap-like exit.
    Cites: SDM apicv.x2apic-msrs
    """
    if controls.msr_bitmaps == 0 or has_bit(controls.msr_write_exit, 0, PACKED, index):
        return Exit.MSR_WRITE
    vid: bool = has_vid(controls)
    if not secondary(controls, controls.virtualize_x2apic_mode):
        return Access.PHYSICAL
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


def write_cr8(vapic: VirtualApic, controls: Controls, value: i64) -> i64:
    """The guest moves ``value`` (0 to 15) to CR8.

    Changes: VTPR, then what TPR virtualization changes
    Returns: Exit.CR_ACCESS (fault-like), Access.PHYSICAL, Exit.TPR_BELOW_THRESHOLD (trap-like), or Exit.NONE.
    Cites: SDM apicv.cr8
    """
    if controls.cr8_load_exiting != 0:
        return Exit.CR_ACCESS
    if controls.use_tpr_shadow == 0:
        return Access.PHYSICAL
    vapic.page[Reg.VTPR] = value * 16
    return tpr_virtualization(vapic, controls)
