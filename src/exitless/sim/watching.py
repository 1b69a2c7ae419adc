"""The laws of state, asked after every event: each predicate of arch.laws where it has something to say.

What is in the middle of a step that takes time (a guest in its upcall loop, do_IRQ before its fan-out, a tasklet that
waits) is what the predicates are told as *seen to*.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.laws import (
    LAW_NAMES,
    Law,
    blocked_is_woken,
    interrupt_is_raised,
    pending_is_linked,
    pending_is_not_blocked,
    pending_is_selected,
    posted_is_outstanding,
    ready_is_marked,
    running_is_notified,
    rvi_covers,
    selected_is_marked,
    sleeper_has_no_request,
    stack_is_in_service,
    stack_is_whole,
    svi_is_highest,
)
from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.xen.callback import Callback
from exitless.arch.xen.eoi_stack import EoiStack
from exitless.arch.xen.pirq import eoi_before_guest
from exitless.arch.xen.vectors import owner_of
from exitless.bits.words import PACKED, has_bit, set_bit, shl, zeros
from exitless.record.sinks import Sink
from exitless.sim.guest import Frame
from exitless.sim.state import Irq, Mode, Pcpu, Phase, Softirq, Source, Vcpu
from exitless.sim.stopping import Stopping
from exitless.vocab.exits import Exit

UPCALL_RETURNS: Final = 7
LAWS: Final = 16


class Watching(Stopping):
    """The laws of a host that runs. ``law_broken`` is the first that broke, ``law_vcpu`` whose, ``law_time`` when in
    ps.

    Shapes: ``laws_met`` how often each law, by number, was asked of a state it has something to say about.
    """

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.watch_laws: i64 = 0
        self.laws_checked: i64 = 0
        self.laws_met: vec[i64] = zeros(LAWS)
        self.law_broken: i64 = Law.NONE
        self.law_vcpu: i64 = -1
        self.law_time: i64 = 0

    def laws_hold(self) -> bool:
        """Ask every law of every vCPU, pCPU, source and interrupt. Returns: False at the first that is broken, which is
        kept.
        """
        for v in self.vcpus:
            if not (self.apic_laws_hold(v) and self.posting_laws_hold(v) and self.sleeping_laws_hold(v)):
                return False
            if not self.selection_laws_hold(v):
                return False
        for s in self.sources:
            if not self.source_laws_hold(s):
                return False
        for irq in self.irqs:
            if not self.meet(Law.INTERRUPT_IS_RAISED, self.is_raised(irq), self.sources[irq.source].vcpu):
                return False
        if len(self.slow_irqs) > 0:
            for p in self.pcpus:
                if not self.meet(Law.STACK_IS_IN_SERVICE, self.stack_is_right(p), p.current):
                    return False
        return True

    def meet(self, law: i64, holds: bool, vcpu: i64) -> bool:
        """A law was asked of a state. Returns: whether it holds; if not, it is kept with the vCPU and the time."""
        self.laws_checked += 1
        self.laws_met[law] += 1
        if not holds:
            self.law_broken = law
            self.law_vcpu = vcpu
            self.law_time = self.now
        return holds

    def apic_laws_hold(self, vcpu: Vcpu) -> bool:
        """I10, and I1 at VM entry; a kick that came after the last look sends the vCPU round once more."""
        cpu = vcpu.cpu
        if not self.meet(Law.SVI_IS_HIGHEST_IN_SERVICE, svi_is_highest(cpu.vapic), vcpu.number):
            return False
        if self.just_entered != vcpu.number or cpu.has_vid == 0:
            return True
        kicked: bool = self.pcpus[cpu.running_on].softirqs & shl(1, Softirq.VCPU_KICK) != 0
        return self.meet(Law.RVI_COVERS_REQUESTS, kicked or rvi_covers(cpu.vapic), vcpu.number)

    def posting_laws_hold(self, vcpu: Vcpu) -> bool:
        """I2 to I4, of vCPUs whose descriptor is used. Without the second look after SN is cleared (the switch
        ``rescan_pir``) I2 is not asked: candidate C1 breaks it.
        """
        cpu = vcpu.cpu
        if cpu.has_posting != 0 and self.rescan_pir != 0:
            if not self.meet(Law.POSTED_IS_OUTSTANDING, posted_is_outstanding(cpu.pid), vcpu.number):
                return False
        if cpu.has_hooks == 0:
            return True
        where: i64 = cpu.running_on
        if where >= 0 and self.pcpus[where].mode == Mode.GUEST:
            told: bool = running_is_notified(cpu.pid, where) and cpu.pid.nv == self.posted_vector
            if not self.meet(Law.RUNNING_IS_NOTIFIED_HERE, told, vcpu.number):
                return False
        if cpu.blocked == 0:
            return True
        listed: bool = vcpu.list_of == cpu.pid.ndst
        return self.meet(Law.BLOCKED_IS_WOKEN, blocked_is_woken(cpu.pid, self.wakeup_vector, listed), vcpu.number)

    def sleeping_laws_hold(self, vcpu: Vcpu) -> bool:
        """I7, of vCPUs that are blocked and have left their pCPU: no event and no request that they could take."""
        cpu = vcpu.cpu
        if cpu.blocked == 0 or cpu.running_on >= 0 or cpu.state.interrupt_flag == 0:
            return True
        if not self.meet(Law.SLEEPER_HAS_NO_REQUEST, sleeper_has_no_request(cpu.vapic), vcpu.number):
            return False
        if cpu.callback_style == Callback.NONE:
            return True
        seen_to: bool = self.has_tasklet(vcpu.number)
        awake: bool = pending_is_not_blocked(cpu.info, cpu.blocked, seen_to)
        return self.meet(Law.PENDING_IS_NOT_BLOCKED, awake, vcpu.number)

    def has_tasklet(self, number: i64) -> bool:
        """Tell whether a tasklet for this vCPU's callback still waits on some pCPU."""
        for p in self.pcpus:
            if number in p.tasklets:
                return True
        return False

    def selection_laws_hold(self, vcpu: Vcpu) -> bool:
        """I6, of vCPUs that are told of events."""
        cpu = vcpu.cpu
        if cpu.callback_style == Callback.NONE:
            return True
        looping: bool = self.is_in_upcall(vcpu)
        if vcpu.domain.fifo != 0:
            marked: bool = ready_is_marked(vcpu.domain.blocks[vcpu.index], cpu.info, looping)
            return self.meet(Law.READY_IS_MARKED, marked, vcpu.number)
        return self.meet(Law.SELECTED_IS_MARKED, selected_is_marked(cpu.info, looping), vcpu.number)

    def is_in_upcall(self, vcpu: Vcpu) -> bool:
        """Tell whether the guest is in its upcall, before the last look at upcall_pending."""
        d: i64 = vcpu.depth - 1
        while d >= 0:
            if vcpu.kind[d] == Frame.UPCALL and vcpu.pc[d] != UPCALL_RETURNS:
                return True
            d -= 1
        return False

    def source_laws_hold(self, source: Source) -> bool:
        """What was asserted adds up, and I5 for a source on an event channel."""
        waiting: i64 = 0
        if source.outstanding != 0:
            waiting = 1
        balanced: bool = source.serial == source.delivered + source.merged + waiting
        if not self.meet(Law.BALANCE, balanced, source.vcpu):
            return False
        if source.port < 0:
            return True
        vcpu: Vcpu = self.vcpus[source.vcpu]
        seen_to: bool = self.is_in_upcall(vcpu)
        if vcpu.domain.fifo != 0:
            linked: bool = pending_is_linked(vcpu.domain.words, source.port, seen_to)
            return self.meet(Law.PENDING_IS_LINKED, linked, source.vcpu)
        selected: bool = pending_is_selected(vcpu.domain.shared, vcpu.cpu.info, source.port, seen_to)
        return self.meet(Law.PENDING_IS_SELECTED, selected, source.vcpu)

    def is_raised(self, irq: Irq) -> bool:
        """I9: an interrupt waits while do_IRQ has it in hand, and while its record is on a pCPU's dpci list; one that
        switched its source off for coming too often is not of an unmasked source."""
        waiting: i64 = 0
        for p in self.pcpus:
            if p.phase == Phase.IRQ and owner_of(self.vectors, p.number, p.argument) == irq.number:
                waiting += 1
            for number in p.dpci:
                if number == irq.number:
                    waiting += 1
        return interrupt_is_raised(irq.taken - irq.dropped, irq.raised, irq.merged, waiting)

    def stack_is_right(self, pcpu: Pcpu) -> bool:
        """I8. Between an exit's acknowledgement and do_IRQ a vector is in service that has no entry yet."""
        stack: EoiStack = pcpu.eoi_stack
        held: vec[i64] = zeros(8)
        i: i64 = 0
        while i < stack.depth:
            set_bit(held, 0, PACKED, stack.vector[i])
            i += 1
        i = HostVector.FIRST_DYNAMIC
        while i <= HostVector.LAST_DYNAMIC:
            number: i64 = owner_of(self.vectors, pcpu.number, i)
            if number >= 0 and has_bit(pcpu.lapic.isr, 0, PACKED, i):
                if not eoi_before_guest(self.irqs[number].ack) and not self.is_acknowledged(pcpu, i):
                    set_bit(held, 0, PACKED, i)
            i += 1
        return stack_is_in_service(stack, pcpu.lapic.isr) and stack_is_whole(stack, pcpu.lapic.isr, held)

    def is_acknowledged(self, pcpu: Pcpu, vector: i64) -> bool:
        """Tell whether an exit on this pCPU has just taken a vector."""
        if pcpu.phase != Phase.EXITED or pcpu.argument != Exit.EXTERNAL_INTERRUPT:
            return False
        return self.vcpus[pcpu.current].exit_argument == vector

    def law_said(self) -> str:
        """Say which law broke, when and where."""
        return f"law broken at {self.law_time} ps on vCPU {self.law_vcpu}: {LAW_NAMES[int(self.law_broken)]}"
