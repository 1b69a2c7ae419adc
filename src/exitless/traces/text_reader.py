"""What the readers of text have in common: lines, one at a time and never too long, and the tracepoints they hold."""

from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from exitless.errors import TraceError
from exitless.record.columns import Columns
from exitless.traces.kvm import MARKER, TRACEPOINTS, Use, known
from exitless.traces.kvm_reader import TICKS, LinuxReader
from exitless.traces.kvm_rows import Clock
from exitless.traces.kvm_text import text_plan
from exitless.traces.merge import ROOM
from exitless.traces.opening import Source
from exitless.traces.text_form import TextPlan
from exitless.traces.text_line import Line
from exitless.traces.text_lines import MOST_CPUS, Lines

CHUNK: Final = 1 << 18
MOST_KINDS: Final = 65_536
LOOKED_AT: Final = 200
LATEST: Final = 2**62 - 1


class Lost(NamedTuple):
    """A line that says that records of a pCPU were lost; ``lost`` 0: nobody knows how many."""

    cpu: int
    lost: int


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
        self.lines = Lines(self.line(), self.mapper, self.plan, self._begin, self._other, self._mark)

    @classmethod
    def line(cls) -> Line:
        """Return what reads one line."""
        raise NotImplementedError

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        line = cls.line()
        return any(line.parse(text, 0, len(text)) for text in map(str.encode, first_lines(head)))

    def lost(self, text: str) -> Lost | None:
        """Read a line that says that records were lost; None for any other."""
        raise NotImplementedError

    def is_record(self, text: str) -> bool:
        """Tell whether a line that was not understood should have been."""
        return bool(text) and not text.isspace() and not text.startswith("#")

    def kind(self, name: str) -> str:
        """Return system and name of a tracepoint by what a line calls it."""
        return name

    def plan(self, name: str) -> TextPlan:
        """Return what becomes of lines of one kind."""
        kind = self.kind(name)
        plan = self.plans.get(kind)
        if plan is None:
            if len(self.plans) >= MOST_KINDS:
                raise TraceError(f"{self.source.name}: has more than {MOST_KINDS} kinds of events; expected fewer")
            use = TRACEPOINTS[kind][0] if kind in TRACEPOINTS else Use.NAME_ONLY if known(kind) else Use.UNKNOWN
            plan = self.plans[kind] = text_plan(kind, use)
            if kind == MARKER:
                plan.use = Use.MARK
        return plan

    def _begin(self, first: int, ticks: bool) -> int:
        """Learn from the first event what the clock is; returns a time that no event has."""
        hz = self.given_hz(TICKS if ticks else "")
        name = "x86-tsc or a counter (the text does not say which)" if ticks else "in seconds (name not told)"
        self.use_clock(Clock.of_hz(name, hz) if hz else Clock(name))
        clock = self.mapper.clock
        clock.origin = first
        self.mapper.tune()
        return min(first + 2**62 * clock.over // clock.times, LATEST)

    def _other(self, text: str) -> None:
        """Look at a line that is no event."""
        lost = self.lost(text)
        if lost is None:
            if self.is_record(text):
                self.unknown["lines"] += 1
        elif lost.cpu < MOST_CPUS:
            gaps = self.lines.gaps
            gaps[lost.cpu] = gaps.get(lost.cpu, 0) + lost.lost

    def _mark(self, now: int, text: str) -> None:
        """Keep what somebody wrote into the recording."""
        self.marks.append((now, text.removeprefix("tracing_mark_write: ").strip()))

    def blocks(self) -> Iterator[Columns]:
        """Hand out the rows of the lines as they come. A line that is too long is cut."""
        columns, at, too_long = self.mapper.columns, 0, False
        while chunk := self.source.read_at(at, CHUNK):
            last = at + len(chunk) >= self.size
            self.passed(at + len(chunk) - self.done)
            begin, end = 0, len(chunk) if last else chunk.rfind(b"\n") + 1
            if too_long:
                begin = chunk.find(b"\n") + 1
                too_long = not begin
            elif not end:
                self.lines.take(chunk, 0, len(chunk))
                too_long = True
            if too_long:
                at += len(chunk)
                continue
            while begin < end:
                begin = self.lines.take(chunk, begin, end)
                if columns.fill >= ROOM:
                    yield columns
                    columns.fill = 0
            at += end
        yield columns
        self._finish()

    def _finish(self) -> None:
        """Sum up what the lines held."""
        counts: Counter[str] = Counter()
        for plan in self.plans.values():
            counts[plan.kind] += int(plan.count)
            if plan.use < 0:
                self.unknown[plan.kind] += int(plan.count)
            if plan.unread:
                self.unknown[f"{plan.kind} (in another form)"] += int(plan.unread)
        if self.lines.unread:
            self.unknown["lines"] += int(self.lines.unread)
        for count in self.lines.gaps.values():
            self.mapper.lost_events += count
            self.mapper.lost_intervals += 1
        self.pcpus = max(self.pcpus, int(self.lines.pcpus))
        if self.lines.backwards:
            self.notes.append(f"lines whose time went backwards, taken as the one before: {self.lines.backwards}")
        self.finish(counts, int(self.lines.last))
        if not self.events:
            raise TraceError(f"{self.source.name}: holds no event in any line; expected at least one")
