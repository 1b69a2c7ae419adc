"""Waking, preempting, blocking, slices, pins, the rate limit and BOOST, as the credit scheduler has them; softirqs."""

from itertools import pairwise

import pytest

from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.xen.credit import Priority as Pri
from exitless.mech.catalog import make_delivery
from exitless.sim.machine import Machine
from exitless.sim.state import Domain, Event, Mode, Phase, Scheduler, Softirq, Vcpu
from exitless.vocab.kinds import Kind, RunState
from tests.sim.quiet import MS, Quiet

US = 1_000_000


def host(pcpus: int, vcpus: int) -> Machine:
    """Return a machine with vCPUs that are blocked and belong to pCPU 0."""
    machine = Machine(pcpus, [])
    machine.scheduler = Scheduler.CREDIT
    domain = Domain(0, 0)
    domain.vcpus = vcpus
    machine.domains.append(domain)
    for n in range(vcpus):
        vcpu = Vcpu(n, domain, n, make_delivery("injected"))
        vcpu.cpu.blocked = 1
        machine.vcpus.append(vcpu)
    return machine


def runs(machine: Machine, vcpu: int, pcpu: int = 0) -> None:
    """Let a vCPU be the one that runs."""
    v, p = machine.vcpus[vcpu], machine.pcpus[pcpu]
    v.cpu.blocked, v.cpu.running_on, v.runstate, v.pcpu = 0, pcpu, RunState.RUNNING, pcpu
    p.current, p.mode, p.scheduled_at, p.credit_from = vcpu, Mode.XEN, machine.now, machine.now


def wake(machine: Machine, vcpu: int, here: int = 0) -> None:
    machine.unblock(machine.pcpus[here], machine.vcpus[vcpu])


def asked(machine: Machine) -> list[int]:
    """Return the pCPUs that have been asked to schedule."""
    return [int(p.number) for p in machine.pcpus if p.softirqs >> Softirq.SCHEDULE & 1]


# ---- waking ----


@pytest.mark.parametrize("before, after", [(Pri.UNDER, Pri.BOOST), (Pri.OVER, Pri.OVER), (Pri.BOOST, Pri.BOOST)])
def test_a_wake_boosts_iff_it_was_under(before: int, after: int) -> None:
    machine = host(1, 1)
    machine.vcpus[0].account.priority = before
    wake(machine, 0)
    assert machine.vcpus[0].account.priority == after
    assert (machine.vcpus[0].runstate, list(machine.pcpus[0].queue)) == (RunState.RUNNABLE, [0])


def test_a_wake_after_a_migration_does_not_boost() -> None:
    machine = host(2, 1)
    machine.vcpus[0].move_to = machine.vcpus[0].move_pins = 1
    wake(machine, 0)
    v = machine.vcpus[0]
    assert (v.account.priority, v.pcpu, v.pinned, v.move_to) == (Pri.UNDER, 1, 1, -1)
    assert list(machine.pcpus[1].queue) == [0]


def test_waking_twice_is_waking_once() -> None:
    """vcpu_unblock stops where the flag was clear."""
    machine = host(1, 1)
    wake(machine, 0)
    wake(machine, 0)
    assert list(machine.pcpus[0].queue) == [0]


def test_the_queue_is_by_priority_and_first_come_first_served_within() -> None:
    machine = host(1, 6)
    for n, priority in enumerate([Pri.OVER, Pri.BOOST, Pri.UNDER, Pri.BOOST, Pri.OVER, Pri.UNDER]):
        machine.vcpus[n].account.priority = priority
        machine.enqueue(machine.vcpus[n])
    assert list(machine.pcpus[0].queue) == [1, 3, 2, 5, 0, 4]


# ---- tickling ----


def test_an_idle_pcpu_of_its_own_is_asked_first() -> None:
    machine = host(3, 1)
    wake(machine, 0)
    assert asked(machine) == [0]


def test_without_one_an_idle_pcpu_elsewhere_is_asked_round_robin() -> None:
    machine = host(3, 2)
    runs(machine, 0)
    wake(machine, 1)
    assert asked(machine) == [1]


def test_a_pinned_vcpu_asks_nobody_else_and_preempts_only_the_worse() -> None:
    for priority, expected in ((Pri.UNDER, [0]), (Pri.BOOST, [])):
        machine = host(3, 2)
        runs(machine, 0)
        machine.vcpus[0].account.priority = priority
        machine.vcpus[1].pinned = 0
        wake(machine, 1)
        assert asked(machine) == expected, "BOOST goes before UNDER, not before BOOST"


def test_without_idle_pcpus_the_better_preempts_and_the_equal_waits() -> None:
    for priority, expected in ((Pri.OVER, [0]), (Pri.UNDER, [0]), (Pri.BOOST, [])):
        machine = host(1, 2)
        runs(machine, 0)
        machine.vcpus[0].account.priority = priority
        wake(machine, 1)
        assert asked(machine) == expected


def test_another_pcpu_in_xen_is_sent_an_event_check_and_an_idle_one_sees_the_store() -> None:
    """FCH goes out unless the target polls the word in its idle loop, or the bit was set already."""
    for mode, polls, expected in ((Mode.IDLE, 1, 0), (Mode.IDLE, 0, 0xFC), (Mode.GUEST, 1, 0xFC)):
        machine = host(2, 1)
        machine.pcpus[1].mode, machine.idle_polls = mode, polls
        machine.raise_softirq_on(machine.pcpus[0], machine.pcpus[1], Softirq.SCHEDULE)
        machine.raise_softirq_on(machine.pcpus[0], machine.pcpus[1], Softirq.SCHEDULE)
        assert machine.calendar.pending() == 1
        assert machine.calendar.pop()
        assert (machine.calendar.x, machine.calendar.y) == (1, expected)


# ---- choosing ----


def test_the_rate_limit_keeps_the_running_vcpu_for_the_remainder_but_at_least_100_us() -> None:
    """1000 µs: who ran less goes on, even against a better one."""
    for ran, end in ((0, 1000), (400, 1000), (900, 1000), (950, 1050), (999, 1099)):
        machine = host(1, 2)
        runs(machine, 0)
        wake(machine, 1)
        machine.now = ran * US
        assert machine.choose(machine.pcpus[0]) == 0
        assert machine.pcpus[0].slice_end == end * US


def test_behind_the_rate_limit_the_better_runs_and_of_equals_who_waits() -> None:
    for waiting, expected in ((Pri.BOOST, 1), (Pri.UNDER, 1), (Pri.OVER, 0)):
        machine = host(1, 2)
        runs(machine, 0)
        machine.vcpus[1].account.priority = waiting
        machine.enqueue(machine.vcpus[1])
        machine.now = 1000 * US
        assert machine.choose(machine.pcpus[0]) == expected
        assert machine.pcpus[0].slice_end == machine.now + 30 * MS, "a whole timeslice"


def test_no_rate_limit_preempts_at_once() -> None:
    machine = host(1, 2)
    machine.ratelimit = 0
    runs(machine, 0)
    wake(machine, 1)
    assert machine.choose(machine.pcpus[0]) == 1


def test_a_blocked_vcpu_gives_way_whatever_the_rate_limit() -> None:
    machine = host(1, 2)
    runs(machine, 0)
    machine.vcpus[0].cpu.blocked = 1
    assert machine.choose(machine.pcpus[0]) == -1
    wake(machine, 1)
    assert machine.choose(machine.pcpus[0]) == 1


def test_an_idle_pcpu_steals_what_waits_elsewhere_and_is_not_pinned() -> None:
    machine = host(2, 3)
    runs(machine, 0)
    machine.vcpus[1].pinned = 0
    machine.enqueue(machine.vcpus[1])
    machine.enqueue(machine.vcpus[2])
    assert machine.choose(machine.pcpus[1]) == 2
    machine.vcpus[2].pinned = 0
    assert machine.choose(machine.pcpus[1]) == -1


# ---- credit ----


def test_ten_credits_are_burnt_in_a_millisecond_exactly() -> None:
    machine = host(1, 1)
    runs(machine, 0)
    for us, credit in ((99, 0), (100, -1), (1050, -10), (1100, -11), (30_000, -300)):
        machine.now = us * US
        machine.credit_burn(machine.pcpus[0])
        assert machine.vcpus[0].account.credit == credit


def test_a_tick_takes_the_boost_away_from_who_still_runs() -> None:
    machine = host(1, 1)
    runs(machine, 0)
    machine.vcpus[0].account.priority = Pri.BOOST
    machine.credit_tick(machine.pcpus[0])
    assert machine.vcpus[0].account.priority == Pri.UNDER


def test_accounting_shares_300_credits_a_pcpu_and_judges_who_is_over() -> None:
    machine = host(1, 2)
    machine.vcpus[0].account.credit, machine.vcpus[1].account.credit = -200, 0
    machine.credit_account()
    assert [(v.account.credit, v.account.priority) for v in machine.vcpus] == [(-50, Pri.OVER), (150, Pri.UNDER)]
    machine.credit_account()
    assert [(v.account.credit, v.account.priority) for v in machine.vcpus] == [(100, Pri.UNDER), (300, Pri.UNDER)]
    machine.credit_account()
    first, second = (v.account for v in machine.vcpus)
    assert (first.credit, second.credit, second.active) == (250, 225, 0), "beyond a period's worth half is kept"
    machine.credit_account()
    assert (first.credit, second.credit) == (275, 225), "who is not active gets nothing, and the other all of it"


# ---- softirqs ----


def test_softirqs_are_served_from_the_lowest_number() -> None:
    """TIMER 0, SCHEDULE 3, TASKLET 5, VCPU_KICK 8, HVM_DPCI 10; looked at anew after each."""
    s = Softirq
    assert (s.TIMER, s.SCHEDULE, s.TASKLET, s.VCPU_KICK, s.HVM_DPCI) == (0, 3, 5, 8, 10)
    machine = host(1, 0)
    pcpu = machine.pcpus[0]
    for number in (s.HVM_DPCI, s.TASKLET, s.TIMER, s.VCPU_KICK, s.SCHEDULE):
        assert machine.raise_softirq(pcpu, number)
        assert not machine.raise_softirq(pcpu, number)
    served = []
    while pcpu.softirqs:
        machine.start_softirq(pcpu)
        served.append(int(pcpu.argument))
    assert served == [s.TIMER, s.SCHEDULE, s.TASKLET, s.VCPU_KICK, s.HVM_DPCI]


# ---- whole runs ----


def test_a_busy_guest_and_dom0_share_a_pcpu_by_the_slice() -> None:
    """dom0's work of 300 ms and a busy guest on one pCPU: switches lie a timeslice or a wake-up apart, and
    never closer than the rate limit; a boost ends at the tick."""
    quiet = Quiet(
        "apicv", 'device[1].service="1 ms"', 'host.timeslice="5 ms"', 'host.tick="2 ms"', 'host.scheduler="credit"',
        'host.cost.g_disk_done="300 ms"',
    )  # fmt: skip
    rows = [e for e in quiet.run(90 * MS) if e.kind == Kind.SCHED_SWITCH and e.pcpu == 1 and e.time_ps > MS]
    gaps = [b.time_ps - a.time_ps for a, b in pairwise(rows)]
    assert len(rows) > 10
    assert min(gaps) >= MS
    assert max(gaps) < 5 * MS + 100 * US
    assert all(b.a == a.b for a, b in pairwise(rows)), "who leaves is who came"


def test_pinned_vcpus_stay_and_others_go_where_there_is_room() -> None:
    quiet = Quiet("emulated", "vm[0].pin=[0,1,2,3]", "vm[1].pin=[1]", 'device[1].service="1 ms"')
    rows = quiet.run(60 * MS)
    homes = [int(v.pcpu) for v in quiet.machine.vcpus]
    assert homes == [0, 1, 2, 3, 1]
    assert not any(e.kind == Kind.VCPU_MOVE for e in rows)
    assert all(e.pcpu == homes[e.b] for e in rows if e.kind == Kind.SCHED_SWITCH and e.b >= 0)


def test_a_move_takes_effect_and_the_next_interrupt_carries_the_device_along() -> None:
    """Affinity is only a wish until the interrupt's next occurrence, which is still taken on the old pCPU."""
    quiet = Quiet("emulated", 'move=[{vm="guest",at="3 ms",to=2}]', "device[0].load=50")
    rows = quiet.run(60 * MS)
    assert [(e.a, e.b) for e in rows if e.kind == Kind.VCPU_MOVE] == [(1, 2)]
    taken = [e.pcpu for e in rows if e.kind == Kind.HOST_IRQ and e.b == 0 and e.time_ps > 3 * MS + 200 * US]
    assert taken[0] == 1 and set(taken[1:]) == {2} and len(taken) > 5


def due_unseen(machine: Machine) -> list[int]:
    """Return the pCPUs whose local APIC will not fire when their first timer is due, and that do not see to it."""
    out = []
    for p in machine.pcpus:
        first = machine.earliest(p)
        at_work = p.phase in (Phase.IRQ, Phase.SOFTIRQ) and p.argument in (HostVector.TIMER, Softirq.TIMER)
        coming = (p.lapic.irr[HostVector.TIMER >> 5] | p.lapic.isr[HostVector.TIMER >> 5]) >> (
            HostVector.TIMER & 31
        ) & 1
        exiting = p.phase == Phase.EXITED and machine.vcpus[p.current].exit_argument == HostVector.TIMER
        seen_to = p.softirqs & 1 or at_work or coming or exiting
        if first >= 0 and not seen_to and not 0 <= p.timer_at <= max(first, machine.now):
            out.append(int(p.number))
    return out


@pytest.mark.parametrize("name, mechanism, settings", [
    ("mail-migration", "pvhvm", ()), ("overcommit", "apicv", ()), ("overcommit-credit", "apicv", ()),
    ("mail-migration", "apicv", ('offline=[{pcpu=2,at="6 ms"}]',)),
])  # fmt: skip
def test_the_timers_of_a_vcpu_that_has_moved_are_its_new_pcpus(name: str, mechanism: str, settings: tuple[str]) -> None:
    """After every event each local APIC is set for the first timer of its pCPU, or a TIMER softirq is on its way: a
    timer that nobody set would never fire, and would keep later ones from being set."""
    quiet = Quiet(mechanism, *settings, name=name)
    machine = quiet.machine
    while machine.now < 20 * MS:
        machine.step()
        assert not due_unseen(machine), f"at {machine.now} ps"


@pytest.mark.parametrize("scheduler", ["credit", "credit2"])
def test_a_vcpu_that_waits_in_a_queue_and_is_moved_starts_on_its_idle_pcpu(scheduler: str) -> None:
    """The pCPU that it comes to sleeps and has to be told."""
    moves = 'move=[{vm="guest",at="4 ms",to=2}]'
    quiet = Quiet(
        "apicv", "vm[0].pin=[0,1,3,3]", "vm[1].vcpus=2", "vm[1].pin=[1,1]", moves, f'host.scheduler="{scheduler}"'
    )
    machine = quiet.machine
    machine.run(4 * MS - 1)
    machine.calendar.push(4 * MS - 1, Event.MOVE, 4 if machine.vcpus[4].queued else 5, 2)
    moved = machine.vcpus[4 if machine.vcpus[4].queued else 5]
    assert moved.queued
    machine.run(4 * MS + 100 * US)
    assert moved.cpu.running_on == 2
