"""The FIFO event-channel ABI, Xen's side: event words, queues by priority, linking. Xen's event_fifo.c.

A word is in memory that guest and Xen change at the same time; every function that says it is atomic is one access.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.xen.ports import LIMIT_FIFO, Errno
from exitless.bits.words import shl, zeros

PENDING: Final = 31
MASKED: Final = 30
LINKED: Final = 29
BUSY: Final = 28
LINK_BITS: Final = 17
LINK: Final = 131071
PRIORITIES: Final = 16
DEFAULT_PRIORITY: Final = 7
PAGE_WORDS: Final = 1024
PAGES: Final = 128
CONTROL_BYTES: Final = 72
FRAME_BYTES: Final = 4096
LINK_TRIES: Final = 4
QUEUE_TRIES: Final = 3


class Queued:
    """How far raising a port went. Cites: Xen event_fifo.c raise"""

    DELIVERED: Final = 0
    ALREADY_PENDING: Final = 1
    MASKED: Final = 2
    APPENDED: Final = 3
    READY_SET: Final = 4
    LINKED_BEFORE: Final = 5
    SAVED: Final = 6
    NO_CONTROL_BLOCK: Final = 7


class Linking:
    """What came of writing a port into the LINK field of its queue's tail. Cites: Xen event_fifo.c link"""

    DONE: Final = 0
    RETRY: Final = 1
    EMPTY: Final = 2
    REFUSED: Final = 3


class EventArray:
    """A domain's event words, and what Xen alone keeps of each port.

    Shapes: ``words`` one 32-bit word a port, of which the first ``pages`` * 1,024 are there; ``priority`` 0 (highest)
    to 15; ``last_vcpu`` and ``last_priority`` name the queue the port was linked on last, at first vCPU 0 and
    priority 0; ``saved`` 1 for a port that was raised before its page was there.
    Cites: Xen event_channel.h fifo
    """

    def __init__(self, limit: i64) -> None:
        self.limit: i64 = limit
        self.pages: i64 = 0
        self.words: vec[i64] = zeros(limit)
        self.priority: vec[i64] = zeros(limit)
        self.last_vcpu: vec[i64] = zeros(limit)
        self.last_priority: vec[i64] = zeros(limit)
        self.saved: vec[i64] = zeros(limit)
        port: i64 = 0
        while port < limit:
            self.priority[port] = DEFAULT_PRIORITY
            port += 1


class ControlBlock:
    """A vCPU's control block, 72 bytes shared with the guest, and the tails that Xen keeps for itself.

    Shapes: bit c of ``ready`` says that queue c has a new head; ``head`` and ``tail`` have a port for each of the 16
    priorities, 0 for none. ``mapped`` is 1 once the guest has registered it. Cites: Xen event_channel.h fifo
    """

    def __init__(self) -> None:
        self.mapped: i64 = 0
        self.ready: i64 = 0
        self.head: vec[i64] = zeros(PRIORITIES)
        self.tail: vec[i64] = zeros(PRIORITIES)


def has_word(array: EventArray, port: i64) -> bool:
    """Tell whether the guest has given the page that holds the word of ``port``. Cites: Xen event_fifo.c raise"""
    return 0 <= port < array.limit and port < array.pages * PAGE_WORDS


def is_set(array: EventArray, port: i64, bit: i64) -> bool:
    """Tell whether a bit of the word of ``port`` is set; without a word none is. Cites: Xen event_fifo.c raise"""
    return has_word(array, port) and (array.words[port] >> bit) & 1 != 0


def set_flag(array: EventArray, port: i64, bit: i64) -> bool:
    """Set a bit of a word. Returns: whether it was set before. Atomic: one access. Cites: Xen event_fifo.c raise"""
    word: i64 = array.words[port]
    array.words[port] = word | shl(1, bit)
    return (word >> bit) & 1 != 0


def clear_flag(array: EventArray, port: i64, bit: i64) -> bool:
    """Clear a bit of a word. Returns: whether it was set before. Atomic: one access. Cites: Xen event_fifo.c raise"""
    word: i64 = array.words[port]
    array.words[port] = word & ~shl(1, bit)
    return (word >> bit) & 1 != 0


def compare_exchange(array: EventArray, port: i64, old: i64, new: i64) -> bool:
    """Put ``new`` into a word that still is ``old``. Returns: whether it was.

    Atomic: one access. Cites: Xen event_fifo.c link
    """
    if array.words[port] != old:
        return False
    array.words[port] = new
    return True


def try_link(array: EventArray, tail: i64, seen: i64, port: i64) -> i64:
    """Write ``port`` into the LINK field of the tail, whose word was ``seen``; BUSY goes with the exchange.

    Changes: the tail's word
    Returns: Linking: DONE; EMPTY when the tail is no longer linked, so that the head is to be used; RETRY when the
        word has changed since.
    Atomic: one compare-exchange
    Cites: Xen event_fifo.c link
    """
    if (seen >> LINKED) & 1 == 0:
        return Linking.EMPTY
    wanted: i64 = (seen & ~(shl(1, BUSY) | LINK)) | port
    if compare_exchange(array, tail, seen, wanted):
        return Linking.DONE
    return Linking.RETRY


def set_link(array: EventArray, tail: i64, port: i64) -> i64:
    """Link ``port`` behind ``tail`` against a guest that may change the word: one try, then BUSY and four more.

    Changes: the tail's word
    Returns: Linking. REFUSED counts as success for the caller: the port is unreachable, its guest misbehaves.
    Atomic: no. It is the composition of :func:`try_link` and :func:`set_flag`.
    Cites: Xen event_fifo.c link
    """
    answer: i64 = try_link(array, tail, array.words[tail], port)
    if answer != Linking.RETRY:
        return answer
    set_flag(array, tail, BUSY)
    tries: i64 = 0
    while tries < LINK_TRIES:
        answer = try_link(array, tail, array.words[tail], port)
        if answer != Linking.RETRY:
            break
        tries += 1
    return give_up(array, tail, answer)


def give_up(array: EventArray, tail: i64, answer: i64) -> i64:
    """The tries are over: BUSY is cleared unless the exchange did it. Returns: Linking, RETRY become REFUSED.

    Changes: the tail's word. Cites: Xen event_fifo.c link
    """
    if answer == Linking.DONE:
        return answer
    clear_flag(array, tail, BUSY)
    if answer == Linking.RETRY:
        return Linking.REFUSED
    return answer


def enqueue(array: EventArray, blocks: list[ControlBlock], port: i64, vcpu: i64) -> bool:
    """Put a port that has just become LINKED at the end of its queue on ``vcpu``, under the queues' locks.

    A stale tail, left behind on the queue it was on last, is forgotten first: that queue is empty.

    Changes: tails, the port's last queue, the old tail's LINK or the queue's head
    Returns: whether the queue has a new head, for which alone READY is to be set.
    Cites: Xen event_fifo.c raise
    """
    priority: i64 = array.priority[port]
    old: ControlBlock = blocks[array.last_vcpu[port]]
    if old.tail[array.last_priority[port]] == port:
        old.tail[array.last_priority[port]] = 0
    array.last_vcpu[port] = vcpu
    array.last_priority[port] = priority
    block: ControlBlock = blocks[vcpu]
    tail: i64 = block.tail[priority]
    block.tail[priority] = port
    if tail != 0 and set_link(array, tail, port) != Linking.EMPTY:
        return False
    block.head[priority] = port
    return True


def set_ready(block: ControlBlock, priority: i64) -> bool:
    """Say that a queue has a new head. Returns: whether that was said before. Atomic: one access.

    Changes: READY. Cites: Xen event_fifo.c raise
    """
    was: bool = (block.ready >> priority) & 1 != 0
    block.ready = block.ready | shl(1, priority)
    return was


def raise_port(array: EventArray, blocks: list[ControlBlock], port: i64, vcpu: i64) -> i64:
    """Xen raises ``port`` for ``vcpu``.

    Changes: the port's word; its queue; READY
    Returns: Queued; DELIVERED obliges the caller to mark events pending. Pollers are looked at unless the port was
        pending before, or nothing was done (SAVED, NO_CONTROL_BLOCK).
    Atomic: PENDING, LINKED and the queue change under the queues' locks, so that nobody is woken for an event that
        cannot be seen; READY follows after them. The guest may act between any two accesses to words.
    Cites: Xen event_fifo.c raise
    """
    if not has_word(array, port):
        array.saved[port] = 1
        return Queued.SAVED
    if blocks[vcpu].mapped == 0:
        return Queued.NO_CONTROL_BLOCK
    was_pending: bool = set_flag(array, port, PENDING)
    if is_set(array, port, MASKED):
        return Queued.ALREADY_PENDING if was_pending else Queued.MASKED
    if set_flag(array, port, LINKED):
        return Queued.ALREADY_PENDING if was_pending else Queued.LINKED_BEFORE
    if not enqueue(array, blocks, port, vcpu):
        return Queued.APPENDED
    if set_ready(blocks[vcpu], array.priority[port]):
        return Queued.READY_SET
    return Queued.DELIVERED


def hypercall_unmask(array: EventArray, blocks: list[ControlBlock], port: i64, vcpu: i64) -> i64:
    """EVTCHNOP_unmask: the mask goes; a pending port is raised again, which links it if it is not linked.

    Changes: as :func:`raise_port`. Returns: Queued; MASKED here stands for "was not pending, nobody is told".
    Cites: Xen event_fifo.c unmask
    """
    if not has_word(array, port):
        return Queued.MASKED
    clear_flag(array, port, MASKED)
    if not is_set(array, port, PENDING):
        return Queued.MASKED
    return raise_port(array, blocks, port, vcpu)


def clear_pending(array: EventArray, port: i64) -> None:
    """Xen closes a port: only PENDING goes; the guest will unlink it later and find nothing.

    Changes: the port's word. Cites: Xen event_fifo.c clear_pending
    """
    if has_word(array, port):
        clear_flag(array, port, PENDING)


def is_busy(array: EventArray, port: i64) -> bool:
    """Tell whether a free port cannot be given out yet, because it is linked still. Cites: Xen event_fifo.c is_busy"""
    return is_set(array, port, LINKED)


def set_priority(array: EventArray, port: i64, priority: i64) -> i64:
    """EVTCHNOP_set_priority: from the next time the port is linked. Whether it is usable is the caller's to know.

    Changes: the port's priority. Returns: Errno. Cites: Xen event_fifo.c set_priority
    """
    if priority < 0 or priority >= PRIORITIES or port < 1 or port >= array.limit:
        return Errno.INVALID
    array.priority[port] = priority
    return Errno.NONE


def bind_port(array: EventArray, port: i64) -> None:
    """A port is bound: whatever priority its number had, it is 7 again.

    Changes: the port's priority. Cites: Xen event_fifo.c init_port
    """
    array.priority[port] = DEFAULT_PRIORITY


def init_control(block: ControlBlock, offset: i64) -> i64:
    """EVTCHNOP_init_control for one vCPU: its block lies ``offset`` bytes into a page, whole and aligned to 8.

    The heads are written before the block is published. The first call of a domain switches all of it to this ABI.

    Changes: the block. Returns: Errno. Cites: Xen event_fifo.c init_control
    """
    if offset < 0 or offset > FRAME_BYTES - CONTROL_BYTES or offset & 7 != 0 or block.mapped != 0:
        return Errno.INVALID
    priority: i64 = 0
    while priority < PRIORITIES:
        block.head[priority] = 0
        priority += 1
    block.ready = 0
    block.mapped = 1
    return Errno.NONE


def expand_array(array: EventArray) -> i64:
    """EVTCHNOP_expand_array: 1,024 words more. The caller raises those of them that were saved.

    Changes: pages. Returns: Errno: NO_SPACE when all 128 pages are there. Cites: Xen event_fifo.c expand_array
    """
    if array.pages >= PAGES or array.pages * PAGE_WORDS >= array.limit:
        return Errno.NO_SPACE
    array.pages += 1
    return Errno.NONE


def take_saved(array: EventArray, port: i64) -> bool:
    """Ask whether ``port``, whose word is there now, was raised before, and forget it.

    Changes: saved. Cites: Xen event_fifo.c expand_array
    """
    if not has_word(array, port) or array.saved[port] == 0:
        return False
    array.saved[port] = 0
    return True


def new_array() -> EventArray:
    """Return an empty array for all 131,072 ports. Cites: Xen event_channel.h fifo"""
    return EventArray(LIMIT_FIFO)
