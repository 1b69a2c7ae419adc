"""Guest execution: instruction boundaries, operations, exits."""

from mypy_extensions import i64

from exitless.arch.outcome import Boundary
from exitless.arch.vmx.boundary import arbitrate
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt
from exitless.arch.x86.lapic import acknowledge, deliverable, end_of_interrupt
from exitless.arch.xen.callback import Callback
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.guest import UPCALL_EOI, Frame, Op
from exitless.sim.state import Event, Mode, Pcpu, Phase, Vcpu
from exitless.sim.talking import OWN_OPERATIONS, PV_CALLED, Talking
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner


class Execution(Talking):
    """Guests that run on pCPUs, and leave them."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)

    def enter_root(self, pcpu: Pcpu) -> None:
        """Xen runs on this pCPU without a VM exit having brought it there."""
        pcpu.mode = Mode.XEN
        self.owner_row(pcpu, Owner.XEN, 0)

    def pause(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The guest's operation is interrupted; what is left of it waits."""
        if vcpu.left >= 0:
            vcpu.left -= self.now - vcpu.run_from
            if vcpu.left < 0:
                vcpu.left = 0

    def go_on(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The guest's program runs: plan its next operation if none is under way, and await its end."""
        if vcpu.left < 0:
            self.plan(pcpu, vcpu)
        pcpu.phase = Phase.NONE
        pcpu.generation = (pcpu.generation + 1) & 1073741823
        vcpu.run_from = self.now
        self.calendar.push(self.now + vcpu.left, Event.OPERATION, pcpu.number, pcpu.generation)

    def guest_boundary(self, pcpu: Pcpu, vcpu: Vcpu, fresh: bool) -> None:
        """An instruction boundary in a guest: take what the arbiter lets through, else go on.

        ``fresh`` says that no operation's end is awaited, so that the program must be set going.
        """
        waiting: bool = fresh
        while True:
            cpu = vcpu.cpu
            answer: i64 = arbitrate(cpu.vapic, cpu.state, cpu.controls, deliverable(pcpu.lapic) >= 0)
            if answer == Boundary.NOTHING:
                if waiting:
                    self.go_on(pcpu, vcpu)
                return
            if not waiting:
                self.pause(pcpu, vcpu)
                waiting = True
            if answer == Boundary.VIRTUAL_INTERRUPT:
                self.deliver(pcpu, vcpu)
            elif answer == Boundary.WINDOW_EXIT:
                self.vm_exit(pcpu, vcpu, Exit.INTERRUPT_WINDOW, 0)
                return
            else:
                vector: i64 = acknowledge(pcpu.lapic)
                if answer == Boundary.GUEST_INTERRUPT:
                    if self.take_directly(pcpu, vcpu, vector):
                        continue
                    self.vm_exit(pcpu, vcpu, Exit.EXCEPTION_NMI, vector)
                    return
                if vcpu.delivery.arrive(cpu, vector):
                    self.processing(pcpu, vcpu, vector)
                else:
                    self.vm_exit(pcpu, vcpu, Exit.EXTERNAL_INTERRUPT, vector)
                return

    def deliver(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The processor delivers the recognized virtual interrupt."""
        vector: i64 = deliver_virtual_interrupt(vcpu.cpu.vapic)
        self.row(Kind.IRQ_DELIVER, pcpu.number, vcpu.number, vector, vcpu.cpu.vapic.rvi)
        self.guest_handler(vcpu, vector)

    def take_directly(self, pcpu: Pcpu, vcpu: Vcpu, vector: i64) -> bool:
        """Without external-interrupt exiting a physical vector goes through the shadow IDT: present for the guest's
        own device only; any other gate is not present and faults into an exit. Cites: ELI shadow-idt
        """
        number: i64 = self.source_by_vector(vcpu, vector)
        if number < 0 or self.sources[number].irq < 0:
            return False
        self.row(Kind.IRQ_DELIVER, pcpu.number, vcpu.number, vector, 0)
        self.guest_handler(vcpu, vector)
        return True

    def guest_handler(self, vcpu: Vcpu, vector: i64) -> None:
        """The guest's IDT leads to a handler, which starts with interrupts off."""
        vcpu.cpu.state.interrupt_flag = 0
        if vcpu.cpu.callback_style != Callback.NONE and vector == vcpu.cpu.callback_vector:
            self.push_frame(vcpu, Frame.UPCALL, 0)
            if vcpu.cpu.callback_style == Callback.UPCALL_VECTOR:
                vcpu.pc[vcpu.depth - 1] = UPCALL_EOI
        else:
            self.push_frame(vcpu, Frame.VECTOR, vector)

    def processing(self, pcpu: Pcpu, vcpu: Vcpu, vector: i64) -> None:
        """Posted-interrupt processing holds the guest up for a moment and cannot be interrupted."""
        end_of_interrupt(pcpu.lapic)
        self.row(Kind.LAPIC_EOI, pcpu.number, vcpu.number, vector, 0)
        self.row(Kind.PID_PROCESS, pcpu.number, vcpu.number, vector, vcpu.cpu.vapic.rvi)
        self.charge(pcpu, Cost.NOTIFY)
        self.begin(pcpu, Phase.PROCESSING, vector)

    def vm_exit(self, pcpu: Pcpu, vcpu: Vcpu, reason: i64, argument: i64) -> None:
        """The guest exits; recognition of a virtual interrupt is forgotten until the next entry."""
        pcpu.mode = Mode.XEN
        vcpu.cpu.vapic.recognized = 0
        vcpu.exit_reason = reason
        vcpu.exit_argument = argument
        self.row(Kind.VM_EXIT, pcpu.number, vcpu.number, reason, argument)
        self.owner_row(pcpu, Owner.XEN, reason + 1)
        if reason == Exit.VMCALL:
            self.row(Kind.HYPERCALL, pcpu.number, vcpu.number, vcpu.call, vcpu.call_op)
        self.charge(pcpu, Cost.EXIT)
        self.begin(pcpu, Phase.EXITED, reason)

    def operation_over(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The guest's operation has run its time: its effect happens, and it may exit."""
        vcpu.left = -1
        operation: i64 = vcpu.operation
        d: i64 = vcpu.depth - 1
        answer: i64 = Exit.NONE
        if operation == Op.BODY:
            number: i64 = -1
            if vcpu.kind[d] == Frame.VECTOR:
                number = self.source_by_vector(vcpu, vcpu.arg[d])
                vcpu.pc[d] = 1
            else:
                number = self.source_by_port(vcpu, vcpu.arg[d])
                vcpu.pc[d] = 4
            self.body_done(vcpu, number)
        elif operation == Op.POLL:
            self.poll_done(pcpu, vcpu)
        elif operation == Op.EOI:
            answer = self.end_of_handler(pcpu, vcpu, d)
        elif operation == Op.IRET:
            self.handler_returns(pcpu, vcpu, d)
        elif operation == Op.UPCALL:
            self.take_upcall(pcpu, vcpu)
            vcpu.pc[d] = 1
        elif operation == Op.PORT:
            self.acknowledge_port(pcpu, vcpu, d)
        elif operation == Op.CALL:
            vcpu.pc[d] += 1
            if vcpu.pc[d] == 5 or vcpu.pc[d] > UPCALL_EOI:
                vcpu.pc[d] = 1
            vcpu.exit_argument = 0
            answer = Exit.VMCALL
        elif operation == Op.ARM:
            vcpu.pc[d] = 2
            answer = self.arm_timer(vcpu)
            if answer == Exit.NONE:
                self.arm_guest_timer(pcpu, vcpu, self.now + vcpu.period)
        elif operation == Op.HLT:
            vcpu.exit_argument = 0
            answer = Exit.HLT
        elif operation == Op.APPLICATION:
            self.application_done(vcpu)
        elif operation == Op.WORK:
            self.submit_disk(vcpu)
        elif operation == Op.BLOCK:
            self.enter_root(pcpu)
            self.charge(pcpu, Cost.HYPERCALL)
            self.begin(pcpu, Phase.PV_CALL, 0)
            return
        elif operation >= OWN_OPERATIONS:
            answer = self.own_operation(pcpu, vcpu, operation)
            if answer == PV_CALLED:
                return
        if answer != Exit.NONE:
            self.vm_exit(pcpu, vcpu, answer, vcpu.exit_argument)
        elif pcpu.mode == Mode.PV:
            self.go_on(pcpu, vcpu)
        else:
            self.guest_boundary(pcpu, vcpu, True)

    def end_of_handler(self, pcpu: Pcpu, vcpu: Vcpu, d: i64) -> i64:
        """The handler writes EOI for its vector."""
        if vcpu.kind[d] == Frame.UPCALL:
            vcpu.pc[d] = 0
            return self.end_interrupt(pcpu, vcpu, vcpu.cpu.callback_vector)
        vcpu.pc[d] = 3
        return self.end_interrupt(pcpu, vcpu, vcpu.arg[d])

    def handler_returns(self, pcpu: Pcpu, vcpu: Vcpu, d: i64) -> None:
        """IRET: interrupts are on again; a PV guest finds a new upcall by itself."""
        vector: i64 = vcpu.arg[d]
        if vcpu.kind[d] == Frame.UPCALL:
            vector = vcpu.cpu.callback_vector
        self.row(Kind.IRQ_RETURN, pcpu.number, vcpu.number, vector, 0)
        self.pop_frame(vcpu)
        vcpu.cpu.state.interrupt_flag = 1
        if vcpu.domain.is_pv != 0:
            vcpu.cpu.info.upcall_mask = 0
            self.pv_upcall(vcpu)

    def pv_upcall(self, vcpu: Vcpu) -> None:
        """A PV guest takes its upcall if one is pending and not masked; the frame masks further ones."""
        if vcpu.cpu.info.upcall_pending != 0 and vcpu.cpu.info.upcall_mask == 0:
            vcpu.cpu.info.upcall_mask = 1
            self.push_frame(vcpu, Frame.UPCALL, 0)
