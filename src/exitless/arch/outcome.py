"""Small integers that rules answer, beside the exit reasons of :mod:`exitless.vocab.exits`."""

from typing import Final


class Kick:
    """What a rule says is owed to a target after something became pending for it."""

    NONE: Final = 0
    NOTIFY: Final = 1
    EXIT: Final = 2
    WAKE: Final = 3


class Accept:
    """What a local APIC did with a message."""

    DROPPED: Final = 0
    ACCEPTED: Final = 1
    MERGED: Final = 2
    ILLEGAL: Final = 3


class Raise:
    """How far raising a two-level event channel went; the numbers stand in records of ``port.raise``."""

    DELIVERED: Final = 0
    ALREADY_PENDING: Final = 1
    MASKED: Final = 2
    SELECTOR_SET: Final = 3


class Source:
    """Xen's interrupt source codes as they appear in traces. Cites: Xen hvm.h intsrc."""

    NONE: Final = 0
    PIC: Final = 1
    LAPIC: Final = 2
    NMI: Final = 3
    MCE: Final = 4
    VECTOR: Final = 5


class Blocked:
    """Why an interrupt cannot be taken now. Cites: Xen hvm.c hvm_interrupt_blocked."""

    NONE: Final = 0
    FLAG: Final = 1
    SHADOW: Final = 2
    TPR: Final = 3
    NMI: Final = 4


class Access:
    """What else an access rule may answer, beside an exit reason: negative numbers, no exit reason is one."""

    VIRTUALIZED: Final = -1
    PHYSICAL: Final = -2
    GENERAL_PROTECTION: Final = -3
    VIRTUAL_IPI: Final = -4


class Entry:
    """How a VM entry ended: 0, a VM-instruction error, or the basic reason of an entry that failed as an exit."""

    ENTERED: Final = 0
    INVALID_CONTROLS: Final = 7
    MOV_SS_BLOCKING: Final = 26
    INVALID_GUEST_STATE: Final = 33
    INVALID_MSR_LOAD: Final = 34


class Boundary:
    """What the arbiter at an instruction boundary lets happen next."""

    NOTHING: Final = 0
    WINDOW_EXIT: Final = 1
    VIRTUAL_INTERRUPT: Final = 2
    EXTERNAL_INTERRUPT: Final = 3
    GUEST_INTERRUPT: Final = 4
    TPR_THRESHOLD_EXIT: Final = 5
    SMI: Final = 6
    INIT_EXIT: Final = 7
    TRAP_FLAG_EXIT: Final = 8
    TIMER_EXIT: Final = 9
    NMI_WINDOW_EXIT: Final = 10
    NMI_EXIT: Final = 11
    GUEST_NMI: Final = 12
    SIPI_EXIT: Final = 13
