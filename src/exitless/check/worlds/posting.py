"""What every world around a posted-interrupt descriptor shares: one vCPU, two vectors, a remapping unit, messages.

Messages under way are counted, not ordered: the fabric may deliver them in any order. Two of one vector that would
merge in the local APIC are taken one right after the other instead; the second then changes nothing.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.vmx.eoi import eoi_virtualization
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.vtd.post import Posted, post
from exitless.bits.words import ON_PAGE, PACKED, bits_of, clear_bit, has_bit, set_bit
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.mech.vcpu import VirtualCpu
from exitless.vocab.kinds import Kind

LOW: Final = 65
HIGH: Final = 81
NOTIFICATION: Final = 242
WAKEUP: Final = 241
EVENT_CHECK: Final = 252


class Posting(World):
    """vCPU 0 on pCPU 0, and vCPU 1, which runs there while vCPU 0 does not and has nothing posted.

    ``first`` and ``second`` are the vectors that the remapping unit posts, ``posts_left`` how many of them are
    still to come. ``waiting`` and ``taken`` say for each vector, one bit each, whether a request of it should be in PIR
    or in VIRR: no agent reads them. ``fault`` is a law that a step itself broke. ``listed`` is the pCPU on whose list
    the vCPU is, -1 for none.
    """

    def __init__(self, name: str, mutation: str, first: i64, second: i64) -> None:
        super().__init__(name, mutation)
        self.notification_vector = NOTIFICATION
        self.wakeup_vector = WAKEUP
        self.target: VirtualCpu = VirtualCpu(0)
        self.other: VirtualCpu = VirtualCpu(1)
        self.packed: Packed = Packed()
        self.first: i64 = first
        self.second: i64 = second
        self.posts_left: i64 = 0
        self.waiting: i64 = 0
        self.taken: i64 = 0
        self.fault: i64 = 0
        self.listed: i64 = -1
        self.softirq: i64 = 0
        self.notifications: i64 = 0
        self.wakeups: i64 = 0
        self.kicks: i64 = 0

    def vcpu(self, number: i64) -> VirtualCpu:
        """Return a vCPU by its number."""
        if number == 0:
            return self.target
        return self.other

    def send(self, pcpu: i64, vector: i64) -> None:
        """A message leaves for ``pcpu``, which is pCPU 0 in all these worlds."""
        if vector == self.notification_vector:
            self.notifications += 1
        elif vector == self.wakeup_vector:
            self.wakeups += 1
        else:
            self.kicks += 1

    def request_accepted(self, vector: i64) -> None:
        """Somebody has set the PIR bit of ``vector``."""
        self.waiting = self.waiting | place_of(vector)

    def requests_taken(self) -> None:
        """Somebody has moved PIR into VIRR, or should have."""
        self.taken = self.taken | self.waiting
        self.waiting = 0

    def request_delivered(self, vector: i64) -> None:
        """The guest has been given ``vector``."""
        if self.taken & place_of(vector) == 0:
            self.fault = Law.DELIVERED_TWICE
        self.taken = self.taken & ~place_of(vector)

    def has_vanished(self) -> bool:
        """Tell whether a request that was not delivered is no longer where it should be."""
        posted: i64 = self.target.pid.pir[LOW >> 5]
        requested: i64 = self.target.vapic.page[Reg.VIRR + 4 * (LOW >> 5)]
        return self.waiting & ~both(posted) != 0 or self.taken & ~both(requested) != 0

    def is_owed(self) -> bool:
        """Tell whether a request has not been delivered yet."""
        return self.waiting != 0 or self.taken != 0

    def hardware_post(self) -> i64:
        """The remapping unit posts its next vector in one step; a notification goes to NDST with the NV of that moment.

        Cites: VT-d posted.operation
        """
        if self.posts_left == 0:
            return Rule.NONE
        vector: i64 = self.second
        if self.posts_left == 2:
            vector = self.first
        self.posts_left -= 1
        answer: i64 = post(self.target.pid, vector, 0)
        self.request_accepted(vector)
        if answer & Posted.NOTIFY != 0:
            self.send(self.target.pid.ndst, self.target.pid.nv)
        if answer & Posted.ALREADY != 0:
            self.happened = self.happened | Sometimes.MERGED
        self.a = vector
        self.b = answer
        return Rule.HARDWARE_POST

    def guest_step(self) -> i64:
        """The guest takes a recognized interrupt, or ends the one in service."""
        vapic = self.target.vapic
        if vapic.recognized != 0:
            self.a = deliver_virtual_interrupt(vapic)
            self.request_delivered(self.a)
            return Rule.DELIVER
        if vapic.svi != 0:
            self.a = vapic.svi
            eoi_virtualization(vapic)
            return Rule.END
        return Rule.NONE

    def put_posting(self) -> None:
        """Pack the descriptor, the virtual APIC, the messages and what the sources still do."""
        p: Packed = self.packed
        v: VirtualCpu = self.target
        p.put(bit(has_bit(v.pid.pir, 0, PACKED, LOW)), 1)
        p.put(bit(has_bit(v.pid.pir, 0, PACKED, HIGH)), 1)
        p.put(v.pid.on, 1)
        p.put(v.pid.sn, 1)
        p.put(bit(v.pid.nv == WAKEUP), 1)
        p.put(v.pid.ndst, 1)
        p.put(bit(has_bit(v.vapic.page, Reg.VIRR, ON_PAGE, LOW)), 1)
        p.put(bit(has_bit(v.vapic.page, Reg.VIRR, ON_PAGE, HIGH)), 1)
        p.put(bit(has_bit(v.vapic.page, Reg.VISR, ON_PAGE, LOW)), 1)
        p.put(bit(has_bit(v.vapic.page, Reg.VISR, ON_PAGE, HIGH)), 1)
        p.put(place_of(v.vapic.rvi), 2)
        p.put(place_of(v.vapic.svi), 2)
        p.put(place_of_class(v.vapic.page[Reg.VPPR] >> 4), 2)
        p.put(v.vapic.recognized, 1)
        p.put(self.posts_left, 2)
        p.put(self.waiting, 2)
        p.put(self.taken, 2)
        p.put(bit(self.fault != 0), 1)
        p.put(self.notifications, 2)
        p.put(self.wakeups, 2)

    def get_posting(self) -> None:
        """Unpack in the same order."""
        p: Packed = self.packed
        v: VirtualCpu = self.target
        put_bit(v, 0, LOW, p.get(1))
        put_bit(v, 0, HIGH, p.get(1))
        v.pid.on = p.get(1)
        v.pid.sn = p.get(1)
        v.pid.nv = NOTIFICATION
        if p.get(1) != 0:
            v.pid.nv = WAKEUP
        v.pid.ndst = p.get(1)
        put_bit(v, Reg.VIRR, LOW, p.get(1))
        put_bit(v, Reg.VIRR, HIGH, p.get(1))
        put_bit(v, Reg.VISR, LOW, p.get(1))
        put_bit(v, Reg.VISR, HIGH, p.get(1))
        v.vapic.rvi = vector_at(p.get(2))
        v.vapic.svi = vector_at(p.get(2))
        v.vapic.page[Reg.VPPR] = vector_at(p.get(2)) & 240
        v.vapic.recognized = p.get(1)
        self.posts_left = p.get(2)
        self.waiting = p.get(2)
        self.taken = p.get(2)
        self.fault = p.get(1) * Law.DELIVERED_TWICE
        self.notifications = p.get(2)
        self.wakeups = p.get(2)

    def fields(self) -> list[tuple[str, str]]:
        """Return the descriptor and the virtual APIC to be read."""
        v: VirtualCpu = self.target
        return [
            ("PIR", vectors(bits_of(v.pid.pir, 0, PACKED, 8))),
            ("ON", str(int(v.pid.on))),
            ("SN", str(int(v.pid.sn))),
            ("NV", "wake-up" if v.pid.nv == WAKEUP else "notification"),
            ("NDST", "pCPU " + str(int(v.pid.ndst))),
            ("VIRR", vectors(bits_of(v.vapic.page, Reg.VIRR, ON_PAGE, 8))),
            ("VISR", vectors(bits_of(v.vapic.page, Reg.VISR, ON_PAGE, 8))),
            ("RVI", hexadecimal(v.vapic.rvi)),
            ("SVI", hexadecimal(v.vapic.svi)),
            ("under way", self.under_way()),
        ]

    def under_way(self) -> str:
        """Name the messages that have not arrived."""
        words: list[str] = []
        for count, name in ((self.notifications, "notification"), (self.wakeups, "wake-up"), (self.kicks, "kick")):
            if count == 1:
                words.append(name)
            elif count > 1:
                words.append(str(int(count)) + " × " + name)
        return ", ".join(words) if len(words) > 0 else "nothing"

    def post_row(self) -> tuple[int, int, int, int, int]:
        """Return the record's row of a post by the remapping unit."""
        return (Kind.PID_POST, -1, 0, int(self.a), int(self.b))


def bit(value: bool) -> i64:
    """Return 1 for what is true."""
    if value:
        return 1
    return 0


def both(word: i64) -> i64:
    """Return the bits of the two vectors in the word that holds both, lower one first."""
    return ((word >> (LOW & 31)) & 1) | ((word >> (HIGH & 31)) & 1) * 2


def place_of(vector: i64) -> i64:
    """Pack one of the two vectors, or none, in two bits."""
    if vector == LOW:
        return 1
    if vector == HIGH:
        return 2
    return 0


def place_of_class(priority: i64) -> i64:
    """Pack the class of one of the two vectors, or 0."""
    if priority == LOW >> 4:
        return 1
    if priority == HIGH >> 4:
        return 2
    return 0


def vector_at(place: i64) -> i64:
    """Undo :func:`place_of`."""
    if place == 1:
        return LOW
    if place == 2:
        return HIGH
    return 0


def put_bit(vcpu: VirtualCpu, register: i64, vector: i64, value: i64) -> None:
    """Set or clear a vector's bit in a register of the page, or in PIR when the register is 0."""
    if register == 0:
        if value != 0:
            set_bit(vcpu.pid.pir, 0, PACKED, vector)
        else:
            clear_bit(vcpu.pid.pir, 0, PACKED, vector)
    elif value != 0:
        set_bit(vcpu.vapic.page, register, ON_PAGE, vector)
    else:
        clear_bit(vcpu.vapic.page, register, ON_PAGE, vector)


def hexadecimal(vector: i64) -> str:
    """Print a vector, 0 for none."""
    if vector == 0:
        return "0"
    return "0x" + hex(int(vector))[2:].rjust(2, "0")


def vectors(numbers: list[int]) -> str:
    """Print a set of vectors."""
    return "{" + ", ".join([hexadecimal(number) for number in numbers]) + "}"
