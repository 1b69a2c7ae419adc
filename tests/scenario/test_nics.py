"""Several NICs in a scenario: each has its own wire and moderation; what a file leaves out is the next one free."""

from itertools import pairwise

import pytest

from exitless.errors import ScenarioError
from exitless.mech.catalog import CATALOG
from exitless.record.block import Record
from exitless.record.sinks import Sink
from exitless.scenario import Built, load, prepare
from exitless.vocab.kinds import Kind

LENGTH_PS = 6_000_000_000
SHARED = [row.name for row in CATALOG if row.route != "direct vector"]


def built_of(settings: list[str], mechanism: str = "apicv", scenario: str = "neighbours") -> tuple[Built, Record]:
    """Run a scenario of the library with changes, all laws asked, and keep the rows."""
    text, name = load(scenario, settings)
    sinks: list[Sink] = []
    built = prepare(text, name, mechanism, 1, LENGTH_PS, sinks)
    record = Record(built.header)
    sinks.append(record)
    built.machine.watch_laws = 1
    built.machine.run(LENGTH_PS)
    built.machine.columns.flush()
    assert built.machine.law_broken == 0, built.machine.law_said()
    return built, record


@pytest.mark.parametrize("mechanism", SHARED)
def test_each_queue_keeps_to_the_throttle_of_its_own_controller(mechanism: str) -> None:
    """IXGBE eitr: two assertions of a queue are never closer than the interval of its own controller."""
    built, record = built_of(["device[2].load=80"], mechanism)
    m = built.machine
    assert len(m.nics) == 3
    for queue in m.nic_queues:
        nic = m.nics[queue.nic]
        assert queue in nic.queues
        times = [e.time_ps for e in record if e.kind == Kind.SOURCE_ASSERT and e.a == queue.source]
        apart = [after - before for before, after in pairwise(times)]
        assert min(apart) >= nic.throttle_ps
        assert len(times) == m.sources[queue.source].serial > 8
    assert [int(n.throttle_ps) // 10**6 for n in m.nics] == [50, 200, 100]


def test_a_second_nic_leaves_the_first_ones_wire_alone() -> None:
    """Every wire draws from a stream of its own: the same frames come, whoever else there is."""
    alone = "device=[{kind='nic',name='nic-left',for='left',load=15,moderation='50 us'}]"
    frames = []
    for settings in ([], [alone]):
        built, _ = built_of(settings)
        frames.append((int(built.machine.nics[0].frames), int(built.machine.nics[0].chance.counter)))
    assert frames[0] == frames[1]


def test_vectors_and_ports_that_a_file_leaves_out_are_free_ones() -> None:
    """On one pCPU host vectors differ, in one vCPU guest vectors, in one domain ports; others may have the same."""
    built, _ = built_of([])
    m = built.machine
    mine = [m.sources[q.source] for q in m.nic_queues]
    assert len({int(m.irqs[s.irq].vector) for s in mine}) == 3
    assert [int(s.vector) for s in mine] == [0x80, 0x80, 0x81]
    built, _ = built_of([], "pvhvm")
    assert [int(built.machine.sources[q.source].port) for q in built.machine.nic_queues] == [64, 64, 65]


@pytest.mark.parametrize(
    "setting, said",
    [
        ("device[2].vectors=[0x80]", "device[2].vectors: 0x80 is taken in d2v0"),
        ("device[2].queues=31", "device[2].queues: expected 1 to 30, got 31"),
    ],
)
def test_what_is_taken_or_too_much_is_one_sentence(setting: str, said: str) -> None:
    text, name = load("neighbours", [setting])
    with pytest.raises(ScenarioError) as caught:
        prepare(text, name, "apicv", 1, LENGTH_PS, [])
    assert said in str(caught.value)


def test_queues_of_all_nics_fit_the_word_that_marks_them() -> None:
    """A vCPU marks the queues it polls in one word, whose 62 bits are the most a word has here."""
    text, name = load("neighbours", ["device[0].queues=30", "device[1].queues=30"])
    with pytest.raises(ScenarioError, match="queues of all NICs together: expected 1 to 60, got 61"):
        prepare(text, name, "apicv", 1, LENGTH_PS, [])


def test_two_controllers_of_disks_draw_their_own_times() -> None:
    """A second controller is another device, not the first one's echo."""
    one = "kind='sas',for='dom0',pcpus=[1]"
    first = f"{{{one},name='a',ports=[30],host_vectors=[0x58]}}"
    more = f"device=[{first},{{{one},name='b',ports=[31],host_vectors=[0x68]}}]"
    built, _ = built_of([more], scenario="mail")
    keys = {int(disk.chance.key) for disk in built.machine.disks}
    assert len(keys) == 2
