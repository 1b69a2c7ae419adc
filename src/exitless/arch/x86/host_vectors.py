"""Xen's map of physical vectors. Which of F1H to F8H the posted-interrupt vectors get is decided at boot."""

from typing import Final


class HostVector:
    """Physical vectors with a fixed meaning in Xen.

    F1H to F8H are handed out in order of request, so the two posted-interrupt vectors are this model's choice
    within that range. Cites: Xen irq-vectors.h
    """

    FIRST_DYNAMIC: Final = 0x20
    MOVE_CLEANUP: Final = 0x22
    HPET_BROADCAST: Final = 0x30
    LEGACY_SYSCALL: Final = 0x80
    PV_HYPERCALL: Final = 0x82
    LAST_DYNAMIC: Final = 0xEF
    IRQ0: Final = 0xF0
    FIRST_HIGH: Final = 0xF1
    POSTED_NOTIFICATION: Final = 0xF4
    POSTED_WAKEUP: Final = 0xF5
    LAST_HIGH: Final = 0xF8
    PMU: Final = 0xF9
    TIMER: Final = 0xFA
    CALL_FUNCTION: Final = 0xFB
    EVENT_CHECK: Final = 0xFC
    INVALIDATE_TLB: Final = 0xFD
    ERROR: Final = 0xFE
    SPURIOUS: Final = 0xFF
