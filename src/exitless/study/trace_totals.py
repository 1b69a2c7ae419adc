"""What a recording adds up to: the totals of all rows.

Every row passes through here; what is made of the totals is in :mod:`exitless.study.trace_report`.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import reaching, zeros
from exitless.record.row_sink import RowSink
from exitless.study.times import Counts, Times
from exitless.study.trace_parts import (
    ACCEPTED,
    GIVEN,
    INJECTED,
    REQUESTED,
    STATES,
    VECTORS,
    WAITING,
    Cpu,
    Reasons,
    Vector,
)
from exitless.vocab.kinds import Kind, RunState

# A reader's row of this kind says that a pCPU's records were lost (a >= 0) or that it is seen again (a = -1).
LOST: Final = 0
EMPTY: Final = -2
NMI: Final = 2
MOST_CALLS: Final = 4096
OTHER_CALL: Final = -1
FEW_IRQS: Final = 1024
Row = tuple[int, int, int, int, int, int]


class Totals(RowSink):
    """What has been counted and timed of one recording.

    Shapes: ``vcpu`` and ``pcpu`` have, by number, the place plus one in ``cpus`` of a vCPU, and of who stands in for
    unknown ones on a pCPU; ``keys`` says whose each of ``cpus`` is: a vCPU's number, or -2 less the pCPU's. ``vector``
    has each vector's place plus one in ``vectors``, ``numbers`` the numbers of those. ``transitions`` counts by old
    runstate times 4 plus new. ``cut`` counts exits whose entry a lost interval may hold.
    """

    def __init__(self) -> None:
        self.reasons: Reasons = Reasons()
        self.cpus: list[Cpu] = []
        self.keys: list[int] = []
        self.vcpu: vec[i64] = zeros(64)
        self.pcpu: vec[i64] = zeros(64)
        self.idle: dict[int, Cpu] = {}
        self.vector: vec[i64] = zeros(VECTORS)
        self.vectors: list[Vector] = []
        self.numbers: list[int] = []
        self.transitions: vec[i64] = zeros(STATES * STATES)
        self.call_kinds: i64 = 0
        self.host_vectors: Counts = Counts(VECTORS)
        self.host_irqs: Counts = Counts(FEW_IRQS)
        self.wakeups: i64 = 0
        self.switches: i64 = 0
        self.moves: i64 = 0
        self.halts: i64 = 0
        self.accepts: i64 = 0
        self.eois_told: i64 = 0
        self.eois_unmatched: i64 = 0
        self.cut: i64 = 0

    def one(self, time: i64, kind: i64, pcpu: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Count one row."""
        if kind == Kind.VM_EXIT:
            self._exit(time, pcpu, self._cpu(pcpu, vcpu), a)
        elif kind == Kind.VM_ENTRY:
            self._entry(time, pcpu, self._cpu(pcpu, vcpu))
        elif kind == Kind.HOST_IRQ:
            if a < 0 <= b:
                self.host_irqs.add(b)
            else:
                self.host_vectors.add(a)
        elif kind == Kind.IRQ_EOI:
            self._eoi(time, self._cpu(pcpu, vcpu), a)
        elif kind == Kind.IRQ_INJECT:
            self._inject(time, self._cpu(pcpu, vcpu), a)
        elif kind == Kind.IRQ_REQUEST:
            self._request(time, self._cpu(pcpu, vcpu), a)
        elif kind == Kind.RUNSTATE:
            self._runstate(time, pcpu, vcpu, a, b)
        elif kind == Kind.IRQ_WINDOW:
            self._window(time, self._cpu(pcpu, vcpu), a)
        elif kind == Kind.IRQ_REINJECT:
            self.of_vector(a).reinjected += 1
        elif kind == Kind.EOI_SPARED:
            self.of_vector(a).spared += 1
        elif kind == Kind.SCHED_SWITCH:
            self.switches += 1
        elif kind == Kind.SCHED_WAKE:
            self.wakeups += 1
        elif kind == Kind.HYPERCALL:
            self._call(self._cpu(pcpu, vcpu), a)
        elif kind == Kind.GUEST_HLT:
            self.halts += 1
        elif kind == LOST:
            self._lost(time, pcpu, vcpu, a)

    def _cpu(self, pcpu: i64, vcpu: i64) -> Cpu:
        """Find the vCPU, or who stands in for it on a pCPU."""
        if vcpu >= 0:
            if vcpu < i64(len(self.vcpu)) and self.vcpu[vcpu] > 0:
                return self.cpus[self.vcpu[vcpu] - 1]
            self.vcpu = reaching(self.vcpu, vcpu)
            self.vcpu[vcpu] = self._new_cpu(vcpu)
            return self.cpus[-1]
        at: i64 = pcpu + 1
        if at < i64(len(self.pcpu)) and self.pcpu[at] > 0:
            return self.cpus[self.pcpu[at] - 1]
        self.pcpu = reaching(self.pcpu, at)
        self.pcpu[at] = self._new_cpu(-2 - pcpu)
        return self.cpus[-1]

    def _new_cpu(self, key: i64) -> i64:
        """Begin to follow a vCPU; returns its place plus one."""
        self.cpus.append(Cpu())
        self.keys.append(key)
        return i64(len(self.cpus))

    def of_vector(self, number: i64) -> Vector:
        """Find a guest vector."""
        if self.vector[number] == 0:
            self.vectors.append(Vector())
            self.numbers.append(number)
            self.vector[number] = i64(len(self.vectors))
        return self.vectors[self.vector[number] - 1]

    def _exit(self, time: i64, pcpu: i64, cpu: Cpu, code: i64) -> None:
        cpu.pcpu = pcpu
        cpu.exits += 1
        if cpu.all.code != code or cpu.all.count == 0:
            cpu.all = self.reasons.of(code)
            cpu.reason = cpu.reasons.of(code)
        cpu.all.count += 1
        cpu.reason.count += 1
        if cpu.entered >= 0:
            cpu.guest += time - cpu.entered
        cpu.entered = -1
        cpu.exited = time
        cpu.queued = 0
        cpu.parked = -1

    def _entry(self, time: i64, pcpu: i64, cpu: Cpu) -> None:
        cpu.pcpu = pcpu
        if cpu.exited >= 0:
            spent: i64 = time - cpu.exited
            cpu.host += spent
            times: Times = cpu.all.times
            times.add(spent)
            cpu.reason.spent += spent
            cpu.reason.timed += 1
            times.queued += cpu.queued
            times.handled += (time if cpu.parked < 0 else cpu.parked) - cpu.exited
        cpu.entered = time
        cpu.exited = -1

    def _runstate(self, time: i64, pcpu: i64, vcpu: i64, old: i64, new: i64) -> None:
        """A stay is counted when its begin was seen and its end names the same runstate."""
        if vcpu < 0:
            if pcpu not in self.idle:
                self.idle[pcpu] = Cpu()
            cpu = self.idle[pcpu]
            cpu.pcpu = pcpu
        else:
            cpu = self._cpu(pcpu, vcpu)
            self.transitions[old * STATES + new] = self.transitions[old * STATES + new] + 1
        if cpu.state == old:
            cpu.spent[old] = cpu.spent[old] + time - cpu.since
            cpu.stays[old] = cpu.stays[old] + 1
            if old == RunState.RUNNABLE and cpu.exited >= 0:
                cpu.queued += time - max(cpu.since, cpu.exited)
        if new == RunState.RUNNABLE and cpu.parked < 0:
            cpu.parked = time
        if new == RunState.RUNNING:
            if cpu.pcpu != -1 and cpu.pcpu != pcpu:
                self.moves += 1
            cpu.pcpu = pcpu
        cpu.state = new
        cpu.since = time

    def _call(self, cpu: Cpu, number: i64) -> None:
        """A hypercall; of more than some thousand kinds by vCPU and number, only that there was one."""
        if not cpu.calls.has(number):
            if self.call_kinds >= MOST_CALLS:
                number = OTHER_CALL
            else:
                self.call_kinds += 1
        cpu.calls.add(number)

    def _request(self, time: i64, cpu: Cpu, number: i64) -> None:
        """A local APIC accepts a vector; no tracer says when an NMI is injected."""
        vector: Vector = self.of_vector(number)
        table: vec[i64] = cpu.by_vector()
        self.accepts += 1
        vector.accepted += 1
        table[REQUESTED + number] = table[REQUESTED + number] + 1
        if number != NMI:
            if table[ACCEPTED + number] >= 0:
                vector.merged += 1
            else:
                table[ACCEPTED + number] = time
                cpu.held += 1

    def _window(self, time: i64, cpu: Cpu, number: i64) -> None:
        """An interrupt window is armed for a vector."""
        vector: Vector = self.of_vector(number)
        table: vec[i64] = cpu.by_vector()
        vector.windows += 1
        if table[GIVEN + number] == cpu.exits + 1:
            vector.rechecks += 1
        elif table[WAITING + number] < 0:
            table[WAITING + number] = time
            cpu.held += 1

    def _inject(self, time: i64, cpu: Cpu, number: i64) -> None:
        vector: Vector = self.of_vector(number)
        table: vec[i64] = cpu.by_vector()
        vector.injected += 1
        table[INJECTED + number] = table[INJECTED + number] + 1
        table[GIVEN + number] = cpu.exits + 1
        if table[WAITING + number] >= 0:
            vector.wait.add(time - table[WAITING + number])
            table[WAITING + number] = -1
            cpu.held -= 1
        if table[ACCEPTED + number] >= 0:
            vector.latency.add(time - table[ACCEPTED + number])
            table[ACCEPTED + number] = -1
            cpu.held -= 1
        if table[number] >= 0:
            vector.direct = True
        else:
            cpu.held += 1
        table[number] = time

    def _eoi(self, time: i64, cpu: Cpu, number: i64) -> None:
        """An end of interrupt; where the tracer names no vector, the highest in service is the one that ends.

        What a processor delivered by itself was never injected; its wait then runs to its end.
        """
        table: vec[i64] = cpu.by_vector()
        if number >= 0:
            self.eois_told += 1
            vector: Vector = self.of_vector(number)
            vector.eoi += 1
            if table[number] >= 0:
                vector.service.add(time - table[number])
                table[number] = -1
                cpu.held -= 1
            elif table[ACCEPTED + number] >= 0:
                vector.whole.add(time - table[ACCEPTED + number])
                table[ACCEPTED + number] = -1
                cpu.held -= 1
            return
        highest: i64 = VECTORS - 1 if number != EMPTY and cpu.held > 0 else -1
        while highest >= 0 and (table[highest] < 0 or self.of_vector(highest).direct):
            highest -= 1
        if highest < 0:
            self.eois_unmatched += 1
            return
        vector = self.of_vector(highest)
        vector.service.add(time - table[highest])
        vector.eoi += 1
        table[highest] = -1
        cpu.held -= 1

    def _lost(self, time: i64, pcpu: i64, vcpu: i64, count: i64) -> None:
        """Forget whoever a pCPU may have run unseen: its own vCPU, and all that were not running elsewhere."""
        if count < 0:
            if vcpu >= 0:
                again = self._cpu(pcpu, vcpu)
                again.pcpu = pcpu
                again.state = RunState.RUNNING
                again.since = time
            return
        for n in range(len(self.cpus)):
            cpu = self.cpus[n]
            if cpu.pcpu == pcpu or (self.keys[n] >= 0 and cpu.state != RunState.RUNNING):
                if cpu.exited >= 0:
                    self.cut += 1
                cpu.forget()
        if pcpu in self.idle:
            self.idle[pcpu].forget()
