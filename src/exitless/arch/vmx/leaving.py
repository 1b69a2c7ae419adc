"""VM exit: what the VMCS holds afterwards about interrupts. SDM vol. 3, 27.2, 27.3 and 27.5 of the 2016 edition."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.vmx.controls import Activity, Controls, has_vid
from exitless.arch.vmx.injection import GuestState
from exitless.arch.vmx.virtual_apic import VirtualApic
from exitless.arch.vmx.vmcs import interruptibility
from exitless.vocab.exits import Exit

NO_VECTOR: Final = -1
VALID: Final = 2147483648


class ExitInformation:
    """The fields of the VMCS that an exit writes.

    ``vector`` is the interrupt acknowledged on exit, -1 for none; ``status`` the guest interrupt status with RVI in
    bits 7:0 and SVI in 15:8, which an exit writes with virtual-interrupt delivery only; ``interruptibility`` bit 0 is
    blocking by STI, 1 by MOV SS, 3 by NMI; ``entry_failed`` is bit 31 of the reason; ``vectoring`` the vector whose
    delivery through the IDT the exit interrupted, -1 for none.
    Cites: SDM vmx.exit-information
    """

    def __init__(self) -> None:
        self.reason: i64 = Exit.NONE
        self.entry_failed: i64 = 0
        self.qualification: i64 = 0
        self.vector: i64 = NO_VECTOR
        self.vectoring: i64 = NO_VECTOR
        self.status: i64 = 0
        self.activity: i64 = Activity.ACTIVE
        self.interruptibility: i64 = 0
        self.interrupt_flag: i64 = 0


def is_trap_like(reason: i64) -> bool:
    """Tell whether the saved RIP is after the instruction that caused the exit. Cites: SDM vmx.exit-information"""
    return reason == Exit.TPR_BELOW_THRESHOLD or reason == Exit.EOI_INDUCED or reason == Exit.APIC_WRITE


def interruption_information(vector: i64) -> i64:
    """Return the field for an acknowledged external interrupt, type 0, 0 for none. Cites: SDM vmx.exit-information"""
    return 0 if vector < 0 else vector | VALID


def save_at_exit(
    out: ExitInformation, vapic: VirtualApic, controls: Controls, state: GuestState, reason: i64, qualification: i64
) -> None:
    """The guest has left: state is saved, the entry field is no longer valid, and nothing recognized is kept.

    What was recognized is found again by the evaluation at the next entry. A processor that waited in MWAIT is active
    afterwards, for no field records that state. A reason without qualification has 0.

    Changes: the exit information, recognition, the entry field's valid bit, MWAIT
    Cites: SDM vmx.exit-information
    """
    out.reason = reason
    out.entry_failed = 0
    out.qualification = qualification if _has_qualification(reason) else 0
    out.vector = NO_VECTOR
    out.vectoring = NO_VECTOR
    if has_vid(controls):
        out.status = vapic.rvi | vapic.svi * 256
    if state.activity == Activity.MWAIT:
        state.activity = Activity.ACTIVE
    out.activity = state.activity
    out.interruptibility = interruptibility(state)
    out.interrupt_flag = state.interrupt_flag
    state.entry_vector = -1
    vapic.recognized = 0


def fail_entry(out: ExitInformation) -> None:
    """VM entry has failed on the guest state: an exit with bit 31 of its reason set; no state of the guest is saved.

    Changes: reason and qualification. Cites: SDM vmx.entry-order
    """
    out.reason = Exit.INVALID_STATE
    out.entry_failed = 1
    out.qualification = 0
    out.vector = NO_VECTOR
    out.vectoring = NO_VECTOR


def _has_qualification(reason: i64) -> bool:
    return (
        reason == Exit.APIC_ACCESS
        or reason == Exit.EOI_INDUCED
        or reason == Exit.APIC_WRITE
        or reason == Exit.CR_ACCESS
    )
