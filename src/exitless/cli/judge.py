"""``exitless judge``: the first event of a recording that no legal execution explains, with the state before it."""

import argparse
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from exitless.cli.output import Patience, console, write_json
from exitless.cli.read import frequency, some
from exitless.judge.case import Case, Finding
from exitless.judge.judge import judge
from exitless.judge.laws import LAWS
from exitless.judge.vcpu import RUNSTATE_NAMES, Row
from exitless.record.store import is_record
from exitless.study.cites import reference
from exitless.traces.opening import open_source
from exitless.traces.reader import Reader, open_reader, reader_of, unknown
from exitless.traces.record_reader import RecordReader
from exitless.traces.trace_dat import TraceDat
from exitless.vocab.kinds import Kind
from exitless.vocab.table import BY_KIND

BROKEN: Final = 1
SHOWN: Final = 20
LOCAL: Final = "local"
VECTORS: Final = frozenset(
    {
        Kind.IRQ_REQUEST,
        Kind.IRQ_INJECT,
        Kind.IRQ_REINJECT,
        Kind.IRQ_EOI,
        Kind.IRQ_WINDOW,
        Kind.EOI_SPARED,
        Kind.PID_POST,
    }
)


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("judge", help="find the first event of a recording that no legal execution explains")
    p.add_argument("trace", nargs="+", metavar="TRACE", help="a recording, packed or not, or a record (.xl) of a run")
    p.add_argument("--cpu-hz", metavar="HZ", help='clock of a recording that holds none, for example "2.6 GHz" or 2.6G')
    p.add_argument("--all", action="store_true", help="every finding, not only the first of each vCPU")
    p.add_argument("--json", metavar="FILE", help="write it as JSON (- for standard output)")
    p.set_defaults(run=run)


def event_text(row: Row, reader: Reader) -> str:
    """Say what a row is, as ``irq.inject 0xec``."""
    _, kind, _, _, a, b = row
    name = BY_KIND[kind].name
    if kind in VECTORS:
        vector = f"0x{a:02x}" if a >= 0 else "of none" if a == -2 else "of an untold vector"
        return f"{name} {vector}"
    if kind == Kind.VM_EXIT:
        return f"{name} {reader.exit_name(a)}"
    if kind == Kind.RUNSTATE:
        return f"{name} {RUNSTATE_NAMES.get(a, a)} to {RUNSTATE_NAMES.get(b, b)}"
    return name


def one_each(findings: list[Finding]) -> list[Finding]:
    """Keep the first finding of each vCPU."""
    first: dict[int, Finding] = {}
    for finding in findings:
        first.setdefault(finding.row[3], finding)
    return list(first.values())


def opened(path: str, clock_hz: int) -> Reader:
    """Open a recording or a record. Errors: TraceError."""
    source = open_source(path)
    try:
        reader = RecordReader(source) if is_record(source.head) else reader_of(source, clock_hz)
        if reader is None:
            raise unknown(source, f" or {RecordReader.what}")
        return reader
    except BaseException:
        source.close()
        raise


def document(path: str, clock_hz: int, every: bool) -> dict[str, Any]:
    """Judge one recording to its end. Errors: TraceError."""
    with opened(path, clock_hz) as reader, Patience(f"judging {path}", reader.size) as tick:
        reader.tick = tick
        ordered = not (reader.clock == LOCAL and reader.pcpus > 1)
        own = isinstance(reader, RecordReader) and reader.simulated
        case = judge(reader.rows(), ordered, not is_xen(reader), own, reader.pcpus, reader.marks_again)
        return written(reader, case, path, every)


def is_xen(reader: Reader) -> bool:
    """Tell whether vCPUs are scheduled as such, and not as threads of a host."""
    return reader.xen if isinstance(reader, RecordReader) else reader.format.startswith("xentrace")


def marks_of(path: str, reader: Reader) -> list[tuple[int, str]]:
    """Return what somebody wrote into a recording, with its times in ps; the binary form is read again for it."""
    if not isinstance(reader, TraceDat) or path == "-":
        return reader.marks
    with open_reader(path) as again:
        return again.read_marks() if isinstance(again, TraceDat) else []


def between(time: int, marks: list[tuple[int, str]]) -> str:
    """Say before which mark a time lies; nothing without marks."""
    after = next((f'before the mark "{text}"' for at, text in marks if at >= time), "")
    return after or (f'after the last mark, "{marks[-1][1]}"' if marks else "")


def written(reader: Reader, case: Case, path: str, every: bool) -> dict[str, Any]:
    """Write down what was found."""
    marks = marks_of(path, reader) if case.findings else []
    findings = case.findings if every else one_each(case.findings)
    return {
        "file": reader.source.name,
        "format": reader.format,
        "events": reader.events,
        "duration_ns": reader.duration_ps // 1000,
        "verdict": "unexplained" if case.findings else "explained",
        "found": len(case.findings),
        "broken": case.broken,
        "laws": {law.name: case.why_not(law) or "asked" for law in LAWS},
        "partial": bool(reader.problems),
        "problems": reader.problems,
        "findings": [found(finding, reader, marks) for finding in findings],
    }


def found(finding: Finding, reader: Reader, marks: list[tuple[int, str]]) -> dict[str, Any]:
    """Write down one finding."""
    where = between(finding.row[0], marks)
    time, kind, pcpu, place, _, _ = finding.row
    row = BY_KIND[kind]
    return {
        "time_ns": time // 1000,
        "vcpu": reader.vcpu_name(place),
        "pcpu": pcpu,
        "event": event_text(finding.row, reader),
        "record": row.xen if is_xen(reader) else row.kvm,
        "law": finding.law.name,
        "says": finding.law.says,
        "why": finding.says,
        "cites": finding.law.cites,
        "phase": f"{finding.phase}, {where}" if where else finding.phase,
        "state": finding.state,
        "before": [{"time_ns": e[0] // 1000, "event": event_text(e, reader)} for e in finding.before],
    }


def vectors(known: dict[str, Any]) -> str:
    """Print what is known of IRR or ISR."""
    sure, perhaps = known["sure"], known["perhaps"]
    more = perhaps if isinstance(perhaps, str) else ", ".join(perhaps)
    return (", ".join(sure) or "nothing surely") + (f"; perhaps {more}" if more else "; nothing else")


def print_finding(out: Console, f: dict[str, Any]) -> None:
    """Print one finding: the event, the law, the state before it and what led there."""
    s = f["state"]
    out.print(Text(f"{f['time_ns'] / 1e9:.9f} s  {f['vcpu']}  {f['event']}", style="bold"))
    record = f" ({f['record']})" if f["record"] else ""
    for label, text in (
        ("phase", f["phase"]),
        ("recorded", f"on pCPU {f['pcpu']}{record}"),
        ("law", f"{f['law']}: {f['says']}"),
        ("but", f["why"]),
        ("see", reference(f["cites"])),
        ("requested", vectors(s["irr"])),
        ("in service", vectors(s["isr"])),
        ("PPR", s["ppr"]),
        ("to inject", s["injected"]),
        ("window", s["window"]),
        (
            "vCPU",
            f"{s['runstate']}" + (f" on pCPU {s['pcpu']}" if s["pcpu"] is not None else "") + f", mode {s['mode']}",
        ),
    ):
        line = Text(f"  {label:<11}")
        line.append(text)
        for n, part in enumerate(line.wrap(out, out.width - 13)):
            out.print(part if n == 0 else Text(" " * 13) + part)
    if f["before"]:
        out.print("  before it, on this vCPU:")
    for e in f["before"]:
        out.print(Text(f"    {(e['time_ns'] - f['time_ns']) / 1e3:>14,.3f} µs  {e['event']}"))


def print_verdict(out: Console, d: dict[str, Any]) -> None:
    """Print the verdict, the findings, and which laws could not be asked."""
    asked = sum(why == "asked" for why in d["laws"].values())
    head = Text(f"{d['file']}: ")
    head.append(d["verdict"], style="bold green" if d["verdict"] == "explained" else "bold red")
    head.append(f"; {some(d['events'], 'record')} held against {asked} of {some(len(d['laws']), 'law')}")
    if d["found"]:
        head.append(f", {some(d['found'], 'finding')}")
    out.print(head)
    for f in d["findings"][:SHOWN]:
        out.print()
        print_finding(out, f)
    left = len(d["findings"]) - SHOWN
    if left > 0:
        out.print(f"\nand {some(left, 'finding')} more; --json FILE writes them all")
    elif d["found"] > len(d["findings"]):
        out.print("\nThese are the first of each vCPU; --all tells the others.")
    reasons: dict[str, list[str]] = {}
    for law, why in d["laws"].items():
        if why != "asked":
            reasons.setdefault(why, []).append(law)
    for why, names in reasons.items():
        out.print(Text(f"not asked, since {why}: {', '.join(names)}"))


def run(args: argparse.Namespace) -> int:
    """Do it. Returns: 1 when there is a finding. Errors: TraceError for the first recording that cannot be used."""
    clock_hz = frequency(args.cpu_hz)
    documents = []
    for path in args.trace:
        d = document(path, clock_hz, args.all)
        documents.append(d)
        for problem in d["problems"]:
            console(stderr=True).print(f"exitless: partial result: {problem}", soft_wrap=True)
        if args.json != "-":
            print_verdict(console(), d)
    if args.json:
        write_json(documents[0] if len(documents) == 1 else {"traces": documents}, args.json)
    return BROKEN if any(d["verdict"] == "unexplained" for d in documents) else 0
