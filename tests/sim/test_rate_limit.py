"""do_IRQ's limit: a source that comes too often is off for 10 ms, and nothing of it is lost."""

import pytest

from exitless.record.block import Event, Record
from exitless.record.sinks import Sink
from exitless.scenario import load, prepare
from exitless.sim.machine import Machine
from exitless.vocab.kinds import Kind

MS = 1_000_000_000
LIMIT = 100


def limited(mechanism: str, limit: int, *more: str) -> tuple[Machine, list[Event]]:
    """Run a device that interrupts 40,000 times a second, so 400 in 10 ms, for 100 ms with all laws."""
    settings = [
        f"host.irq_ratelimit={limit}",
        "load[0].interrupts=40 kHz",
        "load[0].work=5 us",
        "load[0].calls=0 Hz",
        *more,
    ]
    scenario, where = load("netperf", settings)
    sinks: list[Sink] = []
    built = prepare(scenario, where, mechanism, 1, 100 * MS, sinks)
    record = Record(built.header)
    sinks.append(record)
    built.machine.watch_laws = 1
    built.machine.run(100 * MS)
    built.machine.columns.flush()
    assert built.machine.law_broken == 0, built.machine.law_said()
    return built.machine, list(record)


@pytest.mark.parametrize("mechanism", ["pvhvm", "apicv"])
def test_a_source_that_comes_too_often_is_off_for_10_ms(mechanism: str) -> None:
    """More than the limit in a quantum of 10 ms: off at the one that is too many, on again by a timer 10 ms later (and
    the time that its softirq takes), and none is taken in between."""
    _, rows = limited(mechanism, LIMIT)
    turns = [e for e in rows if e.kind == Kind.PIRQ_LIMIT]
    assert len(turns) > 6 and [e.b for e in turns] == [0, 1] * (len(turns) // 2) + [0] * (len(turns) % 2)
    taken = [e.time_ps for e in rows if e.kind == Kind.HOST_IRQ and e.b >= 0]
    for off, on in zip(turns[::2], turns[1::2]):
        assert 10 * MS <= on.time_ps - off.time_ps < 10.1 * MS
        assert not any(off.time_ps < t < on.time_ps for t in taken)
    for on, off in zip(turns[1::2], turns[2::2]):
        between = sum(on.time_ps <= t <= off.time_ps for t in taken)
        assert between == LIMIT + 1, "so many, and the one that is too many"


@pytest.mark.parametrize("mechanism", ["pvhvm", "apicv"])
def test_what_comes_meanwhile_is_merged_and_told_afterwards(mechanism: str) -> None:
    """A masked device keeps one message: after each quantum one interrupt comes at once, and the balance holds."""
    machine, rows = limited(mechanism, LIMIT)
    source = next(s for s in machine.sources if s.irq >= 0)
    waiting = int(source.outstanding != 0)
    assert source.serial == source.delivered + source.merged + waiting and source.merged > 1000
    on = [e.time_ps for e in rows if e.kind == Kind.PIRQ_LIMIT and e.b == 1]
    for time in on:
        sent = [e.time_ps for e in rows if e.kind == Kind.MSI_ROUTE and time <= e.time_ps < time + MS // 100]
        assert sent, "the message that was kept"


def test_without_a_limit_none_is_switched_off() -> None:
    """And at the default of 10,000 in 10 ms, neither is this one."""
    for limit in (0, 10_000):
        machine, rows = limited("apicv", limit)
        assert not any(e.kind == Kind.PIRQ_LIMIT for e in rows) and machine.irqs[0].dropped == 0


def test_the_one_too_many_may_be_told_of() -> None:
    """The switch for what is from memory: it is handed on like those before it, and its source is off all the same."""
    machine, rows = limited("apicv", LIMIT, "switches.drops_limited=false")
    assert any(e.kind == Kind.PIRQ_LIMIT for e in rows) and machine.irqs[0].dropped == 0
