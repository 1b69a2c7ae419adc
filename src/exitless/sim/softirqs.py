"""What makes a pCPU in Xen look up: softirq bits, and runstates that are recorded."""

from mypy_extensions import i64

from exitless.arch.x86.host_vectors import HostVector
from exitless.bits.words import shl
from exitless.record.sinks import Sink
from exitless.sim.core import Core
from exitless.sim.costs import Cost
from exitless.sim.state import Mode, Pcpu, Softirq, Vcpu
from exitless.vocab.kinds import Kind


class Softirqs(Core):
    """Softirqs of pCPUs, and who is asked to schedule."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)

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

    def home(self, vcpu: Vcpu, pcpu: i64) -> None:
        """A vCPU belongs to another pCPU, and its timers with it."""
        if vcpu.number in self.pcpus[vcpu.pcpu].homed:
            self.pcpus[vcpu.pcpu].homed.remove(vcpu.number)
        vcpu.pcpu = pcpu
        homed: list[i64] = self.pcpus[pcpu].homed
        at: i64 = 0
        while at < len(homed) and homed[at] < vcpu.number:
            at += 1
        homed.insert(at, vcpu.number)

    def ask_to_schedule(self, here: Pcpu, target: Pcpu, vcpu: Vcpu) -> None:
        """A pCPU is asked to choose again because ``vcpu`` waits; until it has, it is not asked for another."""
        target.tickled = 1
        self.row(Kind.SCHED_TICKLE, here.number, vcpu.number, target.number, 0)
        self.raise_softirq_on(here, target, Softirq.SCHEDULE)

    def is_idle(self, pcpu: Pcpu) -> bool:
        """Tell whether a pCPU is there, idles and has not been asked to choose."""
        return pcpu.current < 0 and pcpu.tickled == 0 and pcpu.online != 0

    def may_run(self, vcpu: Vcpu, pcpu: i64) -> bool:
        """Tell whether hard affinity lets a vCPU run on a pCPU, which has to be there."""
        return (vcpu.pinned < 0 or vcpu.pinned == pcpu) and self.pcpus[pcpu].online != 0

    def is_runnable(self, vcpu: Vcpu) -> bool:
        """Tell whether nothing but the lack of a pCPU keeps a vCPU from running."""
        return vcpu.cpu.blocked == 0 and vcpu.move_to < 0 and vcpu.parked == 0
