"""``exitless read``: reports on recordings of real hosts."""

import argparse
import csv
import io
import re
import time
from collections.abc import Iterable
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from exitless.cli.output import console, ns, per_cent, progress, write_json, write_whole
from exitless.errors import TraceError
from exitless.study.trace_report import Facts, TraceReport
from exitless.traces.reader import Reader, open_reader

ALWAYS: Final = ("accepted", "injected", "eoi")
PATIENCE: Final = 1.0
FREQUENCY: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMGmg]?)(?:[Hh][Zz])?\s*")
SCALE: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
COLUMNS: Final = ("count", "per_second", "time_ns", "min_ns", "p50_ns", "p99_ns", "max_ns", "share")


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("read", help="report on real traces")
    p.add_argument("trace", nargs="+", metavar="TRACE", help="a recording, packed or not (- for standard input)")
    p.add_argument("--cpu-hz", metavar="HZ", help='clock of a recording that holds none, for example "2.6 GHz" or 2.6G')
    p.add_argument("--kinds", action="store_true", help="list every kind of record with its count")
    p.add_argument("--json", metavar="FILE", help="write the report as JSON (- for standard output)")
    p.add_argument("--csv", metavar="FILE", help="write the exits by reason as CSV (- for standard output)")
    p.set_defaults(run=run)


def frequency(text: str | None) -> int:
    """Read ``2.6G``, ``2.6 GHz`` or ``2600000000`` as Hz; 0 for none. Errors: TraceError."""
    if text is None:
        return 0
    match = FREQUENCY.fullmatch(text)
    if match is None:
        raise TraceError(f'--cpu-hz {text}: expected a frequency such as "2.6 GHz", 2.6G or 2600000000')
    whole, _, fraction = match.group(1).partition(".")
    hz: int = int(whole + fraction) * SCALE[match.group(2).lower()] // 10 ** len(fraction)
    if not 1_000 <= hz <= 10**12:
        raise TraceError(f"--cpu-hz {text}: expected 1 kHz to 1 THz")
    return hz


def facts_of(reader: Reader) -> Facts:
    """Take from a reader what its rows do not say."""
    return Facts(
        file=reader.source.name, format=reader.format, clock=reader.clock, clock_hz=reader.clock_hz,
        clock_origin=reader.clock_origin, duration_ps=reader.duration_ps, events=reader.events, kinds=reader.kinds,
        names=reader.names, unread=dict(reader.unread()), lost_events=reader.lost_events,
        lost_intervals=reader.lost_intervals, vcpus=[(v.vm, v.number, v.tid) for v in reader.vcpus],
        exit_name=reader.exit_name, call_name=reader.hypercall_name, problems=reader.problems, notes=reader.notes,
    )  # fmt: skip


def report_on(path: str, clock_hz: int) -> dict[str, Any]:
    """Read one recording to its end; after a second, with progress on standard error. Errors: TraceError."""
    report = TraceReport()
    began = time.monotonic()
    with open_reader(path, clock_hz) as reader:
        batches = reader.rows()
        for rows in batches:
            report.rows(rows)
            if time.monotonic() - began > PATIENCE:
                with progress() as bar:
                    task = bar.add_task(f"reading {path}", total=reader.size or None)
                    for more in batches:
                        report.rows(more)
                        bar.update(task, completed=reader.done)
        return report.as_json(facts_of(reader))


def table(columns: Iterable[str]) -> Table:
    """Make a table whose first column is text and whose others are numbers."""
    t = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)
    for n, name in enumerate(columns):
        t.add_column(name, justify="left" if n == 0 else "right", no_wrap=n != 0, overflow="fold")
    return t


def print_head(out: Console, d: dict[str, Any]) -> None:
    """Print what was read, by which clock, and what is missing."""
    out.print(f"[bold]{d['file']}[/]: {d['format']}, {d['events']:,} records in {ns(d['duration_ns'])}")
    if d["clock_hz"]:
        hz = f"{d['clock_hz'] / 1e9:g} GHz"
        hint = "; the recording does not say it, give --cpu-hz" if d["clock_origin"] == "assumed" else ""
        out.print(f"clock: {d['clock']} at {hz} ({d['clock_origin']}{hint})")
    else:
        out.print(f"clock: {d['clock']} ({d['clock_origin']})")
    if d["lost"]["intervals"]:
        records, intervals = some(d["lost"]["events"], "record"), some(d["lost"]["intervals"], "interval")
        out.print(f"lost: {records} in {intervals}; no time spans them")
    if d["unread"]:
        many, kinds = sum(d["unread"].values()), len(d["unread"])
        out.print(f"not understood: {some(many, 'record')} of {some(kinds, 'kind')} ({first(d['unread'])})")
    for note in d["notes"]:
        out.print(f"note: {note}")


def some(count: int, word: str) -> str:
    """Write a count with its word, in the plural unless it is one."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def first(counts: dict[str, int], most: int = 4) -> str:
    """Name the most frequent of some counts."""
    top = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {count:,}" for name, count in top[:most]) + (", …" if len(top) > most else "")


def print_exits(out: Console, d: dict[str, Any]) -> None:
    """Print exits by reason."""
    reasons = d["exits"]["by_reason"]
    if not reasons:
        out.print("no VM exits in this recording")
        return
    wide = out.width >= 100
    t = table(["exit reason", "count", "per s", "time", *(["min"] if wide else []), "p50", "p99", "max", "share"])
    for name, x in reasons.items():
        times = [ns(x[key]) for key in ("time_ns", *(["min_ns"] if wide else []), "p50_ns", "p99_ns", "max_ns")]
        shown = [*times, per_cent(x["share"])] if x["timed"] else ["–"] * (len(times) + 1)
        t.add_row(name, f"{x['count']:,}", f"{x['per_second']:,.0f}", *shown)
    total, timed = d["exits"]["total"], sum(x["timed"] for x in reasons.values())
    out.print(t)
    out.print(f"{total:,} exits; times run from exit to the next entry of the same vCPU, seen for {timed:,} of them")


def print_vcpus(out: Console, d: dict[str, Any]) -> None:
    """Print what each vCPU did."""
    if not d["vcpus"]:
        return
    states = ("running", "runnable", "blocked")
    t = table(["vCPU", "exits", "in guest", "exit to entry", *states])
    for v in d["vcpus"]:
        name = f"{v['vm']}v{v['vcpu']}" if v["vcpu"] >= 0 else f"unknown, on pCPU {v['pcpu']}"
        shown = [ns(v["runstates"][s]["time_ns"]) if s in v["runstates"] else "–" for s in states]
        modes = [ns(v["guest_ns"]), ns(v["host_ns"])] if v["exits"] else ["–", "–"]
        t.add_row(name, f"{v['exits']:,}", *modes, *shown)
    out.print(t)


def print_vectors(out: Console, d: dict[str, Any]) -> None:
    """Print the guest's vectors: how many, how long until the injection, how long from there to the end.

    Counts that are zero for every vector have no column.
    """
    vectors = d["vectors"]
    if not vectors:
        return
    shown = {
        "accepted": "accepted", "merged": "merged", "injected": "injected", "reinjected": "again", "eoi": "EOI",
        "eoi_without_exit": "no exit", "windows_armed": "windows",
    }  # fmt: skip
    wide = out.width >= 110
    if not wide:
        del shown["merged"], shown["eoi_without_exit"]
    counts = {key: name for key, name in shown.items() if key in ALWAYS or any(v[key] for v in vectors.values())}
    waits = {"p50": "wait p50", **({"p99": "p99"} if wide else {}), "max": "max"}
    served = any(v["services"] or v["accept_to_eois"] for v in vectors.values())
    ends = {"p50": "to EOI p50", **({"p99": "p99"} if wide else {})} if served else {}
    t = table(["vector", *counts.values(), *waits.values(), *ends.values()])
    for name, v in vectors.items():
        times = [ns(v["latency_ns"][k]) for k in waits] if v["latencies"] else ["–"] * len(waits)
        service = "service_ns" if v["services"] else "accept_to_eoi_ns"
        known = v["services"] or v["accept_to_eois"]
        times += [ns(v[service][k]) for k in ends] if known else ["–"] * len(ends)
        numbers = ["–" if v[k] is None else f"{v[k]:,}" for k in counts]
        t.add_row(name + (" (direct)" if v["direct"] else ""), *numbers, *times)
    out.print(t)
    since = {v["latency_from"] for v in vectors.values() if v["latencies"]}
    if since:
        out.print(f"waits run from {' or '.join(sorted(since))} to the injection, and on to the EOI; – is untold")
    if d["eoi_without_vector"]:
        out.print(f"{some(d['eoi_without_vector'], 'EOI')} with no interrupt in service")


def print_rest(out: Console, d: dict[str, Any], kinds: bool) -> None:
    """Print counts that need no table of their own."""
    hosts = {f"vector {v}": n for v, n in d["host_vectors"].items()}
    hosts.update({f"irq {irq}": n for irq, n in d["host_irqs"].items()})
    for vm, calls in d["hypercalls_by_vm"].items():
        out.print(f"hypercalls of {vm}: {first(calls, 12)}")
    if hosts:
        out.print(f"host interrupts: {first(hosts, 12)}")
    if d["transitions"]:
        out.print(f"runstates: {first(d['transitions'], 12)}")
        idle = ns(d["idle_ns"])
        out.print(f"{d['wakeups']:,} wake-ups, {d['switches']:,} switches, {d['moves']:,} moves, {idle} idle")
    if kinds:
        t = table(["kind", "records", "name"])
        for kind, count in sorted(d["kinds"].items(), key=lambda item: -item[1]):
            t.add_row(kind, f"{count:,}", d["names"].get(kind, ""))
        out.print(t)


def as_csv(documents: list[dict[str, Any]]) -> str:
    """Make one line an exit reason and recording."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["file", "reason", *COLUMNS])
    for d in documents:
        for name, x in d["exits"]["by_reason"].items():
            rows.writerow([d["file"], name, *(x[key] for key in COLUMNS)])
    return text.getvalue()


def run(args: argparse.Namespace) -> int:
    """Do it. Returns: 0. Errors: TraceError for the first recording that cannot be used."""
    clock_hz = frequency(args.cpu_hz)
    if "-" in (args.json, args.csv) and args.json == args.csv:
        raise TraceError("--json - and --csv - cannot both go to standard output; give one of them a file")
    documents = []
    for path in args.trace:
        d = report_on(path, clock_hz)
        documents.append(d)
        for problem in d["problems"]:
            console(stderr=True).print(f"exitless: partial result: {problem}", soft_wrap=True)
        if "-" not in (args.json, args.csv):
            out = console()
            print_head(out, d)
            for part in (print_exits, print_vcpus, print_vectors):
                out.print()
                part(out, d)
            out.print()
            print_rest(out, d, args.kinds)
    if args.json:
        write_json(documents[0] if len(documents) == 1 else {"traces": documents}, args.json)
    if args.csv == "-":
        print(as_csv(documents), end="")
    elif args.csv:
        write_whole(args.csv, as_csv(documents).encode())
    return 0
