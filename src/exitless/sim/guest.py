"""What guests do: interrupt handlers, NAPI polling, ticks, disk completions, halting.

A vCPU's program is a stack of handler frames over a base loop. Each operation lasts some time, then has its
effect; what the effect causes (an exit, a virtualized EOI) is decided by the delivery's rules.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.x86.lapic import end_of_interrupt
from exitless.arch.xen import fifo_guest
from exitless.arch.xen.pirq import NEEDS_EOI, irq_status
from exitless.arch.xen.two_level import PORTS, guest_clear_pending, guest_take_selector, guest_take_upcall, is_active
from exitless.bits.words import PACKED, has_bit, lowest_of_word, shl
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.devices.disk import DiskQueue, complete, submit
from exitless.sim.devices.nic import Nic, NicQueue, arrive, next_frame_ps
from exitless.sim.hypervisor import Hypervisor
from exitless.sim.state import Event, Pcpu, Source, Vcpu
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind

NAPI_BUDGET: Final = 64
APPLICATION_BATCH: Final = 4
TIMER_INITIAL: Final = 896
PHYSDEV_OP: Final = 33
VCPU_OP: Final = 24
PHYSDEVOP_EOI: Final = 12
# Where in an upcall frame a guest with an upcall vector begins.
UPCALL_EOI: Final = 8
VCPUOP_SET_SINGLESHOT: Final = 8


class Frame:
    """Kinds of handler frames."""

    VECTOR: Final = 1
    UPCALL: Final = 2


class Op:
    """Operations of guest programs."""

    NONE: Final = 0
    HLT: Final = 1
    POLL: Final = 2
    BODY: Final = 3
    EOI: Final = 4
    IRET: Final = 5
    UPCALL: Final = 6
    PORT: Final = 7
    CALL: Final = 8
    ARM: Final = 9
    WORK: Final = 10
    BLOCK: Final = 11
    APPLICATION: Final = 12


class Guests(Hypervisor):
    """Guest programs and the devices they drive."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.nics: list[Nic] = []
        self.nic_queues: list[NicQueue] = []
        self.disks: list[DiskQueue] = []
        self.disk_of_source: list[i64] = []
        self.queue_of_source: list[i64] = []

    def source_by_vector(self, vcpu: Vcpu, vector: i64) -> i64:
        """Which source's handler a guest vector runs, -1 for none."""
        for number in vcpu.sources:
            s: Source = self.sources[number]
            if s.vector == vector and s.port < 0:
                return number
        return -1

    def source_by_port(self, vcpu: Vcpu, port: i64) -> i64:
        """Which source's handler a port runs, -1 for none."""
        for number in vcpu.sources:
            if self.sources[number].port == port:
                return number
        return -1

    def push_frame(self, vcpu: Vcpu, kind: i64, argument: i64) -> None:
        """A handler starts; what was under way waits."""
        d: i64 = vcpu.depth
        vcpu.kind[d] = kind
        vcpu.pc[d] = 0
        vcpu.arg[d] = argument
        vcpu.saved[d] = vcpu.operation
        vcpu.saved_left[d] = vcpu.left
        vcpu.left = -1
        vcpu.depth = d + 1

    def pop_frame(self, vcpu: Vcpu) -> None:
        """A handler has returned; what it interrupted goes on."""
        d: i64 = vcpu.depth - 1
        vcpu.depth = d
        vcpu.operation = vcpu.saved[d]
        vcpu.left = vcpu.saved_left[d]

    def plan(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """Choose the next operation and how long it lasts."""
        if vcpu.depth == 0:
            self.plan_base(vcpu)
        elif vcpu.kind[vcpu.depth - 1] == Frame.VECTOR:
            self.plan_vector(pcpu, vcpu, vcpu.depth - 1)
        else:
            self.plan_upcall(pcpu, vcpu, vcpu.depth - 1)

    def plan_base(self, vcpu: Vcpu) -> None:
        """Nothing is being handled: poll, work, or halt."""
        if vcpu.domain.serves != 0:
            if vcpu.backlog > 0:
                self.set_operation(vcpu, Op.WORK, self.costs[Cost.G_DISK_DONE])
            elif vcpu.domain.is_pv != 0:
                self.set_operation(vcpu, Op.BLOCK, 0)
            else:
                self.set_operation(vcpu, Op.HLT, 0)
        elif vcpu.polling != 0:
            n: i64 = self.nic_queues[lowest_of_word(vcpu.polling)].ring
            if n > NAPI_BUDGET:
                n = NAPI_BUDGET
            vcpu.backlog = n
            self.set_operation(vcpu, Op.POLL, self.costs[Cost.G_NAPI_POLL] + n * self.costs[Cost.G_FRAME])
        elif vcpu.unread > 0 or vcpu.busy != 0:
            self.set_operation(vcpu, Op.APPLICATION, APPLICATION_BATCH * self.costs[Cost.G_APPLICATION])
        else:
            self.set_operation(vcpu, Op.HLT, 0)

    def set_operation(self, vcpu: Vcpu, operation: i64, ps: i64) -> None:
        """Start an operation."""
        vcpu.operation = operation
        vcpu.left = ps

    def plan_vector(self, pcpu: Pcpu, vcpu: Vcpu, d: i64) -> None:
        """A handler reached through the guest's IDT: body, timer, EOI, IRET."""
        pc: i64 = vcpu.pc[d]
        number: i64 = self.source_by_vector(vcpu, vcpu.arg[d])
        if pc == 0:
            body: i64 = 0
            if number >= 0:
                self.handle_source(self.sources[number], pcpu.number)
                body = self.costs[self.body_cost(vcpu, self.sources[number])]
            self.set_operation(vcpu, Op.BODY, self.costs[Cost.G_IRQ_ENTRY] + body)
        elif pc == 1 and number >= 0 and number == vcpu.timer_source:
            self.set_operation(vcpu, Op.ARM, 0)
        elif pc <= 2:
            vcpu.pc[d] = 2
            self.set_operation(vcpu, Op.EOI, self.costs[Cost.EOI_VIRT])
        else:
            self.set_operation(vcpu, Op.IRET, self.costs[Cost.G_IRET])

    def plan_upcall(self, pcpu: Pcpu, vcpu: Vcpu, d: i64) -> None:
        """The event-channel upcall: take the selector, then each port: acknowledge, EOI hypercall, handler.

        An upcall that came through the local APIC begins with its EOI. Cites: Linux enlighten_hvm.c callback
        """
        pc: i64 = vcpu.pc[d]
        if pc == 0:
            self.set_operation(vcpu, Op.UPCALL, self.costs[Cost.G_IRQ_ENTRY] + self.costs[Cost.GUESTLOOP])
        elif pc == 1:
            self.plan_port(vcpu, d)
        elif pc == 2:
            self.set_call(vcpu, PHYSDEV_OP, PHYSDEVOP_EOI, Cost.PIRQEOI)
        elif pc == 3:
            source: Source = self.sources[self.source_by_port(vcpu, vcpu.arg[d])]
            self.handle_source(source, pcpu.number)
            self.set_operation(vcpu, Op.BODY, self.costs[self.body_cost(vcpu, source)])
        elif pc == 4:
            if vcpu.timer_source >= 0 and vcpu.arg[d] == self.sources[vcpu.timer_source].port:
                self.set_call(vcpu, VCPU_OP, VCPUOP_SET_SINGLESHOT, Cost.SETTIMER)
            else:
                vcpu.pc[d] = 1
                self.after_body(vcpu, d)
        elif pc == UPCALL_EOI:
            self.set_operation(vcpu, Op.EOI, self.costs[Cost.EOI_VIRT])
        else:
            self.set_operation(vcpu, Op.IRET, self.costs[Cost.G_IRET])

    def plan_port(self, vcpu: Vcpu, d: i64) -> None:
        """Find the next active port in the guest's copy of the selector; without one, look for a new upcall."""
        port: i64 = self.active_port(vcpu)
        if port >= 0:
            vcpu.arg[d] = port
            self.set_operation(vcpu, Op.PORT, self.costs[Cost.G_DISPATCH])
        elif vcpu.cpu.info.upcall_pending != 0:
            vcpu.pc[d] = 0
            self.set_operation(vcpu, Op.UPCALL, self.costs[Cost.GUESTLOOP])
        else:
            vcpu.pc[d] = 7
            self.set_operation(vcpu, Op.IRET, self.costs[Cost.G_IRET])

    def after_body(self, vcpu: Vcpu, d: i64) -> None:
        """A port's handler has run: on to the next port."""
        self.plan_port(vcpu, d)

    def body_cost(self, vcpu: Vcpu, source: Source) -> i64:
        """Return the cost number of a source's own handler."""
        if source.number == vcpu.timer_source:
            return Cost.G_TICK
        if self.disk_of_source[source.number] >= 0:
            return Cost.G_DISK_ISR
        return Cost.G_NIC_ISR

    def set_call(self, vcpu: Vcpu, number: i64, sub: i64, cost: i64) -> None:
        """The next instruction is a hypercall."""
        vcpu.call = number
        vcpu.call_op = sub
        vcpu.call_arg = cost
        self.set_operation(vcpu, Op.CALL, 0)

    # Effects. Each answers an exit reason, or Exit.NONE.

    def body_done(self, vcpu: Vcpu, number: i64) -> None:
        """A source's handler body has run."""
        if number < 0:
            return
        q: i64 = self.queue_of_source[number]
        if q >= 0:
            vcpu.polling = vcpu.polling | shl(1, q)
            return
        k: i64 = self.disk_of_source[number]
        if k >= 0:
            vcpu.backlog += self.disks[k].done
            self.disks[k].done = 0

    def end_interrupt(self, pcpu: Pcpu, vcpu: Vcpu, vector: i64) -> i64:
        """The guest writes EOI: what the delivery's rules make of it."""
        answer: i64 = vcpu.delivery.end(vcpu.cpu)
        exits: i64 = 0
        if answer == Access.PHYSICAL:
            ended: i64 = end_of_interrupt(pcpu.lapic)
            self.row(Kind.LAPIC_EOI, pcpu.number, vcpu.number, ended, 0)
            answer = Exit.NONE
        elif answer != Exit.NONE:
            exits = 1
        self.row(Kind.IRQ_EOI, pcpu.number, vcpu.number, vector, exits)
        if exits != 0:
            vcpu.exit_argument = vcpu.cpu.operation.qualification
            vcpu.call = 0
        return answer

    def arm_timer(self, vcpu: Vcpu) -> i64:
        """The guest's tick handler writes the initial-count register for its next tick."""
        answer: i64 = vcpu.delivery.write_register(vcpu.cpu, TIMER_INITIAL, 1)
        vcpu.exit_argument = vcpu.cpu.operation.qualification
        vcpu.call = 1
        return answer

    def take_upcall(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The upcall clears evtchn_upcall_pending, then exchanges the selector for zero."""
        guest_take_upcall(vcpu.cpu.info)
        guest_take_selector(vcpu.cpu.info, vcpu.cpu.selector)
        self.row(Kind.UPCALL_ENTER, pcpu.number, vcpu.number, vcpu.cpu.callback_vector, 0)

    def acknowledge_port(self, pcpu: Pcpu, vcpu: Vcpu, d: i64) -> None:
        """The channel's chip acknowledges: clears pending; a PIRQ of an HVM guest then needs an EOI hypercall.

        Xen always says that it needs one, and an HVM guest cannot use the shared bitmap.
        Cites: Xen physdev.c irq_status_query
        """
        port: i64 = vcpu.arg[d]
        if vcpu.domain.fifo != 0:
            fifo_guest.guest_clear_pending(vcpu.domain.words, port)
        else:
            guest_clear_pending(vcpu.domain.shared, port)
        self.row(Kind.PORT_CLEAR, pcpu.number, vcpu.number, port, 0)
        source: Source = self.sources[self.source_by_port(vcpu, port)]
        vcpu.last_port = port
        if vcpu.domain.is_pv == 0 and source.irq >= 0 and irq_status(0) & NEEDS_EOI != 0:
            vcpu.pc[d] = 2
            if source.forgets > 0 and source.delivered % source.forgets == source.forgets - 1:
                vcpu.pc[d] = 3
        else:
            vcpu.pc[d] = 3

    def poll_done(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """NAPI has taken a batch; with an empty ring the queue may interrupt again."""
        q: i64 = lowest_of_word(vcpu.polling)
        queue: NicQueue = self.nic_queues[q]
        queue.ring -= vcpu.backlog
        vcpu.unread += vcpu.backlog
        self.row(Kind.NIC_POLL, pcpu.number, vcpu.number, vcpu.backlog, queue.ring)
        vcpu.backlog = 0
        if queue.ring == 0:
            vcpu.polling = vcpu.polling & ~shl(1, q)
            queue.masked = 0
            queue.cause = 0

    def application_done(self, vcpu: Vcpu) -> None:
        """The application has read a few frames."""
        vcpu.unread -= APPLICATION_BATCH
        if vcpu.unread < 0:
            vcpu.unread = 0

    # Devices.

    def frame_arrives(self, nic: Nic) -> None:
        """A frame is in memory; its queue asserts if it may."""
        q: i64 = arrive(nic)
        if q < 0:
            self.row(Kind.NIC_DROP, -1, -1, 1, 0)
        else:
            self.try_assert(nic, nic.queues[q])
        self.calendar.push(self.now + next_frame_ps(nic), Event.FRAME, nic.number, 0)

    def try_assert(self, nic: Nic, queue: NicQueue) -> None:
        """Assert a queue's vector if it has cause, is not masked and its throttle interval is over."""
        if queue.cause == 0 or queue.masked != 0:
            return
        if self.now < queue.quiet_until:
            if queue.waiting == 0:
                queue.waiting = 1
                self.calendar.push(queue.quiet_until, Event.THROTTLE, queue.number, 0)
            return
        queue.cause = 0
        queue.masked = 1
        queue.quiet_until = self.now + nic.throttle_ps
        self.assert_msi(self.sources[queue.source])

    def disk_completes(self, queue: DiskQueue) -> None:
        """The controller finishes a request and interrupts."""
        complete(queue)
        self.assert_msi(self.sources[queue.source])

    def submit_disk(self, vcpu: Vcpu) -> None:
        """dom0 has finished with one completion and sends the next request."""
        vcpu.backlog -= 1
        for queue in self.disks:
            if self.sources[queue.source].vcpu == vcpu.number and queue.front < 0:
                after: i64 = submit(queue)
                self.row(Kind.DISK_SUBMIT, vcpu.cpu.running_on, vcpu.number, queue.source, queue.flying)
                self.calendar.push(self.now + after, Event.DISK, queue.number, 0)
                return

    def active_port(self, vcpu: Vcpu) -> i64:
        """The next port that is pending, unmasked, in a selected word and bound to this vCPU; -1 for none.

        VIRQ_TIMER goes first; then round robin from behind the port handled last. The binding is Linux's per-CPU mask,
        without which one vCPU would take another's events.
        Cites: Linux events_2l.c evtchn_2l_handle_events
        """
        best: i64 = -1
        nearest: i64 = PORTS
        for number in vcpu.sources:
            s: Source = self.sources[number]
            port: i64 = s.port
            if port >= 0:
                after: i64 = (port - vcpu.last_port - 1) & (PORTS - 1)
                if s.number == vcpu.timer_source:
                    after = -1
                if after < nearest and has_bit(vcpu.cpu.selector, 0, PACKED, port >> 6):
                    if is_active(vcpu.domain.shared, port):
                        best = port
                        nearest = after
        return best
