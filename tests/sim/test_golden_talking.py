"""P5, P6 and upcalls by the local APIC: exactly the steps that Xen's code takes, and their sum.

As in test_golden, one vmx_intr_assist is a step of its own, a softirq found pending sends Xen through it once more,
and a request without posting also kicks.
"""

import pytest

from exitless.record.block import Event
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind
from tests.sim.quiet import MS, Quiet, at, exits, ps, steps, upto

X = ["exit", "entry", "assist"]
GUEST = 1
END = 8 * MS


# ---- P2 with an upcall vector ----


def test_p2_with_an_emulated_local_apic() -> None:
    """X(1) + doirq + dpci + evraise + callback + vlapic + kick + inject; then X(44) for the EOI with which the upcall
    begins, and X(18) + pirqeoi: three exits and no window."""
    rows = Quiet("upcall-emulated").first("nic", END)
    entered = upto(rows, Kind.UPCALL_ENTER)
    expected = [*X, "doirq", "dpci", "evraise", "callback", "vlapic", "kick", "inject", "assist"]
    assert steps(entered) == sorted([*expected, *X, "eoi_exit", "msieoi"])
    whole = upto(rows, Kind.IRQ_RETURN)
    assert steps(whole[len(entered) :]) == sorted([*X, "hypercall", "pirqeoi"])
    assert exits(whole) == [Exit.EXTERNAL_INTERRUPT, Exit.APIC_ACCESS, Exit.VMCALL]
    assert not any(e.kind == Kind.IRQ_WINDOW for e in whole)


@pytest.mark.parametrize("mechanism, more", [("upcall-apicv", ["kick"]), ("upcall-posted", ["pirsync"])])
def test_p2_with_apicv(mechanism: str, more: list[str]) -> None:
    """X(1) + doirq + dpci + evraise + callback + vlapic, RVI; the EOI is free; X(18) + pirqeoi: two exits."""
    rows = Quiet(mechanism).first("nic", END)
    entered = upto(rows, Kind.UPCALL_ENTER)
    expected = [*X, "doirq", "dpci", "evraise", "callback", "vlapic", *more, "assist", "vmread", "vmwrite"]
    assert steps(entered) == sorted(expected)
    whole = upto(rows, Kind.IRQ_RETURN)
    assert steps(whole[len(entered) :]) == sorted([*X, "hypercall", "pirqeoi"])
    assert exits(whole) == [Exit.EXTERNAL_INTERRUPT, Exit.VMCALL]
    assert not any(e.kind in (Kind.IRQ_WINDOW, Kind.IRQ_INJECT) for e in whole)
    (eoi,) = [e for e in whole if e.kind == Kind.IRQ_EOI]
    assert (eoi.a, eoi.b) == (0xF3, 0)
    inside = ps(*expected, "eoi_virt", "g_irq_entry", "guestloop")
    assert at(rows, Kind.UPCALL_ENTER) - rows[0].time_ps == ps("msi_flight", "remap") + inside


# ---- P5: the backend's event ----

DISK = [
    "vm[1].busy=true", 'host.tick="100 ms"', 'host.timeslice="100 ms"', 'vm[1].tick="1 s"', "device[0].load=10",
    "device[0].train=1",
    'device[0].rate="1 Mbit/s"', 'device[1].service="20 ms"', "device[1].depth=1", "device[2].disk_queues=[1,3]",
    "device[1].pcpus=[0,2,3,0]", 'host.cost.g_back="3 us"',
]  # fmt: skip


def backend_event(mechanism: str, *settings: str) -> list[Event]:
    """Return the rows from the backend's hypercall on."""
    return Quiet(mechanism, *DISK, *settings, name="mail-mixed").first("vbd.0", 90 * MS)


@pytest.mark.parametrize("mechanism", ["emulated", "apicv", "posted"])
def test_p5_by_the_global_vector(mechanism: str) -> None:
    """S: hypercall + evraise + kick + ipi_send; the flight; T: X(1) + direct + assist + inject; later X(7) + window."""
    rows = backend_event(mechanism)
    way = upto(rows, Kind.SOURCE_HANDLE)
    sender = next(e.pcpu for e in way if e.kind == Kind.HYPERCALL)
    there = ["hypercall", "evraise", "kick", "ipi_send"]
    here = [*X, "direct", "softirq", "assist", "inject"]
    assert set(there) <= set(steps(way, sender))
    assert steps(way, GUEST) == sorted(here)
    assert [e.a for e in way if e.kind == Kind.IPI_SEND][:1] == [0xFC]
    guest = ps("g_irq_entry", "guestloop", "g_dispatch")
    assert way[-1].time_ps - way[0].time_ps == ps(*there, "ipi_flight", *here) + guest
    whole = upto(rows, Kind.IRQ_RETURN)
    assert [e.a for e in whole if e.kind == Kind.VM_EXIT and e.pcpu == GUEST][:2] == [
        Exit.EXTERNAL_INTERRUPT, Exit.VMCALL,
    ]  # fmt: skip
    after = [e for e in rows if e.kind == Kind.VM_EXIT and e.time_ps >= whole[-1].time_ps]
    assert after[0].a == Exit.INTERRUPT_WINDOW and after[0].time_ps == whole[-1].time_ps


def test_p5_by_an_upcall_vector_that_is_posted() -> None:
    """S: hypercall + evraise + callback + vlapic + notification; T: no exit until the guest itself calls."""
    rows = backend_event("posted", 'vm[1].callback="upcall"')
    way = upto(rows, Kind.SOURCE_HANDLE)
    there = ["hypercall", "evraise", "callback", "vlapic", "ipi_send"]
    assert steps(way, GUEST) == ["notify"]
    assert not any(e.kind == Kind.VM_EXIT and e.pcpu == GUEST for e in way)
    assert [e.a for e in way if e.kind == Kind.IPI_SEND][:1] == [0xF4]
    guest = ps("eoi_virt", "g_irq_entry", "guestloop", "g_dispatch")
    assert way[-1].time_ps - way[0].time_ps == ps(*there, "ipi_flight", "notify") + guest
    whole = upto(rows, Kind.IRQ_RETURN)
    assert [e.a for e in whole if e.kind == Kind.VM_EXIT and e.pcpu == GUEST] == [Exit.VMCALL], "the next request"
    assert not any(e.kind in (Kind.IRQ_WINDOW, Kind.IRQ_INJECT) and e.pcpu == GUEST for e in whole)


# ---- P6: interprocessor interrupts ----

STORM = ['vm[0].tick="1 s"', 'vm[0].ipi="2 ms"', "vm[0].vcpus=2", "vm[0].pin=[0,1]", 'host.tick="1 s"',
         'host.timeslice="1 s"']  # fmt: skip


def one_ipi(mechanism: str) -> tuple[list[Event], list[Event]]:
    """Return the rows of the first IPI to vCPU 0: up to its handler, and from there to the handler's return."""
    rows = Quiet(mechanism, *STORM, name="ipi-storm").first("d0v0.ipi", 60 * MS)
    way = upto(rows, Kind.SOURCE_HANDLE)
    return way, upto(rows[len(way) :], Kind.IRQ_RETURN)


@pytest.mark.parametrize("mechanism", ["pvhvm", "pvhvm-apicv"])
def test_p6_as_an_event(mechanism: str) -> None:
    """S: X(18) + evraise + kick; T: X(1) + direct + assist + inject, with APICv or without."""
    way, _ = one_ipi(mechanism)
    assert [(e.pcpu, e.a) for e in way if e.kind == Kind.VM_EXIT] == [(1, Exit.VMCALL), (0, Exit.EXTERNAL_INTERRUPT)]
    before = ["exit", "hypercall", "evraise", "kick", "ipi_send"]
    assert sorted(set(before) | {"assist", "entry"}) == steps(way, 1)
    here = [*X, "direct", "softirq", "assist", "inject"]
    assert steps(way, 0) == sorted(here)
    guest = ps("g_irq_entry", "guestloop", "g_dispatch")
    assert way[-1].time_ps - way[0].time_ps == ps(*before, "ipi_flight", *here) + guest


def test_p6_as_an_icr_write_with_posting() -> None:
    """S: X(56) + icr + vlapic + notification; T: no exit."""
    way, rest = one_ipi("posted")
    assert [(e.pcpu, e.a) for e in way if e.kind == Kind.VM_EXIT] == [(1, Exit.APIC_WRITE)]
    assert steps(way, 0) == ["notify"]
    before = ["exit", "icr", "vlapic", "ipi_send"]
    assert set(before) <= set(steps(way, 1)) and "apic_emulation" not in steps(way, 1)
    assert way[-1].time_ps - way[0].time_ps == ps(*before, "ipi_flight", "notify")
    assert not any(e.kind == Kind.VM_EXIT and e.pcpu == 0 for e in rest), "and its EOI is free"


@pytest.mark.parametrize("mechanism, reason", [("emulated", Exit.APIC_ACCESS), ("apic-registers", Exit.APIC_WRITE)])
def test_p6_as_an_icr_write_without_apicv(mechanism: str, reason: int) -> None:
    """S: X(44 or 56) + icr + vlapic + kick; T: X(1) + direct + inject, and its EOI exits."""
    way, rest = one_ipi(mechanism)
    assert [(e.pcpu, e.a) for e in way if e.kind == Kind.VM_EXIT] == [(1, reason), (0, Exit.EXTERNAL_INTERRUPT)]
    emulation = ["apic_emulation"] if reason == Exit.APIC_ACCESS else []
    before = ["exit", *emulation, "icr", "vlapic", "kick", "ipi_send"]
    here = [*X, "direct", "softirq", "assist", "inject"]
    assert steps(way, 0) == sorted(here)
    assert way[-1].time_ps - way[0].time_ps == ps(*before, "ipi_flight", *here)
    assert [e.a for e in rest if e.kind == Kind.VM_EXIT and e.pcpu == 0] == [reason]


def test_the_upper_half_of_the_icr_exits_only_without_register_virtualization() -> None:
    """It is a store of its own: an APIC access exits, a virtualized page keeps it."""
    for mechanism, offsets in (("emulated", {0x310, 0x300}), ("apic-registers", {0x300}), ("posted", {0x300})):
        quiet = Quiet(mechanism, *STORM, name="ipi-storm")
        rows = quiet.run(20 * MS)
        seen = {e.b & 0xFFF for e in rows if e.kind == Kind.VM_EXIT and e.a in (Exit.APIC_ACCESS, Exit.APIC_WRITE)}
        assert seen & {0x300, 0x310} == offsets, mechanism
