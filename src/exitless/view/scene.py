"""What there is to draw of a record: a window, lanes from devices down to vectors, and the interrupts in it."""

from dataclasses import dataclass, field, replace
from typing import Final

from exitless.record.block import Event, Header, Record
from exitless.study.journeys import Rows, choose, of_vectors
from exitless.study.spans import Phase, Spans, of_rows, rows
from exitless.study.ways import Journey, Step
from exitless.view.cards import Card, cards
from exitless.view.lanes import Lane, lanes, sources_of
from exitless.view.names import is_model
from exitless.view.words import Words
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind

WARM_UP_PS: Final = 500_000_000


@dataclass
class Scene:
    """A window of a record, ready to draw. Times are ps of the record."""

    header: Header
    first_ps: int
    last_ps: int
    rows_total: int
    events: list[Event]
    spans: Spans
    lanes: list[Lane] = field(default_factory=list)
    journeys: list[Journey] = field(default_factory=list)
    chosen: int = -1
    ways: Rows | None = None

    @property
    def journey(self) -> Journey | None:
        """The interrupt that is selected."""
        return self.journeys[self.chosen] if self.chosen >= 0 else None

    def cards(self) -> list[Card]:
        """The numbered steps of the selection."""
        if is_model(self.header):
            return _model_cards(self)
        return cards(self.header, self.journey) if self.journey else []

    def missing(self) -> list[str]:
        """Say what the record does not hold, in sentences."""
        kinds, out = self.spans.kinds, []
        if is_model(self.header):
            return []
        if Kind.SOURCE_ASSERT not in kinds:
            out.append("This record names no device assertion: latency from a device is unknown.")
        if not kinds.keys() & {Kind.PID_POST, Kind.PID_PROCESS, Kind.PIR_SYNC} and self.header.origin != "simulated":
            out.append("It has no posted-interrupt descriptor. PIR, ON, SN, NV and NDST are unknown.")
        if Kind.CPU_OWNER not in kinds and self.spans.owners:
            out.append("Owners of pCPUs are read from entries, exits and switches.")
        if not kinds.keys() & {Kind.IRQ_EOI, Kind.IRQ_RETURN} and self.spans.vectors:
            out.append("It has no end of interrupt: how long a vector was in service is unknown.")
        return out


def _model_cards(scene: Scene) -> list[Card]:
    """Number the steps of a model's run; who took one and what it did stand in the name of its cost."""
    out = []
    for e in scene.events:
        if e.kind == Kind.STEP and 0 <= e.a < len(scene.header.costs):
            meant = [x for x in scene.events if x.time_ps == e.time_ps and x.kind != Kind.STEP]
            who, _, says = scene.header.costs[e.a].partition(": ")
            out.append(Card(e.time_ps, tuple(Step(*x) for x in meant or [e]), Words(who, says, says)))
    return out


def window(record: Record, first_ps: int | None, last_ps: int | None) -> tuple[int, int]:
    """Return the ends of a window, by default the whole record."""
    times = record.time
    low = min(times[:4096], default=0) if first_ps is None else first_ps
    high = max(times[-4096:], default=low) if last_ps is None else last_ps
    return low, max(high, low + 1)


def part(record: Record, budget: int, source: str | None = None, nth: int | None = None) -> tuple[int, int]:
    """Return the ends of a window of at most ``budget`` rows: about the asked interrupt, else from a fifth on."""
    if len(record) <= budget and nth is None:
        return window(record, None, None)
    middle = len(record) // 5 + budget // 2
    if nth is not None:
        for number in sources_of(record.header, source):
            found = (n for n in range(len(record)) if record.where[n] & 65535 == Kind.SOURCE_ASSERT)
            place = next((n for n in found if record.a[n] == number and record.b[n] == nth), -1)
            if place >= 0:
                middle = place
                break
    first = max(0, min(middle - budget // 2, len(record) - budget))
    last = min(len(record), first + budget) - 1
    return (record.time[first], record.time[last]) if record else (0, 1)


def scene(
    record: Record, first_ps: int | None = None, last_ps: int | None = None, source: str | None = None,
    nth: int | None = None, around: int | None = None,
) -> Scene:  # fmt: skip
    """Set a scene. ``around`` narrows the window to the chosen interrupt, that many times its length."""
    low, high = window(record, first_ps, last_ps)
    found = rows(record, low - WARM_UP_PS, high)
    out = Scene(record.header, low, high, len(record), [], of_rows(found, record.header, None, high))
    out.ways = Rows(found, record.header)
    out.journeys = [j for j in _interrupts(found, out.ways, source) if j.start >= low]
    out.chosen = choose(out.journeys, nth)
    if is_model(record.header):
        low, high = 0, max(high, record.header.length_ps)
    elif around is not None and out.journey is not None:
        journey = out.journey
        length = max(journey.end - journey.start, 1_000_000)
        spare = (length * around - length) // 2
        low, high = max(low, journey.start - spare // 2), min(high, journey.end + spare * 3 // 2)
    out.events = found
    return narrow(out, low, high)


def narrow(wide: Scene, first_ps: int, last_ps: int) -> Scene:
    """Return the same scene in a window inside its own, with the lanes of what happens there."""
    events = [e for e in wide.events if first_ps <= e.time_ps <= last_ps]
    out = replace(wide, first_ps=first_ps, last_ps=last_ps, events=events)
    home = out.journey.vcpu if out.journey else -1
    out.lanes = lanes(out.header, events, out.spans, home, first_ps, last_ps)
    return out


def alike(wide: Scene, model: Journey) -> Scene:
    """Select an interrupt that meets what another scene's met: a vCPU asleep or not, a device's exit on its way or not.

    The last of these is given up when no interrupt has it, then the first.
    """

    def wakes(j: Journey) -> bool:
        return any(step.kind == Kind.SCHED_WAKE for step in j.steps)

    def met(j: Journey) -> bool:
        found = [e.reason for e in wide.spans.exits if e.vcpu == j.vcpu and e.start in j.touching]
        return Exit.EXTERNAL_INTERRUPT in found

    whole = [n for n, j in enumerate(wide.journeys) if j.handled >= 0 and j.handled + 1 < len(j.steps)]
    same = [n for n in whole if wakes(wide.journeys[n]) == wakes(model)]
    both = (n for n in same if wide.journeys[n].touching and model.touching and met(wide.journeys[n]))
    plain = (n for n in same if not wide.journeys[n].touching)
    chosen = next(both, -1) if model.touching else next(plain, -1)
    if chosen < 0:
        chosen = next(iter(same or whole), wide.chosen)
    return replace(wide, chosen=chosen)


def _interrupts(found: list[Event], ways: Rows, source: str | None) -> list[Journey]:
    """Return the interrupts of the asked or the first source that has any, else of every vector."""
    for number in sources_of(ways.header, source):
        if number in ways.asserts:
            return ways.of_source(number)
    return of_vectors(found, ways.header)


def place_of(scene: Scene, step: Step) -> int:
    """Return the lane on which a step happens, -1 for none of those shown."""
    kind, pcpu, vcpu, a = step.kind, step.pcpu, step.vcpu, step.a
    wanted: list[tuple[str, int, int]] = []
    if kind in (Kind.SOURCE_ASSERT, Kind.SOURCE_MERGE):
        wanted.append(("device", a, -1))
    elif kind == Kind.MSI_ROUTE:
        wanted.append(("irte", -1, -1))
    elif kind == Kind.PID_POST:
        wanted.append(("pid", vcpu, -1))
    elif kind in (Kind.IRQ_DELIVER, Kind.IRQ_EOI, Kind.IRQ_RETURN) or (kind == Kind.VM_ENTRY and a >= 0):
        wanted += [("vector", vcpu, a), ("vcpu", vcpu, -1)]
    elif kind in (Kind.PORT_RAISE, Kind.PORT_CLEAR):
        wanted += [("port", vcpu, a), ("vcpu", vcpu, -1)]
    elif kind in (Kind.SOURCE_HANDLE, Kind.UPCALL_ENTER, Kind.UPCALL_MARK):
        wanted += [*_served(scene, kind, vcpu, a), ("vcpu", vcpu, -1)]
    elif kind in (Kind.IRQ_REQUEST, Kind.IRQ_INJECT, Kind.IRQ_WINDOW):
        wanted += [("vector", vcpu, a), ("vcpu", vcpu, -1)]
    elif kind in (Kind.SCHED_WAKE, Kind.SCHED_SWITCH, Kind.VCPU_MOVE, Kind.CPU_OWNER, Kind.RUNSTATE):
        wanted.append(("vcpu", vcpu, -1))
    wanted.append(("pcpu", pcpu, -1))
    for kind_, number, vector in wanted:
        for n, lane in enumerate(scene.lanes):
            if lane.kind == kind_ and (number in lane.members if lane.members else lane.number == number):
                if lane.vector == vector:
                    return n
    return -1


def _served(scene: Scene, kind: int, vcpu: int, source: int) -> list[tuple[str, int, int]]:
    """Return the vector or port lanes on which a handler or upcall may be shown."""
    header = scene.header
    out = []
    if kind == Kind.SOURCE_HANDLE and 0 <= source < len(header.sources):
        if header.source_port[source] >= 0:
            out.append(("port", vcpu, header.source_port[source]))
        out.append(("vector", vcpu, header.source_vector[source]))
    if vcpu in scene.spans.callbacks:
        out.append(("vector", vcpu, scene.spans.callbacks[vcpu]))
    return out


def phase_word(phase: int) -> str:
    """Name a vector's phase."""
    return {Phase.POSTED: "PIR", Phase.REQUESTED: "VIRR", Phase.SERVICE: "in service"}[phase]
