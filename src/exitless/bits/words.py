"""Bits in arrays of 32-bit words, the layout the manuals use for their 256-bit registers.

Two shapes are served by the same functions: packed words (a posted-interrupt descriptor, an EOI-exit
bitmap), where word ``i`` holds bits ``32*i .. 32*i+31``, and register pages (a virtual-APIC page held as
1,024 doublewords), where the words of one register lie 16 bytes, so four doublewords, apart.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

WORD_BITS: Final = 32
PACKED: Final = 1
ON_PAGE: Final = 4


def shl(value: i64, count: i64) -> i64:
    """Shift left in 64 bits; the only left shift by a variable amount in the compiled floors."""
    return value << count


def zeros(count: i64) -> vec[i64]:
    """Return ``count`` words, all zero."""
    return vec[i64]([0] * count)


def reaching(words: vec[i64], place: i64) -> vec[i64]:
    """Return the same words, with zeros behind them up to ``place`` at least."""
    had: i64 = i64(len(words))
    if place < had:
        return words
    more: vec[i64] = zeros(2 * place + 1)
    n: i64 = 0
    while n < had:
        more[n] = words[n]
        n += 1
    return more


def has_bit(words: vec[i64], base: i64, stride: i64, bit: i64) -> bool:
    """Tell whether ``bit`` is set in the register that starts at word ``base``."""
    return (words[base + (bit >> 5) * stride] >> (bit & 31)) & 1 != 0


def set_bit(words: vec[i64], base: i64, stride: i64, bit: i64) -> None:
    """Set ``bit``."""
    i: i64 = base + (bit >> 5) * stride
    words[i] = words[i] | shl(1, bit & 31)


def clear_bit(words: vec[i64], base: i64, stride: i64, bit: i64) -> None:
    """Clear ``bit``."""
    i: i64 = base + (bit >> 5) * stride
    words[i] = words[i] & ~shl(1, bit & 31)


def test_and_set(words: vec[i64], base: i64, stride: i64, bit: i64) -> bool:
    """Set ``bit`` and tell whether it was set before, as one step."""
    i: i64 = base + (bit >> 5) * stride
    mask: i64 = shl(1, bit & 31)
    old: i64 = words[i]
    words[i] = old | mask
    return old & mask != 0


def test_and_clear(words: vec[i64], base: i64, stride: i64, bit: i64) -> bool:
    """Clear ``bit`` and tell whether it was set before, as one step."""
    i: i64 = base + (bit >> 5) * stride
    mask: i64 = shl(1, bit & 31)
    old: i64 = words[i]
    words[i] = old & ~mask
    return old & mask != 0


def top_of_word(word: i64) -> i64:
    """Return the number of the highest bit set in a non-zero 32-bit word."""
    n: i64 = 0
    w: i64 = word
    if w >= 65536:
        n = 16
        w >>= 16
    if w >= 256:
        n += 8
        w >>= 8
    if w >= 16:
        n += 4
        w >>= 4
    if w >= 4:
        n += 2
        w >>= 2
    if w >= 2:
        n += 1
    return n


def lowest_of_word(word: i64) -> i64:
    """Return the number of the lowest bit set in a non-zero 32-bit word."""
    return top_of_word(word & -word)


def highest_bit(words: vec[i64], base: i64, stride: i64) -> i64:
    """Return the highest bit set in a 256-bit register, or 0 when it is empty.

    The manuals use 0 for "none" in RVI, SVI and the priority registers, so an empty register and one that
    holds only bit 0 answer alike; :func:`is_empty` tells them apart.
    """
    i: i64 = 7
    while i >= 0:
        w: i64 = words[base + i * stride]
        if w != 0:
            return i * 32 + top_of_word(w)
        i -= 1
    return 0


def is_empty(words: vec[i64], base: i64, stride: i64, count: i64) -> bool:
    """Tell whether all ``count`` words of the register are zero."""
    i: i64 = 0
    while i < count:
        if words[base + i * stride] != 0:
            return False
        i += 1
    return True


def bits_of(words: vec[i64], base: i64, stride: i64, count: i64) -> list[int]:
    """Return the numbers of all bits set, lowest first (for printing; allocates)."""
    found: list[int] = []
    i: i64 = 0
    while i < count:
        w: i64 = words[base + i * stride]
        b: i64 = 0
        while b < 32:
            if (w >> b) & 1 != 0:
                found.append(int(i * 32 + b))
            b += 1
        i += 1
    return found
