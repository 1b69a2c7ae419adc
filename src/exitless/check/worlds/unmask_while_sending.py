"""One 2-level port, masked and unmasked by its guest while Xen raises it: is an edge ever lost?

vCPU 0 handles the port and unmasks it by itself, with a hypercall where it finds it pending; vCPU 1 unmasks it by
hypercall alone, because the port notifies vCPU 0. The two never do so at once: the guest's lock keeps them apart.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.laws import pending_is_selected, selected_is_marked
from exitless.arch.xen.two_level import (
    SharedInfo,
    VcpuInfo,
    clear_mask,
    guest_clear_mask,
    guest_clear_pending,
    guest_mask,
    guest_take_selector,
    guest_take_upcall,
    is_active,
    is_masked,
    is_pending,
    mark_events_pending,
    set_pending,
    set_selector,
)
from exitless.bits.words import zeros
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.check.worlds.posting import bit
from exitless.vocab.kinds import Kind

PORT: Final = 5
SENDS: Final = 2
SECTIONS: Final = 2


class At:
    """Where the guest's vCPU 0 is: in its own code, in the upcall, or between masking and unmasking."""

    RUN: Final = 0
    TAKE_UPCALL: Final = 1
    TAKE_SELECTOR: Final = 2
    SCAN: Final = 3
    ACK: Final = 4
    HANDLE: Final = 5
    LOOK_UPCALL: Final = 6
    CLEAR_MASK: Final = 8
    LOOK_PENDING: Final = 9
    MASK_AGAIN: Final = 10
    HYPER_CLEAR: Final = 11
    HYPER_LOOK: Final = 12
    HYPER_SELECT: Final = 13
    HYPER_MARK: Final = 14


class UnmaskWhileSending(World):
    """A sender that raises the port twice, vCPU 0, vCPU 1, and the kick under way.

    ``guest``, ``remote`` and ``sender`` say where they are; ``sections`` counts how often the port may still be masked;
    ``owed`` is 1 from a raise until a handler runs: no agent reads it.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__("unmask-while-sending", mutation)
        self.agents = ["vCPU 0", "Xen", "vCPU 1", "kick"]
        self.laws = [Law.EVENT_UNSEEN, Law.UPCALL_UNSAID, Law.EVENT_VANISHED, Law.EVENT_LOST, Law.ENDLESS]
        self.wanted = Sometimes.UPCALL | Sometimes.FOUND_PENDING | Sometimes.FOUND_MASKED | Sometimes.MERGED
        self.shared: SharedInfo = SharedInfo()
        self.info: VcpuInfo = VcpuInfo()
        self.packed: Packed = Packed()
        self.taken: i64 = 0
        self.guest: i64 = 0
        self.sender: i64 = 0
        self.remote: i64 = 0
        self.sends: i64 = 0
        self.sections: i64 = 0
        self.remotes: i64 = 0
        self.kicked: i64 = 0
        self.owed: i64 = 0
        self.found: i64 = 0

    def reset(self) -> None:
        """The port is neither pending nor masked, the guest runs."""
        self.load(0)
        self.sends = SENDS
        self.sections = SECTIONS
        self.remotes = 1

    def key(self) -> i64:
        """Return the whole state as one number."""
        p: Packed = self.packed
        p.start(0)
        p.put(bit(is_pending(self.shared, PORT)), 1)
        p.put(bit(is_masked(self.shared, PORT)), 1)
        p.put(self.info.selector[0] & 1, 1)
        p.put(self.info.upcall_pending, 1)
        p.put(self.taken, 1)
        p.put(self.kicked, 1)
        p.put(self.owed, 1)
        p.put(self.found, 1)
        p.put(self.guest, 4)
        p.put(self.sender, 2)
        p.put(self.remote, 3)
        p.put(self.sends, 2)
        p.put(self.sections, 2)
        p.put(self.remotes, 1)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        p: Packed = self.packed
        p.start(key)
        guest_clear_pending(self.shared, PORT)
        guest_clear_mask(self.shared, PORT)
        if p.get(1) != 0:
            set_pending(self.shared, PORT)
        if p.get(1) != 0:
            guest_mask(self.shared, PORT)
        self.info.selector[0] = p.get(1)
        self.info.upcall_pending = p.get(1)
        self.taken = p.get(1)
        self.kicked = p.get(1)
        self.owed = p.get(1)
        self.found = p.get(1)
        self.guest = p.get(4)
        self.sender = p.get(2)
        self.remote = p.get(3)
        self.sends = p.get(2)
        self.sections = p.get(2)
        self.remotes = p.get(1)

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            if self.guest == At.RUN:
                return self.begin_section()
            return self.guest_step() if self.guest < At.CLEAR_MASK else self.unmask_step()
        if agent == 1:
            return self.send_step()
        if agent == 2:
            return self.remote_step()
        if self.kicked == 0 or self.guest != At.RUN:
            return Rule.NONE
        self.kicked = 0
        self.start_upcall()
        return Act.TOLD

    def start_upcall(self) -> None:
        """An exit finds upcall_pending set, and the entry injects the callback."""
        if self.info.upcall_pending != 0:
            self.happened = Sometimes.UPCALL
            self.guest = At.TAKE_SELECTOR if self.mutation == "upcall-cleared-late" else At.TAKE_UPCALL

    def mark(self) -> None:
        """Xen sets upcall_pending, and kicks when it was clear."""
        if not mark_events_pending(self.info):
            self.kicked = 1

    def send_step(self) -> i64:
        """Xen raises the port; ``mask-read-first`` reads the mask before it sets the pending bit."""
        if self.sends == 0:
            return Rule.NONE
        act: i64 = Act.SET_PENDING + self.sender
        if self.mutation == "mask-read-first" and self.sender < 2:
            act = Act.READ_MASK - self.sender
        stops: bool = self.sender == 3
        self.sender += 1
        if act == Act.SET_PENDING:
            self.owed = 1
            if set_pending(self.shared, PORT):
                self.happened = Sometimes.MERGED
                stops = True
            elif self.mutation == "mask-read-first" and self.found != 0:
                stops = True
        elif act == Act.READ_MASK:
            if is_masked(self.shared, PORT):
                self.happened = Sometimes.FOUND_MASKED
                if self.mutation == "mask-read-first":
                    self.found = 1
                else:
                    stops = True
        elif act == Act.SET_SELECTOR:
            stops = set_selector(self.info, PORT)
        else:
            self.mark()
        if stops:
            self.sender = 0
            self.found = 0
            self.sends -= 1
        return act

    def guest_step(self) -> i64:
        """vCPU 0 in its upcall, interrupts off."""
        at: i64 = self.guest
        self.guest += 1
        if at == At.TAKE_UPCALL:
            guest_take_upcall(self.info)
            if self.mutation == "upcall-cleared-late":
                self.guest = At.SCAN
            return Act.TAKE_UPCALL
        if at == At.TAKE_SELECTOR:
            copy = zeros(2)
            guest_take_selector(self.info, copy)
            self.taken = copy[0]
            if self.mutation == "upcall-cleared-late":
                self.guest = At.TAKE_UPCALL
            return Act.TAKE_SELECTOR
        if at == At.SCAN:
            if self.taken == 0 or not is_active(self.shared, PORT):
                self.guest = At.LOOK_UPCALL
            elif self.mutation == "ack-last":
                self.guest = At.HANDLE
            self.taken = 0
            return Act.SCAN
        if at == At.ACK:
            guest_clear_pending(self.shared, PORT)
            if self.mutation == "ack-last":
                self.guest = At.LOOK_UPCALL
            return Act.ACK
        if at == At.HANDLE:
            self.owed = 0
            if self.mutation == "ack-last":
                self.guest = At.ACK
            return Act.HANDLE
        self.guest = At.RUN
        if self.mutation != "no-last-look":
            self.start_upcall()
        return Act.LOOK_UPCALL

    def begin_section(self) -> i64:
        """vCPU 0 masks the port; it will unmask it, with interrupts off in between."""
        if self.sections == 0 or self.remote != 0:
            return Rule.NONE
        self.sections -= 1
        guest_mask(self.shared, PORT)
        self.guest = At.CLEAR_MASK
        if self.mutation == "pending-before-mask":
            self.guest = At.LOOK_PENDING
        return Act.BEGIN_MASKED

    def unmask_step(self) -> i64:
        """vCPU 0 unmasks the port that notifies it, and makes the hypercall when it finds it pending."""
        at: i64 = self.guest
        self.guest += 1
        first: bool = self.mutation == "pending-before-mask"
        if at == At.CLEAR_MASK:
            guest_clear_mask(self.shared, PORT)
            if first:
                self.guest = At.RUN
            return Act.CLEAR_MASK
        if at == At.LOOK_PENDING:
            if is_pending(self.shared, PORT):
                self.happened = Sometimes.FOUND_PENDING
                if self.mutation == "no-hypercall":
                    self.guest = At.RUN
                elif self.mutation == "no-second-mask" or first:
                    self.guest = At.HYPER_CLEAR
            else:
                self.guest = At.CLEAR_MASK if first else At.RUN
            return Act.LOOK_PENDING
        if at == At.MASK_AGAIN:
            guest_mask(self.shared, PORT)
            return Act.MASK_AGAIN
        if not self.hypercall_step(at - At.HYPER_CLEAR):
            self.guest = At.RUN
            if self.info.upcall_pending != 0:
                self.kicked = 1
        return hypercall_act(at - At.HYPER_CLEAR)

    def hypercall_step(self, at: i64) -> bool:
        """EVTCHNOP_unmask for vCPU 0's port. Returns: whether it goes on."""
        if at == 0:
            return clear_mask(self.shared, PORT)
        if at == 1:
            return is_pending(self.shared, PORT)
        if at == 2:
            return not set_selector(self.info, PORT)
        self.mark()
        return False

    def remote_step(self) -> i64:
        """vCPU 1 masks the port and unmasks it by hypercall."""
        if self.remote == 0:
            if self.remotes == 0 or self.guest >= At.CLEAR_MASK:
                return Rule.NONE
            self.remotes -= 1
            guest_mask(self.shared, PORT)
            self.remote = 1
            return Act.BEGIN_MASKED
        at: i64 = self.remote - 1
        self.remote += 1
        if not self.hypercall_step(at):
            self.remote = 0
        elif at == 1:
            self.happened = Sometimes.FOUND_PENDING
        return hypercall_act(at)

    def is_seen_to(self) -> bool:
        """Tell whether somebody under way will look at the port: a raise, an upcall or an unmasking."""
        return self.sender != 0 or self.guest != At.RUN or self.remote != 0

    def broken(self) -> i64:
        """I5, I6, and no event vanishes."""
        if self.owed != 0 and not is_pending(self.shared, PORT) and self.guest != At.HANDLE:
            return Law.EVENT_VANISHED
        if not pending_is_selected(self.shared, self.info, PORT, self.is_seen_to()):
            return Law.EVENT_UNSEEN
        marks: bool = self.sender == 3 or self.remote == 4 or self.guest == At.HYPER_MARK
        if not selected_is_marked(self.info, marks or At.RUN < self.guest < At.CLEAR_MASK):
            return Law.UPCALL_UNSAID
        return Law.NONE

    def left_undone(self) -> i64:
        """Every event must have been handled."""
        if self.owed != 0 or is_active(self.shared, PORT):
            return Law.EVENT_LOST
        return Law.NONE

    def is_free(self, agent: i64) -> bool:
        """Nobody need begin to mask, or to send."""
        if agent == 0:
            return self.guest == At.RUN
        if agent == 1:
            return self.sender == 0
        return agent == 2 and self.remote == 0

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        where: str = "its own code"
        if self.guest != At.RUN:
            where = "the upcall" if self.guest < At.CLEAR_MASK else "unmasking"
        return [
            ("pending", str(int(bit(is_pending(self.shared, PORT))))),
            ("masked", str(int(bit(is_masked(self.shared, PORT))))),
            ("selector", str(int(self.info.selector[0] & 1))),
            ("upcall_pending", str(int(self.info.upcall_pending))),
            ("kick under way", str(int(self.kicked))),
            ("vCPU 0 runs", where),
            ("not handled", str(int(self.owed))),
        ]

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        if rule == Act.SET_PENDING:
            return [(Kind.PORT_RAISE, 1, 0, PORT, 0)]
        if rule == Act.ACK:
            return [(Kind.PORT_CLEAR, 0, 0, PORT, 0)]
        if rule == Act.MARK:
            return [(Kind.UPCALL_MARK, 1, 0, 0, 0)]
        if rule == Act.TAKE_UPCALL:
            return [(Kind.UPCALL_ENTER, 0, 0, 0, 0)]
        return []


def hypercall_act(at: i64) -> i64:
    """Return the step of the hypercall at this place."""
    if at == 0:
        return Act.HYPER_CLEAR_MASK
    if at == 1:
        return Act.HYPER_LOOK
    if at == 2:
        return Act.SET_SELECTOR
    return Act.MARK


def unmask_while_sending(mutation: str) -> World:
    """Return the world of one 2-level port."""
    return UnmaskWhileSending(mutation)
