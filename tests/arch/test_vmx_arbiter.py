"""The arbiter at an instruction boundary, event injection at VM entry, and the emulated local APIC's part in it."""

from itertools import product

import pytest

from exitless.arch.outcome import Access, Blocked, Boundary, Kick, Raise, Source
from exitless.arch.vmx.boundary import arbitrate
from exitless.arch.vmx.controls import Activity, Controls
from exitless.arch.vmx.injection import (
    GuestState,
    acknowledge_emulated,
    highest_requested,
    inject_at_entry,
    is_level,
    load_at_entry,
    may_take_interrupt,
    pending_without_vid,
    request_interrupt,
)
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import ON_PAGE, set_bit
from exitless.vocab.exits import VMX_NAMES, Exit
from tests.naive import both
from tests.naive.apicv import Processor

LEGAL = range(16, 256)
NAMES = {
    Boundary.NOTHING: "nothing", Boundary.WINDOW_EXIT: "window exit", Boundary.VIRTUAL_INTERRUPT: "virtual interrupt",
    Boundary.EXTERNAL_INTERRUPT: "external interrupt", Boundary.GUEST_INTERRUPT: "guest interrupt",
}  # fmt: skip


def test_the_arbiter_agrees_with_the_naive_processor_in_every_state() -> None:
    """Window exit and virtual delivery before a physical interrupt; STI and MOV SS block all but an exit; shutdown and
    wait-for-SIPI let nothing through; with external-interrupt exiting IF does not matter."""
    flags = product((0, 1), repeat=7)
    for (extint, window, recognized, interrupt, sti, mov_ss, physical), activity in product(flags, range(5)):
        names = ["VID"] + ["EXTINT"] * extint + ["INTRWIN"] * window
        naive = Processor(*names)
        naive.recognized = bool(recognized and not window)  # with a window armed nothing is recognized
        naive.interrupt_flag, naive.sti_block, naive.mov_ss_block = bool(interrupt), bool(sti), bool(mov_ss)
        naive.activity = activity
        vapic, state, controls = both.virtual_apic(naive), GuestState(), both.controls(naive)
        state.interrupt_flag, state.sti_blocking, state.mov_ss_blocking, state.activity = (
            interrupt, sti, mov_ss, activity,
        )  # fmt: skip
        assert NAMES[arbitrate(vapic, state, controls, physical == 1)] == naive.boundary(physical == 1)


@pytest.mark.parametrize("activity", [Activity.SHUTDOWN, Activity.WAIT_FOR_SIPI])
def test_in_shutdown_and_wait_for_sipi_physical_interrupts_stay_pending(activity: int) -> None:
    vapic, state, controls = VirtualApic(), GuestState(), Controls()
    state.interrupt_flag, state.activity = 1, activity
    vapic.recognized = vapic.window_exiting = 1
    assert arbitrate(vapic, state, controls, True) == Boundary.NOTHING


def test_activity_states_have_the_fields_numbers() -> None:
    """0 active, 1 HLT, 2 shutdown, 3 wait-for-SIPI; MWAIT is never recorded in the field, so it has the next number."""
    a = Activity
    assert (a.ACTIVE, a.HLT, a.SHUTDOWN, a.WAIT_FOR_SIPI, a.MWAIT) == (0, 1, 2, 3, 4)


# ---- injection ----


def test_entry_injects_every_vector_once_and_unconditionally() -> None:
    """No priority is compared, no register of the virtual APIC changes; blocking goes, activity becomes active, IF is
    0 in the handler, and the field's valid bit is cleared."""
    for vector in range(256):
        state = GuestState()
        state.entry_vector, state.interrupt_flag, state.activity = vector, 1, Activity.HLT
        assert inject_at_entry(state) == vector
        assert (state.entry_vector, state.interrupt_flag, state.activity) == (-1, 0, Activity.ACTIVE)
        assert (state.sti_blocking, state.mov_ss_blocking) == (0, 0)
        state.interrupt_flag = 1
        assert inject_at_entry(state) == -1
        assert state.interrupt_flag == 1, "without an event the state is loaded as it is"


def test_blocking_is_cleared_by_an_injection_only() -> None:
    state = GuestState()
    state.sti_blocking, state.mov_ss_blocking, state.activity = 1, 1, Activity.HLT
    inject_at_entry(state)
    assert (state.sti_blocking, state.mov_ss_blocking, state.activity) == (1, 1, Activity.HLT)
    state.entry_vector = 0x31
    inject_at_entry(state)
    assert (state.sti_blocking, state.mov_ss_blocking, state.activity) == (0, 0, Activity.ACTIVE)


@pytest.mark.parametrize("flag, sti, mov_ss", list(product((0, 1), repeat=3)))
def test_an_interrupt_may_be_taken_with_if_and_without_blocking(flag: int, sti: int, mov_ss: int) -> None:
    state = GuestState()
    state.interrupt_flag, state.sti_blocking, state.mov_ss_blocking = flag, sti, mov_ss
    assert may_take_interrupt(state) == (flag == 1 and sti == 0 and mov_ss == 0)


def test_entry_virtualizes_the_ppr_and_evaluates_for_every_rvi() -> None:
    """Step 3 of the entry: RVI and SVI may have any values, no check relates them to VIRR or VISR."""
    for rvi, svi, vtpr in product(range(256), range(0, 256, 15), (0, 0x5F, 0xF0)):
        naive = Processor("VID")
        naive.put(0x80, vtpr)
        naive.rvi, naive.svi = rvi, svi
        vapic = both.virtual_apic(naive)
        load_at_entry(vapic)
        naive.vm_entry(rvi, svi)
        assert both.brief(vapic) == both.naive_brief(naive)


# ---- the emulated local APIC ----


@pytest.mark.parametrize("level", [0, 1])
def test_a_request_sets_irr_and_takes_the_trigger_mode_along(level: int) -> None:
    """TMR is set or cleared on every acceptance, a merged one too."""
    for vector in LEGAL:
        vapic = VirtualApic()
        assert not request_interrupt(vapic, vector, 1 - level)
        assert request_interrupt(vapic, vector, level), "the second merges"
        assert both.array(vapic, Reg.VIRR) == 1 << vector
        assert both.array(vapic, Reg.VTMR) == level << vector
        assert is_level(vapic, vector) == (level == 1)
        assert highest_requested(vapic) == vector


def test_without_vid_software_compares_classes_with_what_is_in_service() -> None:
    for vector, other in product(LEGAL, [0, *range(16, 256, 5)]):
        vapic = VirtualApic()
        request_interrupt(vapic, vector, 0)
        if other:
            set_bit(vapic.page, Reg.VISR, ON_PAGE, other)
        assert pending_without_vid(vapic) == (vector if vector // 16 > other // 16 else 0)


def test_tpr_does_not_hide_a_request_from_the_question_what_is_pending() -> None:
    """It is judged separately, because what TPR holds back makes the TPR threshold."""
    for vector in LEGAL:
        vapic = VirtualApic()
        request_interrupt(vapic, vector, 0)
        vapic.page[Reg.VTPR] = 0xFF
        assert pending_without_vid(vapic) == vector


def test_acknowledging_moves_the_vector_and_raises_the_priority() -> None:
    for vector in LEGAL:
        vapic = VirtualApic()
        request_interrupt(vapic, vector, 0)
        acknowledge_emulated(vapic, vector)
        assert (both.array(vapic, Reg.VIRR), both.array(vapic, Reg.VISR)) == (0, 1 << vector)
        assert (vapic.svi, vapic.page[Reg.VPPR]) == (vector, vector & 0xF0)


# ---- numbers that rules answer ----


def test_no_answer_of_an_access_is_an_exit_reason() -> None:
    """Negative numbers, each its own; VIRTUALIZED is what Exit.NONE is."""
    answers = [Access.VIRTUALIZED, Access.PHYSICAL, Access.GENERAL_PROTECTION]
    assert len(set(answers)) == 3 and all(a < 0 and a not in VMX_NAMES for a in answers)
    assert Access.VIRTUALIZED == Exit.NONE


def test_exit_reasons_have_the_manuals_numbers_and_names() -> None:
    numbers = {
        "EXCEPTION_NMI": 0, "EXTERNAL_INTERRUPT": 1, "INIT_SIGNAL": 3, "SIPI_SIGNAL": 4,
            "INTERRUPT_WINDOW": 7, "NMI_WINDOW": 8, "CPUID": 10, "HLT": 12,
        "VMCALL": 18, "CR_ACCESS": 28, "IO_INSTRUCTION": 30, "MSR_READ": 31, "MSR_WRITE": 32, "INVALID_STATE": 33,
            "MWAIT_INSTRUCTION": 36,
        "MONITOR_TRAP_FLAG": 37,
        "TPR_BELOW_THRESHOLD": 43, "APIC_ACCESS": 44, "EOI_INDUCED": 45, "EPT_VIOLATION": 48,
        "PREEMPTION_TIMER": 52, "APIC_WRITE": 56,
    }  # fmt: skip
    assert {name: value for name, value in vars(Exit).items() if name.isupper() and value >= 0} == numbers
    assert all(VMX_NAMES[number] == name for name, number in numbers.items())


def test_xens_sources_have_the_numbers_of_its_traces() -> None:
    """none 0, pic 1, lapic 2, nmi 3, mce 4, vector 5; and reasons to be blocked likewise from 0."""
    assert (Source.NONE, Source.PIC, Source.LAPIC, Source.NMI, Source.MCE, Source.VECTOR) == (0, 1, 2, 3, 4, 5)
    assert (Blocked.NONE, Blocked.FLAG, Blocked.SHADOW, Blocked.TPR, Blocked.NMI) == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("numbers", [Kick, Raise, Boundary, Source, Blocked, Access])
def test_answers_of_one_kind_are_all_different(numbers: type) -> None:
    values = [value for name, value in vars(numbers).items() if name.isupper()]
    assert len(values) == len(set(values)) >= 3
