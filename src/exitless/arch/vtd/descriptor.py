"""The posted-interrupt descriptor as 64 bytes of memory, and both forms of its destination. VT-d, 9.11."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.posted import PIR_WORDS, PostedDescriptor
from exitless.bits.words import shl, zeros

WORDS: Final = 16
CONTROL: Final = 8
DESTINATION: Final = 9
DESCRIPTOR_LAYOUT: Final[list[tuple[str, int, int]]] = [
    ("pir", 0, 256), ("on", 256, 1), ("sn", 257, 1), ("nv", 272, 8), ("ndst", 288, 32),
]  # fmt: skip


def destination_field(apic_id: i64, eime: i64) -> i64:
    """Return NDST for a local APIC: 32 bits in x2APIC form, bits 15:8 in xAPIC form. Cites: VT-d posted.descriptor"""
    if eime != 0:
        return apic_id
    return shl(apic_id & 255, 8)


def destination_id(ndst: i64, eime: i64) -> i64:
    """Return the local APIC ID that NDST names. Cites: VT-d posted.descriptor"""
    if eime != 0:
        return ndst
    return (ndst >> 8) & 255


def pack_descriptor(pid: PostedDescriptor, eime: i64) -> vec[i64]:
    """Return the descriptor as sixteen 32-bit words, lowest first; ``pid.ndst`` is a local APIC ID.

    Cites: VT-d posted.descriptor, SDM posted.descriptor
    """
    words: vec[i64] = zeros(WORDS)
    i: i64 = 0
    while i < PIR_WORDS:
        words[i] = pid.pir[i]
        i += 1
    words[CONTROL] = pid.on + shl(pid.sn, 1) + shl(pid.nv, 16)
    words[DESTINATION] = destination_field(pid.ndst, eime)
    return words


def unpack_descriptor(words: vec[i64], eime: i64) -> PostedDescriptor:
    """Take sixteen 32-bit words apart. Cites: VT-d posted.descriptor, SDM posted.descriptor"""
    out: PostedDescriptor = PostedDescriptor()
    i: i64 = 0
    while i < PIR_WORDS:
        out.pir[i] = words[i]
        i += 1
    out.on = words[CONTROL] & 1
    out.sn = (words[CONTROL] >> 1) & 1
    out.nv = (words[CONTROL] >> 16) & 255
    out.ndst = destination_id(words[DESTINATION], eime)
    return out


def descriptor_reserved(words: vec[i64]) -> bool:
    """Tell whether a reserved bit between ON and NDST is set: 271:258 or 287:280. Bits 511:320 are software's here.

    Cites: VT-d posted.descriptor
    """
    return words[CONTROL] & 4278255612 != 0
