"""Facts about Xen that a naive model gets wrong, as far as single rules decide them.

The docstring of each test states its fact. What a whole run shows of them is in tests/sim and, for 5 to 9 and 13 in
every order of steps, in the worlds of the checker (docs/candidates.md).
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
from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.xen import callback, credit, dpci, fifo, fifo_guest, passthrough, pirq, two_level, vectors
from exitless.arch.xen.callback import Callback
from exitless.arch.xen.fifo import ControlBlock, EventArray, Queued
from exitless.arch.xen.pirq import AckType, Eoi, Physdev, PirqGuest
from exitless.arch.xen.two_level import SharedInfo, VcpuInfo
from exitless.arch.xen.vectors import HostIrq, VectorTable
from exitless.bits.words import ON_PAGE, set_bit
from exitless.check.catalog import make
from exitless.check.worlds.posting import NOTIFICATION, WAKEUP
from exitless.mech.procedures.assist import Assist, intr_assist, set_irq
from exitless.mech.procedures.block import Block, Resume, xen_block, xen_resume
from exitless.mech.procedures.procedure import Verb
from exitless.mech.vcpu import VirtualCpu
from exitless.mech.virtual import Virtual
from exitless.sim.state import Softirq
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


def test_fact_01_the_scheduler_decides_who_goes_on() -> None:
    """dom0 wakes where a guest runs: priorities of the scheduler are compared, and no vector is among what is asked."""
    woken = credit.woken_priority(credit.Priority.UNDER, 0, 0)
    assert credit.tickle(woken, credit.Priority.UNDER, 0, 0, 0) == credit.Tickle.OWN
    assert credit.tickle(credit.Priority.OVER, credit.Priority.UNDER, 0, 0, 0) == credit.Tickle.NOBODY
    assert credit.is_kept_by_ratelimit(1, credit.RATELIMIT_PS, 1, 0), "and even a boosted vCPU waits for the rate limit"


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


def queues() -> tuple[EventArray, list[ControlBlock]]:
    """Return event words for small ports, and the control blocks of two vCPUs."""
    array, blocks = EventArray(64), [ControlBlock(), ControlBlock()]
    array.pages = 1
    for block in blocks:
        block.mapped = 1
    return array, blocks


def test_fact_06_newer_linux_leaves_masked_set_when_pending() -> None:
    """Only Xen clears it then, in the hypercall; older Linux clears it first."""
    for leaves, masked in ((1, True), (0, False)):
        array, _ = queues()
        fifo.set_flag(array, 9, fifo.PENDING)
        fifo_guest.guest_mask(array, 9)
        assert fifo_guest.guest_unmask(array, 9, leaves) == fifo_guest.Unmask.HYPERCALL
        assert fifo.is_set(array, 9, fifo.MASKED) == masked


def test_fact_07_ready_is_set_for_a_new_head_only() -> None:
    """What is appended is found by its link; a READY for it would let the guest read a stale head."""
    array, blocks = queues()
    assert fifo.raise_port(array, blocks, 5, 0) == Queued.DELIVERED
    blocks[0].ready = 0
    assert fifo.raise_port(array, blocks, 6, 0) == Queued.APPENDED
    assert blocks[0].ready == 0


@pytest.mark.parametrize("priority, vcpu", [(3, 0), (7, 1), (0, 1)])
def test_fact_07_a_linked_event_changes_its_queue_at_the_next_raise_only(priority: int, vcpu: int) -> None:
    """set_priority and bind_vcpu leave it where it is linked."""
    array, blocks = queues()
    fifo.raise_port(array, blocks, 5, 0)
    fifo.set_priority(array, 5, priority)
    assert fifo.raise_port(array, blocks, 5, vcpu) == Queued.ALREADY_PENDING
    assert (blocks[0].head[7], blocks[vcpu].head[priority]) == (5, 0)
    fifo_guest.guest_unlink(array, 5)
    fifo.clear_pending(array, 5)
    assert fifo.raise_port(array, blocks, 5, vcpu) == Queued.DELIVERED
    assert blocks[vcpu].head[priority] == 5


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


def test_fact_10_an_edge_eoi_never_exits_so_an_unmaskable_msi_waits_for_the_timer() -> None:
    """Candidate C4: the guest's EOI is virtualized, nobody tells desc_guest_eoi, and 1 ms later the timer ends it."""
    vcpu = VirtualCpu(0)
    vcpu.has_vid = 1
    for vector in VECTORS:
        set_eoi_exit(vcpu.vapic, vector, True)
        set_irq(vcpu, Virtual(), vector, 0)
        vcpu.vapic.rvi = vector
        evaluate_pending(vcpu.vapic)
        assert deliver_virtual_interrupt(vcpu.vapic) == vector
        assert eoi_virtualization(vcpu.vapic) == Exit.NONE
    bound = PirqGuest(pirq.ack_type(1, 0, 0, 0), 1)
    pirq.mark_in_flight(bound, 0)
    assert not pirq.eoi_before_guest(bound.ack) and pirq.arms_forced_eoi(bound.ack)
    assert (bound.in_flight, pirq.forced_eoi(bound, 0)) == (1, Eoi.READY)


def test_fact_10_the_periodic_timer_marks_the_vector_that_is_injected() -> None:
    """Not its own: where another vector hides the tick, that one's EOI exits."""
    vcpu = VirtualCpu(0)
    vcpu.has_vid, vcpu.timer_vector, vcpu.timer_pending = 1, 0x30, 1
    vcpu.state.interrupt_flag = 1
    set_irq(vcpu, Virtual(), 0x81, 0)
    intr_assist(vcpu, Virtual(), Assist())
    marked = [v for v in VECTORS if vcpu.vapic.eoi_exit[v >> 5] >> (v & 31) & 1]
    assert (vcpu.vapic.rvi, marked) == (0x81, [0x81])


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


def test_fact_12_dpci_is_served_after_schedule() -> None:
    """A switch in between never returns, and the record stays on this pCPU's list: who comes next does the work."""
    assert (Softirq.SCHEDULE, Softirq.HVM_DPCI) == (3, 10)
    record = dpci.DpciRecord()
    assert dpci.raise_for(record), "queued in do_IRQ, while the guest's vCPU runs"
    assert (record.sched, record.masked) == (1, 1), "nothing in it names a vCPU"
    assert dpci.begin(record) == dpci.Dpci.ASSIST


def test_fact_13_the_first_interrupt_after_a_move_hits_the_old_pcpu() -> None:
    """Asking for another pCPU changes nothing before the interrupt has come once more where it was."""
    table, irq = VectorTable(2), HostIrq(1)
    vectors.assign_vector(table, irq, 1)
    old = irq.vector
    vectors.want(irq, 2)
    assert (irq.pcpu, irq.vector) == (0, old)
    vectors.acknowledge(table, irq)
    assert irq.pcpu == 1 and vectors.owner_of(table, 0, old) == 1, "and the old vector is kept for late ones"


def test_fact_13_nv_is_restored_only_at_entry() -> None:
    """Blocking that ends early leaves the wake-up vector in NV; all of the way to interrupts off it stays there."""
    world = make("post-while-blocking", "")
    world.reset()
    vcpu = world.vcpu(0)
    vcpu.state.interrupt_flag = 1
    set_bit(vcpu.vapic.page, Reg.VIRR, ON_PAGE, 0x41)
    Block(vcpu, 0, xen_block()).run(world)
    assert (vcpu.blocked, vcpu.running_on, vcpu.pid.nv) == (0, 0, WAKEUP)
    resume = Resume(vcpu, 0, xen_resume())
    resume.after_exit()
    while resume.verb() != Verb.NV_NOTIFY:
        resume.step(world)
        assert vcpu.pid.nv == WAKEUP
    resume.step(world)
    assert vcpu.pid.nv == NOTIFICATION


def test_fact_14_every_pirq_event_costs_a_hypercall_that_is_mostly_useless() -> None:
    """An HVM guest has no shared EOI bitmap, always hears "needs EOI", and for a maskable MSI its EOI does nothing."""
    for has_pirqs in (0, 1):
        assert not pirq.is_allowed_to_hvm(Physdev.PIRQ_EOI_GMFN_V1, has_pirqs)
        assert not pirq.is_allowed_to_hvm(Physdev.PIRQ_EOI_GMFN_V2, has_pirqs)
    assert pirq.irq_status(0) & pirq.NEEDS_EOI
    bound = PirqGuest(pirq.ack_type(1, 1, 0, 0), 1)
    pirq.mark_in_flight(bound, 0)
    assert pirq.guest_eoi(bound, 0) == Eoi.NOTHING


def test_fact_15_direct_vectors_are_no_device_interrupts() -> None:
    """No irq can own one, so nothing of do_IRQ's accounting, rate limit or trace record belongs to them."""
    direct = [
        HostVector.POSTED_NOTIFICATION, HostVector.POSTED_WAKEUP, HostVector.TIMER, HostVector.CALL_FUNCTION,
        HostVector.EVENT_CHECK, HostVector.INVALIDATE_TLB, HostVector.MOVE_CLEANUP,
    ]  # fmt: skip
    assert all(not vectors.is_usable(VectorTable(1), 0, vector) for vector in direct)


def test_fact_15_a_window_is_recorded_when_it_is_armed() -> None:
    """IF is 0, so no window opens now, and still the pass has a window to tell of; the exit is another matter."""
    vcpu, out = VirtualCpu(0), Assist()
    vcpu.has_vid, vcpu.callback_style, vcpu.callback_vector = 1, Callback.VECTOR, 0xF3
    two_level.mark_events_pending(vcpu.info)
    intr_assist(vcpu, Virtual(), out)
    assert (out.window_first, vcpu.vapic.window_exiting) == (0xF3, 1)
    assert arbitrate(vcpu.vapic, vcpu.state, Controls(), False) == Boundary.NOTHING
    intr_assist(vcpu, Virtual(), out)
    assert out.window_first == 0xF3, "and it may be told of again before it opens"


def test_candidate_c5_a_pirq_remapped_msi_is_posted_with_vector_0() -> None:
    """Its guest vector is 0, and in a domain of one vCPU any destination resolves: a host that posts would post it."""
    host = passthrough.Host()
    host.option = host.remapping = host.units = host.processor = 1
    assert passthrough.pirq_data() & 255 == 0
    target = passthrough.target_vcpu(two_level.zeros(1), 0, passthrough.PIRQ_DELIVERY, 1)
    assert (target, passthrough.bind(host, 1, target)) == (0, passthrough.Binding.POSTED)
    assert passthrough.bind(passthrough.Host(), 1, target) == passthrough.Binding.STEERED, (
        "by default nothing is posted"
    )
    for matching, delivery in product((two_level.zeros(2), two_level.zeros(3)), (0, 1, passthrough.PIRQ_DELIVERY)):
        nobody = passthrough.target_vcpu(matching, 0, delivery, 1)
        assert passthrough.bind(host, 1, nobody) == passthrough.Binding.REMAPPED, "a destination that names nobody"
    both = two_level.zeros(2)
    both[0] = both[1] = 1
    several = passthrough.target_vcpu(both, 0, passthrough.PIRQ_DELIVERY, 1)
    assert passthrough.bind(host, 1, several) == passthrough.Binding.REMAPPED, "one that names two"


def test_candidate_c6_without_a_dpci_record_an_interrupt_does_not_follow_its_vcpu() -> None:
    """PVH dom0 has none."""
    assert [dpci.follows_vcpu(iommu, record) for iommu, record in product((0, 1), repeat=2)] == [
        False,
        False,
        False,
        True,
    ]
