"""How long an interrupt's steps take in a recording, and what that makes of the cost table."""

import pytest

from exitless.scenario import simulate
from exitless.scenario.costs import COST_NAMES, Preset
from exitless.study.calibration import LEAST, Origin, costs_of, stretches
from exitless.study.stretches import Stretches
from exitless.study.trace_totals import LOST, Row
from exitless.vocab.kinds import Kind, RunState

US = 1_000_000
BASE = dict(zip(COST_NAMES, Preset("illustrative", 2_400_000_000, {}).ps, strict=True))
WINDOW, CALL, HALT, EXTERNAL = 7, 18, 12, 1


def measured(rows: list[Row], stamped: bool = True) -> dict[str, list[int]]:
    """Return the lengths of all stretches by name and number, in us."""
    seen = Stretches(stamped)
    seen.rows(rows)
    return {f"{name} {n}" if n >= 0 else name: [ps // US for ps in t.sample] for (name, n), t in seen.samples.items()}


def at(us: int, kind: int, a: int = 0, b: int = 0, vcpu: int = 0, pcpu: int = 0) -> Row:
    """Make a row of vCPU 0 on pCPU 0."""
    return us * US, kind, pcpu, vcpu, a, b


def found(seen: Stretches, name: str = "a.dat") -> list[Origin]:
    """Put samples under a recording's name."""
    return [Origin(name, "", "", "", "", 0, str, seen.samples)]


@pytest.mark.parametrize("mechanism", ["emulated", "pvhvm", "apicv"])
@pytest.mark.parametrize("stamped", [True, False])
def test_a_simulated_record_gives_back_the_costs_it_was_simulated_with(mechanism: str, stamped: bool) -> None:
    """Between the two rows of a stretch the simulator charges exactly the steps that the table names for it."""
    seen = Stretches(stamped)
    seen.rows((e.time_ps, e.kind, e.pcpu, e.vcpu, e.a, e.b) for e in simulate("mail", mechanism, 1, 20_000_000_000))
    compared = 0
    for stretch in stretches(found(seen)):
        steps, name = stretch.definition.steps, stretch.name
        if steps and name not in ("exit for a hypercall", "wake-up to running, pCPU idle"):
            assert stretch.times.at_ps(0) == sum(BASE[step] for step in steps), name
            compared += 1
    assert compared >= 2


def test_exits_are_timed_only_where_nothing_else_happened() -> None:
    """A host interrupt, a switch or a second injection in an exit would make its time that of other steps."""
    calm = [at(0, Kind.VM_ENTRY), at(10, Kind.VM_EXIT, CALL), at(13, Kind.VM_ENTRY)]
    hit = [at(20, Kind.VM_EXIT, CALL), at(21, Kind.HOST_IRQ, 0xEC, -1), at(22, Kind.VM_ENTRY)]
    off = [
        at(30, Kind.VM_EXIT, CALL), at(31, Kind.RUNSTATE, RunState.RUNNING, RunState.RUNNABLE),
        at(35, Kind.RUNSTATE, RunState.RUNNABLE, RunState.RUNNING), at(36, Kind.VM_ENTRY),
    ]  # fmt: skip
    assert measured(calm + hit + off) == {"exit for a hypercall": [3]}
    assert measured([*calm, at(20, Kind.VM_EXIT, 55), at(24, Kind.VM_ENTRY)])["exit 55"] == [4]


def test_windows_injections_and_ends_are_told_apart() -> None:
    """Step 6 to 9: the window's exit, what it injects, the entry, the handler, the exit of its EOI."""
    rows = [
        at(0, Kind.VM_ENTRY), at(5, Kind.IRQ_REQUEST, 0xEC), at(10, Kind.VM_EXIT, WINDOW),
        at(12, Kind.IRQ_INJECT, 0xEC), at(15, Kind.VM_ENTRY), at(40, Kind.VM_EXIT, 32),
        at(41, Kind.IRQ_EOI, 0xEC, 1), at(47, Kind.VM_ENTRY),
        at(50, Kind.VM_EXIT, WINDOW), at(54, Kind.VM_ENTRY),
    ]  # fmt: skip
    assert measured(rows) == {
        "accepted to injection, guest running": [7], "window exit to injection": [2], "exit for a window": [5],
        "injection to entry": [3], "guest's handler 236": [25], "injection to EOI": [29], "exit for an EOI": [7],
        "exit for a window, nothing to inject": [4],
    }  # fmt: skip
    unstamped = measured(rows, stamped=False)
    assert "injection to entry" not in unstamped and unstamped["exit for a window"] == [5]


def test_host_interrupts_softirqs_and_timers_run_from_begin_to_end_on_their_pcpu() -> None:
    """Linux brackets each; Xen tells the length itself. What began on another pCPU ends nothing here."""
    rows = [
        at(0, Kind.HOST_IRQ, -1, 24, vcpu=-1), at(4, Kind.HOST_DONE, -1, -1, vcpu=-1),
        at(5, Kind.HOST_IRQ, 0xEC, -1, vcpu=-1), at(6, Kind.HOST_IRQ, 0xFD, -1, vcpu=-1, pcpu=1),
        at(8, Kind.HOST_DONE, 0xFD, -1, vcpu=-1, pcpu=1), at(9, Kind.HOST_DONE, 0xEC, -1, vcpu=-1),
        at(10, Kind.SOFTIRQ, 1), at(13, Kind.SOFTIRQ_DONE, 1), at(14, Kind.TIMER_FIRE), at(15, Kind.TIMER_DONE),
        at(20, Kind.HOST_IRQ, -1, 9, vcpu=-1), at(20, Kind.HOST_DONE, -1, 7000, vcpu=-1),
        at(30, Kind.SOFTIRQ, 1), at(31, Kind.HOST_IRQ, 0xEC, -1), at(32, Kind.HOST_DONE, 0xEC, -1),
        at(33, Kind.SOFTIRQ_DONE, 1), at(40, Kind.HOST_DONE, 0xEC, -1),
    ]  # fmt: skip
    assert measured(rows) == {
        "host interrupt of a device": [4, 7], "host interprocessor interrupt": [2],
        "host interrupt of the timer": [4, 1], "host softirq": [3], "expired timer": [1],
    }  # fmt: skip


def test_a_wake_up_waits_by_whether_the_pcpu_was_idle() -> None:
    """Steps 3 to 7: accepted while blocked, woken, running, entered; a busy pCPU is another condition."""
    run, idle = RunState.RUNNING, RunState.RUNNABLE
    rows = [
        at(0, Kind.VM_ENTRY), at(9, Kind.VM_EXIT, HALT), at(11, Kind.RUNSTATE, run, RunState.BLOCKED),
        at(11, Kind.RUNSTATE, idle, run, vcpu=-1), at(20, Kind.IRQ_REQUEST, 0x31), at(21, Kind.SCHED_WAKE),
        at(21, Kind.RUNSTATE, RunState.BLOCKED, RunState.RUNNABLE), at(24, Kind.RUNSTATE, run, idle, vcpu=-1),
        at(24, Kind.RUNSTATE, RunState.RUNNABLE, run), at(30, Kind.VM_ENTRY),
    ]  # fmt: skip
    assert measured(rows, stamped=False) == {
        "halt to blocked": [2], "accepted to wake-up": [1], "wake-up to running, pCPU idle": [3],
    }  # fmt: skip
    busy = [row for row in rows if row[3] != -1]
    assert measured(busy)["wake-up to running"] == [3], "nobody said whether it was idle"


def test_lost_records_end_what_was_open() -> None:
    rows = [at(0, Kind.VM_ENTRY), at(10, Kind.VM_EXIT, CALL), at(11, LOST, 5, 12 * US), at(13, Kind.VM_ENTRY)]
    assert measured(rows) == {}


def sample(seen: Stretches, name: str, ps: int, count: int = LEAST) -> None:
    """Add some stretches of one length."""
    for _ in range(count):
        seen.add(name, -1, ps)


def test_what_is_known_is_subtracted_and_the_rest_divided_as_in_the_base() -> None:
    seen = Stretches(True)
    sample(seen, "exit to host interrupt", 500_000)
    sample(seen, "injection to entry", 400_000)
    sample(seen, "exit for a window, nothing to inject", 1_300_000)
    steps, said = costs_of(stretches(found(seen)), BASE, "p50")
    costs = {step.name: step.ps for step in steps}
    assert costs["exit"] == 500_000 and costs["entry"] + costs["inject"] == 400_000
    assert abs(costs["entry"] - 300_000) < 2, "entry 900 and inject 300 cycles are three to one"
    assert costs["window"] + costs["assist"] == 1_300_000 - 500_000 - costs["entry"] and not said
    assert sum(costs[name] for name in ("window", "exit", "assist", "entry")) == 1_300_000


def test_a_cost_is_not_made_of_too_few_or_of_what_leaves_nothing() -> None:
    seen = Stretches(True)
    sample(seen, "host interrupt of a device", 700_000, LEAST - 1)
    sample(seen, "exit to host interrupt", 500_000)
    sample(seen, "exit for a window, nothing to inject", 500_000)
    steps, said = costs_of(stretches(found(seen)), BASE, "p50")
    assert [step.name for step in steps] == ["exit"]
    assert len(said) == 2 and "fewer than" in said[0] and "leaves nothing" in said[1]


@pytest.mark.parametrize(("use", "ps"), [("min", 1_000_000), ("p50", 2_000_000), ("mean", 4_000_000)])
def test_min_median_and_mean_over_several_recordings(use: str, ps: int) -> None:
    first, second = Stretches(True), Stretches(True)
    for length in (1, 2, 2):
        sample(first, "host interrupt of a device", length * US, 4)
    sample(second, "host interrupt of a device", 11 * US, 4)
    together = stretches(found(first, "a.dat") + found(second, "b.dat"))
    steps, _ = costs_of(together, BASE, use)
    assert [(s.name, s.ps, s.count, s.files) for s in steps] == [("doirq", ps, 16, ["a.dat", "b.dat"])]
    assert together[0].as_json()["recordings"] == {"a.dat": 12, "b.dat": 4}
