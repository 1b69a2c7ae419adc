"""The events of a Linux recording as numbers: what becomes of each, and where in its payload the needed fields are.

Every event of a trace.dat or perf.data passes through here; it is compiled where there is a compiler.
"""

from typing import Final

from librt.strings import (
    read_i16_be,
    read_i16_le,
    read_i32_be,
    read_i32_le,
    read_i64_be,
    read_i64_le,
)
from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros

NUMBERS: Final = 65536
MOST_FIELDS: Final = 8
NO_PLAN: Final = -2
ABSENT: Final = -1
U8: Final = 255
U16: Final = 65535
U32: Final = 4294967295
# A plan's words: use, least, count, short, the number of its fields, the place of the first.
STRIDE: Final = 8
LEAST: Final = 1
COUNT: Final = 2
SHORT: Final = 3
FIELDS: Final = 4
FIRST: Final = 5
# A field's word: its offset in bytes times 16, its size in bytes (0: this kernel has no such field), its sign on top.
SIGNED: Final = 2**40


class Ring:
    """The plans of a recording's events, and how many events of each have passed.

    Shapes: the plan of event ``n`` stands from ``STRIDE*n`` on in ``plans``: what becomes of it (-2: it has no plan),
    how many bytes a payload must have, how many records there were, how many of them were too short, how many fields
    are read and where the first of them stands in ``fields``. ``big``: the recording's words are big-endian.
    """

    def __init__(self, big: bool) -> None:
        self.big: bool = big
        self.plans: vec[i64] = zeros(NUMBERS * STRIDE)
        self.fields: vec[i64] = zeros(0)
        self.values: vec[i64] = zeros(MOST_FIELDS)
        n: i64 = 0
        while n < NUMBERS:
            self.plans[n * STRIDE] = NO_PLAN
            n += 1

    def plan(self, number: i64, use: i64, least: i64, fields: list[tuple[int, int, bool]]) -> None:
        """Say what becomes of an event. Shapes: ``fields`` has offset, size and sign. Units: bytes, size 0 for none."""
        at: i64 = number * STRIDE
        before = [int(word) for word in self.fields]
        self.plans[at] = use
        self.plans[at + LEAST] = least
        self.plans[at + FIELDS] = len(fields)
        self.plans[at + FIRST] = len(before)
        self.fields = vec[i64](before + [offset * 16 + size + sign * SIGNED for offset, size, sign in fields])

    def value(self, data: bytes, at: i64, field: i64) -> i64:
        """Read one field of the payload that begins at ``at``: all of its 64 bits, as a signed number."""
        size: i64 = field & 15
        place: i64 = at + (field >> 4 & 0xFFFFFF)
        number: i64 = ABSENT
        if size == 4:
            number = i64(read_i32_be(data, place)) if self.big else i64(read_i32_le(data, place))
            return number if field >= SIGNED else number & U32
        if size == 8:
            return read_i64_be(data, place) if self.big else read_i64_le(data, place)
        if size == 2:
            number = i64(read_i16_be(data, place)) if self.big else i64(read_i16_le(data, place))
            return number if field >= SIGNED else number & U16
        if size == 1:
            number = i64(data[place])
            return number - 256 if field >= SIGNED and number > 127 else number
        return number

    def read(self, data: bytes, at: i64, number: i64, values: vec[i64]) -> None:
        """Read the fields of an event's plan into ``values``; what is not there is -1."""
        plans: vec[i64] = self.plans
        fields: vec[i64] = self.fields
        k: i64 = plans[number * STRIDE + FIRST]
        many: i64 = plans[number * STRIDE + FIELDS]
        n: i64 = 0
        while n < many:
            values[n] = self.value(data, at, fields[k + n])
            n += 1
        while n < MOST_FIELDS:
            values[n] = ABSENT
            n += 1

    def wanted(self, number: i64, length: i64) -> bool:
        """Count an event and tell whether it becomes an entry."""
        plans: vec[i64] = self.plans
        at: i64 = number * STRIDE
        plans[at + COUNT] = plans[at + COUNT] + 1
        if plans[at] <= 0:
            return False
        if length < plans[at + LEAST]:
            plans[at + SHORT] = plans[at + SHORT] + 1
            return False
        return True

    def leave_out(self, number: i64) -> None:
        """Count an event that cannot be used."""
        at: i64 = number * STRIDE
        self.plans[at + COUNT] = self.plans[at + COUNT] + 1
        self.plans[at + SHORT] = self.plans[at + SHORT] + 1

    def use(self, number: i64) -> i64:
        """Return what becomes of an event."""
        return self.plans[number * STRIDE]

    def counts(self) -> list[tuple[int, int, int]]:
        """Return the number of every event that has passed, with how many there were and how many were too short."""
        found: list[tuple[int, int, int]] = []
        n: i64 = 0
        while n < NUMBERS:
            at: i64 = n * STRIDE
            if self.plans[at + COUNT] > 0:
                found.append((int(n), int(self.plans[at + COUNT]), int(self.plans[at + SHORT])))
            n += 1
        return found
