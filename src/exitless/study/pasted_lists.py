"""Lists that people paste of no one tool: exits or tracepoints with their counts, and what bcc's ``kvmexit`` prints."""

import re
from typing import Final

from exitless.errors import TraceError
from exitless.study.exit_names import known_exit
from exitless.study.pasted import Pasted
from exitless.study.pasted_text import QUANTITY, Text, count, joined_groups

BCC_HEAD: Final = re.compile(r"\s*(?:PID\s+)?(?:TID\s+)?KVM_EXIT_REASON\s+COUNT\s*")
BCC_ROW: Final = re.compile(r"\s*(?:\d+\s+){0,2}([A-Za-z_][\w /]*?)\s+(\d+)\s*")
POINT: Final = re.compile(rf"[\s|*`-]*(?:kvm:)?(kvm_\w+)[\s|:=*`]+({QUANTITY})(?![\w.%])[^()]*")
POINT_TURNED: Final = re.compile(rf"[\s|*`-]*({QUANTITY})[\s|:]+(?:kvm:)?(kvm_\w+)[\s|]*")
CELL: Final = re.compile(rf"(?<![\w.])({QUANTITY})\s*(%|[nmu\u00b5\u03bc]?s(?![\w/]))?(?![\w.])")
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[ /-][A-Za-z_][A-Za-z0-9_]*)*")
EDGES: Final = " |*`\u2502-"
TOTALS: Final = frozenset({"total", "sum", "all", "all exits", "total exits", "total samples", "exits", "vm exits"})
LEAST: Final = 2
MOST_ROWS: Final = 10_000


class Listed:
    """A row of a list: its name, its count and its share in per cent, each None where the row has none."""

    def __init__(self, name: str, counts: list[str], share: float | None) -> None:
        self.name = name
        self.count = count(counts[0]) if counts else None
        self.columns = len(counts)
        self.rounded = any(text[-1] in "kKM" for text in counts)
        self.share = share


def listed(line: str) -> Listed | None:
    """Split a row into its name and its numbers, in any order; None for another line.

    A number with a unit of time is no count, one with % is a share.
    """
    line = joined_groups(line)
    found = NAME.search(line)
    if found is None:
        return None
    name = found[0].strip()
    rest = f"{line[: found.start()]} | {line[found.end() :]}"
    cells = CELL.findall(rest)
    if not cells or CELL.sub("", rest).strip(EDGES + "\t:=()+,;") != "":
        return None
    counts = [text for text, unit in cells if not unit and (text.isdigit() or not text[-1].isdigit() or "," in text)]
    counts = counts or [text.partition(".")[0] for text, unit in cells if not unit]
    shares = [float(text.replace(",", "")) for text, unit in cells if unit == "%"]
    return Listed(name, counts, shares[0] if shares else None)


def is_total(name: str) -> bool:
    """Tell whether a row is the sum of the others."""
    return name.lower() in TOTALS


def is_bcc(text: Text) -> bool:
    """Tell whether there is the heading of bcc's ``kvmexit``."""
    return any(BCC_HEAD.fullmatch(line) for line in text.lines)


def bcc(text: Text, source: str) -> Pasted:
    """Read what ``kvmexit`` prints: a row a thread and reason, which add up. Errors: TraceError."""
    table = Pasted("kvmexit")
    begun = False
    more = 0
    for line, place in zip(text.lines, text.places, strict=True):
        if BCC_HEAD.fullmatch(line):
            more += begun
            begun = True
        elif begun and not more and (row := BCC_ROW.fullmatch(line)) and len(table.exits) < MOST_ROWS:
            table.exit(row[1], int(row[2]), f"{source}:{place}", again=True)
    table.total = sum(row.count for row in table.exits.values()) if table.exits else None
    if more:
        table.notes.append(f"{more} more tables in the same text were not read; the first was")
    return table


def is_points(text: Text) -> bool:
    """Tell whether there is a list of KVM's tracepoints, the exits or entries among them."""
    names = {row[0] for line in text.lines if (row := point(line)) is not None}
    return len(names) >= LEAST and bool(names & {"kvm_exit", "kvm_entry"})


def point(line: str) -> tuple[str, str] | None:
    """Return a tracepoint's name and its count as it is written; None for another line."""
    line = joined_groups(line)
    if row := POINT.fullmatch(line):
        return row[1], row[2]
    turned = POINT_TURNED.fullmatch(line)
    return (turned[2], turned[1]) if turned else None


def points(text: Text, source: str) -> Pasted:
    """Read counts of tracepoints, name first or count first; of several columns the first. Errors: TraceError."""
    table = Pasted("counts of tracepoints")
    for line, place in zip(text.lines, text.places, strict=True):
        if (row := point(line)) is not None and len(table.records) < MOST_ROWS:
            table.record(row[0], count(row[1]), f"{source}:{place}")
    table.total = table.records.get("kvm_exit")
    table.notes.append("tracepoints are counted, exits by reason are not told")
    return table


def exits_of(text: Text) -> list[tuple[int, Listed]]:
    """Return the rows whose name is an exit's, or a total's, with the lines in which they stand."""
    rows: list[tuple[int, Listed]] = []
    for line, place in zip(text.lines, text.places, strict=True):
        row = listed(line) if len(rows) < MOST_ROWS else None
        if row is not None and (known_exit(row.name) is not None or is_total(row.name)):
            rows.append((place, row))
    return rows


def is_list(text: Text) -> bool:
    """Tell whether at least two rows are exits with their counts or shares."""
    return sum(not is_total(row.name) for _, row in exits_of(text)) >= LEAST


def exit_list(text: Text, source: str) -> Pasted:
    """Read a list of exits: a name and a count a row, or shares of a total that is told. Errors: TraceError."""
    table = Pasted("list of exits")
    rows = exits_of(text)
    total = next((row.count for _, row in rows if is_total(row.name) and row.count is not None), None)
    shares = 0
    for place, row in rows:
        if is_total(row.name):
            continue
        number = row.count
        if number is None:
            if total is None or row.share is None:
                raise TraceError(
                    f"{source}:{place}: {row.name} has a share and no count; expected counts, or a row with the total"
                )
            number, shares = round(row.share * total / 100), shares + 1
        table.exit(row.name, number, f"{source}:{place}")
    found = sum(row.count for row in table.exits.values())
    table.total = found if total is None or shares else total
    if shares and total is not None:
        table.total = total
        table.notes.append(f"{shares} counts were made of shares of the total")
    if any(row.rounded for _, row in rows):
        table.notes.append("counts in k or M are rounded, so they may not add up")
    if max(row.columns for _, row in rows) > 1:
        table.notes.append("of several columns of numbers the first was read")
    return table
