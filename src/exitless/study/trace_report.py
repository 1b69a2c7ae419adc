"""What a recording amounts to: exits by reason, vCPUs, vectors, runstates, hypercalls, host interrupts.

It takes rows as readers hand them out, which are those of :mod:`exitless.vocab.table` and the rows of kind ``LOST``,
and needs to know no tracer. The time of an exit runs to the next entry of the same vCPU; what a lost interval may
have touched is not timed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from exitless.record.columns import Columns
from exitless.study.times import Times
from exitless.study.trace_parts import INJECTED, REQUESTED, Cpu, Vector
from exitless.study.trace_totals import LOST, OTHER_CALL, Totals
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
    commands: dict[int, str] = field(default_factory=dict)
    guessed_vcpus: int = 0


def by_vector(counts: dict[int, int]) -> dict[str, int]:
    """Name the vectors of some counts."""
    return {f"0x{number:02x}": count for number, count in sorted(counts.items())}


class TraceReport:
    """The report on one recording, filled by :meth:`block`."""

    def __init__(self) -> None:
        self.totals = Totals()

    def block(self, columns: Columns) -> None:
        """Count a block of rows, in the order of time."""
        columns.give(self.totals)

    def reasons(self, facts: Facts) -> dict[str, dict[str, Any]]:
        """Return exits by reason, most frequent first; ``share`` is the part of all time from exit to entry.

        ``timed`` is how many have a time; ``runnable_ns`` the part of ``time_ns`` in which the vCPU waited for a pCPU;
        ``handled_ns`` the part up to the first such wait, which is what xenalyze reports.
        """
        merged: dict[str, tuple[int, int, Times]] = {}
        for reason in self.totals.reasons.found:
            name = facts.exit_name(reason.code)
            code, before, times = merged.get(name, (int(reason.code), 0, Times()))
            times.extend(reason.times)
            merged[name] = (code, before + int(reason.count), times)
        total = sum(int(times.total) for _, _, times in merged.values())
        seconds = facts.duration_ps / 1e12
        out = {}
        for name, (code, count, times) in sorted(merged.items(), key=lambda item: (-item[1][1], item[0])):
            spent = int(times.total)
            out[name] = {
                "count": count, "time_ns": spent // 1000, "min_ns": times.at(0), "p50_ns": times.at(500),
                "p99_ns": times.at(990), "max_ns": times.at(1000), "code": code, "timed": times.count(),
                "runnable_ns": int(times.queued) // 1000, "handled_ns": int(times.handled) // 1000,
                "per_second": round(count / seconds, 3) if seconds else 0.0,
                "share": round(spent / total, 6) if total else 0.0,
            }  # fmt: skip
        return out

    def _reasons_of(self, cpu: Cpu, facts: Facts) -> dict[str, dict[str, int]]:
        """Return the exits of one vCPU by reason, most frequent first; ``timed`` of them have a time."""
        out: dict[str, dict[str, int]] = {}
        for reason in sorted(cpu.reasons.found, key=lambda reason: -reason.count):
            mine = out.setdefault(facts.exit_name(reason.code), {"count": 0, "timed": 0, "time_ns": 0})
            mine["count"] += reason.count
            mine["timed"] += reason.timed
            mine["time_ns"] += reason.spent // 1000
        return out

    def vcpus(self, facts: Facts) -> list[dict[str, Any]]:
        """Return every vCPU, and what stands in for unknown ones, by machine and number."""
        out = []
        for key, cpu in zip(self.totals.keys, self.totals.cpus, strict=True):
            vm, number, tid = facts.vcpus[key] if key >= 0 else ("unknown", -1, -1)
            out.append({
                "vm": vm, "vcpu": number, "tid": tid, "exits": cpu.exits, "guest_ns": cpu.guest // 1000,
                "host_ns": cpu.host // 1000, "pcpu": cpu.pcpu, "by_reason": self._reasons_of(cpu, facts),
                "accepted": by_vector(cpu.counted(REQUESTED)), "injected": by_vector(cpu.counted(INJECTED)),
                "runstates": {
                    STATES[n]: {"count": cpu.stays[n], "time_ns": cpu.spent[n] // 1000}
                    for n in range(4) if cpu.stays[n]
                },
            })  # fmt: skip
        return sorted(out, key=lambda v: (-int(bool(v["exits"])), len(v["vm"]), v["vm"], v["vcpu"], v["pcpu"]))

    def vectors(self) -> list[tuple[int, Vector]]:
        """Return the guest vectors there were, in ascending order."""
        return sorted(zip(self.totals.numbers, self.totals.vectors, strict=True), key=lambda item: item[0])

    def guest_vectors(self) -> dict[str, dict[str, Any]]:
        """Return guest vectors; ``accepted`` and ``eoi`` are None where the tracer tells nothing to count them by."""
        out = {}
        told = self.totals.eois_told + self.totals.eois_unmatched + sum(v.eoi for v in self.totals.vectors)
        for number, v in self.vectors():
            sample = v.latency if v.latency.count() or self.totals.accepts else v.wait
            out[f"0x{number:02x}"] = {
                "accepted": v.accepted if self.totals.accepts else None, "injected": v.injected,
                "eoi": None if not told else 0 if v.direct and not self.totals.eois_told else v.eoi,
                "latency_ns": sample.as_json(), "latency_from": "accepted" if sample is v.latency else "window armed",
                "latencies": sample.count(), "windows_armed": v.windows, "windows_rechecked": v.rechecks,
                "direct": v.direct, "reinjected": v.reinjected, "merged": v.merged if self.totals.accepts else None,
                "eoi_without_exit": v.spared, "service_ns": v.service.as_json(), "services": v.service.count(),
                "accept_to_eoi_ns": v.whole.as_json(), "accept_to_eois": v.whole.count(),
            }  # fmt: skip
        return out

    def hypercalls(self, facts: Facts) -> tuple[dict[str, int], dict[str, dict[str, int]]]:
        """Return hypercalls by name, over all and by machine, most frequent first."""
        total: dict[str, int] = {}
        by_vm: dict[str, dict[str, int]] = {}
        calls = [
            (count, facts.vcpus[key][0] if key >= 0 else "unknown", number)
            for key, cpu in zip(self.totals.keys, self.totals.cpus, strict=True)
            for number, count in cpu.calls.counted().items()
        ]
        for count, vm, number in sorted(calls, key=lambda call: -call[0]):
            name = "others" if number == OTHER_CALL else facts.call_name(number)
            mine = by_vm.setdefault(vm, {})
            total[name] = total.get(name, 0) + count
            mine[name] = mine.get(name, 0) + count
        return dict(sorted(total.items(), key=lambda item: -item[1])), by_vm

    def marks(self, facts: Facts) -> dict[str, int]:
        """Count what is not as it was recorded, or not all of it.

        Exits without the entry that ends their time, and those of them that a lost interval cut; exits of which nothing
        tells whose they are; EOIs that met none in service; vCPUs whose machine is a guess; lines that a repair put
        together, and those that lost quotation marks, which whoever repairs fills in.
        """
        seen = self.totals
        exits = sum(int(reason.count) for reason in seen.reasons.found)
        timed = sum(reason.times.count() for reason in seen.reasons.found)
        unowned = sum(int(cpu.exits) for key, cpu in zip(seen.keys, seen.cpus, strict=True) if key < 0)
        return {
            "exits_without_entry": exits - timed, "exits_cut_by_loss": int(seen.cut), "exits_without_vcpu": unowned,
            "eois_without_vector": int(seen.eois_unmatched), "vcpus_of_guessed_machine": facts.guessed_vcpus,
            "lines_repaired": 0, "lines_quoted": 0,
        }  # fmt: skip

    def as_json(self, facts: Facts) -> dict[str, Any]:
        """Make the document of the command ``read``."""
        seen = self.totals
        calls, calls_by_vm = self.hypercalls(facts)
        hosts = {f"0x{v:02x}" if v >= 0 else "unknown": n for v, n in seen.host_vectors.counted().items()}
        idle = sum(cpu.spent[RunState.RUNNING] for cpu in seen.idle.values())
        return {
            "file": facts.file, "format": facts.format, "clock": facts.clock, "clock_hz": facts.clock_hz,
            "clock_origin": facts.clock_origin, "duration_ns": facts.duration_ps // 1000, "events": facts.events,
            "kinds": facts.kinds, "names": facts.names, "unread": facts.unread,
            "lost": {"events": facts.lost_events, "intervals": facts.lost_intervals},
            "partial": bool(facts.problems), "problems": facts.problems, "notes": facts.notes,
            "exits": {"total": sum(int(r.count) for r in seen.reasons.found), "by_reason": self.reasons(facts)},
            "vcpus": self.vcpus(facts), "vectors": self.guest_vectors(),
            "transitions": {
                f"{STATES[n // 4]}->{STATES[n % 4]}": int(count)
                for count, n in sorted(((c, n) for n, c in enumerate(seen.transitions) if c), key=lambda i: -i[0])
            },
            "idle_ns": idle // 1000, "wakeups": seen.wakeups, "switches": seen.switches, "moves": seen.moves,
            "halts": seen.halts, "hypercalls": calls, "hypercalls_by_vm": calls_by_vm, "host_vectors": hosts,
            "host_irqs": {str(irq): n for irq, n in seen.host_irqs.counted().items()},
            "windows_armed": {f"0x{v:02x}": x.windows for v, x in self.vectors() if x.windows},
            "eoi_without_vector": seen.eois_unmatched, "marks": self.marks(facts),
        }  # fmt: skip


__all__ = ["LOST", "STATES", "Facts", "TraceReport", "by_vector"]
