"""Counters that people paste: ``perf stat -e kvm:*``, KVM's debugfs, ``kvm_stat`` and ``kvm_service_time.stp``."""

import re
from typing import Final

from exitless.study.exit_names import SVM, VMX, exit_by_number
from exitless.study.pasted import Pasted
from exitless.study.pasted_text import NS_OF, NUMBER, Text, count, number
from exitless.vocab.svm_exits import SVM_NAMES

EVENT: Final = r"kvm(?:mmu)?:\w+"
PERF_ROW: Final = re.compile(rf"(?:\s*[\d.]+\s+)?\s*({NUMBER}|<not \w+>)(?:,,|\s+)({EVENT})(?::\w+)?(?:[\s,#].*)?")
PERF_BARE: Final = re.compile(rf"\s*(?:({EVENT})|({NUMBER}))\s*(?:\[[\d.]+%\])?")
ELAPSED: Final = re.compile(rf"\s*({NUMBER}) (?:\+- \S+ )?seconds time elapsed")

COUNTER: Final = re.compile(rf"\s*(?:\S*/)?([A-Za-z_][\w-]*)\s*(?:[:=]\s*|\s+)(-?(?:{NUMBER}))\s*")
OF_VCPU: Final = re.compile(r"(?:.*/)?vcpu\d+/")
# KVM's counters that count the exits of one reason, as VMX's number and SVM's. Cites: KVM x86.c kvm_vcpu_stats_desc.
COUNTERS: Final = {
    "irq_exits": (1, 0x60), "irq_window_exits": (7, 0x64), "nmi_window_exits": (8, 0x74), "halt_exits": (12, 0x78),
    "io_exits": (30, 0x7B),
}  # fmt: skip
OF_KVM: Final = frozenset(
    "exits irq_exits irq_window_exits nmi_window_exits halt_exits io_exits mmio_exits signal_exits irq_injections "
    "halt_wakeup halt_successful_poll halt_attempted_poll insn_emulation host_state_reload fpu_reload hypercalls "
    "nmi_injections req_event request_irq_exits pf_fixed tlb_flush".split()
)

SERVICE_HEAD: Final = re.compile(r"#?\s*reason:\s+count\s+sum\((\w+)\)\s+min\(\w+\)\s+avg\(\w+\)\s+max\(\w+\)")
SERVICE_ROW: Final = re.compile(
    rf"\s*(0x[0-9a-f]+|\d+):\s+({NUMBER})\s+({NUMBER})\s+({NUMBER})\s+({NUMBER})\s+({NUMBER})\s*"
)
TOOL_ROW: Final = re.compile(rf"\s*kvm_exit\(([\w ]+)\)\s+({NUMBER})\b.*")
TOOL_TOTAL: Final = re.compile(rf"\s*(kvm_\w+)\s+({NUMBER})\b.*")


def is_perf_stat(text: Text) -> bool:
    """Tell whether a line is a counter of perf stat for a tracepoint of KVM."""
    return any(PERF_ROW.fullmatch(line) for line in text.lines)


def repair_perf_stat(text: Text) -> None:
    """Put counters together again whose count stands in a line of its own."""
    for at in range(len(text.lines) - 1, 0, -1):
        first, second = PERF_BARE.fullmatch(text.lines[at - 1]), PERF_BARE.fullmatch(text.lines[at])
        if first and second and first[2] and second[1]:
            text.join(at - 1, 2)


def perf_stat(text: Text, source: str) -> Pasted:
    """Read the counters of ``perf stat -e kvm:*``; those of several intervals add up. Errors: TraceError."""
    table = Pasted("perf stat")
    missing = []
    for line, place in zip(text.lines, text.places, strict=True):
        if row := PERF_ROW.fullmatch(line):
            name = row[2].removeprefix("kvm:")
            if row[1].startswith("<"):
                missing.append(f"{name} {row[1].strip('<>')}")
            else:
                again = re.match(r"\s*\d+\.\d+\s+\d", line) is not None
                table.record(name, int(number(row[1])), f"{source}:{place}", again)
        elif elapsed := ELAPSED.match(line):
            table.duration_ns = number(elapsed[1]) * NS_OF["s"]
    table.total = table.records.get("kvm_exit")
    table.notes.append("tracepoints are counted, exits by reason are not told")
    if missing:
        table.notes.append(f"without a count: {', '.join(missing)}")
    return table


def _named(line: str) -> tuple[str, int] | None:
    if OF_VCPU.match(line.strip()):
        return None
    row = COUNTER.fullmatch(line)
    return (row[1], int(number(row[2]))) if row is not None and not row[2].startswith("-") else None


def is_debugfs(text: Text) -> bool:
    """Tell whether at least three lines are counters of KVM, the exits among them."""
    names = {row[0] for line in text.lines if (row := _named(line)) is not None}
    return "exits" in names and len(names & OF_KVM) >= 3


def debugfs(text: Text, source: str) -> Pasted:
    """Read KVM's counters, as ``grep . /sys/kernel/debug/kvm/*`` or a program printed them. Errors: TraceError."""
    table = Pasted("kvm debugfs", derived=True)
    for line, place in zip(text.lines, text.places, strict=True):
        if row := _named(line):
            table.record(row[0], row[1], f"{source}:{place}")
        elif line.strip() and not OF_VCPU.match(line.strip()):
            table.problems.append(f"{source}:{place}: expected NAME:COUNT, got {line.strip()[:40]!r}")
    table.total = table.records.get("exits")
    for name, (vmx, _) in COUNTERS.items():
        if name in table.records:
            row2 = table.exit_named(exit_by_number(vmx, VMX), vmx, name, table.records[name], source)
            row2.written = name
    table.notes.append(
        "the counters run since the machine was made and do not say whose exits they are: names are VMX's; most "
        "reasons have no counter"
    )
    return table


def is_service_time(text: Text) -> bool:
    """Tell whether there is the heading of kvm_service_time.stp."""
    return any(SERVICE_HEAD.match(line) for line in text.lines)


def service_time(text: Text, source: str) -> Pasted:
    """Read the report of SystemTap's kvm_service_time.stp, whose reasons are numbers. Errors: TraceError."""
    table = Pasted("kvm_service_time.stp")
    unit = NS_OF["us"]
    rows = []
    begun = False
    for line, place in zip(text.lines, text.places, strict=True):
        if head := SERVICE_HEAD.match(line):
            unit, begun = NS_OF.get(head[1], unit), True
        elif row := SERVICE_ROW.fullmatch(line):
            rows.append((int(row[1], 0), row, f"{source}:{place}"))
        elif begun and line.strip() and line.strip()[0].isdigit():
            table.problems.append(f"{source}:{place}: expected REASON: and five numbers, got {line.strip()[:40]!r}")
    told = {code for code, _, _ in rows}
    svm = any(code in SVM_NAMES and code > 0x58 for code in told)
    table.vendor = SVM if svm else VMX
    for code, row, where in rows:
        name = exit_by_number(code, table.vendor)
        kept = table.exit_named(name, code, name, count(row[2]), where)
        kept.time_ns, kept.min_ns, kept.max_ns = (number(row[n]) * unit for n in (3, 4, 6))
    table.total = sum(row.count for row in table.exits.values())
    table.notes.append(f"reasons are numbers; they are taken for {table.vendor.upper()}'s")
    return table


def is_kvm_stat_tool(text: Text) -> bool:
    """Tell whether a line is one of the kernel's tool kvm_stat with its exits by reason."""
    return any(TOOL_ROW.fullmatch(line) for line in text.lines)


def kvm_stat_tool(text: Text, source: str) -> Pasted:
    """Read what the kernel's ``kvm_stat`` shows with its exits by reason. Errors: TraceError."""
    table = Pasted("kvm_stat")
    for line, place in zip(text.lines, text.places, strict=True):
        if row := TOOL_ROW.fullmatch(line):
            table.exit(row[1], count(row[2]), f"{source}:{place}")
        elif total := TOOL_TOTAL.fullmatch(line):
            table.record(total[1], count(total[2]), f"{source}:{place}")
    table.total = table.records.get("kvm_exit")
    return table
