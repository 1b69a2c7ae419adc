"""Root mode: a pCPU in Xen goes through phases; at the end of each its effect happens and the next begins.

Interrupts are taken between phases where Xen has them enabled.
"""

from mypy_extensions import i64

from exitless.arch.vmx.eoi import software_eoi
from exitless.arch.vmx.injection import highest_requested
from exitless.errors import Impossible
from exitless.mech.procedures.assist import has_deliverable, intr_assist
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.guest import PHYSDEV_OP, VCPU_OP
from exitless.sim.hypervisor import ICR_HIGH, ICR_LOW
from exitless.sim.signals import EVENT_CHANNEL_OP
from exitless.sim.state import Mode, Pcpu, Phase, Resume, Softirq, Vcpu
from exitless.sim.workload import FIRST_HOST_VECTOR, Workload
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner, RunState


class Root(Workload):
    """The phases of Xen's path from an exit, an interrupt or a hypercall back to a guest or to idle."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.just_entered: i64 = -1

    def phase_over(self, pcpu: Pcpu) -> None:
        """A pCPU's phase is over: its effect happens."""
        phase: i64 = pcpu.phase
        argument: i64 = pcpu.argument
        pcpu.phase = Phase.NONE
        if phase == Phase.EXITED:
            self.exited(pcpu, self.vcpus[pcpu.current], argument)
        elif phase == Phase.IRQ:
            self.finish_irq(pcpu, argument)
            if not self.take_interrupts(pcpu, pcpu.resume):
                self.resume_path(pcpu)
        elif phase == Phase.ASSIST:
            self.assist_over(pcpu, self.vcpus[pcpu.current])
        elif phase == Phase.ENTRY:
            self.vm_entry(pcpu, self.vcpus[pcpu.current])
        elif phase == Phase.SOFTIRQ:
            self.softirq_over(pcpu, argument)
        elif phase == Phase.HANDLER:
            self.exit_handler(pcpu, self.vcpus[pcpu.current], argument)
            if not self.take_interrupts(pcpu, Resume.EXIT_PATH):
                self.start_assist(pcpu)
        elif phase == Phase.PROCESSING:
            self.guest_boundary(pcpu, self.vcpus[pcpu.current], True)
        elif phase == Phase.SWITCH:
            self.switch_state(pcpu, self.vcpus[pcpu.current])
            self.context_saved(pcpu)
            self.after_schedule(pcpu)
        elif phase == Phase.PV_RETURN:
            self.pv_return(pcpu, self.vcpus[pcpu.current])
        elif phase == Phase.PV_CALL:
            self.pv_call(pcpu, self.vcpus[pcpu.current], argument)
        elif phase == Phase.DYING or phase == Phase.DRAINING:
            self.goes_offline(pcpu, phase)
        else:
            raise Impossible("a pCPU's phase has no meaning")

    def goes_offline(self, pcpu: Pcpu, phase: i64) -> None:
        """A phase of a pCPU that goes offline is over."""
        raise Impossible("only a host that stops has a pCPU that goes offline")

    def window_goes_on(self, pcpu: Pcpu) -> None:
        """A pCPU that goes offline has handled an interrupt that came before."""
        raise Impossible("only a host that stops has a pCPU that goes offline")

    def exited(self, pcpu: Pcpu, vcpu: Vcpu, reason: i64) -> None:
        """The exit itself is over: the handler of its reason begins."""
        if reason == Exit.EXTERNAL_INTERRUPT or (
            reason == Exit.EXCEPTION_NMI and vcpu.exit_argument >= FIRST_HOST_VECTOR
        ):
            self.start_irq(pcpu, vcpu.exit_argument, Resume.EXIT_PATH)
            return
        self.exit_cost(pcpu, vcpu)
        self.begin(pcpu, Phase.HANDLER, reason)

    def exit_handler(self, pcpu: Pcpu, vcpu: Vcpu, reason: i64) -> None:
        """The handler of an exit reason has run."""
        if reason == Exit.INTERRUPT_WINDOW:
            vcpu.cpu.vapic.window_exiting = 0
        elif reason == Exit.HLT:
            self.halt(pcpu, vcpu)
        elif reason == Exit.VMCALL:
            self.hypercall(pcpu, vcpu)
        elif reason == Exit.EXCEPTION_NMI:
            return
        elif reason == Exit.EOI_INDUCED:
            self.guest_ends_vector(pcpu, vcpu, vcpu.exit_argument)
        elif vcpu.call == 0:
            ended: i64 = software_eoi(vcpu.cpu.vapic)
            vcpu.cpu.forwarded = -1
            self.guest_ends_vector(pcpu, vcpu, ended)
        elif vcpu.call == ICR_LOW:
            self.send_by_icr(pcpu, vcpu.talk_to)
        elif vcpu.call != ICR_HIGH:
            self.arm_guest_timer(pcpu, vcpu, self.now + vcpu.period)

    def hypercall(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """What a hypercall is for: the guest's timer, an event to send, the EOI of a PIRQ."""
        if vcpu.call == VCPU_OP:
            self.arm_guest_timer(pcpu, vcpu, self.now + vcpu.period)
        elif vcpu.call == EVENT_CHANNEL_OP:
            self.send_event(pcpu, vcpu.send_to)
        elif vcpu.call == PHYSDEV_OP and len(self.slow_irqs) > 0:
            source: i64 = self.source_by_port(vcpu, vcpu.arg[vcpu.depth - 1])
            self.guest_ends(pcpu, self.irqs[self.sources[source].irq])

    def halt(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """HLT: block, unless something deliverable is pending. The flag is set first, the question asked second.

        Cites: Xen core.c vcpu_block, Xen vmx.c vmx_vcpu_block
        """
        cpu = vcpu.cpu
        cpu.blocked = 1
        if cpu.has_hooks != 0:
            if vcpu.list_of < 0:
                vcpu.list_of = pcpu.number
                pcpu.blocked_list.append(vcpu.number)
            cpu.pid.nv = self.wakeup_vector
            self.row(Kind.PID_CONTROL, pcpu.number, vcpu.number, cpu.pid.nv, cpu.pid.sn)
        stays: i64 = 0
        self.assist.synced = 0
        if cpu.timer_pending > 0 or has_deliverable(cpu, vcpu.delivery, self.assist):
            cpu.blocked = 0
            stays = 1
        else:
            self.raise_softirq(pcpu, Softirq.SCHEDULE)
        if self.assist.synced != 0:
            self.row(Kind.PIR_SYNC, pcpu.number, vcpu.number, 1, highest_requested(cpu.vapic))
        self.row(Kind.GUEST_HLT, pcpu.number, vcpu.number, stays, 0)

    def start_assist(self, pcpu: Pcpu) -> None:
        """The way back into the guest begins.

        A vCPU that has just blocked passes vmx_intr_assist before its softirq is seen. With VT-d posting that pass can
        take a post's ON away from the wakeup handler; whether Xen loses the wake-up so is confirmed by nobody, so the
        order as its source reads is a switch.
        """
        cpu = self.vcpus[pcpu.current].cpu
        if cpu.blocked != 0 and cpu.has_hooks != 0 and self.assist_while_blocked == 0 and pcpu.softirqs != 0:
            self.start_softirq(pcpu)
            return
        self.charge(pcpu, Cost.ASSIST)
        if self.vcpus[pcpu.current].cpu.pid.on != 0:
            self.charge(pcpu, Cost.PIRSYNC)
        self.begin(pcpu, Phase.ASSIST, 0)

    def assist_over(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """One pass of vmx_intr_assist has run; interrupts were on, and softirqs send it round again."""
        out = self.assist
        cpu = vcpu.cpu
        intr_assist(cpu, vcpu.delivery, out)
        if out.synced != 0:
            self.row(Kind.PIR_SYNC, pcpu.number, vcpu.number, 1, highest_requested(cpu.vapic))
        if out.window_first >= 0:
            self.row(Kind.IRQ_WINDOW, pcpu.number, vcpu.number, out.window_first, out.source)
        if cpu.vapic.rvi != out.rvi_before:
            self.row(Kind.RVI_WRITE, pcpu.number, vcpu.number, out.rvi_before, cpu.vapic.rvi)
            self.charge(pcpu, Cost.VMREAD)
            self.charge(pcpu, Cost.VMWRITE)
        if out.eoi_map_written != 0:
            self.charge(pcpu, Cost.VMWRITE)
            self.eoi_map_rows(pcpu, vcpu)
        if out.injected >= 0:
            self.row(Kind.IRQ_INJECT, pcpu.number, vcpu.number, out.injected, out.source)
        if out.window_after >= 0:
            self.row(Kind.IRQ_WINDOW, pcpu.number, vcpu.number, out.window_after, out.after_source)
        if not self.take_interrupts(pcpu, Resume.ASSIST_TAIL):
            self.assist_tail(pcpu)

    def eoi_map_rows(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The EOI-exit bitmap has been written: record the words that are not what they were."""
        i: i64 = 0
        while i < 8:
            word: i64 = vcpu.cpu.vapic.eoi_exit[i]
            if vcpu.eoi_map[i] != word:
                vcpu.eoi_map[i] = word
                self.row(Kind.EOI_MAP, pcpu.number, vcpu.number, i, word)
            i += 1

    def assist_tail(self, pcpu: Pcpu) -> None:
        """Interrupts go off; a pending softirq sends Xen back, otherwise the entry begins."""
        if pcpu.softirqs != 0:
            self.start_softirq(pcpu)
            return
        self.charge(pcpu, Cost.ENTRY)
        if self.vcpus[pcpu.current].cpu.state.entry_vector >= 0:
            self.charge(pcpu, Cost.INJECT)
        self.begin(pcpu, Phase.ENTRY, 0)

    def vm_entry(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The guest is entered; with posting, notifications come to this vCPU again from here on.

        Cites: Xen vmx.c vmx_pi_do_resume
        """
        cpu = vcpu.cpu
        if cpu.has_hooks != 0:
            if cpu.pid.nv != self.posted_vector:
                self.row(Kind.PID_CONTROL, pcpu.number, vcpu.number, self.posted_vector, cpu.pid.sn)
            cpu.pid.nv = self.posted_vector
            self.delist(vcpu)
        pcpu.mode = Mode.GUEST
        self.just_entered = vcpu.number
        injected: i64 = vcpu.delivery.enter(cpu)
        self.row(Kind.VM_ENTRY, pcpu.number, vcpu.number, injected, cpu.vapic.rvi)
        self.owner_row(pcpu, Owner.DOM0 if vcpu.domain.serves != 0 else Owner.GUEST, 0)
        if injected >= 0:
            self.guest_handler(vcpu, injected)
        self.guest_boundary(pcpu, vcpu, True)

    def softirq_over(self, pcpu: Pcpu, number: i64) -> None:
        """A softirq's body has run."""
        if number == Softirq.SCHEDULE:
            if not self.reschedule(pcpu):
                self.after_schedule(pcpu)
            return
        self.finish_softirq(pcpu, number)
        if not self.take_interrupts(pcpu, Resume.SOFTIRQ_LOOP):
            self.loop(pcpu)

    def reschedule(self, pcpu: Pcpu) -> bool:
        """The scheduler chooses. Returns: True when a context switch has begun, which takes over from here."""
        pcpu.tickled = 0
        chosen: i64 = self.choose(pcpu)
        if chosen == pcpu.current:
            self.timer_is_set(pcpu, pcpu, pcpu.slice_end)
            return False
        before: i64 = pcpu.current
        next_vcpu: Vcpu = self.vcpus[0]
        if chosen >= 0:
            next_vcpu = self.vcpus[chosen]
            self.take_from_queue(next_vcpu, pcpu)
        self.leave(pcpu)
        pcpu.current = chosen
        pcpu.scheduled_at = self.now
        pcpu.credit_from = self.now
        self.row(Kind.SCHED_SWITCH, pcpu.number, chosen, before, chosen)
        if chosen < 0:
            pcpu.slice_end = -1
            self.context_saved(pcpu)
            return False
        next_vcpu.cpu.running_on = pcpu.number
        self.set_runstate(next_vcpu, RunState.RUNNING, pcpu.number)
        self.timer_is_set(pcpu, pcpu, pcpu.slice_end)
        if pcpu.loaded == chosen:
            self.context_saved(pcpu)
            return False
        self.charge(pcpu, Cost.CTXSW)
        if next_vcpu.ran_on >= 0 and next_vcpu.ran_on != pcpu.number and next_vcpu.domain.is_pv == 0:
            self.charge(pcpu, Cost.VMCS_MOVE)
        self.begin(pcpu, Phase.SWITCH, 0)
        return True

    def after_schedule(self, pcpu: Pcpu) -> None:
        """schedule() never returns to the softirq loop: it ends in the entry path of whoever is chosen, which looks for
        softirqs only after its first pass.

        Cites: Xen vmcs.c vmx_do_resume
        """
        if pcpu.current >= 0 and self.vcpus[pcpu.current].domain.is_pv == 0:
            if not self.take_interrupts(pcpu, Resume.EXIT_PATH):
                self.start_assist(pcpu)
        elif not self.take_interrupts(pcpu, Resume.SOFTIRQ_LOOP):
            self.loop(pcpu)

    def loop(self, pcpu: Pcpu) -> None:
        """The softirq loop: more softirqs, or back to whoever is current."""
        if pcpu.softirqs != 0:
            self.start_softirq(pcpu)
        else:
            self.back(pcpu)

    def back(self, pcpu: Pcpu) -> None:
        """Return to the current vCPU, or to the idle loop."""
        if pcpu.current < 0:
            self.idle(pcpu)
        elif self.vcpus[pcpu.current].domain.is_pv != 0:
            self.start_pv_return(pcpu)
        else:
            self.start_assist(pcpu)

    def resume_path(self, pcpu: Pcpu) -> None:
        """No more interrupts: go on where they came in."""
        if pcpu.resume == Resume.ASSIST_TAIL:
            self.assist_tail(pcpu)
        elif pcpu.resume == Resume.EXIT_PATH:
            self.start_assist(pcpu)
        elif pcpu.resume == Resume.DYING:
            self.window_goes_on(pcpu)
        else:
            self.loop(pcpu)

    def idle(self, pcpu: Pcpu) -> None:
        """The idle loop waits."""
        pcpu.mode = Mode.IDLE
        pcpu.tick_at = -1
        self.owner_row(pcpu, Owner.IDLE, 0)

    def start_pv_return(self, pcpu: Pcpu) -> None:
        """The way back to a PV guest: a frame for its upcall costs more than a plain return."""
        info = self.vcpus[pcpu.current].cpu.info
        if info.upcall_pending != 0 and info.upcall_mask == 0:
            self.charge(pcpu, Cost.PV_BOUNCE)
        else:
            self.charge(pcpu, Cost.PV_TRAP)
        self.begin(pcpu, Phase.PV_RETURN, 0)

    def pv_return(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The PV guest runs again, in its upcall if one is due."""
        if self.take_interrupts(pcpu, Resume.PV_PATH):
            return
        if pcpu.softirqs != 0:
            self.start_softirq(pcpu)
            return
        self.pv_upcall(vcpu)
        pcpu.mode = Mode.PV
        self.owner_row(pcpu, Owner.DOM0, 0)
        self.go_on(pcpu, vcpu)

    def pv_call(self, pcpu: Pcpu, vcpu: Vcpu, argument: i64) -> None:
        """A PV guest's hypercall: SCHEDOP_block for 0, else EVTCHNOP_send for the source of that number + 1."""
        if argument == 0:
            self.pv_block(pcpu, vcpu)
            return
        self.send_event(pcpu, argument - 1)
        if not self.take_interrupts(pcpu, Resume.PV_PATH):
            self.loop(pcpu)

    def pv_block(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """SCHEDOP_block: events are unmasked, the flag is set, and only then is it asked whether one is pending.

        Cites: Xen core.c vcpu_block
        """
        vcpu.cpu.info.upcall_mask = 0
        vcpu.cpu.blocked = 1
        if vcpu.cpu.info.upcall_pending != 0:
            vcpu.cpu.blocked = 0
        else:
            self.raise_softirq(pcpu, Softirq.SCHEDULE)
        if not self.take_interrupts(pcpu, Resume.PV_PATH):
            self.loop(pcpu)
