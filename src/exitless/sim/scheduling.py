"""A credit scheduler to the depth that delivery latency needs, and moving vCPUs. Cites: Xen credit.c."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.vmx.posted import has_posted
from exitless.arch.x86.host_vectors import HostVector
from exitless.bits.words import shl
from exitless.record.sinks import Sink
from exitless.sim.core import Core
from exitless.sim.costs import Cost
from exitless.sim.state import Event, Mode, Pcpu, Pri, Softirq, Vcpu
from exitless.vocab.kinds import Kind, RunState

# What is left of the rate limit is never made shorter than this.
SHORTEST_SLICE_PS: Final = 100_000_000


class Scheduling(Core):
    """Who runs next. Times in ps; credits as Xen counts them, 10 a millisecond."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.timeslice: i64 = 30_000_000_000
        self.tick: i64 = 10_000_000_000
        self.ratelimit: i64 = 1_000_000_000
        self.accounted_at: i64 = 0

    def raise_softirq(self, pcpu: Pcpu, number: i64) -> bool:
        """Set a softirq bit. Returns: whether it was clear."""
        bit: i64 = shl(1, number)
        if pcpu.softirqs & bit != 0:
            return False
        pcpu.softirqs = pcpu.softirqs | bit
        return True

    def raise_softirq_on(self, here: Pcpu, target: Pcpu, number: i64) -> None:
        """Set a softirq bit on any pCPU; a pCPU elsewhere is told, unless its idle loop watches the word."""
        if not self.raise_softirq(target, number) or here is target:
            return
        if target.mode == Mode.IDLE and self.idle_polls != 0:
            self.send(target.number, 0, self.costs[Cost.IPI_FLIGHT])
        else:
            self.send_ipi(here, target.number, HostVector.EVENT_CHECK)

    def set_runstate(self, vcpu: Vcpu, state: i64, pcpu: i64) -> None:
        """Change a runstate and record it."""
        if vcpu.runstate != state:
            self.row(Kind.RUNSTATE, pcpu, vcpu.number, vcpu.runstate, state)
            vcpu.runstate = state

    def enqueue(self, vcpu: Vcpu) -> None:
        """Put a runnable vCPU behind those of equal or better priority in the queue of its pCPU."""
        queue: list[i64] = self.pcpus[vcpu.pcpu].queue
        i: i64 = 0
        n: i64 = len(queue)
        while i < n and self.vcpus[queue[i]].priority >= vcpu.priority:
            i += 1
        queue.insert(i, vcpu.number)
        vcpu.queued = 1

    def unblock(self, here: Pcpu, vcpu: Vcpu) -> None:
        """vcpu_unblock: clear the blocked flag and wake; a vCPU that has just been moved is not boosted.

        Cites: Xen core.c vcpu_unblock, Xen credit.c priorities
        """
        if vcpu.cpu.blocked == 0:
            return
        vcpu.cpu.blocked = 0
        self.charge(here, Cost.UNBLOCK)
        if vcpu.runstate != RunState.BLOCKED:
            return
        self.row(Kind.SCHED_WAKE, here.number, vcpu.number, 0, 0)
        self.set_runstate(vcpu, RunState.RUNNABLE, here.number)
        if vcpu.move_to >= 0:
            self.finish_move(vcpu)
        elif vcpu.priority == Pri.UNDER:
            vcpu.priority = Pri.BOOST
        self.enqueue(vcpu)
        self.tickle(here, vcpu)

    def tickle(self, here: Pcpu, vcpu: Vcpu) -> None:
        """Ask a pCPU to choose again because ``vcpu`` waits. Cites: Xen credit.c __runq_tickle"""
        own: Pcpu = self.pcpus[vcpu.pcpu]
        better: bool = own.current >= 0 and vcpu.priority > self.vcpus[own.current].priority
        chosen: i64 = -1
        if own.current < 0:
            chosen = own.number
        elif vcpu.pinned >= 0:
            if better:
                chosen = own.number
        else:
            chosen = self.idle_pcpu(own.number)
            if chosen < 0 and better:
                chosen = own.number
        if chosen >= 0:
            self.row(Kind.SCHED_TICKLE, here.number, vcpu.number, chosen, 0)
            self.raise_softirq_on(here, self.pcpus[chosen], Softirq.SCHEDULE)

    def idle_pcpu(self, after: i64) -> i64:
        """Return an idle pCPU without work waiting, searching round robin, or -1."""
        count: i64 = len(self.pcpus)
        i: i64 = 1
        while i < count:
            n: i64 = (after + i) % count
            if self.pcpus[n].current < 0 and len(self.pcpus[n].queue) == 0:
                return n
            i += 1
        return -1

    def burn(self, pcpu: Pcpu) -> None:
        """Take the credits that the running vCPU has used."""
        if pcpu.current >= 0:
            used: i64 = (self.now - pcpu.credit_from) // 100_000_000
            if used > 0:
                self.vcpus[pcpu.current].credit -= used
                pcpu.credit_from += used * 100_000_000
        else:
            pcpu.credit_from = self.now

    def credit_tick(self, pcpu: Pcpu) -> None:
        """The scheduler's tick on a pCPU: a boosted vCPU that still runs is boosted no longer."""
        self.burn(pcpu)
        if pcpu.current >= 0 and self.vcpus[pcpu.current].priority == Pri.BOOST:
            self.vcpus[pcpu.current].priority = Pri.UNDER
        if self.now - self.accounted_at >= self.timeslice:
            self.accounted_at = self.now
            self.account()

    def account(self) -> None:
        """Share out the credits of one accounting period by equal weight; more than a period's worth is not kept."""
        active: i64 = 0
        for v in self.vcpus:
            if v.credit < 300:
                active += 1
        if active == 0:
            return
        share: i64 = 300 * len(self.pcpus) // active
        for v in self.vcpus:
            v.credit += share
            if v.credit > 300:
                v.credit = 300
            if v.credit < 0:
                v.priority = Pri.OVER
            elif v.priority == Pri.OVER:
                v.priority = Pri.UNDER

    def choose(self, pcpu: Pcpu) -> i64:
        """The scheduler's decision on ``pcpu``. Returns: the vCPU that runs next, -1 for idle."""
        self.burn(pcpu)
        current: i64 = pcpu.current
        if current >= 0:
            v: Vcpu = self.vcpus[current]
            if v.cpu.blocked == 0 and v.move_to < 0:
                if self.now - pcpu.scheduled_at < self.ratelimit:
                    pcpu.slice_end = pcpu.scheduled_at + self.ratelimit
                    if pcpu.slice_end < self.now + SHORTEST_SLICE_PS:
                        pcpu.slice_end = self.now + SHORTEST_SLICE_PS
                    return current
                if len(pcpu.queue) == 0 or self.vcpus[pcpu.queue[0]].priority < v.priority:
                    pcpu.slice_end = self.now + self.timeslice
                    return current
        pcpu.slice_end = self.now + self.timeslice
        if len(pcpu.queue) > 0:
            return pcpu.queue[0]
        return self.steal(pcpu)

    def steal(self, pcpu: Pcpu) -> i64:
        """An idle pCPU looks for a vCPU that waits elsewhere and may run here. Returns: its number, or -1."""
        for other in self.pcpus:
            if other is not pcpu and other.current >= 0:
                for number in other.queue:
                    if self.vcpus[number].pinned < 0:
                        return number
        return -1

    def take_from_queue(self, vcpu: Vcpu, pcpu: Pcpu) -> None:
        """Take a vCPU out of the queue it waits in; it now belongs to ``pcpu``."""
        if vcpu.queued != 0:
            self.pcpus[vcpu.pcpu].queue.remove(vcpu.number)
            vcpu.queued = 0
        vcpu.pcpu = pcpu.number

    def leave(self, pcpu: Pcpu) -> None:
        """The running vCPU stops running on ``pcpu``: its runstate changes, and it waits or is blocked."""
        if pcpu.current < 0:
            return
        v: Vcpu = self.vcpus[pcpu.current]
        v.cpu.running_on = -1
        if v.cpu.blocked != 0:
            self.row(Kind.SCHED_BLOCK, pcpu.number, v.number, 0, 0)
            self.set_runstate(v, RunState.BLOCKED, pcpu.number)
        else:
            self.set_runstate(v, RunState.RUNNABLE, pcpu.number)
            if v.move_to >= 0:
                self.finish_move(v)
                self.enqueue(v)
                self.tickle(pcpu, v)
            else:
                self.enqueue(v)

    def finish_move(self, vcpu: Vcpu) -> None:
        """A vCPU that was asked to move belongs to its new pCPU; interrupts bound to it shall follow lazily.

        Cites: Xen core.c sched_unit_migrate_finish, Xen irq.c irq_set_affinity
        """
        vcpu.pcpu = vcpu.move_to
        vcpu.pinned = vcpu.move_to
        vcpu.move_to = -1
        self.retarget(vcpu)

    def retarget(self, vcpu: Vcpu) -> None:
        """Ask for new affinity of every unposted interrupt whose target is ``vcpu``."""
        for irq in self.irqs:
            if self.sources[irq.source].vcpu == vcpu.number and irq.pcpu != vcpu.pcpu:
                irq.wanted = vcpu.pcpu

    def switch_state(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """Load a vCPU's state: the hooks of posted interrupts run for the one that leaves and the one that comes.

        Cites: Xen vmx.c vmx_pi_switch_from, Xen vmx.c vmx_pi_switch_to
        """
        if pcpu.loaded >= 0:
            self.pi_switch_from(self.vcpus[pcpu.loaded])
        for other in self.pcpus:
            if other.loaded == vcpu.number:
                other.loaded = -1
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
            if self.rescan_pir != 0 and has_posted(vcpu.cpu.pid):
                vcpu.cpu.pid.on = 1

    def pi_switch_from(self, vcpu: Vcpu) -> None:
        """A vCPU's state leaves a pCPU: while it does not block, posts shall not notify."""
        if vcpu.cpu.has_hooks != 0 and vcpu.cpu.blocked == 0:
            vcpu.cpu.pid.sn = 1

    def forced_deadline(self, pcpu: Pcpu) -> i64:
        """When Xen must end an interrupt that a guest has not, -1 for never."""
        return -1

    def program_timer(self, pcpu: Pcpu) -> None:
        """Set the local APIC timer of a pCPU to its earliest deadline."""
        best: i64 = pcpu.tick_at
        if pcpu.slice_end >= 0 and (best < 0 or pcpu.slice_end < best):
            best = pcpu.slice_end
        for v in self.vcpus:
            if v.timer_at >= 0 and v.pcpu == pcpu.number and (best < 0 or v.timer_at < best):
                best = v.timer_at
        forced: i64 = self.forced_deadline(pcpu)
        if forced >= 0 and (best < 0 or forced < best):
            best = forced
        if best >= 0 and best < self.now:
            best = self.now
        if best >= 0 and (pcpu.timer_at < 0 or best < pcpu.timer_at):
            pcpu.timer_at = best
            self.calendar.push(best, Event.TIMER, pcpu.number, 0)
