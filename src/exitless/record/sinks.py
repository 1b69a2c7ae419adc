"""What may be done with a record while it is made: the base class of every sink."""

from librt.vecs import vec
from mypy_extensions import i64, mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Sink:
    """A consumer of blocks.

    ``block`` is called with four columns of 65,536 words in one array (time, where, a, b, one after the other; their
    beginnings are in :mod:`exitless.record.columns`) and the number of rows that count. The array is reused
    afterwards: keep copies (``bytes(memoryview(cells))``), not the array.
    """

    def block(self, cells: vec[i64], count: i64) -> None:
        """Take ``count`` rows."""
        raise NotImplementedError
