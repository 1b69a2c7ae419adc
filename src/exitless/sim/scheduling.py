"""Who runs where: waking, leaving, moving, context switches, and the scheduler that the host has chosen."""

from mypy_extensions import i64

from exitless.arch.vmx.posted import has_posted
from exitless.arch.xen.credit2 import BUDGET_PERIOD_PS
from exitless.arch.xen.dpci import follows_vcpu
from exitless.arch.xen.vectors import want
from exitless.bits.words import shl
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.credit2 import Credit2Host
from exitless.sim.state import Domain, Event, Pcpu, Scheduler, Softirq, Source, Vcpu
from exitless.vocab.kinds import Kind, RunState


class Scheduling(Credit2Host):
    """What is the same for every scheduler, and the way to the one at work, ``scheduler``. Units: ps

    ``account_at`` is when credits or budgets are given out next, a timer of pCPU 0; -1 for never.
    """

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.scheduler: i64 = Scheduler.CREDIT2
        self.account_at: i64 = -1

    def start_scheduler(self) -> None:
        """The host starts: every vCPU waits."""
        self.start_credit2()
        if self.scheduler == Scheduler.CREDIT:
            self.account_at = self.now + self.timeslice
        for d in self.domains:
            if d.cap != 0 and self.scheduler == Scheduler.CREDIT2:
                self.account_at = self.now + BUDGET_PERIOD_PS
        for v in self.vcpus:
            self.enqueue(v)

    def enqueue(self, vcpu: Vcpu) -> None:
        """Put a runnable vCPU into its queue."""
        if self.scheduler == Scheduler.CREDIT2:
            self.credit2_enqueue(vcpu)
        else:
            self.credit_enqueue(vcpu)

    def dequeue(self, vcpu: Vcpu) -> None:
        """Take a vCPU out of the queue it waits in."""
        if self.scheduler == Scheduler.CREDIT2:
            self.queue_for(vcpu.pcpu).remove(vcpu.number)
        else:
            self.pcpus[vcpu.pcpu].queue.remove(vcpu.number)
        vcpu.queued = 0

    def resume(self, here: Pcpu, vcpu: Vcpu) -> None:
        """A vCPU may run that could not, without having woken: it waits, and somebody is told."""
        if self.scheduler == Scheduler.CREDIT2:
            self.credit2_wake(here, vcpu)
        else:
            self.credit_enqueue(vcpu)
            self.credit_tickle(here, vcpu)

    def choose(self, pcpu: Pcpu) -> i64:
        """The scheduler's decision on ``pcpu``: idle for whoever has to stop, else its own.

        Returns: the vCPU that runs next, -1 for idle.
        """
        if self.leaving >= 0:
            if self.scheduler == Scheduler.CREDIT:
                self.credit_burn(pcpu)
            else:
                self.credit2_burn(pcpu)
            pcpu.slice_end = -1
            return -1
        if self.scheduler == Scheduler.CREDIT2:
            return self.credit2_choose(pcpu)
        return self.credit_choose(pcpu)

    def unblock(self, here: Pcpu, vcpu: Vcpu) -> None:
        """vcpu_unblock: clear the blocked flag and wake; a vCPU that has not left its pCPU yet just goes on.

        Cites: Xen core.c vcpu_unblock
        """
        if vcpu.cpu.blocked == 0:
            return
        vcpu.cpu.blocked = 0
        self.charge(here, Cost.UNBLOCK)
        if vcpu.runstate != RunState.BLOCKED:
            return
        if vcpu.parked != 0:
            self.set_runstate(vcpu, RunState.OFFLINE, here.number)
            return
        self.row(Kind.SCHED_WAKE, here.number, vcpu.number, 0, 0)
        self.set_runstate(vcpu, RunState.RUNNABLE, here.number)
        migrated: i64 = 0
        if vcpu.move_to >= 0 and vcpu.switching == 0:
            self.finish_move(here, vcpu)
            migrated = 1
        if self.scheduler == Scheduler.CREDIT2:
            self.credit2_wake(here, vcpu)
        else:
            self.credit_wake(here, vcpu, migrated)

    def take_from_queue(self, vcpu: Vcpu, pcpu: Pcpu) -> None:
        """Take a vCPU out of the queue it waits in; it now belongs to ``pcpu``."""
        if vcpu.queued != 0:
            self.dequeue(vcpu)
        if vcpu.pcpu != pcpu.number:
            self.rehome(pcpu, vcpu, pcpu.number)

    def rehome(self, here: Pcpu, vcpu: Vcpu, pcpu: i64) -> None:
        """A vCPU belongs to another pCPU, whose local APIC may have to be set for its timer.

        Cites: Xen timer.c activate_timer
        """
        self.home(vcpu, pcpu)
        if vcpu.timer_at >= 0:
            self.timer_is_set(here, self.pcpus[pcpu], vcpu.timer_at)

    def leave(self, pcpu: Pcpu) -> None:
        """The running vCPU stops running on ``pcpu``: its runstate changes, and it waits, is blocked or parked.

        It counts as running until its state is saved; credit queues it at once, credit2 only then.
        """
        if pcpu.current < 0:
            return
        v: Vcpu = self.vcpus[pcpu.current]
        v.switching = 1
        pcpu.saving = v.number
        if v.cpu.blocked != 0:
            self.row(Kind.SCHED_BLOCK, pcpu.number, v.number, 0, 0)
            self.set_runstate(v, RunState.BLOCKED, pcpu.number)
        elif v.parked != 0:
            self.set_runstate(v, RunState.OFFLINE, pcpu.number)
        else:
            self.set_runstate(v, RunState.RUNNABLE, pcpu.number)
            if self.scheduler == Scheduler.CREDIT2 or v.move_to >= 0:
                v.delayed = 1
            else:
                self.credit_enqueue(v)

    def context_saved(self, pcpu: Pcpu) -> None:
        """The state of the vCPU that left is saved: it no longer counts as running, and may be moved and queued.

        Cites: Xen core.c sched_unit_migrate_finish, Xen credit2.c csched2_unit_wake
        """
        if pcpu.saving < 0:
            return
        v: Vcpu = self.vcpus[pcpu.saving]
        pcpu.saving = -1
        v.switching = 0
        v.cpu.running_on = -1
        waits: i64 = v.delayed
        v.delayed = 0
        if v.cpu.blocked != 0 or v.parked != 0:
            return
        if v.move_to >= 0:
            if v.queued != 0:
                self.dequeue(v)
            self.finish_move(pcpu, v)
            waits = 1
        if waits != 0:
            self.resume(pcpu, v)

    def finish_move(self, here: Pcpu, vcpu: Vcpu) -> None:
        """A vCPU that was asked to move belongs to its new pCPU; interrupts bound to it shall follow lazily.

        Cites: Xen core.c sched_unit_migrate_finish, Xen irq.c irq_set_affinity
        """
        self.rehome(here, vcpu, vcpu.move_to)
        if vcpu.move_pins != 0:
            vcpu.pinned = vcpu.move_to
        vcpu.move_to = -1
        vcpu.move_pins = 0
        self.weigh()
        self.retarget(vcpu)

    def retarget(self, vcpu: Vcpu) -> None:
        """Ask for new affinity of every unposted interrupt whose target is ``vcpu``; a PVH dom0's do not follow (C6).

        The last wish counts, also one for the pCPU where the interrupt comes in already.
        Cites: Xen hvm.c hvm_migrate_pirqs, Xen irq.c irq_set_affinity
        """
        domain: Domain = vcpu.domain
        if domain.is_pv == 0 and not follows_vcpu(1, 1 - domain.serves):
            return
        for number in vcpu.sources:
            source: Source = self.sources[number]
            if source.irq >= 0 and self.remapper.table[source.index].im == 0:
                want(self.irqs[source.irq], shl(1, vcpu.pcpu))

    def switch_state(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """Load a vCPU's state: the hooks of posted interrupts run for the one that leaves and the one that comes.

        Cites: Xen vmx.c vmx_pi_switch_from, Xen vmx.c vmx_pi_switch_to
        """
        if pcpu.loaded >= 0:
            self.pi_switch_from(pcpu, self.vcpus[pcpu.loaded])
        if vcpu.ran_on >= 0 and self.pcpus[vcpu.ran_on].loaded == vcpu.number:
            self.pcpus[vcpu.ran_on].loaded = -1
        if vcpu.ran_on >= 0 and vcpu.ran_on != pcpu.number:
            self.row(Kind.VCPU_MOVE, pcpu.number, vcpu.number, vcpu.ran_on, pcpu.number)
            self.retarget(vcpu)
        vcpu.ran_on = pcpu.number
        pcpu.loaded = vcpu.number
        if vcpu.cpu.has_hooks != 0:
            if vcpu.cpu.pid.ndst != pcpu.number:
                self.row(Kind.PID_MOVE, pcpu.number, vcpu.number, vcpu.cpu.pid.ndst, pcpu.number)
            vcpu.cpu.pid.ndst = pcpu.number
            vcpu.cpu.pid.sn = 0
            self.row(Kind.PID_CONTROL, pcpu.number, vcpu.number, vcpu.cpu.pid.nv, 0)
            if self.rescan_pir != 0 and has_posted(vcpu.cpu.pid):
                vcpu.cpu.pid.on = 1

    def pi_switch_from(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """A vCPU's state leaves a pCPU: while it does not block, posts shall not notify."""
        if vcpu.cpu.has_hooks != 0 and vcpu.cpu.blocked == 0:
            vcpu.cpu.pid.sn = 1
            self.row(Kind.PID_CONTROL, pcpu.number, vcpu.number, vcpu.cpu.pid.nv, 1)

    def scheduler_timers(self, pcpu: Pcpu) -> None:
        """The tick of a pCPU, and on pCPU 0 the giving out of credits or budgets, if they are due."""
        if pcpu.tick_at >= 0 and pcpu.tick_at <= self.now:
            pcpu.tick_at = self.now + self.tick
            self.credit_tick(pcpu)
        if pcpu.number == 0 and self.account_at >= 0 and self.account_at <= self.now:
            if self.scheduler == Scheduler.CREDIT2:
                self.account_at = self.now + BUDGET_PERIOD_PS
                self.credit2_replenish()
            else:
                self.account_at = self.now + self.timeslice
                self.credit_account()

    def forced_deadline(self, pcpu: Pcpu) -> i64:
        """When Xen must end an interrupt that a guest has not, -1 for never."""
        return -1

    def timer_is_set(self, here: Pcpu, pcpu: Pcpu, deadline: i64) -> None:
        """A timer of ``pcpu`` has been set: where none is due earlier, TIMER_SOFTIRQ is raised there, whose handler
        programs the local APIC. That softirq sends an entry path round again.

        Cites: Xen timer.c activate_timer
        """
        if deadline <= self.earliest(pcpu):
            self.raise_softirq_on(here, pcpu, Softirq.TIMER)

    def tick_resumes(self, pcpu: Pcpu) -> None:
        """A pCPU leaves its idle loop, in which credit's tick is suspended: it goes on at its next multiple.

        Cites: Xen credit.c csched_tick_resume
        """
        if self.scheduler == Scheduler.CREDIT:
            pcpu.tick_at = self.now + self.tick - self.now % self.tick
            self.timer_is_set(pcpu, pcpu, pcpu.tick_at)

    def program_timer(self, pcpu: Pcpu) -> None:
        """Set the local APIC timer of a pCPU to its earliest deadline."""
        best: i64 = self.earliest(pcpu)
        if best >= 0 and best < self.now:
            best = self.now
        if best >= 0 and (pcpu.timer_at < 0 or best < pcpu.timer_at):
            pcpu.timer_at = best
            self.calendar.push(best, Event.TIMER, pcpu.number, 0)

    def earliest(self, pcpu: Pcpu) -> i64:
        """Return when the first timer of a pCPU is due, -1 for none."""
        best: i64 = pcpu.tick_at
        if pcpu.slice_end >= 0 and (best < 0 or pcpu.slice_end < best):
            best = pcpu.slice_end
        if pcpu.number == 0 and self.account_at >= 0 and (best < 0 or self.account_at < best):
            best = self.account_at
        for number in pcpu.homed:
            timer: i64 = self.vcpus[number].timer_at
            if timer >= 0 and (best < 0 or timer < best):
                best = timer
        forced: i64 = self.forced_deadline(pcpu)
        if forced >= 0 and (best < 0 or forced < best):
            best = forced
        return best
