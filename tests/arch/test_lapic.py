"""The local APIC of a pCPU: acceptance, priority, dispatch, EOI and errors, by the manual, on all 256 vectors."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exitless.arch.outcome import Accept
from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.x86.lapic import (
    LVT_MASKED,
    SVR_ENABLE,
    SVR_NO_BROADCAST,
    EsrBit,
    LocalApic,
    accept,
    acknowledge,
    broadcasts_eoi,
    deliverable,
    end_of_interrupt,
    processor_priority,
    record_error,
    write_esr,
    write_tpr,
)
from exitless.bits.words import set_bit
from tests.naive.apicv import highest
from tests.naive.both import packed

BYTES = range(256)
LEGAL = range(16, 256)


def holding(requested: int = 0, in_service: int = 0, tpr: int = 0) -> LocalApic:
    """Return a local APIC with one vector requested, one in service (0: none) and a task priority."""
    lapic = LocalApic(0)
    if requested:
        set_bit(lapic.irr, 0, 1, requested)
    if in_service:
        set_bit(lapic.isr, 0, 1, in_service)
    lapic.tpr = tpr
    return lapic


def registers(lapic: LocalApic) -> tuple[int, int, int]:
    return packed(lapic.irr), packed(lapic.isr), packed(lapic.tmr)


# ---- acceptance ----


@pytest.mark.parametrize("level", [0, 1])
def test_each_legal_vector_is_accepted_then_merged(level: int) -> None:
    """TMR takes the trigger mode, IRR the request; one that finds IRR set is absorbed. 16 to 31 are legal here."""
    for vector in LEGAL:
        lapic = LocalApic(0)
        assert accept(lapic, vector, level) == Accept.ACCEPTED
        assert registers(lapic) == (1 << vector, 0, level << vector)
        assert accept(lapic, vector, level) == Accept.MERGED
        assert registers(lapic) == (1 << vector, 0, level << vector)


def test_a_vector_below_16_sets_no_irr_bit_but_the_error() -> None:
    """Receive illegal vector is ESR bit 6; it shows once the register has been written."""
    for vector in range(16):
        lapic = LocalApic(0)
        assert accept(lapic, vector, 1) == Accept.ILLEGAL
        assert registers(lapic) == (0, 0, 0)
        assert lapic.esr == 0
        write_esr(lapic)
        assert lapic.esr == 1 << 6


def test_tmr_follows_every_acceptance_even_a_merged_one() -> None:
    """The SDM is silent on a coalesced acceptance; KVM and Xen update TMR each time, and so does this model."""
    for vector in LEGAL:
        lapic = LocalApic(0)
        accept(lapic, vector, 1)
        accept(lapic, vector, 0)
        assert registers(lapic) == (1 << vector, 0, 0)
        accept(lapic, vector, 1)
        assert registers(lapic)[2] == 1 << vector


@pytest.mark.parametrize("enabled, svr", [(0, 0x1FF), (1, 0xFF), (0, 0xFF)])
def test_a_disabled_local_apic_drops(enabled: int, svr: int) -> None:
    """Globally disabled, or SVR bit 8 clear: nothing is set, no error either."""
    for vector in BYTES:
        lapic = LocalApic(0)
        lapic.enabled, lapic.svr = enabled, svr
        assert accept(lapic, vector, 0) == Accept.DROPPED
        assert registers(lapic) == (0, 0, 0)
        assert lapic.esr_pending == 0


# ---- priority ----


def test_ppr_for_all_classes_of_tpr_and_service() -> None:
    """Higher TPR class: TPR; higher class in service: its class and 0; equal classes: TPR, as PPR virtualization."""
    for in_service, tpr in product([0, *LEGAL], range(0, 256, 3)):
        expected = tpr if tpr // 16 >= in_service // 16 else in_service // 16 * 16
        assert processor_priority(holding(0, in_service, tpr)) == expected


def test_a_vector_is_deliverable_only_above_the_class_of_ppr() -> None:
    """class(v) > class(PPR), by TPR and by what is in service; the low nibble never masks."""
    for vector, other in product(LEGAL, [0, *range(16, 256, 7)]):
        above = vector // 16 > other // 16
        assert deliverable(holding(vector, 0, other)) == (vector if above else -1)
        assert deliverable(holding(vector, other, 0)) == (vector if above else -1)


def test_class_15_inhibits_all_and_class_0_nothing() -> None:
    for vector in LEGAL:
        assert deliverable(holding(vector, 0, 0xF0)) == -1
        assert deliverable(holding(vector, 0, 0x0F)) == vector


def test_within_a_class_the_higher_vector_is_chosen() -> None:
    for vector in LEGAL:
        lapic = holding(vector)
        accept(lapic, vector | 15, 0)
        assert deliverable(lapic) == vector | 15


def test_tpr_keeps_eight_bits() -> None:
    for value in BYTES:
        lapic = LocalApic(0)
        write_tpr(lapic, value | 0x700)
        assert lapic.tpr == value


# ---- dispatch and EOI ----


def test_acknowledge_moves_the_highest_from_irr_to_isr() -> None:
    for vector in LEGAL:
        lapic = holding(vector)
        assert acknowledge(lapic) == vector
        assert registers(lapic)[:2] == (0, 1 << vector)
        assert processor_priority(lapic) == vector & 0xF0


def test_without_a_deliverable_vector_the_spurious_one_comes_and_nothing_changes() -> None:
    """ISR stays, and no EOI is owed; the vector is SVR bits 7:0."""
    for spurious in BYTES:
        lapic = LocalApic(0)
        lapic.svr = SVR_ENABLE | spurious
        assert acknowledge(lapic) == spurious
        assert registers(lapic) == (0, 0, 0)
    for vector in LEGAL:
        lapic = holding(vector, 0, 0xFF)
        assert acknowledge(lapic) == 0xFF
        assert registers(lapic)[:2] == (1 << vector, 0)


def test_eoi_retires_the_highest_in_service_and_keeps_tmr() -> None:
    """The value written does not matter, and TMR changes at acceptance only."""
    for vector in LEGAL:
        lapic = LocalApic(0)
        accept(lapic, vector, 1)
        acknowledge(lapic)
        set_bit(lapic.isr, 0, 1, 16)
        assert end_of_interrupt(lapic) == vector
        assert registers(lapic) == (0, 1 << 16 if vector != 16 else 0, 1 << vector)


def test_eoi_with_nothing_in_service_does_nothing() -> None:
    for vector in LEGAL:
        lapic = holding(vector)
        assert end_of_interrupt(lapic) == -1
        assert registers(lapic)[:2] == (1 << vector, 0)


def test_a_vector_may_be_requested_and_in_service_at_once_but_not_more() -> None:
    """Once in IRR and once in ISR; a further one merges, and the second is delivered after the EOI."""
    for vector in LEGAL:
        lapic = holding(vector)
        acknowledge(lapic)
        assert accept(lapic, vector, 0) == Accept.ACCEPTED
        assert accept(lapic, vector, 0) == Accept.MERGED
        assert deliverable(lapic) == -1
        end_of_interrupt(lapic)
        assert acknowledge(lapic) == vector


def test_eoi_is_broadcast_for_level_vectors_unless_suppressed() -> None:
    """TMR=1 and SVR bit 12 clear."""
    for vector, level, suppress in product(LEGAL, (0, 1), (0, 1)):
        lapic = LocalApic(0)
        lapic.svr |= SVR_NO_BROADCAST * suppress
        accept(lapic, vector, level)
        assert broadcasts_eoi(lapic, vector) == (level == 1 and suppress == 0)
    assert SVR_NO_BROADCAST == 1 << 12


# ---- errors ----


def test_the_error_status_is_latched_by_a_write_and_accumulates_between() -> None:
    """Reading gives what the last write latched; the write clears what had accumulated."""
    assert (EsrBit.SEND_ILLEGAL, EsrBit.RECEIVE_ILLEGAL, EsrBit.REGISTER_ILLEGAL) == (5, 6, 7)
    lapic = LocalApic(0)
    for bit in (5, 6, 7):
        record_error(lapic, bit)
    assert lapic.esr == 0
    write_esr(lapic)
    assert lapic.esr == 0xE0
    write_esr(lapic)
    assert lapic.esr == 0


def test_the_error_lvt_delivers_once_until_the_status_is_written() -> None:
    """Armed and unmasked it delivers, and is armed again by a write of the status; every legal vector."""
    for vector in LEGAL:
        lapic = LocalApic(0)
        lapic.lvt_error = vector
        record_error(lapic, 7)
        assert acknowledge(lapic) == vector
        end_of_interrupt(lapic)
        record_error(lapic, 7)
        assert deliverable(lapic) == -1
        write_esr(lapic)
        record_error(lapic, 7)
        assert deliverable(lapic) == vector


def test_a_masked_error_lvt_delivers_nothing_and_stays_armed() -> None:
    lapic = LocalApic(0)
    assert lapic.lvt_error == LVT_MASKED == 1 << 16, "the reset value of an LVT entry"
    lapic.lvt_error = LVT_MASKED | 0x61
    record_error(lapic, 7)
    assert registers(lapic)[0] == 0
    assert lapic.esr_armed == 1


def test_software_disable_masks_the_error_lvt() -> None:
    """SVR bit 8 clear forces the mask of every LVT entry."""
    lapic = LocalApic(0)
    lapic.svr, lapic.lvt_error = 0xFF, 0x61
    record_error(lapic, 7)
    assert registers(lapic)[0] == 0


def test_an_illegal_vector_in_the_error_lvt_does_not_feed_itself() -> None:
    """XSA-462: an error LVT that holds 0 to 15 must not make recording an error deliver an error."""
    for vector in range(16):
        lapic = LocalApic(0)
        lapic.lvt_error = vector
        accept(lapic, 3, 0)
        assert registers(lapic)[0] == 0


def test_the_error_vector_is_edge_triggered() -> None:
    """Timer and error LVT are fixed and edge always: TMR of the vector is cleared at its acceptance."""
    for vector in LEGAL:
        lapic = LocalApic(0)
        accept(lapic, vector, 1)
        acknowledge(lapic)
        end_of_interrupt(lapic)
        lapic.lvt_error = vector
        record_error(lapic, 7)
        assert registers(lapic) == (1 << vector, 0, 0)


# ---- against sets of numbers ----


class AgainstSets(RuleBasedStateMachine):
    """Any order of messages, acknowledgements, EOIs and TPR writes, against two Python sets and the manual's words."""

    def __init__(self) -> None:
        super().__init__()
        self.lapic = LocalApic(0)
        self.irr: set[int] = set()
        self.isr: set[int] = set()
        self.tpr = 0

    def ppr_class(self) -> int:
        return max(self.tpr >> 4, max(self.isr, default=0) >> 4)

    @rule(vector=st.integers(0, 255), level=st.integers(0, 1))
    def message(self, vector: int, level: int) -> None:
        expected = Accept.ILLEGAL if vector < 16 else Accept.MERGED if vector in self.irr else Accept.ACCEPTED
        assert accept(self.lapic, vector, level) == expected
        if vector >= 16:
            self.irr.add(vector)

    @rule()
    def dispatch(self) -> None:
        best = max(self.irr, default=0)
        if best >> 4 > self.ppr_class():
            assert acknowledge(self.lapic) == best
            self.irr.remove(best)
            self.isr.add(best)
        else:
            assert acknowledge(self.lapic) == 0xFF

    @rule()
    def eoi(self) -> None:
        best = max(self.isr, default=-1)
        assert end_of_interrupt(self.lapic) == best
        self.isr.discard(best)

    @rule(value=st.integers(0, 255))
    def task_priority(self, value: int) -> None:
        write_tpr(self.lapic, value)
        self.tpr = value

    @invariant()
    def same(self) -> None:
        assert registers(self.lapic)[:2] == (sum(1 << v for v in self.irr), sum(1 << v for v in self.isr))

    @invariant()
    def service_nests_by_class(self) -> None:
        """Of one class at most one vector is ever in service."""
        assert len({v >> 4 for v in self.isr}) == len(self.isr)


TestAgainstSets = AgainstSets.TestCase


@given(bits=st.integers(0, 2**256 - 1))
def test_the_highest_request_wins_in_any_register(bits: int) -> None:
    lapic = LocalApic(0)
    for vector in LEGAL:
        if bits >> vector & 1:
            accept(lapic, vector, 0)
    top = highest(bits >> 16 << 16)
    assert deliverable(lapic) == (top if top else -1)


# ---- Xen's physical vectors ----


def test_xens_map_of_physical_vectors() -> None:
    """The fixed ones as irq-vectors.h numbers them; the two posted-interrupt vectors lie in F1H to F8H and differ."""
    h = HostVector
    assert (h.FIRST_DYNAMIC, h.LAST_DYNAMIC, h.IRQ0, h.FIRST_HIGH, h.LAST_HIGH) == (0x20, 0xEF, 0xF0, 0xF1, 0xF8)
    assert (h.MOVE_CLEANUP, h.HPET_BROADCAST, h.LEGACY_SYSCALL, h.PV_HYPERCALL) == (0x22, 0x30, 0x80, 0x82)
    assert (h.PMU, h.TIMER, h.CALL_FUNCTION, h.EVENT_CHECK) == (0xF9, 0xFA, 0xFB, 0xFC)
    assert (h.INVALIDATE_TLB, h.ERROR, h.SPURIOUS) == (0xFD, 0xFE, 0xFF)
    posted = {h.POSTED_NOTIFICATION, h.POSTED_WAKEUP}
    assert len(posted) == 2 and all(h.FIRST_HIGH <= vector <= h.LAST_HIGH for vector in posted)


def test_xens_own_vectors_outrank_every_device_vector_by_class() -> None:
    """That is Xen's answer to the mail's wish to move its vectors above the guests'."""
    own = [value for name, value in vars(HostVector).items() if name.isupper() and value >= HostVector.IRQ0]
    assert len(own) >= 10
    for device in range(HostVector.FIRST_DYNAMIC, HostVector.LAST_DYNAMIC + 1):
        assert all(value >> 4 > device >> 4 for value in own)
