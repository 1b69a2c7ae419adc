"""Reports of ``perf kvm stat``: every architecture's, of perf's first heading (2012) and of its newest."""

import re
from typing import Final

from exitless.study.exit_names import VMX, exit_by_number
from exitless.study.pasted import Pasted
from exitless.study.pasted_text import NS_OF, NUMBER, Text, count, values

# A heading names its columns in any of these words; the first is the exit's name.
FIRST: Final = re.compile(r"\s*(VM-EXIT|Event name|MMIO Access|IO Port Access|[A-Za-z][\w -]*?)\s+Samples\b(.*)")
COLUMNS: Final = re.compile(r"(Samples?%|Time%|(?:(?:Min|Max|Avg|Mean)\s+)?[Tt]ime(?!%))(?:\s*\((ns|us|ms|s)\))?")
EXITS: Final = ("VM-EXIT", "Event name")
ROW: Final = re.compile(rf"\s*(\S(?:.*?\S)?)\s+({NUMBER})\s+({NUMBER}\s?%.*)")
CUT: Final = re.compile(rf"\s*[A-Za-z][\w ]*\s+({NUMBER})\s*")
TOTAL: Final = re.compile(
    rf"\s*Total Samples:\s*({NUMBER}),?(?:\s*Total events handled time:\s*({NUMBER})\s?([nmuµ]?s))?"
)
WHOM: Final = re.compile(r"\s*Analyze events for (.*?):?\s*$")
UNKNOWN: Final = re.compile(r"unknown kvm exit code:\s*(\d{1,10}|0x[0-9a-f]{1,8}) on (\w+)")
SPREAD: Final = re.compile(rf"\(\s*\+-?\s*({NUMBER})\s?%\s*\)")
RULER: Final = re.compile(r"[\s=-]*")
MOST_PIECES: Final = 3
ALL: Final = re.compile(r"all (?:VMs, all )?VCPUs", re.IGNORECASE)
# Shares of samples are rounded to hundredths of a per cent.
WHOLE: Final = 1.005


class Columns:
    """The columns behind a row's count: their meaning, their unit where the heading has it."""

    def __init__(self, rest: str) -> None:
        self.names: list[str] = []
        self.units: list[str] = []
        self.spread = False
        for found in COLUMNS.finditer(rest):
            word = found[1].split()[0].lower()
            self.names.append({"samples%": "part", "sample%": "part", "mean": "avg"}.get(word, word))
            self.units.append(found[2] or "")


def heading(line: str) -> Columns | None:
    """Return the columns of a line that heads exits; None for another line."""
    found = FIRST.match(line)
    if found is None or found[1] not in EXITS:
        return None
    columns = Columns(found[2])
    return columns if columns.names else None


def is_kvm_stat(text: Text) -> bool:
    """Tell whether there is a heading of exits."""
    return any(heading(line) is not None for line in text.lines)


def cells(line: str, columns: Columns) -> tuple[str, int, list[float]] | None:
    """Split a row into name, count and the numbers of its columns in ns or %; None when a column is missing."""
    found = ROW.fullmatch(line)
    if found is None:
        return None
    numbers = []
    told = values(SPREAD.sub("", found[3]))
    if len(told) < len(columns.names):
        return None
    for (value, unit), name, of_heading in zip(told, columns.names, columns.units, strict=False):
        is_part = name in ("part", "time%")
        if is_part != (unit == "%"):
            return None
        numbers.append(value / 100 if is_part else value * NS_OF[unit or of_heading or "us"])
    return found[1], count(found[2]), numbers


def is_whole(line: str, columns: Columns | None) -> bool:
    """Tell whether a line can be understood as it stands."""
    if heading(line) is not None or TOTAL.match(line) or WHOM.match(line) or UNKNOWN.search(line):
        return True
    return columns is not None and cells(line, columns) is not None


def repair_kvm_stat(text: Text) -> None:
    """Put rows and headings together again that were cut in two or three."""
    at, columns = 0, None
    while at < len(text.lines):
        line = text.lines[at]
        pieces = text.lines[at : at + MOST_PIECES]
        begun = heading(line)
        if begun is not None or (columns is not None and (ROW.fullmatch(line) or CUT.fullmatch(line))):
            for more in (2, 3):
                joined = " ".join(piece.strip() for piece in pieces[:more])
                tail = pieces[more - 1].strip() if len(pieces) >= more else ""
                longer = heading(joined)
                if begun is not None:
                    if tail and longer is not None and len(longer.names) > len(begun.names) and not ROW.match(tail):
                        text.join(at, more)
                        break
                elif tail and cells(line, columns or Columns("")) is None and cells(joined, columns or Columns("")):
                    text.join(at, more)
                    break
            columns = heading(text.lines[at]) or columns
        at += 1


class Kvm:
    """The one table that is read, while its lines pass."""

    def __init__(self, source: str) -> None:
        self.table = Pasted("perf kvm stat")
        self.source = source
        self.columns: Columns | None = None
        self.whom = ""
        self.whoms: list[str] = []
        self.other = 0
        self.unknown = ""
        self.done = False
        self.parts = 0.0

    def total(self, found: re.Match[str]) -> None:
        """Take the line at the table's end; those of several vCPUs or processes add up."""
        if self.columns is not None and not self.done:
            self.table.total = (self.table.total or 0) + count(found[1])
            if found[2]:
                time_ns = float(found[2].replace(",", "")) * NS_OF[found[3]]
                self.table.time_ns = (self.table.time_ns or 0.0) + time_ns
        self.done = self.done or self.columns is not None
        self.columns = None

    def row(self, line: str, place: str) -> None:
        """Take a row of the table, or say what is wrong with it."""
        assert self.columns is not None
        found = cells(line, self.columns)
        if found is None:
            if ROW.fullmatch(line):
                self.table.problems.append(
                    f"{place}: a row without all of its columns: {line.strip()[:40]!r}; where a mail program cut "
                    "rows in two, --repair puts them together"
                )
            elif not RULER.fullmatch(line):
                self.table.problems.append(
                    f"{place}: expected a row with a name, a count and shares, got {line.strip()[:40]!r}"
                )
            return
        name, samples, numbers = found
        again = name == "UNKNOWN"
        if again and self.unknown:
            name, again = self.unknown, False
        self.unknown = ""
        told = dict(zip(self.columns.names, numbers, strict=False))
        self.parts += told.get("part", 1.0)
        twice = name in self.table.exits
        again = again or (twice and (len(self.whoms) > 1 or self.parts <= WHOLE))
        if twice and again and len(self.whoms) < 2:
            self.table.notes.append(
                f"{name} has more rows than one, as perf gives a reason with other flags; they add up"
            )
        row = self.table.exit(name, samples, place, again)
        row.share = None if again else told.get("time%")
        row.mean_ns, row.min_ns, row.max_ns = told.get("avg"), told.get("min"), told.get("max")
        row.time_ns = told.get("time")
        if again:
            row.mean_ns = row.min_ns = row.max_ns = row.time_ns = None

    def begin(self, whom: str) -> None:
        """A table for somebody begins. Those of single vCPUs or processes go on with the one before them."""
        single = self.whoms and not any(ALL.fullmatch(known) for known in (*self.whoms, whom))
        if single and self.done and not self.other and whom not in self.whoms:
            self.done, self.parts = False, 0.0
        if not self.done:
            self.whoms.append(whom)

    def line(self, line: str, place: str) -> None:
        """Take one line."""
        if whom := WHOM.match(line):
            self.columns = None
            self.whom = "" if self.done else whom[1]
            self.begin(whom[1])
        elif found := TOTAL.match(line):
            self.total(found)
        elif (columns := heading(line)) is not None:
            self.done = self.done or (self.columns is not None and bool(self.table.exits))
            self.other += self.done
            self.columns = None if self.done else columns
        elif FIRST.match(line):
            self.other += 1
            self.columns = None
        elif code := UNKNOWN.search(line):
            self.unknown = exit_by_number(int(code[1], 0), VMX if "VMX" in code[2] else "svm")
        elif self.columns is not None and line.strip():
            if line.lstrip().startswith("=="):
                self.columns = None
            else:
                self.row(line, place)


def kvm_stat(text: Text, source: str) -> Pasted:
    """Read the first table of exits. Errors: TraceError."""
    kvm = Kvm(source)
    whom = ""
    for line, place in zip(text.lines, text.places, strict=True):
        kvm.line(line, f"{source}:{place}")
        whom = whom or kvm.whom
    table = kvm.table
    if len(kvm.whoms) > 1:
        table.notes.append(f"the tables of {len(kvm.whoms)} add up: {'; '.join(kvm.whoms)[:160]}")
    elif whom and whom != "all VMs, all VCPUs":
        table.notes.append(f"the table is for {whom}")
    if kvm.other:
        table.notes.append(f"{kvm.other} more tables in the same text were not read; the first of exits was")
    listed = sum(row.count for row in table.exits.values())
    if table.total is None:
        table.problems.append(f"{source}: the line Total Samples is missing, so rows may be missing too")
        table.total = listed if listed else None
    elif listed != table.total:
        more, fewer = max(listed, table.total), min(listed, table.total)
        table.problems.append(
            f"{source}: the table says {table.total:,} samples in all, its rows have {listed:,}: {more - fewer:,} are "
            + ("in no row" if listed < table.total else "too many")
        )
    return table
