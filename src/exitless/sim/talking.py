"""Guests that talk to each other: paravirtual disks, interprocessor interrupts, and events of the FIFO ABI."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.xen.fifo_guest import guest_consume, guest_take_ready
from exitless.arch.xen.two_level import guest_take_upcall
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.devices.disk import DiskQueue, submit
from exitless.sim.devices.front import Front, backend_finishes, backend_takes, guest_takes
from exitless.sim.guest import UPCALL_EOI, Guests, Op
from exitless.sim.hypervisor import ICR_HIGH, ICR_LOW
from exitless.sim.signals import EVENT_CHANNEL_OP, EVTCHNOP_SEND
from exitless.sim.state import Domain, Event, Mode, Pcpu, Phase, Role, Source, Vcpu
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner

# Operations of these programs, beside those of sim.guest.Op.
OWN_OPERATIONS: Final = 32
TALK: Final = 32
WRITE_ICR_HIGH: Final = 33
WRITE_ICR_LOW: Final = 34
SEND_IPI: Final = 35
BACK_UP: Final = 36
BACK_DOWN: Final = 37
BACK_SEND: Final = 38

# What an operation answers that has gone to Xen as a PV guest's hypercall; no exit reason is this.
PV_CALLED: Final = -9
ICR_PAGE_LOW: Final = 768
ICR_PAGE_HIGH: Final = 784
SENDS: Final = UPCALL_EOI + 1


class Talk:
    """How a vCPU sends its interprocessor interrupts: not at all, by its local APIC, or on an event channel."""

    NONE: Final = 0
    APIC: Final = 1
    EVENT: Final = 2


class Talking(Guests):
    """Programs and handlers of vCPUs that send to others. ``fronts`` has the rings of all paravirtual disks."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.fronts: list[Front] = []

    # What a vCPU does next.

    def plan_base(self, vcpu: Vcpu) -> None:
        """Backends serve their rings first, talking vCPUs talk; all others do as they did."""
        if vcpu.domain.serves != 0:
            if len(self.fronts) > 0 and self.plan_backend(vcpu):
                return
        elif vcpu.talk_by != Talk.NONE and vcpu.polling == 0:
            self.plan_talk(vcpu)
            return
        super().plan_base(vcpu)

    def plan_talk(self, vcpu: Vcpu) -> None:
        """Work until the next interrupt is due, then send it: one hypercall, or the ICR's two halves.

        A guest in x2APIC mode writes the whole of it at once.
        """
        if vcpu.talk_stage == 0:
            self.set_operation(vcpu, TALK, vcpu.chance.exponential(vcpu.talk_ps))
        elif vcpu.talk_by == Talk.EVENT:
            self.set_operation(vcpu, SEND_IPI, 0)
        elif vcpu.talk_stage == 1 and vcpu.cpu.controls.virtualize_apic_accesses != 0:
            self.set_operation(vcpu, WRITE_ICR_HIGH, 0)
        else:
            self.set_operation(vcpu, WRITE_ICR_LOW, 0)

    def plan_backend(self, vcpu: Vcpu) -> bool:
        """Look for work in the rings that this vCPU of dom0 serves. Returns: whether there is some."""
        for number in vcpu.fronts:
            front: Front = self.fronts[number]
            vcpu.serves = number
            if front.tells != 0:
                self.set_operation(vcpu, BACK_SEND, 0)
                return True
            if front.owed > 0:
                self.set_operation(vcpu, BACK_UP, self.costs[Cost.G_BACK])
                return True
            if front.asked > 0:
                self.set_operation(vcpu, BACK_DOWN, self.costs[Cost.G_BACK])
                return True
        return False

    def plan_port(self, vcpu: Vcpu, d: i64) -> None:
        """Find the next port; with the FIFO ABI that takes an event off a queue."""
        super().plan_port(vcpu, d)
        if vcpu.domain.fifo != 0 and vcpu.operation == Op.PORT:
            vcpu.left += self.costs[Cost.G_FIFO_EVENT]

    def after_body(self, vcpu: Vcpu, d: i64) -> None:
        """A handler has run; that of a paravirtual disk tells its backend of new requests."""
        source: Source = self.sources[self.source_by_port(vcpu, vcpu.arg[d])]
        if source.role == Role.FRONT and self.fronts[source.front].fresh > 0:
            front: Front = self.fronts[source.front]
            front.fresh = 0
            vcpu.send_to = front.back_source
            self.assert_source(self.sources[front.back_source])
            vcpu.pc[d] = SENDS
            self.set_call(vcpu, EVENT_CHANNEL_OP, EVTCHNOP_SEND, -1)
            return
        super().after_body(vcpu, d)

    def body_cost(self, vcpu: Vcpu, source: Source) -> i64:
        """Return the cost number of a source's own handler."""
        if source.role == Role.FRONT:
            return Cost.G_FRONT_ISR
        if source.role == Role.BACK:
            return Cost.G_BACK_ISR
        if source.role == Role.IPI:
            return Cost.G_IPI_ISR
        return super().body_cost(vcpu, source)

    # Effects.

    def body_done(self, vcpu: Vcpu, number: i64) -> None:
        """A handler's body has run: rings move on."""
        if number >= 0:
            source: Source = self.sources[number]
            if source.role == Role.FRONT:
                guest_takes(self.fronts[source.front])
                return
            if source.role == Role.BACK:
                backend_takes(self.fronts[source.front])
                return
            k: i64 = self.disk_of_source[number]
            if k >= 0 and self.disks[k].front >= 0:
                self.fronts[self.disks[k].front].owed += self.disks[k].done
                self.disks[k].done = 0
                return
        super().body_done(vcpu, number)

    def own_operation(self, pcpu: Pcpu, vcpu: Vcpu, operation: i64) -> i64:
        """One of these programs' operations is over. Returns: an exit reason, Exit.NONE, or PV_CALLED."""
        if operation == TALK:
            vcpu.talk_to = self.vcpus[self.listener(vcpu)].ipi_source
            vcpu.talk_stage = 1
        elif operation == WRITE_ICR_HIGH:
            vcpu.talk_stage = 2
            index: i64 = self.vcpus[self.sources[vcpu.talk_to].vcpu].index
            return self.write_icr(vcpu, ICR_PAGE_HIGH, index * 16777216, ICR_HIGH)
        elif operation == WRITE_ICR_LOW:
            vcpu.talk_stage = 0
            self.assert_source(self.sources[vcpu.talk_to])
            return self.write_icr(vcpu, ICR_PAGE_LOW, self.sources[vcpu.talk_to].vector, ICR_LOW)
        elif operation == SEND_IPI:
            vcpu.talk_stage = 0
            return self.send_by_vmcall(vcpu, vcpu.talk_to)
        elif operation == BACK_UP:
            backend_finishes(self.fronts[vcpu.serves])
        elif operation == BACK_DOWN:
            self.submit_for(pcpu, vcpu, self.fronts[vcpu.serves])
        elif vcpu.domain.is_pv != 0:
            self.tell_front(pcpu, vcpu, self.fronts[vcpu.serves])
            return PV_CALLED
        else:
            front: Front = self.fronts[vcpu.serves]
            front.tells = 0
            return self.send_by_vmcall(vcpu, front.source)
        return Exit.NONE

    def send_by_vmcall(self, vcpu: Vcpu, source: i64) -> i64:
        """EVTCHNOP_send of a guest that runs by VM entry. Returns: the exit."""
        self.assert_source(self.sources[source])
        vcpu.send_to = source
        vcpu.call = EVENT_CHANNEL_OP
        vcpu.call_op = EVTCHNOP_SEND
        vcpu.call_arg = -1
        vcpu.exit_argument = 0
        return Exit.VMCALL

    def listener(self, vcpu: Vcpu) -> i64:
        """Draw another vCPU of the same guest. Returns: its number."""
        domain: Domain = vcpu.domain
        index: i64 = vcpu.chance.below(domain.vcpus - 1)
        if index >= vcpu.index:
            index += 1
        return domain.first + index

    def write_icr(self, vcpu: Vcpu, offset: i64, value: i64, half: i64) -> i64:
        """The guest writes one half of the ICR. Returns: what the delivery's rules answer."""
        answer: i64 = vcpu.delivery.write_register(vcpu.cpu, offset, value)
        vcpu.exit_argument = vcpu.cpu.operation.qualification
        vcpu.call = half
        return answer

    def submit_for(self, pcpu: Pcpu, vcpu: Vcpu, front: Front) -> None:
        """The backend sends one request to the device."""
        front.asked -= 1
        queue: DiskQueue = self.disks[front.queue]
        after: i64 = submit(queue)
        self.row(Kind.DISK_SUBMIT, pcpu.number, vcpu.number, queue.source, queue.flying)
        self.calendar.push(self.now + after, Event.DISK, queue.number, 0)

    def tell_front(self, pcpu: Pcpu, vcpu: Vcpu, front: Front) -> None:
        """The backend tells the guest that there are answers: EVTCHNOP_send, a PV guest's hypercall."""
        front.tells = 0
        self.assert_source(self.sources[front.source])
        self.row(Kind.HYPERCALL, pcpu.number, vcpu.number, EVENT_CHANNEL_OP, EVTCHNOP_SEND)
        pcpu.mode = Mode.XEN
        self.owner_row(pcpu, Owner.XEN, 0)
        self.charge(pcpu, Cost.HYPERCALL)
        self.begin(pcpu, Phase.PV_CALL, front.source + 1)

    # The FIFO ABI, the guest's side.

    def take_upcall(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The upcall clears evtchn_upcall_pending, then takes the selector, or READY of the FIFO ABI."""
        domain: Domain = vcpu.domain
        if domain.fifo == 0:
            super().take_upcall(pcpu, vcpu)
            return
        guest_take_upcall(vcpu.cpu.info)
        guest_take_ready(domain.blocks[vcpu.index], vcpu.cursor)
        self.row(Kind.UPCALL_ENTER, pcpu.number, vcpu.number, vcpu.cpu.callback_vector, 0)

    def active_port(self, vcpu: Vcpu) -> i64:
        """The next port to handle. With the FIFO ABI: one event of the highest queue that is ready by now.

        Cites: Linux events_fifo.c handle
        """
        domain: Domain = vcpu.domain
        if domain.fifo == 0:
            return super().active_port(vcpu)
        guest_take_ready(domain.blocks[vcpu.index], vcpu.cursor)
        port: i64 = guest_consume(domain.words, domain.blocks[vcpu.index], vcpu.cursor)
        while port == 0:
            port = guest_consume(domain.words, domain.blocks[vcpu.index], vcpu.cursor)
        return port
