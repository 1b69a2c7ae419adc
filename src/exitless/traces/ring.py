"""Takes the events out of a little-endian page of Linux's ring buffer, by fixed offsets.

This is the loop that every event of a trace.dat passes through; it is compiled where there is a compiler.
"""

from typing import Final

from librt.strings import read_i16_le, read_i32_le, read_i64_le
from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import shl, zeros

NUMBERS: Final = 65536
MOST_FIELDS: Final = 8
NO_PLAN: Final = -2
NO_FIELD: Final = 0
U16: Final = 65535
U32: Final = 4294967295
U64: Final = 2**64
STAMP_BITS: Final = 576460752303423487
LONGEST: Final = 28
PADDING: Final = 29
EXTEND: Final = 30


class Ring:
    """The plans of a recording's events as numbers, and how many events of each have passed.

    Shapes: by event number, ``use`` (-2: it has no plan), ``least`` bytes of payload, ``fields`` that are read,
    ``counts`` and ``shorts``; field ``k`` of event ``n`` stands at ``MOST_FIELDS*n + k`` of ``offsets``, ``sizes`` (0:
    this kernel has no such field) and ``signed``. ``last`` and ``backwards`` are those of the page decoded last.
    """

    def __init__(self) -> None:
        self.use: vec[i64] = zeros(NUMBERS)
        self.least: vec[i64] = zeros(NUMBERS)
        self.fields: vec[i64] = zeros(NUMBERS)
        self.counts: vec[i64] = zeros(NUMBERS)
        self.shorts: vec[i64] = zeros(NUMBERS)
        self.offsets: vec[i64] = zeros(NUMBERS * MOST_FIELDS)
        self.sizes: vec[i64] = zeros(NUMBERS * MOST_FIELDS)
        self.signed: vec[i64] = zeros(NUMBERS * MOST_FIELDS)
        self.last: i64 = -1
        self.backwards: i64 = 0
        n: i64 = 0
        while n < NUMBERS:
            self.use[n] = NO_PLAN
            n += 1

    def plan(self, number: i64, use: i64, least: i64) -> None:
        """Say what becomes of an event; its fields follow."""
        self.use[number] = use
        self.least[number] = least
        self.fields[number] = 0

    def field(self, number: i64, offset: i64, size: i64, signed: i64) -> None:
        """Add a field to an event's plan. Units: offset and size in bytes, size 0 for one that is not there."""
        k: i64 = number * MOST_FIELDS + self.fields[number]
        self.offsets[k] = offset
        self.sizes[k] = size
        self.signed[k] = signed
        self.fields[number] = self.fields[number] + 1

    def value(self, data: bytes, at: i64, k: i64) -> int:
        """Read one field of the payload that begins at ``at``."""
        size: i64 = self.sizes[k]
        place: i64 = at + self.offsets[k]
        number: i64 = -1
        if size == 4:
            number = i64(read_i32_le(data, place))
            if self.signed[k] == 0:
                number &= U32
        elif size == 8:
            number = read_i64_le(data, place)
            if number < 0 and self.signed[k] == 0:
                return int(number) + U64
        elif size == 2:
            number = i64(read_i16_le(data, place))
            if self.signed[k] == 0:
                number &= U16
        elif size == 1:
            number = i64(data[place])
            if self.signed[k] != 0 and number > 127:
                number -= 256
        return int(number)

    def values(self, data: bytes, at: i64, number: i64) -> tuple[int, ...]:
        """Read the fields of an event's plan."""
        k: i64 = number * MOST_FIELDS
        n: i64 = self.fields[number]
        if n == 1:
            return (self.value(data, at, k),)
        if n == 2:
            return (self.value(data, at, k), self.value(data, at, k + 1))
        if n == 3:
            return (self.value(data, at, k), self.value(data, at, k + 1), self.value(data, at, k + 2))
        if n == 4:
            return (
                self.value(data, at, k), self.value(data, at, k + 1), self.value(data, at, k + 2),
                self.value(data, at, k + 3),
            )  # fmt: skip
        found: list[int] = []
        end: i64 = k + n
        while k < end:
            found.append(self.value(data, at, k))
            k += 1
        return tuple(found)

    def length_of(self, data: bytes, at: i64, end: i64) -> i64:
        """Read the length of a long event's payload; -1 for one that it cannot have."""
        if at >= end:
            return -1
        length: i64 = i64(read_i32_le(data, at)) & U32
        return -1 if length < 8 else ((length - 1) >> 2) * 4

    def wanted(self, number: i64, length: i64) -> bool:
        """Count an event and tell whether it becomes an entry."""
        self.counts[number] = self.counts[number] + 1
        if self.use[number] <= 0:
            return False
        if length < self.least[number]:
            self.shorts[number] = self.shorts[number] + 1
            return False
        return True

    def page(
        self, data: bytes, begin: i64, end: i64, now: i64, until: i64, last: i64, cpu: int,
        rows: list[tuple[int, int, int, tuple[int, ...]]],
    ) -> bool:  # fmt: skip
        """Decode a page's events from ``begin`` to ``end``; False when one of them does not end there.

        ``now`` is the page's own time, ``last`` that of the pCPU's event before it, ``until`` a time that none reaches.
        Changes: appends to ``rows``.
        """
        i: i64 = begin
        whole: bool = True
        self.backwards = 0
        while i < end:
            word: i64 = i64(read_i32_le(data, i)) & U32
            kind: i64 = word & 31
            delta: i64 = word >> 5
            if kind <= LONGEST:
                length: i64 = kind * 4
                at: i64 = i + 4
                if kind == 0:
                    length = self.length_of(data, at, end)
                    at += 4
                    if length < 0:
                        whole = False
                        break
                i = at + length
                if i > end:
                    whole = False
                    break
                now += delta
                last = now
                number: i64 = i64(read_i32_le(data, at)) & U16
                if self.wanted(number, length):
                    rows.append((int(now), cpu, int(self.use[number]), self.values(data, at, number)))
                continue
            if i + 4 >= end:
                whole = kind == PADDING and delta == 0
                break
            more: i64 = i64(read_i32_le(data, i + 4)) & U32
            if kind == PADDING:
                if delta == 0:
                    break
                now += delta
                skipped: i64 = more >> 2
                i += 4 + 4 * (skipped if skipped > 1 else 1)
                continue
            i += 8
            if kind == EXTEND:
                now += delta + shl(more, 27)
            else:
                stamp: i64 = (delta + shl(more, 27)) + (now - (now & STAMP_BITS))
                if stamp < now:
                    self.backwards = self.backwards + 1
                else:
                    now = stamp
            if now > until:
                whole = False
                break
        self.last = last
        return whole
