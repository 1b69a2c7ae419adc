"""What lasted how long: owners of physical CPUs, states of virtual ones, exits, and each vector's waiting and service.

Everything is read from rows, so a recording gives what it holds and no more: a span whose end the record cannot show
has ``closed`` False. Times are ps.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from exitless.record.block import Event, Header, Record
from exitless.vocab.kinds import Kind, Owner, RunState

DISORDER_PS: Final = 1_000_000_000
UNKNOWN: Final = -1


class State:
    """What a vCPU does, as far as rows tell; the first four are what :class:`RunState` cannot tell apart."""

    GUEST: Final = 0
    ROOT: Final = 1
    RUNNABLE: Final = 2
    BLOCKED: Final = 3
    OFFLINE: Final = 4


class Phase:
    """Where a vector is: pending before the virtual APIC, requested in it, in service."""

    POSTED: Final = 0
    REQUESTED: Final = 1
    SERVICE: Final = 2


class OwnerSpan(NamedTuple):
    """A pCPU had one owner. ``reason`` is the exit that brought Xen there, -1 for none."""

    start: int
    end: int
    owner: int
    reason: int
    vcpu: int


class StateSpan(NamedTuple):
    """A vCPU was in one :class:`State`; ``pcpu`` is where, -1 unless it ran."""

    start: int
    end: int
    state: int
    pcpu: int


class ExitSpan(NamedTuple):
    """A guest exited and, at ``end``, some guest was entered there again or the pCPU went to another owner."""

    start: int
    end: int
    pcpu: int
    vcpu: int
    reason: int
    argument: int
    closed: bool


class VectorSpan(NamedTuple):
    """A guest vector was in one :class:`Phase`."""

    start: int
    end: int
    phase: int
    closed: bool


class PortSpan(NamedTuple):
    """An event channel's pending bit was set."""

    start: int
    end: int
    closed: bool


class Mark(NamedTuple):
    """Something happened at one moment, or for a moment that a cost row tells."""

    start: int
    end: int
    pcpu: int
    vcpu: int
    a: int
    b: int


@dataclass
class Spans:
    """All spans of a record, by whom they belong to.

    Shapes: ``owners`` by pCPU; ``states`` by vCPU; ``vectors`` by (vCPU, guest vector); ``ports`` by (vCPU, port);
    ``on`` by vCPU, for its posted-interrupt descriptor; ``callbacks`` has the callback vector of a vCPU; ``kinds``
    counts rows by kind.
    """

    first_ps: int = 0
    last_ps: int = 0
    owners: dict[int, list[OwnerSpan]] = field(default_factory=dict)
    states: dict[int, list[StateSpan]] = field(default_factory=dict)
    exits: list[ExitSpan] = field(default_factory=list)
    vectors: dict[tuple[int, int], list[VectorSpan]] = field(default_factory=dict)
    ports: dict[tuple[int, int], list[PortSpan]] = field(default_factory=dict)
    on: dict[int, list[PortSpan]] = field(default_factory=dict)
    processing: list[Mark] = field(default_factory=list)
    callbacks: dict[int, int] = field(default_factory=dict)
    kinds: dict[int, int] = field(default_factory=dict)


def rows(
    record: Record, first_ps: int | None = None, last_ps: int | None = None, kinds: frozenset[int] | None = None
) -> list[Event]:
    """Return a window's rows, of some kinds or of all, in the order of their times.

    A pCPU's rows may stand a little before another pCPU's earlier ones; at one time the order of recording is kept.
    """
    lo = 0 if first_ps is None else bisect_left(record.time, first_ps - DISORDER_PS)
    hi = len(record) if last_ps is None else bisect_right(record.time, last_ps + DISORDER_PS)
    found = record.rows(lo, hi, kinds)
    if first_ps is not None or last_ps is not None:
        low = first_ps if first_ps is not None else found[0].time_ps if found else 0
        high = last_ps if last_ps is not None else max((e.time_ps for e in found), default=0)
        found = [e for e in found if low <= e.time_ps <= high]
    found.sort(key=_time)
    return found


def _time(event: Event) -> int:
    return event.time_ps


def spans(record: Record, first_ps: int | None = None, last_ps: int | None = None) -> Spans:
    """Read the spans of a record or of one window of it; states at the window's start come from the rows within it."""
    return of_rows(rows(record, first_ps, last_ps), record.header, first_ps, last_ps)


def of_rows(
    events: list[Event], header: Header, first_ps: int | None = None, last_ps: int | None = None, of_cpus: bool = False
) -> Spans:
    """Read the spans of rows that stand in the order of their times; ``of_cpus`` alone leaves out vectors and ports."""
    out = Spans()
    if events:
        out.first_ps, out.last_ps = events[0].time_ps, events[-1].time_ps
    out.first_ps = out.first_ps if first_ps is None else first_ps
    out.last_ps = out.last_ps if last_ps is None else last_ps
    for e in events:
        out.kinds[e.kind] = out.kinds.get(e.kind, 0) + 1
        if e.kind == Kind.UPCALL_ENTER:
            out.callbacks.setdefault(e.vcpu, e.a)
    _owners(events, header, out)
    _states(events, header, out)
    _exits(events, header, out)
    if not of_cpus:
        _Vectors(out, header).read(events)
        _processing(events, header, out)
    return out


def _owner_changes(events: list[Event], header: Header, kinds: dict[int, int]) -> list[tuple[int, int, int, int, int]]:
    """Return ``(time, pcpu, owner, reason, vcpu)`` of every change.

    Without ``cpu.owner`` rows, entries, exits and switches stand for them: a recording has no other word.
    """
    changes = []
    if Kind.CPU_OWNER in kinds:
        for e in events:
            if e.kind == Kind.CPU_OWNER:
                changes.append((e.time_ps, e.pcpu, e.a, e.b - 1, e.vcpu))
        return changes
    for e in events:
        if e.pcpu < 0:
            continue
        if e.kind == Kind.VM_ENTRY:
            owner = header.owners[e.vcpu] if 0 <= e.vcpu < len(header.owners) else Owner.GUEST
            changes.append((e.time_ps, e.pcpu, owner, -1, e.vcpu))
        elif e.kind == Kind.VM_EXIT:
            changes.append((e.time_ps, e.pcpu, Owner.XEN, e.a, e.vcpu))
        elif e.kind == Kind.SCHED_SWITCH:
            owner = Owner.IDLE if e.b < 0 else Owner.XEN
            if 0 <= e.b < len(header.owners) and header.owners[e.b] == Owner.DOM0:
                owner = Owner.DOM0
            changes.append((e.time_ps, e.pcpu, owner, -1, e.b))
        elif e.kind == Kind.RUNSTATE and Kind.SCHED_SWITCH not in kinds:
            if e.b == RunState.RUNNING:
                dom0 = 0 <= e.vcpu < len(header.owners) and header.owners[e.vcpu] == Owner.DOM0
                changes.append((e.time_ps, e.pcpu, Owner.DOM0 if dom0 else Owner.XEN, -1, e.vcpu))
            elif e.a == RunState.RUNNING:
                changes.append((e.time_ps, e.pcpu, Owner.IDLE, -1, -1))
    return changes


def _owners(events: list[Event], header: Header, out: Spans) -> None:
    """Fill ``owners``."""
    open_: dict[int, tuple[int, int, int, int]] = {}
    for time, pcpu, owner, reason, vcpu in _owner_changes(events, header, out.kinds):
        before = open_.get(pcpu)
        if before is not None and time > before[0]:
            out.owners.setdefault(pcpu, []).append(OwnerSpan(before[0], time, before[1], before[2], before[3]))
        open_[pcpu] = (time, owner, reason, vcpu)
    for pcpu, (time, owner, reason, vcpu) in open_.items():
        if out.last_ps > time:
            out.owners.setdefault(pcpu, []).append(OwnerSpan(time, out.last_ps, owner, reason, vcpu))


def _states(events: list[Event], header: Header, out: Spans) -> None:
    """Fill ``states`` from runstates, entries, exits and owners."""
    open_: dict[int, tuple[int, int, int]] = {}

    def turn(vcpu: int, time: int, state: int, pcpu: int) -> None:
        before = open_.get(vcpu)
        if before is not None and (before[1], before[2]) == (state, pcpu):
            return
        if before is not None and time > before[0]:
            out.states.setdefault(vcpu, []).append(StateSpan(before[0], time, before[1], before[2]))
        open_[vcpu] = (time, state, pcpu)

    for e in events:
        if e.vcpu < 0:
            continue
        if e.kind == Kind.RUNSTATE:
            if e.vcpu not in open_ and e.a != RunState.RUNNING:
                turn(e.vcpu, out.first_ps, _WAITING.get(e.a, State.OFFLINE), -1)
            if e.b == RunState.RUNNING:
                turn(e.vcpu, e.time_ps, State.ROOT, e.pcpu)
            else:
                turn(e.vcpu, e.time_ps, _WAITING.get(e.b, State.OFFLINE), -1)
        elif e.kind == Kind.VM_ENTRY or (e.kind == Kind.CPU_OWNER and e.a in (Owner.DOM0, Owner.GUEST)):
            turn(e.vcpu, e.time_ps, State.GUEST, e.pcpu)
        elif e.kind == Kind.VM_EXIT:
            if e.vcpu not in open_:
                turn(e.vcpu, out.first_ps, State.GUEST, e.pcpu)
            turn(e.vcpu, e.time_ps, State.ROOT, e.pcpu)
        elif e.kind == Kind.CPU_OWNER and e.a == Owner.XEN and open_.get(e.vcpu, (0, -1, 0))[1] == State.GUEST:
            turn(e.vcpu, e.time_ps, State.ROOT, e.pcpu)
        elif e.kind == Kind.SCHED_BLOCK and Kind.RUNSTATE not in out.kinds:
            turn(e.vcpu, e.time_ps, State.BLOCKED, -1)
    for vcpu, (time, state, pcpu) in open_.items():
        if out.last_ps > time:
            out.states.setdefault(vcpu, []).append(StateSpan(time, out.last_ps, state, pcpu))


_WAITING: Final = {RunState.RUNNABLE: State.RUNNABLE, RunState.BLOCKED: State.BLOCKED, RunState.OFFLINE: State.OFFLINE}


def _exits(events: list[Event], header: Header, out: Spans) -> None:
    """Fill ``exits``: to the next entry of the vCPU or on the pCPU, or until the pCPU has another owner than Xen."""
    open_: list[Event] = []

    def close(time: int, pcpu: int, vcpu: int) -> None:
        for e in [e for e in open_ if (vcpu >= 0 and e.vcpu == vcpu) or (pcpu >= 0 and e.pcpu == pcpu)]:
            open_.remove(e)
            out.exits.append(ExitSpan(e.time_ps, time, e.pcpu, e.vcpu, e.a, e.b, True))

    for e in events:
        if e.kind == Kind.VM_EXIT:
            close(e.time_ps, e.pcpu, e.vcpu)
            open_.append(e)
        elif e.kind == Kind.VM_ENTRY:
            close(e.time_ps, e.pcpu, e.vcpu)
        elif e.kind == Kind.CPU_OWNER and e.a != Owner.XEN:
            close(e.time_ps, e.pcpu, -1)
        elif e.kind == Kind.SCHED_SWITCH and e.b < 0:
            close(e.time_ps, e.pcpu, -1)
    out.exits += [ExitSpan(e.time_ps, out.last_ps, e.pcpu, e.vcpu, e.a, e.b, False) for e in open_]
    out.exits.sort()


def _processing(events: list[Event], header: Header, out: Spans) -> None:
    """Fill ``processing``: posted-interrupt processing lasts as long as the cost row beside it says."""
    lasting: dict[tuple[int, int], int] = {}
    for e in events:
        if e.kind == Kind.STEP and 0 <= e.a < len(header.costs) and header.costs[e.a] == "notify":
            lasting[(e.time_ps, e.pcpu)] = e.b
    for e in events:
        if e.kind == Kind.PID_PROCESS:
            end = e.time_ps + lasting.get((e.time_ps, e.pcpu), 0)
            out.processing.append(Mark(e.time_ps, end, e.pcpu, e.vcpu, e.a, e.b))


class _Vectors:
    """Follows every guest vector, descriptor and port through the rows."""

    def __init__(self, out: Spans, header: Header) -> None:
        self.out = out
        self.header = header
        self.open: dict[tuple[int, int, int], int] = {}
        self.on: dict[int, int] = {}
        self.ports: dict[tuple[int, int], int] = {}
        self.marked: dict[int, int] = {}
        self.loaded: dict[int, int] = {}

    def read(self, events: list[Event]) -> None:
        """Take all rows, then close what is still open."""
        for e in events:
            if e.vcpu >= 0:
                self.one(e)
        ends = Kind.IRQ_EOI in self.out.kinds or Kind.IRQ_RETURN in self.out.kinds
        last = self.out.last_ps
        for (vcpu, vector, phase), start in self.open.items():
            known = phase != Phase.SERVICE or ends
            self.add(vcpu, vector, VectorSpan(start, last if known else start, phase, False))
        for vcpu, start in self.on.items():
            self.out.on.setdefault(vcpu, []).append(PortSpan(start, last, False))
        for (vcpu, port), start in self.ports.items():
            self.out.ports.setdefault((vcpu, port), []).append(PortSpan(start, last, False))
        for found in self.out.vectors.values():
            found.sort()

    def add(self, vcpu: int, vector: int, span: VectorSpan) -> None:
        """Keep a span; one of no length only where it marks an end that is unknown."""
        if span.end > span.start or not span.closed:
            self.out.vectors.setdefault((vcpu, vector), []).append(span)

    def begin(self, e: Event, vector: int, phase: int) -> None:
        """A vector comes into a phase, unless it is there already."""
        self.open.setdefault((e.vcpu, vector, phase), e.time_ps)

    def end(self, e: Event, vector: int, phase: int) -> bool:
        """A vector leaves a phase. Returns: whether it was in it."""
        start = self.open.pop((e.vcpu, vector, phase), None)
        if start is None:
            return False
        self.add(e.vcpu, vector, VectorSpan(start, e.time_ps, phase, True))
        return True

    def serve(self, e: Event, vector: int) -> None:
        """The processor vectors the guest: the vector is in service, or its callback runs."""
        self.end(e, vector, Phase.POSTED)
        self.end(e, vector, Phase.REQUESTED)
        marked = self.marked.pop(e.vcpu, None)
        if marked is not None and vector == self.out.callbacks.get(e.vcpu):
            self.add(e.vcpu, vector, VectorSpan(marked, e.time_ps, Phase.POSTED, True))
        elif marked is not None:
            self.marked[e.vcpu] = marked
        start = self.open.pop((e.vcpu, vector, Phase.SERVICE), None)
        if start is not None:
            self.add(e.vcpu, vector, VectorSpan(start, start, Phase.SERVICE, False))
        self.begin(e, vector, Phase.SERVICE)

    def move_posted(self, e: Event) -> None:
        """PIR moves into VIRR: every posted vector of the vCPU is now requested, and ON is clear."""
        for vcpu, vector, phase in list(self.open):
            if vcpu == e.vcpu and phase == Phase.POSTED:
                self.end(e, vector, Phase.POSTED)
                self.begin(e, vector, Phase.REQUESTED)
        start = self.on.pop(e.vcpu, None)
        if start is not None:
            self.out.on.setdefault(e.vcpu, []).append(PortSpan(start, e.time_ps, True))

    def one(self, e: Event) -> None:
        """Take one row."""
        kind = e.kind
        if kind == Kind.PID_POST:
            self.begin(e, e.a, Phase.POSTED)
            if e.b & 9:
                self.on.setdefault(e.vcpu, e.time_ps)
        elif kind == Kind.PID_PROCESS or kind == Kind.PIR_SYNC:
            self.move_posted(e)
        elif kind == Kind.IRQ_REQUEST:
            self.begin(e, e.a, Phase.REQUESTED)
        elif kind == Kind.IRQ_INJECT:
            self.loaded[e.vcpu] = e.a
        elif kind == Kind.VM_ENTRY:
            vector = e.a if e.a >= 0 else self.loaded.get(e.vcpu, -1)
            self.loaded.pop(e.vcpu, None)
            if vector >= 0:
                self.serve(e, vector)
        elif kind == Kind.IRQ_DELIVER:
            self.serve(e, e.a)
        elif kind == Kind.IRQ_EOI or kind == Kind.IRQ_RETURN:
            self.end(e, e.a, Phase.SERVICE)
        elif kind == Kind.PORT_RAISE:
            if e.b != 1:
                self.ports.setdefault((e.vcpu, e.a), e.time_ps)
        elif kind == Kind.PORT_CLEAR:
            start = self.ports.pop((e.vcpu, e.a), None)
            if start is not None:
                self.out.ports.setdefault((e.vcpu, e.a), []).append(PortSpan(start, e.time_ps, True))
        elif kind == Kind.UPCALL_MARK:
            self.marked.setdefault(e.vcpu, e.time_ps)
        elif kind == Kind.UPCALL_ENTER:
            self.marked.pop(e.vcpu, None)


def at(found: list[StateSpan], time_ps: int) -> int:
    """Return a vCPU's :class:`State` at a moment, ``UNKNOWN`` where no row tells."""
    n = bisect_right(found, time_ps, key=_start) - 1
    return found[n].state if n >= 0 and time_ps < found[n].end else UNKNOWN


def _start(span: StateSpan) -> int:
    return span.start
