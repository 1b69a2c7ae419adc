"""The pending-EOI stack against a local APIC that ends the highest vector in service; the rate limit; invariant I8."""

from itertools import permutations

import pytest

from exitless.arch.xen import eoi_stack
from exitless.arch.xen.eoi_stack import End, EoiStack, Rate
from exitless.bits.words import PACKED, clear_bit, highest_bit, set_bit, zeros

MS = 1_000_000_000
VECTORS = (0x31, 0x48, 0x58, 0x60)


def stacked(*vectors: int) -> EoiStack:
    """Return a stack with these vectors, whose irqs are their numbers."""
    stack = EoiStack()
    for vector in vectors:
        assert eoi_stack.push(stack, vector, vector)
    return stack


def test_vectors_increase_from_the_bottom_to_the_top() -> None:
    stack = stacked(*VECTORS)
    assert eoi_stack.is_increasing(stack)
    for vector in (0x60, 0x20):
        assert not eoi_stack.push(stack, 1, vector), "a local APIC does not deliver what is not above all in service"
    assert stack.depth == 4


@pytest.mark.parametrize("order", list(permutations(VECTORS)))
def test_whatever_the_order_of_the_guests_the_local_apic_ends_the_vector_that_is_meant(order: tuple[int, ...]) -> None:
    """An EOI ends the highest bit of the ISR: it must be the one taken off the stack, each time."""
    stack = stacked(*VECTORS)
    isr = zeros(8)
    for vector in VECTORS:
        set_bit(isr, 0, PACKED, vector)
    for irq in order:
        assert eoi_stack.mark_ready(stack, irq)
        while (vector := eoi_stack.pop_ready(stack)) >= 0:
            assert vector == highest_bit(isr, 0, PACKED)
            clear_bit(isr, 0, PACKED, vector)
        assert eoi_stack.is_increasing(stack) and eoi_stack.is_in_service(stack, isr)
    assert stack.depth == 0 and highest_bit(isr, 0, PACKED) == 0


def test_only_the_top_is_ended() -> None:
    stack = stacked(0x31, 0x48)
    eoi_stack.mark_ready(stack, 0x31)
    assert eoi_stack.pop_ready(stack) == -1, "0x31 is ready, but an EOI would end 0x48"
    eoi_stack.mark_ready(stack, 0x48)
    assert [eoi_stack.pop_ready(stack), eoi_stack.pop_ready(stack), eoi_stack.pop_ready(stack)] == [0x48, 0x31, -1]


def test_an_entry_is_marked_once_and_only_if_it_is_there() -> None:
    stack = stacked(0x31)
    assert not eoi_stack.mark_ready(stack, 0x48)
    assert eoi_stack.mark_ready(stack, 0x31)
    assert not eoi_stack.mark_ready(stack, 0x31)


def test_a_stack_holds_what_is_not_ready() -> None:
    """desc_guest_eoi: of the pCPUs in an action's map those are told whose entry nobody has marked yet."""
    assert not eoi_stack.holds(EoiStack(), 0), "an empty stack holds not even irq 0"
    stack = stacked(0x31, 0x48, 0x58)
    asked = (0x31, 0x48, 0x58, 0x60)
    assert [eoi_stack.holds(stack, irq) for irq in asked] == [True, True, True, False]
    eoi_stack.mark_ready(stack, 0x48)
    assert [eoi_stack.holds(stack, irq) for irq in asked] == [True, False, True, False]
    eoi_stack.mark_ready(stack, 0x58)
    eoi_stack.pop_ready(stack)
    assert [eoi_stack.holds(stack, irq) for irq in asked] == [True, False, False, False]


def test_an_interrupt_of_xens_own_waits_below_higher_entries() -> None:
    """Before Xen 5655ce8b1e its EOI ended the vector of a guest's device in place of its own."""
    stack = stacked(0x31, 0x58)
    assert eoi_stack.end_internal(stack, 9, 0x60) == End.NOW, "it is the highest in service"
    assert eoi_stack.end_internal(stack, 9, 0x48) == End.WAITS
    assert [stack.vector[i] for i in range(stack.depth)] == [0x31, 0x48, 0x58]
    assert [stack.ready[i] for i in range(stack.depth)] == [0, 1, 0]
    assert eoi_stack.pop_ready(stack) == -1
    eoi_stack.mark_ready(stack, 0x58)
    assert [eoi_stack.pop_ready(stack), eoi_stack.pop_ready(stack), eoi_stack.pop_ready(stack)] == [0x58, 0x48, -1]


def test_what_a_guest_holds_back_is_a_class_of_device_vectors() -> None:
    """And never class F, which is Xen's own."""
    assert eoi_stack.held_class(EoiStack()) == 0
    assert eoi_stack.held_class(stacked(0x31, 0x58)) == 5
    assert eoi_stack.held_class(stacked(0xEF)) == 14


def test_an_entry_whose_vector_is_not_in_service_is_found() -> None:
    isr = zeros(8)
    set_bit(isr, 0, PACKED, 0x31)
    assert eoi_stack.is_in_service(stacked(0x31), isr)
    assert not eoi_stack.is_in_service(stacked(0x31, 0x48), isr)
    stack = stacked(0x31, 0x48)
    stack.vector[0] = 0x58
    assert not eoi_stack.is_increasing(stack)


def test_more_than_ten_thousand_in_ten_milliseconds_switch_a_source_off() -> None:
    rate = Rate()
    told = [eoi_stack.exceeds_rate(rate, n * 1_000_000, eoi_stack.RATE_LIMIT) for n in range(10_000)]
    assert not any(told), "ten thousand, one a microsecond, are allowed"
    assert eoi_stack.exceeds_rate(rate, 10 * MS - 1, eoi_stack.RATE_LIMIT)


def test_a_new_quantum_counts_anew() -> None:
    rate = Rate()
    for n in range(3):
        assert eoi_stack.exceeds_rate(rate, n, 2) == (n == 2)
    assert not eoi_stack.exceeds_rate(rate, 10 * MS, 2)
    assert rate.count == 1 and rate.since_ps == 10 * MS
    assert not any(eoi_stack.exceeds_rate(Rate(), n, 0) for n in range(50)), "0 is no limit"


def test_forced_after_one_millisecond() -> None:
    assert eoi_stack.forced_at(5 * MS) == 6 * MS
