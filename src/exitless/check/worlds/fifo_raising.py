"""Xen raises a port on a FIFO queue, one atomic step at a time: what the world of links has both its raisers do.

The order is that of evtchn_fifo_set_pending and evtchn_fifo_set_link; mutations take a step away or move it.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.xen.fifo import (
    BUSY,
    DEFAULT_PRIORITY,
    LINK,
    LINK_TRIES,
    LINKED,
    MASKED,
    PENDING,
    ControlBlock,
    EventArray,
    Linking,
    give_up,
    is_set,
    set_flag,
    set_ready,
    try_link,
)
from exitless.arch.xen.two_level import VcpuInfo, mark_events_pending
from exitless.bits.words import shl
from exitless.check.acts import Act
from exitless.check.property import Sometimes
from exitless.check.world import Packed, World

QUEUE: Final = DEFAULT_PRIORITY


class At:
    """Where a raise is."""

    IDLE: Final = 0
    SET_PENDING: Final = 1
    READ_MASK: Final = 2
    SET_LINKED: Final = 3
    READ_TAIL: Final = 4
    TRY_LINK: Final = 5
    SET_BUSY: Final = 6
    GIVE_UP: Final = 7
    WRITE_HEAD: Final = 8
    SET_READY: Final = 9
    MARK: Final = 10
    LATE_PENDING: Final = 11


class Raiser:
    """One raise: of ``port``, at ``at``."""

    def __init__(self) -> None:
        self.at: i64 = At.IDLE
        self.port: i64 = 0


class Raising(World):
    """Two ports on one queue of one vCPU, and whoever raises them.

    ``tail``, ``seen`` and ``tries`` belong to whoever holds the queue's lock (``lock``: 0 for nobody, 1 Xen's sender,
    2 vCPU 1's hypercall). ``fault`` is 1 once all tries to link have failed.
    """

    def __init__(self, name: str, mutation: str) -> None:
        super().__init__(name, mutation)
        self.array: EventArray = EventArray(4)
        self.array.pages = 1
        self.block: ControlBlock = ControlBlock()
        self.block.mapped = 1
        self.info: VcpuInfo = VcpuInfo()
        self.packed: Packed = Packed()
        self.sender: Raiser = Raiser()
        self.caller: Raiser = Raiser()
        self.lock: i64 = 0
        self.seen: i64 = 0
        self.tries: i64 = 0
        self.kicked: i64 = 0
        self.fault: i64 = 0

    def begin(self, who: Raiser) -> None:
        """A raise begins; ``pending-after-link`` leaves PENDING for later."""
        who.at = At.READ_MASK if self.mutation == "pending-after-link" else At.SET_PENDING

    def unlock(self, who: Raiser, then: i64) -> None:
        """The queue's lock is given back."""
        self.lock = 0
        self.seen = 0
        self.tries = 0
        who.at = then
        if then == At.IDLE and self.mutation == "pending-after-link":
            who.at = At.LATE_PENDING
        if who.at == At.IDLE:
            self.sender.port = self.sender.port if self.sender.at != At.IDLE else 0

    def raise_step(self, who: Raiser, number: i64) -> i64:
        """The next step of a raise, under the queue's lock up to READY."""
        at: i64 = who.at
        if at < At.SET_READY:
            self.lock = number
        if at == At.SET_PENDING:
            set_flag(self.array, who.port, PENDING)
            who.at = At.READ_MASK
            return Act.SET_PENDING
        if at == At.READ_MASK:
            if is_set(self.array, who.port, MASKED):
                self.happened = Sometimes.FOUND_MASKED
                self.unlock(who, At.IDLE)
            else:
                who.at = At.SET_LINKED
            return Act.READ_MASK
        if at == At.SET_LINKED:
            if set_flag(self.array, who.port, LINKED):
                self.unlock(who, At.IDLE)
                return Act.SET_LINKED
            if self.block.tail[QUEUE] == who.port and self.mutation != "stale-tail-kept":
                self.block.tail[QUEUE] = 0
            who.at = At.READ_TAIL if self.block.tail[QUEUE] != 0 else At.WRITE_HEAD
            return Act.SET_LINKED
        if at == At.WRITE_HEAD:
            self.block.head[QUEUE] = who.port
            self.block.tail[QUEUE] = who.port
            self.unlock(who, At.SET_READY)
            return Act.WRITE_HEAD
        if at == At.SET_READY:
            who.at = At.MARK
            if set_ready(self.block, QUEUE):
                self.unlock_free(who)
            return Act.SET_READY
        if at == At.MARK:
            if not mark_events_pending(self.info):
                self.kicked = 1
            self.unlock_free(who)
            return Act.MARK
        if at == At.LATE_PENDING:
            set_flag(self.array, who.port, PENDING)
            who.at = At.IDLE
            return Act.SET_PENDING
        return self.link_step(who)

    def unlock_free(self, who: Raiser) -> None:
        """The raise is over, and held no lock any more."""
        who.at = At.LATE_PENDING if self.mutation == "pending-after-link" else At.IDLE

    def link_step(self, who: Raiser) -> i64:
        """Writing LINK of the tail: one try, then BUSY and four more."""
        tail: i64 = self.block.tail[QUEUE]
        if who.at == At.READ_TAIL:
            self.seen = self.array.words[tail]
            who.at = At.TRY_LINK
            return Act.READ_TAIL
        if who.at == At.SET_BUSY:
            set_flag(self.array, tail, BUSY)
            self.seen = self.array.words[tail]
            self.tries = 1
            who.at = At.TRY_LINK
            return Act.SET_BUSY
        if who.at == At.GIVE_UP:
            refused: i64 = Linking.RETRY if self.tries > LINK_TRIES else Linking.EMPTY
            if give_up(self.array, tail, refused) == Linking.REFUSED:
                self.fault = 1
                self.linked(who)
            else:
                who.at = At.WRITE_HEAD
            return Act.GIVE_UP
        answer: i64 = try_link(self.array, tail, self.seen, who.port)
        if self.mutation == "link-unlinked-tail" and answer == Linking.EMPTY:
            answer = try_link(self.array, tail, self.seen | shl(1, LINKED), who.port)
            self.array.words[tail] = (self.array.words[tail] & ~LINK) | who.port
            answer = Linking.DONE
        if answer == Linking.DONE:
            self.happened = Sometimes.APPENDED
            self.linked(who)
        elif answer == Linking.EMPTY:
            self.happened = Sometimes.LINK_EMPTY
            who.at = At.GIVE_UP if self.tries > 0 else At.WRITE_HEAD
        else:
            self.happened = Sometimes.LINK_AGAIN
            self.seen = self.array.words[tail]
            if self.tries == 0 and self.mutation != "no-busy":
                who.at = At.SET_BUSY
            else:
                self.tries += 1
                if self.tries > LINK_TRIES:
                    who.at = At.GIVE_UP
        return Act.TRY_LINK

    def linked(self, who: Raiser) -> None:
        """The port stands behind the old tail; it is the tail now."""
        self.block.tail[QUEUE] = who.port
        self.unlock(who, At.SET_READY if self.mutation == "ready-on-append" else At.IDLE)


def put_word(p: Packed, word: i64) -> None:
    """Pack an event word whose LINK is a small port in six bits."""
    p.put((word >> BUSY) & 15, 4)
    p.put(word & LINK, 2)


def get_word(p: Packed) -> i64:
    """Undo :func:`put_word`."""
    flags: i64 = p.get(4)
    return shl(flags, BUSY) | p.get(2)


def told_word(word: i64) -> str:
    """Print an event word."""
    names: list[str] = []
    for flag, name in ((PENDING, "PENDING"), (MASKED, "MASKED"), (LINKED, "LINKED"), (BUSY, "BUSY")):
        if (word >> flag) & 1 != 0:
            names.append(name)
    if word & LINK != 0:
        names.append("→" + str(int(word & LINK)))
    return " ".join(names) if len(names) > 0 else "0"
