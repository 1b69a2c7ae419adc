"""What ``exitless read`` prints beside the totals: causes, wake-ups, waits, halts, rates over time, what is untold."""

from collections.abc import Iterable
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from exitless.cli.output import ns

ROWS: Final = 12
BARS: Final = " ▁▂▃▄▅▆▇█"
WIDE: Final = 100


def table(columns: Iterable[str]) -> Table:
    """Make a table whose first column is text and whose others are numbers."""
    t = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    for n, name in enumerate(columns):
        t.add_column(name, justify="left" if n == 0 else "right", no_wrap=n != 0, overflow="fold")
    return t


def number(value: int | None) -> str:
    """Write a count, a dash for none."""
    return "–" if value is None else f"{value:,}"


def reasons(counts: dict[str, int], most: int) -> str:
    """Write exits by reason, most first."""
    shown = [f"{name} {count:,}" for name, count in list(counts.items())[:most]]
    return ", ".join(shown) + (f", {len(counts) - most} more" if len(counts) > most else "")


def print_causes(out: Console, d: dict[str, Any]) -> None:
    """Print which interrupt made which exits."""
    rows = [c for c in d["causes"] if c["exits"]]
    if not rows:
        return
    wide = out.width >= WIDE
    t = table(["exits caused by", "vector", "interrupts", "exits", *(["kicks"] if wide else []), "time", "as"])
    t.columns[-1].justify, t.columns[-1].no_wrap = "left", False
    for c in rows[:ROWS]:
        kicks = [number(c["kicks"] or None)] if wide else []
        t.add_row(
            c["cause"], c["vector"] or "–", number(c["interrupts"]), number(c["exits"]), *kicks, ns(c["time_ns"]),
            reasons(c["by_reason"], 4 if wide else 2),
        )  # fmt: skip
    out.print(t)
    rest = rows[ROWS:]
    more = f"and {len(rest)} more causes of {sum(c['exits'] for c in rest):,} exits; " if rest else ""
    out.print(
        f"{more}an interrupt's exits are those that make room for it (kicks, windows) and the one of its EOI; who sent "
        "it last counts"
    )


def print_wakers(out: Console, d: dict[str, Any]) -> None:
    """Print who woke whom, and for which vectors."""
    rows = d["wakers"]
    if not rows:
        return
    t = table(["woken by", "vCPU", "wake-ups", "ran after p50", "p99", "for"])
    t.columns[-1].justify, t.columns[-1].no_wrap = "left", False
    for w in rows[:ROWS]:
        delay = w["delay_ns"]
        times = [ns(delay["p50"]), ns(delay["p99"])] if delay["count"] else ["–", "–"]
        top = dict(sorted(w["vectors"].items(), key=lambda item: -item[1]))
        t.add_row(w["waker"], w["vcpu"], f"{w['count']:,}", *times, reasons(top, 3) or "–")
    out.print(t)
    if len(rows) > ROWS:
        out.print(f"and {len(rows) - ROWS} more pairs of {sum(w['count'] for w in rows[ROWS:]):,} wake-ups")


def print_waits(out: Console, d: dict[str, Any]) -> None:
    """Print how long each vCPU waited for a pCPU, and how its halts ended."""
    rows = [w for w in d["waits"] if w["after_wake_up_ns"]["count"] or w["after_losing_pcpu_ns"]["count"]]
    if rows:
        shown = ("p50", "p99", "max") if out.width >= WIDE else ("p50", "p99")
        t = table(["wait for pCPU", "after wake-up", *shown, "after losing it", *shown])
        for w in rows[:ROWS]:
            cells = []
            for key in ("after_wake_up_ns", "after_losing_pcpu_ns"):
                s = w[key]
                cells += [f"{s['count']:,}", *([ns(s[k]) if s["count"] else "–" for k in shown])]
            t.add_row(w["vcpu"], *cells)
        out.print(t)
    halts = [w for w in d["waits"] if w["halts_polled_ns"]["count"] or w["halts_blocked_ns"]["count"]]
    if halts:
        if rows:
            out.print()
        t = table(["halts", "polled only", "time", "blocked", "time", "p50", "polls for"])
        for w in halts[:ROWS]:
            polled, blocked = w["halts_polled_ns"]["count"], w["halts_blocked_ns"]["count"]
            poll = w["halt_poll_ns"]
            t.add_row(
                w["vcpu"], f"{polled:,}", ns(w["polled_ns"]), f"{blocked:,}", ns(w["blocked_ns"]),
                ns(w["halts_blocked_ns"]["p50"]) if blocked else "–", "–" if poll is None else ns(poll),
            )  # fmt: skip
        out.print(t)


def bars(counts: list[int], columns: int) -> tuple[str, int, float]:
    """Draw counts as bars; returns them, the highest count of a column, and how many intervals a column has."""
    each = -(-len(counts) // columns)
    sums = [sum(counts[n : n + each]) for n in range(0, len(counts), each)]
    most = max(sums, default=0)
    last = len(BARS) - 1
    return "".join(BARS[-(-count * last // most)] if most else BARS[0] for count in sums), most, each


def print_over_time(out: Console, d: dict[str, Any]) -> None:
    """Print rates over time, one line of bars a series."""
    over = d["over_time"]
    series = {name: counts for name, counts in over["series"].items() if any(counts)}
    if not series:
        return
    names = max(map(len, series))
    columns = max(20, min(out.width, 120) - names - 22)
    each: float = 1
    for name, counts in series.items():
        drawn, most, each = bars(counts, columns)
        rate = most / (over["interval_ns"] * each) * 1e9
        out.print(f"{name:<{names}} {drawn} up to {rate:,.0f}/s", no_wrap=True, overflow="crop")
    out.print(f"over time, {ns(over['interval_ns'] * each)} a column; the last one may be cut")


def print_untold(out: Console, d: dict[str, Any]) -> None:
    """Print what the recording cannot tell."""
    if d["untold"]:
        out.print("Not in this recording:")
        for sentence in d["untold"]:
            out.print(f"  {sentence}")
