"""Replays a recording through the rules and finds the events that no legal execution explains.

It takes rows as readers hand them out, those of :mod:`exitless.vocab.table` and rows of kind ``LOST``. After a finding
the part of the state that it contradicts is unknown again, and the replay goes on.
"""

from collections.abc import Callable, Iterable
from typing import Final

from exitless.judge import interrupts, laws, running
from exitless.judge.case import Case
from exitless.judge.vcpu import Row, Vcpu
from exitless.vocab.kinds import Kind, RunState

LOST: Final = 0
AHEAD: Final = 131_072
FEW: Final = 50
MANY: Final = 10
PROMPT_PS: Final = 30_000_000_000

Handler = Callable[[Case, Vcpu | None, Row], None]

HANDLERS: Final[dict[int, Handler]] = {
    Kind.IRQ_REQUEST: interrupts.request,
    Kind.IRQ_INJECT: interrupts.inject,
    Kind.IRQ_REINJECT: interrupts.inject_again,
    Kind.IRQ_WINDOW: interrupts.window,
    Kind.IRQ_DELIVER: interrupts.deliver,
    Kind.GUEST_IPI: interrupts.init,
    Kind.GUEST_LINE: interrupts.line,
    Kind.IOAPIC_SET: interrupts.line,
    Kind.IRQ_EOI: interrupts.end,
    Kind.EOI_SPARED: interrupts.spared,
    Kind.APIC_ACCESS: interrupts.access,
    Kind.MSR_ACCESS: interrupts.access,
    Kind.PIC_SET: interrupts.pic,
    Kind.VM_ENTRY: running.enter,
    Kind.VM_EXIT: running.leave,
    Kind.RUNSTATE: running.runstate,
    Kind.SCHED_WAKE: running.wake,
}

# The law that breaks when events of a kind are missing, that kind, and the one that is asked for them.
MISSED: Final = (
    (laws.REQUESTED, Kind.IRQ_REQUEST, Kind.IRQ_INJECT),
    (laws.BACKED, Kind.IRQ_REQUEST, Kind.IRQ_EOI),
    (laws.WOKEN, Kind.SCHED_WAKE, Kind.SCHED_WAKE),
    (laws.CHAINED, Kind.RUNSTATE, Kind.RUNSTATE),
    (laws.PLACED, Kind.RUNSTATE, Kind.VM_ENTRY),
)
# Events that every pCPU of a host has.
HOSTS: Final = (Kind.HOST_IRQ, Kind.SCHED_SWITCH)
TELLING: Final = 1_000
# Events that name a pCPU, and those that a vCPU has on its own.
NAMING: Final = (Kind.SCHED_TICKLE, Kind.VCPU_MOVE)
GUESTS: Final = (Kind.VM_ENTRY, Kind.VM_EXIT, Kind.IRQ_INJECT, Kind.IRQ_EOI)


def judge(
    batches: Iterable[list[Row]],
    ordered: bool = True,
    threads: bool = True,
    own: bool = False,
    pcpus: int = 0,
    marks: Callable[[], bool] = lambda: True,
) -> Case:
    """Judge a whole recording.

    ``ordered`` tells that its times can be compared between pCPUs, ``threads`` that its vCPUs are threads of a host,
    ``own`` that it is a record of a simulation, ``pcpus`` how many pCPUs there are, if that is known, and
    ``marks``, once the first events are read, that what is injected again is marked so.

    Which laws can be asked is settled by the kinds of its first events;
    where a kind begins later, all is unknown then. When the first events show that many of a kind are missing, they
    are judged again without the laws that need it.
    """
    source = iter(batches)
    first: list[Row] = []
    for rows in source:
        first += rows
        if len(first) >= AHEAD:
            break
    case = Case(ordered, threads, own)
    case.marks = marks()
    begin(case, first)
    if partly := recorded_in_part(case) | without_a_pcpu(first, pcpus, own):
        case = Case(ordered, threads, own)
        case.marks, case.partly = marks(), partly
        begin(case, first)
    for rows in source:
        more = {row[1] for row in rows} - case.seen
        if more:
            case.look(case.seen | more)
            case.forget()
        replay(case, rows)
    finish(case)
    return case


def begin(case: Case, first: list[Row]) -> None:
    """Settle which laws can be asked, and replay the first rows."""
    case.continuous = not case.threads or continuous(first)
    case.look({row[1] for row in first})
    replay(case, first)


def recorded_in_part(case: Case) -> dict[int, str]:
    """Tell which kinds of events other CPUs or threads caused that were not recorded: so many cannot be faults."""
    found = {}
    for law, kind, asking in MISSED:
        broken, asked = case.broken.get(law.name, 0), case.counts.get(asking, 0)
        if broken >= MANY and broken * MANY > asked:
            found[kind] = f"{broken} are missing where {law.name} asks for them, {asked} times"
    return found


def without_a_pcpu(rows: list[Row], pcpus: int, own: bool) -> dict[int, str]:
    """Tell which kinds of events other CPUs may have caused unseen: one has no event at all, though it had some.

    It had when every pCPU has events, those of the host, when the scheduler names it, or when vCPUs do not keep to one
    pCPU each.
    """
    seen = {row[2] for row in rows}
    named = {row[4] for row in rows if row[1] in NAMING} | {row[5] for row in rows if row[1] == Kind.VCPU_MOVE}
    named = {pcpu for pcpu in named if 0 <= pcpu} - seen
    absent = set(range(max(pcpus, 1 + max(seen, default=-1)))) - seen
    told = bool(absent & set(range(pcpus)))
    hosts = (told or len(rows) >= TELLING) and any(row[1] in HOSTS for row in rows)
    if own or not (named or (absent and (hosts or moving(rows)))):
        return {}
    return dict.fromkeys(
        (Kind.IRQ_REQUEST, Kind.SCHED_WAKE, Kind.RUNSTATE), f"there are none of pCPU {min(named | absent)}"
    )


def moving(rows: list[Row]) -> bool:
    """Tell whether vCPUs share pCPUs or change them."""
    pairs = {
        (row[3], row[2])
        for row in rows
        if row[3] >= 0 and (row[1] in GUESTS or (row[1] == Kind.RUNSTATE and row[5] == RunState.RUNNING))
    }
    return len(pairs) > min(len({vcpu for vcpu, _ in pairs}), len({pcpu for _, pcpu in pairs}))


def continuous(rows: list[Row]) -> bool:
    """Tell whether vCPUs that stop to run have started before, but for a few: if not, only part is recorded."""
    runs: dict[int, bool] = {}
    stops = broken = starts = 0
    for _, kind, _, place, old, new in rows:
        if kind == LOST:
            runs.clear()
        if kind != Kind.RUNSTATE or place < 0:
            continue
        if old == RunState.RUNNING:
            stops += 1
            broken += not runs.get(place, True)
        runs[place] = new == RunState.RUNNING
        starts += runs[place]
    return broken * FEW <= stops or broken * MANY <= starts


def replay(case: Case, rows: list[Row]) -> None:
    """Replay some rows."""
    handlers, vcpus, counts = HANDLERS, case.vcpus, case.counts
    for row in rows:
        time, kind, _, place, _, _ = row
        if case.blinded and time > case.blind:
            case.blinded = False
            case.forget()
        if place >= len(vcpus):
            vcpus.extend(Vcpu(n) for n in range(len(vcpus), place + 1))
        handler = handlers.get(kind)
        if handler is not None:
            counts[kind] = counts.get(kind, 0) + 1
            v = vcpus[place] if place >= 0 else None
            handler(case, v, row)
            if v is not None:
                v.recent.append(row)
        elif kind == LOST and row[4] >= 0:
            case.blinded, case.blind = True, max(case.blind, row[5])
            case.forget()
    if rows:
        case.now = rows[-1][0]
    case.events += len(rows)


def finish(case: Case) -> None:
    """The recording ends: whoever should have been woken long ago was not."""
    for v in case.vcpus:
        if v.owed is not None and case.now - v.owed[0] > PROMPT_PS:
            case.break_(laws.KICKED, v, v.owed, "it is not woken to the end of the recording")
    case.settle_doubts()
    case.findings.sort(key=lambda finding: finding.row[0])
