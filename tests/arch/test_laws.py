"""The laws of state: each holds and fails where its sentence says so, over all vectors."""

from itertools import product

from exitless.arch.laws import (
    LAW_NAMES,
    Law,
    blocked_is_woken,
    posted_is_outstanding,
    running_is_notified,
    rvi_covers,
    sleeper_has_no_request,
    svi_is_highest,
)
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt
from exitless.arch.vmx.posted import PostedDescriptor, set_pir
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import ON_PAGE, set_bit

LEGAL = range(16, 256)


def vapic(requested: int = 0, in_service: int = 0, rvi: int = 0, svi: int = 0) -> VirtualApic:
    out = VirtualApic()
    if requested:
        set_bit(out.page, Reg.VIRR, ON_PAGE, requested)
    if in_service:
        set_bit(out.page, Reg.VISR, ON_PAGE, in_service)
    out.rvi, out.svi = rvi, svi
    return out


def test_every_law_has_a_number_and_a_sentence() -> None:
    numbers = [value for name, value in vars(Law).items() if name.isupper() and value != Law.NONE]
    assert sorted(numbers) == sorted(LAW_NAMES)
    assert len(set(LAW_NAMES.values())) == len(LAW_NAMES)


def test_svi_is_the_highest_vector_in_visr() -> None:
    for vector in LEGAL:
        assert svi_is_highest(vapic(in_service=vector, svi=vector))
        assert not svi_is_highest(vapic(in_service=vector, svi=vector ^ 1))
        assert not svi_is_highest(vapic(in_service=vector))
        assert not svi_is_highest(vapic(svi=vector))
    assert svi_is_highest(vapic())


def test_delivery_keeps_svi_the_highest() -> None:
    for vector in LEGAL:
        v = vapic(requested=vector, rvi=vector)
        deliver_virtual_interrupt(v)
        assert svi_is_highest(v)


def test_rvi_covers_the_class_of_the_highest_request_or_the_window_is_armed() -> None:
    for requested, rvi in product(LEGAL, [0, *LEGAL]):
        v = vapic(requested=requested, rvi=rvi)
        assert rvi_covers(v) == (rvi // 16 >= requested // 16)
        v.window_exiting = 1
        assert rvi_covers(v)


def test_with_sn_clear_what_is_posted_is_outstanding() -> None:
    for vector, sn, on in product(range(256), (0, 1), (0, 1)):
        pid = PostedDescriptor()
        pid.sn, pid.on = sn, on
        assert posted_is_outstanding(pid), "an empty PIR asks for nothing"
        set_pir(pid, vector)
        assert posted_is_outstanding(pid) == (sn == 1 or on == 1)


def test_a_running_vcpu_is_notified_where_it_runs() -> None:
    for sn, ndst, pcpu in product((0, 1), range(4), range(4)):
        pid = PostedDescriptor()
        pid.sn, pid.ndst = sn, ndst
        assert running_is_notified(pid, pcpu) == (sn == 0 and ndst == pcpu)


def test_a_blocked_vcpu_is_woken_by_the_wakeup_vector_and_found_on_a_list() -> None:
    for nv, listed in product(range(256), (False, True)):
        pid = PostedDescriptor()
        pid.nv = nv
        assert blocked_is_woken(pid, 0xF5, listed) == (nv == 0xF5 and listed)


def test_a_sleeper_has_no_request_above_what_is_in_service() -> None:
    """Classes count; a request of the class in service waits rightly, and one of class 0 wakes nobody."""
    for requested, svi in product(range(256), range(0, 256, 3)):
        assert sleeper_has_no_request(vapic(requested=requested, svi=svi)) == (requested // 16 <= svi // 16)
