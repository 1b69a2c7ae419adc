"""Reads perf.data, the binary recording of ``perf record`` and ``perf kvm stat record``, as a file or as a stream.

Records are written a ring buffer at a time, not in the order of time; perf marks rounds, and what is older than the
newest of the round before can be put in order and handed out.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from typing import Final

from exitless.errors import TraceError
from exitless.record.columns import Columns
from exitless.traces.event_format import Plan, add_plan, compile_plan, count_plans
from exitless.traces.kvm_reader import LinuxReader
from exitless.traces.kvm_rows import Clock, signed
from exitless.traces.opening import Source, Unpacker
from exitless.traces.perf_file import MAGIC, MAGIC_BIG, PerfLayout, read_attr, read_perf_layout, tracing_of
from exitless.traces.perf_samples import MOST_CPUS, MOST_NS, Has, Samples
from exitless.traces.ring import Ring

LOST: Final = 2
LOST_SAMPLES: Final = 13
HEADER_ATTR: Final = 64
TRACING_DATA: Final = 66
FINISHED_ROUND: Final = 68
AUXTRACE: Final = 71
COMPRESSED: Final = 81
COMPRESSED2: Final = 83
CHUNK: Final = 1 << 20
MOST_UNPACKED: Final = 64 << 20
MOST_TRACING: Final = 64 << 20
MOST_LOST: Final = 2**40
# More bytes than any file has.
MOST_SKIPPED: Final = 2**62
LATEST: Final = 2**63 - 1
HEAD: Final = {order: struct.Struct(order + "IHH") for order in "<>"}


class PerfData(LinuxReader):
    """A perf.data."""

    format = "perf.data"
    what = "a perf.data (PERFILE2)"

    def __init__(self, source: Source, clock_hz: int = 0) -> None:
        super().__init__(source, clock_hz)
        self.layout: PerfLayout = read_perf_layout(source)
        self.host = ", ".join(self.layout.host)
        self.problems += self.layout.problems
        order = self.order = self.layout.order
        self.plans: dict[int, Plan] = {}
        self.ring = Ring(order == ">")
        self.learn()
        self.size = self.layout.end - self.layout.begin
        self.given_hz("")
        self.use_clock(Clock(self.layout.attrs[0].clock if self.layout.attrs else "perf"))
        self.mapper.tune()
        self.samples = Samples(self.ring, self.mapper)
        for number, attr in self.layout.by_id.items():
            self.samples.know(attr.shape, [signed(number)])
        for attr in self.layout.attrs[:1]:
            self.samples.first = attr.shape
        self.complete = 0
        self.round_newest = 0
        self._unpacker: Unpacker | None = None
        self._left = b""

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        return head.startswith((MAGIC, MAGIC_BIG))

    def learn(self) -> None:
        """Compile the plans of the events that have a format."""
        for event in self.layout.formats:
            if event.id not in self.plans:
                plan = self.plans[event.id] = compile_plan(event)
                add_plan(self.ring, event.id, plan)

    def blocks(self) -> Iterator[Columns]:
        """Hand out rows in the order of time, a round at a time."""
        for done in self._records():
            if done:
                yield from self._handed(done)
        yield from self._handed(LATEST)
        yield self.mapper.columns
        self._finish()

    def _handed(self, before: int) -> Iterator[Columns]:
        """Make rows of what is older than some time; hands out the columns whenever they are full."""
        waiting = self.samples.waiting
        waiting.sort(before)
        self.mapper.clock.origin = max(0, int(waiting.origin))
        while waiting.put(self.mapper):
            yield self.mapper.columns
            self.mapper.columns.fill = 0

    def _records(self) -> Iterator[int]:
        """Read all records; hands out, after some rounds, the time before which all is there (0: none yet)."""
        source, at, end, rest = self.source, self.layout.begin, self.layout.end, b""
        while at < end:
            data = source.read_at(at, min(CHUNK, end - at))
            if not data:
                break
            at += len(data)
            self.passed(len(data))
            rest += data
            used, rounds = self._some(rest, at - len(rest))
            if used < 0:
                return
            if rounds:
                yield self.complete
            if used > len(rest):
                at += used - len(rest)
                used = len(rest)
            rest = rest[used:]
        if rest:
            self.problem(f"{source.name}: ends at offset {end} within a record")

    def _some(self, data: bytes, place: int) -> tuple[int, bool]:
        """Read whole records; returns how many bytes they took (-1: no further), and whether a round ended."""
        i, n, rounds, head = 0, len(data), False, HEAD[self.order].unpack_from
        while (i := self.samples.run(data, i)) + 8 <= n:
            kind, _, size = head(data, i)
            if size < 8:
                self.problem(
                    f"{self.source.name}: at offset {place + i} expected a record, found one of {size} bytes; nothing "
                    "from there on is used"
                )
                return -1, rounds
            if i + size > n:
                break
            if kind == FINISHED_ROUND:
                rounds = True
                self.complete, self.round_newest = self.round_newest, int(self.samples.newest)
            elif kind in (COMPRESSED, COMPRESSED2):
                rounds = self._packed(data, i, size, kind, place) or rounds
            elif kind == TRACING_DATA:
                length = self._word_at(data, i + 8, 4) + 7 & ~7
                if length > MOST_TRACING or self.layout.begin + length > self.source.size:
                    self.problem(f"{self.source.name}: at offset {place + i} has tracing data of {length} bytes")
                    return -1, rounds
                if i + size + length > n:
                    break
                self._tracing(data[i + size : i + size + length])
                size += length
            elif kind == AUXTRACE and size >= 16:
                size += min(self._word_at(data, i + 8, 8), MOST_SKIPPED)
            else:
                self._other(data, i, size, kind)
            i += size
        return i, rounds

    def _word_at(self, data: bytes, at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little" if self.order == "<" else "big")

    def _other(self, data: bytes, at: int, size: int, kind: int) -> None:
        """Read a record that is no sample: what was lost, or an event's attributes in a stream."""
        if kind == LOST and size >= 24:
            self._lost(data, at, size, self._word_at(data, at + 16, 8))
        elif kind == LOST_SAMPLES and size >= 16:
            self._lost(data, at, size, self._word_at(data, at + 8, 8))
        elif kind == HEADER_ATTR and size >= 8 + 64:
            length = self._word_at(data, at + 12, 4)
            if not 64 <= length <= size - 8:
                return
            attr = read_attr(data[at + 8 : at + 8 + length], self.order)
            ids = [self._word_at(data, n, 8) for n in range(at + 8 + length, at + size - 7, 8)]
            self.layout.add(attr, ids)
            self.samples.know(attr.shape, [signed(number) for number in ids])
            if len(self.layout.attrs) == 1:
                self.use_clock(Clock(attr.clock))

    def _lost(self, data: bytes, at: int, size: int, count: int) -> None:
        """Records were lost on a pCPU just before; which, and when, stands at the record's end, if it does."""
        attr = self.layout.attrs[0] if self.layout.attrs else None
        newest, start = int(self.samples.newest), int(self.samples.start)
        now, cpu = newest, -1
        if attr is not None and attr.all_ids and size >= 24 + 8 * len(attr.trailer):
            place = at + size - 8 * len(attr.trailer)
            for bit in attr.trailer:
                if bit == Has.TIME:
                    now = self._word_at(data, place, 8)
                elif bit == Has.CPU:
                    cpu = self._word_at(data, place, 4)
                place += 8
        if abs(now - max(start, 0)) > MOST_NS or cpu >= MOST_CPUS:
            now, cpu = newest, -1
        self.samples.lost(now, cpu, count if count < MOST_LOST else 0)

    def _tracing(self, data: bytes) -> None:
        """Learn event formats from a record."""
        try:
            tracing = tracing_of(self.source.name, data)
            self.layout.formats += tracing.formats
            self.problems += tracing.problems
        except TraceError as problem:
            self.problem(str(problem))
        self.learn()

    def _packed(self, data: bytes, at: int, size: int, kind: int, place: int) -> bool:
        """Unpack records that perf has packed; they go on from one packed record to the next."""
        if self._unpacker is None:
            self._unpacker = Unpacker(self.source.name, "zstd", "or record without -z")
        begin, end = at + 8, at + size
        if kind == COMPRESSED2:
            begin, end = at + 16, min(end, at + 16 + self._word_at(data, at + 8, 8))
        out = self._unpacker.more(data[begin:end], MOST_UNPACKED)
        if out is None:
            self.problem(f"{self.source.name}: the packed record at offset {place + at} is damaged")
            self._left = b""
            return False
        self._left += out
        used, rounds = self._some(self._left, place + at)
        self._left = self._left[used:] if 0 <= used <= len(self._left) else b""
        return rounds

    def _finish(self) -> None:
        """Sum up what the records held."""
        counts: Counter[str] = Counter()
        for attr in self.layout.attrs:
            if attr.shape.others:
                counts[attr.name or f"event {attr.kind}/{attr.config}"] += int(attr.shape.others)
        if self.samples.without:
            counts["samples"] = int(self.samples.without)
        self.unknown.update(counts)
        count_plans(self.ring, self.plans, counts, self.unknown)
        self.pcpus = int(self.samples.pcpus)
        if self.samples.waiting.late:
            self.notes.append(f"events that came after later ones and got their time: {int(self.samples.waiting.late)}")
        if not self.plans:
            self.notes.append("the recording holds no event formats, so its events could only be counted")
        self.finish(counts, int(self.samples.newest))
        if not self.events:
            first = f": {self.problems[0].removeprefix(self.source.name + ': ')}" if self.problems else ""
            raise TraceError(f"{self.source.name}: holds no event{first}; expected at least one sample")
