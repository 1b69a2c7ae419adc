"""What an instruction, a boundary or an entry of the oracle comes to."""

from typing import Final


class Step:
    """What an instruction, a boundary or an entry came to.

    GOES_ON: the next instruction may execute. EXIT: ``oracle.out`` tells which. INTERRUPT: ``oracle.vector`` went
    through the guest's IDT; ask for another boundary before its handler's first instruction. POSTED: a notification
    was processed. FAULT: general protection, nothing changed. HALTED: no event wakes the processor. FAILED: no entry,
    ``oracle.error`` is the VM-instruction error. PHYSICAL: the access reaches a register of the real local APIC that
    is not modelled. SMM: an SMI was taken.
    """

    GOES_ON: Final = 0
    EXIT: Final = 1
    INTERRUPT: Final = 2
    POSTED: Final = 3
    FAULT: Final = 4
    HALTED: Final = 5
    FAILED: Final = 6
    PHYSICAL: Final = 7
    SMM: Final = 8


STEP_NAMES: Final = {
    0: "goes on", 1: "exit", 2: "interrupt", 3: "posted", 4: "fault", 5: "halted", 6: "entry failed",
    7: "real local APIC", 8: "SMM",
}  # fmt: skip
