"""Xen's part: physical interrupts, softirqs, timers, what exits cost.

What is decided is decided by rules; this file strings them together in Xen's order and charges for them.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.x86.lapic import acknowledge, deliverable, end_of_interrupt
from exitless.arch.xen.dpci import Dpci, raise_for
from exitless.arch.xen.dpci import begin as dpci_begin
from exitless.arch.xen.dpci import end as dpci_end
from exitless.arch.xen.pirq import AckType
from exitless.arch.xen.vectors import owner_of
from exitless.bits.words import lowest_of_word, shl
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.moving import Moving
from exitless.sim.state import Event, Irq, Pcpu, Phase, Softirq, Source, Vcpu
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner

# What an exit that is no hypercall was for, in ``Vcpu.call``: 0 the EOI, 1 the timer, and these.
ICR_LOW: Final = 2
ICR_HIGH: Final = 3


class Hypervisor(Moving):
    """Interrupt handling in root mode."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)

    # Physical interrupts.

    def take_interrupts(self, pcpu: Pcpu, resume: i64) -> bool:
        """Interrupts are on in Xen: take one if the local APIC has one. Returns: whether it did."""
        vector: i64 = deliverable(pcpu.lapic)
        if vector < 0:
            return False
        acknowledge(pcpu.lapic)
        self.start_irq(pcpu, vector, resume)
        return True

    def start_irq(self, pcpu: Pcpu, vector: i64, resume: i64) -> None:
        """do_IRQ begins with a vector that the local APIC has already moved into service.

        Maskable MSIs, interprocessor and timer vectors get their EOI at once; only an MSI without a mask bit is held
        until its guest has ended it.
        """
        number: i64 = owner_of(self.vectors, pcpu.number, vector)
        self.row(Kind.HOST_IRQ, pcpu.number, pcpu.current, vector, number)
        pcpu.resume = resume
        if number >= 0:
            self.irqs[number].taken += 1
            self.charge(pcpu, Cost.DOIRQ)
            self.acknowledge_irq(pcpu, self.irqs[number], vector)
        elif vector == HostVector.TIMER:
            self.charge(pcpu, Cost.TIMERIRQ)
        else:
            self.charge(pcpu, Cost.DIRECT)
        if number < 0 or not self.keep_in_service(pcpu, self.irqs[number], vector):
            end_of_interrupt(pcpu.lapic)
            self.row(Kind.LAPIC_EOI, pcpu.number, -1, vector, 0)
        self.begin(pcpu, Phase.IRQ, vector)

    def finish_irq(self, pcpu: Pcpu, vector: i64) -> None:
        """The body of do_IRQ or of a direct vector's handler has run: what it caused happens."""
        pcpu.in_irq = 1
        number: i64 = owner_of(self.vectors, pcpu.number, vector)
        if number >= 0:
            self.device_interrupt(pcpu, self.irqs[number])
        elif vector == HostVector.TIMER:
            pcpu.timer_at = -1
            self.raise_softirq(pcpu, Softirq.TIMER)
        elif vector == self.posted_vector:
            self.raise_softirq(pcpu, Softirq.VCPU_KICK)
        elif vector == self.wakeup_vector:
            self.walk_blocked(pcpu)
        elif vector == HostVector.CALL_FUNCTION:
            self.flush_called(pcpu)
        elif vector == HostVector.MOVE_CLEANUP:
            self.clean_up_moves(pcpu)
        pcpu.in_irq = 0

    def device_interrupt(self, pcpu: Pcpu, irq: Irq) -> None:
        """The guest fan-out of do_IRQ. Cites: Xen irq.c do_IRQ"""
        source: Source = self.sources[irq.source]
        vcpu: Vcpu = self.vcpus[source.vcpu]
        if self.is_too_often(pcpu, irq):
            return
        if irq.ack != AckType.NONE:
            self.mark(pcpu, irq)
        if vcpu.domain.is_pv != 0:
            irq.raised += 1
            self.raise_event(pcpu, vcpu.domain, source.port, vcpu)
        elif raise_for(irq.dpci):
            pcpu.dpci.append(irq.number)
            self.raise_softirq(pcpu, Softirq.HVM_DPCI)
        else:
            irq.merged += 1

    def walk_blocked(self, pcpu: Pcpu) -> None:
        """The wakeup vector: unblock every vCPU on this pCPU's list whose ON is set.

        Cites: Xen vmx.c pi_wakeup_interrupt
        """
        self.charge(pcpu, Cost.WAKELIST)
        for number in list(pcpu.blocked_list):
            vcpu: Vcpu = self.vcpus[number]
            if vcpu.cpu.pid.on != 0:
                self.delist(vcpu)
                self.unblock(pcpu, vcpu)

    def delist(self, vcpu: Vcpu) -> None:
        """Take a vCPU off the list of blocked vCPUs it is on."""
        if vcpu.list_of >= 0:
            self.pcpus[vcpu.list_of].blocked_list.remove(vcpu.number)
            vcpu.list_of = -1

    # Softirqs.

    def start_softirq(self, pcpu: Pcpu) -> None:
        """Serve the lowest softirq that is pending. Cites: Xen softirq.c __do_softirq"""
        number: i64 = lowest_of_word(pcpu.softirqs)
        pcpu.softirqs = pcpu.softirqs & ~shl(1, number)
        self.row(Kind.SOFTIRQ, pcpu.number, pcpu.current, number, 0)
        if number == Softirq.SCHEDULE:
            self.charge(pcpu, Cost.SCHED)
        elif number == Softirq.HVM_DPCI:
            self.charge(pcpu, Cost.DPCI)
        else:
            self.charge(pcpu, Cost.SOFTIRQ)
        self.begin(pcpu, Phase.SOFTIRQ, number)

    def finish_softirq(self, pcpu: Pcpu, number: i64) -> None:
        """The body of a softirq other than SCHEDULE has run."""
        if number == Softirq.TIMER:
            self.expire_timers(pcpu)
        elif number == Softirq.TASKLET:
            waiting: list[i64] = pcpu.tasklets
            pcpu.tasklets = []
            for v in waiting:
                self.assert_callback(pcpu, self.vcpus[v])
        elif number == Softirq.HVM_DPCI:
            records: list[i64] = pcpu.dpci
            pcpu.dpci = []
            for i in records:
                self.dirq_assist(pcpu, self.irqs[i])

    def dirq_assist(self, pcpu: Pcpu, irq: Irq) -> None:
        """hvm_dirq_assist: a PIRQ on an event channel is raised, a guest MSI is delivered.

        Cites: Xen dpci.c hvm_dirq_assist
        """
        source: Source = self.sources[irq.source]
        vcpu: Vcpu = self.vcpus[source.vcpu]
        turn: i64 = dpci_begin(irq.dpci)
        if turn == Dpci.RETRY:
            pcpu.dpci.append(irq.number)
            self.raise_softirq(pcpu, Softirq.HVM_DPCI)
            return
        if turn == Dpci.ASSIST:
            irq.raised += 1
            if source.port >= 0:
                self.raise_event(pcpu, vcpu.domain, source.port, vcpu)
            else:
                self.charge(pcpu, Cost.VMSI)
                if vcpu.cpu.controls.ext_int_exiting == 0:
                    self.charge(pcpu, Cost.FORWARD)
                self.request(pcpu, vcpu, source.vector, 0)
        dpci_end(irq.dpci)

    def expire_timers(self, pcpu: Pcpu) -> None:
        """Run every timer of this pCPU whose deadline has passed. Cites: Xen timer.c timer_softirq_action"""
        if pcpu.slice_end >= 0 and pcpu.slice_end <= self.now:
            pcpu.slice_end = -1
            self.raise_softirq(pcpu, Softirq.SCHEDULE)
        self.scheduler_timers(pcpu)
        for number in list(pcpu.homed):
            v: Vcpu = self.vcpus[number]
            if v.timer_at >= 0 and v.timer_at <= self.now:
                v.timer_at = -1
                self.charge(pcpu, Cost.TIMER_CALLBACK)
                self.guest_timer(pcpu, v)
        if len(self.slow_irqs) > 0:
            self.force_eois(pcpu)
        self.lift_limits(pcpu)
        self.program_timer(pcpu)

    def guest_timer(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """A guest's timer has expired: an event on VIRQ_TIMER's port, or a pending tick of its APIC timer.

        A VIRQ is raised with interrupts disabled, so an HVM guest's callback is left to a tasklet.
        """
        source: Source = self.sources[vcpu.timer_source]
        self.row(Kind.TIMER_FIRE, pcpu.number, vcpu.number, source.number, 0)
        self.assert_source(source)
        if source.port >= 0:
            pcpu.in_irq = 1
            self.raise_event(pcpu, vcpu.domain, source.port, vcpu)
            pcpu.in_irq = 0
        else:
            vcpu.cpu.timer_pending += 1
            self.kick(pcpu, vcpu)

    # Exits.

    def exit_cost(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """Charge for the handler of the exit just taken, by its reason."""
        reason: i64 = vcpu.exit_reason
        if reason == Exit.INTERRUPT_WINDOW:
            self.charge(pcpu, Cost.WINDOW)
        elif reason == Exit.HLT:
            self.charge(pcpu, Cost.HLT)
        elif reason == Exit.VMCALL:
            self.charge(pcpu, Cost.HYPERCALL)
            if vcpu.call_arg >= 0:
                self.charge(pcpu, vcpu.call_arg)
        elif vcpu.call == 0:
            self.charge(pcpu, Cost.EOI_EXIT)
            self.charge(pcpu, Cost.MSIEOI)
        elif vcpu.call == ICR_LOW or vcpu.call == ICR_HIGH:
            if reason == Exit.APIC_ACCESS:
                self.charge(pcpu, Cost.APIC_EMULATION)
            if vcpu.call == ICR_LOW:
                self.charge(pcpu, Cost.ICR)
        else:
            self.charge(pcpu, Cost.APIC_EMULATION)
            self.charge(pcpu, Cost.SETTIMER)

    def owner_row(self, pcpu: Pcpu, owner: i64, why: i64) -> None:
        """Record that another owner runs on this pCPU from now on."""
        self.row(Kind.CPU_OWNER, pcpu.number, pcpu.current, owner, why)

    def enter_xen(self, pcpu: Pcpu) -> None:
        """Root mode begins without an exit: from idle or from a PV guest."""
        self.owner_row(pcpu, Owner.XEN, 0)

    def arm_guest_timer(self, pcpu: Pcpu, vcpu: Vcpu, deadline: i64) -> None:
        """The guest has set its timer."""
        vcpu.timer_at = deadline
        self.timer_is_set(pcpu, self.pcpus[vcpu.pcpu], deadline)

    def schedule_move(self, vcpu: Vcpu, pcpu: i64, when: i64) -> None:
        """The administrator will move a vCPU to another pCPU at ``when``."""
        self.calendar.push(when, Event.MOVE, vcpu.number, pcpu)
