"""The whole local APIC: the core of :mod:`exitless.arch.x86.lapic`, and the registers around it. SDM vol. 3, 10.4."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.choices import Choices
from exitless.arch.x86.lapic import LVT_MASKED, LocalApic
from exitless.bits.words import zeros

FRAME: Final = 4276092928
VERSION: Final = 17170453
BROADCAST_SUPPRESSION: Final = 16777216


class Row:
    """Registers by the number of their 16-byte slot: xAPIC offset / 16, and x2APIC MSR minus 800H.

    Cites: SDM apic.registers, SDM apic.x2apic
    """

    ID: Final = 2
    VERSION: Final = 3
    TPR: Final = 8
    APR: Final = 9
    PPR: Final = 10
    EOI: Final = 11
    RRD: Final = 12
    LDR: Final = 13
    DFR: Final = 14
    SVR: Final = 15
    ISR: Final = 16
    TMR: Final = 24
    IRR: Final = 32
    ESR: Final = 40
    CMCI: Final = 47
    ICR_LOW: Final = 48
    ICR_HIGH: Final = 49
    LVT_TIMER: Final = 50
    LVT_THERMAL: Final = 51
    LVT_PERFMON: Final = 52
    LVT_LINT0: Final = 53
    LVT_LINT1: Final = 54
    LVT_ERROR: Final = 55
    INITIAL: Final = 56
    CURRENT: Final = 57
    DIVIDE: Final = 62
    SELF_IPI: Final = 63


class Timer:
    """The timer's registers, and since when it counts.

    ``count`` is what the current-count register held at ``origin``, 0 while the timer is stopped; ``origin`` is in
    ticks of the timer's input clock, before the divider. ``deadline_low`` and ``deadline_high`` are the halves of
    IA32_TSC_DEADLINE. ``kept`` is 1 while a masked expiry waits (a choice). Cites: SDM apic.timer
    """

    def __init__(self) -> None:
        self.initial: i64 = 0
        self.divide: i64 = 0
        self.count: i64 = 0
        self.origin: i64 = 0
        self.deadline_low: i64 = 0
        self.deadline_high: i64 = 0
        self.kept: i64 = 0


class Apic:
    """One local APIC with all its registers, as it is after RESET.

    ``core`` holds IRR, ISR, TMR, TPR, SVR, ESR, the error LVT, the global enable and the ID; ``x2apic`` is EXTD,
    ``base`` the frame's address, ``bootstrap`` the BSP bit, ``physical_bits`` MAXPHYADDR. ``xapic_id`` is the 8-bit ID
    of xAPIC mode. ``ldr`` holds the xAPIC register (bits 31:24); in x2APIC mode it is derived. The features:
    ``has_x2apic``, ``has_deadline`` (TSC-deadline mode), ``has_cmci``, ``sends_lowest``.
    Shapes: ``lvt`` six 32-bit words, by :class:`~exitless.arch.x86.lvt.Lvt`, the error LVT being in the core;
    ``pins`` the levels of LINT0 and LINT1.
    Cites: SDM apic.registers, SDM apic.reset
    """

    def __init__(self, apic_id: i64, bootstrap: i64) -> None:
        self.core: LocalApic = LocalApic(apic_id)
        self.choices: Choices = self.core.choices
        self.x2apic: i64 = 0
        self.base: i64 = FRAME
        self.bootstrap: i64 = bootstrap
        self.physical_bits: i64 = 46
        self.version: i64 = VERSION
        self.has_x2apic: i64 = 1
        self.has_deadline: i64 = 1
        self.has_cmci: i64 = 1
        self.sends_lowest: i64 = 1
        self.xapic_id: i64 = apic_id & 255
        self.ldr: i64 = 0
        self.dfr: i64 = 4294967295
        self.icr_low: i64 = 0
        self.icr_high: i64 = 0
        self.lvt: vec[i64] = vec[i64]([LVT_MASKED] * 6)
        self.pins: vec[i64] = zeros(2)
        self.timer: Timer = Timer()
        self.core.svr = 255
