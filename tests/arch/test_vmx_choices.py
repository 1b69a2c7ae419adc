"""What editions or processors answer differently about VMX: each switch, turned, changes what its row says, no more."""

from itertools import product

import pytest

from exitless.arch.outcome import Access, Boundary
from exitless.arch.vmx.access import Operation, page_read, page_write
from exitless.arch.vmx.boundary import Pending, arbitrate_above
from exitless.arch.vmx.controls import Activity, Check, Controls, check_controls, has_ipiv, tertiary
from exitless.arch.vmx.cr8 import move_to_cr8
from exitless.arch.vmx.entry import GuestCheck, check_guest_state, is_event
from exitless.arch.vmx.injection import EventType, GuestState, inject_at_entry, inject_trap
from exitless.arch.vmx.interruptibility import execute_iret, execute_mwait, faults_by_privilege
from exitless.arch.vmx.ipi import is_virtual_ipi
from exitless.arch.vmx.leaving import ExitInformation, save_at_exit
from exitless.arch.vmx.msrs import write_msr
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.vocab.exits import Exit


def having(*names: str, **choices: int) -> Controls:
    """Return controls that are 1, with switches turned; no control that may be 0 is 1 beside them."""
    c = Controls()
    c.ext_int_exiting = c.hlt_exiting = 0
    for name in names:
        assert hasattr(c, name)
        setattr(c, name, 1)
    for name, value in choices.items():
        assert hasattr(c.choices, name)
        setattr(c.choices, name, value)
    return c


def test_tertiary_controls_count_when_activated_or_by_choice() -> None:
    for active, control, alone in product((0, 1), repeat=3):
        c = having(vmx_tertiary_stand_alone=alone)
        c.tertiary, c.ipi_virtualization = active, control
        assert has_ipiv(c) == tertiary(c, control) == bool(control and (active or alone))


def test_what_ipi_virtualization_needs_at_entry_is_three_switches() -> None:
    """C6's last clause, C14, and that virtual-interrupt delivery is not needed."""
    for shadow, vid, table, needs_shadow, needs_vid, checked in product((0, 1), repeat=6):
        c = having(
            "tertiary", "ipi_virtualization", vmx_ipiv_needs_tpr_shadow=needs_shadow, vmx_ipiv_needs_vid=needs_vid,
            vmx_ipiv_table_is_checked=checked,
        )  # fmt: skip
        c.use_tpr_shadow, c.pid_table_address = shadow, 4 * table
        c.virtual_interrupt_delivery = c.ext_int_exiting = vid
        expected = Check.PASS
        if not shadow and (vid or needs_shadow):
            expected = Check.NEEDS_TPR_SHADOW
        elif not vid and needs_vid:
            expected = Check.IPIV_NEEDS_VID
        elif table and checked:
            expected = Check.PID_TABLE_ADDRESS
        assert check_controls(c, 0) == expected


@pytest.mark.parametrize("vector", [0, 15, 16, 255, 256])
def test_the_checks_of_the_virtual_timer_are_a_switch(vector: int) -> None:
    for checked, vid in product((0, 1), repeat=2):
        c = having("tertiary", "apic_timer_virtualization", "use_tpr_shadow", vmx_timer_is_checked=checked)
        c.virtual_interrupt_delivery = c.ext_int_exiting = vid
        c.virtual_timer_vector = vector
        refused = checked and not (vid and 16 <= vector <= 255)
        assert check_controls(c, 0) == (Check.APIC_TIMER if refused else Check.PASS)


def test_which_halves_of_the_icr_ipi_virtualization_alone_takes() -> None:
    """Writes of 300H and 310H and reads of both, a switch each, at every offset; none of them without the control."""
    for low, high, reads, ipiv in product((0, 1), repeat=4):
        c = having(
            "use_tpr_shadow", "tertiary", vmx_ipiv_writes_icr_low=low, vmx_ipiv_writes_icr_high=high,
            vmx_ipiv_reads_icr=reads,
        )  # fmt: skip
        c.ipi_virtualization = ipiv
        for offset in range(0, 0x400):
            written = offset == 0x080 or (ipiv and ((offset == 0x300 and low) or (offset == 0x310 and high)))
            answer = page_write(VirtualApic(), c, Operation(), offset, 1)
            assert answer == (Access.VIRTUALIZED if written else Exit.APIC_ACCESS), hex(offset)
            read = offset == 0x080 or (ipiv and reads and offset in (0x300, 0x310))
            answer = page_read(VirtualApic(), c, Operation(), offset, 1)
            assert answer == (Access.VIRTUALIZED if read else Exit.APIC_ACCESS), hex(offset)


@pytest.mark.parametrize("bit", range(32))
def test_which_icr_bits_stop_an_ipi(bit: int) -> None:
    """Bits 12 and 11 by a switch each; bit 14 (level) and the vector never; everything else always."""
    for status, mode in product((0, 1), repeat=2):
        c = having(vmx_ipiv_ignores_status=status, vmx_ipiv_ignores_mode=mode)
        free = bit < 8 or bit == 14 or (bit == 12 and status) or (bit == 11 and mode)
        assert is_virtual_ipi(0x41 | 1 << bit, c) == bool(free)


@pytest.mark.parametrize("bit", range(32))
def test_reserved_icr_bits_fault_or_exit(bit: int) -> None:
    for exits in (0, 1):
        c = having(
            "use_tpr_shadow", "virtualize_x2apic_mode", "tertiary", "ipi_virtualization", vmx_ipiv_reserved_exits=exits
        )
        vapic, op = VirtualApic(), Operation()
        op.low, op.high = 0x41 | 1 << bit, 3
        answer = write_msr(vapic, c, op, 0x30)
        if bit >= 20 or bit in (13, 16, 17):
            assert answer == (Exit.APIC_WRITE if exits else Access.GENERAL_PROTECTION)
            assert vapic.page[Reg.VICR_LO] == (0x41 | 1 << bit if exits else 0)
        else:
            assert answer == (Access.VIRTUAL_IPI if bit < 8 or bit == 14 else Exit.APIC_WRITE)


@pytest.mark.parametrize("value", [0, 15, 16, 255])
def test_which_goes_first_when_a_move_to_cr8_faults_and_exits(value: int) -> None:
    for exits, fault_first, high in product((0, 1), repeat=3):
        c = having("use_tpr_shadow", vmx_cr8_fault_first=fault_first)
        c.cr8_load_exiting = exits
        op = Operation()
        op.low, op.high = value, high
        wrong = value > 15 or high
        expected = Exit.CR_ACCESS if exits else Exit.NONE
        if wrong and (fault_first or not exits):
            expected = Access.GENERAL_PROTECTION
        assert move_to_cr8(VirtualApic(), c, op) == expected


@pytest.mark.parametrize("vector", range(32))
def test_whether_error_codes_are_checked(vector: int) -> None:
    """#DF, #TS, #NP, #SS, #GP, #PF and #AC push one; no other event may."""
    for kind, bits, checked in product((0, 3, 4), (0, 0x800), (0, 1)):
        state = GuestState()
        state.entry_vector, state.entry_type, state.entry_bits = vector, kind, bits
        pushes = kind == 3 and vector in (8, 10, 11, 12, 13, 14, 17)
        expected = not checked or pushes == (bits != 0)
        assert is_event(state, having(vmx_error_code_is_checked=checked)) == expected
        state.entry_bits |= 0x1000
        assert not is_event(state, having(vmx_error_code_is_checked=checked)), "bits 30:12 are reserved in any case"


def test_whether_sti_holds_nmis_back() -> None:
    """An NMI, its window, and the injection of one: by the same switch; MOV SS holds all of them back anyway."""
    for sti, mov_ss, chosen, window in product((0, 1), repeat=4):
        c = having(vmx_sti_blocks_nmi=chosen)
        c.nmi_window_exiting = window
        state, pending = GuestState(), Pending()
        state.sti_blocking, state.mov_ss_blocking, pending.nmi = sti, mov_ss, 1
        held = mov_ss or (sti and chosen)
        open_to = Boundary.NMI_WINDOW_EXIT if window else Boundary.GUEST_NMI
        assert arbitrate_above(pending, state, c) == (Boundary.NOTHING if held else open_to)
        if not (sti and mov_ss):
            state.interrupt_flag, state.entry_vector, state.entry_type = 1, 2, EventType.NMI
            assert check_guest_state(state, c) == (GuestCheck.NMI_BLOCKED if held else GuestCheck.PASS)


def test_what_iret_unblocks() -> None:
    """25.3: blocking by NMI ends where NMIs do not exit, or where they are virtual; IF is loaded, blocking ends."""
    for exiting, virtual, chosen, flag in product((0, 1), repeat=4):
        c = having(vmx_iret_ends_nmi_blocking=chosen)
        c.nmi_exiting, c.virtual_nmis = exiting, virtual
        state = GuestState()
        state.nmi_blocking = state.sti_blocking = state.mov_ss_blocking = 1
        execute_iret(state, c, flag)
        assert (state.interrupt_flag, state.sti_blocking, state.mov_ss_blocking) == (flag, 0, 0)
        assert state.nmi_blocking == (0 if chosen and (not exiting or virtual) else 1)


# ---- MWAIT, privilege, and a monitor trap that is injected ----


def test_mwait_exits_or_waits_and_no_exit_records_it() -> None:
    """25.1.3; 24.4.2: the activity state after an exit from MWAIT is active, in the VMCS and for the next entry."""
    state, c = GuestState(), having("mwait_exiting")
    state.sti_blocking = 1
    assert execute_mwait(state, c) == Exit.MWAIT_INSTRUCTION == 36
    assert (state.activity, state.sti_blocking) == (Activity.ACTIVE, 1), "the exit is fault-like"
    c.mwait_exiting = 0
    assert execute_mwait(state, c) == Exit.NONE
    assert (state.activity, state.sti_blocking) == (Activity.MWAIT, 0)
    out = ExitInformation()
    save_at_exit(out, VirtualApic(), c, state, Exit.EXTERNAL_INTERRUPT, 0)
    assert out.activity == state.activity == Activity.ACTIVE
    assert check_guest_state(state, c) == GuestCheck.PASS
    state.activity = Activity.HLT
    save_at_exit(out, VirtualApic(), c, state, Exit.EXTERNAL_INTERRUPT, 0)
    assert out.activity == state.activity == Activity.HLT


def test_privilege_decides_before_any_exit() -> None:
    for level in range(4):
        state = GuestState()
        state.privilege = level
        assert faults_by_privilege(state) == (level != 0)


def test_a_monitor_trap_is_pending_and_goes_through_no_idt() -> None:
    """26.5.2: type 7 with vector 0; blocking and activity stay. Every other event goes through the IDT."""
    for kind, vector in product(range(8), (-1, 0, 2, 0x51)):
        state = GuestState()
        state.entry_type, state.entry_vector, state.activity, state.interrupt_flag = kind, vector, Activity.HLT, 1
        trap = kind == EventType.OTHER and vector >= 0
        assert inject_trap(state) == trap
        assert (state.activity, state.interrupt_flag) == (Activity.HLT, 1)
        assert inject_at_entry(state) == (-1 if trap else vector)
