"""Physical interrupts bound to guests: ack types, who has yet to end one, and the dpci record's three bits."""

from itertools import product

import pytest

from exitless.arch.xen import dpci, pirq
from exitless.arch.xen.dpci import Dpci, DpciRecord
from exitless.arch.xen.pirq import AckType, Eoi, Physdev, PirqGuest

# msi, maskable, level, new ack: the type. MSI-X counts as maskable.
ACK_TABLE = {
    "MSI-X, or MSI with mask bits": ((1, 1), AckType.NONE),
    "MSI without mask bits": ((1, 0), AckType.EOI),
}


@pytest.mark.parametrize("name", ACK_TABLE)
def test_ack_type_of_an_msi(name: str) -> None:
    (msi, maskable), expected = ACK_TABLE[name]
    for level, new in product((0, 1), (0, 1)):
        assert pirq.ack_type(msi, maskable, level, new) == expected


def test_ack_type_of_a_pin() -> None:
    for maskable, new in product((0, 1), (0, 1)):
        assert pirq.ack_type(0, maskable, 0, new) == AckType.NONE, "edge pins need nothing of guests"
    for maskable in (0, 1):
        assert pirq.ack_type(0, maskable, 1, 1) == AckType.EOI
        assert pirq.ack_type(0, maskable, 1, 0) == AckType.UNMASK
    assert pirq.ACK_8259 == AckType.UNMASK


def test_only_type_eoi_keeps_the_local_apic_waiting_for_guests() -> None:
    kept = [ack for ack in (AckType.NONE, AckType.UNMASK, AckType.EOI) if not pirq.eoi_before_guest(ack)]
    assert kept == [AckType.EOI]


def test_the_forced_eoi_timer_is_for_all_types_but_none() -> None:
    assert [pirq.arms_forced_eoi(ack) for ack in (AckType.NONE, AckType.UNMASK, AckType.EOI)] == [False, True, True]


def test_type_none_is_never_in_flight_and_its_eoi_means_nothing() -> None:
    bound = PirqGuest(AckType.NONE, 1)
    assert not pirq.mark_in_flight(bound, 0)
    assert bound.in_flight == 0
    assert pirq.guest_eoi(bound, 0) == Eoi.NOTHING
    assert pirq.forced_eoi(bound, 0) == Eoi.NOTHING


@pytest.mark.parametrize("ack, done", [(AckType.UNMASK, Eoi.UNMASK), (AckType.EOI, Eoi.READY)])
def test_the_last_guest_ends_the_interrupt(ack: int, done: int) -> None:
    bound = PirqGuest(ack, 3)
    assert [pirq.mark_in_flight(bound, guest) for guest in range(3)] == [True, True, True]
    assert not pirq.mark_in_flight(bound, 1), "a second interrupt finds it marked"
    assert bound.in_flight == 3
    assert pirq.guest_eoi(bound, 1) == Eoi.OTHERS
    assert pirq.guest_eoi(bound, 1) == Eoi.NOTHING, "a guest ends it once"
    assert pirq.guest_eoi(bound, 0) == Eoi.OTHERS
    assert pirq.guest_eoi(bound, 2) == done
    assert bound.in_flight == 0
    assert pirq.guest_eoi(bound, 2) == Eoi.NOTHING


@pytest.mark.parametrize("ack, done", [(AckType.UNMASK, Eoi.UNMASK), (AckType.EOI, Eoi.READY)])
def test_forced_eoi_ends_it_for_guests_that_forgot(ack: int, done: int) -> None:
    bound = PirqGuest(ack, 2)
    assert pirq.forced_eoi(bound, 0) == Eoi.NOTHING, "nothing is in flight"
    pirq.mark_in_flight(bound, 0)
    pirq.mark_in_flight(bound, 1)
    assert pirq.forced_eoi(bound, 1) == Eoi.NOTHING, "a new interrupt has armed the timer again"
    assert bound.in_flight == 2
    assert pirq.forced_eoi(bound, 0) == done
    assert (bound.in_flight, bound.marked[0], bound.marked[1]) == (0, 0, 0)
    assert pirq.guest_eoi(bound, 0) == Eoi.NOTHING, "the guest's own EOI comes too late"


def test_in_flight_is_the_number_of_marks() -> None:
    """Over every sequence of six markings and EOIs of two guests."""
    for steps in product(range(4), repeat=6):
        bound = PirqGuest(AckType.EOI, 2)
        for step in steps:
            if step < 2:
                pirq.mark_in_flight(bound, step)
            else:
                before = bound.in_flight
                answer = pirq.guest_eoi(bound, step - 2)
                assert (answer == Eoi.READY) == (before == 1 and bound.in_flight == 0)
            assert bound.in_flight == bound.marked[0] + bound.marked[1]


def test_status_always_says_that_an_eoi_is_needed() -> None:
    assert pirq.irq_status(0) == 1
    assert pirq.irq_status(1) == 3


def test_physdev_calls_of_hvm_guests() -> None:
    """Map and unmap always; EOI, status and free PIRQ with PIRQs; the shared EOI bitmap and set-up never."""
    always = {Physdev.MAP_PIRQ, Physdev.UNMAP_PIRQ}
    with_pirqs = always | {Physdev.EOI, Physdev.IRQ_STATUS_QUERY, Physdev.GET_FREE_PIRQ}
    assert {op for op in range(64) if pirq.is_allowed_to_hvm(op, 0)} == always == {13, 14}
    assert {op for op in range(64) if pirq.is_allowed_to_hvm(op, 1)} == with_pirqs == {5, 12, 13, 14, 23}


def test_a_pirq_tied_to_anything_goes_through_its_event_channel() -> None:
    assert not pirq.is_routed_by_channel(-1)
    assert all(pirq.is_routed_by_channel(tied) for tied in (-3, -2, 0, 16))


# ---- the dpci record ----


def test_a_second_interrupt_before_the_softirq_is_merged() -> None:
    record = DpciRecord()
    assert dpci.raise_for(record)
    assert not dpci.raise_for(record)
    assert dpci.begin(record) == Dpci.ASSIST
    dpci.end(record)
    assert (record.masked, record.sched, record.run) == (0, 0, 0)


def test_an_interrupt_during_the_softirq_is_queued_anew_and_not_lost() -> None:
    record = DpciRecord()
    dpci.raise_for(record)
    assert dpci.begin(record) == Dpci.ASSIST
    assert dpci.raise_for(record), "SCHED was cleared, so it goes on a list again"
    assert dpci.begin(record) == Dpci.RETRY, "the first softirq still has it in hand"
    assert (record.masked, record.sched, record.run) == (1, 1, 1), "a retry leaves work and SCHED alone"
    dpci.end(record)
    assert dpci.begin(record) == Dpci.ASSIST
    dpci.end(record)
    assert (record.masked, record.sched, record.run) == (0, 0, 0)


def test_begin_follows_the_table() -> None:
    """RUN set: retry. SCHED with work: assist. Otherwise nothing, and without SCHED the work stays."""
    for masked, sched, run in product((0, 1), repeat=3):
        record = DpciRecord()
        record.masked, record.sched, record.run = masked, sched, run
        answer = dpci.begin(record)
        if run:
            assert answer == Dpci.RETRY
            assert (record.masked, record.sched, record.run) == (masked, sched, 1)
        else:
            assert answer == (Dpci.ASSIST if sched and masked else Dpci.NOTHING)
            assert (record.masked, record.sched, record.run) == (masked if not sched else 0, 0, 1)


# A state of the small world below: the record's three bits, interrupts still to come, interrupts not yet given to the
# guest, and for each of two pCPUs the length of its list and where its softirq stands (0: between records).
World = tuple[int, int, int, int, int, int, int, int, int]


def record_of(world: World) -> DpciRecord:
    record = DpciRecord()
    record.masked, record.sched, record.run = world[:3]
    return record


def after_interrupt(world: World, cpu: int) -> World:
    record = record_of(world)
    lists = list(world[5:7])
    lists[cpu] += dpci.raise_for(record)
    return (record.masked, record.sched, record.run, world[3] - 1, world[4] + 1, *lists, *world[7:])


def after_softirq(world: World, cpu: int) -> World:
    """One memory operation of the softirq on a pCPU."""
    record, unseen, lists, phase = record_of(world), world[4], list(world[5:7]), list(world[7:])
    if phase[cpu] == 0:
        if not dpci.start_run(record):
            lists[cpu] -= 1
            phase[cpu] = 1
    elif phase[cpu] == 1:
        phase[cpu] = 2 if dpci.leave_list(record) else 3
    elif phase[cpu] == 2:
        if dpci.take_work(record):
            unseen = 0
        phase[cpu] = 3
    else:
        dpci.end(record)
        phase[cpu] = 0
    return (record.masked, record.sched, record.run, world[3], unseen, *lists, *phase)


def test_no_interrupt_is_left_behind_in_any_interleaving() -> None:
    """Three interrupts and two softirqs, step by step: when all is quiet nothing is left, and one softirq has it."""
    seen: set[World] = set()
    waiting: list[World] = [(0, 0, 0, 3, 0, 0, 0, 0, 0)]
    quiet = 0
    while waiting:
        world = waiting.pop()
        if world in seen:
            continue
        seen.add(world)
        assert not (world[7] and world[8]), "RUN keeps a second pCPU out"
        assert world[5] + world[6] <= 1, "the record is on one list at most"
        steps = [after_softirq(world, cpu) for cpu in (0, 1) if world[5 + cpu] or world[7 + cpu]]
        steps += [after_interrupt(world, cpu) for cpu in (0, 1) if world[3]]
        if not steps:
            quiet += 1
            assert world[:5] == (0, 0, 0, 0, 0), "every interrupt reached the guest, and the record is as it was"
        waiting += steps
    assert quiet == 1
    assert len(seen) > 50
