"""Xen's limit on how often a device interrupts: a source that comes too often is switched off for 10 ms."""

from mypy_extensions import i64

from exitless.arch.xen.eoi_stack import QUANTUM_PS, RATE_LIMIT, exceeds_rate
from exitless.arch.xen.pirq import AckType
from exitless.record.sinks import Sink
from exitless.sim.pending_eoi import PendingEoi
from exitless.sim.state import Irq, Pcpu, Source
from exitless.vocab.kinds import Kind


class RateLimit(PendingEoi):
    """``irq_ratelimit`` is how many in 10 ms are allowed (0: any number); ``limited`` are the interrupts that are off,
    and ``lift_at`` when all of them are switched on again, by a timer of the pCPU ``lift_on``; in ps, -1 for never.
    ``drops_limited`` is 1 if nobody is told of the one that was too many (from memory).
    """

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.irq_ratelimit: i64 = RATE_LIMIT
        self.drops_limited: i64 = 1
        self.limited: list[i64] = []
        self.lift_at: i64 = -1
        self.lift_on: i64 = 0

    def is_too_often(self, here: Pcpu, irq: Irq) -> bool:
        """do_IRQ, before the fan-out: one too many in its quantum switches its source off.

        Returns: whether nobody is told of it.

        Cites: Xen irq.c irq_ratelimit
        """
        if not exceeds_rate(irq.rate, self.now, self.irq_ratelimit):
            return False
        if irq.off == 0:
            irq.off = 1
            self.row(Kind.PIRQ_LIMIT, here.number, -1, irq.number, 0)
            self.limited.append(irq.number)
            if self.lift_at < 0:
                self.lift_at = self.now + QUANTUM_PS
                self.lift_on = here.number
                self.timer_is_set(here, here, self.lift_at)
        if self.drops_limited == 0:
            return False
        irq.dropped += 1
        if irq.ack != AckType.NONE:
            self.flush_eois(here, irq)
        return True

    def assert_msi(self, source: Source) -> None:
        """A device asserts. One whose interrupt is masked keeps its message; one that has no mask bit sends it."""
        if source.irq >= 0:
            irq: Irq = self.irqs[source.irq]
            if irq.off != 0 and irq.ack == AckType.NONE:
                self.assert_source(source)
                irq.held = 1
                return
        super().assert_msi(source)

    def lift_limits(self, here: Pcpu) -> None:
        """The timer's 10 ms are over: every source is on again, and sends what it kept."""
        if self.lift_at < 0 or self.lift_at > self.now or self.lift_on != here.number:
            return
        self.lift_at = -1
        numbers: list[i64] = self.limited
        self.limited = []
        for number in numbers:
            irq: Irq = self.irqs[number]
            irq.off = 0
            self.row(Kind.PIRQ_LIMIT, here.number, -1, number, 1)
            if irq.held != 0:
                irq.held = 0
                self.send_msi(self.sources[irq.source])

    def forced_deadline(self, pcpu: Pcpu) -> i64:
        """When the first of do_IRQ's timers on this pCPU is due, that of the limit included; -1 for none."""
        best: i64 = super().forced_deadline(pcpu)
        if self.lift_at >= 0 and self.lift_on == pcpu.number and (best < 0 or self.lift_at < best):
            return self.lift_at
        return best
