"""VM entry: the checks on the event to inject and on the guest state, their order, and the TPR threshold after it.

SDM vol. 3, 26.1 to 26.3 of the 2016 edition, as far as interrupts go. The checks on the controls are in
:mod:`exitless.arch.vmx.controls`.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Entry
from exitless.arch.vmx.controls import Activity, Check, Controls, check_controls
from exitless.arch.vmx.injection import EventType, GuestState

DELIVER_ERROR_CODE: Final = 2048

# Vectors 8, 10 to 14 and 17, whose exceptions push an error code.
WITH_ERROR_CODE: Final = 163072


class GuestCheck:
    """Which VM-entry check on the guest state failed; 0 when all hold. Cites: SDM vmx.entry-guest-state"""

    PASS: Final = 0
    INTERRUPT_NEEDS_IF: Final = 1
    INTERRUPT_BLOCKED: Final = 2
    NMI_BLOCKED: Final = 3
    INTERRUPTIBILITY: Final = 4
    BLOCKED_AND_INACTIVE: Final = 5
    EVENT_IN_HLT: Final = 6
    EVENT_IN_SHUTDOWN: Final = 7
    EVENT_IN_WAIT_FOR_SIPI: Final = 8
    ACTIVITY: Final = 9


GUEST_REASONS: Final = {
    0: "all checks on the guest state hold",
    1: "an external interrupt is injected and RFLAGS.IF is 0",
    2: "an external interrupt is injected under blocking by STI or by MOV SS",
    3: "an NMI is injected under blocking by MOV SS (by choice, STI), or under blocking by NMI with virtual NMIs",
    4: "the interruptibility field is blocked by both STI and MOV SS, by STI with RFLAGS.IF 0, or has a reserved bit",
    5: "the guest is blocked by STI or MOV SS and not in the active state",
    6: "the HLT state needs SS.DPL 0, and takes only an external interrupt, an NMI, #DB, #MC or a monitor trap",
    7: "the shutdown state takes only an NMI or #MC",
    8: "the wait-for-SIPI state takes no event",
    9: "the activity state is none of 0 to 3",
}


def _is_error_code_right(state: GuestState) -> bool:
    pushes: bool = state.entry_type == EventType.HARDWARE_EXCEPTION and (WITH_ERROR_CODE >> state.entry_vector) & 1 != 0
    return pushes == (state.entry_bits & DELIVER_ERROR_CODE != 0)


def is_event(state: GuestState, controls: Controls) -> bool:
    """Tell whether the VM-entry interruption-information field holds an event that can be injected, or none.

    The type is not reserved; the vector is that of the type (NMI 2, a hardware exception at most 31, a monitor trap 0,
    any other at most 255); the error code is delivered for the exceptions that push one (in protected mode);
    bits 30:12 are 0.
    Cites: SDM vmx.entry-event-field
    """
    vector: i64 = state.entry_vector
    kind: i64 = state.entry_type
    if vector < 0:
        return True
    if vector > 255 or kind == EventType.RESERVED or state.entry_bits & ~DELIVER_ERROR_CODE != 0:
        return False
    if kind == EventType.NMI and vector != 2:
        return False
    if kind == EventType.OTHER and vector != 0:
        return False
    if kind == EventType.HARDWARE_EXCEPTION and vector > 31:
        return False
    return controls.choices.vmx_error_code_is_checked == 0 or _is_error_code_right(state)


def _check_event(state: GuestState, controls: Controls) -> i64:
    """Checks of an event against IF, blocking and the activity state."""
    kind: i64 = state.entry_type
    vector: i64 = state.entry_vector
    if kind == EventType.EXTERNAL_INTERRUPT:
        if state.interrupt_flag == 0:
            return GuestCheck.INTERRUPT_NEEDS_IF
        if state.sti_blocking != 0 or state.mov_ss_blocking != 0:
            return GuestCheck.INTERRUPT_BLOCKED
    if kind == EventType.NMI:
        if state.mov_ss_blocking != 0 or (controls.virtual_nmis != 0 and state.nmi_blocking != 0):
            return GuestCheck.NMI_BLOCKED
        if state.sti_blocking != 0 and controls.choices.vmx_sti_blocks_nmi != 0:
            return GuestCheck.NMI_BLOCKED
    machine_check: bool = kind == EventType.HARDWARE_EXCEPTION and vector == 18
    if state.activity == Activity.HLT:
        debug: bool = kind == EventType.HARDWARE_EXCEPTION and vector == 1
        usual: bool = kind == EventType.EXTERNAL_INTERRUPT or kind == EventType.NMI or kind == EventType.OTHER
        if not usual and not debug and not machine_check:
            return GuestCheck.EVENT_IN_HLT
    if state.activity == Activity.SHUTDOWN and kind != EventType.NMI and not machine_check:
        return GuestCheck.EVENT_IN_SHUTDOWN
    if state.activity == Activity.WAIT_FOR_SIPI:
        return GuestCheck.EVENT_IN_WAIT_FOR_SIPI
    return GuestCheck.PASS


def check_guest_state(state: GuestState, controls: Controls) -> i64:
    """VM entry checks the guest's activity and interruptibility, and the event to be injected against them.

    Returns: GuestCheck.PASS, or the first check that fails: an exit with reason 33, bit 31 set, and qualification 0.
    Cites: SDM vmx.entry-guest-state
    """
    if state.activity < Activity.ACTIVE or state.activity > Activity.WAIT_FOR_SIPI:
        return GuestCheck.ACTIVITY
    if state.activity == Activity.HLT and state.privilege != 0:
        return GuestCheck.EVENT_IN_HLT
    blocked: bool = state.sti_blocking != 0 or state.mov_ss_blocking != 0
    if blocked and state.activity != Activity.ACTIVE:
        return GuestCheck.BLOCKED_AND_INACTIVE
    if state.sti_blocking != 0 and (state.mov_ss_blocking != 0 or state.interrupt_flag == 0):
        return GuestCheck.INTERRUPTIBILITY
    if state.other_blocking >> 5 != 0:
        return GuestCheck.INTERRUPTIBILITY
    if state.entry_vector >= 0:
        return _check_event(state, controls)
    return GuestCheck.PASS


def is_loadable_msr(index: i64) -> bool:
    """Tell whether the VM-entry MSR-load area may name an MSR: those of the x2APIC (bits 31:8 are 8) must not be there.

    Cites: SDM vmx.entry-msr-load
    """
    return index >> 8 != 8


def control_check(controls: Controls, state: GuestState, vtpr: i64) -> i64:
    """VM entry checks the controls, the event field among them.

    Returns: Check.PASS, or the first check that fails. Cites: SDM vmx.entry-checks
    """
    failed: i64 = check_controls(controls, vtpr)
    if failed == Check.PASS and not is_event(state, controls):
        return Check.EVENT_FIELD
    return failed


def judge_entry(controls: Controls, state: GuestState, vtpr: i64, host_mov_ss: bool) -> i64:
    """Software executes VMLAUNCH or VMRESUME: the checks, in the order in which their results exclude each other.

    Returns: Entry.ENTERED; MOV_SS_BLOCKING (error 26) or INVALID_CONTROLS (error 7), after which the host goes on;
        INVALID_GUEST_STATE, an exit with bit 31 of its reason set.
    Cites: SDM vmx.entry-order
    """
    if host_mov_ss:
        return Entry.MOV_SS_BLOCKING
    if control_check(controls, state, vtpr) != Check.PASS:
        return Entry.INVALID_CONTROLS
    if check_guest_state(state, controls) != GuestCheck.PASS:
        return Entry.INVALID_GUEST_STATE
    return Entry.ENTERED
