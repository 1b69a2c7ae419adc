"""The FIFO event-channel ABI, the guest's side: what Linux may do with words and queues. Linux's events_fifo.c.

On a linked word a guest may only set MASKED, clear MASKED (not while BUSY), clear PENDING, and clear LINKED with LINK.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.xen.fifo import (
    BUSY,
    LINK,
    LINKED,
    MASKED,
    PENDING,
    PRIORITIES,
    ControlBlock,
    EventArray,
    clear_flag,
    is_set,
    set_flag,
)
from exitless.bits.words import lowest_of_word, shl, zeros


class Unmask:
    """What the guest does about unmasking a port. Cites: Linux events_fifo.c unmask"""

    DONE: Final = 0
    HYPERCALL: Final = 1
    BUSY: Final = 2


class Cursor:
    """What a vCPU of the guest remembers between events.

    Shapes: ``head`` the next port of each queue as far as the guest has read its links, 0 for none; ``ready`` the
    queues it still has to look at in this upcall. Cites: Linux events_fifo.c handle
    """

    def __init__(self) -> None:
        self.ready: i64 = 0
        self.head: vec[i64] = zeros(PRIORITIES)


def guest_mask(array: EventArray, port: i64) -> bool:
    """The guest masks ``port``. Returns: whether it was masked. Changes: its word. Cites: Linux events_fifo.c mask"""
    return set_flag(array, port, MASKED)


def guest_clear_pending(array: EventArray, port: i64) -> None:
    """The guest acknowledges ``port``. Changes: its word. Cites: Linux events_fifo.c clear_pending"""
    clear_flag(array, port, PENDING)


def guest_unmask(array: EventArray, port: i64, leaves_mask: i64) -> i64:
    """The guest unmasks ``port``; a pending one needs Xen to link it.

    ``leaves_mask`` 1 is Linux since its fixes for XSA-332: a pending port stays masked and Xen clears the mask; 0 is
    Linux up to 4.x: the mask goes first. While BUSY the mask may not be cleared, and the guest spins.

    Changes: the port's word
    Returns: Unmask; HYPERCALL obliges the caller to EVTCHNOP_unmask.
    Cites: Linux events_fifo.c unmask
    """
    if leaves_mask != 0:
        if not is_set(array, port, MASKED):
            return Unmask.DONE
        if is_set(array, port, PENDING):
            return Unmask.HYPERCALL
    if is_set(array, port, BUSY):
        return Unmask.BUSY
    clear_flag(array, port, MASKED)
    if is_set(array, port, PENDING):
        return Unmask.HYPERCALL
    return Unmask.DONE


def guest_unlink(array: EventArray, port: i64) -> i64:
    """The guest takes ``port`` off its queue. Returns: the port behind it, 0 for none.

    Changes: LINKED and LINK of its word. Atomic: one access. Cites: Linux events_fifo.c clear_linked
    """
    word: i64 = array.words[port]
    array.words[port] = word & ~(shl(1, LINKED) | LINK)
    return word & LINK


def guest_take_ready(block: ControlBlock, cursor: Cursor) -> None:
    """The guest exchanges READY for zero and adds what was in it to the queues it has to look at.

    Changes: READY. Atomic: one access. Cites: Linux events_fifo.c handle
    """
    cursor.ready = cursor.ready | block.ready
    block.ready = 0


def guest_consume(array: EventArray, block: ControlBlock, cursor: Cursor) -> i64:
    """The guest takes one event from its highest ready queue: the remembered head, or the one Xen wrote.

    A queue whose last event this was is looked at no more until Xen says READY again.

    Changes: the port's word; what the guest remembers
    Returns: the port to handle; 0 when it was neither pending nor unmasked and is only unlinked; -1 for no queue.
    Cites: Linux events_fifo.c consume
    """
    if cursor.ready == 0:
        return -1
    priority: i64 = lowest_of_word(cursor.ready)
    port: i64 = cursor.head[priority]
    if port == 0:
        port = block.head[priority]
    behind: i64 = guest_unlink(array, port)
    cursor.head[priority] = behind
    if behind == 0:
        cursor.ready = cursor.ready & ~shl(1, priority)
    if is_set(array, port, PENDING) and not is_set(array, port, MASKED):
        return port
    return 0
