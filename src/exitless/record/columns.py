"""The recorder: rows of six integers in packed columns, handed out a block at a time.

A row is ``time_ps, kind, pcpu, vcpu, a, b``. Kind, pCPU and vCPU share one word, ``kind + pcpu*2**16 +
vcpu*2**32`` with the two CPU numbers stored plus one so that -1 means "none"; the other three have a word each.
Four stores a row keep recording at a few nanoseconds.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros
from exitless.record.sinks import Sink

BLOCK_ROWS: Final = 65536
WHERE: Final = 65536
A: Final = 131072
B: Final = 196608


class Columns:
    """A block that fills with rows; a full block goes to every sink.

    Shapes: ``cells`` has four columns of ``BLOCK_ROWS`` words, one after the other: time, where, a, b.
    A sink that raises is detached and kept in ``failures``; the run goes on.
    """

    def __init__(self, sinks: list[Sink]) -> None:
        self.cells: vec[i64] = zeros(4 * BLOCK_ROWS)
        self.fill: i64 = 0
        self.flushed: i64 = 0
        self.sinks: list[Sink] = sinks
        self.failures: list[str] = []

    def row(self, time_ps: i64, kind: i64, pcpu: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Record one row."""
        n: i64 = self.fill
        cells: vec[i64] = self.cells
        cells[n] = time_ps
        cells[n + WHERE] = kind + (pcpu + 1) * 65536 + (vcpu + 1) * 4294967296
        cells[n + A] = a
        cells[n + B] = b
        n += 1
        self.fill = n
        if n == BLOCK_ROWS:
            self.flush()

    def flush(self) -> None:
        """Hand what has been recorded since the last block to the sinks."""
        if self.fill == 0:
            return
        for sink in list(self.sinks):
            try:
                sink.block(self.cells, self.fill)
            except Exception as problem:  # a listener cannot break the run
                self.sinks.remove(sink)
                self.failures.append(f"{type(sink).__name__}: {problem}")
        self.flushed += self.fill
        self.fill = 0

    def give(self, sink: Sink) -> None:
        """Hand what has been recorded to one more sink.

        Interpreted code is to call this and not the sink: an array that it hands to a compiled function is never freed.
        """
        sink.block(self.cells, self.fill)

    def rows(self) -> i64:
        """Return how many rows have been recorded so far."""
        return self.flushed + self.fill


def kind_of(where: i64) -> i64:
    """Take the kind out of a packed word."""
    return where & 65535


def pcpu_of(where: i64) -> i64:
    """Take the pCPU out of a packed word, -1 for none."""
    return ((where >> 16) & 65535) - 1


def vcpu_of(where: i64) -> i64:
    """Take the vCPU out of a packed word, -1 for none."""
    return (where >> 32) - 1


def unpacked(columns: Columns) -> list[tuple[int, int, int, int, int, int]]:
    """Return the rows of a block as tuples of time_ps, kind, pcpu, vcpu, a, b."""
    rows: list[tuple[int, int, int, int, int, int]] = []
    cells: vec[i64] = columns.cells
    n: i64 = 0
    while n < columns.fill:
        where: i64 = cells[n + WHERE]
        kind, pcpu, vcpu = int(kind_of(where)), int(pcpu_of(where)), int(vcpu_of(where))
        rows.append((int(cells[n]), kind, pcpu, vcpu, int(cells[n + A]), int(cells[n + B])))
        n += 1
    return rows
