"""Posted interrupts: the sender's two steps, the processor's steps on arrival, and what their order is for."""

from itertools import combinations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitless.arch.vmx.evaluate import evaluate_pending
from exitless.arch.vmx.posted import (
    PostedDescriptor,
    claim_notification,
    clear_outstanding,
    has_posted,
    pir_bits,
    raise_rvi,
    set_pir,
    take_pir,
)
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from tests.naive import both
from tests.naive.apicv import VIRR, VPPR, VTPR, Descriptor, Processor, software_post

BYTES = range(256)
vectors = st.integers(0, 255)


def arrive(pid: PostedDescriptor, vapic: VirtualApic) -> None:
    """String the rules together as the manual does, steps 3 to 7."""
    clear_outstanding(pid)
    raise_rvi(vapic, take_pir(pid, vapic))
    evaluate_pending(vapic)


def post(pid: PostedDescriptor, vector: int) -> bool:
    """String the sender's rules together: PIR, and only if that was new, ON."""
    return not set_pir(pid, vector) and claim_notification(pid)


def state(pid: PostedDescriptor) -> tuple[int, int, int, int, int]:
    return both.packed(pid.pir), pid.on, pid.sn, pid.nv, pid.ndst


# ---- the descriptor ----


def test_every_vector_has_its_own_pir_bit() -> None:
    for vector in BYTES:
        pid = PostedDescriptor()
        assert not has_posted(pid)
        assert not set_pir(pid, vector)
        assert state(pid) == (1 << vector, 0, 0, 0, 0), "ON is not looked at"
        assert set_pir(pid, vector)
        assert has_posted(pid)
        assert pir_bits(pid, vector // 32 * 32) == 1 << vector % 32
        assert all(pir_bits(pid, low) == 0 for low in range(0, 256, 32) if low != vector // 32 * 32)


@pytest.mark.parametrize(
    "on, sn, claimed, on_after", [(0, 0, True, 1), (1, 0, False, 1), (0, 1, False, 0), (1, 1, False, 1)]
)
def test_claiming_follows_the_table(on: int, sn: int, claimed: bool, on_after: int) -> None:
    """Only with ON and SN both clear does the sender notify; SN leaves ON as it is."""
    pid = PostedDescriptor()
    pid.on, pid.sn, pid.nv, pid.ndst = on, sn, 0xF2, 3
    set_pir(pid, 0x41)
    assert claim_notification(pid) == claimed
    assert state(pid) == (1 << 0x41, on_after, sn, 0xF2, 3)


def test_clearing_on_touches_nothing_else() -> None:
    for on, sn in product((0, 1), repeat=2):
        pid = PostedDescriptor()
        pid.on, pid.sn, pid.nv, pid.ndst = on, sn, 0xF2, 3
        set_pir(pid, 0x41)
        assert clear_outstanding(pid) == (on == 1)
        assert state(pid) == (1 << 0x41, 0, sn, 0xF2, 3)


@given(posts=st.lists(vectors, max_size=8), sn=st.booleans(), on=st.booleans())
def test_posts_agree_with_the_naive_sender(posts: list[int], sn: bool, on: bool) -> None:
    naive = Descriptor()
    naive.sn, naive.on = int(sn), int(on)
    pid = both.descriptor(naive)
    for vector in posts:
        assert post(pid, vector) == software_post(naive, vector)
        assert state(pid)[:3] == (naive.pir, naive.on, naive.sn)


def test_a_second_post_of_a_vector_never_notifies() -> None:
    """Even with ON clear: whoever set the PIR bit is answerable. Another vector does claim."""
    for vector in BYTES:
        pid = PostedDescriptor()
        assert post(pid, vector)
        clear_outstanding(pid)
        assert not post(pid, vector)
        assert pid.on == 0
        assert post(pid, vector ^ 1)


# ---- arrival ----


def test_arrival_moves_every_vector() -> None:
    for vector in BYTES:
        pid, vapic = PostedDescriptor(), VirtualApic()
        post(pid, vector)
        arrive(pid, vapic)
        assert state(pid)[:2] == (0, 0)
        assert both.array(vapic, Reg.VIRR) == 1 << vector
        assert vapic.rvi == vector
        assert vapic.recognized == (vector >= 16)
        assert both.array(vapic, Reg.VTMR) == 0, "posted interrupts are edge-triggered; VTMR stays"


def test_rvi_is_the_maximum_of_itself_and_the_new_bits() -> None:
    """Stale VIRR bits above RVI stay stale; nothing new leaves RVI alone."""
    for rvi, new in product(BYTES, (None, 0, 0x31, 0x80, 0xFE)):
        processor, naive = Processor("VID"), Descriptor()
        processor.set_array(VIRR, 1 << 0xFF | 1 << rvi)
        processor.rvi = rvi
        naive.on, naive.pir = 1, 0 if new is None else 1 << new
        vapic, pid = both.virtual_apic(processor), both.descriptor(naive)
        arrive(pid, vapic)
        processor.posted_interrupt_arrival(naive)
        assert vapic.rvi == max(rvi, new or 0)
        assert both.brief(vapic) == both.naive_brief(processor)


def test_arrival_does_not_virtualize_the_ppr() -> None:
    """VPPR stays what it was, however VTPR has changed in memory meanwhile."""
    for vppr, vtpr in product(range(0, 256, 5), (0, 0xFF)):
        processor, naive = Processor("VID"), Descriptor()
        processor.put(VPPR, vppr)
        processor.put(VTPR, vtpr)
        naive.pir = 1 << 0x85
        vapic, pid = both.virtual_apic(processor), both.descriptor(naive)
        arrive(pid, vapic)
        assert vapic.page[Reg.VPPR] == vppr
        assert vapic.recognized == (8 > vppr // 16)
        processor.posted_interrupt_arrival(naive)
        assert both.brief(vapic) == both.naive_brief(processor)


@given(pir=st.integers(0, 2**256 - 1), virr=st.integers(0, 2**256 - 1), rvi=vectors, vppr=vectors, window=st.booleans())
def test_arrival_agrees_with_the_naive_processor(pir: int, virr: int, rvi: int, vppr: int, window: bool) -> None:
    processor, naive = Processor("VID", *(["INTRWIN"] if window else [])), Descriptor()
    processor.set_array(VIRR, virr)
    processor.rvi = rvi
    processor.put(VPPR, vppr)
    naive.pir, naive.on = pir, 1
    vapic, pid = both.virtual_apic(processor), both.descriptor(naive)
    arrive(pid, vapic)
    processor.posted_interrupt_arrival(naive)
    assert both.brief(vapic) == both.naive_brief(processor)
    assert both.same_page(vapic, processor)
    assert state(pid)[:2] == (naive.pir, naive.on) == (0, 0)


# ---- why the steps have their order ----


def left_behind(sender: str, consumer: str, turns: tuple[int, ...]) -> bool:
    """Interleave one post with one arrival; tell whether a vector stays in PIR and no notification is on its way."""
    pid, vapic = PostedDescriptor(), VirtualApic()
    set_pir(pid, 0x21)
    claim_notification(pid)
    notified = True
    sent = consumed = 0
    fresh = False
    for turn in range(4):
        if turn in turns:
            if sender[sent] == "p":
                fresh = not set_pir(pid, 0x41)
            elif (sent == 0 or fresh) and claim_notification(pid):
                notified = True
            sent += 1
        else:
            if consumed == 0:
                notified = False
            if consumer[consumed] == "c":
                clear_outstanding(pid)
            else:
                raise_rvi(vapic, take_pir(pid, vapic))
            consumed += 1
    return has_posted(pid) and not notified


def test_pir_before_on_and_on_before_pir_lose_nothing() -> None:
    """The sender sets PIR then ON, the consumer clears ON then takes PIR: all six interleavings end well."""
    assert not any(left_behind("po", "ct", turns) for turns in combinations(range(4), 2))


@pytest.mark.parametrize("sender, consumer", [("po", "tc"), ("op", "ct")])
def test_either_order_turned_round_leaves_a_vector_behind(sender: str, consumer: str) -> None:
    assert any(left_behind(sender, consumer, turns) for turns in combinations(range(4), 2))
