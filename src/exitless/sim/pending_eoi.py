"""Physical interrupts whose local APIC waits for the guest: in-flight account, pending-EOI stack, Xen's 1 ms timer."""

from mypy_extensions import i64

from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.x86.lapic import end_of_interrupt
from exitless.arch.xen.eoi_stack import forced_at, holds, mark_ready, pop_ready, push
from exitless.arch.xen.pirq import (
    AckType,
    Eoi,
    PirqGuest,
    arms_forced_eoi,
    eoi_before_guest,
    forced_eoi,
    guest_eoi,
    mark_in_flight,
)
from exitless.errors import Impossible
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.signals import Signals
from exitless.sim.state import Irq, Pcpu, Vcpu
from exitless.vocab.kinds import Kind


class PendingEoi(Signals):
    """What do_IRQ, a guest's EOI and the timer do to an interrupt of type EOI. ``slow_irqs`` has those there are."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.slow_irqs: list[i64] = []

    def make_unmaskable(self, irq: Irq) -> None:
        """A device's MSI has no mask bit: its interrupt is of type EOI, bound to one guest."""
        irq.ack = AckType.EOI
        irq.bound = PirqGuest(AckType.EOI, 1)
        self.slow_irqs.append(irq.number)

    def keep_in_service(self, pcpu: Pcpu, irq: Irq, vector: i64) -> bool:
        """do_IRQ decides about the local APIC's EOI for ``vector``, on which an interrupt has come in.

        Returns: whether it has to wait for the guest.
        """
        if eoi_before_guest(irq.ack):
            return False
        if not push(pcpu.eoi_stack, irq.number, vector):
            raise Impossible("a local APIC delivered a vector below one that it has in service")
        irq.held_on = pcpu.number
        self.charge(pcpu, Cost.EOISTACK)
        self.row(Kind.PIRQ_HOLD, pcpu.number, -1, vector, irq.number)
        return True

    def mark(self, here: Pcpu, irq: Irq) -> None:
        """The fan-out of do_IRQ: the guest owes an EOI, and Xen sets a timer in case it never comes."""
        mark_in_flight(irq.bound, 0)
        if arms_forced_eoi(irq.ack):
            irq.forced_at = forced_at(self.now + self.spent)
            self.timer_is_set(here, self.pcpus[irq.held_on], irq.forced_at)

    def guest_ends(self, here: Pcpu, irq: Irq) -> None:
        """A guest has ended an interrupt, by hypercall or an EOI that reached Xen. Cites: Xen irq.c desc_guest_eoi"""
        if guest_eoi(irq.bound, 0) == Eoi.READY:
            self.settle(here, irq, 0)

    def guest_ends_vector(self, here: Pcpu, vcpu: Vcpu, vector: i64) -> None:
        """The EOI of a guest's vector has reached Xen, which looks for the interrupt behind it among its PIRQs."""
        for number in self.slow_irqs:
            source = self.sources[self.irqs[number].source]
            if source.vcpu == vcpu.number and source.port < 0 and source.vector == vector:
                self.guest_ends(here, self.irqs[number])

    def force_eois(self, here: Pcpu) -> None:
        """The timer of do_IRQ: what guests owe too long is done for them. Cites: Xen irq.c irq_guest_eoi_timer_fn"""
        for number in self.slow_irqs:
            irq: Irq = self.irqs[number]
            if irq.forced_at >= 0 and irq.forced_at <= self.now and irq.held_on == here.number:
                irq.forced_at = -1
                self.charge(here, Cost.TIMER_CALLBACK)
                if forced_eoi(irq.bound, 0) == Eoi.READY:
                    self.settle(here, irq, 1)

    def settle(self, here: Pcpu, irq: Irq, forced: i64) -> None:
        """Nobody owes anything more: the entry is ready on every pCPU that has one, and the others are told.

        An interrupt that moved while it was in flight is on the stacks of both pCPUs. Cites: Xen irq.c desc_guest_eoi
        """
        irq.forced_at = -1
        self.row(Kind.PIRQ_READY, here.number, -1, irq.number, forced)
        self.flush_eois(here, irq)
        for pcpu in self.pcpus:
            if holds(pcpu.eoi_stack, irq.number):
                self.send_ipi(here, pcpu.number, HostVector.CALL_FUNCTION)

    def flush_eois(self, here: Pcpu, irq: Irq) -> None:
        """Mark the entry ready, and end what is ready from the top. Cites: Xen irq.c flush_ready_eoi"""
        if not mark_ready(here.eoi_stack, irq.number):
            return
        self.charge(here, Cost.EOI_READY)
        self.flush_ready(here)

    def flush_ready(self, here: Pcpu) -> None:
        """Give the local APIC an EOI for every entry that is ready, from the top. Cites: Xen irq.c flush_ready_eoi"""
        vector: i64 = pop_ready(here.eoi_stack)
        while vector >= 0:
            end_of_interrupt(here.lapic)
            self.row(Kind.LAPIC_EOI, here.number, -1, vector, 0)
            vector = pop_ready(here.eoi_stack)

    def flush_called(self, here: Pcpu) -> None:
        """The call of another pCPU: whatever of this one's stack nobody owes an EOI for becomes ready.

        Cites: Xen irq.c set_eoi_ready
        """
        for number in self.slow_irqs:
            irq: Irq = self.irqs[number]
            if irq.bound.in_flight == 0:
                self.flush_eois(here, irq)

    def forced_deadline(self, pcpu: Pcpu) -> i64:
        """When the first of the timers of do_IRQ on this pCPU is due, -1 for none."""
        best: i64 = -1
        for number in self.slow_irqs:
            irq: Irq = self.irqs[number]
            if irq.forced_at >= 0 and irq.held_on == pcpu.number and (best < 0 or irq.forced_at < best):
                best = irq.forced_at
        return best
