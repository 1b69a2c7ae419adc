"""VMX, field by field: what each rule leaves in every field that it may change, and in those that it may not."""

from itertools import product

import pytest

from exitless.arch.outcome import Boundary
from exitless.arch.vmx.access import Operation
from exitless.arch.vmx.boundary import arbitrate
from exitless.arch.vmx.controls import Activity, Check, Controls, check_controls
from exitless.arch.vmx.cr8 import move_to_cr8
from exitless.arch.vmx.entry import GuestCheck, check_guest_state, is_event
from exitless.arch.vmx.injection import EventType, GuestState, go_through_idt, inject_at_entry
from exitless.arch.vmx.interruptibility import (
    complete_instruction,
    execute_hlt,
    execute_mov_ss,
    execute_sti,
    load_interrupt_flag,
)
from exitless.arch.vmx.ipi import NOT_FOUND, find_descriptor, is_virtual_self_ipi
from exitless.arch.vmx.leaving import ExitInformation, fail_entry, save_at_exit
from exitless.arch.vmx.virtual_apic import VirtualApic
from exitless.bits.words import zeros
from exitless.vocab.exits import Exit

MARK = 0x5A5A
STATES = list(product((0, 1), repeat=3))

# A compiled object has no dictionary.
# What tools/mutants.py puts beside a method is no field: its names are not ASCII.
NAMES = [name for name in dir(ExitInformation()) if not name.startswith("_") and name.isascii()]


def guest(flag: int, sti: int, mov_ss: int) -> GuestState:
    """Return a guest with this IF and this blocking."""
    state = GuestState()
    state.interrupt_flag, state.sti_blocking, state.mov_ss_blocking = flag, sti, mov_ss
    return state


def flags(state: GuestState) -> tuple[int, int, int, int]:
    """Return IF, blocking by STI and by MOV SS, and the activity state."""
    return state.interrupt_flag, state.sti_blocking, state.mov_ss_blocking, state.activity


def marked() -> ExitInformation:
    """Return exit information that still holds an earlier exit's."""
    out = ExitInformation()
    for name in NAMES:
        setattr(out, name, MARK)
    return out


def fields(out: ExitInformation) -> dict[str, int]:
    """Return every field of exit information by its name."""
    return {name: getattr(out, name) for name in NAMES}


@pytest.mark.parametrize(("flag", "sti", "mov_ss"), STATES)
def test_what_each_instruction_leaves(flag: int, sti: int, mov_ss: int) -> None:
    """6.8.3, 24.4.2: from every state; the last blocking ends, and only STI with IF=0 and MOV SS block anew."""
    state = guest(flag, sti, mov_ss)
    complete_instruction(state)
    assert flags(state) == (flag, 0, 0, Activity.ACTIVE)
    state = guest(flag, sti, mov_ss)
    execute_sti(state)
    assert flags(state) == (1, 1 - flag, 0, Activity.ACTIVE)
    state = guest(flag, sti, mov_ss)
    execute_mov_ss(state)
    assert flags(state) == (flag, 0, 1, Activity.ACTIVE)
    for loaded in (0, 1):
        state = guest(flag, sti, mov_ss)
        load_interrupt_flag(state, loaded)
        assert flags(state) == (loaded, 0, 0, Activity.ACTIVE)
    controls = Controls()
    state = guest(flag, sti, mov_ss)
    assert execute_hlt(state, controls) == Exit.HLT
    assert flags(state) == (flag, sti, mov_ss, Activity.ACTIVE)
    controls.hlt_exiting = 0
    assert execute_hlt(state, controls) == Exit.NONE
    assert flags(state) == (flag, 0, 0, Activity.HLT)


@pytest.mark.parametrize(("flag", "sti", "mov_ss"), STATES)
@pytest.mark.parametrize("activity", range(5))
def test_an_event_that_is_delivered_leaves_an_active_guest_with_if_0(
    flag: int, sti: int, mov_ss: int, activity: int
) -> None:
    """26.5: through an interrupt gate, whatever blocked or halted the guest before; NMI alone blocks further ones."""
    state = guest(flag, sti, mov_ss)
    state.activity = activity
    go_through_idt(state)
    assert flags(state) == (0, 0, 0, Activity.ACTIVE)
    for vector, kind, nmi in product((-1, 0, 1, 2, 255), range(8), (0, 1)):
        state = guest(flag, sti, mov_ss)
        state.activity, state.entry_vector, state.entry_type, state.nmi_blocking = activity, vector, kind, nmi
        assert inject_at_entry(state) == vector
        assert state.entry_vector == -1
        if vector < 0:
            assert (*flags(state), state.nmi_blocking) == (flag, sti, mov_ss, activity, nmi)
        else:
            assert (*flags(state), state.nmi_blocking) == (0, 0, 0, 0, 1 if kind == EventType.NMI else nmi)


def test_a_failed_entry_writes_reason_and_qualification_and_saves_no_state() -> None:
    """26.7: bit 31 of the reason; no vector; the guest's fields stay what they were."""
    out = marked()
    fail_entry(out)
    unchanged = dict.fromkeys(("status", "activity", "interruptibility", "interrupt_flag"), MARK)
    assert fields(out) == {
        "reason": Exit.INVALID_STATE, "entry_failed": 1, "qualification": 0, "vector": -1, "vectoring": -1, **unchanged,
    }  # fmt: skip


@pytest.mark.parametrize("blocking", list(product((0, 1), repeat=3)))
def test_an_exit_writes_every_field(blocking: tuple[int, int, int]) -> None:
    """27.2, 27.3: blocking by STI is bit 0, by MOV SS bit 1, by NMI bit 3; nothing of an earlier exit stays."""
    sti, mov_ss, nmi = blocking
    for vid, flag, rvi, svi in product((0, 1), (0, 1), (0, 0x41, 0xFF), (0, 0x31, 0xFF)):
        controls, vapic, out = Controls(), VirtualApic(), marked()
        controls.virtual_interrupt_delivery = vid
        vapic.rvi, vapic.svi, vapic.recognized = rvi, svi, 1
        state = guest(flag, sti, mov_ss)
        state.nmi_blocking, state.activity, state.entry_vector = nmi, Activity.HLT, 0x51
        save_at_exit(out, vapic, controls, state, Exit.HLT, MARK)
        assert fields(out) == {
            "reason": Exit.HLT, "entry_failed": 0, "qualification": 0, "vector": -1, "vectoring": -1,
            "status": rvi + 256 * svi if vid else MARK, "activity": Activity.HLT,
            "interruptibility": sti + 2 * mov_ss + 8 * nmi, "interrupt_flag": flag,
        }  # fmt: skip
        assert (vapic.recognized, vapic.rvi, vapic.svi, state.entry_vector) == (0, rvi, svi, -1)


@pytest.mark.parametrize("activity", range(5))
def test_a_processor_that_is_shut_down_or_waits_for_sipi_takes_no_interrupt(activity: int) -> None:
    """26.6: neither a window nor a virtual nor a physical interrupt; HLT and MWAIT hold none of them back."""
    awake = activity in (Activity.ACTIVE, Activity.HLT, Activity.MWAIT)
    for window, recognized, physical, exiting, flag in product((0, 1), repeat=5):
        vapic, state, controls = VirtualApic(), guest(flag, 0, 0), Controls()
        vapic.window_exiting, vapic.recognized, controls.ext_int_exiting = window, recognized, exiting
        state.activity = activity
        wanted = Boundary.NOTHING
        if awake and flag and window:
            wanted = Boundary.WINDOW_EXIT
        elif awake and flag and recognized:
            wanted = Boundary.VIRTUAL_INTERRUPT
        elif awake and physical and exiting:
            wanted = Boundary.EXTERNAL_INTERRUPT
        elif awake and physical and flag:
            wanted = Boundary.GUEST_INTERRUPT
        assert arbitrate(vapic, state, controls, bool(physical)) == wanted


def test_a_move_to_cr8_that_does_not_exit_has_no_qualification() -> None:
    """27.2.1: 8 (to CR8 from the first register) belongs to the exit, and to nothing else."""
    for exits, shadow in product((0, 1), repeat=2):
        controls, op = Controls(), Operation()
        controls.cr8_load_exiting, controls.use_tpr_shadow, op.low = exits, shadow, 5
        move_to_cr8(VirtualApic(), controls, op)
        assert op.qualification == 8 * exits


def test_no_event_has_a_vector_of_more_than_eight_bits() -> None:
    """26.2.1.3: 255 is the last vector of every type that has it."""
    for kind, vector in product((0, 4, 5, 6), (255, 256, 257, 512)):
        state = guest(1, 0, 0)
        state.entry_type, state.entry_vector = kind, vector
        assert is_event(state, Controls()) is (vector == 255)


def test_bits_31_to_5_of_the_interruptibility_field_are_reserved() -> None:
    """24.4.2, 26.3.1.5: each of them alone fails the entry, none of the others does."""
    for bit in range(32):
        state = guest(1, 0, 0)
        state.other_blocking = 1 << bit
        assert check_guest_state(state, Controls()) == (GuestCheck.INTERRUPTIBILITY if bit >= 5 else GuestCheck.PASS)


def test_which_vectors_the_virtual_timer_may_have() -> None:
    """From memory of later editions: 16 to 255, with virtual-interrupt delivery and what it needs."""
    controls = Controls()
    controls.use_tpr_shadow = controls.virtual_interrupt_delivery = 1
    controls.tertiary = controls.apic_timer_virtualization = 1
    for vector in range(512):
        controls.virtual_timer_vector = vector
        assert check_controls(controls, 0) == (Check.PASS if 16 <= vector < 256 else Check.APIC_TIMER)


def test_the_virtual_timer_needs_each_of_three_controls() -> None:
    """From memory of later editions: external-interrupt exiting, virtual-interrupt delivery and the TPR shadow."""
    for exiting, delivery, shadow in product((0, 1), repeat=3):
        controls = Controls()
        controls.tertiary = controls.apic_timer_virtualization = 1
        controls.virtual_timer_vector = 0x41
        controls.ext_int_exiting, controls.virtual_interrupt_delivery = exiting, delivery
        controls.use_tpr_shadow = shadow
        wanted = Check.PASS if exiting and delivery and shadow else Check.APIC_TIMER
        if delivery and not shadow:
            wanted = Check.NEEDS_TPR_SHADOW
        elif delivery and not exiting:
            wanted = Check.VID_NEEDS_EXTINT
        assert check_controls(controls, 0) == wanted


def test_which_icr_values_are_virtual_self_ipis() -> None:
    """29.1.5: shorthand self, fixed, edge, a vector of 16 or more; of the other bits destination mode and level alone
    do not count.
    """
    for vector in range(256):
        assert is_virtual_self_ipi(1 << 18 | vector) is (vector >= 16)
    for bit in range(8, 32):
        if bit != 18:
            assert is_virtual_self_ipi(1 << 18 | 0x41 | 1 << bit) is (bit in (11, 14))
            assert not is_virtual_self_ipi(0x41 | 1 << bit)


def test_each_entry_of_the_pid_pointer_table_is_two_words_of_its_own() -> None:
    """30.1.6 of later editions: entry n holds the address of descriptor n, of which the high word is the second."""
    controls, table = Controls(), zeros(8)
    controls.last_pid_index = 3
    for target in range(4):
        table[2 * target], table[2 * target + 1] = 0x1000 * (target + 1) | 1, 0x10 + target
    for target in range(5):
        wanted = (0x10 + target) << 32 | 0x1000 * (target + 1) if target < 4 else NOT_FOUND
        assert find_descriptor(controls, table, 0x41, target) == wanted
