"""Facts about Xen that a naive model gets wrong, as far as single rules decide them.

The docstring of each test states its fact. What needs more than single rules is held elsewhere:

1, the scheduler's part     tests/sim: test_the_scheduler_decides_who_goes_on
7, FIFO queues              tests/arch: test_ready_is_set_for_a_new_head_only, with the FIFO rules
6, FIFO unmask              tests/arch: test_fifo_unmask_leaves_masked_set_when_pending, with the FIFO rules
12                          tests/sim: test_dpci_work_may_run_on_the_next_vcpus_account
13                          tests/sim: test_the_first_interrupt_after_a_move_hits_the_old_pcpu,
                            test_an_idle_switch_runs_no_posting_hooks
15                          tests/sim: test_direct_vectors_are_no_device_interrupts,
                            test_a_window_is_recorded_when_it_is_armed
"""

from itertools import product

import pytest

from exitless.arch.outcome import Blocked, Boundary, Raise, Source
from exitless.arch.vmx.boundary import arbitrate
from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.eoi import eoi_virtualization, set_eoi_exit
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt, evaluate_pending
from exitless.arch.vmx.injection import GuestState, inject_at_entry
from exitless.arch.vmx.posted import PostedDescriptor, claim_notification, clear_outstanding, has_posted, set_pir
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.arch.xen import callback, pirq, two_level
from exitless.arch.xen.callback import Callback
from exitless.arch.xen.pirq import AckType, Eoi, Physdev, PirqGuest
from exitless.arch.xen.two_level import SharedInfo, VcpuInfo
from exitless.bits.words import ON_PAGE, set_bit
from exitless.vocab.exits import Exit

VECTORS = range(16, 256)


def requested(vector: int) -> VirtualApic:
    """Return a virtual APIC with one vector requested, RVI loaded."""
    vapic = VirtualApic()
    set_bit(vapic.page, Reg.VIRR, ON_PAGE, vector)
    vapic.rvi = vector
    return vapic


def open_guest() -> GuestState:
    """Return a guest that takes interrupts."""
    state = GuestState()
    state.interrupt_flag = 1
    return state


def contents(vapic: VirtualApic) -> list[int]:
    """Return everything a virtual APIC holds."""
    return [*vapic.page, *vapic.eoi_exit, vapic.rvi, vapic.svi, vapic.recognized, vapic.window_exiting]


def test_fact_01_guest_vectors_are_not_compared_with_host_vectors() -> None:
    """A physical interrupt exits whatever the guest has in service or holds back; its vector is not even asked for."""
    for vector in VECTORS:
        vapic = VirtualApic()
        vapic.svi = vector
        vapic.page[Reg.VTPR] = 0xF0
        vapic.page[Reg.VPPR] = 0xF0
        assert arbitrate(vapic, open_guest(), Controls(), True) == Boundary.EXTERNAL_INTERRUPT
        assert arbitrate(vapic, GuestState(), Controls(), True) == Boundary.EXTERNAL_INTERRUPT


def test_fact_02_the_global_callback_vector_beats_the_local_apic() -> None:
    """It goes before every LAPIC vector, ignores TPR and PPR, and touches neither ISR nor anything an EOI would end."""
    for vector in VECTORS:
        assert callback.pending_source(0, 0, Callback.VECTOR, 1, 0, vector) == Source.VECTOR
        assert callback.interrupt_blocked(Source.VECTOR, 1, 0, 0, 15, 0x10) == Blocked.NONE
    vapic = requested(0xE1)
    vapic.page[Reg.VTPR] = 0xF0
    before = contents(vapic)
    state = open_guest()
    state.entry_vector = 0xF3
    assert inject_at_entry(state) == 0xF3
    assert contents(vapic) == before


def test_fact_03_the_window_tax() -> None:
    """After an injection Xen asks again, still sees upcall_pending, and arms a window, with and without APICv."""
    info = VcpuInfo()
    two_level.mark_events_pending(info)
    for vid in (0, 1):
        first = callback.pending_source(0, 0, Callback.VECTOR, info.upcall_pending, 0, 0)
        assert callback.assist_blocked(vid, first, Blocked.NONE, 0) == callback.ASSIST_PROCEED
        again = callback.pending_source(0, 0, Callback.VECTOR, info.upcall_pending, 0, 0)
        assert again == first == Source.VECTOR
        assert callback.window_after_injection(vid, again)


def test_fact_03_an_armed_window_suppresses_virtual_delivery() -> None:
    """While the window is armed nothing is recognized, whatever RVI is, and the first open boundary is the window's."""
    for vector in VECTORS:
        vapic = requested(vector)
        vapic.window_exiting = 1
        evaluate_pending(vapic)
        assert vapic.recognized == 0
        assert arbitrate(vapic, open_guest(), Controls(), False) == Boundary.WINDOW_EXIT
        assert arbitrate(vapic, GuestState(), Controls(), False) == Boundary.NOTHING
        vapic.window_exiting = 0
        evaluate_pending(vapic)
        assert arbitrate(vapic, open_guest(), Controls(), False) == Boundary.VIRTUAL_INTERRUPT


def test_fact_04_a_raise_with_interrupts_off_goes_through_a_tasklet_and_is_visible_before_it() -> None:
    """VIRQs and PIRQs raised in do_IRQ: upcall_pending stands, so an entry may deliver before the tasklet has run."""
    shared, info = SharedInfo(), VcpuInfo()
    assert two_level.raise_port(shared, info, 5) == Raise.DELIVERED
    assert not two_level.mark_events_pending(info)
    for style in (Callback.VECTOR, Callback.UPCALL_VECTOR, Callback.GSI):
        assert callback.assert_callback(1, style, 0, 0) == callback.ASSERT_TASKLET
    assert callback.pending_source(0, 0, Callback.VECTOR, info.upcall_pending, 0, 0) == Source.VECTOR


def test_fact_05_bits_already_set_end_the_send() -> None:
    """Pending, upcall_pending and PIR: whoever finds the bit set tells nobody."""
    shared, info = SharedInfo(), VcpuInfo()
    two_level.raise_port(shared, info, 9)
    info.selector[0] = 0
    assert two_level.raise_port(shared, info, 9) == Raise.ALREADY_PENDING
    assert info.selector[0] == 0
    two_level.mark_events_pending(info)
    assert two_level.mark_events_pending(info)
    for vector in VECTORS:
        pid = PostedDescriptor()
        assert not set_pir(pid, vector)
        assert set_pir(pid, vector)
        assert pid.on == 0, "the second post ends before it looks at ON"


def test_fact_06_the_unmask_hypercall_works_on_masked_ports_only() -> None:
    """On a port that is pending and unmasked it does nothing at all."""
    shared, info = SharedInfo(), VcpuInfo()
    two_level.set_pending(shared, 9)
    assert two_level.hypercall_unmask(shared, info, 9) == two_level.NONE
    assert (info.selector[0], info.upcall_pending) == (0, 0)


def test_fact_08_a_post_under_sn_leaves_pir_without_on() -> None:
    """SN stops the claim, so ON stays clear; and a consumer that finds ON clear does not look at PIR."""
    for vector in VECTORS:
        pid = PostedDescriptor()
        pid.sn = 1
        assert not set_pir(pid, vector)
        assert not claim_notification(pid)
        assert has_posted(pid)
        pid.sn = 0
        assert not clear_outstanding(pid), "so the merge that depends on ON passes it by"
        assert has_posted(pid)
        assert set_pir(pid, vector), "and the same vector posted again ends at its PIR bit"


def test_fact_09_rvi_is_written_in_the_lapic_branch_only() -> None:
    """With APICv a LAPIC vector behind a valid injection field, or another source, gets neither RVI nor window."""
    for blocked in range(5):
        assert callback.assist_blocked(1, Source.LAPIC, blocked, 1) == callback.ASSIST_OUT
    assert not callback.window_after_injection(1, Source.LAPIC)
    assert callback.window_after_injection(0, Source.LAPIC), "without APICv a window is armed"


def test_fact_09_nothing_but_the_evaluating_actions_recognizes() -> None:
    """A higher RVI or a lower VPPR changes nothing by itself."""
    for vector in VECTORS:
        vapic = requested(vector)
        vapic.page[Reg.VPPR] = 0
        assert vapic.recognized == 0
        assert arbitrate(vapic, open_guest(), Controls(), False) == Boundary.NOTHING
        evaluate_pending(vapic)
        assert arbitrate(vapic, open_guest(), Controls(), False) == Boundary.VIRTUAL_INTERRUPT


@pytest.mark.parametrize("exits", [False, True])
def test_fact_10_the_eoi_exit_bitmap_lists_no_vectors_that_may_be_taken(exits: bool) -> None:
    """Delivery is the same with and without the bit; only the EOI differs."""
    for vector in VECTORS:
        vapic = requested(vector)
        set_eoi_exit(vapic, vector, exits)
        evaluate_pending(vapic)
        assert vapic.recognized == 1
        assert deliver_virtual_interrupt(vapic) == vector
        assert eoi_virtualization(vapic) == (Exit.EOI_INDUCED if exits else Exit.NONE)


def test_fact_11_maskable_msis_are_ended_before_the_guest_runs() -> None:
    """Only type EOI keeps the local APIC's priority until a guest, or the timer, ends it."""
    kinds = list(product((0, 1), repeat=4))
    held = {kind for kind in kinds if not pirq.eoi_before_guest(pirq.ack_type(*kind))}
    unmaskable = {kind for kind in kinds if kind[0] and not kind[1]}
    level_with_new_ack = {kind for kind in kinds if not kind[0] and kind[2] and kind[3]}
    assert held == unmaskable | level_with_new_ack
    assert all(pirq.arms_forced_eoi(pirq.ack_type(*kind)) for kind in held), "the timer bounds how long"
    bound = PirqGuest(AckType.EOI, 1)
    pirq.mark_in_flight(bound, 0)
    assert pirq.forced_eoi(bound, 0) == Eoi.READY


def test_fact_14_every_pirq_event_costs_a_hypercall_that_is_mostly_useless() -> None:
    """An HVM guest has no shared EOI bitmap, always hears "needs EOI", and for a maskable MSI its EOI does nothing."""
    for has_pirqs in (0, 1):
        assert not pirq.is_allowed_to_hvm(Physdev.PIRQ_EOI_GMFN_V1, has_pirqs)
        assert not pirq.is_allowed_to_hvm(Physdev.PIRQ_EOI_GMFN_V2, has_pirqs)
    assert pirq.irq_status(0) & pirq.NEEDS_EOI
    bound = PirqGuest(pirq.ack_type(1, 1, 0, 0), 1)
    pirq.mark_in_flight(bound, 0)
    assert pirq.guest_eoi(bound, 0) == Eoi.NOTHING
