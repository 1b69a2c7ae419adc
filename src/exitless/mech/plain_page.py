"""A page of ordinary memory, for accesses that no rule of the virtual APIC takes."""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import shl, zeros


class PlainPage:
    """4 KiB, all zero at first. Shapes: ``words`` 1,024 doublewords."""

    def __init__(self) -> None:
        self.words: vec[i64] = zeros(1024)

    def load(self, offset: i64, size: i64) -> i64:
        """Read up to four bytes, which may lie in two words; the page wraps."""
        value: i64 = 0
        i: i64 = 0
        while i < size:
            at: i64 = (offset + i) & 4095
            value |= shl((self.words[at >> 2] >> (at & 3) * 8) & 255, i * 8)
            i += 1
        return value

    def store(self, offset: i64, size: i64, value: i64) -> None:
        """Write up to four bytes, which may lie in two words; the page wraps."""
        i: i64 = 0
        while i < size:
            at: i64 = (offset + i) & 4095
            shift: i64 = (at & 3) * 8
            self.words[at >> 2] = (self.words[at >> 2] & ~shl(255, shift)) | shl((value >> i * 8) & 255, shift)
            i += 1


def longer(words: vec[i64], count: i64) -> vec[i64]:
    """Return ``count`` words that begin with those given and go on with zeros."""
    grown: vec[i64] = zeros(count)
    i: i64 = 0
    while i < len(words):
        grown[i] = words[i]
        i += 1
    return grown
