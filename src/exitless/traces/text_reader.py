"""What the readers of text have in common: lines, one at a time and never too long, and the tracepoints they hold."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from exitless.errors import TraceError
from exitless.record.columns import Columns
from exitless.traces.kvm import TRACEPOINTS, Use, known
from exitless.traces.kvm_reader import TICKS, LinuxReader
from exitless.traces.kvm_rows import Clock, Event
from exitless.traces.kvm_text import TextPlan
from exitless.traces.opening import Source

CHUNK: Final = 1 << 18
LONGEST: Final = 16384
MOST_KINDS: Final = 65_536
MOST_CPUS: Final = 16_384
LOOKED_AT: Final = 200
BATCH: Final = 4096
NS: Final = 10**9


class Line(NamedTuple):
    """What a line says of its event. ``fraction`` is the part of the time after the point, "" for none."""

    tid: int
    tgid: int
    cpu: int
    whole: str
    fraction: str
    kind: str
    body: str


class Lost(NamedTuple):
    """A line that says that records of a pCPU were lost; ``lost`` 0: nobody knows how many."""

    cpu: int
    lost: int


def lines_of(source: Source) -> Iterator[str]:
    """Hand out the lines of a text; one that is too long is cut."""
    rest, at, too_long = b"", 0, False
    while data := source.read_at(at, CHUNK):
        at += len(data)
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            if not too_long:
                yield line[:LONGEST].decode("utf-8", "replace")
            too_long = False
        if len(rest) > LONGEST:
            if not too_long:
                yield rest[:LONGEST].decode("utf-8", "replace")
            rest, too_long = b"", True
    if rest and not too_long:
        yield rest.decode("utf-8", "replace")


def first_lines(head: bytes) -> list[str]:
    """Return the first lines of what is text, none of what is not."""
    if b"\0" in head:
        return []
    return head.decode("utf-8", "replace").splitlines()[:LOOKED_AT]


class TextReader(LinuxReader):
    """A recording as text, whose lines are in the order of time."""

    def __init__(self, source: Source, clock_hz: int = 0) -> None:
        super().__init__(source, clock_hz)
        self.size = source.size
        self.plans: dict[str, TextPlan] = {}
        self.first = -1
        self.last = 0
        self.ticks = False
        self.limit = 0
        self.backwards = 0
        self.seen: set[int] = set()
        self.gaps: dict[int, int] = {}

    def parse(self, text: str) -> Line | Lost | None:
        """Read a line; None for one that is no event."""
        raise NotImplementedError

    def is_record(self, text: str) -> bool:
        """Tell whether a line that was not understood should have been."""
        return bool(text) and not text.isspace() and not text.startswith("#")

    def plan(self, kind: str) -> TextPlan:
        """Return what becomes of lines of one kind."""
        plan = self.plans.get(kind)
        if plan is None:
            if len(self.plans) >= MOST_KINDS:
                raise TraceError(f"{self.source.name}: has more than {MOST_KINDS} kinds of events; expected fewer")
            use = TRACEPOINTS[kind][0] if kind in TRACEPOINTS else Use.NAME_ONLY if known(kind) else Use.UNKNOWN
            plan = self.plans[kind] = TextPlan(kind, use)
        return plan

    def _begin(self, line: Line) -> None:
        """Learn from the first event what the clock is."""
        self.ticks = not line.fraction
        hz = self.given_hz(TICKS if self.ticks else "")
        name = "x86-tsc or a counter (the text does not say which)" if self.ticks else "in seconds (name not told)"
        self.use_clock(Clock.of_hz(name, hz) if hz else Clock(name))
        clock = self.mapper.clock
        self.first = clock.origin = self.last = self.time(line)
        self.limit = self.first + 2**62 * clock.over // clock.times

    def time(self, line: Line) -> int:
        """Return a line's time in ticks of its clock."""
        if not line.fraction:
            return int(line.whole)
        return int(line.whole) * NS + int(line.fraction.ljust(9, "0")[:9])

    def event(self, line: Line) -> Event | None:
        """Count a line; returns its event if it becomes a row."""
        if self.first < 0:
            self._begin(line)
        now = self.time(line)
        if line.cpu >= MOST_CPUS or now > self.limit or bool(line.fraction) == self.ticks:
            self.unknown["lines"] += 1
            return None
        if now < self.last:
            self.backwards += 1
            now = self.last
        self.last = now
        self.seen.add(line.cpu)
        if line.tgid >= 0:
            self.mapper.threads.tgids[line.tid] = line.tgid
        plan = self.plan(line.kind)
        plan.count += 1
        if plan.use <= 0:
            return None
        values = plan.values(line.tid, line.body)
        if values is None:
            plan.unread += 1
            return None
        return now, line.cpu, plan.use, values

    def blocks(self) -> Iterator[Columns]:
        """Hand out the rows of the lines as they come."""
        events: list[Event] = []
        for text in lines_of(self.source):
            self.done += len(text) + 1
            line = self.parse(text)
            if line is None:
                if self.is_record(text):
                    self.unknown["lines"] += 1
                continue
            if isinstance(line, Lost):
                if line.cpu < MOST_CPUS:
                    self.gaps[line.cpu] = self.gaps.get(line.cpu, 0) + line.lost
                continue
            before = self.last
            event = self.event(line)
            if line.cpu in self.gaps:
                count = self.gaps.pop(line.cpu)
                events.append((before, line.cpu, Use.LOST, (-1, count, self.last)))
            if event is not None:
                events.append(event)
            if len(events) >= BATCH:
                yield from self.mapped(events)
                events = []
        yield from self.mapped(events)
        yield self.mapper.columns
        self._finish()

    def _finish(self) -> None:
        """Sum up what the lines held."""
        counts: Counter[str] = Counter()
        for plan in self.plans.values():
            counts[plan.kind] += plan.count
            if plan.use < 0:
                self.unknown[plan.kind] += plan.count
            if plan.unread:
                self.unknown[f"{plan.kind} (in another form)"] += plan.unread
        for count in self.gaps.values():
            self.mapper.lost_events += count
            self.mapper.lost_intervals += 1
        self.pcpus = max(self.seen, default=-1) + 1
        if self.backwards:
            self.notes.append(f"lines whose time went backwards, taken as the one before: {self.backwards}")
        self.finish(counts, self.last)
        if not self.events:
            raise TraceError(f"{self.source.name}: holds no event in any line; expected at least one")
