"""A level-triggered line, sent by an I/O APIC to a guest whose EOI exits only where the EOI-exit bitmap says so.

The vector 0x51 is the line's, 0x41 a remapping unit's that may be in service below it. The line may be sent to another
vCPU while its interrupt is in flight here.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.eoi_exit import is_in_flight
from exitless.arch.kvm.posted_intr import set_on
from exitless.arch.vmx.eoi import eoi_virtualization, set_eoi_exit, software_eoi
from exitless.arch.vmx.posted import claim_notification, set_pir
from exitless.arch.x86.ioapic import REMOTE_IRR, STATUS, TRIGGER, IoApic, accepted, end_of_interrupt, set_pin
from exitless.bits.words import PACKED, has_bit
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.check.worlds.posting import HIGH, LOW, NOTIFICATION, bit, place_of
from exitless.check.worlds.small import Small, top_place
from exitless.vocab.exits import Exit

RISES: Final = 0
WANTED: Final = 1
ENDED: Final = 2
MOVED: Final = 3
SENDING: Final = 4
RESCAN: Final = 5


class Level(Small):
    """``wanted`` is the bitmap's bit as the hypervisor has it, loaded at each entry; ``exit 45`` 1 while that is to be
    handled. The bit is there from the writing of the redirection entry on, as KVM has it.

    Mutations: ``bitmap-at-next-entry`` sets it when the line is sent, and notifies; ``bitmap-by-kick`` kicks then, as
    Xen does; ``visr-cleared-again`` ends once more at exit 45; ``in-flight-forgotten`` drops the bit when the line goes
    elsewhere.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__(
            "level-in-flight", mutation, LOW,
            ["rises left", "bitmap wanted", "exit 45", "moved", "sender", "rescan"], vec[i64]([2, 1, 1, 1, 2, 1]),
        )  # fmt: skip
        self.agents = ["hypervisor", "line", "I/O APIC", "notification", "kick", "the guest", "VT-d", "toolstack"]
        self.laws = [Law.ENDED_EARLY, Law.LINE_DEAD, Law.ENDLESS]
        self.wanted = Sometimes.DELIVERED | Sometimes.ASKS_AGAIN | Sometimes.MOVED_IN_FLIGHT
        self.ioapic: IoApic = IoApic(0, 1)
        self.is_late: bool = mutation == "bitmap-at-next-entry" or mutation == "bitmap-by-kick"

    def reset(self) -> None:
        """The line is low, nothing is posted."""
        self.load(0)
        self.posts_left = 1
        self.x[RISES] = 2
        self.x[WANTED] = bit(not self.is_late)
        set_eoi_exit(self.target.vapic, HIGH, not self.is_late)

    def key(self) -> i64:
        """Return the whole state as one number."""
        super().key()
        p: Packed = self.packed
        entry = self.ioapic.entries[0]
        p.put(bit(entry.low & STATUS != 0), 1)
        p.put(bit(entry.low & REMOTE_IRR != 0), 1)
        p.put(entry.pin, 1)
        p.put(bit(has_bit(self.target.vapic.eoi_exit, 0, PACKED, HIGH)), 1)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        super().load(key)
        p: Packed = self.packed
        entry = self.ioapic.entries[0]
        entry.low = TRIGGER | HIGH
        if p.get(1) != 0:
            entry.low = entry.low | STATUS
        if p.get(1) != 0:
            entry.low = entry.low | REMOTE_IRR
        entry.pin = p.get(1)
        set_eoi_exit(self.target.vapic, HIGH, p.get(1) != 0)

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            return self.root_step()
        if agent == 1:
            return self.line_rises()
        if agent == 2:
            return self.send_step()
        if agent == 3:
            return self.notification_arrives()
        if agent == 4:
            return self.kick_arrives()
        if agent == 5:
            return self.guest_level_step()
        return self.hardware_post() if agent == 6 else self.retarget()

    def line_rises(self) -> i64:
        """The device raises its line."""
        if self.x[RISES] == 0 or self.x[MOVED] != 0 or self.ioapic.entries[0].pin != 0:
            return Rule.NONE
        self.x[RISES] -= 1
        set_pin(self.ioapic, 0, 1)
        return Act.LINE_RISES

    def send_step(self) -> i64:
        """The pin's message becomes a request: the bitmap's bit is wanted, the PIR bit, a notification or a kick."""
        pid = self.target.pid
        if self.x[SENDING] == 0:
            if self.ioapic.entries[0].low & STATUS == 0 or self.x[MOVED] != 0:
                return Rule.NONE
            accepted(self.ioapic, 0)
            self.x[WANTED] = 1
            self.x[SENDING] = 1
            return Act.WANT_BITMAP
        self.a = HIGH
        if self.x[SENDING] == 1:
            set_pir(pid, HIGH)
            self.request_accepted(HIGH)
            self.x[SENDING] = 2
            return Act.REQUEST
        self.x[SENDING] = 0
        changed: bool = not has_bit(self.target.vapic.eoi_exit, 0, PACKED, HIGH)
        if changed and self.mutation == "bitmap-by-kick":
            set_on(pid)
            self.kick(0)
        elif claim_notification(pid):
            self.send(0, NOTIFICATION)
        else:
            self.kick(0)
        return Act.TELL

    def retarget(self) -> i64:
        """The entry is rewritten for another vCPU, and this one's bitmap is to be made anew."""
        if self.x[MOVED] != 0 or self.x[SENDING] != 0 or self.ioapic.entries[0].low & STATUS != 0:
            return Rule.NONE
        if self.ioapic.entries[0].low & REMOTE_IRR != 0:
            self.happened = Sometimes.MOVED_IN_FLIGHT
        self.x[MOVED] = 1
        self.x[RESCAN] = 1
        self.kick(0)
        return Act.RETARGET

    def root_step(self) -> i64:
        """Exit 45 is handled, or the bitmap loaded, PIR merged and the guest entered."""
        if self.root == 0:
            return Rule.NONE
        if self.x[ENDED] != 0:
            self.x[ENDED] = 0
            if self.mutation == "visr-cleared-again":
                software_eoi(self.target.vapic)
            end_of_interrupt(self.ioapic, HIGH)
            if self.ioapic.entries[0].low & STATUS != 0:
                self.happened = Sometimes.ASKS_AGAIN
            return Act.HANDLE_EOI
        self.sync()
        if self.x[RESCAN] != 0:
            self.x[RESCAN] = 0
            self.x[WANTED] = 0
            if self.mutation != "in-flight-forgotten":
                self.x[WANTED] = bit(is_in_flight(self.target.vapic, HIGH))
        set_eoi_exit(self.target.vapic, HIGH, self.x[WANTED] != 0)
        self.enter()
        return Act.PASS

    def guest_level_step(self) -> i64:
        """The guest takes what is recognized; its handler of 0x51 makes the device lower the line and ends."""
        if self.root != 0 or self.target.vapic.recognized != 0 or self.serving & place_of(HIGH) == 0:
            return self.guest_step()
        self.a = top_place(self.serving)
        self.serving = self.serving & ~place_of(HIGH)
        set_pin(self.ioapic, 0, 0)
        if eoi_virtualization(self.target.vapic) == Exit.EOI_INDUCED:
            self.x[ENDED] = 1
            self.leave()
        return Rule.END

    def broken(self) -> i64:
        """No handler may be ended by another one's EOI."""
        return Law.ENDED_EARLY if self.is_ended_early() else Law.NONE

    def left_undone(self) -> i64:
        """Remote IRR may stand only while its interrupt is on its way."""
        return Law.LINE_DEAD if self.ioapic.entries[0].low & REMOTE_IRR != 0 else Law.NONE

    def is_free(self, agent: i64) -> bool:
        """The line need not rise, nor anybody post, nor the toolstack do anything."""
        return agent == 1 or agent == 6 or agent == 7

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        entry = self.ioapic.entries[0]
        return super().fields() + [
            ("line", "high" if entry.pin != 0 else "low"),
            ("remote IRR", "1" if entry.low & REMOTE_IRR != 0 else "0"),
            ("EOI-exit bit", "1" if has_bit(self.target.vapic.eoi_exit, 0, PACKED, HIGH) else "0"),
        ]


def level_in_flight(mutation: str) -> World:
    """Return the world of a level-triggered line."""
    return Level(mutation)
