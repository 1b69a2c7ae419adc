"""The pending-EOI stack: who is held, that only the top can be ended, and that what became ready below it follows."""

from itertools import permutations

import pytest

from exitless.arch.xen.eoi_stack import EoiStack, flush_one, hold, set_ready
from exitless.arch.xen.pirq import AckType


@pytest.mark.parametrize("ack", [AckType.NONE, AckType.UNMASK])
def test_only_type_eoi_is_held(ack: int) -> None:
    """A maskable MSI, or a pin that is masked meanwhile, gets its EOI in do_IRQ."""
    stack = EoiStack()
    assert not hold(stack, 1, 0x68, ack)
    assert flush_one(stack) == -1
    assert hold(stack, 1, 0x68, AckType.EOI)
    assert list(stack.vectors) == [0x68]


def test_nothing_is_ended_before_its_guest_has() -> None:
    stack = EoiStack()
    hold(stack, 1, 0x68, AckType.EOI)
    assert flush_one(stack) == -1
    assert set_ready(stack, 1)
    assert flush_one(stack) == 0x68
    assert flush_one(stack) == -1


def test_an_interrupt_that_this_pcpu_does_not_hold_is_not_found() -> None:
    stack = EoiStack()
    hold(stack, 1, 0x68, AckType.EOI)
    assert not set_ready(stack, 2)
    assert flush_one(stack) == -1


@pytest.mark.parametrize("order", list(permutations([0, 1, 2])))
def test_whatever_the_order_of_the_guests_the_local_apic_sees_the_highest_first(order: tuple[int, ...]) -> None:
    """A local APIC's EOI retires the highest vector in service, so ready entries wait for those above them."""
    stack = EoiStack()
    vectors = [0x38, 0x58, 0x78]
    for irq, vector in enumerate(vectors):
        hold(stack, irq, vector, AckType.EOI)
    ready: set[int] = set()
    ended: list[int] = []
    for irq in order:
        assert set_ready(stack, irq)
        ready.add(irq)
        vector = flush_one(stack)
        while vector >= 0:
            ended.append(vector)
            vector = flush_one(stack)
        top = 3 - len(ended) - 1
        assert top < 0 or top not in ready, "flushing stops only at one whose guest owes an EOI"
    assert ended == sorted(vectors, reverse=True)
