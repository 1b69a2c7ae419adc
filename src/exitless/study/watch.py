"""What only some scenarios are about, counted while a record passes: windows, holds, travels, turns.

A sink in the compiled dialect; it reads rows only. Units: ps.
"""

from librt.vecs import append, vec
from mypy_extensions import i64

from exitless.bits.words import zeros
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, RunState


class Windows:
    """Interrupt windows: ``armed`` from arming to the exit that clears them; ``held`` from the moment at which virtual
    delivery has a vector (RVI) inside such a window to its end.
    """

    def __init__(self, vcpus: i64) -> None:
        self.since: vec[i64] = filled(vcpus)
        self.vector_since: vec[i64] = filled(vcpus)
        self.armed: vec[i64] = vec[i64]([])
        self.held: vec[i64] = vec[i64]([])

    def one(self, t: i64, kind: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Look at one row of a vCPU."""
        if kind == Kind.IRQ_WINDOW:
            if self.since[vcpu] < 0:
                self.since[vcpu] = t
        elif self.since[vcpu] < 0:
            return
        elif kind == Kind.VM_ENTRY or kind == Kind.PID_PROCESS:
            if b != 0 and self.vector_since[vcpu] < 0:
                self.vector_since[vcpu] = t
        elif kind == Kind.VM_EXIT and a == Exit.INTERRUPT_WINDOW:
            self.armed = append(self.armed, t - self.since[vcpu])
            self.since[vcpu] = -1
            if self.vector_since[vcpu] >= 0:
                self.held = append(self.held, t - self.vector_since[vcpu])
                self.vector_since[vcpu] = -1


class Holds:
    """Physical interrupts that stay in service until a guest ends them: how long, and how many Xen ended itself."""

    def __init__(self, pcpus: i64) -> None:
        self.since: vec[i64] = filled(pcpus * 256)
        self.held: vec[i64] = vec[i64]([])
        self.forced: i64 = 0

    def one(self, t: i64, kind: i64, pcpu: i64, a: i64, b: i64) -> None:
        """Look at one row of a pCPU."""
        if kind == Kind.PIRQ_READY:
            self.forced += b
            return
        at: i64 = pcpu * 256 + a
        if kind == Kind.PIRQ_HOLD:
            self.since[at] = t
        elif self.since[at] >= 0:
            self.held = append(self.held, t - self.since[at])
            self.since[at] = -1


class Travels:
    """vCPUs that move: how often, what is rewritten for it, and interrupts that still go where their vCPU was.

    ``kept`` has how long a vector stayed reserved on the pCPU that its interrupt had left; ``assigned`` the sources
    that wait for that, ``since`` since when.
    """

    def __init__(self, vcpus: i64) -> None:
        self.place: vec[i64] = filled(vcpus)
        self.moves: i64 = 0
        self.routes: i64 = 0
        self.descriptors: i64 = 0
        self.strays: i64 = 0
        self.kept: vec[i64] = vec[i64]([])
        self.assigned: list[i64] = []
        self.since: list[i64] = []

    def taken(self, pcpu: i64, vcpu: i64) -> None:
        """A pCPU takes a device's interrupt for a vCPU."""
        if self.place[vcpu] >= 0 and self.place[vcpu] != pcpu:
            self.strays += 1

    def one(self, t: i64, kind: i64, pcpu: i64, b: i64) -> None:
        """Look at one row."""
        if kind == Kind.SCHED_SWITCH:
            if b >= 0:
                self.place[b] = pcpu
        elif kind == Kind.VCPU_MOVE:
            self.moves += 1
        elif kind == Kind.PID_MOVE:
            self.descriptors += 1
        elif kind == Kind.VECTOR_ASSIGN:
            self.routes += 1
            self.assigned.append(b)
            self.since.append(t)
        elif b in self.assigned:
            at: i64 = self.assigned.index(b)
            self.kept = append(self.kept, t - self.since.pop(at))
            self.assigned.pop(at)


class Turns:
    """Turns of vCPUs on pCPUs: how they end, and how long those were that others ended.

    ``blocked`` counts the ones that the vCPU ended itself; ``by_waker`` and ``by_waiter`` have the lengths of those
    ended for one that had just woken (which the credit scheduler boosts) and for one that had waited in the queue.
    """

    def __init__(self, pcpus: i64, vcpus: i64) -> None:
        self.since: vec[i64] = filled(pcpus)
        self.woken: vec[i64] = zeros(vcpus)
        self.blocked: i64 = 0
        self.by_waker: vec[i64] = vec[i64]([])
        self.by_waiter: vec[i64] = vec[i64]([])

    def switched(self, t: i64, pcpu: i64, before: i64, after: i64, state: i64) -> None:
        """A pCPU changes its vCPU; ``state`` is the runstate of the one that ran."""
        if before >= 0 and self.since[pcpu] >= 0:
            if state == RunState.BLOCKED or after < 0:
                self.blocked += 1
            elif self.woken[after] != 0:
                self.by_waker = append(self.by_waker, t - self.since[pcpu])
            else:
                self.by_waiter = append(self.by_waiter, t - self.since[pcpu])
        self.since[pcpu] = t
        if after >= 0:
            self.woken[after] = 0


def filled(count: i64) -> vec[i64]:
    """Return so many cells of -1."""
    cells: vec[i64] = zeros(count)
    i: i64 = 0
    while i < count:
        cells[i] = -1
        i += 1
    return cells


class Watch:
    """All four, and the runstate of each vCPU."""

    def __init__(self, pcpus: i64, vcpus: i64) -> None:
        self.state: vec[i64] = zeros(vcpus)
        self.windows: Windows = Windows(vcpus)
        self.holds: Holds = Holds(pcpus)
        self.travels: Travels = Travels(vcpus)
        self.turns: Turns = Turns(pcpus, vcpus)
        i: i64 = 0
        while i < vcpus:
            self.state[i] = RunState.RUNNABLE
            i += 1

    def one(self, t: i64, kind: i64, pcpu: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Look at one row."""
        if kind == Kind.VM_EXIT or kind == Kind.VM_ENTRY or kind == Kind.PID_PROCESS or kind == Kind.IRQ_WINDOW:
            self.windows.one(t, kind, vcpu, a, b)
        elif kind == Kind.LAPIC_EOI or kind == Kind.PIRQ_HOLD or kind == Kind.PIRQ_READY:
            self.holds.one(t, kind, pcpu, a, b)
        elif kind == Kind.RUNSTATE:
            self.state[vcpu] = b
        elif kind == Kind.SCHED_WAKE:
            self.turns.woken[vcpu] = 1
        elif kind == Kind.SCHED_SWITCH:
            self.travels.one(t, kind, pcpu, b)
            if a >= 0:
                self.turns.switched(t, pcpu, a, b, self.state[a])
            else:
                self.turns.switched(t, pcpu, a, b, RunState.BLOCKED)
        elif kind == Kind.VCPU_MOVE or kind == Kind.PID_MOVE or kind == Kind.VECTOR_ASSIGN or kind == Kind.VECTOR_FREE:
            self.travels.one(t, kind, pcpu, b)
