"""What a recording amounts to: exits by reason, vCPUs, vectors, runstates, hypercalls, host interrupts.

It takes rows as readers hand them out, which are those of :mod:`exitless.vocab.table` and the rows of kind ``LOST``,
and needs to know no tracer. The time of an exit runs to the next entry of the same vCPU; what a lost interval may
have touched is not timed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from exitless.study.trace_totals import LOST, OTHER_CALL, Cpu, Row, Times, Totals
from exitless.vocab.hypercalls import hypercall_name
from exitless.vocab.kinds import RunState

STATES: Final = ("running", "runnable", "blocked", "offline")


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
    """The report on one recording, filled by :meth:`rows`."""

    def __init__(self) -> None:
        self.totals = Totals()

    def rows(self, rows: list[Row]) -> None:
        """Count some rows, in the order of time."""
        self.totals.rows(rows)

    def reasons(self, facts: Facts) -> dict[str, dict[str, Any]]:
        """Return exits by reason, most frequent first; ``share`` is the part of all time from exit to entry.

        ``timed`` is how many have a time; ``runnable_ns`` the part of ``time_ns`` in which the vCPU waited for a pCPU;
        ``handled_ns`` the part up to the first such wait, which is what xenalyze reports.
        """
        merged: dict[str, tuple[int, int, Times]] = {}
        for code, count in self.totals.counts.items():
            name = facts.exit_name(code)
            first, before, times = merged.get(name, (code, 0, Times()))
            if code in self.totals.times:
                times.extend(self.totals.times[code])
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
        for key, cpu in self.totals.cpus.items():
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
        told = self.totals.eois_told + self.totals.eois_unmatched + sum(v.eoi for v in self.totals.vectors.values())
        for number, v in sorted(self.totals.vectors.items()):
            sample = v.latency if v.latency.sample or self.totals.accepts else v.wait
            out[f"0x{number:02x}"] = {
                "accepted": v.accepted if self.totals.accepts else None, "injected": v.injected,
                "eoi": None if not told else 0 if v.direct and not self.totals.eois_told else v.eoi,
                "latency_ns": sample.as_json(), "latency_from": "accepted" if sample is v.latency else "window armed",
                "latencies": len(sample.sample), "windows_armed": v.windows, "windows_rechecked": v.rechecks,
                "direct": v.direct, "reinjected": v.reinjected, "merged": v.merged if self.totals.accepts else None,
                "eoi_without_exit": v.spared, "service_ns": v.service.as_json(), "services": len(v.service.sample),
                "accept_to_eoi_ns": v.whole.as_json(), "accept_to_eois": len(v.whole.sample),
            }  # fmt: skip
        return out

    def hypercalls(self, facts: Facts) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """Return hypercalls by name, over all and by machine, most frequent first."""
        total: dict[str, int] = {}
        by_vm: dict[str, dict[str, int]] = {}
        for (vcpu, number), count in sorted(self.totals.calls.items(), key=lambda item: -item[1]):
            name = "others" if number == OTHER_CALL else facts.call_name(number)
            vm = facts.vcpus[vcpu][0] if vcpu >= 0 else "unknown"
            mine = by_vm.setdefault(vm, {})
            total[name] = total.get(name, 0) + count
            mine[name] = mine.get(name, 0) + count
        return dict(sorted(total.items(), key=lambda item: -item[1])), by_vm

    def as_json(self, facts: Facts) -> dict[str, Any]:
        """Make the document of the command ``read``."""
        seen = self.totals
        calls, calls_by_vm = self.hypercalls(facts)
        hosts = {f"0x{v:02x}" if v >= 0 else "unknown": n for v, n in sorted(seen.host_vectors.items())}
        idle = sum(cpu.spent[RunState.RUNNING] for cpu in seen.idle.values())
        return {
            "file": facts.file, "format": facts.format, "clock": facts.clock, "clock_hz": facts.clock_hz,
            "clock_origin": facts.clock_origin, "duration_ns": facts.duration_ps // 1000, "events": facts.events,
            "kinds": facts.kinds, "names": facts.names, "unread": facts.unread,
            "lost": {"events": facts.lost_events, "intervals": facts.lost_intervals},
            "partial": bool(facts.problems), "problems": facts.problems, "notes": facts.notes,
            "exits": {"total": sum(seen.counts.values()), "by_reason": self.reasons(facts)},
            "vcpus": self.vcpus(facts), "vectors": self.guest_vectors(),
            "transitions": {
                f"{STATES[a]}->{STATES[b]}": n for (a, b), n in sorted(seen.transitions.items(), key=lambda i: -i[1])
            },
            "idle_ns": idle // 1000, "wakeups": seen.wakeups, "switches": seen.switches, "moves": seen.moves,
            "halts": seen.halts, "hypercalls": calls, "hypercalls_by_vm": calls_by_vm, "host_vectors": hosts,
            "host_irqs": {str(irq): n for irq, n in sorted(seen.host_irqs.items())},
            "windows_armed": {f"0x{v:02x}": x.windows for v, x in sorted(seen.vectors.items()) if x.windows},
            "eoi_without_vector": seen.eois_unmatched,
        }  # fmt: skip


__all__ = ["LOST", "STATES", "Facts", "TraceReport", "by_vector"]
