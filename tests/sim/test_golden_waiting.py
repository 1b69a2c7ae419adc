"""P4, the last of its ways: posted to a vCPU that is runnable and does not run."""

from itertools import islice

from exitless.record.block import Event, Record
from exitless.record.sinks import Sink
from exitless.scenario import load, prepare
from exitless.scenario.schema import Vm
from exitless.vocab.kinds import Kind
from tests.sim.quiet import MS, PRICED, QUIET, ps

SN_HELD_BACK = 4
NOTIFIES = 1


def crowded() -> tuple[list[Event], int]:
    """Run the quiet machine with a second guest that never halts on the same pCPU. Returns: rows, the NIC's source."""
    scenario, where = load("mail", [*QUIET, *PRICED, 'host.cost.ctxsw="1 us"'])
    scenario.vm.append(Vm(name="rival", vcpus=1, pin=[1], busy=True, tick="1 s"))
    sinks: list[Sink] = []
    built = prepare(scenario, where, "vtd-posted", 1, 100 * MS, sinks)
    record = Record(built.header)
    sinks.append(record)
    built.machine.watch_laws = 1
    built.machine.run(100 * MS)
    built.machine.columns.flush()
    assert built.machine.law_broken == 0, built.machine.law_said()
    return list(record), built.header.sources.index("nic")


def test_p4_posted_to_a_runnable_vcpu_is_hwpost_and_then_whatever_brings_it_back() -> None:
    """SN = 1: PIR is set, ON is not, no vector is sent and no pCPU takes a step for it; when the scheduler has brought
    the vCPU back, its next entry merges PIR and the handler runs."""
    rows, nic = crowded()
    vcpu = next(e.vcpu for e in rows if e.kind == Kind.SOURCE_ASSERT and e.a == nic)
    asserted = handled = 0
    for n, post in enumerate(rows):
        if post.kind == Kind.SOURCE_ASSERT and post.a == nic:
            asserted = post.time_ps
        if post.kind != Kind.PID_POST or post.vcpu != vcpu or not post.b & SN_HELD_BACK or handled == 10:
            continue
        assert post.b & NOTIFIES == 0
        assert post.time_ps - asserted == ps("msi_flight")
        back = next((k for k in range(n, len(rows)) if rows[k].kind == Kind.SCHED_SWITCH and rows[k].b == vcpu), -1)
        if back < 0:
            break
        told = [e for e in rows[n:back] if e.kind == Kind.LAPIC_ACCEPT and e.a in (0xF4, 0xF5)]
        assert told == [], "neither the notification nor the wake-up vector"
        mine = (e.kind for e in rows[back:] if e.vcpu == vcpu)
        order = islice((k for k in mine if k in (Kind.PIR_SYNC, Kind.VM_ENTRY, Kind.SOURCE_HANDLE)), 3)
        assert list(order) == [Kind.PIR_SYNC, Kind.VM_ENTRY, Kind.SOURCE_HANDLE]
        handled += 1
    assert handled > 3
