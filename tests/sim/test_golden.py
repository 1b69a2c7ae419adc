"""One interrupt's way under each mechanism: exactly the steps that Xen's code takes, path by path, and their sum.

The lists are those of the cost model: c_entry there holds one vmx_intr_assist, which is a step of its own here
(``entry`` and ``assist``), and a softirq found pending sends Xen through it once more. A request without posting
also kicks (``kick``), and an EOI that reaches Xen walks the domain's PIRQs (``msieoi``).
"""

import pytest

from exitless.sim.state import Softirq
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind
from tests.sim.quiet import MS, Quiet, at, exits, ps, steps, upto

X = ["exit", "entry", "assist"]
END = 8 * MS


@pytest.mark.parametrize("mechanism, reason", [("emulated", Exit.APIC_ACCESS), ("apic-registers", Exit.APIC_WRITE)])
def test_p1_without_apicv(mechanism: str, reason: int) -> None:
    """X(1) + doirq + dpci + vmsi + vlapic + assist + inject, later X(44 or 56) + eoi_exit: two exits."""
    rows = Quiet(mechanism).first("nic", END)
    way = upto(rows, Kind.SOURCE_HANDLE)
    assert steps(way) == sorted([*X, "doirq", "dpci", "vmsi", "vlapic", "kick", "assist", "inject"])
    whole = upto(rows, Kind.IRQ_RETURN)
    assert steps(whole[len(way) :]) == sorted([*X, "eoi_exit", "msieoi"])
    assert exits(whole) == [Exit.EXTERNAL_INTERRUPT, reason]
    flight = ps("msi_flight", "remap")
    inside = ps(*X, "doirq", "dpci", "vmsi", "vlapic", "kick", "assist", "inject")
    assert at(rows, Kind.SOURCE_HANDLE) - rows[0].time_ps == flight + inside


def test_p2_by_a_pirq_and_the_global_vector() -> None:
    """X(1) + doirq + dpci + evraise + assist + inject; guest loop; X(18) + pirqeoi; X(7) + window.

    The window is armed right after the injection, as upcall_pending is still 1, fires at the handler's IRET and finds
    nothing. A global vector costs no callback assertion.
    """
    rows = Quiet("pvhvm").first("nic", END)
    entered = upto(rows, Kind.UPCALL_ENTER)
    assert steps(entered) == sorted([*X, "doirq", "dpci", "evraise", "kick", "assist", "inject"])
    handled = upto(rows, Kind.SOURCE_HANDLE)
    assert steps(handled[len(entered) :]) == sorted([*X, "hypercall", "pirqeoi"])
    whole = upto(rows, Kind.VM_ENTRY, 3)
    assert steps(whole[len(handled) :]) == sorted([*X, "window"])
    assert exits(whole) == [Exit.EXTERNAL_INTERRUPT, Exit.VMCALL, Exit.INTERRUPT_WINDOW]
    assert [e.a for e in whole if e.kind == Kind.IRQ_INJECT] == [0xF3], "the window's exit finds nothing to inject"
    assert [e.a for e in whole if e.kind == Kind.IRQ_WINDOW] == [0xF3]
    inside = ps(*X, "doirq", "dpci", "evraise", "kick", "assist", "inject", "g_irq_entry", "guestloop")
    assert at(rows, Kind.UPCALL_ENTER) - rows[0].time_ps == ps("msi_flight", "remap") + inside


@pytest.mark.parametrize("mechanism, more", [("apicv", ["kick"]), ("posted", ["pirsync"])])
def test_p3_with_apicv(mechanism: str, more: list[str]) -> None:
    """X(1) + doirq + dpci + vmsi + vlapic (+ pirsync) + assist with one read and one write of RVI; the EOI is free."""
    rows = Quiet(mechanism).first("nic", END)
    way = upto(rows, Kind.SOURCE_HANDLE)
    expected = [*X, "doirq", "dpci", "vmsi", "vlapic", *more, "assist", "vmread", "vmwrite"]
    assert steps(way) == sorted(expected)
    whole = upto(rows, Kind.IRQ_RETURN)
    assert steps(whole[len(way) :]) == []
    assert exits(whole) == [Exit.EXTERNAL_INTERRUPT]
    assert at(rows, Kind.SOURCE_HANDLE) - rows[0].time_ps == ps("msi_flight", "remap", *expected)


def test_p4_posted_by_the_remapping_unit_to_a_running_vcpu() -> None:
    """hwpost + notify and nothing else: no exit, no do_IRQ, no softirq."""
    rows = upto(Quiet("vtd-posted").first("nic", END), Kind.IRQ_RETURN)
    assert steps(rows) == ["notify"]
    assert exits(rows) == []
    assert not any(e.kind in (Kind.HOST_IRQ, Kind.SOFTIRQ) for e in rows)
    assert at(rows, Kind.SOURCE_HANDLE) - rows[0].time_ps == ps("msi_flight", "hwpost", "notify")


def test_p4_posted_to_a_blocked_vcpu() -> None:
    """hwpost, the wakeup vector's direct + wakelist + unblock + sched, no context switch where the state is still
    loaded, then assist + pirsync with RVI, and entry. schedule() has set its slice timer, the earliest of this pCPU:
    so TIMER_SOFTIRQ sends the entry path round once more."""
    rows = Quiet("vtd-posted", "vm[1].busy=false").first("nic", END)
    way = upto(rows, Kind.SOURCE_HANDLE)
    assert [e.a for e in way if e.kind == Kind.SOFTIRQ] == [Softirq.SCHEDULE, Softirq.TIMER]
    slice_timer = ["softirq", "assist"]
    expected = [
        "direct",
        "wakelist",
        "unblock",
        "sched",
        "assist",
        "pirsync",
        "vmread",
        "vmwrite",
        *slice_timer,
        "entry",
    ]
    assert steps(way) == sorted(expected)
    assert exits(way) == []
    assert [e.a for e in way if e.kind == Kind.HOST_IRQ] == [0xF5]
    assert at(rows, Kind.SOURCE_HANDLE) - rows[0].time_ps == ps("msi_flight", "hwpost", *expected)


def test_p4_posted_to_a_vcpu_in_root_mode_on_its_pcpu() -> None:
    """hwpost + direct(notification): the vector lands in Xen, which looks at PIR once more before the entry."""
    quiet = Quiet("vtd-posted", 'host.cost.apic_emulation="5 ms"', 'vm[1].tick="5 ms"')
    rows = quiet.first("nic", 14 * MS)
    exit = [e for e in quiet.record if e.kind == Kind.VM_EXIT and e.time_ps < rows[0].time_ps][-1]
    assert exit.a == Exit.APIC_WRITE, "the guest has set its timer, and Xen is long about it"
    way = upto(rows, Kind.VM_ENTRY)
    assert [e.a for e in way if e.kind == Kind.HOST_IRQ] == [0xF4]
    assert [e.a for e in way if e.kind == Kind.SOFTIRQ] == [8], "VCPU_KICK sends the entry path round again"
    found = ["direct", "assist", "pirsync", "softirq", "assist", "vmread", "vmwrite", "entry"]
    assert steps(way) == sorted(found)
    assert exits(way) == []
    assert way[-1].time_ps - at(way, Kind.HOST_IRQ) == ps(*found)
    assert way[-1].b == 0x80, "RVI waits for the handler of the tick, which is in service"


@pytest.mark.parametrize("mechanism", ["direct", "direct-negotiated", "direct-shuffled"])
def test_direct_delivery_takes_no_step_of_xens(mechanism: str) -> None:
    """The guest takes and ends the physical vector itself."""
    rows = upto(Quiet(mechanism).first("nic", END), Kind.IRQ_RETURN)
    assert steps(rows) == []
    assert exits(rows) == []
    assert at(rows, Kind.SOURCE_HANDLE) - rows[0].time_ps == ps("msi_flight", "remap")


SAS = ["device[1].ports=[30]", "device[1].host_vectors=[0x58]", "device[1].depth=1", 'device[1].service="1 ms"']


def test_p7_dom0s_interrupt_while_dom0_runs() -> None:
    """No VMCS and no exit: trap + doirq + evraise, and a bounce frame on the way back (here after dom0 has blocked:
    the pCPU is idle, so the wake-up's unblock and sched stand in place of the trap, and the slice timer that schedule()
    sets is a softirq)."""
    quiet = Quiet("emulated", *SAS, "device[1].pcpus=[2]")
    rows = quiet.first("sas.0", 20 * MS)
    way = upto(rows, Kind.SOURCE_HANDLE)
    expected = ["doirq", "evraise", "kick", "unblock", "sched", "softirq", "pv_bounce"]
    assert steps(way, 2) == sorted(expected)
    assert exits(way) == []
    flight = ps("msi_flight", "remap")
    guest = ps("g_irq_entry", "guestloop", "g_dispatch")
    assert at(way, Kind.SOURCE_HANDLE) - way[0].time_ps == flight + ps(*expected) + guest


def test_p7_a_second_interrupt_finds_dom0_running() -> None:
    """trap + doirq + evraise + bounce, without a wake-up; the kick of a running vCPU is a softirq of its own."""
    quiet = Quiet("emulated", *SAS, "device[1].pcpus=[2]", 'host.cost.g_disk_done="300 ms"')
    before = len(quiet.run(20 * MS))
    quiet.machine.now = 20 * MS
    quiet.machine.assert_msi(quiet.machine.sources[quiet.source("sas.0")])
    rows = [e for e in quiet.run(22 * MS)[before:] if e.pcpu == 2]
    way = upto(rows, Kind.SOURCE_HANDLE)
    expected = ["pv_trap", "doirq", "evraise", "kick", "softirq", "pv_bounce"]
    assert steps(way) == sorted(expected)
    assert exits(way) == []
    guest = ps("g_irq_entry", "guestloop", "g_dispatch")
    assert way[-1].time_ps - 20 * MS == ps("msi_flight", "remap", *expected) + guest


@pytest.mark.parametrize("scheduler, more", [("credit2", []), ("credit", ["assist", "sched", "softirq", "assist"])])
def test_the_seed_example_the_guest_is_disturbed_by_dom0s_vector_once(scheduler: str, more: list[str]) -> None:
    """A SAS interrupt on the guest's pCPU: one exit, do_IRQ, the event, and then the scheduler decides.

    Within the rate limit credit boosts dom0, asks the pCPU to choose, and keeps the guest, whose slice timer is set
    anew (TIMER_SOFTIRQ, and one more pass of the entry path); credit2 does not even ask.
    """
    quiet = Quiet("emulated", *SAS, "device[1].pcpus=[1]", 'host.ratelimit="50 ms"', f'host.scheduler="{scheduler}"')
    rows = quiet.first("sas.0", 6 * MS)
    back = upto(rows, Kind.VM_ENTRY)
    assert steps(back, 1) == sorted([*X, "doirq", "evraise", "kick", "unblock", *more]), "the guest goes on"
    assert exits(back) == [Exit.EXTERNAL_INTERRUPT]
    assert not any(e.kind == Kind.SCHED_SWITCH for e in back)


def test_an_interrupt_on_another_pcpu_costs_that_one_and_an_event_check() -> None:
    """P1 across: there doirq + dpci + vmsi + vlapic + kick + ipi_send; after the flight the target pays X(1) + direct
    (FCH) + assist + inject."""
    quiet = Quiet("emulated", 'host.ratelimit="50 ms"')
    machine = quiet.machine
    machine.place(machine.irqs[0], 2, machine.irqs[0].vector)
    machine.remapper.table[machine.sources[machine.irqs[0].source].index].dst = 2
    rows = quiet.first("nic", END)
    way = upto(rows, Kind.SOURCE_HANDLE)
    assert steps(way, 2) == sorted(["doirq", "dpci", "vmsi", "vlapic", "kick", "ipi_send"])
    assert steps(way, 1) == sorted([*X, "direct", "assist", "softirq", "inject"])
    assert [e.a for e in way if e.kind == Kind.IPI_SEND] == [0xFC]
    sender = ps("doirq", "dpci", "vmsi", "vlapic", "kick", "ipi_send", "ipi_flight")
    target = ps(*X, "direct", "assist", "softirq", "inject")
    assert at(way, Kind.SOURCE_HANDLE) - way[0].time_ps == ps("msi_flight", "remap") + sender + target
