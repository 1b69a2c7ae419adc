"""Two ports on one FIFO queue: Xen links them while the guest consumes, masks and unmasks.

The word of the queue's tail is the one that both sides change: Xen writes its LINK, the guest clears LINKED and LINK,
clears PENDING, sets and clears MASKED. BUSY keeps the guest from clearing MASKED, so that Xen's tries come to an end.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.laws import pending_is_linked, ready_is_marked
from exitless.arch.xen.fifo import LINK, MASKED, PENDING, clear_flag, is_set
from exitless.arch.xen.fifo_guest import (
    Cursor,
    Unmask,
    guest_clear_pending,
    guest_mask,
    guest_take_ready,
    guest_unlink,
    guest_unmask,
)
from exitless.arch.xen.two_level import guest_take_upcall
from exitless.bits.words import shl
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.check.worlds.fifo_raising import QUEUE, At, Raising, get_word, put_word, told_word
from exitless.vocab.kinds import Kind

FIRST: Final = 1
SECOND: Final = 2


class Guest:
    """Where vCPU 0, which consumes, is."""

    RUN: Final = 0
    TAKE_UPCALL: Final = 1
    TAKE_READY: Final = 2
    UNLINK: Final = 3
    LOOK: Final = 4
    ACK: Final = 5
    LOOK_UPCALL: Final = 6
    CLEAR_LINK: Final = 7


class FifoLink(Raising):
    """Xen raises ports 1, 2, 1; vCPU 1 masks and unmasks port 1, by hypercall when it is pending.

    Unmasking a port and acknowledging it exclude each other, as under Linux's lock of an interrupt's descriptor.

    ``guest`` says where vCPU 0 is, with port ``hand``; ``unmasking`` where vCPU 1 is. ``owed`` has a bit for each port
    raised and not handled yet: no agent reads it.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__("fifo-link", mutation)
        self.agents = ["vCPU 0", "Xen", "vCPU 1", "kick"]
        self.laws = [
            Law.LINK_REFUSED, Law.EVENT_UNSEEN, Law.UPCALL_UNSAID, Law.EVENT_VANISHED, Law.EVENT_LOST, Law.ENDLESS,
        ]  # fmt: skip
        self.wanted = (
            Sometimes.UPCALL
            | Sometimes.FOUND_PENDING
            | Sometimes.FOUND_MASKED
            | Sometimes.APPENDED
            | Sometimes.LINK_AGAIN
            | Sometimes.LINK_EMPTY
        )
        self.cursor: Cursor = Cursor()
        self.guest: i64 = 0
        self.hand: i64 = 0
        self.behind: i64 = 0
        self.unmasking: i64 = 0
        self.sends: i64 = 0
        self.rounds: i64 = 0
        self.owed: i64 = 0

    def reset(self) -> None:
        """Nothing is pending or linked."""
        self.load(0)
        self.sends = 3
        self.rounds = 3

    def key(self) -> i64:
        """Return the whole state as one number."""
        p: Packed = self.packed
        p.start(0)
        put_word(p, self.array.words[FIRST])
        put_word(p, self.array.words[SECOND])
        put_word(p, self.seen)
        p.put((self.block.ready >> QUEUE) & 1, 1)
        p.put(self.block.head[QUEUE], 2)
        p.put(self.block.tail[QUEUE], 2)
        p.put((self.cursor.ready >> QUEUE) & 1, 1)
        p.put(self.cursor.head[QUEUE], 2)
        p.put(self.info.upcall_pending, 1)
        p.put(self.kicked, 1)
        p.put(self.guest, 3)
        p.put(self.hand, 2)
        p.put(self.behind, 2)
        p.put(self.sender.at, 4)
        p.put(self.sender.port, 2)
        p.put(self.caller.at, 4)
        p.put(self.unmasking, 2)
        p.put(self.sends, 2)
        p.put(self.rounds, 2)
        p.put(self.lock, 2)
        p.put(self.tries, 3)
        p.put(self.owed, 3)
        p.put(self.fault, 1)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        p: Packed = self.packed
        p.start(key)
        self.array.words[FIRST] = get_word(p)
        self.array.words[SECOND] = get_word(p)
        self.seen = get_word(p)
        self.block.ready = shl(p.get(1), QUEUE)
        self.block.head[QUEUE] = p.get(2)
        self.block.tail[QUEUE] = p.get(2)
        self.cursor.ready = shl(p.get(1), QUEUE)
        self.cursor.head[QUEUE] = p.get(2)
        self.info.upcall_pending = p.get(1)
        self.kicked = p.get(1)
        self.guest = p.get(3)
        self.hand = p.get(2)
        self.behind = p.get(2)
        self.sender.at = p.get(4)
        self.sender.port = p.get(2)
        self.caller.at = p.get(4)
        self.caller.port = FIRST
        self.unmasking = p.get(2)
        self.sends = p.get(2)
        self.rounds = p.get(2)
        self.lock = p.get(2)
        self.tries = p.get(3)
        self.owed = p.get(3)
        self.fault = p.get(1)

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            return Rule.NONE if self.guest == Guest.RUN else self.consume_step()
        if agent == 1:
            if self.sender.at == At.IDLE:
                if self.sends == 0 or self.lock != 0:
                    return Rule.NONE
                self.sender.port = SECOND if self.sends == 2 else FIRST
                self.sends -= 1
                self.begin(self.sender)
                self.owed = self.owed | shl(1, self.sender.port)
            return self.raise_step(self.sender, 1)
        if agent == 2:
            return self.unmask_step()
        if self.kicked == 0 or self.guest != Guest.RUN:
            return Rule.NONE
        self.kicked = 0
        self.start_upcall()
        return Act.TOLD

    def start_upcall(self) -> None:
        """An exit finds upcall_pending set, and the entry injects the callback."""
        if self.info.upcall_pending != 0:
            self.happened = Sometimes.UPCALL
            self.guest = Guest.TAKE_UPCALL

    def consume_step(self) -> i64:
        """vCPU 0 in its upcall."""
        at: i64 = self.guest
        if at == Guest.TAKE_UPCALL:
            guest_take_upcall(self.info)
            self.guest = Guest.TAKE_READY
            return Act.TAKE_UPCALL
        if at == Guest.TAKE_READY:
            guest_take_ready(self.block, self.cursor)
            if self.cursor.ready == 0:
                self.guest = Guest.LOOK_UPCALL
                return Act.TAKE_READY
            self.hand = self.cursor.head[QUEUE]
            if self.hand == 0:
                self.hand = self.block.head[QUEUE]
            self.guest = Guest.UNLINK
            return Act.TAKE_READY
        if at == Guest.UNLINK:
            if self.mutation == "unlink-in-two-steps":
                self.behind = self.array.words[self.hand] & LINK
                self.guest = Guest.CLEAR_LINK
                return Act.READ_LINK
            self.unlinked(guest_unlink(self.array, self.hand))
            return Act.UNLINK
        if at == Guest.CLEAR_LINK:
            guest_unlink(self.array, self.hand)
            self.unlinked(self.behind)
            self.behind = 0
            return Act.UNLINK
        if at == Guest.LOOK:
            self.guest = Guest.TAKE_READY
            if is_set(self.array, self.hand, PENDING) and not is_set(self.array, self.hand, MASKED):
                self.guest = Guest.ACK
            else:
                self.hand = 0
            return Act.LOOK_WORD
        if at == Guest.ACK:
            if self.hand == FIRST and self.unmasking >= 2 and self.mutation != "no-guest-lock":
                return Rule.NONE
            guest_clear_pending(self.array, self.hand)
            self.owed = self.owed & ~shl(1, self.hand)
            self.hand = 0
            self.guest = Guest.TAKE_READY
            return Act.ACK
        self.guest = Guest.RUN
        self.start_upcall()
        return Act.LOOK_UPCALL

    def unlinked(self, behind: i64) -> None:
        """The port in hand is off the queue, and ``behind`` is the next."""
        self.cursor.head[QUEUE] = behind
        if behind == 0:
            self.cursor.ready = 0
        self.guest = Guest.LOOK

    def unmask_step(self) -> i64:
        """vCPU 1 masks port 1 and unmasks it."""
        if self.unmasking == 0:
            if self.rounds == 0:
                return Rule.NONE
            self.rounds -= 1
            guest_mask(self.array, FIRST)
            self.unmasking = 1
            return Act.BEGIN_MASKED
        if self.unmasking == 1:
            if self.mutation == "unmask-while-busy" and not is_set(self.array, FIRST, PENDING):
                clear_flag(self.array, FIRST, MASKED)
                self.unmasking = 0
                return Act.UNMASK
            answer: i64 = guest_unmask(self.array, FIRST, 1)
            if answer == Unmask.BUSY:
                return Rule.NONE
            self.unmasking = 0
            if answer == Unmask.HYPERCALL:
                self.happened = Sometimes.FOUND_PENDING
                if self.mutation == "no-hypercall":
                    clear_flag(self.array, FIRST, MASKED)
                else:
                    self.unmasking = 2
            return Act.UNMASK
        if self.unmasking == 2:
            clear_flag(self.array, FIRST, MASKED)
            self.unmasking = 3
            return Act.HYPER_CLEAR_MASK
        if self.caller.at == At.IDLE:
            if not is_set(self.array, FIRST, PENDING):
                self.unmasking = 0
                return Act.HYPER_LOOK
            if self.lock != 0:
                return Rule.NONE
            self.begin(self.caller)
        act: i64 = self.raise_step(self.caller, 2)
        if self.caller.at == At.IDLE:
            self.unmasking = 0
        return act

    def broken(self) -> i64:
        """Tries are bounded; I6; PENDING is linked; no event vanishes."""
        if self.fault != 0:
            return Law.LINK_REFUSED
        port: i64 = FIRST
        while port <= SECOND:
            late: bool = self.mutation == "pending-after-link"
            if (self.owed >> port) & 1 != 0 and not is_set(self.array, port, PENDING) and not late:
                if not (self.sender.at == At.SET_PENDING and self.sender.port == port):
                    return Law.EVENT_VANISHED
            seen_to: bool = self.sender.at != At.IDLE or self.unmasking != 0 or self.hand == port
            if not pending_is_linked(self.array, port, seen_to):
                return Law.EVENT_UNSEEN
            port += 1
        marks: bool = self.sender.at == At.MARK or self.caller.at == At.MARK
        if not ready_is_marked(self.block, self.info, marks or self.guest != Guest.RUN):
            return Law.UPCALL_UNSAID
        return Law.NONE

    def left_undone(self) -> i64:
        """Every event must have been handled."""
        return Law.EVENT_LOST if self.owed != 0 else Law.NONE

    def is_free(self, agent: i64) -> bool:
        """Nobody need begin to mask, or to send."""
        if agent == 1:
            return self.sender.at == At.IDLE
        return agent == 2 and self.unmasking == 0

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        return [
            ("word 1", told_word(self.array.words[FIRST])),
            ("word 2", told_word(self.array.words[SECOND])),
            ("READY", str(int(self.block.ready >> QUEUE))),
            ("head", str(int(self.block.head[QUEUE]))),
            ("tail", str(int(self.block.tail[QUEUE]))),
            ("upcall_pending", str(int(self.info.upcall_pending))),
            ("in hand", str(int(self.hand))),
            ("next", str(int(self.cursor.head[QUEUE]))),
            ("not handled", str([p for p in (FIRST, SECOND) if int(self.owed) >> p & 1])),
        ]

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        if rule == Act.SET_PENDING:
            return [(Kind.PORT_RAISE, 1, 0, int(self.sender.port), 0)]
        if rule == Act.MARK:
            return [(Kind.UPCALL_MARK, 1, 0, 0, 0)]
        if rule == Act.TAKE_UPCALL:
            return [(Kind.UPCALL_ENTER, 0, 0, 0, 0)]
        return []


def fifo_link(mutation: str) -> World:
    """Return the world of one FIFO queue."""
    return FifoLink(mutation)
