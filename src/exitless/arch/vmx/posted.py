"""Posted interrupts on the processor's side: the descriptor, software posting and posted-interrupt processing.

SDM vol. 3, "Posted-Interrupt Processing" (29.6 in the 2016 edition). Each function is one step that no other
agent can see the middle of; the order in which agents string them together is what the procedures in
:mod:`exitless.mech.procedures` say.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import PACKED, highest_bit, is_empty, shl, test_and_set, zeros

PIR_WORDS: Final = 8


class PostedDescriptor:
    """The 64-byte posted-interrupt descriptor.

    Shapes: ``pir`` eight 32-bit words, bit v is vector v; ``on``, ``sn`` 0 or 1; ``nv`` a vector;
    ``ndst`` the destination's local APIC identifier (the pCPU number in this model).
    Cites: SDM posted.descriptor, VT-d posted.descriptor
    """

    def __init__(self) -> None:
        self.pir: vec[i64] = zeros(8)
        self.on: i64 = 0
        self.sn: i64 = 0
        self.nv: i64 = 0
        self.ndst: i64 = 0


def set_pir(pid: PostedDescriptor, vector: i64) -> bool:
    """A processor requests ``vector``: sets its PIR bit.

    Returns: whether the bit was already set; then somebody else has notified or will.
    Changes: PIR
    Atomic: one locked operation; ON is not looked at.
    Cites: SDM posted.processing
    """
    return test_and_set(pid.pir, 0, PACKED, vector)


def claim_notification(pid: PostedDescriptor) -> bool:
    """A processor that has set a PIR bit claims the duty to notify.

    Returns: True when ON was clear and is now set, so the caller must notify; False when ON or SN stands.
    Changes: ON
    Atomic: one locked compare-exchange of the control word.
    Cites: SDM posted.processing, Xen vmx.c vmx_deliver_posted_intr
    """
    if pid.on != 0 or pid.sn != 0:
        return False
    pid.on = 1
    return True


def clear_outstanding(pid: PostedDescriptor) -> bool:
    """The consumer clears ON, before it looks at PIR.

    Returns: whether ON was set.
    Changes: ON
    Cites: SDM posted.processing
    """
    was: bool = pid.on != 0
    pid.on = 0
    return was


def take_pir(pid: PostedDescriptor, vapic: VirtualApic) -> i64:
    """Move every PIR bit into VIRR.

    Returns: the highest vector moved, 0 when PIR was empty.
    Changes: PIR, VIRR
    Atomic: the SDM promises atomicity for each group of bits only; a whole PIR here is the coarsest legal grain.
    Cites: SDM posted.processing
    """
    top: i64 = highest_bit(pid.pir, 0, PACKED)
    i: i64 = 0
    while i < 8:
        w: i64 = pid.pir[i]
        if w != 0:
            vapic.page[Reg.VIRR + 4 * i] = vapic.page[Reg.VIRR + 4 * i] | w
            pid.pir[i] = 0
        i += 1
    return top


def raise_rvi(vapic: VirtualApic, vector: i64) -> None:
    """Raise RVI to ``vector`` if that is higher: RVI never falls here, and VIRR bits from before are not looked at.

    Changes: RVI
    Cites: SDM posted.processing
    """
    if vector > vapic.rvi:
        vapic.rvi = vector


def has_posted(pid: PostedDescriptor) -> bool:
    """Tell whether PIR holds any vector. Cites: SDM posted.descriptor"""
    return not is_empty(pid.pir, 0, PACKED, PIR_WORDS)


def pir_bits(pid: PostedDescriptor, low: i64) -> i64:
    """Return 32 PIR bits from vector ``low`` (a multiple of 32) on. Cites: SDM posted.descriptor"""
    return pid.pir[low >> 5] & (shl(1, 32) - 1)
