"""The replayed host: what Xen's rules make of given arrivals, guest code and other users of the pCPU."""

import pytest

from exitless.record.block import Header, Record
from exitless.scenario.costs import Preset
from exitless.sim.replay import ReplayMachine
from exitless.sim.state import Domain
from exitless.vocab.exits import Exit
from exitless.vocab.given import Given
from exitless.vocab.kinds import Kind, RunState

US = 1_000_000
UPCALL = 0xF3
Thing = tuple[int, int, int, int, int]


def replay(things: list[Thing], callback: int = UPCALL, state: int = RunState.RUNNING) -> Record:
    """Run one vCPU with (time in us, what, a, b, dark) given."""
    record = Record(Header())
    machine = ReplayMachine(1, [record])
    for n, ps in enumerate(Preset("illustrative", 2_400_000_000, {}).ps):
        machine.costs[n] = ps
    machine.add(Domain(0, 0), 0, callback, state)
    for time, what, a, b, dark in things:
        machine.give(0, time * US, what, a, b, dark, 0)
    machine.watch_laws = 1
    machine.run(10_000 * US)
    machine.columns.flush()
    assert machine.law_broken == 0, machine.law_said()
    return record


def story(record: Record) -> str:
    """Tell exits (x), injections (j), windows (w), wakes (k), blocks (b) and entries (e) in their order."""
    words = []
    for e in record:
        if e.kind == Kind.VM_EXIT:
            words.append(f"x{e.a}")
        elif e.kind == Kind.IRQ_INJECT:
            words.append(f"j{e.a:x}")
        elif e.kind == Kind.IRQ_WINDOW:
            words.append(f"w{e.a:x}")
        elif e.kind == Kind.SCHED_WAKE:
            words.append("k")
        elif e.kind == Kind.RUNSTATE:
            words.append(f"r{e.a}{e.b}")
        elif e.kind == Kind.VM_ENTRY:
            words.append("e")
    return " ".join(words)


def test_an_upcall_costs_one_arming_and_one_window_exit() -> None:
    """facts/xen.md 2.5: after the injection Xen asks again, and the callback is still pending."""
    assert story(replay([(10, Given.LOCAL, UPCALL, 0, 0)])) == "e x1 jf3 wf3 e x7 e"


def test_a_guest_with_interrupts_off_costs_one_of_each_more() -> None:
    """6.6 step 5: blocked arms a window first; the exit for it injects, and step 8 arms another."""
    assert story(replay([(10, Given.LOCAL, UPCALL, 0, 1)])) == "e x1 wf3 e x7 jf3 wf3 e x7 e"


def test_an_event_from_another_pcpu_is_found_twice() -> None:
    """1.7: the kick's softirq is still pending when the event-check interrupt has led to the injection."""
    record = replay([(10, Given.REMOTE, UPCALL, 0, 0)])
    assert story(record) == "e x1 jf3 wf3 wf3 e x7 e"
    assert next(e.b for e in record if e.kind == Kind.VM_EXIT) == 0xFC


def test_a_halted_guest_is_woken_once_and_a_slice_timer_restarts_its_entry() -> None:
    """5.2 and timer.c: blocked, woken, switched to; a second pass follows if the slice timer is the earliest."""
    halt = (10, Given.EXIT, Exit.HLT, -1, 0)
    hold, event = (20, Given.HOLD, 0, 0, 0), (20, Given.REMOTE, UPCALL, 0, 0)
    once = replay([halt, hold, event, (30, Given.BACK, 0, 0, 0)])
    assert story(once) == "e x12 r02 k r21 r10 jf3 wf3 e x7 e"
    twice = replay([halt, hold, event, (30, Given.BACK, 1, 0, 0)])
    assert story(twice) == "e x12 r02 k r21 r10 jf3 wf3 wf3 e x7 e"


def test_a_hypercall_whose_timer_is_the_earliest_restarts_the_entry_path() -> None:
    """timer.c activate_timer; with an interrupt that cannot be taken the window is armed in both passes."""
    for again, armed in ((0, "wec"), (1, "wec wec")):
        record = Record(Header())
        machine = ReplayMachine(1, [record])
        machine.add(Domain(0, 0), 0, 0, RunState.RUNNING)
        machine.give(0, 10 * US, Given.HERE, 0xEC, 0, 0, 0)
        machine.give(0, 10 * US, Given.EXIT, Exit.VMCALL, 24, 1, again)
        machine.run(100 * US)
        machine.columns.flush()
        assert story(record) == f"e x18 {armed} e x7 jec e"


def test_halting_with_an_event_pending_does_not_block() -> None:
    """5.2: vcpu_block sets the flag first and asks second."""
    things = [(10, Given.HERE, UPCALL, 0, 0), (10, Given.EXIT, Exit.HLT, -1, 0)]
    assert story(replay(things)) == "e x12 jf3 wf3 e x7 e"


def test_a_vector_of_the_local_apic_needs_its_eoi_and_no_window() -> None:
    """2.2: it is injected once, taken into service, and the EOI is the guest's own exit."""
    things = [(10, Given.LOCAL, 0xEC, 0, 0), (20, Given.EXIT, 65536 + 124, Given.EOI, 0)]
    assert story(replay(things, 0)) == f"e x1 jec e x{65536 + 124} e"


def test_a_second_vector_waits_for_the_first_ones_eoi() -> None:
    """hvm_vcpu_has_pending_irq without virtual-interrupt delivery: a class above that in service, or nothing."""
    things = [
        (10, Given.LOCAL, 0xEC, 0, 0),
        (12, Given.LOCAL, 0x23, 0, 0),
        (20, Given.EXIT, 65536 + 124, Given.EOI, 0),
        (40, Given.EXIT, 65536 + 124, Given.EOI, 0),
    ]
    own = 65536 + 124
    assert story(replay(things, 0)) == f"e x1 jec e x1 e x{own} w23 e x7 j23 e x{own} e"


def test_a_handler_whose_eoi_made_no_exit_ends_by_itself() -> None:
    """Otherwise its vector would stay in service and hold back every lower one for good."""
    things = [(10, Given.LOCAL, 0xEC, 0, 0), (20, Given.LOCAL, 0x23, 0, 0), (30, Given.EXIT, Exit.HLT, -1, 0)]
    assert story(replay(things, 0)) == "e x1 jec e x1 j23 e x12 r02"


def test_an_eoi_that_comes_before_its_handler_ends_that_handler() -> None:
    own = 65536 + 124
    things = [
        (10, Given.EXIT, own, Given.EOI, 0),
        (20, Given.LOCAL, 0xEC, 0, 0),
        (30, Given.LOCAL, 0xEC, 0, 0),
        (40, Given.EXIT, own, Given.EOI, 0),
    ]
    assert story(replay(things, 0)) == f"e x{own} e x1 jec e x1 jec e x{own} e"


def test_interrupts_stay_off_between_two_exits_of_such_code() -> None:
    own = 65536 + 1024
    things = [(10, Given.HERE, 0xEC, 0, 0), (10, Given.EXIT, own, -1, 2), (15, Given.EXIT, own, -1, 2)]
    assert story(replay(things, 0)) == f"e x{own} wec e x{own} wec e x7 jec e"
    things[2] = (15, Given.EXIT, own, -1, 0)
    assert story(replay(things, 0)) == f"e x{own} wec e x7 jec e x{own} e"


def test_interrupts_stay_off_until_a_host_interrupt_at_such_code() -> None:
    """A host interrupt is an exit like the guest's own: found at code known to run with interrupts off, they were off
    all the time; found elsewhere, they were on again before it."""
    off = [(10, Given.LOCAL, 0xEC, 0, 2), (15, Given.HOST, 0xFB, 0, 2), (20, Given.HOST, 0xFB, 0, 0)]
    assert story(replay(off, 0)) == "e x1 wec e x1 wec e x7 jec e x1 e"
    on = [(10, Given.LOCAL, 0xEC, 0, 2), (15, Given.HOST, 0xFB, 0, 0)]
    assert story(replay(on, 0)) == "e x1 wec e x7 jec e x1 e"


def test_events_while_one_is_pending_become_one_upcall() -> None:
    """1.7: test-and-set of evtchn_upcall_pending; already set stops."""
    record = replay([(10, Given.HERE, UPCALL, 0, 0), (11, Given.HERE, UPCALL, 0, 0), (20, Given.HOST, 0xFB, 0, 0)])
    marks = [e.a for e in record if e.kind == Kind.UPCALL_MARK]
    assert marks == [0, 1] and story(record) == "e x1 jf3 wf3 e x7 e"


@pytest.mark.parametrize("state", [RunState.RUNNABLE, RunState.OFFLINE])
def test_who_has_no_pcpu_runs_when_it_gets_one_back(state: int) -> None:
    things = [(10, Given.AWAY, state, 0, 0), (10, Given.HOST, 0xFA, 0, 0), (20, Given.REMOTE, UPCALL, 0, 0)]
    told = story(replay([*things, (50, Given.BACK, 0, 0, 0)]))
    begin = "r01" if state == RunState.RUNNABLE else "r03 k r31"
    assert told == f"e x1 {begin} r10 jf3 wf3 e x7 e"


@pytest.mark.parametrize("state", [RunState.BLOCKED, RunState.RUNNABLE, RunState.OFFLINE])
def test_a_vcpu_may_begin_in_any_runstate(state: int) -> None:
    told = story(replay([(10, Given.REMOTE, UPCALL, 0, 0), (20, Given.BACK, 0, 0, 0)], state=state))
    assert told.endswith("r10 jf3 wf3 e x7 e")
