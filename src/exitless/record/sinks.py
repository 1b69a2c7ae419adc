"""What may be done with a record while it is made: the base class of every sink."""

from librt.vecs import vec
from mypy_extensions import i64, mypyc_attr


@mypyc_attr(allow_interpreted_subclasses=True)
class Sink:
    """A consumer of blocks.

    ``block`` is called with the four columns and the number of rows that count. The columns are reused
    afterwards: keep copies (``bytes(memoryview(column))``), not the columns.
    """

    def block(self, time: vec[i64], where: vec[i64], a: vec[i64], b: vec[i64], count: i64) -> None:
        """Take ``count`` rows."""
        raise NotImplementedError
