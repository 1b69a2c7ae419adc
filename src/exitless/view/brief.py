"""What a comparison shows of a record: owners, states, exits, one source's waits; and what every document begins with.

A change of a control is seen in the comparison first. This part of the page's document is made in a third of the time
that the whole takes; registers, steps and vectors follow when it is drawn.
"""

from typing import Any, Final

from exitless.record.block import Event, Header, Record
from exitless.study.journeys import FOLLOWED, Rows
from exitless.study.spans import Spans, of_rows, rows
from exitless.study.tally import REASONS, Tally
from exitless.view.classes import reason_class
from exitless.view.names import headline, host_name, reason_name
from exitless.vocab.kinds import Kind

TALLIED: Final = (Kind.SOURCE_ASSERT, Kind.SOURCE_MERGE, Kind.SOURCE_HANDLE, Kind.PORT_CLEAR, Kind.VM_EXIT)


def causes(h: Header, events: list[Event]) -> dict[int, Any]:
    """Return for each source how many of its interrupts were handled in the window, and exits by reason, as a tally
    gives them to it."""
    if not h.sources or len(h.source_port) != len(h.sources) or not h.vcpus:
        return {}
    pcpus = max([h.pcpus, *(e.pcpu + 1 for e in events)])
    unknown = [-1] * len(h.sources)
    tally = Tally(pcpus, len(h.vcpus), len(h.sources), h.source_port, h.source_host_vector, h.source_vcpu, unknown)
    for e in events:
        if e.kind in TALLIED and e.vcpu < len(h.vcpus):
            tally.one(e.time_ps, e.kind, e.pcpu, e.vcpu, e.a, e.b)
    out = {}
    for n, wait in enumerate(tally.waits):
        found = [[r, int(tally.cause[n * REASONS + r])] for r in range(REASONS) if tally.cause[n * REASONS + r]]
        out[n] = [int(wait.handled), found]
    return out


def flat(found: list[Any], low: int, high: int) -> list[int]:
    """Return spans that touch the window as one list of numbers, cut at the window."""
    out: list[int] = []
    for span in found:
        if span.end >= low and span.start <= high:
            out += [max(span.start, low) - low, min(span.end, high) - low, *(int(x) for x in span[2:])]
    return out


def head(record: Record, spans: Spans, low: int, high: int) -> dict[str, Any]:
    """Return what every document of a record has: its names, and what its CPUs did. Units: ps after ``low``"""
    h = record.header
    total: dict[int, int] = {}
    for n, where in enumerate(record.where):
        if where & 65535 == Kind.VM_EXIT:
            total[record.a[n]] = total.get(record.a[n], 0) + 1
    reasons = {e.reason for e in spans.exits} | set(total)
    reasons |= {x.reason for found in spans.owners.values() for x in found if x.reason >= 0}
    return {
        "name": h.mechanism or h.title or "record", "scenario": h.scenario, "title": h.title, "origin": h.origin,
        "seed": h.seed, "length": h.length_ps, "clock": h.clock_hz, "low": low, "span": high - low,
        "total": len(record), "host": host_name(h),
        "vcpus": h.vcpus, "sources": h.sources, "hostVectors": h.source_host_vector, "owns": h.owners,
        "owners": {p: flat(x, low, high) for p, x in spans.owners.items()},
        "states": {v: flat(x, low, high) for v, x in spans.states.items()},
        "exits": flat(spans.exits, low, high),
        "reasons": {r: [reason_name(h, r), reason_class(h, r), total.get(r, 0)] for r in sorted(reasons)},
        "costs": [[n, o] for n, o in zip(h.costs, h.cost_origins, strict=False)],
    }  # fmt: skip


OF_CPUS: Final = frozenset((Kind.CPU_OWNER, Kind.RUNSTATE, Kind.SCHED_BLOCK, Kind.SOURCE_MERGE, Kind.SOFTIRQ))


def brief(record: Record, low: int, high: int, source: int) -> dict[str, Any]:
    """Return what a comparison needs of a simulated record that is shown whole; of one source the waits alone."""
    h = record.header
    events = rows(record, low, high, FOLLOWED | OF_CPUS)
    spans = of_rows(events, h, None, high, of_cpus=True)
    ways = Rows(events, h).of_source(source)
    return {
        **head(record, spans, low, high), "rows": len(record), "missing": [], "brief": True, "chosen": -1,
        "journeys": [
            [j.source, j.serial, j.vcpu, j.vector, -1, int(j.merged), [], [], headline(h, j), [], [], j.latency,
             j.start - low, j.end - j.start]
            for j in ways
        ],
        "causes": causes(h, events),
    }  # fmt: skip
