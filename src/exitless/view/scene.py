"""What there is to draw of a record: a window, lanes from devices down to vectors, and the interrupts in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from exitless.record.block import Event, Header, Record
from exitless.study.journeys import Rows, choose, of_vectors
from exitless.study.spans import Phase, Spans, of_rows, rows
from exitless.study.ways import Journey, Step
from exitless.view.words import Card, Words, cards, is_model, source_name, vcpu_name
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner

WARM_UP_PS: Final = 500_000_000


class Lane(NamedTuple):
    """One lane: ``kind`` tells what is drawn on it, ``number`` and ``vector`` whose it is."""

    group: str
    kind: str
    label: str
    detail: str
    number: int
    vector: int = -1
    members: tuple[int, ...] = ()


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
    out.lanes = lanes(out)
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


def sources_of(header: Header, name: str | None) -> list[int]:
    """Return the sources of a name (``sas`` stands for ``sas.0`` too), those of guests first, timers last."""
    numbers = list(range(len(header.sources)))
    if name is not None:
        return [n for n in numbers if header.sources[n] == name or header.sources[n].split(".")[0] == name]

    def rank(n: int) -> tuple[bool, bool, int]:
        vcpu = header.source_vcpu[n] if n < len(header.source_vcpu) else -1
        guest = 0 <= vcpu < len(header.owners) and header.owners[vcpu] == Owner.GUEST
        return header.sources[n].endswith("timer"), not guest, n

    return sorted(numbers, key=rank)


def _interrupts(found: list[Event], ways: Rows, source: str | None) -> list[Journey]:
    """Return the interrupts of the asked or the first source that has any, else of every vector."""
    for number in sources_of(ways.header, source):
        if number in ways.asserts:
            return ways.of_source(number)
    return of_vectors(found, ways.header)


def lanes(scene: Scene) -> list[Lane]:
    """List the lanes of everything that has a row in the window, causes above effects."""
    header, spans = scene.header, scene.spans
    return [*_devices(scene), *_routing(scene), *_pcpus(scene, header, spans), *_vcpus(scene, header, spans)]


def _devices(scene: Scene) -> list[Lane]:
    header = scene.header
    seen = {e.a for e in scene.events if e.kind == Kind.SOURCE_ASSERT}
    groups: dict[str, list[int]] = {}
    for n in [n for n in sources_of(header, None) if n in seen]:
        name = header.sources[n]
        stem = name if name.endswith("timer") else name.split(".")[0]
        groups.setdefault(stem, []).append(n)
    out = []
    for name, members in groups.items():
        first = members[0]
        text = _vector_text(header, first) + _more(members)
        if name.endswith("timer"):
            text = text.removeprefix("guest ")
        out.append(Lane("Devices", "device", name, text, first, -1, tuple(members)))
    return out


def _vector_text(header: Header, source: int) -> str:
    """Say under which vector or port a source's guest or host knows it."""

    def entry(values: list[int]) -> int:
        return values[source] if source < len(values) else -1

    vector, host, port = entry(header.source_vector), entry(header.source_host_vector), entry(header.source_port)
    vcpu = entry(header.source_vcpu)
    guest = 0 <= vcpu < len(header.owners) and header.owners[vcpu] == Owner.GUEST
    if port >= 0 and guest:
        return f"port {port}"
    if guest and vector > 0:
        return f"guest 0x{vector:02x}"
    return f"host 0x{host:02x}" if host >= 0 else ""


def _routing(scene: Scene) -> list[Lane]:
    out = []
    entries = sorted({e.a for e in scene.events if e.kind == Kind.MSI_ROUTE})
    if entries:
        whole = len(entries) > 1 and entries[-1] - entries[0] == len(entries) - 1
        text = f"{entries[0]}–{entries[-1]}" if whole else str(entries[0]) + _more(entries)
        out.append(Lane("Routing", "irte", "IRTE", text, -1))
    posted = {e.vcpu for e in scene.events if e.kind in (Kind.PID_POST, Kind.PID_PROCESS, Kind.PIR_SYNC)}
    out += [Lane("Routing", "pid", f"PID {vcpu_name(scene.header, v)}", "", v) for v in sorted(posted)]
    return out


def _pcpus(scene: Scene, header: Header, spans: Spans) -> list[Lane]:
    known = set(spans.owners) | {e.pcpu for e in scene.events if e.pcpu >= 0} | set(range(header.pcpus))
    vectors: dict[int, set[int]] = {}
    hosts = set(header.source_host_vector) - {-1}
    for e in scene.events:
        if e.kind in (Kind.LAPIC_ACCEPT, Kind.HOST_IRQ) and e.a >= 0 and (e.a in hosts or not hosts):
            vectors.setdefault(e.pcpu, set()).add(e.a)
    out = []
    for p in sorted(known):
        seen = sorted(vectors.get(p, ()))
        text = f"0x{seen[0]:02x}{_more(seen)}" if seen else ""
        out.append(Lane("Physical CPUs", "pcpu", f"pCPU{p}", text, p))
    return out


def _more(found: Sequence[int]) -> str:
    return f" +{len(found) - 1}" if len(found) > 1 else ""


def _vcpus(scene: Scene, header: Header, spans: Spans) -> list[Lane]:
    out = []
    low, high = scene.first_ps, scene.last_ps
    seen = {v for v, s in spans.states.items() if any(x.end > low and x.start < high for x in s)}
    home = scene.journey.vcpu if scene.journey else -1
    place = {v: max((x.pcpu for x in spans.states[v]), default=-1) for v in seen}

    def rank(v: int) -> tuple[bool, bool, int]:
        return _is_dom0(header, v), place[v] != place.get(home, -2), v

    for v in sorted(seen, key=rank):
        dom0 = _is_dom0(header, v)
        out.append(Lane("Virtual CPUs", "vcpu", vcpu_name(header, v), "dom0" if dom0 else "guest", v))
        if dom0:
            continue
        for who, port in sorted(spans.ports):
            if who == v and any(x.end >= low and x.start <= high for x in spans.ports[(who, port)]):
                out.append(Lane("Virtual CPUs", "port", f"port {port}", _port_source(header, v, port), v, port))
        for who, vector in sorted(spans.vectors, key=lambda key: (key[0], -key[1])):
            inside = any(x.end >= low and x.start <= high for x in spans.vectors[(who, vector)])
            if who == v and inside:
                whose = _whose(header, v, vector, spans)
                out.append(Lane("Virtual CPUs", "vector", f"0x{vector:02x}", whose, v, vector))
    return out


def _is_dom0(header: Header, vcpu: int) -> bool:
    return 0 <= vcpu < len(header.owners) and header.owners[vcpu] == Owner.DOM0


def _whose(header: Header, vcpu: int, vector: int, spans: Spans) -> str:
    """Say whose a guest vector is."""
    if spans.callbacks.get(vcpu) == vector:
        return "upcall"
    for n, v in enumerate(header.source_vector):
        port = header.source_port[n] if n < len(header.source_port) else -1
        if v == vector and header.source_vcpu[n] == vcpu and port < 0:
            return source_name(header, n).removeprefix(f"{vcpu_name(header, vcpu)}.")
    return ""


def _port_source(header: Header, vcpu: int, port: int) -> str:
    for n, p in enumerate(header.source_port):
        if p == port and header.source_vcpu[n] == vcpu:
            return source_name(header, n).removeprefix(f"{vcpu_name(header, vcpu)}.")
    return ""


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
