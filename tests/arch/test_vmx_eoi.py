"""EOI virtualization: SVI names the vector that ends, VISR the next one, and the bitmap decides exit or evaluation."""

from itertools import product

import pytest

from exitless.arch.vmx.eoi import eoi_virtualization, set_eoi_exit, software_eoi
from exitless.arch.vmx.evaluate import evaluate_pending
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.vocab.exits import Exit
from tests.naive import both
from tests.naive.apicv import VIRR, VISR, VPPR, VTPR, Processor, highest

BYTES = range(256)


def compare(processor: Processor) -> tuple[int, VirtualApic]:
    """Carry out an EOI on both; they must agree in answer, qualification and every byte."""
    vapic = both.virtual_apic(processor)
    vector = vapic.svi
    answer = eoi_virtualization(vapic)
    outcome, qualification = both.qualified(processor.eoi_virtualization)
    assert both.answered(answer) == outcome
    if answer == Exit.EOI_INDUCED:
        assert qualification == vector, "the caller reads SVI before the call"
    assert both.brief(vapic) == both.naive_brief(processor)
    assert both.same_page(vapic, processor)
    return answer, vapic


@pytest.mark.parametrize("exits", [0, 1])
def test_eoi_of_every_vector_in_service(exits: int) -> None:
    for vector in BYTES:
        processor = Processor("VID")
        processor.set_array(VISR, 1 << vector)
        processor.svi = vector
        processor.put(VTPR, 0x23)
        processor.eoi_exit_bitmap = exits << vector
        answer, vapic = compare(processor)
        assert answer == (Exit.EOI_INDUCED if exits else Exit.NONE)
        assert (vapic.svi, vapic.page[Reg.VPPR]) == (0, 0x23)


def test_the_bit_of_no_other_vector_decides_the_exit() -> None:
    for vector in BYTES:
        processor = Processor("VID")
        processor.set_array(VISR, 1 << vector)
        processor.svi = vector
        processor.eoi_exit_bitmap = ((1 << 256) - 1) ^ 1 << vector
        answer, _ = compare(processor)
        assert answer == Exit.NONE


def test_svi_falls_to_the_next_in_service_for_every_pair() -> None:
    """It is recomputed from VISR, and VPPR follows it."""
    vapic = VirtualApic()
    for upper in BYTES:
        for lower in range(0, upper, 5):
            for vector in (upper, lower):
                word = Reg.VISR + 4 * (vector >> 5)
                vapic.page[word] = vapic.page[word] | 1 << (vector & 31)
            vapic.svi = upper
            assert eoi_virtualization(vapic) == Exit.NONE
            assert vapic.svi == lower
            assert vapic.page[Reg.VPPR] == lower // 16 * 16
            eoi_virtualization(vapic)
            assert (vapic.svi, both.array(vapic, Reg.VISR)) == (0, 0)


def test_it_is_svi_that_ends_even_when_visr_holds_a_higher_vector() -> None:
    """Software can make SVI and VISR disagree; the processor believes SVI, then VISR."""
    for svi, stale in product(range(0, 256, 3), range(0, 256, 7)):
        processor = Processor("VID")
        processor.set_array(VISR, 1 << svi | 1 << stale)
        processor.svi = svi
        _, vapic = compare(processor)
        assert vapic.svi == (stale if stale != svi else 0)


@pytest.mark.parametrize("bitmap", [0, 1, 0xFFFFFFFF00000000])
def test_eoi_with_nothing_in_service(bitmap: int) -> None:
    """SVI is 0, so bit 0 of the EOI-exit bitmap decides, and PPR virtualization runs all the same."""
    processor = Processor("VID")
    processor.put(VTPR, 0x30)
    processor.put(VPPR, 0x90)
    processor.rvi = 0x41
    processor.eoi_exit_bitmap = bitmap
    answer, vapic = compare(processor)
    assert answer == (Exit.EOI_INDUCED if bitmap & 1 else Exit.NONE)
    assert vapic.page[Reg.VPPR] == 0x30
    assert vapic.recognized == (0 if bitmap & 1 else 1)


def test_an_exit_skips_evaluation_and_the_other_way_evaluates() -> None:
    """For every vector that waits behind one of the class above."""
    for waiting in range(16, 240):
        ending = waiting // 16 * 16 + 16
        for exits in (0, 1):
            processor = Processor("VID")
            processor.set_array(VISR, 1 << ending)
            processor.set_array(VIRR, 1 << waiting)
            processor.svi, processor.rvi = ending, waiting
            processor.put(VPPR, ending)
            processor.eoi_exit_bitmap = exits << ending
            _, vapic = compare(processor)
            assert vapic.recognized == 1 - exits
            evaluate_pending(vapic)
            assert vapic.recognized == 1, "the next entry evaluates"


def test_the_veoi_field_is_cleared_and_the_trigger_mode_left() -> None:
    vapic = VirtualApic()
    vapic.page[Reg.VEOI] = 0x12345678
    vapic.page[Reg.VTMR] = 0xFFFFFFFF
    eoi_virtualization(vapic)
    assert (vapic.page[Reg.VEOI], vapic.page[Reg.VTMR]) == (0, 0xFFFFFFFF)


def test_eoi_exit_bits_are_one_a_vector_and_tell_of_changes() -> None:
    vapic = VirtualApic()
    for vector in BYTES:
        assert not set_eoi_exit(vapic, vector, False)
        assert set_eoi_exit(vapic, vector, True)
        assert both.packed(vapic.eoi_exit) == 1 << vector
        assert not set_eoi_exit(vapic, vector, True)
        assert set_eoi_exit(vapic, vector, False)
        assert both.packed(vapic.eoi_exit) == 0


def test_software_eoi_ends_the_highest_and_svi_follows() -> None:
    """After any EOI SVI is the highest vector still in service: otherwise nothing lower is ever delivered again."""
    for upper in range(16, 256):
        for lower in (0, *range(16, upper, 11)):
            processor = Processor("VID")
            processor.set_array(VISR, 1 << upper | (1 << lower if lower else 0))
            processor.svi = upper
            vapic = both.virtual_apic(processor)
            assert software_eoi(vapic) == upper
            assert vapic.svi == lower == highest(both.array(vapic, Reg.VISR))
            assert vapic.page[Reg.VPPR] == lower // 16 * 16
    assert software_eoi(VirtualApic()) == -1
