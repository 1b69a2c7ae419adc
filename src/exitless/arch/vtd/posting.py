"""From a translated request to local APICs or a descriptor; whole updates of an entry. VT-d, 5.1.4, 5.2.3, 5.2.5."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.posted import PostedDescriptor
from exitless.arch.vtd.irte import Irte
from exitless.arch.vtd.post import Posted, post
from exitless.arch.vtd.remap import Fault, Remapper, Translation, Verdict
from exitless.arch.x86.destination import BusMessage, Shorthand
from exitless.arch.x86.message import CompatMessage, DeliveryMode
from exitless.arch.x86.msi import is_level_message, is_logical
from exitless.bits.words import shl

FAULTED: Final = -1


def remapped_to_bus(remapper: Remapper, translation: Translation, out: BusMessage) -> None:
    """A request that was remapped, or let pass, sets out for the local APICs.

    With EIME a remapped destination has 32 bits. A compatibility request that passes keeps its 8 bits, and its
    destination mode counts as in :func:`~exitless.arch.x86.msi.is_logical`. Cites: VT-d remap.algorithm
    """
    out.vector = translation.vector
    out.delivery = translation.delivery
    out.destination = translation.destination
    out.shorthand = Shorthand.NONE
    out.level = 1
    out.trigger = 0
    if is_level_message(translation.delivery, translation.trigger):
        out.trigger = 1
    if translation.kind == Verdict.REMAPPED:
        out.logical = translation.dm
        out.wide = remapper.eime
        return
    message: CompatMessage = CompatMessage()
    message.rh = translation.rh
    message.dm = translation.dm
    out.wide = 0
    out.logical = 0
    if is_logical(message, remapper.choices):
        out.logical = 1


def notification(pid: PostedDescriptor, eime: i64, out: BusMessage) -> None:
    """The remapping unit notifies: fixed, an edge, physical, NV to NDST. Cites: VT-d posted.operation"""
    out.vector = pid.nv
    out.delivery = DeliveryMode.FIXED
    out.logical = 0
    out.destination = pid.ndst
    out.wide = eime
    out.trigger = 0
    out.level = 1
    out.shorthand = Shorthand.NONE


def descriptor_fault(remapper: Remapper, irte: Irte, readable: i64, reserved: bool, out: Translation) -> bool:
    """Tell whether posting stops at the descriptor: its memory cannot be read, or a reserved bit is set.

    Changes: ``out`` becomes the fault. Cites: VT-d remap.faults
    """
    reason: i64 = Fault.NONE
    if readable == 0:
        reason = Fault.DESCRIPTOR_ACCESS
    elif reserved:
        reason = Fault.DESCRIPTOR_RESERVED
    if reason == Fault.NONE:
        return False
    out.kind = Verdict.FAULT
    out.fault = reason
    out.recorded = 1
    if irte.fpd != 0 and remapper.choices.vtd_posted_fault_obeys_fpd != 0:
        out.recorded = 0
    return True


def post_request(
    remapper: Remapper, irte: Irte, pid: PostedDescriptor, readable: i64, reserved: bool, out: Translation
) -> i64:
    """A request whose translation is POSTED is carried out on its descriptor.

    Changes: PIR, ON; ``out`` on a fault
    Returns: a sum of Posted bits (with NOTIFY the caller sends :func:`notification`), or FAULTED.
    Atomic: one locked read-modify-write, as in :func:`~exitless.arch.vtd.post.post`.
    Cites: VT-d posted.operation, VT-d remap.faults
    """
    if descriptor_fault(remapper, irte, readable, reserved, out):
        return FAULTED
    return post(pid, irte.vector, irte.urg)


def notifies(answer: i64) -> bool:
    """Tell whether what a post answered obliges to notify. Cites: VT-d posted.operation"""
    return answer > 0 and answer & Posted.NOTIFY != 0


def is_postable(delivery: i64, vcpus: i64) -> bool:
    """Tell whether an interrupt can be posted: fixed, or lowest priority that software has settled, to exactly one
    vCPU.

    Cites: VT-d posted.software
    """
    return vcpus == 1 and (delivery == DeliveryMode.FIXED or delivery == DeliveryMode.LOWEST)


def _with_source(old: Irte) -> Irte:
    out: Irte = Irte()
    out.p = old.p
    out.fpd = old.fpd
    out.avail = old.avail
    out.sid = old.sid
    out.sq = old.sq
    out.svt = old.svt
    return out


def posted_entry(old: Irte, vector: i64, low: i64, high: i64, urgent: i64) -> Irte:
    """Make the posted form of an entry for a descriptor at ``high``:``low``; presence and source stay, nothing else
    does.

    Cites: VT-d irte.posted, Xen intremap.c pi_update_irte
    """
    out: Irte = _with_source(old)
    out.im = 1
    out.vector = vector
    out.urg = urgent
    out.pda_low = low >> 6
    out.pda_high = high
    return out


def remapped_entry(old: Irte, vector: i64, destination: i64, delivery: i64, logical: i64, trigger: i64) -> Irte:
    """Make the remapped form of an entry; presence and source stay. IM is 0 even when the old form was posted, and
    lowest priority sets RH.

    Cites: VT-d irte.remapped, Xen intremap.c msi_msg_to_remap_entry
    """
    out: Irte = _with_source(old)
    out.vector = vector
    out.dst = destination
    out.dlm = delivery
    out.dm = logical
    out.tm = trigger
    if delivery == DeliveryMode.LOWEST:
        out.rh = 1
    return out


def replace(words: vec[i64], new: vec[i64]) -> None:
    """Software stores a new entry over an old one, as 32-bit words.

    Atomic: all 128 bits at once; an entry whose format changes must be updated so, or while it is not present.
    Cites: VT-d posted.software
    """
    i: i64 = 0
    while i < 4:
        words[i] = new[i]
        i += 1


def replace_half(words: vec[i64], new: vec[i64], half: i64) -> None:
    """Software stores half of a new entry, low (0) or high (1): between the two a request sees a torn entry.

    Atomic: 64 bits. Cites: Xen intremap.c update_irte
    """
    words[2 * half] = new[2 * half]
    words[2 * half + 1] = new[2 * half + 1]


def address_low(irte: Irte) -> i64:
    """Return bits 31:0 of the descriptor's address. Cites: VT-d irte.posted"""
    return shl(irte.pda_low, 6)
