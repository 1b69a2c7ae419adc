"""Tables of exits that people paste: ``perf kvm stat``, ``perf stat -e kvm:*`` and summaries of xentrace records."""

import re
from dataclasses import dataclass, field
from typing import Final

from exitless.errors import TraceError

KVM_STAT_HEAD: Final = re.compile(r"\bVM-EXIT\b.*\bSamples\b")
KVM_STAT_ROW: Final = re.compile(r"\s*(\S+)\s+(\d+)\s+([\d.]+)%\s+([\d.]+)%(.*)")
KVM_STAT_TOTAL: Final = re.compile(r"\s*Total Samples:\s*(\d+)")
AVERAGE_US: Final = re.compile(r"([\d.]+)us\s*\(\s*\+-\s*[\d.]+%\s*\)")
PERF_STAT_ROW: Final = re.compile(r"\s*(\d[\d,]*)\s+kvm:(\w+)(?:\s.*)?")
COUNT_ROW: Final = re.compile(r"\s*(\d[\d,]*)\s+([A-Za-z][\w.]*)\s*|\s*([A-Za-z][\w.]*)\s+(\d[\d,]*)\s*")


@dataclass(slots=True)
class Pasted:
    """A table as it was read: counts by name, mean times where they are given, the total where it is stated."""

    format: str
    counts: dict[str, int]
    mean_ns: dict[str, float] = field(default_factory=dict)
    total: int | None = None


def number(text: str) -> int:
    """Read a count with or without commas."""
    return int(text.replace(",", ""))


def keep(counts: dict[str, int], name: str, count: int, place: str) -> None:
    """Store one row. Errors: TraceError for a name that has a row already."""
    if name in counts:
        raise TraceError(f"{place}: {name} has a row already; expected one table with one row for each name")
    counts[name] = count


def kvm_stat(lines: list[str], source: str) -> Pasted:
    """Read a report of ``perf kvm stat``. Errors: TraceError."""
    table = Pasted("perf kvm stat", {})
    for n, line in enumerate(lines, 1):
        if total := KVM_STAT_TOTAL.match(line):
            table.total = number(total.group(1))
        elif row := KVM_STAT_ROW.fullmatch(line):
            keep(table.counts, row.group(1), number(row.group(2)), f"{source}:{n}")
            if mean := AVERAGE_US.search(row.group(5)):
                table.mean_ns[row.group(1)] = float(mean.group(1)) * 1000
    return table


def perf_stat(lines: list[str], source: str) -> Pasted:
    """Read the counters of ``perf stat -e kvm:*``. Errors: TraceError."""
    table = Pasted("perf stat", {})
    for n, line in enumerate(lines, 1):
        if row := PERF_STAT_ROW.fullmatch(line):
            keep(table.counts, row.group(2), number(row.group(1)), f"{source}:{n}")
    table.total = table.counts.get("kvm_exit")
    return table


def xen_summary(lines: list[str], source: str) -> Pasted:
    """Read counts of xentrace records, name first or count first. Errors: TraceError."""
    table = Pasted("xentrace summary", {})
    for n, line in enumerate(lines, 1):
        if row := COUNT_ROW.fullmatch(line):
            name, count = row.group(2) or row.group(3), row.group(1) or row.group(4)
            keep(table.counts, name, number(count), f"{source}:{n}")
    table.total = table.counts.get("VMEXIT")
    return table


def read_pasted(text: str, source: str) -> Pasted:
    """Recognise a pasted table and read it; nothing is repaired. Errors: TraceError."""
    lines = text.splitlines()
    if any(KVM_STAT_HEAD.search(line) for line in lines):
        table = kvm_stat(lines, source)
    elif any(PERF_STAT_ROW.fullmatch(line) for line in lines):
        table = perf_stat(lines, source)
    else:
        table = xen_summary(lines, source)
        if "VMEXIT" not in table.counts:
            table.counts.clear()
    if not table.counts:
        raise TraceError(
            f"{source}: expected a report of perf kvm stat, counters of perf stat -e kvm:* or a summary of xentrace "
            "records with a row VMEXIT"
        )
    return table
