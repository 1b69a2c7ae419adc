"""How often things happened in each part of a recording: counts by interval, whose length grows with the recording."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros
from exitless.record.columns import WHERE, kind_of
from exitless.record.sinks import Sink
from exitless.vocab.kinds import Kind

# Intervals at most; when they do not reach, two become one.
INTERVALS: Final = 240
FIRST_PS: Final = 1_000_000
SERIES: Final = 5
EXITS: Final = 0
INJECTIONS: Final = 1
EOIS: Final = 2
WAKE_UPS: Final = 3
HOST_INTERRUPTS: Final = 4
NAMES: Final = ("exits", "injections", "EOIs", "wake-ups", "host interrupts")


class OverTime(Sink):
    """Counts of one recording: ``counts`` has each series' intervals one after the other. Units: ``length`` is ps."""

    def __init__(self) -> None:
        self.length: i64 = FIRST_PS
        self.counts: vec[i64] = zeros(SERIES * INTERVALS)
        self.last: i64 = 0

    def block(self, cells: vec[i64], count: i64) -> None:
        """Count a block of rows."""
        n: i64 = 0
        while n < count:
            self.one(cells[n], kind_of(cells[n + WHERE]))
            n += 1

    def one(self, time: i64, kind: i64) -> None:
        """Count one row."""
        series: i64 = -1
        if kind == Kind.VM_EXIT:
            series = EXITS
        elif kind == Kind.IRQ_INJECT:
            series = INJECTIONS
        elif kind == Kind.IRQ_EOI:
            series = EOIS
        elif kind == Kind.SCHED_WAKE:
            series = WAKE_UPS
        elif kind == Kind.HOST_IRQ:
            series = HOST_INTERRUPTS
        if series < 0 or time < 0:
            return
        while time >= self.length * INTERVALS:
            self.double()
        n: i64 = series * INTERVALS + time // self.length
        self.counts[n] = self.counts[n] + 1
        if time > self.last:
            self.last = time

    def double(self) -> None:
        """Put every two intervals together."""
        old: vec[i64] = self.counts
        new: vec[i64] = zeros(SERIES * INTERVALS)
        n: i64 = 0
        while n < SERIES * INTERVALS:
            at: i64 = n // INTERVALS * INTERVALS + n % INTERVALS // 2
            new[at] = new[at] + old[n]
            n += 1
        self.counts = new
        self.length = self.length * 2

    def series(self, number: i64) -> list[int]:
        """Return the counts of one series up to the last interval in which anything happened."""
        used: i64 = self.last // self.length + 1
        return [int(self.counts[number * INTERVALS + n]) for n in range(int(used))]
