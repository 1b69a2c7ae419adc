"""A finished record in memory: its header, its rows, and the sink that keeps it."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from librt.vecs import vec
from mypy_extensions import i64

from exitless.record.columns import WHERE, A, B
from exitless.record.sinks import Sink


@dataclass
class Header:
    """What a reader of the record needs to name things.

    Shapes: ``vcpus`` has one name a vCPU number (``d0v1``), ``owners`` the :class:`~exitless.vocab.kinds.Owner`
    of each; ``sources`` one name a source number; ``costs`` one name a cost number. ``fifo`` has the vCPUs whose event
    channels are of the FIFO ABI.
    """

    title: str = ""
    origin: str = "simulated"
    scenario: str = ""
    mechanism: str = ""
    seed: int = 0
    length_ps: int = 0
    pcpus: int = 0
    vcpus: list[str] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    source_vcpu: list[int] = field(default_factory=list)
    source_vector: list[int] = field(default_factory=list)
    source_host_vector: list[int] = field(default_factory=list)
    source_port: list[int] = field(default_factory=list)
    costs: list[str] = field(default_factory=list)
    cost_origins: list[str] = field(default_factory=list)
    exits: dict[int, str] = field(default_factory=dict)
    clock_hz: int = 0
    fifo: list[int] = field(default_factory=list)


class Event(NamedTuple):
    """One row, unpacked."""

    time_ps: int
    kind: int
    pcpu: int
    vcpu: int
    a: int
    b: int


class Record(Sink):
    """Keeps every row it is given, in four arrays of signed 64-bit numbers."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.time = array("q")
        self.where = array("q")
        self.a = array("q")
        self.b = array("q")

    def block(self, cells: vec[i64], count: i64) -> None:
        """Append ``count`` rows."""
        data = memoryview(cells).cast("B")
        for column, first in ((self.time, 0), (self.where, WHERE), (self.a, A), (self.b, B)):
            column.frombytes(data[first * 8 : (first + int(count)) * 8])

    def add(self, time_ps: int, kind: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        """Append one row (for readers and the checker, which make few)."""
        self.time.append(time_ps)
        self.where.append(kind + (pcpu + 1) * 65536 + (vcpu + 1) * 4294967296)
        self.a.append(a)
        self.b.append(b)

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, n: int) -> Event:
        where = self.where[n]
        return Event(self.time[n], where & 65535, ((where >> 16) & 65535) - 1, (where >> 32) - 1, self.a[n], self.b[n])

    def __iter__(self) -> Iterator[Event]:
        return (self[n] for n in range(len(self.time)))

    def rows(self, lo: int, hi: int, kinds: frozenset[int] | None = None) -> list[Event]:
        """Return the rows from the place ``lo`` up to ``hi``, unpacked; of some kinds only, if they are given."""
        where = self.where[lo:hi]
        wanted = set(where) if kinds is None else {w for w in set(where) if w & 65535 in kinds}
        unpacked = {w: (w & 65535, ((w >> 16) & 65535) - 1, (w >> 32) - 1) for w in wanted}
        cells = zip(self.time[lo:hi], where, self.a[lo:hi], self.b[lo:hi], strict=True)
        new = tuple.__new__
        return [new(Event, (time, *unpacked[w], a, b)) for time, w, a, b in cells if w in unpacked]

    def between(self, first_ps: int, last_ps: int) -> "Record":
        """Return the rows with ``first_ps <= time <= last_ps``."""
        from bisect import bisect_left, bisect_right

        lo, hi = bisect_left(self.time, first_ps), bisect_right(self.time, last_ps)
        part = Record(self.header)
        part.time, part.where = self.time[lo:hi], self.where[lo:hi]
        part.a, part.b = self.a[lo:hi], self.b[lo:hi]
        return part
