"""Counts and latencies of a record, made while it passes: a sink in the compiled dialect.

It reads rows only, so it works on any record that has the kinds it counts; what a record lacks stays zero.
"""

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

from exitless.bits.words import zeros
from exitless.record.columns import WHERE, A, B
from exitless.record.sinks import Sink
from exitless.study.meeting import Meeting
from exitless.study.watch import Watch
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner

REASONS: Final = 96
# In ``targets``: no pCPU is meant, but wherever the source's vCPU runs.
WHEREVER: Final = -2


class Wait:
    """What is known of one source: times are ps; ``since`` is the oldest assertion not yet handled, -1 for none.

    ``latency`` holds assertion to handler, ``taken`` assertion to the moment the processor took the interrupt
    (host dispatch, posted-interrupt processing or direct delivery). ``ran`` is 1 when a guest ran on the target pCPU at
    the assertion; ``ran_handled`` and ``ran_exits`` count such interrupts and the exits they caused. ``states`` has the
    runstate that the vCPU had at the assertion, beside ``latency``.
    """

    def __init__(self) -> None:
        self.asserted: i64 = 0
        self.merged: i64 = 0
        self.handled: i64 = 0
        self.spurious: i64 = 0
        self.since: i64 = -1
        self.untaken: i64 = -1
        self.latency: vec[i64] = vec[i64]([])
        self.taken: vec[i64] = vec[i64]([])
        self.met: i64 = 0
        self.first: i64 = 0
        self.ran: i64 = 0
        self.ran_handled: i64 = 0
        self.ran_exits: i64 = 0
        self.state: i64 = 0
        self.states: vec[i64] = vec[i64]([])


class Tally(Sink):
    """Totals of one record.

    Shapes: ``exits`` by reason; ``cause`` by source times 96 plus reason (source ``nobody``: nobody's); ``owner_ps`` by
    pCPU times 4 plus owner; ``injected``, ``windows``, ``delivered``, ``eoi``, ``eoi_exits``, ``rvi_written``,
    ``host_irqs`` by vector;
    ``calls`` by hypercall number; ``runstates`` by old times 4 plus new; ``held_ps`` the longest wait of a host vector
    while a guest ran on its pCPU, by vector. ``upcall`` is the vector of an upcall that begins with its EOI, -1 for
    none: whose that EOI's exit is shows only when the upcall takes a port. Units: ps.
    """

    def __init__(
        self,
        pcpus: i64,
        vcpus: i64,
        sources: i64,
        ports: list[int],
        host_vectors: list[int],
        vcpu_of: list[int],
        targets: list[int],
    ) -> None:
        self.pcpus: i64 = pcpus
        self.exits: vec[i64] = zeros(REASONS)
        self.nobody: i64 = sources
        self.cause: vec[i64] = zeros((sources + 1) * REASONS)
        self.call_cause: vec[i64] = zeros(sources + 1)
        self.owner_ps: vec[i64] = zeros(4 * pcpus)
        self.owner: vec[i64] = zeros(pcpus)
        self.owner_since: vec[i64] = zeros(pcpus)
        self.pcpu_exits: vec[i64] = zeros(pcpus)
        self.injected: vec[i64] = zeros(256)
        self.windows: vec[i64] = zeros(256)
        self.delivered: vec[i64] = zeros(256)
        self.eoi: vec[i64] = zeros(256)
        self.eoi_exits: vec[i64] = zeros(256)
        self.rvi_written: vec[i64] = zeros(256)
        self.host_irqs: vec[i64] = zeros(256)
        self.calls: vec[i64] = zeros(64)
        self.call_ops: vec[i64] = zeros(64 * 64)
        self.runstates: vec[i64] = zeros(16)
        self.held_ps: vec[i64] = zeros(256)
        self.accepted_at: vec[i64] = zeros(256 * pcpus)
        self.current: vec[i64] = zeros(vcpus)
        self.kinds: vec[i64] = zeros(96)
        self.waits: list[Wait] = []
        self.ports: list[int] = ports
        self.host_vectors: list[int] = list(host_vectors)
        self.owns: vec[i64] = zeros(256 * pcpus)
        self.vcpu_of: list[int] = vcpu_of
        self.targets: list[int] = list(targets)
        self.wakeups: i64 = 0
        self.switches: i64 = 0
        self.moves: i64 = 0
        self.frames: i64 = 0
        self.drops: i64 = 0
        self.held_posts: i64 = 0
        self.last: i64 = 0
        self.longest_guest_ps: i64 = 0
        self.entered: vec[i64] = zeros(vcpus)
        self.meeting: Meeting = Meeting(-1, -1, -1)
        self.upcall: i64 = -1
        self.upcall_ends: vec[i64] = zeros(vcpus)
        self.deferred: vec[i64] = zeros(vcpus)
        self.watching: i64 = 0
        self.watch: Watch = Watch(pcpus, vcpus)
        i: i64 = 0
        while i < sources:
            self.waits.append(Wait())
            i += 1
        i = 0
        while i < vcpus:
            self.current[i] = self.nobody
            self.entered[i] = -1
            i += 1
        i = 0
        while i < 256 * pcpus:
            self.accepted_at[i] = -1
            self.owns[i] = sources
            i += 1
        self.own_all()

    def own_all(self) -> None:
        """The record begins: of sources with the same vector the first has it where it is not told whose it is."""
        i: i64 = self.nobody - 1
        while i >= 0:
            self.own(i)
            i -= 1

    def own(self, source: i64) -> None:
        """A source's host vector is its own, on its pCPU, or on all of them where that is not told."""
        vector: i64 = self.host_vectors[source]
        if vector < 0:
            return
        p: i64 = 0
        while p < self.pcpus:
            if self.targets[source] < 0 or self.targets[source] == p:
                self.owns[p * 256 + vector] = source
            p += 1

    def block(self, cells: vec[i64], count: i64) -> None:
        """Count the rows of one block."""
        i: i64 = 0
        while i < count:
            w: i64 = cells[i + WHERE]
            kind: i64 = w & 65535
            if kind != Kind.STEP:
                self.one(cells[i], kind, ((w >> 16) & 65535) - 1, (w >> 32) - 1, cells[i + A], cells[i + B])
            i += 1
        if count > 0:
            self.last = cells[count - 1]

    def one(self, t: i64, kind: i64, pcpu: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Count one row."""
        if kind < 96:
            self.kinds[kind] += 1
        if self.watching != 0:
            self.watch.one(t, kind, pcpu, vcpu, a, b)
        if kind == Kind.CPU_OWNER:
            self.owner_changes(t, pcpu, a)
        elif kind == Kind.SOURCE_ASSERT:
            self.asserted(t, a)
        elif kind == Kind.SOURCE_MERGE:
            self.waits[a].merged += 1
        elif kind == Kind.SOURCE_HANDLE:
            self.handled(t, vcpu, a, b)
        elif kind == Kind.VM_EXIT:
            self.exit(t, pcpu, vcpu, a, b)
        elif kind == Kind.VM_ENTRY:
            self.entered[vcpu] = t
        elif kind == Kind.HYPERCALL:
            self.calls[a & 63] += 1
            self.call_ops[(a & 63) * 64 + (b & 63)] += 1
            if vcpu >= 0:
                self.call_cause[self.current[vcpu]] += 1
        elif kind == Kind.PORT_CLEAR:
            self.current[vcpu] = self.source_of_port(vcpu, a)
            if self.deferred[vcpu] != 0:
                self.caused(self.current[vcpu], self.deferred[vcpu] - 1)
                self.deferred[vcpu] = 0
        elif kind == Kind.LAPIC_ACCEPT:
            if pcpu >= 0 and self.accepted_at[pcpu * 256 + a] < 0:
                self.accepted_at[pcpu * 256 + a] = t
            self.meeting.accepted(t, pcpu, a)
        elif kind == Kind.LAPIC_EOI:
            self.meeting.ended(pcpu, a)
        elif kind == Kind.HOST_IRQ:
            self.host_irqs[a] += 1
            self.dispatched(t, pcpu, a)
        elif kind == Kind.PID_PROCESS:
            self.dispatched(t, pcpu, a)
            self.meeting.ended(pcpu, a)
            self.taken_by_vcpu(t, vcpu)
        else:
            self.rest(t, kind, pcpu, vcpu, a, b)

    def rest(self, t: i64, kind: i64, pcpu: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Count the rarer kinds."""
        if kind == Kind.IRQ_INJECT:
            self.injected[a & 255] += 1
        elif kind == Kind.IRQ_WINDOW:
            self.windows[a & 255] += 1
        elif kind == Kind.IRQ_DELIVER:
            self.delivered[a & 255] += 1
            self.dispatched(t, pcpu, a & 255)
            self.taken_by_vcpu(t, vcpu)
        elif kind == Kind.IRQ_EOI:
            self.eoi[a & 255] += 1
            self.eoi_exits[a & 255] += b
            if a == self.upcall and vcpu >= 0:
                self.upcall_ends[vcpu] = b
            self.meeting.ended(pcpu, a)
        elif kind == Kind.RVI_WRITE:
            self.rvi_written[b & 255] += 1
        elif kind == Kind.RUNSTATE:
            self.runstates[a * 4 + b] += 1
        elif kind == Kind.SCHED_WAKE:
            self.wakeups += 1
        elif kind == Kind.SCHED_SWITCH:
            self.switches += 1
        elif kind == Kind.VCPU_MOVE:
            self.moves += 1
        elif kind == Kind.NIC_POLL:
            self.frames += a
        elif kind == Kind.NIC_DROP:
            self.drops += a
        elif kind == Kind.PID_POST:
            if b & 4 != 0:
                self.held_posts += 1
        elif kind == Kind.VECTOR_ASSIGN:
            self.targets[b] = pcpu
            if self.host_vectors[b] >= 0:
                self.host_vectors[b] = a
                self.own(b)
        elif kind == Kind.VECTOR_FREE:
            self.owns[pcpu * 256 + a] = self.nobody

    def owner_changes(self, t: i64, pcpu: i64, owner: i64) -> None:
        """A pCPU has another owner from now on."""
        spent: i64 = t - self.owner_since[pcpu]
        self.owner_ps[pcpu * 4 + self.owner[pcpu]] += spent
        if self.owner[pcpu] == Owner.GUEST and spent > self.longest_guest_ps:
            self.longest_guest_ps = spent
        self.owner[pcpu] = owner
        self.owner_since[pcpu] = t

    def asserted(self, t: i64, source: i64) -> None:
        """A source asserts."""
        wait: Wait = self.waits[source]
        wait.asserted += 1
        if wait.since < 0:
            wait.since = t
            wait.untaken = t
            wait.ran = 0
            target: i64 = self.targets[source]
            if target >= 0 and self.owner[target] == Owner.GUEST:
                wait.ran = 1
            elif target == WHEREVER and self.entered[self.vcpu_of[source]] >= 0:
                wait.ran = 1
            wait.state = self.watch.state[self.vcpu_of[source]]

    def handled(self, t: i64, vcpu: i64, source: i64, serial: i64) -> None:
        """A source's handler starts; another that waits for the same pCPU was met and came second."""
        wait: Wait = self.waits[source]
        if vcpu >= 0:
            self.current[vcpu] = source
        if serial == 0 or wait.since < 0:
            wait.spurious += 1
            return
        wait.handled += 1
        wait.ran_handled += wait.ran
        wait.latency = append(wait.latency, t - wait.since)
        wait.states = append(wait.states, wait.state)
        for number in range(len(self.waits)):
            other: Wait = self.waits[number]
            if number != source and other.since >= 0 and self.targets[number] == self.targets[source]:
                wait.first += 1
                wait.met += 1
                other.met += 1
        wait.since = -1

    def exit(self, t: i64, pcpu: i64, vcpu: i64, reason: i64, argument: i64) -> None:
        """A guest exits: for an external interrupt its vector names the cause, else what was being handled does."""
        r: i64 = reason
        if r >= REASONS or r < 0:
            r = REASONS - 1
        self.exits[r] += 1
        if pcpu >= 0:
            self.pcpu_exits[pcpu] += 1
        if vcpu < 0:
            return
        self.entered[vcpu] = -1
        who: i64 = self.current[vcpu]
        if reason == Exit.EXTERNAL_INTERRUPT or reason == Exit.EXCEPTION_NMI:
            who = self.source_of_vector(pcpu, argument)
        elif reason == Exit.HLT:
            who = self.nobody
            self.current[vcpu] = self.nobody
        elif self.upcall_ends[vcpu] != 0:
            self.upcall_ends[vcpu] = 0
            self.settle_deferred(vcpu)
            self.deferred[vcpu] = r + 1
            return
        self.caused(who, r)

    def caused(self, who: i64, reason: i64) -> None:
        """An exit is of a source's doing, or nobody's."""
        self.cause[who * REASONS + reason] += 1
        if who != self.nobody:
            self.waits[who].ran_exits += self.waits[who].ran

    def settle_deferred(self, vcpu: i64) -> None:
        """No port came after the EOI of an upcall, so that its exit is nobody's."""
        if self.deferred[vcpu] != 0:
            self.caused(self.nobody, self.deferred[vcpu] - 1)
            self.deferred[vcpu] = 0

    def dispatched(self, t: i64, pcpu: i64, vector: i64) -> None:
        """A pCPU takes a host vector: how long did it wait, and whose was it."""
        if pcpu < 0:
            return
        self.meeting.taken(t, pcpu, vector)
        at: i64 = self.accepted_at[pcpu * 256 + vector]
        if at >= 0:
            self.accepted_at[pcpu * 256 + vector] = -1
            if t - at > self.held_ps[vector]:
                self.held_ps[vector] = t - at
        source: i64 = self.source_of_vector(pcpu, vector)
        if source != self.nobody:
            self.take(t, self.waits[source])
            if self.watching != 0:
                self.watch.travels.taken(pcpu, self.vcpu_of[source])

    def take(self, t: i64, wait: Wait) -> None:
        """The processor has taken a source's interrupt."""
        if wait.untaken >= 0:
            wait.taken = append(wait.taken, t - wait.untaken)
            wait.untaken = -1

    def taken_by_vcpu(self, t: i64, vcpu: i64) -> None:
        """A posted notification carries no source: every posted source of this vCPU counts as taken."""
        for number in range(len(self.waits)):
            if self.host_vectors[number] < 0 and self.ports[number] < 0:
                wait: Wait = self.waits[number]
                if wait.untaken >= 0 and self.vcpu_of[number] == vcpu:
                    self.take(t, wait)

    def source_of_vector(self, pcpu: i64, vector: i64) -> i64:
        """Which source a host vector on a pCPU belongs to; ``nobody`` for timers and interprocessor interrupts."""
        if pcpu < 0 or vector < 0 or vector > 255:
            return self.nobody
        return self.owns[pcpu * 256 + vector]

    def source_of_port(self, vcpu: i64, port: i64) -> i64:
        """Which source a port of a vCPU belongs to."""
        for number in range(len(self.ports)):
            if self.ports[number] == port and self.vcpu_of[number] == vcpu:
                return number
        return self.nobody

    def finish(self, t: i64) -> None:
        """The record ends at ``t``: close what is open."""
        p: i64 = 0
        while p < self.pcpus:
            self.owner_changes(t, p, self.owner[p])
            p += 1
        v: i64 = 0
        while v < len(self.entered):
            self.settle_deferred(v)
            v += 1
