"""The interrupt-remapping table entry, 128 bits in remapped or posted format. VT-d, 9.9 and 9.10."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import shl, zeros

REMAPPED_LAYOUT: Final[list[tuple[str, int, int]]] = [
    ("p", 0, 1), ("fpd", 1, 1), ("dm", 2, 1), ("rh", 3, 1), ("tm", 4, 1), ("dlm", 5, 3), ("im", 15, 1),
    ("vector", 16, 8), ("dst", 32, 32), ("sid", 64, 16), ("sq", 80, 2), ("svt", 82, 2),
]  # fmt: skip
POSTED_LAYOUT: Final[list[tuple[str, int, int]]] = [
    ("p", 0, 1), ("fpd", 1, 1), ("urg", 14, 1), ("im", 15, 1), ("vector", 16, 8), ("pda_low", 38, 26),
    ("sid", 64, 16), ("sq", 80, 2), ("svt", 82, 2), ("pda_high", 96, 32),
]  # fmt: skip


class Irte:
    """One entry. ``vector`` is V (physical) or VV (virtual) by ``im``; ``pda_low`` holds descriptor address bits 31:6,
    ``pda_high`` bits 63:32; ``avail`` the four bits left to software. ``reserved`` is 1 when a reserved bit is set,
    ``unreadable`` 1 when the memory it lies in cannot be read. Cites: VT-d irte.remapped, VT-d irte.posted
    """

    def __init__(self) -> None:
        self.p: i64 = 0
        self.fpd: i64 = 0
        self.dm: i64 = 0
        self.rh: i64 = 0
        self.tm: i64 = 0
        self.dlm: i64 = 0
        self.avail: i64 = 0
        self.im: i64 = 0
        self.urg: i64 = 0
        self.vector: i64 = 0
        self.dst: i64 = 0
        self.pda_low: i64 = 0
        self.pda_high: i64 = 0
        self.sid: i64 = 0
        self.sq: i64 = 0
        self.svt: i64 = 0
        self.reserved: i64 = 0
        self.unreadable: i64 = 0


def pack(irte: Irte) -> vec[i64]:
    """Return the entry as four 32-bit words, lowest first. Cites: VT-d irte.remapped, VT-d irte.posted"""
    words: vec[i64] = zeros(4)
    words[0] = irte.p + shl(irte.fpd, 1) + shl(irte.avail, 8) + shl(irte.im, 15) + shl(irte.vector, 16)
    if irte.im != 0:
        words[0] = words[0] + shl(irte.urg, 14)
        words[1] = shl(irte.pda_low, 6)
        words[3] = irte.pda_high
    else:
        words[0] = words[0] + shl(irte.dm, 2) + shl(irte.rh, 3) + shl(irte.tm, 4) + shl(irte.dlm, 5)
        words[1] = irte.dst
    words[2] = irte.sid + shl(irte.sq, 16) + shl(irte.svt, 18)
    return words


def unpack(words: vec[i64]) -> Irte:
    """Take four 32-bit words apart. Cites: VT-d irte.remapped, VT-d irte.posted"""
    out: Irte = Irte()
    w: i64 = words[0]
    out.p = w & 1
    out.fpd = (w >> 1) & 1
    out.avail = (w >> 8) & 15
    out.im = (w >> 15) & 1
    out.vector = (w >> 16) & 255
    if out.im != 0:
        out.urg = (w >> 14) & 1
        out.pda_low = words[1] >> 6
        out.pda_high = words[3]
    else:
        out.dm = (w >> 2) & 1
        out.rh = (w >> 3) & 1
        out.tm = (w >> 4) & 1
        out.dlm = (w >> 5) & 7
        out.dst = words[1]
    out.sid = words[2] & 65535
    out.sq = (words[2] >> 16) & 3
    out.svt = (words[2] >> 18) & 3
    if reserved_bits_set(words):
        out.reserved = 1
    return out


def reserved_bits_set(words: vec[i64]) -> bool:
    """Tell whether any reserved bit of the entry's format is set. Cites: VT-d irte.remapped, VT-d irte.posted"""
    if words[0] >> 24 != 0 or words[2] >> 20 != 0:
        return True
    if (words[0] >> 15) & 1 != 0:
        return words[0] & 12540 != 0 or words[1] & 63 != 0
    return words[0] & 28672 != 0 or words[3] != 0
