"""Device interrupts that move from one pCPU's vector to another's while they keep coming."""

from mypy_extensions import i64

from exitless.arch.vtd.irte import Irte
from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.xen.vectors import FREE, Arrived, Cleaned, acknowledge, arrive, clean_up, owner_of
from exitless.bits.words import PACKED, has_bit
from exitless.record.sinks import Sink
from exitless.sim.rate_limit import RateLimit
from exitless.sim.state import Irq, Pcpu, Source
from exitless.vocab.kinds import Kind


class Moving(RateLimit):
    """What do_IRQ's acknowledgement and the clean-up vector do to an interrupt that is wanted elsewhere."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)

    def acknowledge_irq(self, here: Pcpu, irq: Irq, vector: i64) -> None:
        """handler.ack, before the fan-out and before a maskable MSI's EOI: the first interrupt at a new place ends the
        move to it, and a move that was asked for happens now.

        Cites: Xen irq.c irq_complete_move, Xen irq.c move_masked_irq
        """
        if arrive(irq, here.number, vector) == Arrived.CLEAN_UP:
            self.send_ipi(here, irq.old_pcpu, HostVector.MOVE_CLEANUP)
        if irq.wanted == 0:
            return
        if self.is_known_by_number(irq):
            self.move_alike(irq)
            return
        before: i64 = irq.pcpu
        acknowledge(self.vectors, irq)
        if irq.pcpu != before:
            self.rewrite(irq)

    def is_known_by_number(self, irq: Irq) -> bool:
        """Tell whether the guest takes this interrupt itself, so that the host's vector has to be the guest's."""
        return self.vcpus[self.sources[irq.source].vcpu].cpu.controls.ext_int_exiting == 0

    def move_alike(self, irq: Irq) -> None:
        """An interrupt that its guest takes directly moves to the same vector of another pCPU; where that is taken, it
        stays. Its old vector is not given to others. Cites: ELI shadow-idt
        """
        pcpu: i64 = 0
        while (irq.wanted >> pcpu) & 1 == 0:
            pcpu += 1
        irq.wanted = 0
        if pcpu == irq.pcpu:
            return
        holder: i64 = owner_of(self.vectors, pcpu, irq.vector)
        if holder == FREE or holder == irq.number:
            self.place(irq, pcpu, irq.vector)
            self.rewrite(irq)

    def rewrite(self, irq: Irq) -> None:
        """The remapping entry gets the interrupt's vector and pCPU; a posted one keeps its format and needs neither."""
        source: Source = self.sources[irq.source]
        entry: Irte = self.remapper.table[source.index]
        if entry.im == 0:
            entry.vector = irq.vector
            entry.dst = irq.pcpu
        self.row(Kind.VECTOR_ASSIGN, irq.pcpu, source.vcpu, irq.vector, source.number)

    def clean_up_moves(self, here: Pcpu) -> None:
        """The clean-up vector on an old pCPU: what has moved away gives its vector back, unless the local APIC still
        holds a request for it; then the pCPU sends itself the vector again.

        Cites: Xen irq.c irq_move_cleanup_interrupt
        """
        for irq in self.irqs:
            vector: i64 = irq.old_vector
            requested: i64 = 0
            if vector != 0 and has_bit(here.lapic.irr, 0, PACKED, vector):
                requested = 1
            answer: i64 = clean_up(self.vectors, irq, here.number, requested)
            if answer == Cleaned.FREED:
                self.row(Kind.VECTOR_FREE, here.number, -1, vector, irq.source)
            elif answer == Cleaned.AGAIN:
                self.send_ipi(here, here.number, HostVector.MOVE_CLEANUP)
