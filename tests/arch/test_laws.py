"""The laws of state: each holds and fails where its sentence says so, over all vectors."""

from itertools import product

from exitless.arch import laws
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt
from exitless.arch.vmx.posted import PostedDescriptor, set_pir
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.arch.xen.eoi_stack import EoiStack, push
from exitless.arch.xen.fifo import LINKED, MASKED, PENDING, ControlBlock, EventArray, set_flag, set_ready
from exitless.arch.xen.two_level import SharedInfo, VcpuInfo, guest_mask, set_pending, set_selector
from exitless.bits.words import ON_PAGE, PACKED, set_bit, zeros

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
    numbers = [value for name, value in vars(laws.Law).items() if name.isupper() and value != laws.Law.NONE]
    assert sorted(numbers) == sorted(laws.LAW_NAMES)
    assert len(set(laws.LAW_NAMES.values())) == len(laws.LAW_NAMES)


def test_svi_is_the_highest_vector_in_visr() -> None:
    for vector in LEGAL:
        assert laws.svi_is_highest(vapic(in_service=vector, svi=vector))
        assert not laws.svi_is_highest(vapic(in_service=vector, svi=vector ^ 1))
        assert not laws.svi_is_highest(vapic(in_service=vector))
        assert not laws.svi_is_highest(vapic(svi=vector))
    assert laws.svi_is_highest(vapic())


def test_delivery_keeps_svi_the_highest() -> None:
    for vector in LEGAL:
        v = vapic(requested=vector, rvi=vector)
        deliver_virtual_interrupt(v)
        assert laws.svi_is_highest(v)


def test_rvi_covers_the_class_of_the_highest_request_or_the_window_is_armed() -> None:
    for requested, rvi in product(LEGAL, [0, *LEGAL]):
        v = vapic(requested=requested, rvi=rvi)
        assert laws.rvi_covers(v) == (rvi // 16 >= requested // 16)
        v.window_exiting = 1
        assert laws.rvi_covers(v)


def test_with_sn_clear_what_is_posted_is_outstanding() -> None:
    for vector, sn, on in product(range(256), (0, 1), (0, 1)):
        pid = PostedDescriptor()
        pid.sn, pid.on = sn, on
        assert laws.posted_is_outstanding(pid), "an empty PIR asks for nothing"
        set_pir(pid, vector)
        assert laws.posted_is_outstanding(pid) == (sn == 1 or on == 1)


def test_a_running_vcpu_is_notified_where_it_runs() -> None:
    for sn, ndst, pcpu in product((0, 1), range(4), range(4)):
        pid = PostedDescriptor()
        pid.sn, pid.ndst = sn, ndst
        assert laws.running_is_notified(pid, pcpu) == (sn == 0 and ndst == pcpu)


def test_a_blocked_vcpu_is_woken_by_the_wakeup_vector_and_found_on_a_list() -> None:
    for nv, listed in product(range(256), (False, True)):
        pid = PostedDescriptor()
        pid.nv = nv
        assert laws.blocked_is_woken(pid, 0xF5, listed) == (nv == 0xF5 and listed)


def test_a_sleeper_has_no_request_above_what_is_in_service() -> None:
    """Classes count; a request of the class in service waits rightly, and one of class 0 wakes nobody."""
    for requested, svi in product(range(256), range(0, 256, 3)):
        assert laws.sleeper_has_no_request(vapic(requested=requested, svi=svi)) == (requested // 16 <= svi // 16)


def test_a_pending_port_is_selected_unless_it_is_masked_or_seen_to() -> None:
    """I5, for ports of the first and of another selector bit."""
    for port, selected, masked, seen_to in product((5, 700, 4095), (0, 1), (0, 1), (False, True)):
        shared, info = SharedInfo(), VcpuInfo()
        assert laws.pending_is_selected(shared, info, port, seen_to), "it is not even pending"
        set_pending(shared, port)
        if masked:
            guest_mask(shared, port)
        if selected:
            set_selector(info, port)
        assert laws.pending_is_selected(shared, info, port, seen_to) == bool(selected or masked or seen_to)


def test_a_selector_bit_and_a_ready_queue_come_with_upcall_pending() -> None:
    """I6, for both ABIs."""
    for upcall, seen_to, port, priority in product((0, 1), (False, True), (5, 2047, 2048, 3000), (0, 7, 15)):
        info, block = VcpuInfo(), ControlBlock()
        info.upcall_pending = upcall
        assert laws.selected_is_marked(info, seen_to) and laws.ready_is_marked(block, info, seen_to)
        set_selector(info, port)
        set_ready(block, priority)
        assert (
            laws.selected_is_marked(info, seen_to)
            == laws.ready_is_marked(block, info, seen_to)
            == bool(upcall or seen_to)
        )


def test_a_pending_word_is_linked_unless_it_is_masked_or_seen_to() -> None:
    for linked, masked, seen_to in product((0, 1), (0, 1), (False, True)):
        array = EventArray(4)
        array.pages = 1
        assert laws.pending_is_linked(array, 1, seen_to)
        set_flag(array, 1, PENDING)
        if linked:
            set_flag(array, 1, LINKED)
        if masked:
            set_flag(array, 1, MASKED)
        assert laws.pending_is_linked(array, 1, seen_to) == bool(linked or masked or seen_to)


def test_the_pending_eoi_stack_increases_and_is_in_service() -> None:
    """I8."""
    stack, isr = EoiStack(), zeros(8)
    for vector in (0x31, 0x58):
        push(stack, vector, vector)
        assert not laws.stack_is_in_service(stack, isr)
        set_bit(isr, 0, PACKED, vector)
        assert laws.stack_is_in_service(stack, isr)
    stack.vector[0] = 0x58
    assert not laws.stack_is_in_service(stack, isr)


def test_what_is_in_service_for_a_guest_is_on_the_stack() -> None:
    """The other half of I8: over all pairs of vectors, each in service or not, held for a guest or not."""
    for low, high in ((0x31, 0x58), (0x20, 0xEF), (0x5F, 0x60), (0x1F, 0x20)):
        for serves, holds, pushes in product(range(4), range(4), range(4)):
            stack, isr, held = EoiStack(), zeros(8), zeros(8)
            for n, vector in enumerate((low, high)):
                if serves >> n & 1:
                    set_bit(isr, 0, PACKED, vector)
                if holds >> n & 1:
                    set_bit(held, 0, PACKED, vector)
                if pushes >> n & 1:
                    push(stack, vector, vector)
            waiting = serves & holds
            assert laws.stack_is_whole(stack, isr, held) == (waiting.bit_count() == pushes.bit_count())
            if pushes & ~waiting == 0 and pushes & ~serves == 0:
                assert (laws.stack_is_whole(stack, isr, held) and laws.stack_is_in_service(stack, isr)) == (
                    pushes == waiting
                )


def test_a_pending_upcall_keeps_from_sleeping() -> None:
    """I7: only a mask, or somebody under way, lets a vCPU be blocked over it."""
    for pending, mask, blocked, seen_to in product((0, 1), (0, 1), (0, 1), (False, True)):
        info = VcpuInfo()
        info.upcall_pending, info.upcall_mask = pending, mask
        lost = bool(pending and not mask and blocked and not seen_to)
        assert laws.pending_is_not_blocked(info, blocked, seen_to) != lost


def test_every_interrupt_taken_is_raised_merged_or_on_its_way() -> None:
    """I9, as a count: one too few or too many is told, whichever it is."""
    for taken, raised, merged, waiting in product(range(5), repeat=4):
        assert laws.interrupt_is_raised(taken, raised, merged, waiting) == (taken - raised - merged - waiting == 0)
