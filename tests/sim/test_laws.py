"""The laws of a run: each is asked of states that it has something to say about, and each breaks when it should."""

from collections.abc import Callable

import pytest

from exitless.arch.laws import INVARIANTS, LAW_NAMES, PREDICATES, Law
from exitless.arch.vmx.posted import set_pir
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.xen.eoi_stack import pop_ready, push
from exitless.arch.xen.fifo import PENDING, set_flag
from exitless.arch.xen.two_level import set_pending, set_selector
from exitless.bits.words import ON_PAGE, PACKED, set_bit
from exitless.scenario import load, prepare
from exitless.sim.machine import Machine
from exitless.sim.state import Mode, Vcpu
from exitless.vocab.kinds import RunState

MS = 1_000_000_000


def machine_of(name: str, mechanism: str, *settings: str, until: int = MS) -> Machine:
    """Run a scenario of the library with its laws, which hold."""
    scenario, where = load(name, list(settings))
    machine = prepare(scenario, where, mechanism, None, until, []).machine
    machine.watch_laws = 1
    machine.run(until)
    assert machine.law_broken == Law.NONE, machine.law_said()
    return machine


def until(machine: Machine, true: Callable[[Machine], bool]) -> Machine:
    """Go on until something is so."""
    for _ in range(100_000):
        if true(machine):
            return machine
        machine.step()
    raise AssertionError("it never was so")


def guest(machine: Machine) -> Vcpu:
    """Return the first vCPU of the first HVM guest."""
    return next(v for v in machine.vcpus if not v.domain.serves)


def sleeps(machine: Machine) -> bool:
    """Tell whether the guest's vCPU is blocked and has left its pCPU."""
    v = guest(machine)
    return v.runstate == RunState.BLOCKED and v.cpu.running_on < 0


def runs(machine: Machine) -> bool:
    """Tell whether the guest's vCPU is in its guest, in no handler."""
    v = guest(machine)
    return v.cpu.running_on >= 0 and machine.pcpus[v.cpu.running_on].mode == Mode.GUEST and v.depth == 0


def rvi_behind(machine: Machine) -> None:
    v = guest(machine)
    machine.just_entered = v.number
    machine.pcpus[v.cpu.running_on].softirqs = 0
    v.cpu.vapic.window_exiting = 0
    set_bit(v.cpu.vapic.page, Reg.VIRR, ON_PAGE, 0xF9)


def wrong_vector(machine: Machine) -> None:
    guest(machine).cpu.pid.nv = machine.wakeup_vector


def on_another_list(machine: Machine) -> None:
    guest(machine).list_of += 1


def not_posted(machine: Machine) -> None:
    guest(machine).cpu.pid.on = 0
    set_pir(guest(machine).cpu.pid, 0x41)


def not_pushed(machine: Machine) -> None:
    irq = machine.irqs[machine.slow_irqs[0]]
    set_bit(machine.pcpus[irq.pcpu].lapic.isr, 0, PACKED, irq.vector)


def pushed_only(machine: Machine) -> None:
    irq = machine.irqs[machine.slow_irqs[0]]
    push(machine.pcpus[irq.pcpu].eoi_stack, irq.number, irq.vector)
    assert pop_ready(machine.pcpus[irq.pcpu].eoi_stack) < 0


def off_its_list(machine: Machine) -> None:
    for pcpu in machine.pcpus:
        pcpu.dpci.clear()


BREAKS: dict[str, tuple[int, str, str, Callable[[Machine], bool], Callable[[Machine], None]]] = {
    "svi": (1, "mail", "apicv", runs, lambda m: setattr(guest(m).cpu.vapic, "svi", 0x81)),
    "rvi": (2, "mail", "apicv", runs, rvi_behind),
    "on": (3, "mail", "vtd-posted", runs, not_posted),
    "sn": (4, "mail", "vtd-posted", runs, lambda m: setattr(guest(m).cpu.pid, "sn", 1)),
    "ndst": (4, "mail", "vtd-posted", runs, lambda m: setattr(guest(m).cpu.pid, "ndst", 3)),
    "nv": (4, "mail", "vtd-posted", runs, wrong_vector),
    "sleeper's nv": (5, "mail", "vtd-posted", sleeps, lambda m: setattr(guest(m).cpu.pid, "nv", m.posted_vector)),
    "sleeper's list": (5, "mail", "vtd-posted", sleeps, on_another_list),
    "upcall": (6, "mail", "pvhvm", sleeps, lambda m: setattr(guest(m).cpu.info, "upcall_pending", 1)),
    "balance": (7, "mail", "pvhvm", runs, lambda m: setattr(m.sources[0], "serial", m.sources[0].serial + 1)),
    "request": (8, "mail", "emulated", sleeps, lambda m: set_bit(guest(m).cpu.vapic.page, Reg.VIRR, ON_PAGE, 0x41)),
    "selector": (9, "mail", "pvhvm", runs, lambda m: set_pending(guest(m).domain.shared, 64)),
    "mark": (10, "mail", "pvhvm", runs, lambda m: set_selector(guest(m).cpu.info, 64)),
    "link": (11, "fifo-priority", "pvhvm", runs, lambda m: set_flag(guest(m).domain.words, 70, PENDING)),
    "ready": (12, "fifo-priority", "pvhvm", runs, lambda m: setattr(guest(m).domain.blocks[0], "ready", 8)),
    "stack": (13, "pirq-eoi", "pvhvm", runs, not_pushed),
    "service": (13, "pirq-eoi", "pvhvm", runs, pushed_only),
    "dpci list": (14, "mail", "apicv", lambda m: any(p.dpci for p in m.pcpus), off_its_list),
    "do_IRQ": (14, "mail", "apicv", runs, lambda m: setattr(m.irqs[0], "taken", m.irqs[0].taken + 1)),
}  # fmt: skip


@pytest.mark.parametrize("what", BREAKS)
def test_a_law_breaks_when_what_it_says_is_not_so(what: str) -> None:
    """One word of state is set wrong between two events, and the very next question names that law."""
    law, name, mechanism, when, spoil = BREAKS[what]
    machine = until(machine_of(name, mechanism), when)
    machine.just_entered = -1
    assert machine.laws_hold(), machine.law_said()
    spoil(machine)
    assert not machine.laws_hold()
    assert machine.law_broken == law, machine.law_said()


def test_every_law_can_break_here() -> None:
    """No law is asked that cannot fail."""
    assert {row[0] for row in BREAKS.values()} == set(LAW_NAMES)


def test_together_the_library_asks_every_law() -> None:
    """Each law has something to say in one of these: states that need it are reached, with all of them kept."""
    runs_of = (
        ("mail-migration", "vtd-posted"), ("mail-migration", "pvhvm"), ("fifo-priority", "pvhvm"),
        ("pirq-eoi", "apicv"),
    )  # fmt: skip
    met = [0] * 16
    for name, mechanism in runs_of:
        machine = machine_of(name, mechanism, until=6 * MS)
        met = [a + int(b) for a, b in zip(met, machine.laws_met, strict=True)]
    assert [law for law in LAW_NAMES if not met[law]] == []


def test_the_ten_invariants_are_laws_and_the_laws_predicates() -> None:
    """I1 to I10 each name a law, no law stands outside, and each predicate is one of arch.laws."""
    from exitless.arch import laws

    assert list(INVARIANTS) == [f"I{n}" for n in range(1, 11)]
    assert sorted(law for some in INVARIANTS.values() for law in some) == sorted(LAW_NAMES) == sorted(PREDICATES)
    assert all(hasattr(laws, name) for name in PREDICATES.values() if name)
