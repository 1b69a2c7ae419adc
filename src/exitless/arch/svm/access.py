"""Accesses to a guest's APIC registers under AVIC: allowed, accelerated, or an exit. APM vol. 2, Table 15-22."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.svm.evaluate import Avic, is_level_in_service, retire, write_tpr
from exitless.arch.svm.ipi import Ipi, send
from exitless.arch.svm.tables import Tables
from exitless.arch.svm.vmcb import SvmExit
from exitless.arch.vmx.virtual_apic import Reg
from exitless.bits.words import ON_PAGE, highest_bit


class Treatment:
    """What hardware does with an access. Cites: APM avic.registers

    ALLOWED: it goes to the backing page. ACCELERATED: it does, and hardware does what follows. TRAP: it does, and an
    exit 402H follows. FAULT: exit 402H instead of the access. GENERAL_PROTECTION: #GP instead, by choice.
    """

    ALLOWED: Final = 0
    ACCELERATED: Final = 1
    TRAP: Final = 2
    FAULT: Final = 3
    GENERAL_PROTECTION: Final = 4


def _is_stored(offset: i64) -> bool:
    """The registers whose writes trap: ID, SVR, ESR, LVT entries, initial count, divider."""
    if offset == 32 or offset == 240 or offset == 640 or offset == 896 or offset == 992:
        return True
    return 800 <= offset <= 880


def _is_read_only(offset: i64) -> bool:
    """Version, PPR, and the three 256-bit registers."""
    return offset == 48 or offset == 160 or 256 <= offset <= 624


def _is_old(offset: i64) -> bool:
    """Remote read, LDR and DFR."""
    return offset == 192 or offset == 208 or offset == 224


def _absent(avic: Avic) -> i64:
    if avic.vmcb.choices.avic_absent_msr_faults != 0:
        return Treatment.GENERAL_PROTECTION
    return Treatment.FAULT


def read_treatment(avic: Avic, offset: i64, extended: bool) -> i64:
    """Tell what a read at ``offset`` (a multiple of 16; in x2AVIC 16 times MSR minus 800H) is.

    ``extended``: CPUID Fn8000_000A EDX[27], the extended LVT is virtualized. Returns: one of Treatment.
    Cites: APM avic.registers
    """
    if 1280 <= offset <= 1328:
        if extended:
            return Treatment.ALLOWED
        return Treatment.FAULT
    if avic.vmcb.x2avic != 0 and (offset == 192 or offset == 224 or offset == 784 or offset == 1008):
        return _absent(avic)
    if _is_stored(offset) or _is_read_only(offset) or _is_old(offset):
        return Treatment.ALLOWED
    if offset == 128 or offset == 176 or offset == 768 or offset == 784:
        return Treatment.ALLOWED
    return Treatment.FAULT


def write_treatment(avic: Avic, offset: i64, extended: bool) -> i64:
    """Tell what a write is. EOI is accelerated unless the highest vector in service is level triggered: then it traps.

    Returns: one of Treatment. Cites: APM avic.registers
    """
    if 1280 <= offset <= 1328:
        if extended:
            return Treatment.TRAP
        return Treatment.FAULT
    if offset == 1008:
        if avic.vmcb.x2avic != 0:
            return Treatment.ACCELERATED
        return Treatment.FAULT
    if avic.vmcb.x2avic != 0 and (_is_old(offset) or offset == 784 or offset == 32):
        return _absent(avic)
    if _is_stored(offset) or _is_old(offset):
        return Treatment.TRAP
    if offset == 128 or offset == 768:
        return Treatment.ACCELERATED
    if offset == 176:
        if is_level_in_service(avic.backing):
            return Treatment.TRAP
        return Treatment.ACCELERATED
    if offset == 784:
        return Treatment.ALLOWED
    return Treatment.FAULT


def unaccelerated(avic: Avic, offset: i64, write: i64, vector: i64) -> i64:
    """The exit's information is written.

    Changes: EXITINFO1 (offset in 11:4, bit 32 for a write), EXITINFO2 (7:0 the vector in service, for EOI)
    Returns: SvmExit.NOACCEL. Cites: APM avic.exits
    """
    avic.vmcb.info1_low = offset & 4080
    avic.vmcb.info1_high = write
    avic.vmcb.info2_low = vector
    avic.vmcb.info2_high = 0
    return SvmExit.NOACCEL


def read(avic: Avic, offset: i64, extended: bool) -> i64:
    """The guest reads a register.

    Returns: SvmExit.NONE, then the value is the doubleword on the page; NOACCEL, which is fault-like; or
        GENERAL_PROTECTION.
    Cites: APM avic.registers, APM avic.exits
    """
    treatment: i64 = read_treatment(avic, offset, extended)
    if treatment == Treatment.GENERAL_PROTECTION:
        return SvmExit.GENERAL_PROTECTION
    if treatment == Treatment.FAULT:
        return unaccelerated(avic, offset, 0, 0)
    return SvmExit.NONE


def write_eoi(avic: Avic) -> i64:
    """The guest writes EOI: an edge is retired here; a level traps with its vector, and software ends it.

    Changes: ISR, PPR, what is recognized; EXITINFO
    Returns: SvmExit.NONE or NOACCEL (trap-like). Cites: APM avic.registers, APM avic.exits
    """
    avic.backing.words[Reg.VEOI] = 0
    if not is_level_in_service(avic.backing):
        retire(avic)
        return SvmExit.NONE
    vector: i64 = highest_bit(avic.backing.words, Reg.VISR, ON_PAGE)
    if avic.vmcb.choices.avic_eoi_trap_keeps_in_service == 0:
        retire(avic)
    return unaccelerated(avic, 176, 1, vector)


def write(tables: Tables, avic: Avic, offset: i64, low: i64, high: i64, extended: bool, out: Ipi) -> i64:
    """The guest writes a register; ``high`` is the upper half of an x2AVIC ICR, which goes to 310H.

    Changes: the page, unless the access faults; what the register does
    Returns: SvmExit.NONE, NOACCEL, INCOMPLETE_IPI (then ``out`` tells), or GENERAL_PROTECTION.
    Cites: APM avic.registers, APM avic.exits
    """
    treatment: i64 = write_treatment(avic, offset, extended)
    if treatment == Treatment.GENERAL_PROTECTION:
        return SvmExit.GENERAL_PROTECTION
    if treatment == Treatment.FAULT:
        return unaccelerated(avic, offset, 1, 0)
    if offset == 176:
        return write_eoi(avic)
    avic.backing.words[offset >> 2] = low
    if treatment == Treatment.TRAP:
        return unaccelerated(avic, offset, 1, 0)
    if offset == 128:
        write_tpr(avic, low)
    elif offset == 1008:
        return send(tables, avic, (low & 255) + 262144, 0, out)
    elif offset == 768:
        if avic.vmcb.x2avic != 0:
            avic.backing.words[Reg.VICR_HI] = high
        return send(tables, avic, low, avic.backing.words[Reg.VICR_HI], out)
    return SvmExit.NONE


def msr_door(avic: Avic, number: i64, intercepted: bool) -> i64:
    """An x2APIC MSR is touched in x2AVIC: the MSR permission map is asked before AVIC is.

    Returns: SvmExit.MSR; or the offset of the register, 16 times its number, which :func:`read` and :func:`write` take.
    Cites: APM avic.registers
    """
    if intercepted or avic.vmcb.x2avic == 0:
        return SvmExit.MSR
    return (number - 2048) * 16
