"""dom0 as a PVH domain, and guests with x2APICs: exactly the steps and exits that Xen's code takes."""

import pytest

from exitless.record.block import Event
from exitless.scenario import load, prepare
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner
from tests.sim.quiet import MS, Quiet, at, exits, ps, steps, upto

X = ["exit", "entry", "assist"]
DOM0 = [
    'vm[0].kind="pvh"', 'device[1].vectors=[0x51]', "device[1].ports=[30]", "device[1].host_vectors=[0x58]",
    "device[1].pcpus=[2]", "device[1].depth=1", 'device[1].service="1 ms"',
]  # fmt: skip
FOUND = ["doirq", "dpci", "vmsi", "vlapic"]


def second(mechanism: str) -> list[Event]:
    """Return the rows on dom0's pCPU from an interrupt that finds a PVH dom0 at work."""
    quiet = Quiet(mechanism, *DOM0, 'host.cost.g_disk_done="300 ms"')
    before = len(quiet.run(20 * MS))
    quiet.machine.now = 20 * MS
    quiet.machine.assert_msi(quiet.machine.sources[quiet.source("sas.0")])
    return [e for e in quiet.run(22 * MS)[before:] if e.pcpu == 2]


@pytest.mark.parametrize("mechanism, more, rest", [
    ("emulated", ["kick", "assist", "inject"], [Exit.APIC_ACCESS]),
    ("apicv", ["kick", "assist", "vmread", "vmwrite"], []),
    ("posted", ["pirsync", "assist", "vmread", "vmwrite"], []),
])  # fmt: skip
def test_p7_a_pvh_dom0_pays_an_exit_for_its_own_interrupt(mechanism: str, more: list[str], rest: list[int]) -> None:
    """X(1) + doirq + dpci + vmsi + vlapic and what the mechanism adds, where a PV dom0 has an interrupt gate and no
    exit; its EOI exits without APICv."""
    rows = second(mechanism)
    way = upto(rows, Kind.SOURCE_HANDLE)
    assert steps(way) == sorted([*X, *FOUND, *more])
    assert way[-1].time_ps - 20 * MS == ps("msi_flight", "remap", *X, *FOUND, *more)
    assert exits(upto(rows, Kind.IRQ_RETURN)) == [Exit.EXTERNAL_INTERRUPT, *rest]


def test_p7_a_pvh_dom0_that_is_posted_to_pays_none() -> None:
    """hwpost + notify."""
    rows = second("vtd-posted")
    assert steps(upto(rows, Kind.SOURCE_HANDLE)) == ["notify"]
    assert exits(upto(rows, Kind.IRQ_RETURN)) == []
    assert at(rows, Kind.SOURCE_HANDLE) - 20 * MS == ps("msi_flight", "hwpost", "notify")


def test_a_pvh_dom0_halts_by_an_exit_and_owns_its_time() -> None:
    """HLT where a PV dom0 calls SCHEDOP_block; what it runs is still dom0's on the timeline."""
    record = Quiet("apicv", *DOM0).run(8 * MS)
    mine = [e for e in record if e.pcpu == 2]
    assert {e.a for e in mine if e.kind == Kind.GUEST_HLT} == {0}
    owners = {e.a for e in mine if e.kind == Kind.CPU_OWNER}
    assert Owner.DOM0 in owners and Owner.GUEST not in owners


def test_its_backend_sends_by_vmcall() -> None:
    """X(18) + hypercall + evraise + kick, where a PV dom0's call has no exit."""
    scenario, where = load("mail-pvh-dom0")
    sinks: list[object] = []
    built = prepare(scenario, where, "apicv", 1, 20 * MS, sinks)  # type: ignore[arg-type]
    from exitless.record.block import Record

    record = Record(built.header)
    sinks.append(record)
    built.machine.run(20 * MS)
    built.machine.columns.flush()
    dom0 = {n for n, owner in enumerate(built.header.owners) if owner == Owner.DOM0}
    calls = [e for e in record if e.kind == Kind.HYPERCALL and e.vcpu in dom0]
    vmcalls = [e for e in record if e.kind == Kind.VM_EXIT and e.vcpu in dom0 and e.a == Exit.VMCALL]
    assert len(calls) > 10 and [e.time_ps for e in calls] == [e.time_ps for e in vmcalls]


@pytest.mark.parametrize("kind, follows", [("pv", True), ("pvh", False)])
def test_candidate_c6_a_pvh_dom0s_interrupt_stays_behind(kind: str, follows: bool) -> None:
    """dom0's vCPU is moved: a PV domain's PIRQ goes after it at its next occurrence; hvm_migrate_pirqs finds no dpci
    structure for a PVH hardware domain, so the interrupt is taken on the old pCPU for good."""
    settings = [*DOM0, f'vm[0].kind="{kind}"', 'device[1].service="100 us"']
    quiet = Quiet("apicv", *settings)
    machine = quiet.machine
    source = machine.sources[quiet.source("sas.0")]
    irq = machine.irqs[source.irq]
    machine.schedule_move(machine.vcpus[source.vcpu], 3, 5 * MS)
    rows = quiet.run(12 * MS)
    assert machine.vcpus[source.vcpu].ran_on == 3
    assert (int(irq.pcpu) == 3) == follows
    late = {e.pcpu for e in rows if e.kind == Kind.HOST_IRQ and e.a == irq.vector and e.time_ps > 8 * MS}
    assert late == ({3} if follows else {2})


# ---- x2APIC guests ----


@pytest.mark.parametrize("mechanism, reasons", [
    ("emulated", [Exit.EXTERNAL_INTERRUPT, Exit.MSR_WRITE]),
    ("apic-registers", [Exit.EXTERNAL_INTERRUPT, Exit.MSR_WRITE]),
    ("apicv", [Exit.EXTERNAL_INTERRUPT]), ("posted", [Exit.EXTERNAL_INTERRUPT]), ("vtd-posted", []),
])  # fmt: skip
def test_p1_and_p3_with_an_x2apic(mechanism: str, reasons: list[int]) -> None:
    """The EOI is WRMSR 80BH: reason 32 where nothing virtualizes it, register virtualization alone included; free with
    virtual-interrupt delivery."""
    rows = Quiet(mechanism, 'vm[1].apic="x2apic"').first("nic", 8 * MS)
    whole = upto(rows, Kind.IRQ_RETURN)
    assert exits(whole) == reasons
    for e in whole:
        assert e.kind != Kind.VM_EXIT or e.a != Exit.MSR_WRITE or e.b == 0x0B


@pytest.mark.parametrize("mechanism", ["emulated", "apicv", "posted"])
def test_p6_an_x2apics_icr_is_one_intercepted_write(mechanism: str) -> None:
    """X(32) + icr + vlapic at the sender, without any emulation of an access; Xen intercepts the ICR always."""
    settings = [
        'vm[0].apic="x2apic"', 'vm[0].tick="1 s"', 'vm[0].ipi="2 ms"', "vm[0].vcpus=2", "vm[0].pin=[0,1]",
        'host.tick="1 s"', 'host.timeslice="1 s"',
    ]  # fmt: skip
    rows = Quiet(mechanism, *settings, name="ipi-storm").first("d0v0.ipi", 60 * MS)
    way = upto(rows, Kind.SOURCE_HANDLE)
    sent = [e for e in way if e.kind == Kind.VM_EXIT and e.pcpu == 1]
    assert [(e.a, e.b) for e in sent] == [(Exit.MSR_WRITE, 0x30)]
    assert "apic_emulation" not in steps(way, 1) and {"icr", "vlapic"} <= set(steps(way, 1))
