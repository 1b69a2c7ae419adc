"""What Xen's tools say of a recording: ``xenalyze --summary``, and lists of record names with their counts."""

import re
from typing import Final

from exitless.study.exit_names import VMX, exit_by_name, exit_by_number
from exitless.study.pasted import Pasted
from exitless.study.pasted_text import NUMBER, QUANTITY, Text, count, joined_groups, number

ANALYZED: Final = re.compile(rf"Total time: ({NUMBER}) seconds(?: \(using cpu speed ({NUMBER}) ([GM])Hz\))?")
DOMAIN: Final = re.compile(r"\|-- Domain (\d+) --\|")
VCPU: Final = re.compile(r"-- v(\d+) --")
EXIT: Final = re.compile(
    rf"\s(\w[\w ]*?)\s+({NUMBER})\s+({NUMBER})s\s+({NUMBER})%\s+({NUMBER}) cyc(?: \{{(\d+)\|(\d+)\|(\d+)\}})?\s*"
)
GUEST: Final = re.compile(rf"\s+\[\s*(\d+)\] ({NUMBER})")
CALL: Final = re.compile(rf"\s+\[\s*([a-z]\w*)\]\s+({NUMBER})\b.*")

ROW: Final = re.compile(
    rf"[\s|*-]*([A-Za-z_][\w.]*(?: / [\w.]+)?)[\s|:=]+((?:{QUANTITY})(?:[\s|]+(?:{QUANTITY}|-))*)[\s|]*"
)
TURNED: Final = re.compile(rf"[\s|*-]*({QUANTITY})[\s|:]+([A-Za-z_][\w.]*)[\s|]*")

# Xen's records of an exit's handler, as the exit for which they stand. Cites: Xen trace.h HVM.
HANDLERS: Final = {
    "VMMCALL": 18, "HLT": 12, "INTR": 1, "TRAP": 0, "CPUID": 10, "NPF": 48, "MSR_READ": 31, "MSR_WRITE": 32,
    "IO_READ": 30, "IO_WRITE": 30, "IOPORT_READ": 30, "IOPORT_WRITE": 30, "INVLPG": 14, "RDTSC": 16, "WBINVD": 54,
    "CR_READ": 28, "CR_WRITE": 28, "DR_READ": 29, "DR_WRITE": 29, "INTR_WINDOW": 7,
}  # fmt: skip
# Records that no other tool calls so.
OF_XEN: Final = frozenset({"VMMCALL", "INTR_WINDOW", "INJ_VIRQ", "INTR", "TRAP", "NPF", "IOPORT_READ", "IOMEM_READ"})
MOST_ROWS: Final = 10_000


def is_xenalyze(text: Text) -> bool:
    """Tell whether it is a summary of xenalyze: exits by reason under a vCPU, or a heading."""
    return any(DOMAIN.match(line) for line in text.lines) or any(line.strip() == "Exit reasons:" for line in text.lines)


class Analyzed:
    """A summary of xenalyze while its lines pass."""

    def __init__(self, source: str) -> None:
        self.table = Pasted("xenalyze summary")
        self.source = source
        self.hz = 0.0
        self.part = ""

    def exit(self, row: re.Match[str], place: str) -> None:
        """Take the exits of one vCPU for one reason; xenalyze times the part that their handler ran."""
        name = row[1]
        known = exit_by_name(name)
        kept = self.table.exit(name, count(row[2]), place, again=known[1] >= 0 or name in self.table.exits)
        if self.hz:
            kept.time_ns = (kept.time_ns or 0.0) + count(row[2]) * number(row[5]) * 1e9 / self.hz

    def line(self, line: str, place: str) -> None:
        """Take one line."""
        bare = line.strip()
        if head := ANALYZED.match(bare):
            self.table.duration_ns = number(head[1]) * 1e9
            if head[2]:
                self.hz = number(head[2]) * {"G": 1e9, "M": 1e6}[head[3]]
        elif bare.endswith(":") or bare.startswith(("--", "|--", "==")) or bare == "Emulate eip list":
            self.part = bare
        elif self.part == "Exit reasons:":
            if (row := EXIT.fullmatch(line)) and not line.startswith("  "):
                self.exit(row, place)
            elif call := CALL.fullmatch(line):
                self.table.calls[call[1]] = self.table.calls.get(call[1], 0) + count(call[2])
            elif line.startswith(" VMEXIT") or (row is not None and not line.startswith("  ")):
                self.table.problems.append(f"{place}: expected an exit with count, time and cycles, got {bare[:40]!r}")
        elif self.part == "Guest interrupt counts:" and (guest := GUEST.fullmatch(line)):
            vector = int(guest[1])
            if vector < 256:
                self.table.vectors[vector] = self.table.vectors.get(vector, 0) + count(guest[2])


def xenalyze(text: Text, source: str) -> Pasted:
    """Read a summary of xenalyze; the vCPUs of all domains add up. Errors: TraceError."""
    seen = Analyzed(source)
    for line, place in zip(text.lines, text.places, strict=True):
        seen.line(line, f"{source}:{place}")
    table = seen.table
    table.total = sum(row.count for row in table.exits.values()) if table.exits else None
    if not table.exits:
        table.record("records of no exit", 0, source)
        table.notes.append("no exits by reason: xenalyze gives none for a recording without the scheduler's records")
    if not seen.hz:
        table.notes.append("the text does not say the clock's frequency, so no times are known")
    table.notes.append("xenalyze times what the handlers ran, without waits for a pCPU")
    return table


def is_records(text: Text) -> bool:
    """Tell whether there is a list of xentrace's records: a row VMEXIT, or two that only Xen calls so."""
    names = {row[0] for row in map(pair, text.lines) if row is not None}
    return "VMEXIT" in names or len(names & OF_XEN) >= 2


def pair(line: str) -> tuple[str, int, int] | None:
    """Return a row's name, its count, and how many more counts it has; None for another line."""
    line = joined_groups(line)
    if row := ROW.fullmatch(line):
        numbers = re.findall(rf"{QUANTITY}|-", row[2])
        return row[1], whole(numbers[0]), len(numbers) - 1
    if turned := TURNED.fullmatch(line):
        return turned[2], whole(turned[1]), 0
    return None


def whole(text: str) -> int:
    """Read a count; what a plain number has behind its point is left out."""
    return count(text if text[-1] in "kKM" else text.partition(".")[0])


def records(text: Text, source: str) -> Pasted:
    """Read counts of xentrace's records, name first or count first; of several columns the first.

    Errors: TraceError.
    """
    table = Pasted("xentrace summary", derived=True)
    more = 0
    for line, place in zip(text.lines, text.places, strict=True):
        row = pair(line)
        if row is not None and len(table.records) < MOST_ROWS:
            table.record(row[0], row[1], f"{source}:{place}")
            more = max(more, row[2])
    table.total = table.records.get("VMEXIT")
    for name, seen in table.records.items():
        if name in HANDLERS:
            code = HANDLERS[name]
            table.exit_named(exit_by_number(code, VMX), code, name, seen, source, again=True)
    if more:
        table.notes.append(f"there are {more + 1} columns of counts; the first was read")
    if table.exits:
        table.notes.append(
            "Xen's records name what a handler did, for either vendor: the exits' names are VMX's; INTR_WINDOW counts "
            "windows armed, which can be more than exits"
        )
    return table
