"""Makes rows of the lines of a recording that is text, as they come."""

from collections.abc import Callable
from typing import Final

from librt.strings import read_i64_le
from librt.vecs import vec
from mypy_extensions import i64

from exitless.record.columns import Columns
from exitless.traces.kvm import Use
from exitless.traces.kvm_rows import Mapper
from exitless.traces.merge import ROOM
from exitless.traces.text_form import TextPlan, lesser, stands
from exitless.traces.text_line import Line, line_end

# A line that is longer is cut.
LONGEST: Final = 16384
MOST_CPUS: Final = 16_384
NS: Final = 10**9
# How many names of events are kept at hand.
LATELY: Final = 1024


class Lines:
    """Makes rows of lines as they come.

    Shapes: ``lately`` has what becomes of lines whose event's name stands at the same place of ``names``. ``plan``
    makes what becomes of one kind of line, ``begin`` learns from the first what the clock is and returns the time none
    reaches, ``other`` looks at a line that is no event, ``mark`` keeps what
    somebody wrote. ``gaps`` has how many records each pCPU lost just before its
    next line. ``first`` and ``last`` are in ticks, -1 before the first line.
    """

    def __init__(
        self, line: Line, mapper: Mapper, plan: Callable[[str], TextPlan], begin: Callable[[int, bool], int],
        other: Callable[[str], None], mark: Callable[[int, str], None],
    ) -> None:  # fmt: skip
        self.line: Line = line
        self.mapper: Mapper = mapper
        self.plans: dict[bytes, TextPlan] = {}
        self.names: list[bytes] = [b""] * LATELY
        self.lately: list[TextPlan] = [TextPlan("", 0, [], [], [])] * LATELY
        self.gaps: dict[int, int] = {}
        self.first: i64 = -1
        self.last: i64 = 0
        self.limit: i64 = 0
        self.ticks: bool = False
        self.backwards: i64 = 0
        self.pcpus: i64 = 0
        self.unread: i64 = 0
        self._plan = plan
        self._begin = begin
        self._other = other
        self._mark = mark
        self._tid: i64 = -1
        self._tgid: i64 = -1

    def take(self, data: bytes, at: i64, end: i64) -> i64:
        """Make rows of the lines that begin at a place while there is room; returns where the next begins."""
        columns: Columns = self.mapper.columns
        while at < end and columns.fill < ROOM:
            stop: i64 = line_end(data, at, end)
            self._one(data, at, lesser(stop, at + LONGEST))
            at = stop + 1
        return at

    def _one(self, data: bytes, at: i64, end: i64) -> None:
        """Make the rows of one line."""
        line: Line = self.line
        if not line.parse(data, at, end):
            self._other(data[at:end].decode("utf-8", "replace"))
            return
        before: i64 = self.last
        plan = self._counted(line)
        if self.gaps and line.cpu in self.gaps:
            rate = self.mapper.rate
            lost = self.gaps.pop(line.cpu)
            self.mapper.lost(rate.ps(before - self.first), line.cpu, lost, rate.ps(self.last - self.first))
        if plan is None or plan.use <= 0:
            return
        now: i64 = self.mapper.rate.ps(self.last - self.first)
        if plan.use == Use.MARK:
            self._mark(now, data[line.body : end].decode("utf-8", "replace"))
            return
        values: vec[i64] = self.mapper.values
        if plan.read(line.tid, data, line.body, end, values):
            self.mapper.event(now, line.cpu, plan.use, values)
        else:
            plan.unread += 1

    def _counted(self, line: Line) -> TextPlan | None:
        """Count a line; returns what becomes of it, None for one that cannot be."""
        now: i64 = line.whole if line.fraction < 0 else line.whole * NS + line.fraction
        if line.whole < 0 or line.cpu >= MOST_CPUS:
            self.unread += 1
            return None
        if self.first < 0:
            self.ticks = line.fraction < 0
            self.limit = self._begin(now, self.ticks)
            self.first = self.last = now
        if now > self.limit or (line.fraction < 0) != self.ticks:
            self.unread += 1
            return None
        if now < self.last:
            self.backwards += 1
            now = self.last
        self.last = now
        if line.cpu >= self.pcpus:
            self.pcpus = line.cpu + 1
        if line.tgid >= 0 and (line.tid != self._tid or line.tgid != self._tgid):
            self._tid = line.tid
            self._tgid = line.tgid
            self.mapper.threads.tgids[line.tid] = line.tgid
        plan = self._named(line.data, line.name, line.name_end)
        plan.count += 1
        return plan

    def _named(self, data: bytes, at: i64, end: i64) -> TextPlan:
        """Find what becomes of lines with the event's name that stands there; one that came lately is found at once."""
        place: i64 = 0
        if end - at >= 8:
            mixed: i64 = read_i64_le(data, at) ^ read_i64_le(data, end - 8)
            place = (mixed ^ mixed >> 23 ^ mixed >> 41) & LATELY - 1
            if stands(data, at, end, self.names[place]) and end - at == i64(len(self.names[place])):
                return self.lately[place]
        name = data[at:end]
        plan = self.plans.get(name)
        if plan is None:
            plan = self.plans[name] = self._plan(name.decode("utf-8", "replace"))
        self.names[place] = name
        self.lately[place] = plan
        return plan
