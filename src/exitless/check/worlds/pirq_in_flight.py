"""A device's MSI without mask bits, bound to a guest and moved from pCPU 0 to pCPU 1 while it is in flight.

Its EOI waits for the guest or for the timer of 1 ms; the dpci record carries it to a softirq of the pCPU that took it.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.laws import stack_is_in_service
from exitless.arch.xen.dpci import DpciRecord, end, leave_list, start_run, take_work
from exitless.arch.xen.eoi_stack import EoiStack, mark_ready, pop_ready, push
from exitless.arch.xen.pirq import AckType, Eoi, PirqGuest, forced_eoi, guest_eoi, mark_in_flight
from exitless.bits.words import PACKED, clear_bit, has_bit, set_bit, zeros
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.check.worlds.posting import bit
from exitless.vocab.kinds import Kind

IRQ: Final = 30
VECTOR: Final = 88
MESSAGES: Final = 3


class Step:
    """Where do_IRQ is on a pCPU (0: nowhere), and where a softirq is."""

    SET_WORK: Final = 1
    QUEUE: Final = 2
    ARM: Final = 3
    LEAVE_LIST: Final = 1
    TAKE_WORK: Final = 2
    END_RUN: Final = 3


class PirqInFlight(World):
    """The first message goes to pCPU 0, those after it to pCPU 1.

    Lists with one entry a pCPU: ``requested`` (IRR), ``irq`` and ``soft`` (where do_IRQ and the softirq are),
    ``listed`` (the record is on that list), ``mapped`` (the pCPU's bit in cpu_eoi_map), ``told`` (set_eoi_ready is on
    its way there). The guest has the vector requested
    (``virtual``) or in service (``serving``).
    """

    def __init__(self, mutation: str) -> None:
        super().__init__("pirq-in-flight", mutation)
        self.agents = [
            "pCPU 0", "device", "pCPU 1", "softirq 0", "softirq 1", "the guest", "timer", "ready 0", "ready 1",
        ]  # fmt: skip
        self.laws = [Law.STACK_DIFFERS, Law.FORCED_EARLY, Law.INTERRUPT_LOST, Law.NEVER_ENDED, Law.ENDLESS]
        self.wanted = (
            Sometimes.MERGED | Sometimes.FORCED | Sometimes.TOO_LATE | Sometimes.LEFT_FOR_LATER | Sometimes.DELIVERED
        )
        self.packed: Packed = Packed()
        self.record: DpciRecord = DpciRecord()
        self.bound: PirqGuest = PirqGuest(AckType.EOI, 1)
        self.stacks: list[EoiStack] = [EoiStack(), EoiStack()]
        self.isr: list[vec[i64]] = [zeros(8), zeros(8)]
        self.requested: vec[i64] = zeros(2)
        self.irq: vec[i64] = zeros(2)
        self.soft: vec[i64] = zeros(2)
        self.listed: vec[i64] = zeros(2)
        self.mapped: vec[i64] = zeros(2)
        self.told: vec[i64] = zeros(2)
        self.messages: i64 = 0
        self.armed: i64 = 0
        self.firing: i64 = 0
        self.virtual: i64 = 0
        self.serving: i64 = 0
        self.fault: i64 = 0

    def reset(self) -> None:
        """Nothing has happened yet."""
        self.load(0)
        self.messages = MESSAGES

    def key(self) -> i64:
        """Return the whole state as one number."""
        p: Packed = self.packed
        p.start(0)
        p.put(self.record.masked, 1)
        p.put(self.record.sched, 1)
        p.put(self.record.run, 1)
        p.put(self.bound.in_flight, 1)
        n: i64 = 0
        while n < 2:
            p.put(self.stacks[n].depth, 1)
            p.put(bit(has_bit(self.isr[n], 0, PACKED, VECTOR)), 1)
            p.put(self.requested[n], 1)
            p.put(self.irq[n], 2)
            p.put(self.soft[n], 2)
            p.put(self.listed[n], 1)
            p.put(self.mapped[n], 1)
            p.put(self.told[n], 1)
            n += 1
        p.put(self.messages, 2)
        p.put(self.armed, 1)
        p.put(self.firing, 1)
        p.put(self.virtual, 1)
        p.put(self.serving, 1)
        p.put(self.fault, 1)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        p: Packed = self.packed
        p.start(key)
        self.record.masked = p.get(1)
        self.record.sched = p.get(1)
        self.record.run = p.get(1)
        self.bound.in_flight = p.get(1)
        self.bound.marked[0] = self.bound.in_flight
        n: i64 = 0
        while n < 2:
            self.stacks[n].depth = 0
            if p.get(1) != 0:
                push(self.stacks[n], IRQ, VECTOR)
            clear_bit(self.isr[n], 0, PACKED, VECTOR)
            if p.get(1) != 0:
                set_bit(self.isr[n], 0, PACKED, VECTOR)
            self.requested[n] = p.get(1)
            self.irq[n] = p.get(2)
            self.soft[n] = p.get(2)
            self.listed[n] = p.get(1)
            self.mapped[n] = p.get(1)
            self.told[n] = p.get(1)
            n += 1
        self.messages = p.get(2)
        self.armed = p.get(1)
        self.firing = p.get(1)
        self.virtual = p.get(1)
        self.serving = p.get(1)
        self.fault = p.get(1)

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 1:
            return self.device_step()
        if agent == 0 or agent == 2:
            return self.irq_step(agent >> 1)
        if agent == 3 or agent == 4:
            return self.softirq_step(agent - 3)
        if agent == 5:
            return self.guest_step()
        if agent == 6:
            return self.timer_step()
        return self.ready_step(agent - 7)

    def is_locked(self) -> bool:
        """Tell whether some do_IRQ has the descriptor's lock."""
        return self.irq[0] != 0 or self.irq[1] != 0

    def device_step(self) -> i64:
        """The device sends its next message; two that meet in one IRR become one."""
        if self.messages == 0:
            return Rule.NONE
        target: i64 = 0 if self.messages == MESSAGES else 1
        self.messages -= 1
        if self.requested[target] != 0:
            self.happened = Sometimes.MERGED
        self.requested[target] = 1
        self.a = target
        return Act.ASSERT

    def irq_step(self, n: i64) -> i64:
        """do_IRQ on pCPU ``n``, under the descriptor's lock."""
        at: i64 = self.irq[n]
        if at == 0:
            return self.take_irq(n)
        backwards: bool = self.mutation == "queue-before-work"
        if at == Step.ARM:
            self.irq[n] = 0
            if self.mutation != "timer-not-armed":
                self.armed = 1
            return Act.ARM
        self.irq[n] = at + 1
        if (at == Step.SET_WORK) != backwards:
            self.record.masked = 1
            return Act.SET_WORK
        if self.record.sched == 0:
            self.listed[n] = 1
        else:
            self.happened = Sometimes.MERGED
        self.record.sched = 1
        return Act.QUEUE

    def take_irq(self, n: i64) -> i64:
        """The local APIC of pCPU ``n`` delivers the vector, unless it is in service there."""
        if self.requested[n] == 0 or has_bit(self.isr[n], 0, PACKED, VECTOR) or self.is_locked():
            return Rule.NONE
        self.requested[n] = 0
        set_bit(self.isr[n], 0, PACKED, VECTOR)
        push(self.stacks[n], IRQ, VECTOR)
        mark_in_flight(self.bound, 0)
        self.mapped[n] = 1
        self.armed = 0
        self.irq[n] = Step.SET_WORK
        return Act.TAKE_IRQ

    def softirq_step(self, n: i64) -> i64:
        """The softirq of pCPU ``n``, which that pCPU's do_IRQ interrupts."""
        if self.irq[n] != 0:
            return Rule.NONE
        at: i64 = self.soft[n]
        if at == 0:
            if self.listed[n] == 0 or self.record.run != 0:
                return Rule.NONE
            self.listed[n] = 0
            start_run(self.record)
            self.soft[n] = 1
            return Act.CLAIM
        if at == Step.END_RUN:
            end(self.record)
            self.soft[n] = 0
            return Act.END_RUN
        self.soft[n] = at + 1
        backwards: bool = self.mutation == "work-before-list"
        if (at == Step.LEAVE_LIST) != backwards:
            if not leave_list(self.record) and not backwards:
                self.soft[n] = Step.END_RUN
            return Act.LEAVE_LIST
        if take_work(self.record):
            if self.virtual != 0:
                self.happened = Sometimes.MERGED
            self.virtual = 1
        return Act.TAKE_WORK

    def end_in_flight(self, answer: i64) -> None:
        """Nothing is in flight any more: every pCPU that has the vector is told."""
        if answer == Eoi.READY:
            self.told[0] = self.told[0] | self.mapped[0]
            if self.mutation != "ready-on-one-pcpu":
                self.told[1] = self.told[1] | self.mapped[1]

    def guest_step(self) -> i64:
        """The guest takes the vector, or ends it."""
        if self.serving != 0:
            if self.is_locked():
                return Rule.NONE
            self.serving = 0
            if self.bound.in_flight == 0:
                self.happened = Sometimes.TOO_LATE
            self.end_in_flight(guest_eoi(self.bound, 0))
            if self.bound.in_flight == 0:
                self.armed = 0
            return Act.GUEST_EOI
        if self.virtual == 0:
            return Rule.NONE
        self.virtual = 0
        self.serving = 1
        self.happened = Sometimes.DELIVERED
        return Act.GUEST_TAKES

    def timer_step(self) -> i64:
        """The timer expires, and then has the lock."""
        if self.firing == 0:
            if self.armed == 0:
                return Rule.NONE
            self.armed = 0
            self.firing = 1
            return Act.TIMER_FIRES
        if self.is_locked():
            return Rule.NONE
        self.firing = 0
        again: i64 = self.armed
        if self.mutation == "armed-again-not-asked":
            again = 0
        answer: i64 = forced_eoi(self.bound, again)
        if answer == Eoi.READY:
            self.happened = Sometimes.FORCED
            self.fault = self.armed
        self.end_in_flight(answer)
        return Act.FORCE

    def ready_step(self, n: i64) -> i64:
        """set_eoi_ready has come to pCPU ``n``."""
        if self.told[n] == 0 or self.is_locked():
            return Rule.NONE
        self.told[n] = 0
        if self.bound.in_flight != 0:
            self.happened = Sometimes.LEFT_FOR_LATER
        elif self.mapped[n] != 0:
            self.mapped[n] = 0
            mark_ready(self.stacks[n], IRQ)
            vector: i64 = pop_ready(self.stacks[n])
            if self.mutation != "no-eoi":
                clear_bit(self.isr[n], 0, PACKED, vector)
        return Act.SET_EOI_READY

    def broken(self) -> i64:
        """I8, and nothing is forced early."""
        if self.fault != 0:
            return Law.FORCED_EARLY
        n: i64 = 0
        while n < 2:
            if not stack_is_in_service(self.stacks[n], self.isr[n]):
                return Law.STACK_DIFFERS
            if has_bit(self.isr[n], 0, PACKED, VECTOR) != (self.stacks[n].depth != 0):
                return Law.STACK_DIFFERS
            n += 1
        return Law.NONE

    def left_undone(self) -> i64:
        """I9: every interrupt has reached the guest; and none is in service for ever."""
        if self.record.masked != 0 or (self.virtual != 0 and self.serving == 0):
            return Law.INTERRUPT_LOST
        if self.stacks[0].depth != 0 or self.stacks[1].depth != 0:
            return Law.NEVER_ENDED
        if self.requested[0] != 0 or self.requested[1] != 0:
            return Law.INTERRUPT_LOST
        return Law.NONE

    def is_free(self, agent: i64) -> bool:
        """The device need not send, and the guest may forget to end what it has taken."""
        return agent == 1 or (agent == 5 and self.serving != 0)

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        found: list[tuple[str, str]] = []
        n: i64 = 0
        while n < 2:
            name: str = " of pCPU " + str(int(n))
            found.append(("IRR" + name, str(int(self.requested[n]))))
            found.append(("stack" + name, str(int(self.stacks[n].depth))))
            found.append(("list" + name, str(int(self.listed[n]))))
            n += 1
        return found + [
            ("work", str(int(self.record.masked))),
            ("SCHED", str(int(self.record.sched))),
            ("RUN", str(int(self.record.run))),
            ("in flight", str(int(self.bound.in_flight))),
            ("timer", "armed" if self.armed != 0 else "firing" if self.firing != 0 else "off"),
            ("guest", "requested" if self.virtual != 0 else "in service" if self.serving != 0 else "nothing"),
        ]

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        if rule == Act.TAKE_IRQ:
            return [(Kind.HOST_IRQ, 0, -1, VECTOR, -1)]
        if rule == Act.GUEST_TAKES:
            return [(Kind.IRQ_DELIVER, 0, 0, VECTOR, 0)]
        return []


def pirq_in_flight(mutation: str) -> World:
    """Return the world of a bound interrupt in flight."""
    return PirqInFlight(mutation)
