"""credit2 at work in a machine: who is told, who runs and for how long, worked out by hand from the digest's §5.6."""

import pytest

from exitless.arch.xen.credit2 import LOWEST_CREDIT
from exitless.sim.machine import Machine
from exitless.sim.state import Scheduler
from exitless.vocab.kinds import RunState
from tests.sim.quiet import MS
from tests.sim.test_scheduling import US, asked, host, runs, wake


def credit2(pcpus: int, vcpus: int, *credits: int) -> Machine:
    """Return a machine under credit2 with blocked vCPUs of the given credit, in µs."""
    machine = host(pcpus, vcpus)
    machine.scheduler = Scheduler.CREDIT2
    for v, credit in zip(machine.vcpus, credits, strict=False):
        v.credit = credit * US
    return machine


# ---- waking ----


def test_the_queue_is_by_credit_and_one_for_sixteen_pcpus() -> None:
    machine = credit2(17, 4, 3, 9, 5, 5)
    for v in machine.vcpus:
        v.pcpu = 15
        machine.enqueue(v)
    assert list(machine.pcpus[0].queue) == [1, 2, 3, 0], "and first come first served among equals"
    machine.vcpus[3].queued, machine.vcpus[3].pcpu = 0, 16
    machine.enqueue(machine.vcpus[3])
    assert list(machine.pcpus[16].queue) == [3]


def test_a_waker_takes_its_own_idle_pcpu_then_any_idle_one_then_nobody_twice() -> None:
    machine = credit2(3, 3, 10_000, 10_000, 10_000)
    wake(machine, 0)
    wake(machine, 1)
    wake(machine, 2)
    assert asked(machine) == [0, 1, 2]
    assert [int(v.promised) for v in machine.vcpus] == [0, 1, 2]
    for p in reversed(machine.pcpus):
        assert machine.choose(p) == p.number, "each takes the one it was told of"


@pytest.mark.parametrize(
    "mine, theirs, ran, pcpu, told",
    [
        (5_000, 4_999, 1_000, 0, [0]),
        (5_000, 5_000, 1_000, 0, []),
        (5_000, 4_000, 950, 0, [0]),
        (5_000, 4_000, 949, 0, []),
        (5_000, 4_500, 1_000, 1, []),
        (5_000, 4_499, 1_000, 1, [0]),
    ],
)
def test_without_idle_pcpus_credit_decides_after_the_rate_limit_less_50_us(
    mine: int, theirs: int, ran: int, pcpu: int, told: list[int]
) -> None:
    """There is no BOOST; a remote one needs 0.5 ms more. What the other burns until then counts."""
    machine = credit2(2, 3, theirs + ran, mine, 10_000)
    runs(machine, 0, 0)
    runs(machine, 2, 1)
    machine.vcpus[1].pcpu = pcpu
    machine.pcpus[1].scheduled_at = ran * US
    machine.now = ran * US
    wake(machine, 1)
    assert asked(machine) == told


def test_of_several_the_one_with_the_least_credit_goes() -> None:
    machine = credit2(3, 4, 3_000, 2_000, 2_500, 6_000)
    for n in range(3):
        runs(machine, n, n)
    machine.now = 1000 * US
    wake(machine, 3)
    assert asked(machine) == [1]


def test_a_pinned_one_asks_nobody_else() -> None:
    machine = credit2(2, 2, 1_000, 9_000)
    runs(machine, 0, 0)
    machine.vcpus[1].pinned = 0
    machine.now = 500 * US
    wake(machine, 1)
    assert asked(machine) == []
    assert machine.choose(machine.pcpus[1]) == -1, "nor may the idle one pull it"


def test_a_wake_while_the_state_is_being_saved_is_queued_after_that() -> None:
    """Blocked and woken in between: marked, not queued; queued and told of once the context is saved."""
    machine = credit2(2, 2, 10_000, 10_000)
    runs(machine, 0)
    machine.vcpus[0].cpu.blocked = 1
    machine.leave(machine.pcpus[0])
    machine.pcpus[0].current = -1
    v = machine.vcpus[0]
    assert (v.runstate, v.cpu.running_on) == (RunState.BLOCKED, 0), "it still counts as running"
    wake(machine, 0, 1)
    assert (v.runstate, v.queued, asked(machine)) == (RunState.RUNNABLE, 0, [])
    machine.context_saved(machine.pcpus[0])
    assert (v.cpu.running_on, v.queued, asked(machine)) == (-1, 1, [0])


# ---- choosing ----


def test_the_rate_limit_keeps_the_current_one_for_what_is_left_of_it() -> None:
    """And for 0.5 ms at least, which is the shortest slice."""
    for ran, length in ((0, 1000), (400, 600), (600, 500), (999, 500)):
        machine = credit2(1, 2, 2_000, 9_000)
        runs(machine, 0)
        machine.vcpus[1].cpu.blocked = 0
        machine.enqueue(machine.vcpus[1])
        machine.now = ran * US
        assert machine.choose(machine.pcpus[0]) == 0
        assert machine.pcpus[0].slice_end == machine.now + length * US


@pytest.mark.parametrize(
    "mine, waiter, length", [(8_000, 5_000, 3_000), (8_000, 7_800, 1_000), (8_000, 0, 8_000), (10_500, -3_000, 10_000)]
)
def test_a_slice_lasts_until_the_next_waiters_credit(mine: int, waiter: int, length: int) -> None:
    """Or until one's own is gone; at least the rate limit, at most 10 ms."""
    machine = credit2(1, 2, mine, waiter)
    for v in machine.vcpus:
        v.cpu.blocked = 0
        machine.enqueue(v)
    assert machine.choose(machine.pcpus[0]) == 0
    assert machine.pcpus[0].slice_end == length * US


def test_who_waits_elsewhere_needs_half_a_millisecond_more_and_gets_50_us() -> None:
    for credit, expected in ((5_499, 0), (5_501, 1)):
        machine = credit2(2, 2, 6_000, credit)
        runs(machine, 0)
        machine.vcpus[1].cpu.blocked, machine.vcpus[1].pcpu = 0, 1
        machine.enqueue(machine.vcpus[1])
        machine.now = 1000 * US
        assert machine.choose(machine.pcpus[0]) == expected
        assert machine.vcpus[1].credit == (credit + 50 * expected) * US


def test_a_candidate_without_credit_lets_all_start_anew() -> None:
    """10 ms more for everybody, blocked ones too, and at most 0.5 ms of what they had is carried over."""
    machine = credit2(1, 3, 1_000, -200, 4_000)
    runs(machine, 0)
    machine.vcpus[1].cpu.blocked = 0
    machine.enqueue(machine.vcpus[1])
    machine.now = 1_500 * US
    assert machine.choose(machine.pcpus[0]) == 1
    assert [v.credit // US for v in machine.vcpus] == [9_500, 9_800, 10_500]
    machine.vcpus[0].credit = LOWEST_CREDIT
    machine.credit2_burn(machine.pcpus[0])
    assert machine.vcpus[0].credit == LOWEST_CREDIT, "the floor"


def test_the_light_burn_faster() -> None:
    machine = credit2(1, 1, 10_000)
    machine.vcpus[0].domain.weight = 256
    machine.pcpus[0].heaviest = 768
    runs(machine, 0)
    machine.now = 1000 * US
    machine.credit2_burn(machine.pcpus[0])
    assert machine.vcpus[0].credit == 7_000 * US


# ---- caps ----


def test_a_capped_domain_is_parked_without_budget_and_runs_again_after_the_period() -> None:
    """30 % of one pCPU are 3 ms in 10: the slice ends with the budget, and an overrun is paid back."""
    machine = credit2(1, 1, 10_000)
    machine.vcpus[0].domain.cap = 30
    machine.vcpus[0].cpu.blocked = 0
    machine.start_scheduler()
    pcpu, v = machine.pcpus[0], machine.vcpus[0]
    assert machine.choose(pcpu) == 0
    assert pcpu.slice_end == 3 * MS
    machine.take_from_queue(v, pcpu)
    runs(machine, 0)
    machine.now = 3 * MS + 100 * US
    assert machine.choose(pcpu) == -1
    machine.leave(pcpu)
    machine.context_saved(pcpu)
    assert (v.parked, v.runstate, v.queued) == (1, RunState.OFFLINE, 0)
    machine.credit2_replenish()
    assert (v.parked, v.runstate, v.queued) == (0, RunState.RUNNABLE, 1)
    assert v.budget == 3 * MS - 100 * US
