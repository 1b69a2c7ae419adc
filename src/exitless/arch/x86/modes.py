"""Disabled, xAPIC and x2APIC mode through IA32_APIC_BASE; RESET and INIT. SDM vol. 3, 10.4.3, 10.4.7 and 10.12.5."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.choices import Choices
from exitless.arch.outcome import Access
from exitless.arch.x86.apic import FRAME, Apic
from exitless.arch.x86.destination import x2apic_ldr
from exitless.arch.x86.lapic import LVT_MASKED, SVR_RESET
from exitless.bits.words import shl

BSP: Final = 256
EXTD: Final = 1024
EN: Final = 2048
RESERVED_LOW: Final = 767


class Mode:
    """What EN and EXTD say together: EN is bit 0 and EXTD bit 1 of these numbers. Cites: SDM apic.modes"""

    DISABLED: Final = 0
    XAPIC: Final = 1
    INVALID: Final = 2
    X2APIC: Final = 3


def mode(apic: Apic) -> i64:
    """Return the mode. Cites: SDM apic.modes"""
    if apic.core.enabled == 0:
        return Mode.DISABLED
    if apic.x2apic != 0:
        return Mode.X2APIC
    return Mode.XAPIC


def is_legal_transition(old: i64, new: i64) -> bool:
    """Tell whether IA32_APIC_BASE may be written so: from x2APIC mode only to itself or to disabled, into it only from
    xAPIC mode, and never EXTD without EN. Cites: SDM apic.modes
    """
    if new == Mode.INVALID:
        return False
    if old == Mode.DISABLED:
        return new != Mode.X2APIC
    if old == Mode.X2APIC:
        return new != Mode.XAPIC
    return True


def base_low(apic: Apic) -> i64:
    """Return bits 31:0 of IA32_APIC_BASE. Cites: SDM apic.modes"""
    low: i64 = (apic.base & 4294963200) + apic.bootstrap * BSP
    if apic.core.enabled != 0:
        low += EN
    if apic.x2apic != 0:
        low += EXTD
    return low


def base_high(apic: Apic) -> i64:
    """Return bits 63:32 of IA32_APIC_BASE. Cites: SDM apic.modes"""
    return apic.base >> 32


def write_base(apic: Apic, low: i64, high: i64) -> i64:
    """Software writes IA32_APIC_BASE; ``low`` and ``high`` are its 32-bit halves.

    Changes: the mode and the frame; entering x2APIC mode loses the high half of the ICR and an ID that software wrote,
        and derives LDR; leaving it loses all but the ID
    Returns: 0, or Access.GENERAL_PROTECTION, which changes nothing: a reserved bit, or a transition that is not legal.
    Cites: SDM apic.modes
    """
    new: i64 = (low >> 11) & 1
    if low & EXTD != 0:
        new += Mode.INVALID
        if apic.has_x2apic == 0:
            return Access.GENERAL_PROTECTION
    if low & RESERVED_LOW != 0 or high >> (apic.physical_bits - 32) != 0:
        return Access.GENERAL_PROTECTION
    if apic.choices.apic_bsp_write_faults != 0 and (low >> 8) & 1 != apic.bootstrap:
        return Access.GENERAL_PROTECTION
    old: i64 = mode(apic)
    if not is_legal_transition(old, new):
        return Access.GENERAL_PROTECTION
    apic.base = shl(high, 32) + (low & 4294963200)
    if new == Mode.DISABLED and old != Mode.DISABLED:
        if old == Mode.X2APIC or apic.choices.apic_disable_keeps_state == 0:
            clear_registers(apic)
            apic.xapic_id = apic.core.apic_id & 255
    if new == Mode.X2APIC and old == Mode.XAPIC:
        apic.icr_high = 0
        apic.ldr = 0
        apic.xapic_id = apic.core.apic_id & 255
    apic.core.enabled = new & 1
    apic.x2apic = new >> 1
    return 0


def may_stand_in_msr_list(number: i64, choices: Choices) -> bool:
    """Tell whether an MSR may stand in a VM-entry or VM-exit MSR list: those of the local APIC in x2APIC mode may not.

    The manual says so twice, of 800H to 8FFH and of 800H to FFFH; a choice decides. Cites: SDM vmx.msr-lists
    """
    if choices.apic_msr_list_refuses_to_fff != 0:
        return number >> 11 != 1
    return number >> 8 != 8


def logical_id(apic: Apic) -> i64:
    """Return what LDR reads: the register in xAPIC mode, derived from the ID in x2APIC mode.

    Cites: SDM apic.destination
    """
    if apic.x2apic != 0:
        return x2apic_ldr(apic.core.apic_id)
    return apic.ldr


def clear_registers(apic: Apic) -> None:
    """Every register but the ID takes its value after RESET; the mode stays.

    Changes: all registers but the ID, the version and IA32_APIC_BASE. Cites: SDM apic.reset
    """
    core = apic.core
    i: i64 = 0
    while i < 8:
        core.irr[i] = 0
        core.isr[i] = 0
        core.tmr[i] = 0
        i += 1
    core.tpr = 0
    core.svr = SVR_RESET
    core.esr = 0
    core.esr_pending = 0
    core.esr_armed = 1
    core.lvt_error = LVT_MASKED
    apic.ldr = 0
    apic.dfr = 4294967295
    apic.icr_low = 0
    apic.icr_high = 0
    apic.lvt = vec[i64]([LVT_MASKED] * 6)
    timer = apic.timer
    timer.initial = 0
    timer.divide = 0
    timer.count = 0
    timer.origin = 0
    timer.deadline_low = 0
    timer.deadline_high = 0
    timer.kept = 0


def reset(apic: Apic) -> None:
    """Power-up or RESET: xAPIC mode at FEE00000H, everything at its reset value.

    Changes: all. Cites: SDM apic.reset, SDM apic.modes
    """
    clear_registers(apic)
    apic.core.enabled = 1
    apic.x2apic = 0
    apic.base = FRAME
    apic.xapic_id = apic.core.apic_id & 255


def init(apic: Apic) -> None:
    """INIT has reached the processor: the registers are reset; mode, frame and ID stay.

    Changes: all registers but the ID and IA32_APIC_BASE. Cites: SDM apic.reset, SDM apic.modes
    """
    clear_registers(apic)
