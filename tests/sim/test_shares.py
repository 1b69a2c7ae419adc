"""Whole runs under both of Xen's schedulers: time by weight, caps, and what a woken vCPU waits for."""

from itertools import pairwise

import pytest

from exitless.record.block import Record
from exitless.record.sinks import Sink
from exitless.scenario import load, prepare
from exitless.scenario.schema import Scenario, Vm
from exitless.vocab.kinds import Kind, RunState
from tests.sim.quiet import MS

US = 1_000_000
BOTH = pytest.mark.parametrize("scheduler", ["credit", "credit2"])


def crowd(scheduler: str, pcpus: int, guests: list[Vm], *settings: str) -> Scenario:
    """Return a host on which these guests never halt."""
    scenario, _ = load("overcommit", ['host.cost.g_application="50 us"', *settings])
    scenario.host.scheduler, scenario.host.pcpus = scheduler, pcpus
    scenario.vm, scenario.device, scenario.load = guests, [], []
    return scenario


def run(scenario: Scenario, length_ps: int) -> Record:
    """Run it with every law asked after each event."""
    sinks: list[Sink] = []
    built = prepare(scenario, "crowd", "apicv", 1, length_ps, sinks)
    record = Record(built.header)
    sinks.append(record)
    built.machine.watch_laws = 1
    built.machine.run(length_ps)
    built.machine.columns.flush()
    assert built.machine.law_broken == 0, built.machine.law_said()
    return record


def ran(record: Record, vcpus: int, length_ps: int) -> list[int]:
    """Return for how long each vCPU was in runstate running, from the rows alone."""
    total, since = [0] * vcpus, [-1] * vcpus
    for e in record:
        if e.kind == Kind.RUNSTATE:
            if e.b == RunState.RUNNING:
                since[e.vcpu] = e.time_ps
            elif e.a == RunState.RUNNING and since[e.vcpu] >= 0:
                total[e.vcpu] += e.time_ps - since[e.vcpu]
                since[e.vcpu] = -1
    return [t + (length_ps - s if s >= 0 else 0) for t, s in zip(total, since, strict=True)]


@BOTH
@pytest.mark.parametrize("weights", [(256, 256), (256, 512), (100, 300), (256, 1024)])
def test_time_is_shared_by_weight_on_one_pcpu(scheduler: str, weights: tuple[int, int]) -> None:
    """Two guests that never halt: in the long run each has its part within 2 %."""
    length = 3000 * MS
    guests = [Vm(name=f"g{n}", busy=True, tick="100 ms", weight=w) for n, w in enumerate(weights)]
    share = ran(run(crowd(scheduler, 1, guests), length), 2, length)
    for mine, weight in zip(share, weights, strict=True):
        assert abs(mine / length - weight / sum(weights)) < 0.02


@BOTH
def test_time_is_shared_by_weight_on_several_pcpus(scheduler: str) -> None:
    """Five vCPUs that may run anywhere, on two pCPUs: by weight of the domain, each vCPU alike; nobody idles."""
    length = 4000 * MS
    guests = [
        Vm(name="a", vcpus=3, busy=True, tick="100 ms"),
        Vm(name="b", vcpus=2, busy=True, tick="100 ms", weight=384),
    ]
    share = ran(run(crowd(scheduler, 2, guests), length), 5, length)
    assert abs(sum(share) / (2 * length) - 1) < 0.01
    for mine, weight in zip(share, [256, 256, 256, 384, 384], strict=True):
        assert abs(mine / (2 * length) - weight / 1536) < 0.02


@BOTH
@pytest.mark.parametrize("cap", [20, 50, 120])
def test_a_cap_holds_on_an_idle_host(scheduler: str, cap: int) -> None:
    """Per cent of one pCPU for the whole domain, though nobody else wants the rest; the other guest has no cap."""
    length = 3000 * MS
    guests = [Vm(name="a", vcpus=2, busy=True, tick="100 ms", cap=cap), Vm(name="b", busy=True, tick="100 ms")]
    share = ran(run(crowd(scheduler, 3, guests), length), 3, length)
    assert abs((share[0] + share[1]) / length - cap / 100) < 0.02
    assert share[2] / length > 0.99


def wake_waits(record: Record, vcpu: int) -> list[int]:
    """Return how long the vCPU was runnable after each of its wakes."""
    mine = [e for e in record if e.vcpu == vcpu and e.kind == Kind.RUNSTATE]
    return [b.time_ps - a.time_ps for a, b in pairwise(mine) if a.a == RunState.BLOCKED]


@BOTH
def test_a_waker_on_a_busy_pcpu_waits_for_the_rate_limit_at_most(scheduler: str) -> None:
    """A guest that sleeps most of the time against one that never does: credit boosts it, credit2 finds that it has
    more credit. Both let the other finish its rate limit of 1 ms, credit2 less 50 us, but for a short slice."""
    guests = [Vm(name="sleeper", tick="3100 us"), Vm(name="busy", busy=True, tick="100 ms")]
    waits = wake_waits(run(crowd(scheduler, 1, guests), 400 * MS), 0)
    assert len(waits) > 100
    assert max(waits) < 1020 * US
    assert sum(w < 20 * US for w in waits) > 0.9 * len(waits), "the busy one has mostly run for longer than that"


@pytest.mark.parametrize(
    "scheduler, limit, low, high",
    [
        ("credit", "0 us", 0, 20 * US),
        ("credit2", "0 us", 0, 20 * US),
        ("credit", "1 ms", 250 * US, 1020 * US),
        ("credit2", "1 ms", 9 * MS, 10 * MS),
    ],
)
def test_who_wakes_inside_the_others_rate_limit(scheduler: str, limit: str, low: int, high: int) -> None:
    """Woken 700 us into the other's turn: credit asks the pCPU, which plans to choose again when the limit is over.
    credit2 tells nobody, so the other goes on to the end of its slice, which was set before there was a waiter."""
    guests = [Vm(name="sleeper", tick="700 us"), Vm(name="busy", busy=True, tick="100 ms")]
    waits = wake_waits(run(crowd(scheduler, 1, guests, f'host.ratelimit="{limit}"'), 200 * MS), 0)
    assert len(waits) > 10
    assert low <= max(waits) < high


def test_a_boost_goes_before_the_queue_and_credit2_goes_by_credit() -> None:
    """Three busy guests share a pCPU with one that sleeps. Under credit it never waits behind their slices of 30 ms;
    a vCPU that is not boosted does (its wait after a preemption)."""
    guests = [Vm(name="sleeper", tick="20 ms"), *(Vm(name=f"b{n}", busy=True, tick="100 ms") for n in range(3))]
    for scheduler, longest in (("credit", 55 * MS), ("credit2", 1 * MS)):
        record = run(crowd(scheduler, 1, guests), 1500 * MS)
        assert max(wake_waits(record, 0)) < 1020 * US
        busy = [e for e in record if e.vcpu == 1 and e.kind == Kind.RUNSTATE]
        waits = [b.time_ps - a.time_ps for a, b in pairwise(busy) if a.a == RunState.RUNNING]
        assert max(waits) > longest, scheduler


@BOTH
def test_a_pinned_waker_moves_a_movable_vcpu_away_to_an_idle_pcpu(scheduler: str) -> None:
    """pCPU1 is free: credit marks the running one as migrating, credit2 lets it find the idle pCPU once it is saved."""
    guests = [Vm(name="pinned", pin=[0], busy=True, tick="100 ms"), Vm(name="free", busy=True, tick="100 ms")]
    length = 300 * MS
    record = run(crowd(scheduler, 2, guests), length)
    assert min(ran(record, 2, length)) > 0.95 * length
