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
from exitless.traces.event_format import Plan, add_plan, compile_plan
from exitless.traces.kvm import Use
from exitless.traces.kvm_reader import LinuxReader
from exitless.traces.kvm_rows import Clock, Event
from exitless.traces.opening import Source, Unpacker
from exitless.traces.perf_file import MAGIC, MAGIC_BIG, Attr, Has, PerfLayout, read_attr, read_perf_layout, tracing_of
from exitless.traces.ring import Ring

LOST: Final = 2
SAMPLE: Final = 9
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
MOST_CPUS: Final = 16_384
MOST_LOST: Final = 2**40
MOST_NS: Final = 2**61 // 1000
NO_PID: Final = 2**32 - 1
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
        self.others: Counter[str] = Counter()
        self.seen: set[int] = set()
        self.events_waiting: list[Event] = []
        self.newest = 0
        self.start = -1
        self.complete = 0
        self.round_newest = 0
        self.begun = False
        self.handed = 0
        self.late = 0
        self._word = struct.Struct(order + "Q")
        self._pair = struct.Struct(order + "II")
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
            if done and self.events_waiting:
                yield from self.mapped(self._ready(done))
        if self.events_waiting:
            yield from self.mapped(self._ready(self.newest + 1))
        yield self.mapper.columns
        self._finish()

    def _ready(self, before: int) -> list[Event]:
        """Take the events that are older than some time, in order; what comes too late for that gets the last time."""
        waiting = sorted(self.events_waiting, key=lambda event: event[0])
        if waiting[0][0] < self.handed:
            for n, (ticks, cpu, use, values) in enumerate(waiting):
                if ticks >= self.handed:
                    break
                self.late += 1
                waiting[n] = (self.handed, cpu, use, values)
        if waiting[-1][0] < before:
            ready, self.events_waiting = waiting, []
        else:
            n = next(n for n, event in enumerate(waiting) if event[0] >= before)
            ready, self.events_waiting = waiting[:n], waiting[n:]
        if ready:
            if not self.begun:
                self.begun = True
                self.mapper.clock.origin = ready[0][0]
            self.handed = ready[-1][0]
        return ready

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
        while i + 8 <= n:
            kind, _, size = head(data, i)
            if size < 8:
                self.problem(
                    f"{self.source.name}: at offset {place + i} expected a record, found one of {size} bytes; nothing "
                    "from there on is used"
                )
                return -1, rounds
            if i + size > n:
                break
            if kind == SAMPLE:
                self._sample(data, i, size)
            elif kind == FINISHED_ROUND:
                rounds = True
                self.complete, self.round_newest = self.round_newest, self.newest
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
                size += self._word_at(data, i + 8, 8)
            else:
                self._other(data, i, size, kind)
            i += size
        return i, rounds

    def _word_at(self, data: bytes, at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], "little" if self.order == "<" else "big")

    def _attr(self, data: bytes, at: int, size: int) -> Attr | None:
        """Find out which event a sample is of."""
        attrs = self.layout.attrs
        if not attrs:
            return None
        first = attrs[0]
        if first.id_at < 0 or at + first.id_at + 8 > at + size:
            return first
        return self.layout.by_id.get(self._word.unpack_from(data, at + first.id_at)[0], first)

    def _sample(self, data: bytes, at: int, size: int) -> None:
        """Read one sample: its event's plan is found by the first number of its payload."""
        attr = self._attr(data, at, size)
        if attr is None or attr.after > size:
            self.unknown["samples"] += 1
            self.others["samples"] += 1
            return
        now = self._word.unpack_from(data, at + attr.time_at)[0] if attr.time_at > 0 else self.newest
        cpu = self._pair.unpack_from(data, at + attr.cpu_at)[0] if attr.cpu_at > 0 else 0
        begin, length = attr.raw_at(data, at, size, self.order)
        plan = None
        if begin >= 0 and length >= 8:
            number = self._word_at(data, begin, 2)
            plan = self.plans.get(number)
        if plan is None:
            kind = attr.name or f"event {attr.kind}/{attr.config}"
            self.others[kind] += 1
            self.unknown[kind] += 1
            return
        plan.count += 1
        if self.start < 0:
            self.start = now
        if cpu >= MOST_CPUS or abs(now - self.start) > MOST_NS:
            plan.short += 1
            return
        if now > self.newest:
            self.newest = now
        self.seen.add(cpu)
        if plan.use <= 0:
            if not self.begun and not self.events_waiting:
                self.events_waiting.append((now, cpu, Use.NAME_ONLY, (-1,)))
            return
        if length < plan.least:
            plan.short += 1
            return
        values = self.ring.event(data, begin, number)
        if attr.tid_at > 0:
            pid, tid = self._pair.unpack_from(data, at + attr.tid_at)
            if pid != NO_PID and tid == values[0]:
                self.mapper.threads.tgids[tid] = pid
        self.events_waiting.append((now, cpu, plan.use, values))

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
            ids = range(at + 8 + length, at + size - 7, 8)
            self.layout.add(attr, (self._word_at(data, n, 8) for n in ids))
            if len(self.layout.attrs) == 1:
                self.use_clock(Clock(attr.clock))

    def _lost(self, data: bytes, at: int, size: int, count: int) -> None:
        """Records were lost on a pCPU just before; which, and when, stands at the record's end, if it does."""
        attr = self.layout.attrs[0] if self.layout.attrs else None
        now, cpu = self.newest, -1
        if attr is not None and attr.all_ids and size >= 24 + 8 * len(attr.trailer):
            place = at + size - 8 * len(attr.trailer)
            for bit in attr.trailer:
                if bit == Has.TIME:
                    now = self._word_at(data, place, 8)
                elif bit == Has.CPU:
                    cpu = self._word_at(data, place, 4)
                place += 8
        if abs(now - max(self.start, 0)) > MOST_NS or cpu >= MOST_CPUS:
            now, cpu = self.newest, -1
        self.events_waiting.append((now, cpu, Use.LOST, (-1, count if count < MOST_LOST else 0, now)))

    def _tracing(self, data: bytes) -> None:
        """Learn event formats from a record."""
        try:
            self.layout.formats += tracing_of(self.source.name, data)
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
        counts = self.others.copy()
        for plan in self.plans.values():
            if plan.count:
                counts[plan.kind] += plan.count
                if plan.use < 0:
                    self.unknown[plan.kind] += plan.count
                if plan.short:
                    self.unknown[f"{plan.kind} (too short)"] += plan.short
        self.pcpus = max(self.seen, default=-1) + 1
        if self.late:
            self.notes.append(f"events that came after later ones and got their time: {self.late}")
        if not self.plans:
            self.notes.append("the recording holds no event formats, so its events could only be counted")
        self.finish(counts, self.newest)
        if not self.events:
            first = f": {self.problems[0].removeprefix(self.source.name + ': ')}" if self.problems else ""
            raise TraceError(f"{self.source.name}: holds no event{first}; expected at least one sample")
