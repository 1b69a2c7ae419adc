"""``exitless read``: reports on recordings of real hosts."""

import argparse
import re
import sys
from typing import Any, Final

from rich.console import Console

from exitless.cli.output import Patience, console, ns, open_whole, per_cent, write_json
from exitless.cli.read_events import COLUMNS, Events
from exitless.cli.read_marks import marks_said
from exitless.cli.read_pair import origin_ps, pair, print_pair
from exitless.cli.read_pasted import as_document, pasted_of, print_pasted
from exitless.cli.read_why import print_causes, print_over_time, print_untold, print_waits, print_wakers, table
from exitless.cli.report_tables import EVENTS, EVERY, TABLES, check_table, write_report
from exitless.cli.row_files import parquet_library, write_csv, write_parquet
from exitless.errors import TraceError
from exitless.record.columns import Columns
from exitless.study.pasted import EXPECTED, looks_pasted
from exitless.study.trace_report import Facts, TraceReport
from exitless.study.trace_why import Why
from exitless.traces.opening import Source, open_source
from exitless.traces.reader import Reader, reader_of, readers, unknown
from exitless.traces.repair import Repair, repaired
from exitless.traces.text_reader import TextReader

ALWAYS: Final = ("accepted", "injected", "eoi")
FREQUENCY: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMGmg]?)(?:[Hh][Zz])?\s*")
SCALE: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
MOMENT: Final = re.compile(r"(\d{1,9})(?:\.(\d{1,12}))?(?: ?s)?")
PASTED: Final = EXPECTED.removeprefix("expected ")


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("read", help="report on real traces")
    p.add_argument(
        "trace",
        nargs="+",
        metavar="TRACE",
        help="a recording or a pasted table, packed or not (- for standard input); HOST GUEST are put together",
    )
    p.add_argument("--cpu-hz", metavar="HZ", help='clock of a recording that holds none, for example "2.6 GHz" or 2.6G')
    p.add_argument("--kinds", action="store_true", help="list every kind of record with its count")
    p.add_argument("--json", metavar="FILE", help="write the report as JSON (- for standard output)")
    p.add_argument("--csv", metavar="FILE", help="write every event as CSV, one line each (- for standard output)")
    p.add_argument("--parquet", metavar="FILE", help="write every event as Parquet (needs pyarrow or polars)")
    p.add_argument(
        "--table", metavar="NAME", default=EVENTS,
        help=f"what --csv and --parquet write in place of events: {', '.join(TABLES)}, or {EVERY} (FILE is a folder)",
    )  # fmt: skip
    p.add_argument("--exits-csv", metavar="FILE", help="write the exits by reason as CSV (- for standard output)")
    p.add_argument(
        "--until", metavar="SECONDS",
        help="count only up to this time of the recording's own clock (of xentrace: from its first record)",
    )  # fmt: skip
    p.add_argument(
        "--repair", action="store_true",
        help="put lines together that a mail program cut in two, and take off its quotation marks; says how many",
    )  # fmt: skip
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
        commands=reader.commands, guessed_vcpus=reader.guessed_vcpus,
    )  # fmt: skip


def opened(path: str, repair: bool) -> tuple[Source, Repair | None]:
    """Open what is to be read, repaired if that was asked for. Errors: TraceError."""
    source = open_source(path)
    try:
        return repaired(source) if repair else (source, None)
    except BaseException:
        source.close()
        raise


def say_repair(name: str, joined: int, quoted: int) -> str:
    """Say on standard error what a repair did; returns the sentence."""
    said = (
        f"repaired: {some(joined, 'piece')} of cut lines put together, quotation marks taken off {some(quoted, 'line')}"
    )
    console(stderr=True).print(f"exitless: {name}: {said}", soft_wrap=True)
    return said


def hint(source: Source) -> TraceError | None:
    """Return a sentence for a text that a reader would know if it were repaired."""
    if b"\0" in source.head:
        return None
    lines = Repair(source.head.decode("utf-8", "replace")).lines
    head = "\n".join(lines).encode()
    for reader in readers():
        if reader.recognises(head):
            return TraceError(
                f"{source.name}: reads like {reader.what}, quoted or cut by a mail program; --repair puts it in order"
            )
    return None


def report_on(path: str, clock_hz: int, options: argparse.Namespace | None = None) -> dict[str, Any]:
    """Read one recording or table to its end; after a second, with progress on standard error. Errors: TraceError."""
    source, repair = opened(path, options is not None and options.repair)
    with source:
        with Patience(f"unpacking {path}", source.length) as source.tick:
            reader = reader_of(source, clock_hz)
        if reader is None:
            if options is None or not looks_pasted(source.head.decode("utf-8", "replace")):
                raise hint(source) or unknown(source, f", or one of these tables: {PASTED}")
            return report_on_table(source, options, repair)
        if repair is not None:
            reader.notes.append(say_repair(source.name, repair.joined, repair.quoted))
        d = report_on_rows(reader, path, options)
        if repair is not None:
            d["marks"] |= {"lines_repaired": repair.joined, "lines_quoted": repair.quoted}
        return d


def report_on_table(source: Source, options: argparse.Namespace, repair: Repair | None) -> dict[str, Any]:
    """Read a pasted table. Errors: TraceError, also when its events are asked for."""
    if options.table == EVENTS and (options.csv or options.parquet):
        wanted = "--csv" if options.csv else "--parquet"
        raise TraceError(f"{source.name}: is a table and holds no events; {wanted} needs a recording, or --table exits")
    pasted = pasted_of(source, options.repair)
    if repair is not None:
        pasted.quoted += repair.quoted
        pasted.repaired += repair.joined
        say_repair(source.name, pasted.repaired, pasted.quoted)
    return as_document(pasted, source)


def moment(text: str) -> int:
    """Read a time in seconds, as tracers print them, in ps. Errors: TraceError."""
    match = MOMENT.fullmatch(text.strip())
    if match is None:
        raise TraceError(f"--until {text}: expected seconds of the recording's clock, for example 61.316416")
    return int(match[1]) * 10**12 + int((match[2] or "").ljust(12, "0"))


def end_with(columns: Columns, last_ps: int) -> None:
    """Leave out the rows of a block that come after a time; rows are in the order of time."""
    low, high = 0, int(columns.fill)
    while low < high:
        middle = (low + high) // 2
        if columns.cells[middle] <= last_ps:
            low = middle + 1
        else:
            high = middle
    columns.fill = low


def report_on_rows(reader: Reader, path: str, options: argparse.Namespace | None) -> dict[str, Any]:
    """Read a recording. Errors: TraceError."""
    report, why = TraceReport(), Why()
    until = None if options is None or options.until is None else moment(options.until)
    wanted = options is not None and options.table == EVENTS and (options.csv or options.parquet)
    events = Events() if wanted else None
    takers = [report.block, why.block] + ([events.block] if events is not None else [])
    with Patience(f"reading {path}", reader.size) as tick:
        reader.tick = tick
        for columns in reader.blocks():
            if until is not None:
                end_with(columns, until - origin_ps(reader))
            for take in takers:
                take(columns)
    if events is not None and options is not None:
        write_events(events, reader, options)
    if isinstance(reader, TextReader) and reader.unread()["lines"] and (options is None or not options.repair):
        reader.notes.append("there are lines that are no events; where a mail program cut lines in two, --repair helps")
    facts = facts_of(reader)
    if until is not None:
        facts.duration_ps = max(0, min(facts.duration_ps, until - origin_ps(reader)))
        facts.notes.append(f"counted up to {options.until if options else ''} only; kinds are those of the whole file")
    d = report.as_json(facts)
    return {**d, **why.as_json(facts, d)}


def write_events(events: Events, reader: Reader, options: argparse.Namespace) -> None:
    """Write the events to where they are asked for. Errors: TraceError, ExitlessError."""
    if options.csv == "-":
        write_csv(sys.stdout.buffer, COLUMNS, events.blocks(reader))
    elif options.csv:
        with open_whole(options.csv) as out:
            write_csv(out, COLUMNS, events.blocks(reader))
    if options.parquet:
        with open_whole(options.parquet) as out:
            write_parquet(out, COLUMNS, events.blocks(reader))
    events.close()


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
    if said := marks_said(d["marks"]):
        out.print(f"marked: {said}")
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
        unknown = f"unknown, on pCPU {v['pcpu']}" if v["pcpu"] >= 0 else "unknown"
        name = f"{v['vm']}v{v['vcpu']}" if v["vcpu"] >= 0 else unknown
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


def show(d: dict[str, Any], kinds: bool) -> None:
    """Print one report."""
    out = console()
    if d["events"] is None:
        print_pasted(out, d)
        return
    print_head(out, d)
    parts = (print_exits, print_causes, print_vcpus, print_waits, print_vectors, print_wakers, print_over_time)
    for part in parts:
        out.print()
        part(out, d)
    out.print()
    print_rest(out, d, kinds)
    print_untold(out, d)


def check_outputs(args: argparse.Namespace) -> bool:
    """Tell whether standard output is for a file; refuse what cannot be. Errors: TraceError."""
    to_output = [name for name in ("json", "csv", "exits_csv", "parquet") if getattr(args, name) == "-"]
    if args.parquet == "-":
        raise TraceError("--parquet -: Parquet is no text; give it a file")
    if len(to_output) > 1:
        first, second = (f"--{name.replace('_', '-')} -" for name in to_output[:2])
        raise TraceError(f"{first} and {second} cannot both go to standard output; give one of them a file")
    check_table(args.table, args.csv, args.parquet)
    if args.parquet:
        parquet_library()
    if len(args.trace) > 1 and args.table == EVENTS and (args.csv or args.parquet):
        raise TraceError(f"--{'csv' if args.csv else 'parquet'} holds the events of one recording; give one TRACE")
    return bool(to_output)


def together(paths: list[str], clock_hz: int) -> list[dict[str, Any]]:
    """Put the first recording, if it is a host's, together with each other that may be its guest's."""
    found = [pair(paths[0], other, clock_hz) for other in paths[1:] if "-" not in (paths[0], other)]
    return [p for p in found if p is not None]


def run(args: argparse.Namespace) -> int:
    """Do it. Returns: 0. Errors: TraceError for the first recording that cannot be used."""
    clock_hz = frequency(args.cpu_hz)
    quiet = check_outputs(args)
    documents = []
    for path in args.trace:
        d = report_on(path, clock_hz, args)
        documents.append(d)
        for problem in d["problems"]:
            console(stderr=True).print(f"exitless: partial result: {problem}", soft_wrap=True)
        if not quiet:
            show(d, args.kinds)
    pairs = together(args.trace, clock_hz)
    if not quiet:
        for p in pairs:
            out = console()
            out.print()
            print_pair(out, p)
    if args.json:
        several = {"traces": documents, **({"pairs": pairs} if pairs else {})}
        write_json(documents[0] if len(documents) == 1 else several, args.json)
    write_report(documents, args.table, args.csv, args.parquet, args.exits_csv)
    return 0
