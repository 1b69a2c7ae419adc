"""Blocking, HLT, CR8 and what a VM exit writes into the VMCS."""

from itertools import product

import pytest

from exitless.arch.outcome import Access
from exitless.arch.vmx.access import AccessType, Operation, page_exit
from exitless.arch.vmx.controls import Activity, Controls
from exitless.arch.vmx.cr8 import move_to_cr8, read_cr8
from exitless.arch.vmx.injection import GuestState, may_take_interrupt
from exitless.arch.vmx.interruptibility import (
    complete_instruction,
    execute_hlt,
    execute_mov_ss,
    execute_sti,
    leave_mwait,
    load_interrupt_flag,
)
from exitless.arch.vmx.leaving import (
    ExitInformation,
    fail_entry,
    interruption_information,
    is_trap_like,
    save_at_exit,
)
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.vocab.exits import VMX_NAMES, Exit


def test_sti_blocks_one_instruction_and_only_where_if_was_0() -> None:
    state = GuestState()
    execute_sti(state)
    assert (state.interrupt_flag, state.sti_blocking, may_take_interrupt(state)) == (1, 1, False)
    complete_instruction(state)
    assert may_take_interrupt(state)
    execute_sti(state)
    assert (state.sti_blocking, may_take_interrupt(state)) == (0, True), "IF was 1 already"


def test_mov_ss_blocks_one_instruction_whatever_if_is() -> None:
    for flag in (0, 1):
        state = GuestState()
        state.interrupt_flag = flag
        execute_mov_ss(state)
        assert (state.mov_ss_blocking, may_take_interrupt(state)) == (1, False)
        complete_instruction(state)
        assert may_take_interrupt(state) == bool(flag)


def test_never_blocked_by_both() -> None:
    """VM entry refuses that state, so no sequence of instructions may reach it."""
    for steps in product((execute_sti, execute_mov_ss, complete_instruction), repeat=4):
        for flag in (0, 1):
            state = GuestState()
            state.interrupt_flag = flag
            for step in steps:
                step(state)
                assert not (state.sti_blocking and state.mov_ss_blocking)
                assert not (state.sti_blocking and not state.interrupt_flag)


def test_cli_popf_and_iret_count_at_once() -> None:
    for flag in (0, 1):
        state = GuestState()
        execute_sti(state)
        load_interrupt_flag(state, flag)
        assert may_take_interrupt(state) == bool(flag)


def test_hlt_exits_or_halts_and_ends_the_blocking_of_the_sti_before_it() -> None:
    controls, state = Controls(), GuestState()
    execute_sti(state)
    assert execute_hlt(state, controls) == Exit.HLT
    assert (state.activity, state.sti_blocking) == (Activity.ACTIVE, 1), "fault-like: nothing has happened"
    controls.hlt_exiting = 0
    assert execute_hlt(state, controls) == Exit.NONE
    assert (state.activity, may_take_interrupt(state)) == (Activity.HLT, True)


@pytest.mark.parametrize("activity", range(5))
def test_posted_interrupt_processing_leaves_mwait_and_returns_to_hlt(activity: int) -> None:
    state = GuestState()
    state.activity = activity
    leave_mwait(state)
    assert state.activity == (Activity.ACTIVE if activity == Activity.MWAIT else activity)


# ---- CR8 ----


@pytest.mark.parametrize("vtpr", range(256))
def test_mov_from_cr8(vtpr: int) -> None:
    """CR8-store exiting first, then the TPR shadow: bits 7:4 of VTPR; else the real register."""
    for exiting, shadow in product((0, 1), (0, 1)):
        controls, vapic, op = Controls(), VirtualApic(), Operation()
        controls.cr8_store_exiting, controls.use_tpr_shadow = exiting, shadow
        vapic.page[Reg.VTPR] = 0xABCDEF00 | vtpr
        answer = read_cr8(vapic, controls, op)
        if exiting:
            assert (answer, op.qualification) == (Exit.CR_ACCESS, 0x18)
        elif shadow:
            assert (answer, op.low) == (Access.VIRTUALIZED, vtpr >> 4)
        else:
            assert answer == Access.PHYSICAL


@pytest.mark.parametrize("value", [*range(64), 255, 0x80000000, 0xFFFFFFFF])
def test_mov_to_cr8(value: int) -> None:
    """CR8-load exiting goes before the fault of reserved bits; a good value goes to bits 7:4 and clears the rest."""
    for exiting, shadow, high in product((0, 1), (0, 1), (0, 1)):
        controls, vapic, op = Controls(), VirtualApic(), Operation()
        controls.cr8_load_exiting, controls.use_tpr_shadow = exiting, shadow
        vapic.page[Reg.VTPR] = 0xABCDEF77
        op.low, op.high = value, high
        answer = move_to_cr8(vapic, controls, op)
        if exiting:
            assert (answer, op.qualification) == (Exit.CR_ACCESS, 8)
        elif value > 15 or high:
            assert answer == Access.GENERAL_PROTECTION
        elif shadow:
            assert (answer, vapic.page[Reg.VTPR]) == (Exit.NONE, value << 4)
        else:
            assert answer == Access.PHYSICAL
        if exiting or value > 15 or high or not shadow:
            assert vapic.page[Reg.VTPR] == 0xABCDEF77


# ---- exits ----


def test_which_exits_are_trap_like() -> None:
    assert {reason for reason in VMX_NAMES if is_trap_like(reason)} == {43, 45, 56}


@pytest.mark.parametrize("vid", [0, 1])
def test_what_an_exit_saves(vid: int) -> None:
    controls, vapic, state, out = Controls(), VirtualApic(), GuestState(), ExitInformation()
    controls.virtual_interrupt_delivery = vid
    vapic.rvi, vapic.svi, vapic.recognized = 0x41, 0x31, 1
    state.interrupt_flag, state.sti_blocking, state.nmi_blocking, state.entry_vector = 1, 1, 1, 0x51
    out.status = 0x7777
    save_at_exit(out, vapic, controls, state, Exit.APIC_ACCESS, 0x1081)
    assert (out.reason, out.qualification, out.vector, out.vectoring) == (44, 0x1081, -1, -1)
    assert out.status == (0x3141 if vid else 0x7777), "written with virtual-interrupt delivery only"
    assert (out.activity, out.interruptibility, out.interrupt_flag) == (Activity.ACTIVE, 0b1001, 1)
    assert vapic.recognized == 0, "the next entry evaluates again"
    assert state.entry_vector == -1, "the valid bit is cleared by every exit"


def test_exits_without_a_qualification_have_zero() -> None:
    for reason in VMX_NAMES:
        out = ExitInformation()
        save_at_exit(out, VirtualApic(), Controls(), GuestState(), reason, 0x123)
        assert out.qualification == (0x123 if reason in (28, 44, 45, 56) else 0)


@pytest.mark.parametrize("activity", range(5))
def test_mwait_is_never_saved_as_an_activity_state(activity: int) -> None:
    state, out = GuestState(), ExitInformation()
    state.activity = activity
    save_at_exit(out, VirtualApic(), Controls(), state, Exit.EXTERNAL_INTERRUPT, 0)
    assert out.activity == (Activity.ACTIVE if activity == Activity.MWAIT else activity)


def test_interruption_information_of_every_vector() -> None:
    assert interruption_information(-1) == 0
    for vector in range(256):
        assert interruption_information(vector) == 0x80000000 | vector


def test_an_entry_that_fails_on_the_guest_state() -> None:
    out = ExitInformation()
    fail_entry(out)
    assert (out.reason, out.entry_failed, out.qualification) == (Exit.INVALID_STATE, 1, 0)


def test_accesses_that_are_never_virtualized_exit_with_their_type() -> None:
    names = ("READ", "WRITE", "FETCH", "EVENT_DELIVERY", "PHYSICAL_EVENT_DELIVERY", "PHYSICAL")
    assert [getattr(AccessType, name) for name in names] == [0, 1, 2, 3, 10, 15]
    op = Operation()
    for kind in (2, 3, 10, 15):
        assert page_exit(op, 0x0B0, kind) == Exit.APIC_ACCESS
        assert op.qualification == kind << 12 | 0x0B0
