"""A pCPU goes offline while guests run: the host stops, what belongs to the pCPU goes to others, the host goes on.

Xen brings every pCPU to its idle vCPU and keeps it there with interrupts off. The one that goes offline hands over its
vCPUs, takes interrupts for a last millisecond, and gives its device interrupts other places; what comes after is done
on pCPU 0, which cannot go offline itself. None of these steps has a price in the cost table but that millisecond.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.xen.eoi_stack import mark_ready
from exitless.arch.xen.vectors import fix_up
from exitless.bits.words import PACKED, clear_bit, has_bit, shl
from exitless.mech.procedures.offline import Offline, rescanning_desc_fixup, xen_desc_fixup
from exitless.mech.procedures.procedure import Surroundings
from exitless.mech.vcpu import VirtualCpu
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.root import Root
from exitless.sim.state import Event, Irq, Mode, Pcpu, Phase, Resume, Softirq, Vcpu
from exitless.vocab.kinds import Kind, Owner

# How long a pCPU that goes offline still takes interrupts. Cites: Xen smpboot.c __cpu_disable
WINDOW_PS: Final = 1_000_000_000
SUCCESSOR: Final = 0


class Stopping(Root):
    """The host stops for ``leaving``; ``dies_at`` is when that pCPU takes no more interrupts. Units: ps"""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.dies_at: i64 = 0

    def schedule_offline(self, pcpu: i64, when: i64) -> None:
        """The administrator will take a pCPU offline at ``when``."""
        self.calendar.push(when, Event.OFFLINE, pcpu, 0)

    def stop_for(self, number: i64) -> None:
        """cpu_down: a tasklet of each pCPU's idle vCPU stops it; another that is being stopped for goes first.

        Cites: Xen stop_machine.c stop_machine_run
        """
        if self.leaving >= 0:
            self.schedule_offline(number, self.now + WINDOW_PS)
            return
        self.leaving = number
        for p in self.pcpus:
            if p.online != 0:
                self.raise_softirq(p, Softirq.SCHEDULE)
                self.send(p.number, HostVector.EVENT_CHECK, self.costs[Cost.IPI_FLIGHT])

    def idle(self, pcpu: Pcpu) -> None:
        """The idle loop waits, or runs the tasklet that stops this pCPU; the last to stop starts what all wait for."""
        if self.leaving < 0:
            super().idle(pcpu)
            return
        pcpu.phase = Phase.STOPPED
        for p in self.pcpus:
            if p.online != 0 and p.phase != Phase.STOPPED:
                return
        self.take_down(self.pcpus[self.leaving])

    def take_down(self, dying: Pcpu) -> None:
        """All stand still: the vCPUs of the one that goes offline go to others, and its last millisecond begins.

        Cites: Xen core.c cpu_disable_scheduler, Xen smpboot.c __cpu_disable
        """
        dying.online = 0
        if dying.loaded >= 0:
            self.pi_switch_from(dying, self.vcpus[dying.loaded])
            dying.loaded = -1
        for v in self.vcpus:
            if v.move_to == dying.number:
                v.move_to = -1
                v.move_pins = 0
            if v.pcpu == dying.number:
                self.evacuate(v)
        dying.timer_at = -1
        dying.slice_end = -1
        dying.tick_at = -1
        self.dies_at = self.now + self.spent + WINDOW_PS
        if not self.take_interrupts(dying, Resume.DYING):
            self.window_goes_on(dying)

    def evacuate(self, vcpu: Vcpu) -> None:
        """A vCPU belongs to another pCPU from now on: the one it was to be moved to, or the next online.

        Where hard affinity allows none, it is broken. Cites: Xen core.c cpu_disable_scheduler
        """
        if not self.has_place(vcpu):
            vcpu.pinned = -1
        waited: i64 = vcpu.queued
        if waited != 0:
            self.dequeue(vcpu)
        n: i64 = vcpu.pcpu
        if vcpu.move_to >= 0:
            n = vcpu.move_to
        while not self.may_run(vcpu, n):
            n = (n + 1) % len(self.pcpus)
        vcpu.move_to = n
        vcpu.promised = -1
        self.finish_move(self.pcpus[n], vcpu)
        if waited != 0:
            self.enqueue(vcpu)

    def has_place(self, vcpu: Vcpu) -> bool:
        """Tell whether hard affinity leaves a vCPU a pCPU that is online."""
        for p in self.pcpus:
            if self.may_run(vcpu, p.number):
                return True
        return False

    def window_goes_on(self, pcpu: Pcpu) -> None:
        """Interrupts stay on until the millisecond is over."""
        if self.now < self.dies_at:
            self.spent = self.dies_at - self.now
        self.begin(pcpu, Phase.DYING, 0)

    def goes_offline(self, pcpu: Pcpu, phase: i64) -> None:
        """The millisecond is over, or what the remapping unit had let through has come in."""
        if phase == Phase.DYING:
            self.fix_up_all(pcpu)
        else:
            self.die(pcpu)

    def fix_up_all(self, dying: Pcpu) -> None:
        """Interrupts are off and the pCPU is offline: every device interrupt that came in here gets another place.

        Then it waits as long as a message may take behind the remapping unit, which Xen's invalidation of each changed
        entry waits for. Cites: Xen irq.c fixup_irqs
        """
        self.vectors.online = self.vectors.online & ~shl(1, dying.number)
        for irq in self.irqs:
            pcpu: i64 = irq.pcpu
            vector: i64 = irq.vector
            if irq.old_pcpu == dying.number:
                self.row(Kind.VECTOR_FREE, dying.number, -1, irq.old_vector, irq.source)
            irq.left = fix_up(self.vectors, irq, dying.number, shl(1, irq.pcpu))
            if irq.pcpu != pcpu:
                self.row(Kind.VECTOR_FREE, dying.number, -1, vector, irq.source)
                self.rewrite(irq)
        self.charge(dying, Cost.REMAP)
        self.begin(dying, Phase.DRAINING, 0)

    def die(self, dying: Pcpu) -> None:
        """What waits in the dead local APIC is sent after its interrupt; EOIs that guests owe are done for them; the
        others go on, pCPU 0 with what was left to do.

        Cites: Xen irq.c fixup_irqs, Xen irq.c fixup_eoi
        """
        for irq in self.irqs:
            if irq.left != 0 and has_bit(dying.lapic.irr, 0, PACKED, irq.left):
                clear_bit(dying.lapic.irr, 0, PACKED, irq.left)
                self.send_ipi(dying, irq.pcpu, irq.vector)
            irq.left = 0
        self.end_all(dying)
        self.row(Kind.PCPU_OFFLINE, dying.number, -1, SUCCESSOR, 0)
        self.owner_row(dying, Owner.IDLE, 0)
        dying.mode = Mode.XEN
        dying.phase = Phase.NONE
        self.leaving = -1
        self.spent = 0
        self.dead(dying, self.pcpus[SUCCESSOR])
        for p in self.pcpus:
            if p.online != 0:
                self.spent = 0
                self.raise_softirq(p, Softirq.SCHEDULE)
                if not self.take_interrupts(p, Resume.SOFTIRQ_LOOP):
                    self.loop(p)

    def end_all(self, dying: Pcpu) -> None:
        """Every entry of the dying pCPU's stack is ready, and ended. Cites: Xen irq.c fixup_eoi"""
        for number in self.slow_irqs:
            mark_ready(dying.eoi_stack, number)
        self.flush_ready(dying)

    def dead(self, dying: Pcpu, heir: Pcpu) -> None:
        """CPU_DEAD: timers, tasklets, passed-through interrupts and blocked vCPUs of a dead pCPU go to its heir.

        Cites: Xen dpci.c cpu_callback, Xen timer.c migrate_timers_from_cpu, Xen vmx.c vmx_pi_desc_fixup
        """
        if len(dying.tasklets) > 0:
            heir.tasklets.extend(dying.tasklets)
            dying.tasklets = []
            self.raise_softirq(heir, Softirq.TASKLET)
        if len(dying.dpci) > 0:
            heir.dpci.extend(dying.dpci)
            dying.dpci = []
            self.raise_softirq(heir, Softirq.HVM_DPCI)
        for number in self.slow_irqs:
            irq: Irq = self.irqs[number]
            if irq.held_on == dying.number:
                irq.held_on = heir.number
        if self.lift_on == dying.number:
            self.lift_on = heir.number
        self.raise_softirq(heir, Softirq.TIMER)
        around: Heir = Heir(self, heir)
        for number in list(dying.blocked_list):
            cpu: VirtualCpu = self.vcpus[number].cpu
            program: vec[i64] = xen_desc_fixup()
            if self.rescan_pir != 0:
                program = rescanning_desc_fixup()
            Offline(cpu, heir.number, program).run(around)
            self.row(Kind.PID_CONTROL, cpu.pid.ndst, number, cpu.pid.nv, cpu.pid.sn)


class Heir(Surroundings):
    """What the procedure reaches that empties a dead pCPU's list of blocked vCPUs, on the pCPU that runs it."""

    def __init__(self, host: Stopping, here: Pcpu) -> None:
        super().__init__()
        self.host: Stopping = host
        self.here: Pcpu = here

    def enlist(self, vcpu: VirtualCpu, pcpu: i64) -> None:
        """Put a blocked vCPU on the list of ``pcpu``."""
        self.host.vcpus[vcpu.number].list_of = pcpu
        self.host.pcpus[pcpu].blocked_list.append(vcpu.number)

    def delist(self, vcpu: VirtualCpu) -> bool:
        """Take a blocked vCPU off its list."""
        v: Vcpu = self.host.vcpus[vcpu.number]
        listed: bool = v.list_of >= 0
        self.host.delist(v)
        return listed

    def unblock(self, vcpu: VirtualCpu) -> None:
        """Wake a vCPU."""
        self.host.unblock(self.here, self.host.vcpus[vcpu.number])
