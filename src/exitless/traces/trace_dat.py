"""Reads trace.dat, the binary recording of ``trace-cmd``, in its versions 6 and 7."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from exitless.errors import TraceError
from exitless.record.columns import Columns
from exitless.traces.event_format import Plan, compile_plan, count_plans, ring_of
from exitless.traces.kvm import MARKER, Use
from exitless.traces.kvm_reader import LinuxReader
from exitless.traces.merge import Weave
from exitless.traces.opening import Source
from exitless.traces.trace_dat_file import MAGIC, Buffer, Layout, pieces_of, read_layout
from exitless.traces.trace_dat_options import clock_of, overruns
from exitless.traces.trace_dat_pages import PerCpu

LONGEST: Final = 256


def text_at(data: bytes, begin: int) -> str:
    """Return the text that ends with a zero byte."""
    end = data.find(b"\0", begin, begin + LONGEST)
    return data[begin : end if end >= 0 else begin + LONGEST].decode("utf-8", "replace").strip()


class TraceDat(LinuxReader):
    """A trace.dat. ``instances`` names its buffers; the one that ``trace-cmd`` calls the top instance has no name."""

    format = "trace.dat"
    what = "a trace.dat of trace-cmd (17 08 44 'tracing')"

    def __init__(self, source: Source, clock_hz: int = 0) -> None:
        super().__init__(source, clock_hz)
        self.layout: Layout = read_layout(source)
        self.format = f"trace.dat v{self.layout.version}"
        self.host = self.layout.host
        self.commands = self.layout.commands
        self.problems += self.layout.problems
        self.plans: dict[int, Plan] = {}
        for event in self.layout.formats:
            self.plans[event.id] = compile_plan(event)
        self.instances = [buffer.name for buffer in self.layout.buffers]
        buffers = [buffer for buffer in self.layout.buffers if any(part.size for part in buffer.parts)]
        name = buffers[0].clock if buffers else ""
        self.buffers = [buffer for buffer in buffers if buffer.clock == name]
        for buffer in buffers:
            if buffer.clock != name:
                self.notes.append(
                    f"the buffer {buffer.name!r} is left out, since its clock is {buffer.clock} and not {name}"
                )
        given = bool(self.clock_hz)
        self.use_clock(clock_of(self.layout, name, self.given_hz(name), given))
        if self.layout.tsc is not None and not given:
            self.clock_hz, self.clock_origin = 0, "recorded"
        self.size = sum(part.size for buffer in self.buffers for part in buffer.parts)
        self.pcpus = 1 + max((part.cpu for buffer in self.buffers for part in buffer.parts), default=-1)
        self.mapper.threads.guests = self.layout.guests
        self.parts: list[PerCpu] = []
        self.ring = ring_of(self.plans, self.layout.page.order)

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def _open(self, buffer: Buffer) -> Iterator[PerCpu]:
        """Make what decodes each pCPU of a buffer."""
        page = self.layout.page_of(buffer)
        clock = self.mapper.clock
        page.limit = 2**61 * clock.over // clock.times
        for part in buffer.parts:
            shift = self.layout.shifts.get(part.cpu)
            yield PerCpu(
                part.cpu, page, pieces_of(self, buffer, part), self.problem, shift.apply if shift else None, self.ring,
                self.mapper,
            )  # fmt: skip

    def blocks(self) -> Iterator[Columns]:
        """Hand out rows merged by time stamp; at equal stamps the lower pCPU comes first."""
        self.parts = [part for buffer in self.buffers for part in self._open(buffer)]
        for part in self.parts:
            part.step()
        firsts = [int(part.first) for part in self.parts if part.first >= 0]
        origin = self.mapper.clock.origin = min(firsts, default=0)
        for part in self.parts:
            if part.first - origin > part.limit:
                part.leave_out(
                    f"{self.source.name}: the times of pCPU {part.cpu} lie further from the others than any recording "
                    "lasts; it is left out"
                )
            part.origin = origin
        self.mapper.tune()
        columns = self.mapper.columns
        weave = Weave(list(self.parts), columns)
        while weave.fill():
            yield columns
            columns.fill = 0
        yield columns
        self._finish()

    def read_marks(self) -> list[tuple[int, str]]:
        """Read only what somebody wrote into the recording, in place of the rows. Errors: TraceError."""
        texts = {event.id: event.fields["buf"].offset for event in self.layout.formats if "buf" in event.fields}
        for number, plan in self.plans.items():
            plan.use = Use.MARK if plan.kind == MARKER and number in texts else min(plan.use, Use.NAME_ONLY)
        self.ring = ring_of(self.plans, self.layout.page.order)
        found, firsts = [], []
        for part in (part for buffer in self.buffers for part in self._open(buffer)):
            while part.step():
                if part.number >= 0:
                    found.append((int(part.now), text_at(part.data, part.at + texts[part.number])))
            firsts += [int(part.first)] if part.first >= 0 else []
        self.mapper.clock.origin = min(firsts, default=0)
        self.marks = [(self.mapper.clock.ps(ticks), text) for ticks, text in sorted(found)]
        return self.marks

    def _finish(self) -> None:
        """Sum up what the pCPUs' pages held."""
        counts: Counter[str] = Counter()
        count_plans(self.ring, self.plans, counts, self.unknown)
        last = max((int(part.last) for part in self.parts), default=0)
        for sentence in overruns(self.layout):
            self.notes.append(sentence)
        backwards = sum(int(part.backwards) for part in self.parts)
        if backwards:
            self.notes.append(f"time stamps that went backwards on their pCPU, taken as the one before: {backwards}")
        self.finish(counts, last)
        if not self.events:
            first = f": {self.problems[0].removeprefix(self.source.name + ': ')}" if self.problems else ""
            raise TraceError(f"{self.source.name}: holds no event{first}; expected at least one")
