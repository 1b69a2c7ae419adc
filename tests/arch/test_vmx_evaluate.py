"""Evaluation, delivery, self-IPIs and the arbiter at an instruction boundary."""

from itertools import product

import pytest

from exitless.arch.outcome import Boundary
from exitless.arch.vmx.boundary import arbitrate
from exitless.arch.vmx.controls import Activity
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt, evaluate_pending, self_ipi_virtualization
from exitless.arch.vmx.injection import (
    GuestState,
    acknowledge_emulated,
    highest_requested,
    inject_at_entry,
    is_level,
    may_take_interrupt,
    pending_without_vid,
    request_interrupt,
)
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from tests.naive import apicv, both
from tests.naive.apicv import VIRR, VISR, VPPR, Processor

BYTES = range(256)


# ---- evaluation ----


def test_recognized_means_a_higher_class_and_no_window() -> None:
    """For every RVI and every VPPR: classes only, the low nibbles never decide."""
    vapic = VirtualApic()
    for rvi, vppr in product(BYTES, BYTES):
        vapic.rvi = rvi
        vapic.page[Reg.VPPR] = vppr
        vapic.window_exiting = 0
        vapic.recognized = 0
        evaluate_pending(vapic)
        assert vapic.recognized == (rvi // 16 > vppr // 16)
        vapic.window_exiting = 1
        evaluate_pending(vapic)
        assert vapic.recognized == 0, "an armed window withdraws recognition"


def test_evaluation_looks_at_rvi_not_at_virr() -> None:
    """A VIRR bit alone is never recognized; RVI alone is."""
    for vector in range(16, 256):
        processor = Processor("VID")
        processor.set_array(VIRR, 1 << vector)
        vapic = both.virtual_apic(processor)
        evaluate_pending(vapic)
        assert vapic.recognized == 0
        vapic = VirtualApic()
        vapic.rvi = vector
        evaluate_pending(vapic)
        assert vapic.recognized == 1


# ---- delivery ----


@pytest.mark.parametrize("others", [0, 1 << 0x31, 1 << 0x31 | 1 << 0xFF, (1 << 256) - 1])
@pytest.mark.parametrize("in_service", [0, 1 << 0x2F])
@pytest.mark.parametrize("in_virr", [True, False])
def test_delivery_of_every_vector(others: int, in_service: int, in_virr: bool) -> None:
    """RVI moves to VISR and SVI, VPPR becomes its class, and RVI becomes the highest that VIRR still holds."""
    for vector in BYTES:
        requested = others | 1 << vector if in_virr else others & ~(1 << vector)
        processor = Processor("VID")
        processor.set_array(VIRR, requested)
        processor.set_array(VISR, in_service)
        processor.rvi = vector
        processor.recognized = True
        vapic = both.virtual_apic(processor)
        assert deliver_virtual_interrupt(vapic) == vector == processor.deliver_virtual()
        left = requested & ~(1 << vector)
        assert vapic.rvi == max(left.bit_length() - 1, 0)
        assert both.array(vapic, Reg.VISR) == in_service | 1 << vector
        assert (vapic.svi, vapic.page[Reg.VPPR], vapic.recognized) == (vector, vector // 16 * 16, 0)
        assert both.brief(vapic) == both.naive_brief(processor)
        assert both.same_page(vapic, processor)


def test_rvi_may_rise_at_delivery_when_virr_holds_a_stale_higher_vector() -> None:
    """Delivery names RVI, and RVI is then recomputed from all of VIRR; nothing evaluates the higher one."""
    vapic = VirtualApic()
    self_ipi_virtualization(vapic, 0x31)
    request_interrupt(vapic, 0x91, 0)
    assert deliver_virtual_interrupt(vapic) == 0x31
    assert (vapic.rvi, vapic.recognized) == (0x91, 0)


# ---- self-IPI ----


def test_self_ipi_of_every_vector_over_every_rvi() -> None:
    """RVI only rises; reserved vectors 16 to 31 are taken; evaluation follows."""
    for vector, rvi, vppr in product(range(16, 256), (0, 0x1F, 0x20, 0x7F, 0xFE, 0xFF), (0x10, 0x80)):
        processor = Processor("VID")
        processor.rvi = rvi
        processor.put(VPPR, vppr)
        vapic = both.virtual_apic(processor)
        self_ipi_virtualization(vapic, vector)
        processor.self_ipi_virtualization(vector)
        assert both.brief(vapic) == both.naive_brief(processor)
        assert vapic.rvi == max(rvi, vector)
        assert vapic.recognized == (max(rvi, vector) // 16 > vppr // 16)
        assert both.array(vapic, Reg.VTMR) == 0, "the trigger mode is not touched"


def test_two_requests_of_a_vector_before_delivery_become_one() -> None:
    """And one that is requested while in service is delivered again after its EOI: two deliveries."""
    vapic = VirtualApic()
    self_ipi_virtualization(vapic, 0x41)
    self_ipi_virtualization(vapic, 0x41)
    assert deliver_virtual_interrupt(vapic) == 0x41
    assert vapic.rvi == 0
    self_ipi_virtualization(vapic, 0x41)
    assert (vapic.rvi, vapic.recognized) == (0x41, 0), "its own class is in service"
    assert both.array(vapic, Reg.VIRR) == both.array(vapic, Reg.VISR) == 1 << 0x41


# ---- the arbiter ----

NAMES = {
    "nothing": Boundary.NOTHING,
    "window exit": Boundary.WINDOW_EXIT,
    "virtual interrupt": Boundary.VIRTUAL_INTERRUPT,
    "external interrupt": Boundary.EXTERNAL_INTERRUPT,
    "guest interrupt": Boundary.GUEST_INTERRUPT,
}


@pytest.mark.parametrize("activity", range(5))
def test_arbiter_truth_table(activity: int) -> None:
    """Window or virtual interrupt before physical; shutdown and wait-for-SIPI take neither; HLT and MWAIT take all."""
    for flag, sti, mov_ss, window, recognized, extint, physical in product((0, 1), repeat=7):
        if window and recognized:
            continue  # evaluation never leaves both
        processor = Processor("VID", *(["INTRWIN"] if window else []), *(["EXTINT"] if extint else []))
        processor.interrupt_flag, processor.sti_block, processor.mov_ss_block = bool(flag), bool(sti), bool(mov_ss)
        processor.activity, processor.recognized = activity, bool(recognized)
        state = GuestState()
        state.interrupt_flag, state.sti_blocking, state.mov_ss_blocking = flag, sti, mov_ss
        state.activity = activity
        answer = arbitrate(both.virtual_apic(processor), state, both.controls(processor), bool(physical))
        assert answer == NAMES[processor.boundary(bool(physical))]
        assert may_take_interrupt(state) == (flag == 1 and sti == 0 and mov_ss == 0)


def test_activity_states_have_the_field_numbers() -> None:
    """The field knows 0 to 3; MWAIT is never recorded in it and gets a number of its own."""
    numbers = (Activity.ACTIVE, Activity.HLT, Activity.SHUTDOWN, Activity.WAIT_FOR_SIPI, Activity.MWAIT)
    assert numbers == (0, 1, 2, 3, 4)
    assert numbers == (apicv.ACTIVE, apicv.HLT, apicv.SHUTDOWN, apicv.WAIT_FOR_SIPI, apicv.MWAIT)


# ---- injection, and the local APIC that software emulates ----


def test_injection_is_unconditional_and_opens_what_blocked() -> None:
    """No priority is compared; the handler starts with IF=0, active, unblocked; the field is spent."""
    for vector in BYTES:
        state = GuestState()
        state.interrupt_flag, state.sti_blocking, state.activity = 1, 1, Activity.HLT
        state.entry_vector = vector
        assert inject_at_entry(state) == vector
        assert (state.interrupt_flag, state.sti_blocking, state.mov_ss_blocking) == (0, 0, 0)
        assert (state.activity, state.entry_vector) == (Activity.ACTIVE, -1)
    state = GuestState()
    state.interrupt_flag, state.activity = 1, Activity.HLT
    assert inject_at_entry(state) == -1
    assert (state.interrupt_flag, state.activity) == (1, Activity.HLT), "without a valid field nothing happens"


def test_every_acceptance_sets_the_trigger_mode() -> None:
    """Edge, level and edge again, merged or not: the last one counts."""
    for vector in BYTES:
        vapic = VirtualApic()
        assert not request_interrupt(vapic, vector, 0)
        assert not is_level(vapic, vector)
        assert request_interrupt(vapic, vector, 1), "it was requested already"
        assert is_level(vapic, vector)
        assert request_interrupt(vapic, vector, 0)
        assert both.array(vapic, Reg.VTMR) == 0
        assert both.array(vapic, Reg.VIRR) == 1 << vector
        assert highest_requested(vapic) == vector
        assert vapic.rvi == 0, "software's request does not move RVI"


def test_an_emulated_apic_offers_a_vector_of_a_class_above_the_one_in_service() -> None:
    vapic = VirtualApic()
    for requested, in_service in product(range(16, 256), (0, *range(16, 256, 7))):
        for word in range(8):
            vapic.page[Reg.VIRR + 4 * word] = 1 << (requested & 31) if word == requested >> 5 else 0
            vapic.page[Reg.VISR + 4 * word] = 1 << (in_service & 31) if in_service and word == in_service >> 5 else 0
        expected = requested if requested // 16 > in_service // 16 else 0
        assert pending_without_vid(vapic) == expected


def test_an_emulated_apic_moves_the_vector_at_injection() -> None:
    for vector in range(16, 256):
        vapic = VirtualApic()
        request_interrupt(vapic, vector, 0)
        acknowledge_emulated(vapic, vector)
        assert both.array(vapic, Reg.VIRR) == 0
        assert both.array(vapic, Reg.VISR) == 1 << vector
        assert (vapic.svi, vapic.page[Reg.VPPR]) == (vector, vector // 16 * 16)
        assert pending_without_vid(vapic) == 0
