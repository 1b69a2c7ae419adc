"""What a recording adds up to: samples of times, vCPUs as they pass, guest vectors, and the totals of all rows.

Every row passes through here; what is made of the totals is in :mod:`exitless.study.trace_report`.
"""

from array import array
from typing import Final

from exitless.vocab.kinds import Kind, RunState

# A reader's row of this kind says that a pCPU's records were lost (a >= 0) or that it is seen again (a = -1).
LOST: Final = 0
UNKNOWN: Final = -1
EMPTY: Final = -2
NMI: Final = 2
MOST_CALLS: Final = 4096
OTHER_CALL: Final = -1

VM_EXIT: Final = Kind.VM_EXIT
VM_ENTRY: Final = Kind.VM_ENTRY
INTERRUPTS: Final = frozenset(
    {Kind.IRQ_INJECT, Kind.IRQ_REINJECT, Kind.IRQ_WINDOW, Kind.IRQ_EOI, Kind.EOI_SPARED, Kind.IRQ_REQUEST}
)

Row = tuple[int, int, int, int, int, int]


class Times:
    """A sample of times in ps: ``queued`` of their sum were waits for a pCPU, ``handled`` came before such waits.

    ``at`` gives a nearest-rank percentile in whole ns, 0 for an empty sample.
    """

    def __init__(self) -> None:
        self.sample = array("q")
        self.sorted = False
        self.queued = 0
        self.handled = 0

    def add(self, time_ps: int) -> None:
        """Take one more."""
        self.sample.append(time_ps)
        self.sorted = False

    def at(self, per_mille: int) -> int:
        """Return a percentile, given in thousandths, in whole ns."""
        return self.at_ps(per_mille) // 1000

    def at_ps(self, per_mille: int) -> int:
        """Return a percentile, given in thousandths, in ps."""
        if not self.sorted:
            self.sample = array("q", sorted(self.sample))
            self.sorted = True
        n = len(self.sample)
        return self.sample[min(n - 1, max(0, -(-per_mille * n // 1000) - 1))] if n else 0

    def extend(self, other: "Times") -> None:
        """Take all of another sample."""
        self.sample.extend(other.sample)
        self.sorted = False
        self.queued += other.queued
        self.handled += other.handled

    def as_json(self) -> dict[str, int]:
        """Return the percentiles of the contract."""
        return {"p50": self.at(500), "p99": self.at(990), "max": self.at(1000)}


class Cpu:
    """One vCPU as it passes; exits without a known vCPU have one of these a pCPU. Units: ps, -1 for none.

    Shapes: ``codes``, ``timed`` and ``handled`` have, by exit, how many there were, how many were timed, how long they
    took; ``requested`` and ``injected`` count vectors; ``serving`` has since when each vector is in service,
    ``accepted`` since when it is requested.
    """

    def __init__(self) -> None:
        self.exits = 0
        self.code = 0
        self.exited = -1
        self.entered = -1
        self.queued = 0
        self.parked = -1
        self.guest = 0
        self.host = 0
        self.pcpu = -1
        self.state = UNKNOWN
        self.since = 0
        self.spent = [0, 0, 0, 0]
        self.stays = [0, 0, 0, 0]
        self.codes: dict[int, int] = {}
        self.timed: dict[int, int] = {}
        self.handled: dict[int, int] = {}
        self.requested: dict[int, int] = {}
        self.injected: dict[int, int] = {}
        self.serving: dict[int, int] = {}
        self.waiting: dict[int, int] = {}
        self.given: set[int] = set()
        self.accepted: dict[int, int] = {}

    def forget(self) -> None:
        """What happens to it is not seen from now on."""
        self.exited = self.entered = -1
        self.state = UNKNOWN
        self.serving.clear()
        self.waiting.clear()
        self.accepted.clear()


class Vector:
    """One guest vector. ``direct``: it was injected again without an end of interrupt, so none is to be expected.

    ``rechecks`` counts windows armed for a vector that the same exit had already injected: nothing waits for those.
    ``merged`` counts requests that found the vector requested already, ``reinjected`` injections of what an entry did
    not deliver, ``spared`` ends of interrupt that took no exit. ``latency`` runs from request to injection, ``wait``
    from the window, ``service`` from injection to end, ``whole`` from request to end where nothing was injected.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.merged = 0
        self.injected = 0
        self.reinjected = 0
        self.windows = 0
        self.rechecks = 0
        self.eoi = 0
        self.spared = 0
        self.direct = False
        self.latency = Times()
        self.wait = Times()
        self.service = Times()
        self.whole = Times()


class Totals:
    """What has been counted and timed of one recording."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.times: dict[int, Times] = {}
        self.cpus: dict[int, Cpu] = {}
        self.idle: dict[int, Cpu] = {}
        self.vectors: dict[int, Vector] = {}
        self.transitions: dict[tuple[int, int], int] = {}
        self.calls: dict[tuple[int, int], int] = {}
        self.host_vectors: dict[int, int] = {}
        self.host_irqs: dict[int, int] = {}
        self.wakeups = 0
        self.switches = 0
        self.moves = 0
        self.halts = 0
        self.accepts = 0
        self.eois_told = 0
        self.eois_unmatched = 0

    def rows(self, rows: list[Row]) -> None:
        """Count some rows, in the order of time."""
        for time, kind, pcpu, vcpu, a, b in rows:
            if kind == VM_EXIT:
                self._exit(time, pcpu, vcpu, a)
            elif kind == VM_ENTRY:
                self._entry(time, pcpu, vcpu)
            elif kind in INTERRUPTS:
                self._interrupt(time, kind, self._cpu(pcpu, vcpu), a)
            elif kind == Kind.RUNSTATE:
                self._runstate(time, pcpu, vcpu, a, b)
            elif kind == Kind.SCHED_SWITCH:
                self.switches += 1
            elif kind == Kind.SCHED_WAKE:
                self.wakeups += 1
            elif kind == Kind.HYPERCALL:
                known = (vcpu, a) in self.calls or len(self.calls) < MOST_CALLS
                key = (vcpu, a) if known else (vcpu, OTHER_CALL)
                self.calls[key] = self.calls.get(key, 0) + 1
            elif kind == Kind.HOST_IRQ:
                table, key2 = (self.host_irqs, b) if a < 0 <= b else (self.host_vectors, a)
                table[key2] = table.get(key2, 0) + 1
            elif kind == Kind.GUEST_HLT:
                self.halts += 1
            elif kind == LOST:
                self._lost(time, pcpu, vcpu, a)

    def _cpu(self, pcpu: int, vcpu: int) -> Cpu:
        """Find the vCPU, or who stands in for it on a pCPU."""
        key = vcpu if vcpu >= 0 else -2 - pcpu
        cpu = self.cpus.get(key)
        if cpu is None:
            cpu = self.cpus[key] = Cpu()
        return cpu

    def _exit(self, time: int, pcpu: int, vcpu: int, code: int) -> None:
        cpu = self._cpu(pcpu, vcpu)
        cpu.pcpu = pcpu
        cpu.exits += 1
        self.counts[code] = self.counts.get(code, 0) + 1
        cpu.codes[code] = cpu.codes.get(code, 0) + 1
        if cpu.entered >= 0:
            cpu.guest += time - cpu.entered
        cpu.entered, cpu.exited, cpu.code, cpu.queued, cpu.parked = -1, time, code, 0, -1
        cpu.given.clear()

    def _entry(self, time: int, pcpu: int, vcpu: int) -> None:
        cpu = self._cpu(pcpu, vcpu)
        cpu.pcpu = pcpu
        if cpu.exited >= 0:
            spent = time - cpu.exited
            cpu.host += spent
            times = self.times.get(cpu.code)
            if times is None:
                times = self.times[cpu.code] = Times()
            times.add(spent)
            cpu.handled[cpu.code] = cpu.handled.get(cpu.code, 0) + spent
            cpu.timed[cpu.code] = cpu.timed.get(cpu.code, 0) + 1
            times.queued += cpu.queued
            times.handled += (time if cpu.parked < 0 else cpu.parked) - cpu.exited
        cpu.entered, cpu.exited = time, -1

    def _runstate(self, time: int, pcpu: int, vcpu: int, old: int, new: int) -> None:
        """A stay is counted when its begin was seen and its end names the same runstate."""
        if vcpu < 0:
            cpu = self.idle.setdefault(pcpu, Cpu())
            cpu.pcpu = pcpu
        else:
            cpu = self._cpu(pcpu, vcpu)
            self.transitions[old, new] = self.transitions.get((old, new), 0) + 1
        if cpu.state == old:
            cpu.spent[old] += time - cpu.since
            cpu.stays[old] += 1
            if old == RunState.RUNNABLE and cpu.exited >= 0:
                cpu.queued += time - max(cpu.since, cpu.exited)
        if new == RunState.RUNNABLE and cpu.parked < 0:
            cpu.parked = time
        if new == RunState.RUNNING:
            self.moves += cpu.pcpu not in (-1, pcpu)
            cpu.pcpu = pcpu
        cpu.state, cpu.since = new, time

    def _interrupt(self, time: int, kind: int, cpu: Cpu, number: int) -> None:
        """A guest vector is accepted, waits for a window, is injected (once more), or ended."""
        if kind == Kind.IRQ_EOI:
            self._eoi(time, cpu, number)
            return
        vector = self.vectors.get(number)
        if vector is None:
            vector = self.vectors[number] = Vector()
        if kind == Kind.IRQ_REQUEST:
            self.accepts += 1
            vector.accepted += 1
            cpu.requested[number] = cpu.requested.get(number, 0) + 1
            if number != NMI:  # no tracer says when an NMI is injected
                vector.merged += number in cpu.accepted
                cpu.accepted.setdefault(number, time)
        elif kind == Kind.IRQ_WINDOW:
            vector.windows += 1
            if number in cpu.given:
                vector.rechecks += 1
            else:
                cpu.waiting.setdefault(number, time)
        elif kind == Kind.IRQ_REINJECT:
            vector.reinjected += 1
        elif kind == Kind.EOI_SPARED:
            vector.spared += 1
        else:
            vector.injected += 1
            cpu.injected[number] = cpu.injected.get(number, 0) + 1
            cpu.given.add(number)
            if number in cpu.waiting:
                vector.wait.add(time - cpu.waiting.pop(number))
            if number in cpu.accepted:
                vector.latency.add(time - cpu.accepted.pop(number))
            if number in cpu.serving:
                vector.direct = True
            cpu.serving[number] = time

    def _eoi(self, time: int, cpu: Cpu, number: int) -> None:
        """An end of interrupt; where the tracer names no vector, the highest in service is the one that ends.

        What a processor delivered by itself was never injected; its wait then runs to its end.
        """
        if number >= 0:
            self.eois_told += 1
            vector = self.vectors.setdefault(number, Vector())
            vector.eoi += 1
            if number in cpu.serving:
                vector.service.add(time - cpu.serving.pop(number))
            elif number in cpu.accepted:
                vector.whole.add(time - cpu.accepted.pop(number))
            return
        held = [v for v in cpu.serving if not self.vectors[v].direct] if number != EMPTY else []
        if not held:
            self.eois_unmatched += 1
            return
        highest = max(held)
        self.vectors[highest].service.add(time - cpu.serving.pop(highest))
        self.vectors[highest].eoi += 1

    def _lost(self, time: int, pcpu: int, vcpu: int, count: int) -> None:
        """Forget whoever a pCPU may have run unseen: its own vCPU, and all that were not running elsewhere."""
        if count < 0:
            if vcpu >= 0:
                cpu = self._cpu(pcpu, vcpu)
                cpu.pcpu, cpu.state, cpu.since = pcpu, RunState.RUNNING, time
            return
        for key, cpu in self.cpus.items():
            if cpu.pcpu == pcpu or (key >= 0 and cpu.state != RunState.RUNNING):
                cpu.forget()
        if pcpu in self.idle:
            self.idle[pcpu].forget()
