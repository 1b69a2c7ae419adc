"""Which accesses to the APIC-access page are virtualized or exit, and what a write causes. SDM vol. 3, 29.4."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.vmx.controls import Controls, has_ipiv, has_vid, secondary
from exitless.arch.vmx.eoi import eoi_virtualization
from exitless.arch.vmx.evaluate import self_ipi_virtualization
from exitless.arch.vmx.ipi import is_virtual_ipi, is_virtual_self_ipi
from exitless.arch.vmx.priority import tpr_virtualization
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import shl
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
    EVENT_DELIVERY: Final = 3
    PHYSICAL_EVENT_DELIVERY: Final = 10
    PHYSICAL: Final = 15


def _apic_access(op: Operation, offset: i64, kind: i64) -> i64:
    op.qualification = offset + kind * 4096
    return Exit.APIC_ACCESS


def _in_low_doubleword(offset: i64, size: i64) -> bool:
    return offset & 12 == 0 and (offset & 3) + size <= 4


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


def _is_read_by_choice(controls: Controls, offset: i64) -> bool:
    """Without APIC-register virtualization: the reads that only some editions or readings virtualize."""
    if controls.choices.vmx_reads_with_vid != 0 and has_vid(controls) and (offset == 176 or offset == 768):
        return True
    return controls.choices.vmx_ipiv_reads_icr != 0 and has_ipiv(controls) and (offset == 768 or offset == 784)


def _is_written_by_choice(controls: Controls, offset: i64) -> bool:
    """Without APIC-register virtualization: the halves of the ICR that IPI virtualization alone takes."""
    if offset == 768:
        return controls.choices.vmx_ipiv_writes_icr_low != 0 and has_ipiv(controls)
    return offset == 784 and controls.choices.vmx_ipiv_writes_icr_high != 0 and has_ipiv(controls)


def page_exit(op: Operation, offset: i64, kind: i64) -> i64:
    """The page is fetched from, or reached by an access that is never virtualized.

    Such are accesses by guest-physical address (page-table walks, accessed and dirty flags) and those of an event
    delivery that its rules do not virtualize; for guest-physical accesses the manual leaves the offset undefined.

    Changes: the operation's ``qualification``
    Returns: Exit.APIC_ACCESS (fault-like).
    Cites: SDM vmx.qualification-apic-access
    """
    return _apic_access(op, offset & 4095, kind)


def page_read(vapic: VirtualApic, controls: Controls, op: Operation, offset: i64, size: i64) -> i64:
    """The guest reads ``size`` bytes (1, 2, 4 or 8) at ``offset`` of the APIC-access page.

    Changes: the operation's ``low`` and ``qualification``
    Returns: Access.VIRTUALIZED, or Exit.APIC_ACCESS (fault-like).
    Cites: SDM apicv.reads
    """
    if controls.use_tpr_shadow == 0 or size > 4 or op.emulate >= 0 or not _in_low_doubleword(offset, size):
        return _apic_access(op, offset, AccessType.READ)
    if not secondary(controls, controls.apic_register_virtualization):
        if offset != 128 and not _is_read_by_choice(controls, offset):
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
    elif has_vid(controls) and (offset == 176 or offset == 768):
        allowed = True
    elif _is_written_by_choice(controls, offset):
        allowed = True
    if not allowed:
        return _apic_access(op, offset, AccessType.WRITE)
    shift: i64 = (offset & 3) * 8
    mask: i64 = shl(shl(1, size * 8) - 1, shift)
    vapic.page[offset >> 2] = (vapic.page[offset >> 2] & ~mask) | (shl(op.low, shift) & mask)
    op.emulate = offset
    op.emulate_size = size
    return Access.VIRTUALIZED


def write_emulation(vapic: VirtualApic, controls: Controls, op: Operation) -> i64:
    """The operation has completed: what its virtualized write causes happens now.

    Changes: by offset: VTPR and priority; EOI; self-IPI; VICR_HI; for a virtual IPI the operation's halves
    Returns: an exit reason (all trap-like), Exit.NONE, or Access.VIRTUAL_IPI: the processor owes IPI virtualization of
        vector ``op.low`` to the virtual APIC identifier ``op.high``.
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
    if offset == 768:
        icr: i64 = vapic.page[Reg.VICR_LO]
        if has_vid(controls) and is_virtual_self_ipi(icr):
            self_ipi_virtualization(vapic, icr & 255)
            return Exit.NONE
        if has_ipiv(controls) and is_virtual_ipi(icr, controls):
            op.low = icr & 255
            op.high = vapic.page[Reg.VICR_HI] >> 24
            return Access.VIRTUAL_IPI
    if 784 <= offset <= 787:
        vapic.page[Reg.VICR_HI] = vapic.page[Reg.VICR_HI] & 4278190080
        return Exit.NONE
    op.qualification = offset
    return Exit.APIC_WRITE
