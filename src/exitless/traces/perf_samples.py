"""Takes the samples of a perf.data apart and puts them in the order of their times.

Every sample passes through here; it is compiled where there is a compiler.
"""

from typing import Final

from librt.strings import read_i16_be, read_i16_le, read_i32_be, read_i32_le, read_i64_be, read_i64_le
from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import reaching, zeros
from exitless.traces.kvm import Use
from exitless.traces.kvm_rows import Mapper
from exitless.traces.merge import ROOM
from exitless.traces.ring import MOST_FIELDS, NO_PLAN, Ring

SAMPLE: Final = 9
HEAD: Final = 8
U16: Final = 65535
U32: Final = 4294967295
MOST_CPUS: Final = 16_384
MOST_NS: Final = 2**61 // 1000
# A waiting event's words: its pCPU, what becomes of it, its values.
WIDTH: Final = 2 + MOST_FIELDS
FIRST_ROOM: Final = 64
# How many threads' processes are kept at hand.
LATELY: Final = 256


class Has:
    """Bits of an attribute's sample_type: what its samples hold, in this order but for IDENTIFIER, which is first."""

    IP: Final = 1
    TID: Final = 2
    TIME: Final = 4
    ADDR: Final = 8
    READ: Final = 16
    CALLCHAIN: Final = 32
    ID: Final = 64
    CPU: Final = 128
    PERIOD: Final = 256
    STREAM_ID: Final = 512
    RAW: Final = 1024
    IDENTIFIER: Final = 65536


class Shape:
    """Where the samples of one event have what is needed.

    Shapes: places are in bytes from a record's begin, -1 for what is not there; ``after`` is where what has no fixed
    place begins. ``read`` are the bits that say what the counters' values are. ``others`` counts those without a plan.
    """

    def __init__(self, sample: int, read: int) -> None:
        self.sample: i64 = sample
        self.read: i64 = read
        self.tid_at: i64 = -1
        self.time_at: i64 = -1
        self.cpu_at: i64 = -1
        self.id_at: i64 = -1
        self.others: i64 = 0
        at: i64 = HEAD
        if sample & Has.IDENTIFIER:
            self.id_at = at
            at += 8
        for bit in (Has.IP, Has.TID, Has.TIME, Has.ADDR, Has.ID, Has.STREAM_ID, Has.CPU, Has.PERIOD):
            if not sample & bit:
                continue
            if bit == Has.TID:
                self.tid_at = at
            elif bit == Has.TIME:
                self.time_at = at
            elif bit == Has.CPU:
                self.cpu_at = at
            elif bit == Has.ID and self.id_at < 0:
                self.id_at = at
            at += 8
        self.after: i64 = at


class Waiting:
    """Events that wait for those before them.

    Shapes: of the ``count`` events, ``times`` has the time of each and ``words`` the rest; ``order`` has their places
    by time, of which those before ``ready`` may go. ``handed`` is the time of the last that went, ``late`` counts those
    that came after it and got its time; ``origin`` is the first that went, -1 for none. Units: ns.
    """

    def __init__(self) -> None:
        self.count: i64 = 0
        self.ready: i64 = 0
        self.next: i64 = 0
        self.handed: i64 = 0
        self.late: i64 = 0
        self.origin: i64 = -1
        self.times: vec[i64] = zeros(FIRST_ROOM)
        self.words: vec[i64] = zeros(FIRST_ROOM * WIDTH)
        self.order: vec[i64] = zeros(FIRST_ROOM)
        self._times: vec[i64] = zeros(FIRST_ROOM)
        self._words: vec[i64] = zeros(FIRST_ROOM * WIDTH)
        self._order: vec[i64] = zeros(FIRST_ROOM)

    def add(self, time: i64, cpu: i64, use: i64, values: vec[i64]) -> None:
        """Take an event."""
        n: i64 = self.count
        at: i64 = n * WIDTH
        self.times = reaching(self.times, n)
        self.words = reaching(self.words, at + WIDTH)
        words: vec[i64] = self.words
        self.times[n] = time
        words[at] = cpu
        words[at + 1] = use
        k: i64 = 0
        while k < MOST_FIELDS:
            words[at + 2 + k] = values[k]
            k += 1
        self.count = n + 1

    def sort(self, before: i64) -> None:
        """Put all in order; those that are older than some time may go. At equal times they stay as they came."""
        n: i64 = self.count
        self.order = reaching(self.order, n)
        self._order = reaching(self._order, n)
        times: vec[i64] = self.times
        ends: list[int] = []
        k: i64 = 0
        while k < n:
            self.order[k] = k
            if k + 1 >= n or times[k + 1] < times[k]:
                ends.append(int(k + 1))
            k += 1
        while len(ends) > 1:
            ends = self._merged(ends)
        order: vec[i64] = self.order
        k = 0
        while k < n and times[order[k]] < self.handed:
            times[order[k]] = self.handed
            self.late += 1
            k += 1
        k = 0
        while k < n and times[order[k]] < before:
            k += 1
        self.ready = k
        self.next = 0
        if k > 0:
            if self.origin < 0:
                self.origin = times[order[0]]
            self.handed = times[order[k - 1]]

    def _merged(self, ends: list[int]) -> list[int]:
        """Merge each two neighbouring runs, which end at some places; returns where the new ones end."""
        left: list[int] = []
        begin: i64 = 0
        k = 0
        while k < len(ends):
            middle: i64 = ends[k]
            end: i64 = ends[k + 1] if k + 1 < len(ends) else ends[k]
            self._merge(begin, middle, end)
            left.append(int(end))
            begin = end
            k += 2
        self.order, self._order = self._order, self.order
        return left

    def _merge(self, begin: i64, middle: i64, end: i64) -> None:
        """Merge two runs of ``order`` into the same places of the other one."""
        times: vec[i64] = self.times
        order: vec[i64] = self.order
        out: vec[i64] = self._order
        a: i64 = begin
        b: i64 = middle
        k: i64 = begin
        while k < end:
            if b >= end or (a < middle and times[order[a]] <= times[order[b]]):
                out[k] = order[a]
                a += 1
            else:
                out[k] = order[b]
                b += 1
            k += 1

    def put(self, mapper: Mapper) -> bool:
        """Make rows of those that may go while there is room; False when none of them is left."""
        order: vec[i64] = self.order
        words: vec[i64] = self.words
        values: vec[i64] = mapper.values
        while self.next < self.ready:
            if mapper.columns.fill > ROOM:
                return True
            place: i64 = order[self.next]
            self.next += 1
            at: i64 = place * WIDTH
            now: i64 = mapper.rate.ps(self.times[place] - self.origin)
            if words[at + 1] == Use.LOST:
                mapper.lost(now, words[at], words[at + 3], mapper.rate.ps(words[at + 4] - self.origin))
                continue
            k: i64 = 0
            while k < MOST_FIELDS:
                values[k] = words[at + 2 + k]
                k += 1
            if words[at + 1] > Use.NAME_ONLY:
                mapper.event(now, words[at], words[at + 1], values)
        self._drop()
        return False

    def _drop(self) -> None:
        """Forget those that went; the others keep their order."""
        left: i64 = self.count - self.ready
        if self.ready == 0:
            return
        if left > 0:
            self._times = reaching(self._times, left)
            self._words = reaching(self._words, left * WIDTH)
        k: i64 = 0
        while k < left:
            place: i64 = self.order[self.ready + k]
            self._times[k] = self.times[place]
            w: i64 = 0
            while w < WIDTH:
                self._words[k * WIDTH + w] = self.words[place * WIDTH + w]
                w += 1
            k += 1
        self.times, self._times = self._times, self.times
        self.words, self._words = self._words, self.words
        self.count = left
        self.ready = 0


class Samples:
    """Reads samples; what becomes a row waits in ``waiting``.

    Shapes: ``first`` is the first event's shape, which a sample has whose number nobody knows; ``by_id`` has the shape
    of each number, as a signed one. ``start`` and ``newest`` are times in ns, -1 and 0 before the first sample;
    ``without`` counts samples that have no shape or are shorter than theirs.
    """

    def __init__(self, ring: Ring, mapper: Mapper) -> None:
        self.ring: Ring = ring
        self.big: bool = ring.big
        self.mapper: Mapper = mapper
        self.waiting: Waiting = Waiting()
        self.first: Shape | None = None
        self.by_id: dict[int, Shape] = {}
        self.start: i64 = -1
        self.newest: i64 = 0
        self.pcpus: i64 = 0
        self.without: i64 = 0
        self.values: vec[i64] = zeros(MOST_FIELDS)
        self._tids: vec[i64] = zeros(LATELY)
        self._pids: vec[i64] = zeros(LATELY)
        self._last_id: i64 = 0
        self._last: Shape | None = None
        self._raw: i64 = 0
        self._length: i64 = 0

    def know(self, shape: Shape, ids: list[int]) -> None:
        """Learn the shape of an event's samples and its numbers."""
        if self.first is None:
            self.first = shape
        for number in ids:
            self.by_id[number] = shape
        self._last = None

    def word(self, data: bytes, at: i64) -> i64:
        """Read a word of 32 bits."""
        return i64(read_i32_be(data, at)) & U32 if self.big else i64(read_i32_le(data, at)) & U32

    def long(self, data: bytes, at: i64) -> i64:
        """Read 64 bits, as a signed number."""
        return read_i64_be(data, at) if self.big else read_i64_le(data, at)

    def half(self, data: bytes, at: i64) -> i64:
        """Read 16 bits."""
        return i64(read_i16_be(data, at)) & U16 if self.big else i64(read_i16_le(data, at)) & U16

    def run(self, data: bytes, at: i64) -> i64:
        """Read whole samples, one after another; returns where a record of another kind begins, or an end."""
        end: i64 = i64(len(data))
        while at + HEAD <= end and self.word(data, at) == SAMPLE:
            size: i64 = self.half(data, at + 6)
            if size < HEAD or at + size > end:
                break
            self._sample(data, at, at + size)
            at += size
        return at

    def _shape(self, data: bytes, at: i64, end: i64) -> Shape | None:
        """Find out which event a sample is of."""
        first: Shape | None = self.first
        if first is None or first.id_at < 0 or at + first.id_at + 8 > end:
            return first
        number: i64 = self.long(data, at + first.id_at)
        if self._last is None or number != self._last_id:
            self._last_id = number
            self._last = self.by_id.get(number, first)
        return self._last

    def _sample(self, data: bytes, at: i64, end: i64) -> None:
        """Read one sample: its event's plan is found by the first number of its payload."""
        shape: Shape | None = self._shape(data, at, end)
        if shape is None or at + shape.after > end:
            self.without += 1
            return
        ring: Ring = self.ring
        now: i64 = self.long(data, at + shape.time_at) if shape.time_at > 0 else self.newest
        cpu: i64 = 0
        if shape.cpu_at > 0:
            cpu = self.word(data, at + shape.cpu_at)
        self._find(shape, data, at + shape.after, end)
        if self._length < 8 or ring.use(self.half(data, self._raw)) == NO_PLAN:
            shape.others += 1
            return
        number: i64 = self.half(data, self._raw)
        if self.start < 0:
            self.start = now
        if cpu >= MOST_CPUS or now < 0 or not -MOST_NS <= now - self.start <= MOST_NS:
            ring.leave_out(number)
            return
        if now > self.newest:
            self.newest = now
        if cpu >= self.pcpus:
            self.pcpus = cpu + 1
        waiting: Waiting = self.waiting
        if not ring.wanted(number, self._length):
            if waiting.count == 0 and waiting.origin < 0:
                waiting.add(now, cpu, Use.NAME_ONLY, self.values)
            return
        ring.read(data, self._raw, number, self.values)
        if shape.tid_at > 0:
            self._process(self.word(data, at + shape.tid_at), self.word(data, at + shape.tid_at + 4))
        waiting.add(now, cpu, ring.use(number), self.values)

    def lost(self, now: i64, cpu: i64, count: i64) -> None:
        """Take that records of a pCPU (-1: unknown) were lost before a time, ``count`` of them (0: unknown)."""
        self.values[1] = count
        self.values[2] = now
        self.waiting.add(now, cpu, Use.LOST, self.values)

    def _process(self, pid: i64, tid: i64) -> None:
        """Learn the process of the thread in which the event at hand fired."""
        n: i64 = tid & LATELY - 1
        if pid == U32 or tid != self.values[0] or (self._tids[n] == tid and self._pids[n] == pid):
            return
        self._tids[n] = tid
        self._pids[n] = pid
        self.mapper.threads.tgids[tid] = pid

    def _find(self, shape: Shape, data: bytes, at: i64, end: i64) -> None:
        """Find a sample's payload behind counters and call chain; its length is 0 where it has none."""
        self._length = 0
        if shape.sample & Has.READ:
            at = self._after_counters(shape.read, data, at, end)
        if shape.sample & Has.CALLCHAIN and at + 8 <= end:
            at = self._after_many(data, at, end, 1)
        if not shape.sample & Has.RAW or at + 4 > end:
            return
        length: i64 = self.word(data, at)
        if at + 4 + length <= end:
            self._raw = at + 4
            self._length = length

    def _after_counters(self, read: i64, data: bytes, at: i64, end: i64) -> i64:
        """Go past the counters' values: one value or a group's, with times (bits 0 and 1), numbers (2), losses (4)."""
        times: i64 = (read & 1) + (read >> 1 & 1)
        each: i64 = 1 + (read >> 2 & 1) + (read >> 4 & 1)
        if not read & 8:
            return at + 8 * (times + each)
        return self._after_many(data, at, end, each) + 8 * times

    def _after_many(self, data: bytes, at: i64, end: i64, each: i64) -> i64:
        """Go past a count and so many times some words; returns ``end`` for more than there are."""
        if at + 8 > end:
            return end
        count: i64 = self.long(data, at)
        if count < 0 or count > end - at:
            return end
        return at + 8 + 8 * each * count
