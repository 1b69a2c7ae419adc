"""What guests and devices do over whole runs: moderation, masking, the NAPI budget, disk balance, ticks."""

from itertools import pairwise

import pytest

from exitless.mech.catalog import CATALOG
from exitless.record.block import Event, Record
from exitless.record.sinks import Sink
from exitless.scenario import load, prepare
from exitless.sim.machine import Machine
from exitless.vocab.kinds import Kind

MECHANISMS = [row.name for row in CATALOG]
LENGTH_PS = 10_000_000_000


def rows(mechanism: str, *settings: str) -> tuple[list[Event], Machine, list[str]]:
    """Run the mail's host with these settings."""
    scenario, name = load("mail", list(settings))
    sinks: list[Sink] = []
    built = prepare(scenario, name, mechanism, 3, LENGTH_PS, sinks)
    record = Record(built.header)
    sinks.append(record)
    built.machine.run(LENGTH_PS)
    built.machine.columns.flush()
    return list(record), built.machine, built.header.sources


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_queue_asserts_no_sooner_than_its_throttle_interval(mechanism: str) -> None:
    """EITR: 50 µs from assertion to assertion; at a high load they come exactly so."""
    found, _, names = rows(mechanism, "device[0].load=60", "device[0].train=1")
    times = [e.time_ps for e in found if e.kind == Kind.SOURCE_ASSERT and names[e.a] == "nic"]
    gaps = [b - a for a, b in pairwise(times)]
    assert len(gaps) > 10
    assert min(gaps) >= 50_000_000


def test_without_moderation_an_assertion_waits_for_nothing_but_its_mask() -> None:
    found, _, names = rows("apicv", 'device[0].moderation="0 us"', "device[0].train=1", "device[0].load=5")
    times = [e.time_ps for e in found if e.kind == Kind.SOURCE_ASSERT and names[e.a] == "nic"]
    assert min(b - a for a, b in pairwise(times)) < 50_000_000


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_queue_is_silent_from_its_assertion_until_its_ring_was_empty(mechanism: str) -> None:
    """EIAM masks it; only a poll that leaves nothing unmasks it, so no assertion of a NIC ever merges."""
    found, _, names = rows(mechanism, "device[0].load=60")
    masked = False
    for e in found:
        if e.kind == Kind.SOURCE_ASSERT and names[e.a] == "nic":
            assert not masked, e
            masked = True
        elif e.kind == Kind.NIC_POLL and e.b == 0:
            masked = False
        assert not (e.kind == Kind.SOURCE_MERGE and names[e.a] == "nic")


def test_a_poll_takes_64_frames_at_most_and_goes_on_until_the_ring_is_empty() -> None:
    """The budget is NAPI's; a full line of the shortest frames fills the ring."""
    found, machine, _ = rows("emulated", "device[0].load=100", 'device[0].frame="64 B"')
    polls = [e for e in found if e.kind == Kind.NIC_POLL]
    assert max(e.a for e in polls) == 64
    for poll, after in pairwise(polls):
        if poll.b > 0:
            assert after.a >= min(64, poll.b), "what was left is taken by the next one"
    taken = sum(e.a for e in polls)
    dropped = sum(e.a for e in found if e.kind == Kind.NIC_DROP)
    nic = machine.nics[0]
    assert nic.frames == taken + dropped + nic.queues[0].ring
    assert dropped == nic.dropped


def test_a_short_ring_drops_what_it_cannot_hold() -> None:
    found, machine, _ = rows(
        "emulated", "device[0].load=100", 'device[0].frame="64 B"', "device[0].descriptors=8"
    )  # fmt: skip
    assert machine.nics[0].dropped > 100
    assert sum(e.kind == Kind.NIC_DROP for e in found) == machine.nics[0].dropped
    assert machine.nics[0].queues[0].ring <= 8


@pytest.mark.parametrize("mechanism", ["emulated", "vtd-posted", "direct-shuffled"])
def test_requests_at_the_disk_and_in_dom0_are_always_as_many_as_the_depth(mechanism: str) -> None:
    """Each completion becomes one new request: at the device, done, or in dom0's backlog."""
    found, machine, _ = rows(mechanism, 'device[1].service="200 us"')
    for queue in machine.disks:
        vcpu = machine.vcpus[machine.sources[queue.source].vcpu]
        assert queue.flying + queue.done + vcpu.backlog == 4
    assert sum(e.kind == Kind.DISK_SUBMIT for e in found) > 50


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_guests_tick_comes_with_its_period_after_each_handling(mechanism: str) -> None:
    """The handler arms the next one: fires are one period apart, and what Xen and the handler took."""
    found, _, names = rows(mechanism, 'vm[1].tick="1 ms"')
    fired = [e.time_ps for e in found if e.kind == Kind.TIMER_FIRE and names[e.a] == "d1v0.timer"]
    assert 8 <= len(fired) <= 10
    gaps = [b - a for a, b in pairwise(fired)]
    assert all(1_000_000_000 <= gap < 1_100_000_000 for gap in gaps)
