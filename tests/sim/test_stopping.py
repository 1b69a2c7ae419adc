"""A pCPU goes offline during a run: nobody is left on it, nothing is lost with it, and the host stands still for it."""

import pytest

from exitless.arch.x86.lapic import accept
from exitless.arch.xen.vectors import FREE, owner_of
from exitless.record.block import Record
from exitless.record.sinks import Sink
from exitless.scenario import Built, load, prepare
from exitless.sim.machine import Machine
from exitless.sim.state import Phase
from exitless.sim.stopping import WINDOW_PS
from exitless.vocab.kinds import Kind
from tests.sim.quiet import MS

MECHANISMS = ["pvhvm", "apicv", "vtd-posted"]
ONE = 'offline=[{pcpu=1,at="4 ms"}]'


def built_with(mechanism: str, *settings: str, name: str = "pcpu-offline") -> tuple[Built, Record]:
    """Build a scenario whose laws are watched."""
    scenario, where = load(name, list(settings))
    sinks: list[Sink] = []
    built = prepare(scenario, where, mechanism, None, 100 * MS, sinks)
    record = Record(built.header)
    sinks.append(record)
    built.machine.watch_laws = 1
    return built, record


def run(machine: Machine, until_ps: int) -> None:
    machine.run(until_ps)
    machine.columns.flush()
    assert machine.law_broken == 0, machine.law_said()


def until(machine: Machine, pcpu: int, phase: int) -> None:
    """Let a pCPU come into a phase."""
    while machine.pcpus[pcpu].phase != phase:
        assert machine.step()


@pytest.mark.parametrize("scheduler", ["credit2", "credit"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_nobody_and_nothing_is_left_on_a_pcpu_that_is_offline(mechanism: str, scheduler: str) -> None:
    built, record = built_with(mechanism, ONE, f'host.scheduler="{scheduler}"')
    m = built.machine
    run(m, 14 * MS)
    rows = list(record)
    off = next(n for n, e in enumerate(rows) if e.kind == Kind.PCPU_OFFLINE)
    assert (rows[off].pcpu, m.pcpus[1].current, m.pcpus[1].loaded) == (1, -1, -1)
    busy = (Kind.HOST_IRQ, Kind.SCHED_SWITCH, Kind.VM_ENTRY, Kind.SOFTIRQ, Kind.VM_EXIT)
    assert not [e for e in rows[off + 1 :] if e.pcpu == 1 and e.kind in busy and e.time_ps > rows[off].time_ps]
    assert all(owner_of(m.vectors, 1, vector) == FREE for vector in range(256))
    assert all(irq.pcpu != 1 and irq.old_pcpu != 1 for irq in m.irqs)
    assert all(v.pcpu != 1 and v.list_of != 1 and v.pinned != 1 for v in m.vcpus)
    assert not (list(m.pcpus[1].tasklets) or list(m.pcpus[1].dpci) or list(m.pcpus[1].homed))
    assert {v.number for v in m.vcpus} == {e.b for e in rows[off:] if e.kind == Kind.SCHED_SWITCH and e.b >= 0}


def balance(machine: Machine) -> list[int]:
    """Return what each source has asserted that is neither delivered, merged nor waiting."""
    return [int(s.serial - s.delivered - s.merged - (s.outstanding != 0)) for s in machine.sources]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_device_goes_on_after_two_pcpus_have_gone(mechanism: str) -> None:
    """None waits longer than the two stops explain, so none is lost; a lost one would silence its queue for good."""
    built, record = built_with(mechanism)
    m = built.machine
    run(m, 30 * MS)
    assert balance(m) == [0] * len(m.sources)
    rows = list(record)
    last = {e.a: e.time_ps for e in rows if e.kind == Kind.SOURCE_HANDLE}
    late = [built.header.sources[n] for n, t in last.items() if t < 24 * MS]
    assert set(last) == set(range(len(m.sources))) and not late


def test_the_host_stands_still_for_a_millisecond_and_the_dying_pcpu_takes_interrupts_in_it() -> None:
    """From the last pCPU's stop on nobody enters a guest or handles an interrupt but the one that goes offline."""
    built, record = built_with("apicv", ONE)
    m = built.machine
    until(m, 1, Phase.DYING)
    begin = int(m.now)
    assert all(p.phase == Phase.STOPPED for p in m.pcpus if p.number != 1)
    run(m, 8 * MS)
    rows = list(record)
    off = next(e.time_ps for e in rows if e.kind == Kind.PCPU_OFFLINE)
    assert begin + WINDOW_PS <= off < begin + WINDOW_PS + MS // 10
    inside = [e for e in rows if begin < e.time_ps < off]
    assert not [e for e in inside if e.kind in (Kind.VM_ENTRY, Kind.SOURCE_HANDLE, Kind.SCHED_SWITCH)]
    assert {e.pcpu for e in inside if e.kind == Kind.HOST_IRQ} == {1}


def test_what_waits_in_the_dead_local_apic_is_sent_after_its_interrupt() -> None:
    """fixup_irqs looks at IRR last, and sends the new vector to the new pCPU."""
    built, record = built_with("apicv", ONE)
    m = built.machine
    until(m, 1, Phase.DRAINING)
    irq = next(i for i in m.irqs if i.left)
    taken, left, place = int(irq.taken), int(irq.left), (int(irq.vector), int(irq.pcpu))
    accept(m.pcpus[1].lapic, left, 0)
    run(m, int(m.now) + MS // 2)
    sent = [e for e in record if e.kind == Kind.IPI_SEND and e.pcpu == 1 and (e.a, e.b) == place]
    assert len(sent) == 1 and irq.taken > taken


def test_blocked_vcpus_leave_the_list_of_a_dead_pcpu() -> None:
    """With VT-d posting: NDST and list are pCPU 0's, NV stays the wakeup vector; one with ON set is woken instead."""
    built, _ = built_with("vtd-posted", ONE, "device[0].load=1", 'vm[1].tick="50 ms"', "vm[1].pin=[1,1]")
    m = built.machine
    until(m, 1, Phase.DRAINING)
    left, told = (m.vcpus[4], m.vcpus[5])
    assert sorted(m.pcpus[1].blocked_list) == [4, 5] and left.cpu.blocked and told.cpu.blocked
    told.cpu.pid.on, told.cpu.pid.pir[0x81 >> 5] = 1, 1 << (0x81 & 31)
    m.step()
    assert (left.cpu.blocked, left.list_of, left.cpu.pid.ndst, left.cpu.pid.nv) == (1, 0, 0, m.wakeup_vector)
    assert (told.cpu.blocked, told.list_of, told.cpu.pid.sn, left.cpu.pid.sn) == (0, -1, 0, 0)
    run(m, 12 * MS)


def test_a_wakeup_that_reached_only_the_dead_pcpu_is_not_lost() -> None:
    """A post in the pause while vectors are fixed up notifies a pCPU that takes nothing any more; ON tells of it."""
    built, record = built_with("vtd-posted", ONE, "device[0].load=1", 'vm[1].tick="50 ms"', "vm[1].pin=[1,1]")
    m = built.machine
    until(m, 1, Phase.DRAINING)
    assert m.vcpus[4].cpu.blocked
    m.assert_msi(m.sources[next(n for n, name in enumerate(built.header.sources) if name == "nic.0")])
    number = built.header.sources.index("nic.0")
    run(m, 8 * MS)
    assert [e for e in record if e.kind == Kind.SOURCE_HANDLE and e.a == number and e.time_ps > 5 * MS]


@pytest.mark.parametrize("mechanism", ["pvhvm", "apicv"])
@pytest.mark.parametrize("more", [ONE, 'move=[{vm="guest",at="5 ms",to=3},{vm="guest",at="9 ms",to=2}]'])
def test_an_interrupt_held_for_its_guest_moves_and_survives(mechanism: str, more: str) -> None:
    """The pending-EOI stack of the pCPU that goes is ended by fixup_eoi; after a move two pCPUs may hold the interrupt,
    and the guest's EOI, or the timer where it was set, ends both."""
    built, record = built_with(mechanism, more, name="pirq-eoi")
    m = built.machine
    run(m, 40 * MS)
    number = built.header.sources.index("nic")
    late = [e for e in record if e.kind == Kind.SOURCE_HANDLE and e.a == number and e.time_ps > 36 * MS]
    assert late and balance(m) == [0] * len(m.sources)


def test_a_second_pcpu_waits_until_the_first_is_gone() -> None:
    built, record = built_with("apicv", 'offline=[{pcpu=1,at="4 ms"},{pcpu=2,at="4 ms"}]')
    run(built.machine, 10 * MS)
    assert [e.pcpu for e in record if e.kind == Kind.PCPU_OFFLINE] == [1, 2]


def test_a_move_to_a_pcpu_that_is_offline_does_not_happen() -> None:
    built, _ = built_with("apicv", ONE, 'move=[{vm="guest",at="3999 us",to=1},{vm="guest",at="8 ms",to=1}]')
    run(built.machine, 10 * MS)
    assert built.machine.vcpus[4].pcpu != 1
