"""Nothing is lost and no time is: balances of interrupts and of pCPU time, laws, order, in every mechanism."""

import pytest

from exitless.mech.catalog import CATALOG
from exitless.record.block import Record
from exitless.record.sinks import Sink
from exitless.scenario import load, prepare, simulate
from exitless.vocab.kinds import Kind, Owner
from exitless.vocab.table import BY_KIND

MECHANISMS = [row.name for row in CATALOG]
LENGTH_PS = 12_000_000_000
SEEDS = [1, 2, 77]
FORMS = {
    "as it is": [],
    "two vCPUs not pinned": ["vm[1].vcpus=2", "vm[1].pin=[]", "device[0].queues=2"],
    "moved under load": ['move=[{vm="guest",at="4 ms",to=2},{vm="guest",at="8 ms",to=0}]'],
    "tick by event channel": ['vm[1].timer="event"'],
    "all on one pCPU": ["host.pcpus=1", "vm[0].pin=[0,0,0,0]", "vm[1].pin=[0]", "device[1].pcpus=[0,0,0,0]"],
}


def recorded(mechanism: str, seed: int, settings: list[str]) -> tuple[Record, object]:
    """Run with all laws asked after every event, and keep the rows."""
    scenario, name = load("mail", settings)
    sinks: list[Sink] = []
    built = prepare(scenario, name, mechanism, seed, LENGTH_PS, sinks)
    record = Record(built.header)
    sinks.append(record)
    built.machine.watch_laws = 1
    built.machine.run(LENGTH_PS)
    built.machine.columns.flush()
    assert built.machine.law_broken == 0, built.machine.law_said()
    return record, built.machine


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_assertion_is_accounted_for_and_every_law_holds(mechanism: str, form: str) -> None:
    """asserted = delivered + coalesced + pending for each source, counted anew from the rows alone."""
    record, machine = recorded(mechanism, 1, FORMS[form])
    for source in machine.sources:
        mine = [e for e in record if e.a == source.number and e.kind in HANDLED]
        asserted = sum(e.kind == Kind.SOURCE_ASSERT for e in mine)
        merged = sum(e.kind == Kind.SOURCE_MERGE for e in mine)
        delivered = sum(e.kind == Kind.SOURCE_HANDLE and e.b != 0 for e in mine)
        pending = int(source.outstanding != 0)
        assert asserted == delivered + merged + pending
        assert (asserted, merged, delivered) == (source.serial, source.merged, source.delivered)
        serials = [e.b for e in mine if e.kind == Kind.SOURCE_ASSERT]
        assert serials == list(range(1, asserted + 1))
        handled = [e.b for e in mine if e.kind == Kind.SOURCE_HANDLE and e.b != 0]
        assert handled == sorted(set(handled)), "each serial is handled once at most, in order"
    assert sum(s.delivered for s in machine.sources) > 50


HANDLED = (Kind.SOURCE_ASSERT, Kind.SOURCE_MERGE, Kind.SOURCE_HANDLE)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_time_goes_forward_and_pcpu_time_adds_up(mechanism: str, seed: int) -> None:
    """Rows of one pCPU never go back in time; owners take turns, and their shares are the whole length exactly."""
    record, machine = recorded(mechanism, seed, [])
    last = [0] * len(machine.pcpus)
    owner = [Owner.IDLE] * len(machine.pcpus)
    since = [0] * len(machine.pcpus)
    spent = [dict.fromkeys(range(4), 0) for _ in machine.pcpus]
    for e in record:
        assert e.kind in BY_KIND
        if e.pcpu < 0 or e.kind in (Kind.MSI_ROUTE, Kind.LAPIC_ACCEPT, Kind.DISK_SUBMIT):
            continue
        assert e.time_ps >= last[e.pcpu], (e, last[e.pcpu])
        last[e.pcpu] = e.time_ps
        if e.kind == Kind.CPU_OWNER:
            until = min(e.time_ps, LENGTH_PS)
            spent[e.pcpu][owner[e.pcpu]] += until - since[e.pcpu]
            owner[e.pcpu], since[e.pcpu] = e.a, until
    for pcpu, shares in enumerate(spent):
        shares[owner[pcpu]] += LENGTH_PS - since[pcpu]
        assert sum(shares.values()) == LENGTH_PS
        assert all(share >= 0 for share in shares.values())
    assert spent[1][Owner.GUEST] > LENGTH_PS // 3, "the guest lives on pCPU1"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_exits_and_entries_alternate_and_a_vcpu_is_in_one_place(mechanism: str) -> None:
    """Between an exit and the next entry a vCPU does nothing that only a running guest does."""
    record, _ = recorded(mechanism, 1, FORMS["two vCPUs not pinned"])
    inside: dict[int, int] = {}
    for e in record:
        if e.kind == Kind.VM_ENTRY:
            assert e.vcpu not in inside, "an entry of a vCPU that is in its guest"
            assert e.pcpu not in inside.values(), "two guests on one pCPU"
            inside[e.vcpu] = e.pcpu
        elif e.kind == Kind.VM_EXIT:
            assert inside.pop(e.vcpu) == e.pcpu
        elif e.kind in (Kind.IRQ_DELIVER, Kind.IRQ_EOI, Kind.PID_PROCESS):
            assert inside.get(e.vcpu) == e.pcpu, e


@pytest.mark.parametrize("mechanism", ["pvhvm", "vtd-posted"])
def test_one_seed_one_record_and_another_seed_another(mechanism: str) -> None:
    first, again, other = (simulate("mail", mechanism, seed, 3_000_000_000) for seed in (5, 5, 6))
    assert (first.time, first.where, first.a, first.b) == (again.time, again.where, again.a, again.b)
    assert first.time != other.time


def test_a_sink_does_not_change_the_run() -> None:
    """The same events happen whether somebody keeps the rows or not, and whether laws are asked or not."""
    scenario, name = load("mail")
    counts = set()
    for listen, laws in ((False, 0), (True, 0), (True, 1)):
        sinks: list[Sink] = []
        built = prepare(scenario, name, "apicv", 1, 3_000_000_000, sinks)
        if listen:
            sinks.append(Record(built.header))
        built.machine.watch_laws = laws
        built.machine.run(3_000_000_000)
        counts.add((int(built.machine.events), int(built.machine.columns.rows())))
    assert len(counts) == 1
