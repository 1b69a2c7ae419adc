"""A record as a Perfetto trace: who owns each pCPU, what each vCPU and vector does, every interrupt's way as a flow.

The file is a sequence of protocol-buffer packets, written as they are made (perfetto/trace/trace_packet.proto and
perfetto/trace/track_event/*.proto; the numbers below are theirs). Times are ns, rounded down.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final

from exitless.bits.units import PS_PER_MS
from exitless.record.block import Event, Header, Record
from exitless.study.journeys import of_source, of_vectors
from exitless.study.spans import OwnerSpan, Phase, PortSpan, Spans, State, of_rows, rows
from exitless.study.ways import Journey
from exitless.view.cards import cards
from exitless.view.lanes import sources_of
from exitless.view.names import headline, host_name, owner_name, reason_name, source_name, vcpu_name
from exitless.view.packets import BEGIN, END, INSTANT, Notes, Packets
from exitless.view.scene import WARM_UP_PS, window
from exitless.vocab.kinds import Kind, Owner

STATES: Final = {
    State.GUEST: "running", State.ROOT: "in the hypervisor", State.RUNNABLE: "runnable", State.BLOCKED: "blocked",
    State.OFFLINE: "offline",
}  # fmt: skip
OF_VCPU: Final = (
    Kind.SOURCE_HANDLE, Kind.IRQ_REQUEST, Kind.IRQ_INJECT, Kind.IRQ_WINDOW, Kind.IRQ_EOI, Kind.IRQ_RETURN,
    Kind.PORT_RAISE, Kind.PORT_CLEAR,
)  # fmt: skip
PHASES: Final = {Phase.POSTED: "PIR", Phase.REQUESTED: "VIRR", Phase.SERVICE: "in service"}

Place = tuple[str, int, int, int]


class Perfetto(Packets):
    """A trace under way. Records added to it stand beside each other, each under its own name."""

    def add(
        self, record: Record, first_ps: int | None = None, last_ps: int | None = None,
        tick: Callable[[float], None] | None = None,
    ) -> None:  # fmt: skip
        """Write one record, or a window of it; ``tick`` is told which share is done."""
        _Tracks(self, record, first_ps, last_ps).write(tick)


class _Tracks:
    """One record on its way into the file.

    Shapes: ``flows`` has, by place and time of a mark, the interrupts that pass there and those that end there;
    ``marks`` the marks of each place that is no slice, ``(time, name, notes)``.
    """

    def __init__(self, file: Packets, record: Record, first_ps: int | None, last_ps: int | None) -> None:
        self.file = file
        self.header: Header = record.header
        self.low, self.high = window(record, first_ps, last_ps)
        events = rows(record, None if first_ps is None else self.low - WARM_UP_PS, self.high)
        self.spans: Spans = of_rows(events, record.header, None, self.high)
        self.events: list[Event] = [e for e in events if self.low <= e.time_ps <= self.high]
        self.flows: dict[tuple[Place, int], tuple[list[int], list[int]]] = {}
        self.marks: dict[Place, list[tuple[int, str, Notes]]] = {}

    def write(self, tick: Callable[[float], None] | None) -> None:
        """Write all tracks."""
        h = self.header
        root = self.file.track(" · ".join([h.scenario or h.title or "record", *([h.mechanism] if h.mechanism else [])]))
        self.follow()
        parts = (self.devices, self.pcpus, self.vcpus, self.counters)
        for n, write in enumerate(parts, 1):
            write(root)
            if tick is not None:
                tick(n / len(parts))

    def follow(self) -> None:
        """Give every interrupt a flow, and a mark to each of its steps that is no slice of its own."""
        asserted = {e.a for e in self.events if e.kind == Kind.SOURCE_ASSERT}
        found: list[Journey] = []
        for source in sources_of(self.header, None):
            if source in asserted:
                found += of_source(self.events, self.header, source)
        for journey in found or of_vectors(self.events, self.header):
            self.way(journey)
        for marks in self.marks.values():
            marks.sort(key=lambda mark: mark[0])

    def way(self, journey: Journey) -> None:
        """Put one interrupt's steps on their places."""
        title = headline(self.header, journey)
        passed: dict[tuple[Place, int], None] = {}
        exits = set(journey.exits)
        for card in cards(self.header, journey):
            step = card.rows[0]
            kind, vcpu = step.kind, step.vcpu
            place: Place | None = ("handler", vcpu, 0, 0)
            if kind in (Kind.SOURCE_ASSERT, Kind.SOURCE_MERGE):
                place = ("device", step.a, 0, 0)
            elif kind == Kind.MSI_ROUTE:
                place = ("route", 0, 0, 0)
            elif kind in (Kind.PID_POST, Kind.PID_PROCESS, Kind.PIR_SYNC):
                place = ("pid", vcpu, 0, 0)
            elif kind == Kind.VM_EXIT:
                place = ("exit", step.pcpu, 0, 0) if step.time in exits else None
            elif kind == Kind.IRQ_DELIVER or (kind == Kind.VM_ENTRY and max(step.a, journey.vector) >= 0):
                place = ("vector", vcpu, step.a if step.a >= 0 else journey.vector, Phase.SERVICE)
            elif kind not in OF_VCPU:
                place = None
            if place is None:
                continue
            passed[(place, step.time)] = None
            if any(row.kind == Kind.SOURCE_HANDLE for row in card.rows):
                self.mark(
                    ("handler", vcpu, 0, 0), card.time, f"{source_name(self.header, journey.source)} handler", title
                )
                passed[(("handler", vcpu, 0, 0), card.time)] = None
            elif place[0] not in ("exit", "vector"):
                self.mark(place, step.time, card.words.title, title)
        if len(passed) < 2:
            return
        self.file.flows += 1
        last = list(passed)[-1]
        for key in passed:
            self.flows.setdefault(key, ([], []))[1 if key == last else 0].append(self.file.flows)

    def mark(self, place: Place, time: int, name: str, of: str) -> None:
        """Keep a mark."""
        self.marks.setdefault(place, []).append((time, name, (("interrupt", of),)))

    def at(self, place: Place, time: int) -> tuple[list[int], list[int]]:
        """Take the flows that pass a place at a time, and those that end there; each is handed out once."""
        return self.flows.pop((place, time), ([], []))

    def write_marks(self, place: Place, name: str, parent: int) -> None:
        """Write a track of marks, if there are any."""
        marks = self.marks.get(place, [])
        if not marks:
            return
        track = self.file.track(name, parent)
        for time, title, notes in marks:
            self.file.event(time, track, INSTANT, title, notes, *self.at(place, time))

    def devices(self, root: int) -> None:
        """Write assertions, translations and descriptors."""
        group = self.file.track("Devices", root)
        for source in sources_of(self.header, None):
            self.write_marks(("device", source, 0, 0), source_name(self.header, source), group)
        routing = [place for place in sorted(self.marks) if place[0] in ("route", "pid")]
        if routing or self.spans.on:
            group = self.file.track("Routing", root)
        self.write_marks(("route", 0, 0, 0), "IRTE", group)
        for vcpu in sorted({place[1] for place in routing if place[0] == "pid"} | set(self.spans.on)):
            name = f"PID {vcpu_name(self.header, vcpu)}"
            self.write_marks(("pid", vcpu, 0, 0), name, group)
            self.slices(f"{name} ON", group, "ON = 1", self.spans.on.get(vcpu, []))

    def inside(self, start: int, end: int) -> tuple[int, int] | None:
        """Cut a span at the window, None when it lies outside."""
        low, high = max(start, self.low), min(end, self.high)
        return (low, high) if low <= high and end >= self.low and start <= self.high else None

    def slices(self, track_name: str, parent: int, name: str, found: list[PortSpan]) -> None:
        """Write spans of one name as a track, if there are any."""
        cut = [x for x in (self.inside(s.start, s.end) for s in found) if x is not None]
        if not cut:
            return
        track = self.file.track(track_name, parent)
        for start, end in cut:
            self.file.event(start, track, BEGIN, name)
            self.file.event(end, track, END)

    def pcpus(self, root: int) -> None:
        """Write owners of pCPUs, with exits inside what the hypervisor owns."""
        group = self.file.track("Physical CPUs", root)
        exits: dict[int, list[tuple[int, int, str, Notes]]] = {}
        for e in self.spans.exits:
            notes: Notes = (("vCPU", vcpu_name(self.header, e.vcpu)), ("argument", e.argument))
            exits.setdefault(e.pcpu, []).append((e.start, e.end, reason_name(self.header, e.reason), notes))
        for pcpu in sorted(set(self.spans.owners) | {p for p in exits if p >= 0}):
            track = self.file.track(f"pCPU{pcpu}", group)
            mine = exits.get(pcpu, [])
            starts = [x[0] for x in mine]
            for s in self.spans.owners.get(pcpu, []):
                cut = self.inside(s.start, s.end)
                if cut is None or cut[0] == cut[1]:
                    continue
                self.file.event(cut[0], track, BEGIN, self.owner(s))
                if s.owner == Owner.XEN:
                    inner = mine[max(0, bisect_right(starts, cut[0]) - 1) : bisect_left(starts, cut[1])]
                    self.nested(pcpu, track, cut, inner)
                self.file.event(cut[1], track, END)

    def nested(self, pcpu: int, track: int, cut: tuple[int, int], inner: list[tuple[int, int, str, Notes]]) -> None:
        """Write the exits within one span of the hypervisor."""
        for start, end, name, notes in inner:
            low, high = max(start, cut[0]), min(end, cut[1])
            if low > high or (low == high and start != low):
                continue
            self.file.event(low, track, BEGIN, name, notes, *self.at(("exit", pcpu, 0, 0), start))
            self.file.event(high, track, END)

    def owner(self, s: OwnerSpan) -> str:
        """Name an owner: the vCPU where it is known."""
        name = owner_name(self.header, s.owner)
        return (
            f"{name} {vcpu_name(self.header, s.vcpu)}" if s.owner in (Owner.DOM0, Owner.GUEST) and s.vcpu >= 0 else name
        )

    def vcpus(self, root: int) -> None:
        """Write states of vCPUs, and under each its handlers, vectors and ports."""
        group = self.file.track("Virtual CPUs", root)
        for vcpu in sorted(set(self.spans.states) | {place[1] for place in self.marks if place[0] == "handler"}):
            track = self.file.track(vcpu_name(self.header, vcpu), group)
            for s in self.spans.states.get(vcpu, []):
                cut = self.inside(s.start, s.end)
                if cut is not None and cut[0] < cut[1]:
                    name = STATES[s.state].replace("the hypervisor", host_name(self.header))
                    self.file.event(cut[0], track, BEGIN, name, (("pCPU", s.pcpu),) if s.pcpu >= 0 else ())
                    self.file.event(cut[1], track, END)
            self.write_marks(("handler", vcpu, 0, 0), "interrupts", track)
            for who, port in sorted(self.spans.ports):
                if who == vcpu:
                    self.slices(f"port {port} pending", track, f"port {port}", self.spans.ports[(who, port)])
            for who, vector in sorted(self.spans.vectors, key=lambda key: (key[0], -key[1])):
                if who == vcpu:
                    self.vector(track, vcpu, vector)

    def vector(self, parent: int, vcpu: int, vector: int) -> None:
        """Write one guest vector: a track a phase, because one may be requested again while it is in service."""
        for phase, name in PHASES.items():
            found = [s for s in self.spans.vectors[(vcpu, vector)] if s.phase == phase]
            cut = [x for x in (self.inside(s.start, s.end) for s in found) if x is not None]
            if not cut:
                continue
            track = self.file.track(f"0x{vector:02x} {name}", parent)
            for start, end in cut:
                flows = self.at(("vector", vcpu, vector, phase), start)
                self.file.event(start, track, BEGIN, f"0x{vector:02x}", (), *flows)
                self.file.event(end, track, END)

    def counters(self, root: int) -> None:
        """Write RVI and pending interrupts of each vCPU, and exits per ms."""
        group = self.file.track("Counters", root)
        rvi: dict[int, list[tuple[int, int]]] = {}
        per_ms: dict[int, int] = {}
        for e in self.events:
            if e.kind in (Kind.PID_PROCESS, Kind.IRQ_DELIVER, Kind.RVI_WRITE) and e.vcpu >= 0:
                rvi.setdefault(e.vcpu, []).append((e.time_ps, max(0, e.b)))
            elif e.kind == Kind.VM_EXIT:
                per_ms[e.time_ps // PS_PER_MS] = per_ms.get(e.time_ps // PS_PER_MS, 0) + 1
        for vcpu, values in sorted(rvi.items()):
            self.counter(f"RVI {vcpu_name(self.header, vcpu)}", group, "vector", values)
        if per_ms:
            ms = range(self.low // PS_PER_MS, self.high // PS_PER_MS + 1)
            points = ((max(n * PS_PER_MS, self.low), per_ms.get(n, 0)) for n in ms)
            self.counter("exits per ms", group, "exits", points)
        changes: dict[int, list[tuple[int, int]]] = {}
        waiting: list[tuple[int, int, int]] = [
            (vcpu, s.start, s.end) for (vcpu, _), found in self.spans.vectors.items() for s in found
            if s.phase != Phase.SERVICE
        ]  # fmt: skip
        waiting += [(vcpu, s.start, s.end) for (vcpu, _), found in self.spans.ports.items() for s in found]
        for vcpu, start, end in waiting:
            cut = self.inside(start, end)
            if cut is not None:
                changes.setdefault(vcpu, []).extend([(cut[0], 1), (cut[1], -1)])
        for vcpu, found in sorted(changes.items()):
            self.counter(f"interrupts pending {vcpu_name(self.header, vcpu)}", group, "interrupts", _sums(found))

    def counter(self, name: str, parent: int, unit: str, values: Iterable[tuple[int, int]]) -> None:
        """Write a counter."""
        track = self.file.track(name, parent, unit)
        for time, value in values:
            self.file.count(time, track, value)


def _sums(changes: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Return the running sum after each time of change, in order of time."""
    ordered = sorted(changes)
    for n, total in enumerate(accumulate(change for _, change in ordered)):
        if n + 1 == len(ordered) or ordered[n + 1][0] != ordered[n][0]:
            yield ordered[n][0], total
