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
PROMPT_PS: Final = 100_000_000_000

Handler = Callable[[Case, Vcpu | None, Row], None]

HANDLERS: Final[dict[int, Handler]] = {
    Kind.IRQ_REQUEST: interrupts.request,
    Kind.IRQ_INJECT: interrupts.inject,
    Kind.IRQ_REINJECT: interrupts.inject_again,
    Kind.IRQ_WINDOW: interrupts.window,
    Kind.IRQ_EOI: interrupts.end,
    Kind.EOI_SPARED: interrupts.spared,
    Kind.PIC_SET: interrupts.pic,
    Kind.VM_ENTRY: running.enter,
    Kind.VM_EXIT: running.leave,
    Kind.RUNSTATE: running.runstate,
    Kind.SCHED_WAKE: running.wake,
}


def judge(batches: Iterable[list[Row]], ordered: bool = True, threads: bool = True) -> Case:
    """Judge a whole recording.

    ``ordered`` tells that its times can be compared between pCPUs, ``threads`` that its vCPUs are threads of a host.
    Which laws can be asked is settled by the kinds of its first events; where a kind begins later, all is unknown then.
    """
    case = Case(ordered, threads)
    source = iter(batches)
    first: list[Row] = []
    for rows in source:
        first += rows
        if len(first) >= AHEAD:
            break
    case.continuous = not threads or continuous(first)
    case.look({row[1] for row in first})
    replay(case, first)
    for rows in source:
        more = {row[1] for row in rows} - case.seen
        if more:
            case.look(case.seen | more)
            case.forget()
        replay(case, rows)
    finish(case)
    return case


def continuous(rows: list[Row]) -> bool:
    """Tell whether vCPUs that stop to run have started before, but for a few: if not, only part is recorded."""
    runs: dict[int, bool] = {}
    stops = broken = 0
    for _, kind, _, place, old, new in rows:
        if kind == LOST:
            runs.clear()
        if kind != Kind.RUNSTATE or place < 0:
            continue
        if old == RunState.RUNNING:
            stops += 1
            broken += not runs.get(place, True)
        runs[place] = new == RunState.RUNNING
    return broken * FEW <= stops or broken < FEW // 10


def replay(case: Case, rows: list[Row]) -> None:
    """Replay some rows."""
    handlers, vcpus = HANDLERS, case.vcpus
    for row in rows:
        time, kind, _, place, _, _ = row
        if case.blinded and time > case.blind:
            case.blinded = False
            case.forget()
        if place >= len(vcpus):
            vcpus.extend(Vcpu(n) for n in range(len(vcpus), place + 1))
        handler = handlers.get(kind)
        if handler is not None:
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
    case.findings.sort(key=lambda finding: finding.row[0])
