"""A sink that takes blocks row by row."""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.record.columns import WHERE, A, B, kind_of, pcpu_of, vcpu_of
from exitless.record.sinks import Sink


class RowSink(Sink):
    """A consumer of rows. Units: ``time`` ps."""

    def block(self, cells: vec[i64], count: i64) -> None:
        """Take ``count`` rows, in the order of time."""
        n: i64 = 0
        while n < count:
            where: i64 = cells[n + WHERE]
            self.one(cells[n], kind_of(where), pcpu_of(where), vcpu_of(where), cells[n + A], cells[n + B])
            n += 1

    def one(self, time: i64, kind: i64, pcpu: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Take one row."""
        raise NotImplementedError
