"""The report of ``exitless read`` on a pasted table, in the shape of a recording's; None is what it does not tell."""

from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from exitless.cli.output import ns, per_cent
from exitless.errors import TraceError
from exitless.study.pasted import Exits, Pasted, read_pasted
from exitless.traces.opening import Source

MOST: Final = 8 << 20
KINDS_SHOWN: Final = 12


def whole(value: float | None) -> int | None:
    """Return a time in whole ns, None as None."""
    return None if value is None else round(value)


def pasted_of(source: Source, repair: bool) -> Pasted:
    """Read the table that a source holds. Errors: TraceError, also when it holds none."""
    source.settle()
    if source.size > MOST:
        raise TraceError(f"{source.name}: expected a pasted table of at most {MOST >> 20} MiB; this text is larger")
    table = read_pasted(source.read_at(0, source.size).decode("utf-8", "replace"), source.name, repair)
    if source.problem:
        table.problems.insert(0, source.problem)
    return table


def reason(row: Exits, duration_ns: float | None, all_ns: float | None) -> dict[str, Any]:
    """Make the entry of one exit reason."""
    share = row.share
    if share is None and row.time_ns is not None and all_ns:
        share = row.time_ns / all_ns
    return {
        "count": row.count, "time_ns": whole(row.time_ns), "min_ns": whole(row.min_ns), "p50_ns": None, "p99_ns": None,
        "max_ns": whole(row.max_ns), "mean_ns": whole(row.mean_ns), "code": row.code if row.code >= 0 else None,
        "share": None if share is None else round(share, 6), "written": row.written, "timed": None,
        "per_second": round(row.count / duration_ns * 1e9, 3) if duration_ns else None,
    }  # fmt: skip


def as_document(table: Pasted, source: Source) -> dict[str, Any]:
    """Make the document of the command ``read``."""
    timed = [row.time_ns for row in table.exits.values() if row.time_ns is not None]
    all_ns = table.time_ns if table.time_ns is not None else sum(timed) if len(timed) == len(table.exits) else None
    ordered = sorted(table.exits.items(), key=lambda item: (-item[1].count, item[0]))
    vectors = {
        f"0x{vector:02x}": {"accepted": None, "injected": count, "eoi": None, "latency_ns": None}
        for vector, count in sorted(table.vectors.items())
    }
    return {
        "file": source.name, "format": table.format, "clock": None, "clock_hz": None, "clock_origin": "not told",
        "duration_ns": whole(table.duration_ns), "events": None, "kinds": table.records, "names": {}, "unread": {},
        "lost": {"events": None, "intervals": None}, "partial": bool(table.problems), "problems": table.problems,
        "notes": table.notes, "vendor": table.vendor or None, "repaired": table.repaired,
        "marks": {"lines_repaired": table.repaired, "lines_quoted": table.quoted},
        "exits": {
            "total": table.total, "unlisted": table.unlisted, "time_ns": whole(table.time_ns),
            "by_reason": {name: reason(row, table.duration_ns, all_ns or None) for name, row in ordered},
        },
        "vcpus": [], "vectors": vectors, "hypercalls": table.calls,
    }  # fmt: skip


def time(value: int | None) -> str:
    """Write a time, a dash for one that is not told."""
    return "–" if value is None else ns(value)


def counted(name: str, count: int) -> str:
    """Write a counter, as a time where its name says that it is one."""
    return f"{name} {ns(count) if name.endswith('_ns') else f'{count:,}'}"


def print_pasted(out: Console, d: dict[str, Any]) -> None:
    """Print the report."""
    exits = d["exits"]
    total = "an unknown number of" if exits["total"] is None else f"{exits['total']:,}"
    lasted = "" if d["duration_ns"] is None else f" in {ns(d['duration_ns'])}"
    out.print(f"[bold]{d['file']}[/]: {d['format']}, {total} exits{lasted}")
    for note in d["notes"]:
        out.print(f"note: {note}")
    reasons = exits["by_reason"]
    if reasons:
        told = {
            key: name
            for key, name in (("time_ns", "time"), ("min_ns", "min"), ("mean_ns", "mean"), ("max_ns", "max"))
            if any(x[key] is not None for x in reasons.values())
        }
        t = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
        has_share = any(x["share"] is not None for x in reasons.values())
        for n, name in enumerate(["exit reason", "count", *told.values(), *(["share"] if has_share else [])]):
            t.add_column(name, justify="left" if n == 0 else "right", no_wrap=n != 0, overflow="fold")
        for name, x in reasons.items():
            shares = ["–" if x["share"] is None else per_cent(x["share"])] if has_share else []
            t.add_row(name, f"{x['count']:,}", *(time(x[key]) for key in told), *shares)
        if exits["unlisted"]:
            t.add_row("in no row", f"{exits['unlisted']:,}", *["–"] * (len(told) + has_share))
        out.print()
        out.print(t)
    if d["vectors"]:
        out.print("injected: " + ", ".join(f"{name} {v['injected']:,}" for name, v in d["vectors"].items()))
    if d["hypercalls"]:
        out.print("hypercalls: " + ", ".join(f"{name} {count:,}" for name, count in d["hypercalls"].items()))
    if d["kinds"]:
        top = sorted(d["kinds"].items(), key=lambda item: -item[1])
        more = f", and {len(top) - KINDS_SHOWN} more" if len(top) > KINDS_SHOWN else ""
        out.print("counted: " + ", ".join(counted(name, count) for name, count in top[:KINDS_SHOWN]) + more)
