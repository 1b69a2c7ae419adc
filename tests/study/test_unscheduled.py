"""A recording of the HVM class alone: when a guest was away, told by how long its entry took to come."""

from exitless.study.arrivals import Row
from exitless.study.unscheduled import Gaps, Unscheduled
from exitless.vocab.kinds import Kind, RunState

HLT, INTERRUPT = 0x78, 0x60


def turn(at: int, gap: int, code: int = INTERRUPT, *vectors: int, pcpu: int = 0) -> list[Row]:
    """Make an exit, injections, and the entry ``gap`` ps later."""
    found = [(at, Kind.IRQ_INJECT, pcpu, -1, vector, -1) for vector in vectors]
    return [(at, Kind.VM_EXIT, pcpu, -1, code, -1), *found, (at + gap, Kind.VM_ENTRY, pcpu, -1, -1, -1)]


def runstates(rows: list[Row], stay: int) -> tuple[list[tuple[int, ...]], Unscheduled]:
    """Return the changes of runstate that are added: time, old, new."""
    own = Unscheduled(stay, lambda pcpu: 10 + pcpu)
    out = [row for batch in own.batches([rows]) for row in batch]
    assert [row[:3] for row in out if row[1] != Kind.RUNSTATE] == [row[:3] for row in rows], "nothing else is changed"
    assert all(row[3] == 10 + row[2] for row in out)
    return [(row[0], row[4], row[5]) for row in out if row[1] == Kind.RUNSTATE], own


def test_gaps_fall_into_two_classes_and_the_break_is_between_them() -> None:
    gaps = Gaps()
    for n, gap in enumerate([90, 100, 110, 120, 4000, 5000, 6000]):
        gaps.rows(turn(100_000 * n, gap))
    assert 120 < gaps.longest_stay() < 4000
    one = Gaps()
    one.rows(turn(0, 100) + turn(1000, 100))
    assert one.longest_stay() >= 99 and Gaps().longest_stay() >= 0, "one class alone, or none, has no break"


def test_a_short_gap_is_xen_and_a_long_one_two_switches() -> None:
    rows = turn(1000, 50) + turn(5000, 900)
    added, own = runstates(rows, 100)
    assert added == [(5000, RunState.RUNNING, RunState.RUNNABLE), (5899, RunState.RUNNABLE, RunState.RUNNING)]
    assert (own.away, own.idle_entries) == (1, 0)


def test_a_halt_is_left_with_an_interrupt_or_it_is_another_vcpu_that_is_entered() -> None:
    blocks = [RunState.RUNNING, RunState.BLOCKED], [RunState.BLOCKED, RunState.RUNNABLE]
    woken, own = runstates(turn(1000, 900, HLT, 0xF3), 100)
    assert [list(t[1:]) for t in woken[:2]] == list(blocks) and own.idle_entries == 0
    other, own = runstates(turn(1000, 50, HLT), 100)
    assert [list(t[1:]) for t in other[:2]] == list(blocks) and own.idle_entries == 1
    assert runstates(turn(1000, 50, HLT, 0xF3), 100)[0] == [], "one that was pending already ends the halt at once"


def test_each_pcpu_has_its_own() -> None:
    rows = turn(1000, 900, pcpu=0)[:1] + turn(1100, 50, pcpu=3) + turn(1000, 900, pcpu=0)[1:]
    assert len(runstates(rows, 100)[0]) == 2


def test_who_is_entered_without_arming_is_not_the_one_for_whom_an_interrupt_waits() -> None:
    arms = [(1000, Kind.IRQ_WINDOW, 0, -1, 0xEC, 2)]
    waits = turn(1000, 50)[:1] + arms + turn(1000, 50)[1:]
    assert runstates(waits + turn(2000, 50), 100)[1].unarmed_entries == 1
    assert runstates(waits + turn(2000, 50, 0x64, 0xEC) + turn(3000, 50), 100)[1].unarmed_entries == 0
    assert runstates(waits + turn(2000, 50, 0x64) + turn(3000, 50), 100)[1].unarmed_entries == 0, "none waits any more"
    upcall = turn(1000, 50, INTERRUPT, 0xF3)
    asked = upcall[:2] + [(1000, Kind.IRQ_WINDOW, 0, -1, 0xF3, 5)] + upcall[2:]
    assert runstates(asked + turn(2000, 50), 100)[1].unarmed_entries == 0, "armed by asking again: it does not wait"


def test_a_hypercall_is_the_guests_own_only_after_an_exit_for_it() -> None:
    """PV guests make hypercalls on the same pCPU, with no exit."""

    def call(at: int, number: int) -> Row:
        return (at, Kind.HYPERCALL, 0, -1, number, -1)

    exits, enters = turn(1000, 900, 0x81)
    rows = [
        call(900, 23),
        exits,
        call(1000, 32),
        call(1500, 23),
        enters,
        call(2500, 29),
        *turn(3000, 50),
        call(3200, 29),
    ]
    own = Unscheduled(100, lambda pcpu: 10 + pcpu)
    out = [row for batch in own.batches([rows]) for row in batch]
    assert [(row[4], row[3]) for row in out if row[1] == Kind.HYPERCALL] == [(23, -1), (32, 10), (23, -1), (29, -1),
                                                                            (29, -1)]  # fmt: skip
