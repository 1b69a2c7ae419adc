"""Host vectors in runs: who chooses them, and interrupts that move to another pCPU while they keep coming."""

import pytest

from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.x86.lapic import accept
from exitless.arch.xen.vectors import FREE, HostIrq, VectorTable, assign_vector, owner_of
from exitless.record.block import Event, Record
from exitless.record.sinks import Sink
from exitless.scenario import Built, load, prepare
from exitless.vocab.kinds import Kind
from tests.sim.quiet import MS, Quiet

REMAPPED = ["pvhvm", "apicv"]


def ran(name: str, mechanism: str, length_ps: int, *settings: str) -> tuple[Built, list[Event]]:
    """Run a scenario with all laws."""
    scenario, where = load(name, list(settings))
    sinks: list[Sink] = []
    built = prepare(scenario, where, mechanism, None, length_ps, sinks)
    sinks.append(record := Record(built.header))
    built.machine.watch_laws = 1
    built.machine.run(length_ps)
    built.machine.columns.flush()
    assert built.machine.law_broken == 0, built.machine.law_said()
    return built, list(record)


def test_a_device_without_a_named_vector_gets_what_assign_irq_vector_chooses() -> None:
    """In steps of eight from 20H over all devices, whatever their pCPU; 30H is HPET's. The remapping entries say so."""
    scenario, where = load("irq-affinity")
    built = prepare(scenario, where, "apicv", None, MS, [])
    got = [v for v in built.header.source_host_vector if v >= 0]
    assert got == [0x28, 0x38, 0x40, 0x48, 0x50, 0x58]
    table, m = VectorTable(4), built.machine
    for irq in m.irqs:
        like = HostIrq(irq.number)
        assert assign_vector(table, like, 1 << int(irq.pcpu)) == 0
        entry = m.remapper.table[m.sources[irq.source].index]
        assert (like.vector, like.pcpu) == (irq.vector, irq.pcpu) == (entry.vector, entry.dst)
    assert list(table.owner) == list(m.vectors.owner)


def test_a_vector_that_a_later_device_names_is_not_chosen_before_it() -> None:
    """38H would be next for the NIC's second queue; the controller that comes after it has it on the same pCPU."""
    settings = ["device[1].host_vectors=[0x38,0x38,0x38,0x38]", "device[1].pcpus=[2,1,3,0]"]
    scenario, where = load("irq-affinity", settings)
    built = prepare(scenario, where, "apicv", None, MS, [])
    assert [v for v in built.header.source_host_vector if v >= 0] == [0x28, 0x40, 0x38, 0x38, 0x38, 0x38]
    assert not any(built.machine.vectors.shared), "from the start on Xen may choose it for another pCPU"


@pytest.mark.parametrize("mechanism", REMAPPED)
def test_the_old_vector_stays_until_the_first_interrupt_at_the_new_place(mechanism: str) -> None:
    """In this order: an interrupt on the old pCPU, which gets another vector there and then; the first one at the new
    place; 22H from there to the old pCPU; the old vector is free when its handler has run, and not before."""
    built, rows = ran("irq-affinity", mechanism, 40 * MS)
    m, h = built.machine, built.header
    moves = [n for n, e in enumerate(rows) if e.kind == Kind.VECTOR_ASSIGN]
    assert len(moves) >= 5
    place = {int(s.number): (0, 0) for s in m.sources}
    for n, source in enumerate(m.sources):
        if source.irq >= 0:
            first = next(e for e in rows if e.kind == Kind.HOST_IRQ and e.b == source.irq)
            place[n] = (first.pcpu, h.source_host_vector[n])
    for at in moves:
        move = rows[at]
        pcpu, vector = place[move.b]
        irq = m.sources[move.b].irq
        place[move.b] = (move.pcpu, move.a)
        before = next(e for e in reversed(rows[:at]) if e.kind == Kind.HOST_IRQ and e.b == irq)
        assert (before.pcpu, before.a) == (pcpu, vector), "it was still taken where it was"
        wanted = [
            (Kind.HOST_IRQ, move.pcpu, move.a), (Kind.IPI_SEND, move.pcpu, HostVector.MOVE_CLEANUP),
            (Kind.HOST_IRQ, pcpu, HostVector.MOVE_CLEANUP), (Kind.VECTOR_FREE, pcpu, vector),
        ]  # fmt: skip
        seen = [(e.kind, e.pcpu, e.a) for e in rows[at + 1 :] if (e.kind, e.pcpu, e.a) in wanted]
        assert seen[0] == wanted[0] and seen[seen.index(wanted[1]) :][:3] == wanted[1:]
        assert seen.index(wanted[1]) <= 1, "the very first one there sends 22H"


@pytest.mark.parametrize("mechanism", REMAPPED)
def test_in_the_end_every_interrupt_has_one_vector_and_the_table_no_other(mechanism: str) -> None:
    built, _ = ran("irq-affinity", mechanism, 40 * MS)
    m = built.machine
    assert all((irq.moving, irq.cleanups, irq.old_vector) == (0, 0, 0) for irq in m.irqs)
    owned = {(int(irq.pcpu), int(irq.vector)): int(irq.number) for irq in m.irqs}
    for pcpu in range(4):
        for vector in range(256):
            assert owner_of(m.vectors, pcpu, vector) == owned.get((pcpu, vector), FREE)


def test_a_wish_that_is_replaced_before_the_next_interrupt_leaves_no_trace() -> None:
    """There and back between two interrupts: the interrupt stays where it is, with its vector."""
    moves = 'move=[{vm="guest",at="3 ms",to=2},{vm="guest",at="3100 us",to=1}]'
    quiet = Quiet("apicv", moves)
    rows = quiet.run(12 * MS)
    assert len([e for e in rows if e.kind == Kind.VCPU_MOVE]) == 2
    inside = [e for e in rows if e.kind == Kind.HOST_IRQ and e.b == 0 and 3 * MS < e.time_ps < 3.1 * MS]
    assert not inside, "the NIC must be quiet meanwhile for this test to say anything"
    assert not [e for e in rows if e.kind == Kind.VECTOR_ASSIGN]
    assert {e.pcpu for e in rows if e.kind == Kind.HOST_IRQ and e.b == 0} == {1}


def test_a_message_on_its_way_to_the_old_vector_is_still_that_interrupt() -> None:
    """The entry has been rewritten; what had passed the remapping unit before is taken on the old pCPU and counts."""
    quiet = Quiet("apicv", 'move=[{vm="guest",at="3 ms",to=2}]')
    m = quiet.machine
    irq = m.irqs[0]
    old = int(irq.vector)
    while irq.moving == 0:
        m.step()
    assert (int(irq.old_pcpu), int(irq.old_vector), owner_of(m.vectors, 1, old)) == (1, old, irq.number)
    taken = int(irq.taken)
    m.send(1, old, 0)
    while irq.taken == taken:
        m.step()
    assert irq.moving == 1, "it says nothing about the new place"
    quiet.run(60 * MS)
    assert irq.moving == 0 and owner_of(m.vectors, 1, old) == FREE


def test_a_vector_that_waits_in_the_old_local_apic_is_not_freed_yet() -> None:
    """The handler of 22H finds it in IRR, leaves it alone, and sends itself 22H once more."""
    quiet = Quiet("apicv", 'move=[{vm="guest",at="3 ms",to=2}]')
    m = quiet.machine
    irq = m.irqs[0]
    while irq.cleanups == 0:
        m.step()
    old, pcpu = int(irq.old_vector), m.pcpus[int(irq.old_pcpu)]
    accept(pcpu.lapic, old, 0)
    m.clean_up_moves(pcpu)
    m.columns.flush()
    sent = [e for e in quiet.record if e.kind == Kind.IPI_SEND and e.a == HostVector.MOVE_CLEANUP]
    assert (sent[-1].pcpu, sent[-1].b) == (pcpu.number, pcpu.number)
    assert owner_of(m.vectors, pcpu.number, old) == irq.number
    quiet.run(30 * MS)
    assert owner_of(m.vectors, pcpu.number, old) == FREE


def test_a_second_move_before_the_clean_up_is_forgotten() -> None:
    """assign_irq_vector answers -EAGAIN and nobody asks again: the interrupt stays at its first new place."""
    quiet = Quiet("apicv", 'move=[{vm="guest",at="3 ms",to=2}]')
    m = quiet.machine
    irq = m.irqs[0]
    while irq.moving == 0:
        m.step()
    irq.wanted = 8
    m.acknowledge_irq(m.pcpus[1], irq, irq.old_vector)
    assert (int(irq.wanted), int(irq.pcpu), int(irq.moving)) == (0, 2, 1)


def test_a_vector_that_its_guest_takes_directly_keeps_its_number() -> None:
    """The guest's IDT knows it by that number; where another has it on the new pCPU, it stays where it is."""
    m = Quiet("direct").machine
    irq = m.irqs[0]
    vector = int(irq.vector)
    entry = m.remapper.table[m.sources[irq.source].index]
    for to, holder, where in ((2, FREE, 2), (3, 5, 2)):
        m.vectors.owner[to * 256 + vector] = holder
        irq.wanted = 1 << to
        m.acknowledge_irq(m.pcpus[int(irq.pcpu)], irq, vector)
        assert (int(irq.pcpu), int(irq.vector), int(entry.dst), int(irq.wanted)) == (where, vector, where, 0)


def test_a_posted_interrupt_is_not_asked_to_follow() -> None:
    """Its entry names the descriptor; hvm_migrate_pirqs passes it over."""
    built, rows = ran("irq-affinity", "vtd-posted", 20 * MS)
    assert [e for e in rows if e.kind == Kind.VCPU_MOVE]
    nics = [
        irq for irq in built.machine.irqs if built.machine.remapper.table[built.machine.sources[irq.source].index].im
    ]
    assert len(nics) == 2 and all(irq.wanted == 0 for irq in nics)


def test_candidate_c12_a_second_move_before_the_first_interrupt_at_the_new_place_is_lost() -> None:
    """That interrupt sends 22H and carries out what is wanted, in this order; while the old pCPU has yet to clean up
    the choice of a vector answers -EAGAIN, and the wish is gone. So the interrupt stays between the two for good."""
    quiet = Quiet("apicv", "device[0].load=50")
    m = quiet.machine
    irq, vcpu = m.irqs[0], m.vcpus[m.sources[m.irqs[0].source].vcpu]
    m.schedule_move(vcpu, 2, 3 * MS)
    while irq.moving == 0:
        m.step()
    m.schedule_move(vcpu, 3, m.now)
    rows = quiet.run(60 * MS)
    assert vcpu.ran_on == 3 and (int(irq.pcpu), int(irq.wanted), int(irq.moving), int(irq.cleanups)) == (2, 0, 0, 0)
    late = [e.pcpu for e in rows if e.kind == Kind.HOST_IRQ and e.b == irq.number and e.time_ps > 30 * MS]
    assert len(late) > 3 and set(late) == {2}
