"""The 2-level event-channel ABI: bits that Xen and the guest share, and who may change them how. Xen's event_2l.c.

A 64-bit guest's form: 4,096 ports, and one bit of a vCPU's selector for every 64 of them.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.outcome import Raise
from exitless.bits.words import (
    PACKED,
    clear_bit,
    has_bit,
    lowest_of_word,
    set_bit,
    shl,
    test_and_clear,
    test_and_set,
    zeros,
)

PORTS: Final = 4096
PORT_WORDS: Final = 128
SELECTOR_WORDS: Final = 2
ALL_ONES: Final = 4294967295
# What hypercall_unmask answers when nobody is owed anything; Raise has no number for it.
NONE: Final = -1


class SharedInfo:
    """The part of a domain's shared page that holds its ports: a pending and a mask bit for each.

    Shapes: 128 packed 32-bit words each, bit p is port p. Cites: Xen xen.h shared_info
    """

    def __init__(self) -> None:
        self.pending: vec[i64] = zeros(PORT_WORDS)
        self.mask: vec[i64] = zeros(PORT_WORDS)


class VcpuInfo:
    """The part of a vCPU's shared structure that says that, and roughly where, it has events.

    ``upcall_mask`` counts for PV guests only. Shapes: ``selector`` two packed 32-bit words, bit s stands for
    ports 64*s to 64*s+63. Cites: Xen xen.h vcpu_info
    """

    def __init__(self) -> None:
        self.upcall_pending: i64 = 0
        self.upcall_mask: i64 = 0
        self.selector: vec[i64] = zeros(SELECTOR_WORDS)


def register_vcpu_info(info: VcpuInfo) -> None:
    """A vCPU has registered its own structure: it is told of everything, so one upcall without a cause is certain.

    Changes: selector, upcall_pending. Cites: Xen domain.c vcpu_info_populate
    """
    info.selector[0] = ALL_ONES
    info.selector[1] = ALL_ONES
    info.upcall_pending = 1


# Xen's side.


def set_pending(shared: SharedInfo, port: i64) -> bool:
    """Xen sets the pending bit of ``port``. Returns: whether it was set before; then the raise ends here.

    Atomic: one locked operation. Cites: Xen event_2l.c evtchn_2l_set_pending
    """
    return test_and_set(shared.pending, 0, PACKED, port)


def is_pending(shared: SharedInfo, port: i64) -> bool:
    """Tell whether ``port`` is pending. Cites: Xen event_2l.c evtchn_2l_is_pending"""
    return has_bit(shared.pending, 0, PACKED, port)


def is_masked(shared: SharedInfo, port: i64) -> bool:
    """Tell whether ``port`` is masked. Cites: Xen event_2l.c evtchn_2l_is_masked"""
    return has_bit(shared.mask, 0, PACKED, port)


def is_active(shared: SharedInfo, port: i64) -> bool:
    """Tell whether the guest's scan would handle ``port``: pending and not masked.

    Cites: Linux events_2l.c evtchn_2l_handle_events
    """
    return has_bit(shared.pending, 0, PACKED, port) and not has_bit(shared.mask, 0, PACKED, port)


def set_selector(info: VcpuInfo, port: i64) -> bool:
    """Xen sets the selector bit over ``port``. Returns: whether it was set before; then the vCPU is told already.

    Atomic: one locked operation. Cites: Xen event_2l.c evtchn_2l_set_pending
    """
    return test_and_set(info.selector, 0, PACKED, port >> 6)


def raise_port(shared: SharedInfo, info: VcpuInfo, port: i64) -> i64:
    """Xen raises ``port`` for the vCPU of ``info``: pending, then mask, then selector; each may be the end.

    Pollers of the domain are looked at after every answer but ALREADY_PENDING.

    Changes: pending, selector
    Returns: Raise; DELIVERED obliges the caller to :func:`mark_events_pending`.
    Atomic: no. It is the composition of :func:`set_pending`, :func:`is_masked` and :func:`set_selector`, three
        memory operations between which a guest may mask, unmask or take the selector; whoever explores
        interleavings calls these.
    Cites: Xen event_2l.c evtchn_2l_set_pending
    """
    if set_pending(shared, port):
        return Raise.ALREADY_PENDING
    if is_masked(shared, port):
        return Raise.MASKED
    if set_selector(info, port):
        return Raise.SELECTOR_SET
    return Raise.DELIVERED


def mark_events_pending(info: VcpuInfo) -> bool:
    """Xen sets evtchn_upcall_pending. Returns: whether it was set before; then there is no kick.

    Atomic: one locked operation. Cites: Xen domain.c vcpu_mark_events_pending
    """
    already: bool = info.upcall_pending != 0
    info.upcall_pending = 1
    return already


def clear_mask(shared: SharedInfo, port: i64) -> bool:
    """Xen clears the mask bit of ``port``. Returns: whether it was set before; if not, the unmasking ends here.

    Atomic: one locked operation. Cites: Xen event_2l.c evtchn_2l_unmask
    """
    return test_and_clear(shared.mask, 0, PACKED, port)


def hypercall_unmask(shared: SharedInfo, info: VcpuInfo, port: i64) -> i64:
    """EVTCHNOP_unmask: only if the port was masked and is pending, the vCPU of ``info`` is told.

    On a port that is unmasked already it does nothing, however pending the port is.

    Changes: mask, selector
    Returns: Raise.DELIVERED (the caller must :func:`mark_events_pending`), or NONE.
    Atomic: no. It is the composition of :func:`clear_mask`, :func:`is_pending` and :func:`set_selector`.
    Cites: Xen event_2l.c evtchn_2l_unmask
    """
    if clear_mask(shared, port) and is_pending(shared, port) and not set_selector(info, port):
        return Raise.DELIVERED
    return NONE


# The guest's side: plain memory operations, no hypercall.


def guest_mask(shared: SharedInfo, port: i64) -> None:
    """The guest masks ``port``. Changes: mask. Cites: Linux events_2l.c evtchn_2l_mask"""
    set_bit(shared.mask, 0, PACKED, port)


def guest_clear_mask(shared: SharedInfo, port: i64) -> None:
    """The guest clears the mask of ``port`` and has not looked at its pending bit yet.

    Changes: mask. Atomic: one locked operation. Cites: Linux events_2l.c evtchn_2l_unmask
    """
    clear_bit(shared.mask, 0, PACKED, port)


def guest_clear_pending(shared: SharedInfo, port: i64) -> None:
    """The guest acknowledges ``port``. Changes: pending. Cites: Linux events_2l.c evtchn_2l_clear_pending"""
    clear_bit(shared.pending, 0, PACKED, port)


def guest_unmask_local(shared: SharedInfo, port: i64) -> bool:
    """The guest clears the mask of a port that notifies this vCPU, then looks at its pending bit.

    Nobody else will set the selector for it: when it is pending, an HVM guest must mask it again and make the
    hypercall, a PV guest sets selector and upcall_pending itself.

    Changes: mask. Returns: whether the port is pending.
    Atomic: no. It is the composition of :func:`guest_clear_mask` and :func:`is_pending`.
    Cites: Linux events_2l.c evtchn_2l_unmask
    """
    guest_clear_mask(shared, port)
    return has_bit(shared.pending, 0, PACKED, port)


def guest_take_upcall(info: VcpuInfo) -> None:
    """The upcall begins a round: the guest clears evtchn_upcall_pending, before it looks at the selector.

    Changes: upcall_pending. Cites: Linux events_base.c __xen_evtchn_do_upcall
    """
    info.upcall_pending = 0


def guest_take_selector(info: VcpuInfo, taken: vec[i64]) -> None:
    """The guest exchanges the selector for zero and keeps what was in it in ``taken``, two words.

    Changes: selector. Atomic: one locked exchange. Cites: Linux events_2l.c evtchn_2l_handle_events
    """
    taken[0] = info.selector[0]
    taken[1] = info.selector[1]
    info.selector[0] = 0
    info.selector[1] = 0


def _lowest_active(shared: SharedInfo, word: i64, keep: i64) -> i64:
    """Return the lowest active port among those of one 32-bit word that ``keep`` has bits for, or -1."""
    active: i64 = shared.pending[word] & ~shared.mask[word] & keep
    if active == 0:
        return -1
    return word * 32 + lowest_of_word(active)


def next_port(shared: SharedInfo, selector: vec[i64], after: i64) -> i64:
    """Ask for the next port to handle: active and selected, round robin from port ``after`` + 1 (``after`` -1: from 0).

    The first word is visited twice, its upper part first and the whole of it at the end, as Linux does; what is
    active is read anew each time, where Linux takes one copy of a word a visit.

    Returns: the port, or -1. Cites: Linux events_2l.c evtchn_2l_handle_events
    """
    if selector[0] == 0 and selector[1] == 0:
        return -1
    start: i64 = (after + 1) & (PORTS - 1)
    word: i64 = start >> 5
    keep: i64 = ALL_ONES & ~(shl(1, start & 31) - 1)
    visits: i64 = 0
    while visits <= PORT_WORDS:
        if has_bit(selector, 0, PACKED, word >> 1):
            port: i64 = _lowest_active(shared, word, keep)
            if port >= 0:
                return port
        keep = ALL_ONES
        word = (word + 1) & (PORT_WORDS - 1)
        visits += 1
    return -1
