"""What a recording gives to a replay: how interrupts are taken to have come, and where guest code has them off."""

from exitless.study.arrivals import OTHER, Arrivals, Places, Thing, plain_reason
from exitless.vocab.given import Given
from exitless.vocab.kinds import Kind, RunState

KERNEL = 0xFFFF_FFFF_8100_0000
Row = tuple[int, int, int, int, int, int]


def given(rows: list[Row], single: bool = False, place: int = KERNEL) -> list[tuple[int, ...]]:
    """Collect from rows of one vCPU; returns time, what, a, b, dark of each thing."""
    arrivals = Arrivals(lambda pcpu, n: place, lambda pcpu, n: -1, lambda vcpu: "d1", single)
    arrivals.rows(rows)
    return [short(t) for t in arrivals.finish()]


def short(t: Thing) -> tuple[int, ...]:
    """Leave out what is the same for all."""
    return t.time, t.what, t.a, t.b, t.dark


def turn(time: int, code: int, vector: int, *kinds: tuple[int, int, int]) -> list[Row]:
    """Make an exit with records, and its entry."""
    inner = [(time, kind, 0, 0, a, b) for kind, a, b in kinds]
    return [(time, Kind.VM_EXIT, 0, 0, code, vector), *inner, (time + 5, Kind.VM_ENTRY, 0, 0, -1, -1)]


def test_a_place_is_judged_by_itself_and_else_by_its_nearest_neighbour() -> None:
    places = Places()
    assert places.judge(KERNEL) == 0
    places.learn(KERNEL, 1)
    places.learn(KERNEL + 100, 0)
    judged = [places.judge(KERNEL + offset) for offset in (0, 1, 49, 51, 100, 5000)]
    assert judged == [2, 1, 1, 0, 0, 0] and places.judge(0x5000) == 0, "user code has interrupts on"
    places.learn(KERNEL, 0)
    assert places.judge(KERNEL) == 0, "the last sight counts"


def test_the_host_vector_tells_where_an_event_came_from() -> None:
    inject = (Kind.IRQ_INJECT, 0xF3, -1)
    assert given(turn(10, 1, 0xFA, inject)) == [(10, Given.LOCAL, 0xF3, 0, 0)]
    assert given(turn(10, 1, 0xFC, inject)) == [(10, Given.REMOTE, 0xF3, 0, 0)]
    assert given(turn(10, 1, 0x72, inject)) == [(10, Given.HOST, 0x72, 0, 0), (10, Given.REMOTE, 0xF3, 0, 0)]
    assert given(turn(10, 1, 0xFA)) == [(10, Given.HOST, 0xFA, 0, 0)]
    assert given(turn(10, 0x60, -1, inject), single=True) == [(10, Given.LOCAL, 0xF3, 0, 0)]


def test_a_window_and_its_injection_are_one_arrival_and_teach_the_place() -> None:
    waits = (Kind.IRQ_WINDOW, 0xF3, 5)
    rows = turn(10, 1, 0xFA, waits) + turn(20, 7, -1, (Kind.IRQ_INJECT, 0xF3, -1), waits) + turn(40, 1, 0xFA, waits)
    found = given([*turn(5, 1, 0xFA, waits), *turn(7, 48, -1, (Kind.IRQ_INJECT, 0xF3, -1)), *rows], place=KERNEL)
    assert [t[:3] for t in found if t[1] == Given.LOCAL] == [(5, Given.LOCAL, 0xF3), (10, Given.LOCAL, 0xF3),
                                                            (40, Given.LOCAL, 0xF3)]  # fmt: skip
    # Off, then on by an injection at the same place, then on again by the window exit: each by what came before it.
    assert [t[4] for t in found if t[1] == Given.LOCAL] == [0, 0, 0]
    again = turn(10, 1, 0xFA, waits) + turn(20, 1, 0xFB, waits, (Kind.IRQ_WINDOW, 0xEC, 2))
    assert [t[4] for t in given(again) if t[1] != Given.LOCAL and t[0] == 20] == [2, 2]


def test_a_wake_up_is_an_arrival_or_else_given() -> None:
    sleep = [(10, Kind.VM_EXIT, 0, 0, 12, -1), (11, Kind.RUNSTATE, 0, 0, RunState.RUNNING, RunState.BLOCKED)]
    wake = [
        (30, Kind.RUNSTATE, 0, 0, RunState.BLOCKED, RunState.RUNNABLE),
        (33, Kind.RUNSTATE, 0, 0, RunState.RUNNABLE, RunState.RUNNING),
    ]
    event = (34, Kind.IRQ_INJECT, 0, 0, 0xF3, -1)
    entry = (35, Kind.VM_ENTRY, 0, 0, -1, -1)
    whats = [t[:2] for t in given([*sleep, *wake, event, entry])]
    assert whats == [(10, Given.EXIT), (30, Given.HOLD), (30, Given.REMOTE), (33, Given.BACK)]
    whats = [t[:2] for t in given([*sleep, *wake, entry])]
    assert whats == [(10, Given.EXIT), (30, Given.HOLD), (30, Given.WAKE), (33, Given.BACK)]


def test_a_vector_behind_the_injection_of_a_lower_one_came_after_it() -> None:
    """Xen injects the highest, the callback before all: what outranks an injected one was not there at the exit."""
    low, high, upcall = (Kind.IRQ_INJECT, 0x23, -1), (Kind.IRQ_WINDOW, 0xEC, 2), (Kind.IRQ_WINDOW, 0xF3, 5)

    def found(*records: tuple[int, int, int]) -> list[tuple[int, ...]]:
        rows = [(10, Kind.VM_EXIT, 0, 0, 1, 0xFA), *((11 + n, k, 0, 0, a, b) for n, (k, a, b) in enumerate(records))]
        return [t[:3] for t in given([*rows, (20, Kind.VM_ENTRY, 0, 0, -1, -1)])]

    assert found(low, high) == [(10, Given.LOCAL, 0x23), (12, Given.HERE, 0xEC)]
    assert found(low, upcall) == [(10, Given.LOCAL, 0x23), (12, Given.HERE, 0xF3)]
    higher_first = found((Kind.IRQ_INJECT, 0xEC, -1), (Kind.IRQ_WINDOW, 0x23, 2))
    assert higher_first == [(10, Given.HERE, 0x23), (10, Given.LOCAL, 0xEC)] or higher_first == [
        (10, Given.LOCAL, 0xEC), (10, Given.HERE, 0x23),
    ]  # fmt: skip
    back = [(5, Kind.RUNSTATE, 0, 0, RunState.RUNNABLE, RunState.RUNNING)]
    rows = [*back, (6, *low[:1], 0, 0, 0x23, -1), (7, *high[:1], 0, 0, 0xEC, 2), (8, Kind.VM_ENTRY, 0, 0, -1, -1)]
    assert [t[:3] for t in given(rows) if t[1] != Given.BACK] == [(5, Given.REMOTE, 0x23), (7, Given.HERE, 0xEC)]


def test_an_eoi_ends_what_was_injected_and_nothing_else() -> None:
    eoi = (Kind.IRQ_EOI, -1, 1)
    rows = turn(10, 0x7C, -1, eoi) + turn(20, 0x60, -1, (Kind.IRQ_INJECT, 0xEC, -1)) + turn(30, 0x7C, -1, eoi)
    exits = [t[2:4] for t in given(rows, single=True) if t[1] == Given.EXIT]
    assert exits == [(OTHER + 0x7C, -1), (OTHER + 0x7C, Given.EOI)]


def test_exit_codes_of_both_vendors_have_one_number_or_keep_their_own() -> None:
    assert [plain_reason(code) for code in (0x60, 0x64, 0x78, 0x81)] == [1, 7, 12, 18]
    assert plain_reason(0) == OTHER and plain_reason(0x400) == OTHER + 0x400


def test_without_records_of_arming_a_window_exit_tells_what_waited_in_the_exit_before() -> None:
    inject = (Kind.IRQ_INJECT, 0xEC, -1)
    rows = turn(10, 1, 0xFA) + turn(20, 7, -1, inject) + turn(30, 48, -1) + turn(40, 1, 0xFA)
    found = given(rows)
    assert [t for t in found if t[1] == Given.LOCAL] == [(10, Given.LOCAL, 0xEC, 0, 0)]
    assert (10, Given.HOST) not in [t[:2] for t in found] and (40, Given.HOST) in [t[:2] for t in found]
    assert [t[4] for t in found if t[0] == 40] == [0], "interrupts were on when the window exit came, at the same place"


def test_without_records_of_arming_the_callback_is_what_an_empty_window_exit_follows() -> None:
    """Xen asks again after a callback's injection, until the guest has cleared it; once is no majority of three."""
    upcall, timer = (Kind.IRQ_INJECT, 0xF3, -1), (Kind.IRQ_INJECT, 0xEC, -1)
    arrivals = Arrivals(lambda pcpu, n: KERNEL, lambda pcpu, n: -1, lambda vcpu: "d1", False)
    for base in (100, 200, 300):
        arrivals.rows(turn(base, 1, 0x72, upcall) + turn(base + 10, 18, -1) + turn(base + 20, 7, -1))
        arrivals.rows(turn(base + 30, 1, 0xFA, timer) + (turn(base + 40, 7, -1) if base == 300 else []))
    arrivals.finish()
    assert arrivals.windowless.callback("d1") == 0xF3 and arrivals.windowless.callback("d2") == -1
    assert arrivals.windowless.votes == {("d1", 0xF3): [3, 3], ("d1", 0xEC): [3, 1]}


RUNS, BLOCKS, READY = RunState.RUNNING, RunState.BLOCKED, RunState.RUNNABLE
US = 1_000_000


def switch(time: int, vcpu: int, old: int = READY) -> list[Row]:
    """Make a switch to a vCPU (-1: idle) on pCPU 0."""
    to = [(time, Kind.RUNSTATE, 0, vcpu, old, RUNS)] if vcpu >= 0 else []
    return [(time, Kind.SCHED_SWITCH, 0, vcpu, -1, vcpu), *to]


def firsts(rows: list[Row], *slices: int) -> list[tuple[int, int]]:
    """Return when vCPU 0 gets the pCPU, and whether the timer softirq is raised by it; slices in us, by switch."""
    arrivals = Arrivals(lambda pcpu, n: KERNEL, lambda pcpu, n: slices[n] * 1000, lambda vcpu: f"d{vcpu}", True)
    arrivals.rows(rows)
    return [(t.time // US, t.a) for t in arrivals.finish() if t.what == Given.BACK and t.vcpu == 0]


def test_a_slice_timer_is_the_earliest_unless_another_is_seen_to_fire_before_it() -> None:
    """So is one that is stopped, as the scheduler stops that of the vCPU that goes (Xen deactivate_timer)."""
    guest = [(10 * US, Kind.VM_ENTRY, 0, 0, -1, -1)]
    other_runs = switch(0, 1)

    def fires(at: int) -> list[Row]:
        """A timer interrupt hits the guest and brings it nothing: somebody else's timer."""
        return turn(at * US, 0x60, -1, (Kind.HOST_IRQ, -1, -1))

    alone = [*switch(0, -1), *switch(9 * US, 0), *guest]
    assert firsts(alone, -1, 1000) == [(9, 1)]
    assert firsts([*alone, *fires(500)], -1, 1000) == [(9, 0)], "a timer of somebody else's is earlier"
    assert firsts([*alone, *fires(1500)], -1, 1000) == [(9, 1)], "that one is the slice timer, or later"
    after = [*other_runs, *switch(9 * US, 0), *guest, *fires(500)]
    assert firsts(after, 100, 1000) == [(9, 1)], "the other's slice timer is stopped 91 us before its end"
    assert firsts(after, 5, 1000) == [(9, 0)], "it had fired"
    assert firsts(after, 800, 1000) == [(9, 0)], "it was not the earliest either"
    to_idle = [*other_runs, *switch(5 * US, -1), *switch(9 * US, 0), *guest, *fires(500)]
    assert firsts(to_idle, 100, -1, 1000) == [(9, 0)], "the idle vCPU has no slice"


def test_a_vcpu_whose_change_of_runstate_is_missing_is_where_it_is_next_seen() -> None:
    arrivals = Arrivals(lambda pcpu, n: KERNEL, lambda pcpu, n: -1, lambda vcpu: "d1", True)
    sleeps = [*turn(5, 0x72, -1), (10, Kind.VM_EXIT, 0, 0, 0x78, -1), (11, Kind.RUNSTATE, 0, 0, RUNS, BLOCKS)]
    arrivals.rows([*sleeps, (30, Kind.RUNSTATE, 0, 0, READY, RUNS), (31, Kind.VM_ENTRY, 0, 0, -1, -1)])
    arrivals.rows([(40, Kind.VM_EXIT, 0, 0, 0x78, -1), (41, Kind.RUNSTATE, 0, 0, RUNS, BLOCKS), *turn(60, 0x72, -1)])
    things = [(t.time, t.what) for t in arrivals.finish()]
    assert arrivals.missed == 2
    assert (30, Given.WAKE) in things and (30, Given.BACK) in things
    assert (60, Given.WAKE) in things and (60, Given.BACK) in things
    whole = Arrivals(lambda pcpu, n: KERNEL, lambda pcpu, n: -1, lambda vcpu: "d1", True)
    whole.rows([*sleeps, (20, Kind.RUNSTATE, 0, 0, BLOCKS, READY), (30, Kind.RUNSTATE, 0, 0, READY, RUNS)])
    assert whole.missed == 0


def test_armings_that_nothing_foretold_are_counted_for_as_long_as_the_interrupt_waits() -> None:
    """Interrupts on near KERNEL, off far from it and met for the first time: then and until the injection."""
    far = KERNEL + 0x10_0000
    places = [KERNEL, far, far + 8, KERNEL, far]
    arrivals = Arrivals(lambda pcpu, n: places[n], lambda pcpu, n: -1, lambda vcpu: "d1", True)
    inject, waits = (Kind.IRQ_INJECT, 0xEC, -1), (Kind.IRQ_WINDOW, 0xEC, 2)
    arrivals.rows(turn(10, 0x60, -1, inject) + turn(20, 0x60, -1, waits) + turn(30, 0x400, -1, waits, waits))
    arrivals.rows(turn(40, 0x64, -1, inject) + turn(50, 0x60, -1, waits))
    arrivals.finish()
    assert arrivals.new_exits == 1 and arrivals.new_armings == {0xEC: 3}, "the last was met with interrupts off before"
