"""The virtual-APIC page with RVI and SVI: shape only. SDM vol. 3, "Virtual APIC State" (29.1.1 in the 2016 edition)."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros

PAGE_WORDS: Final = 1024


class Reg:
    """Doubleword numbers of the registers on an APIC page: byte offset divided by four. Cites: SDM apic.registers"""

    ID: Final = 8
    VERSION: Final = 12
    VTPR: Final = 32
    VAPR: Final = 36
    VPPR: Final = 40
    VEOI: Final = 44
    RRD: Final = 48
    LDR: Final = 52
    DFR: Final = 56
    SVR: Final = 60
    VISR: Final = 64
    VTMR: Final = 96
    VIRR: Final = 128
    ESR: Final = 160
    CMCI: Final = 188
    VICR_LO: Final = 192
    VICR_X2_HI: Final = 193
    VICR_HI: Final = 196
    LVT_TIMER: Final = 200
    LVT_THERMAL: Final = 204
    LVT_PERFMON: Final = 208
    LVT_LINT0: Final = 212
    LVT_LINT1: Final = 216
    LVT_ERROR: Final = 220
    TIMER_INITIAL: Final = 224
    TIMER_CURRENT: Final = 228
    TIMER_DIVIDE: Final = 248
    SELF_IPI: Final = 252


class VirtualApic:
    """One virtual processor's virtual-APIC page and interrupt status.

    Shapes: ``page`` 1,024 doublewords (4 KiB); ``eoi_exit`` eight 32-bit words, bit v is vector v.
    Units: none; ``rvi``, ``svi`` are vectors, 0 for none. ``recognized`` is 1 while a virtual interrupt is
    recognized (SDM 29.2.1). ``window_exiting`` is the interrupt-window-exiting control, which evaluation reads.
    Cites: SDM apicv.state
    """

    def __init__(self) -> None:
        self.page: vec[i64] = zeros(PAGE_WORDS)
        self.eoi_exit: vec[i64] = zeros(8)
        self.rvi: i64 = 0
        self.svi: i64 = 0
        self.recognized: i64 = 0
        self.window_exiting: i64 = 0
