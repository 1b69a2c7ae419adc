"""What a recording amounts to: exits by reason, vCPUs, vectors, runstates, hypercalls, host interrupts.

It takes rows as readers hand them out, which are those of :mod:`exitless.vocab.table` and the rows of kind ``LOST``,
and needs to know no tracer. The time of an exit runs to the next entry of the same vCPU; what a lost interval may
have touched is not timed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from exitless.study.trace_totals import Cpu, Times, Vector
from exitless.vocab.hypercalls import hypercall_name
from exitless.vocab.kinds import Kind, RunState

# A reader's row of this kind says that a pCPU's records were lost (a >= 0) or that it is seen again (a = -1).
LOST: Final = 0
STATES: Final = ("running", "runnable", "blocked", "offline")
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


@dataclass
class Facts:
    """What a reader says of a recording beside its rows. Shapes: ``vcpus`` has machine, number and host thread."""

    file: str
    format: str
    clock: str
    clock_hz: int
    clock_origin: str
    duration_ps: int
    events: int
    kinds: dict[str, int]
    names: dict[str, str]
    unread: dict[str, int]
    lost_events: int
    lost_intervals: int
    vcpus: list[tuple[str, int, int]]
    exit_name: Callable[[int], str]
    call_name: Callable[[int], str] = hypercall_name
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def by_vector(counts: dict[int, int]) -> dict[str, int]:
    """Name the vectors of some counts."""
    return {f"0x{number:02x}": count for number, count in sorted(counts.items())}


class TraceReport:
    """The totals of one recording, filled by :meth:`rows`."""

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

    def rows(self, rows: Iterable[Row]) -> None:
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

    def reasons(self, facts: Facts) -> dict[str, dict[str, Any]]:
        """Return exits by reason, most frequent first; ``share`` is the part of all time from exit to entry.

        ``timed`` is how many have a time; ``runnable_ns`` the part of ``time_ns`` in which the vCPU waited for a pCPU;
        ``handled_ns`` the part up to the first such wait, which is what xenalyze reports.
        """
        merged: dict[str, tuple[int, int, Times]] = {}
        for code, count in self.counts.items():
            name = facts.exit_name(code)
            first, before, times = merged.get(name, (code, 0, Times()))
            if code in self.times:
                times.sample.extend(self.times[code].sample)
                times.queued += self.times[code].queued
                times.handled += self.times[code].handled
            merged[name] = (first, before + count, times)
        total = sum(sum(times.sample) for _, _, times in merged.values())
        seconds = facts.duration_ps / 1e12
        out = {}
        for name, (code, count, times) in sorted(merged.items(), key=lambda item: (-item[1][1], item[0])):
            spent = sum(times.sample)
            out[name] = {
                "count": count, "time_ns": spent // 1000, "min_ns": times.at(0), "p50_ns": times.at(500),
                "p99_ns": times.at(990), "max_ns": times.at(1000), "code": code, "timed": len(times.sample),
                "runnable_ns": times.queued // 1000, "handled_ns": times.handled // 1000,
                "per_second": round(count / seconds, 3) if seconds else 0.0,
                "share": round(spent / total, 6) if total else 0.0,
            }  # fmt: skip
        return out

    def _reasons_of(self, cpu: Cpu, facts: Facts) -> dict[str, dict[str, int]]:
        """Return the exits of one vCPU by reason, most frequent first; ``timed`` of them have a time."""
        out: dict[str, dict[str, int]] = {}
        for code, count in sorted(cpu.codes.items(), key=lambda item: -item[1]):
            mine = out.setdefault(facts.exit_name(code), {"count": 0, "timed": 0, "time_ns": 0})
            mine["count"] += count
            mine["timed"] += cpu.timed.get(code, 0)
            mine["time_ns"] += cpu.handled.get(code, 0) // 1000
        return out

    def vcpus(self, facts: Facts) -> list[dict[str, Any]]:
        """Return every vCPU, and what stands in for unknown ones, by machine and number."""
        out = []
        for key, cpu in self.cpus.items():
            vm, number, tid = facts.vcpus[key] if key >= 0 else ("unknown", -1, -1)
            out.append({
                "vm": vm, "vcpu": number, "tid": tid, "exits": cpu.exits, "guest_ns": cpu.guest // 1000,
                "host_ns": cpu.host // 1000, "pcpu": cpu.pcpu, "by_reason": self._reasons_of(cpu, facts),
                "accepted": by_vector(cpu.requested), "injected": by_vector(cpu.injected),
                "runstates": {
                    STATES[n]: {"count": cpu.stays[n], "time_ns": cpu.spent[n] // 1000}
                    for n in range(4) if cpu.stays[n]
                },
            })  # fmt: skip
        return sorted(out, key=lambda v: (-int(bool(v["exits"])), len(v["vm"]), v["vm"], v["vcpu"], v["pcpu"]))

    def guest_vectors(self) -> dict[str, dict[str, Any]]:
        """Return guest vectors; ``accepted`` and ``eoi`` are None where the tracer tells nothing to count them by."""
        out = {}
        told = self.eois_told + self.eois_unmatched + sum(v.eoi for v in self.vectors.values())
        for number, v in sorted(self.vectors.items()):
            sample = v.latency if v.latency.sample or self.accepts else v.wait
            out[f"0x{number:02x}"] = {
                "accepted": v.accepted if self.accepts else None, "injected": v.injected,
                "eoi": None if not told else 0 if v.direct and not self.eois_told else v.eoi,
                "latency_ns": sample.as_json(), "latency_from": "accepted" if sample is v.latency else "window armed",
                "latencies": len(sample.sample), "windows_armed": v.windows, "windows_rechecked": v.rechecks,
                "direct": v.direct, "reinjected": v.reinjected, "merged": v.merged if self.accepts else None,
                "eoi_without_exit": v.spared, "service_ns": v.service.as_json(), "services": len(v.service.sample),
                "accept_to_eoi_ns": v.whole.as_json(), "accept_to_eois": len(v.whole.sample),
            }  # fmt: skip
        return out

    def hypercalls(self, facts: Facts) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """Return hypercalls by name, over all and by machine, most frequent first."""
        total: dict[str, int] = {}
        by_vm: dict[str, dict[str, int]] = {}
        for (vcpu, number), count in sorted(self.calls.items(), key=lambda item: -item[1]):
            name = "others" if number == OTHER_CALL else facts.call_name(number)
            vm = facts.vcpus[vcpu][0] if vcpu >= 0 else "unknown"
            mine = by_vm.setdefault(vm, {})
            total[name] = total.get(name, 0) + count
            mine[name] = mine.get(name, 0) + count
        return dict(sorted(total.items(), key=lambda item: -item[1])), by_vm

    def as_json(self, facts: Facts) -> dict[str, Any]:
        """Make the document of the command ``read``."""
        calls, calls_by_vm = self.hypercalls(facts)
        hosts = {f"0x{v:02x}" if v >= 0 else "unknown": n for v, n in sorted(self.host_vectors.items())}
        idle = sum(cpu.spent[RunState.RUNNING] for cpu in self.idle.values())
        return {
            "file": facts.file, "format": facts.format, "clock": facts.clock, "clock_hz": facts.clock_hz,
            "clock_origin": facts.clock_origin, "duration_ns": facts.duration_ps // 1000, "events": facts.events,
            "kinds": facts.kinds, "names": facts.names, "unread": facts.unread,
            "lost": {"events": facts.lost_events, "intervals": facts.lost_intervals},
            "partial": bool(facts.problems), "problems": facts.problems, "notes": facts.notes,
            "exits": {"total": sum(self.counts.values()), "by_reason": self.reasons(facts)},
            "vcpus": self.vcpus(facts), "vectors": self.guest_vectors(),
            "transitions": {
                f"{STATES[a]}->{STATES[b]}": n for (a, b), n in sorted(self.transitions.items(), key=lambda i: -i[1])
            },
            "idle_ns": idle // 1000, "wakeups": self.wakeups, "switches": self.switches, "moves": self.moves,
            "halts": self.halts, "hypercalls": calls, "hypercalls_by_vm": calls_by_vm, "host_vectors": hosts,
            "host_irqs": {str(irq): n for irq, n in sorted(self.host_irqs.items())},
            "windows_armed": {f"0x{v:02x}": x.windows for v, x in sorted(self.vectors.items()) if x.windows},
            "eoi_without_vector": self.eois_unmatched,
        }  # fmt: skip
