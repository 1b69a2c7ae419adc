"""Scenarios in which vCPUs talk: what is conserved, the order of ports, who holds whom back, what moves rewrite."""

from itertools import pairwise

import pytest

from exitless.record.block import Event, Record
from exitless.record.sinks import Sink
from exitless.scenario import Built, library_names, load, prepare
from exitless.sim.state import Role
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind

MS = 1_000_000_000
NAMES = [name for name in library_names() if name != "mail"]
RUNS = [(name, mechanism) for name in NAMES for mechanism in load(name)[0].run.mechanisms]
HANDLED = (Kind.SOURCE_ASSERT, Kind.SOURCE_MERGE, Kind.SOURCE_HANDLE)


def ran(name: str, mechanism: str, until: int, *settings: str, laws: int = 0) -> tuple[list[Event], Built]:
    """Run a library scenario and return its rows."""
    scenario, where = load(name, list(settings))
    sinks: list[Sink] = []
    built = prepare(scenario, where, mechanism, 3, until, sinks)
    record = Record(built.header)
    sinks.append(record)
    built.machine.watch_laws = laws
    built.machine.run(until)
    built.machine.columns.flush()
    assert built.machine.law_broken == 0, built.machine.law_said()
    return list(record), built


@pytest.mark.parametrize(("name", "mechanism"), RUNS)
def test_every_assertion_is_accounted_for_and_every_law_holds(name: str, mechanism: str) -> None:
    """asserted = delivered + coalesced + pending for each source, counted anew from the rows alone."""
    rows, built = ran(name, mechanism, 8 * MS, laws=1)
    for source in built.machine.sources:
        mine = [e for e in rows if e.kind in HANDLED and e.a == source.number]
        asserted = sum(e.kind == Kind.SOURCE_ASSERT for e in mine)
        merged = sum(e.kind == Kind.SOURCE_MERGE for e in mine)
        delivered = sum(e.kind == Kind.SOURCE_HANDLE and e.b != 0 for e in mine)
        assert asserted == delivered + merged + int(source.outstanding != 0)
        handled = [e.b for e in mine if e.kind == Kind.SOURCE_HANDLE and e.b != 0]
        assert handled == sorted(set(handled))
    assert sum(s.delivered for s in built.machine.sources) > 10


@pytest.mark.parametrize("name", ["mail-mixed", "fifo-priority"])
def test_no_request_of_a_disk_is_lost_on_its_way_round(name: str) -> None:
    """Put in, asked for, at the device, done, owed, ready or answered: together what was there at the start."""
    _, built = ran(name, "upcall-posted", 12 * MS)
    depth = built.scenario.device[1 if name == "mail-mixed" else 0].depth
    m = built.machine
    assert m.fronts
    for f in m.fronts:
        q = m.disks[f.queue]
        assert f.requests + f.asked + q.flying + q.done + f.owed + f.ready + f.answers == depth
        assert f.finished > 20


# ---- order of ports ----

CROWDED = ['device[0].service="5 us"', "device[0].depth=8"]


def guest(built: Built, fifo: int) -> int:
    """Return the vCPU of the guest with that ABI."""
    return next(int(v.number) for v in built.machine.vcpus if not v.domain.serves and v.domain.fifo == fifo)


def test_fifo_takes_the_low_port_only_when_no_high_one_is_linked() -> None:
    """READY is looked at before each event: whatever of priority 3 was raised by then goes first."""
    rows, built = ran("fifo-priority", "upcall-apicv", 12 * MS)
    low = [pending for port, pending, _ in choices(rows, built, 1) if port == 72]
    assert len(low) > 20
    assert all(not pending & {70, 71} for pending in low)


def choices(rows: list[Event], built: Built, fifo: int) -> list[tuple[int, set[int], int]]:
    """Return each port that the guest with that ABI handled, the ports pending when it was chosen, the one before."""
    vcpu = guest(built, fifo)
    steps = ["g_dispatch"] + (["g_fifo_event"] if fifo else [])
    before = sum(int(built.machine.costs[built.header.costs.index(name)]) for name in steps)
    mine = [e for e in rows if e.vcpu == vcpu and e.kind in (Kind.PORT_RAISE, Kind.PORT_CLEAR)]
    found, pending, n, last = [], set[int](), 0, -1
    for clear in (e for e in mine if e.kind == Kind.PORT_CLEAR):
        while mine[n].time_ps < clear.time_ps - before:
            (pending.add if mine[n].kind == Kind.PORT_RAISE else pending.discard)(mine[n].a)
            n += 1
        found.append((clear.a, set(pending), last))
        last = clear.a
    return found


def test_two_level_is_round_robin() -> None:
    """Of all that are pending in the word, the next one behind the port handled last."""
    rows, built = ran("fifo-priority", "upcall-apicv", 12 * MS, *CROWDED)
    busy = 0
    for port, pending, last in choices(rows, built, 0)[1:]:
        assert port == min(pending | {port}, key=lambda p: (p - last - 1) % 4096), (port, pending, last)
        busy += len(pending) > 1
    assert busy > 100


def test_a_refilled_high_queue_starves_the_low_one_under_fifo_alone() -> None:
    """The same load: the FIFO guest's low port is hardly ever handled, the 2-level guest's as often as the others."""
    _, built = ran("fifo-priority", "upcall-apicv", 12 * MS, *CROWDED)
    times = {built.header.sources[int(s.number)]: int(s.delivered) for s in built.machine.sources}
    assert times["fifo.2"] * 10 < times["fifo.0"]
    assert times["flat.2"] * 10 > times["flat.0"] * 9


# ---- the global vector and the local APIC in one guest ----


@pytest.mark.parametrize("mechanism", ["apicv", "posted", "vtd-posted"])
def test_the_callback_goes_first_at_entry_and_its_window_holds_virtual_delivery_back(mechanism: str) -> None:
    """An entry injects 0xf3 even where RVI has a vector; and none is delivered between arming and the window's exit."""
    rows, built = ran("mail-mixed", mechanism, 20 * MS)
    vcpu = guest(built, 0)
    armed, both = False, 0
    for e in rows:
        if e.vcpu != vcpu:
            continue
        if e.kind == Kind.IRQ_WINDOW:
            armed = True
        elif e.kind == Kind.VM_EXIT and e.a == Exit.INTERRUPT_WINDOW:
            armed = False
        elif e.kind == Kind.VM_ENTRY and e.a >= 0:
            assert e.a == 0xF3
            both += int(e.b != 0)
        elif e.kind == Kind.PID_PROCESS and armed:
            both += int(e.b != 0)
        elif e.kind == Kind.IRQ_DELIVER:
            assert not armed, e
    assert both > 0, "some vector is in RVI while the callback's window is armed"


def test_with_an_upcall_vector_the_same_guest_has_no_window() -> None:
    rows, built = ran("mail-mixed", "vtd-posted", 20 * MS, 'vm[1].callback="upcall"')
    vcpu = guest(built, 0)
    assert not any(e.vcpu == vcpu and e.kind in (Kind.IRQ_WINDOW, Kind.IRQ_INJECT) for e in rows)
    assert sum(e.vcpu == vcpu and e.kind == Kind.IRQ_DELIVER and e.a == 0xF3 for e in rows) > 100


# ---- interprocessor interrupts ----


@pytest.mark.parametrize("mechanism", ["posted", "upcall-posted"])
def test_a_posted_target_does_not_exit_for_an_ipi(mechanism: str) -> None:
    """External interrupts that exit are timers, and notifications that found their vCPU in Xen are no exits."""
    rows, built = ran("ipi-storm", mechanism, 10 * MS)
    kicks = [e for e in rows if e.kind == Kind.VM_EXIT and e.a == Exit.EXTERNAL_INTERRUPT and e.b == 0xFC]
    sent = sum(int(s.serial) for s in built.machine.sources if s.role == Role.IPI)
    assert sent > 1000
    assert len(kicks) < sent // 100


def test_an_ipi_needs_somebody_to_send_it_to() -> None:
    from exitless.errors import ScenarioError

    scenario, where = load("ipi-storm", ["vm[0].vcpus=1", "vm[0].pin=[0]"])
    with pytest.raises(ScenarioError, match=r"vm\[0\]\.vcpus with ipi: expected 2 to 32, got 1"):
        prepare(scenario, where, "posted", 1, MS, [])


# ---- moves ----


def test_a_move_rewrites_the_destination_and_nothing_of_the_virtual_apic() -> None:
    """NDST follows at the switch; RVI, SVI and the page are as they were; entries of posted interrupts stay."""
    scenario, where = load("mail-migration")
    built = prepare(scenario, where, "vtd-posted", 3, 300 * MS, [])
    m = built.machine
    vcpu = next(v for v in m.vcpus if not v.domain.serves)
    nic = next(s for s in m.sources if m.queue_of_source[s.number] >= 0)
    entry = m.remapper.table[nic.index]
    moves = 0
    while m.now < 40 * MS:
        before = (int(vcpu.cpu.vapic.rvi), int(vcpu.cpu.vapic.svi), list(vcpu.cpu.vapic.page))
        ran_on, told = int(vcpu.ran_on), (int(entry.im), int(entry.vector))
        m.step()
        if vcpu.ran_on != ran_on and ran_on >= 0:
            moves += 1
            assert vcpu.cpu.pid.ndst == vcpu.ran_on
            assert (int(vcpu.cpu.vapic.rvi), int(vcpu.cpu.vapic.svi), list(vcpu.cpu.vapic.page)) == before
            assert (int(entry.im), int(entry.vector)) == told
    assert moves == 5


def test_an_unposted_interrupt_is_taken_on_the_old_pcpu_once_after_each_move() -> None:
    """irq_set_affinity records a wish; the next occurrence, still on the old pCPU, reprograms the entry."""
    rows, built = ran("mail-migration", "apicv", 40 * MS)
    vcpu = guest(built, 0)
    moved = [e.time_ps for e in rows if e.kind == Kind.VCPU_MOVE and e.vcpu == vcpu]
    nic = next(i for i in built.machine.irqs if built.header.sources[int(i.source)] == "nic")
    taken = [e for e in rows if e.kind == Kind.HOST_IRQ and e.b == nic.number]
    places = [e.b for e in rows if e.kind == Kind.VCPU_MOVE and e.vcpu == vcpu]
    assert len(moved) == 5
    for (start, end), place in zip(pairwise([*moved, 40 * MS]), places, strict=True):
        here = [e.pcpu for e in taken if start < e.time_ps < end]
        assert [n for n, p in enumerate(here) if p != place] == [0], "the first one, and only that"


# ---- pending EOIs ----


def test_a_held_vector_keeps_its_class_and_all_below_out() -> None:
    """While 0x68 is in service no vector from 0x20 to 0x6f is taken on that pCPU; timers and IPIs are."""
    rows, _ = ran("pirq-eoi", "apicv", 40 * MS)
    held, others = False, 0
    for e in rows:
        if e.pcpu != 1:
            continue
        if e.kind == Kind.PIRQ_HOLD:
            held = True
        elif e.kind == Kind.LAPIC_EOI and e.a == 0x68:
            held = False
        elif e.kind == Kind.HOST_IRQ and held:
            assert e.a >> 4 > 6 or e.a == 0x68, e
            others += 1
    assert others > 0


@pytest.mark.parametrize(("mechanism", "forced"), [("emulated", 0), ("pvhvm", 0), ("apicv", 1), ("posted", 1)])
def test_who_ends_it(mechanism: str, forced: int) -> None:
    """An EOI that exits or the hypercall ends it at once; one that virtual delivery keeps leaves it to the timer."""
    rows, _ = ran("pirq-eoi", mechanism, 40 * MS, "device[0].forgets=0")
    ends = [e for e in rows if e.kind == Kind.PIRQ_READY]
    assert len(ends) > 20
    assert {e.b for e in ends} == {forced}
    holds = [e.time_ps for e in rows if e.kind == Kind.PIRQ_HOLD]
    spans = [b.time_ps - a for a, b in zip(holds, ends)]
    assert all(MS <= s < MS * 11 // 10 for s in spans) if forced else all(s < MS // 10 for s in spans)


def test_a_forgotten_eoi_is_made_up_for_after_a_millisecond() -> None:
    rows, _ = ran("pirq-eoi", "pvhvm", 60 * MS, "device[0].forgets=5")
    ends = [e.b for e in rows if e.kind == Kind.PIRQ_READY]
    assert sum(ends) in (len(ends) // 5, len(ends) // 5 + 1)


def test_an_interrupt_that_moves_in_flight_is_ended_on_both_pcpus() -> None:
    """desc_guest_eoi marks the entry on every pCPU of the action's map: one that moved while its guest owed the EOI is
    on the stacks of the old pCPU and of the new one, and both end with the timer that the later one has set anew.
    """
    moves = ",".join(f'{{vm="guest",at="{3 + n} ms",to={n % 3 + 1}}}' for n in range(1, 30))
    rows, _ = ran("pirq-eoi", "apicv", 40 * MS, 'device[0].moderation="200 us"', f"move=[{moves}]", laws=1)
    open_on: dict[int, tuple[int, int]] = {}
    both = 0
    for e in rows:
        if e.kind == Kind.PIRQ_HOLD:
            assert e.pcpu not in open_on
            open_on[e.pcpu] = (e.a, e.time_ps)
            both += len(open_on) > 1
        elif e.kind == Kind.LAPIC_EOI and open_on.get(e.pcpu, (0, 0))[0] == e.a:
            _, since = open_on.pop(e.pcpu)
            assert e.time_ps - since < 2 * MS + MS // 10, "its own millisecond, or that of the one behind it"
    assert both > 2


# ---- overcommit ----


def test_without_the_rate_limit_a_woken_vcpu_runs_at_once() -> None:
    """BOOST preempts as soon as the scheduler is asked; the rate limit is what the blocked target's latency was."""
    longest = {}
    for limit in ("0 us", "1 ms"):
        rows, built = ran("overcommit", "posted", 30 * MS, f'host.ratelimit="{limit}"')
        names = built.header.sources
        asserted = {(e.a, e.b): e.time_ps for e in rows if e.kind == Kind.SOURCE_ASSERT}
        waits = sorted(
            e.time_ps - asserted[e.a, e.b]
            for e in rows
            if e.kind == Kind.SOURCE_HANDLE and e.b and names[e.a].startswith("nic")
        )
        longest[limit] = waits[len(waits) // 2]
    assert longest["0 us"] * 10 < longest["1 ms"] < 1.1 * MS
