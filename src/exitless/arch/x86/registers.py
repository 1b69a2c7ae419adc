"""Every register of the local APIC, by memory in xAPIC mode and by MSR in x2APIC mode. SDM vol. 3, 10.4.1 and 10.12.1.

One row a register serves both. The doors differ: the page ignores what cannot be written and records an illegal
register address, an MSR access faults.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.x86.apic import BROADCAST_SUPPRESSION, Apic, Row
from exitless.arch.x86.destination import BusMessage
from exitless.arch.x86.icr import Sent, self_ipi, write_icr_high, write_icr_low, write_icr_msr
from exitless.arch.x86.lapic import (
    SVR_ENABLE,
    EsrBit,
    broadcasts_eoi,
    end_of_interrupt,
    processor_priority,
    record_error,
    write_esr,
    write_tpr,
)
from exitless.arch.x86.lowest import arbitration_priority
from exitless.arch.x86.lvt import Lvt, end_level, lvt_value, mask_all, write_lvt
from exitless.arch.x86.modes import Mode, logical_id, mode
from exitless.arch.x86.timer import DIVIDE_WRITABLE, current_count, write_divide, write_initial, write_timer_lvt
from exitless.bits.words import shl


class Register:
    """One access to a register, and what it obliges the caller to do afterwards.

    ``low`` and ``high`` are the halves of the value; ``bus`` is the time on the timer's input clock. After the access
    ``sent`` is one of Sent when a register that sends was written (-1 otherwise), with the message in ``message``;
    ``ended`` the vector that an EOI retired, -1 for none; ``broadcast`` 1 when that EOI goes to the I/O APICs.
    Cites: SDM apic.registers
    """

    def __init__(self) -> None:
        self.low: i64 = 0
        self.high: i64 = 0
        self.bus: i64 = 0
        self.sent: i64 = -1
        self.ended: i64 = -1
        self.broadcast: i64 = 0
        self.message: BusMessage = BusMessage()


class Touch:
    """What an access to the page was, beside 0 for done. Cites: SDM apic.registers

    ELSEWHERE: the APIC does not answer to the page (disabled, or x2APIC mode). UNDEFINED: not 32 bits at a multiple of
    16, which the manual leaves undefined. ILLEGAL: no register there; recorded in ESR.
    """

    DONE: Final = 0
    ELSEWHERE: Final = 1
    UNDEFINED: Final = 2
    ILLEGAL: Final = 3


def is_register(apic: Apic, row: i64) -> bool:
    """Tell whether xAPIC mode has a register in a slot; SELF IPI is not one. Cites: SDM apic.registers"""
    if row == Row.CMCI:
        return apic.has_cmci != 0
    if row == Row.ID or row == Row.VERSION or Row.TPR <= row <= Row.ESR:
        return True
    return Row.ICR_LOW <= row <= Row.CURRENT or row == Row.DIVIDE


def is_readable_msr(apic: Apic, row: i64) -> bool:
    """Tell whether RDMSR 800H + ``row`` reads a register in x2APIC mode. Cites: SDM apic.x2apic"""
    if row == Row.APR or row == Row.EOI or row == Row.RRD or row == Row.DFR or row == Row.ICR_HIGH:
        return False
    return is_register(apic, row)


def is_writable(apic: Apic, row: i64) -> bool:
    """Tell whether a write of a register means anything, in either mode; in xAPIC mode LDR, DFR and the high half of
    the ICR do too.

    Cites: SDM apic.registers, SDM apic.x2apic
    """
    if row == Row.TPR or row == Row.EOI or row == Row.SVR or row == Row.ESR or row == Row.DIVIDE:
        return True
    if row == Row.LDR or row == Row.DFR or row == Row.ICR_HIGH:
        return apic.x2apic == 0
    if row == Row.ID:
        return apic.x2apic == 0 and apic.choices.apic_id_writable != 0
    if row == Row.SELF_IPI:
        return apic.x2apic != 0
    if row == Row.CMCI:
        return apic.has_cmci != 0
    return row == Row.ICR_LOW or Row.LVT_TIMER <= row <= Row.INITIAL


def svr_writable(apic: Apic) -> i64:
    """Return which bits of SVR software can change. Cites: SDM apic.spurious"""
    bits: i64 = 511
    if apic.choices.apic_focus_writable != 0:
        bits += 512
    if apic.version & BROADCAST_SUPPRESSION != 0:
        bits += 4096
    return bits


def read_row(apic: Apic, row: i64, bus: i64) -> i64:
    """Return bits 31:0 of a register that is there; what is write-only or has no state reads 0.

    Units: ``bus`` in input-clock ticks. Cites: SDM apic.registers
    """
    core = apic.core
    if Row.ISR <= row < Row.TMR:
        return core.isr[row - Row.ISR]
    if Row.TMR <= row < Row.IRR:
        return core.tmr[row - Row.TMR]
    if Row.IRR <= row < Row.ESR:
        return core.irr[row - Row.IRR]
    if Row.LVT_TIMER <= row <= Row.LVT_ERROR:
        return lvt_value(apic, row - Row.LVT_TIMER + Lvt.TIMER)
    if row == Row.ID:
        if apic.x2apic != 0:
            return core.apic_id
        return shl(apic.xapic_id, 24)
    if row == Row.VERSION:
        return apic.version
    if row == Row.TPR:
        return core.tpr
    if row == Row.PPR:
        return processor_priority(core)
    if row == Row.APR:
        return arbitration_priority(core) * apic.choices.apic_has_arbitration
    if row == Row.LDR:
        return logical_id(apic)
    if row == Row.DFR:
        return apic.dfr
    if row == Row.SVR:
        return core.svr
    if row == Row.ESR:
        return core.esr
    if row == Row.CMCI:
        return lvt_value(apic, Lvt.CMCI)
    return _read_rest(apic, row, bus)


def _read_rest(apic: Apic, row: i64, bus: i64) -> i64:
    if row == Row.ICR_LOW:
        return apic.icr_low
    if row == Row.ICR_HIGH:
        return apic.icr_high
    if row == Row.INITIAL:
        return apic.timer.initial
    if row == Row.CURRENT:
        return current_count(apic, bus)
    if row == Row.DIVIDE:
        return apic.timer.divide
    return 0


def write_svr(apic: Apic, value: i64) -> None:
    """Software writes the spurious-interrupt register; clearing bit 8 masks the whole LVT.

    Changes: SVR, the mask bits of the LVT. Cites: SDM apic.spurious, SDM apic.reset
    """
    apic.core.svr = value & svr_writable(apic)
    if apic.core.svr & SVR_ENABLE == 0:
        mask_all(apic)


def write_eoi(apic: Apic, access: Register) -> None:
    """Software writes EOI: the highest vector in service ends, here, in a level pin, and perhaps at the I/O APICs.

    Changes: ISR; remote IRR of LINT0; ``access.ended`` and ``access.broadcast``
    Cites: SDM apic.eoi
    """
    access.ended = end_of_interrupt(apic.core)
    access.broadcast = 0
    if access.ended < 0:
        return
    if broadcasts_eoi(apic.core, access.ended):
        access.broadcast = 1
    end_level(apic, access.ended)


def reserved_in_msr(apic: Apic, row: i64) -> i64:
    """Return which bits of the low half must be 0 in a WRMSR; those of LVT entries and of the ICR are judged with them.

    Cites: SDM apic.x2apic
    """
    if row == Row.TPR or row == Row.SELF_IPI:
        return 4294967040
    if row == Row.EOI or row == Row.ESR:
        return 4294967295
    if row == Row.SVR:
        return 4294967295 - svr_writable(apic)
    if row == Row.DIVIDE:
        return 4294967295 - DIVIDE_WRITABLE
    return 0


def _write_row(apic: Apic, row: i64, access: Register) -> i64:
    """Carry out a write that has passed the door. Returns: 0 or Access.GENERAL_PROTECTION, from an LVT entry's bits."""
    value: i64 = access.low
    if row == Row.TPR:
        write_tpr(apic.core, value)
    elif row == Row.EOI:
        write_eoi(apic, access)
    elif row == Row.SVR:
        write_svr(apic, value)
    elif row == Row.ESR:
        write_esr(apic.core)
    elif row == Row.LVT_TIMER:
        return write_timer_lvt(apic, value)
    elif Row.LVT_THERMAL <= row <= Row.LVT_ERROR:
        return write_lvt(apic, row - Row.LVT_TIMER + Lvt.TIMER, value)
    elif row == Row.CMCI:
        return write_lvt(apic, Lvt.CMCI, value)
    elif row == Row.INITIAL:
        write_initial(apic, value, access.bus)
    elif row == Row.DIVIDE:
        write_divide(apic, value, access.bus)
    elif row == Row.ID:
        apic.xapic_id = value >> 24
    elif row == Row.LDR:
        apic.ldr = value & 4278190080
    elif row == Row.DFR:
        apic.dfr = value | 268435455
    elif row == Row.ICR_HIGH:
        write_icr_high(apic, value)
    return 0


def _page_door(apic: Apic, offset: i64, size: i64) -> i64:
    """Tell what an access to the page is; ILLEGAL has been recorded."""
    if mode(apic) != Mode.XAPIC:
        return Touch.ELSEWHERE
    if size != 4 or offset & 15 != 0:
        return Touch.UNDEFINED
    if not is_register(apic, offset >> 4):
        record_error(apic.core, EsrBit.REGISTER_ILLEGAL)
        return Touch.ILLEGAL
    return Touch.DONE


def page_read(apic: Apic, offset: i64, size: i64, access: Register) -> i64:
    """Software reads ``size`` bytes at ``offset`` of the APIC's page.

    Changes: ``access.low``; the pending error status where there is no register
    Returns: one of Touch. Cites: SDM apic.registers, SDM apic.errors
    """
    touch: i64 = _page_door(apic, offset, size)
    access.high = 0
    if touch == Touch.ILLEGAL:
        access.low = apic.choices.apic_reserved_read
    elif touch == Touch.DONE:
        access.low = read_row(apic, offset >> 4, access.bus)
    return touch


def page_write(apic: Apic, offset: i64, size: i64, access: Register) -> i64:
    """Software writes ``access.low`` to ``size`` bytes at ``offset`` of the APIC's page; read-only registers ignore it.

    Changes: the register, and what its rule changes
    Returns: one of Touch; ``access`` says what is owed. Cites: SDM apic.registers, SDM apic.errors
    """
    access.sent = -1
    access.ended = -1
    access.broadcast = 0
    touch: i64 = _page_door(apic, offset, size)
    row: i64 = offset >> 4
    if touch != Touch.DONE or not is_writable(apic, row):
        return touch
    if row == Row.ICR_LOW:
        access.sent = write_icr_low(apic, access.low, access.message)
    else:
        _write_row(apic, row, access)
    return touch


def read_msr(apic: Apic, number: i64, access: Register) -> i64:
    """RDMSR in 800H to BFFH.

    Changes: ``access.low``, ``access.high``
    Returns: 0, or Access.GENERAL_PROTECTION outside x2APIC mode and where there is nothing to read.
    Cites: SDM apic.x2apic
    """
    row: i64 = number - 2048
    if apic.core.enabled == 0 or apic.x2apic == 0 or not is_readable_msr(apic, row):
        return Access.GENERAL_PROTECTION
    access.low = read_row(apic, row, access.bus)
    access.high = 0
    if row == Row.ICR_LOW:
        access.high = apic.icr_high
    return 0


def write_msr(apic: Apic, number: i64, access: Register) -> i64:
    """WRMSR in 800H to BFFH.

    Changes: the register, and what its rule changes
    Returns: 0, or Access.GENERAL_PROTECTION, which changes nothing: outside x2APIC mode, where nothing can be written,
        or for a reserved bit. ``access`` says what is owed.
    Cites: SDM apic.x2apic
    """
    access.sent = -1
    access.ended = -1
    access.broadcast = 0
    row: i64 = number - 2048
    if apic.core.enabled == 0 or apic.x2apic == 0 or not is_writable(apic, row):
        return Access.GENERAL_PROTECTION
    if row == Row.ICR_LOW:
        sent: i64 = write_icr_msr(apic, access.low, access.high, access.message)
        if sent == Access.GENERAL_PROTECTION:
            return sent
        access.sent = sent
        return 0
    if access.high != 0 or access.low & reserved_in_msr(apic, row) != 0:
        return Access.GENERAL_PROTECTION
    if row == Row.SELF_IPI:
        access.sent = self_ipi(apic, access.low, access.message)
        return 0
    return _write_row(apic, row, access)


def read_cr8(apic: Apic) -> i64:
    """Return CR8: the class of the task priority. Cites: SDM apic.cr8"""
    return apic.core.tpr >> 4


def write_cr8(apic: Apic, low: i64, high: i64) -> i64:
    """MOV to CR8: the task priority takes this class, its low nibble becomes 0.

    Changes: TPR. Returns: 0, or Access.GENERAL_PROTECTION when any of bits 63:4 is set. Cites: SDM apic.cr8
    """
    if high != 0 or low >> 4 != 0:
        return Access.GENERAL_PROTECTION
    write_tpr(apic.core, low << 4)
    return 0


def sends(access: Register) -> bool:
    """Tell whether a write left a message that the caller must hand on. Cites: SDM apic.icr"""
    return access.sent == Sent.MESSAGE
