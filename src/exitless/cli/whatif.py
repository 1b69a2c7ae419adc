"""``exitless whatif``: the exits of a recording or a pasted table under other mechanisms."""

import argparse
import csv
import io
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console

from exitless.cli.main import near
from exitless.cli.output import Patience, console, ns, write_json, write_whole
from exitless.cli.tables import new_table
from exitless.errors import ExitlessError, TraceError
from exitless.record.store import is_record, read
from exitless.study.pasted import EXPECTED, looks_pasted, read_pasted
from exitless.study.whatif import Prediction
from exitless.study.whatif_cycles import operations, seen_of_cycles
from exitless.study.whatif_record import Classes
from exitless.study.whatif_seen import Seen
from exitless.study.whatif_tables import seen_of
from exitless.study.whatif_words import MECHANISMS
from exitless.traces.opening import Source, open_source
from exitless.traces.reader import Reader, reader_of, unknown

MOST_TEXT: Final = 4 << 20


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("whatif", help="predict the exits of a recording or table under other mechanisms")
    p.add_argument(
        "file", metavar="TRACE|TABLE",
        help="a recording, a record (.xl), or a pasted table of perf kvm stat, perf stat -e kvm:* or xentrace records "
        "(- for standard input)",
    )  # fmt: skip
    p.add_argument(
        "--enable",
        action="append",
        default=[],
        metavar="NAMES",
        help=f"one or more of {', '.join(MECHANISMS)}; with commas, or one after the other",
    )
    p.add_argument("--disable", action="append", default=[], metavar="NAMES", help="the same, to be switched off")
    p.add_argument(
        "--repair", action="store_true", help="put rows of a pasted table together that a mail program cut in two"
    )
    p.add_argument("--cpu-hz", metavar="HZ", help='clock of a recording that holds none, for example "2.6 GHz"')
    p.add_argument("--json", metavar="FILE", help="write the prediction as JSON (- for standard output)")
    p.add_argument("--csv", metavar="FILE", help="write the rows of the prediction as CSV (- for standard output)")
    p.set_defaults(run=run)


def arranged(words: Sequence[str]) -> list[str]:
    """Return a command's words, names behind ``--enable`` or ``--disable`` one by one put into one list."""
    out: list[str] = []
    for word in words:
        listing = len(out) > 1 and out[-2] in ("--enable", "--disable")
        if listing and all(name in MECHANISMS for name in word.split(",")):
            out[-1] += f",{word}"
        else:
            out.append(word)
    return out


def names_of(words: list[str], option: str) -> list[str]:
    """Split lists at commas and check each name. Errors: ExitlessError, with a near match."""
    names = [name.strip() for word in words for name in word.split(",") if name.strip()]
    for name in names:
        if name not in MECHANISMS:
            hint = near(name, list(MECHANISMS)) or f"; there are {', '.join(MECHANISMS)}"
            raise ExitlessError(f'{option} {name}: no mechanism is called "{name}"{hint}')
    return list(dict.fromkeys(names))


def hypervisor_of(reader: Reader) -> str:
    """Say which hypervisor a recording is of."""
    return "xen" if reader.format.startswith("xentrace") else "kvm"


def of_reader(reader: Reader) -> Seen:
    """Judge every exit of a recording."""
    seen = Seen("trace", hypervisor_of(reader), "vmx")
    classes = Classes(seen, reader.exit_name, lambda n: (reader.vcpus[n].vm, reader.vcpus[n].number))
    with Patience(f"reading {reader.source.name}", reader.size) as tick:
        reader.tick = tick
        for rows in reader.rows():
            if not seen.rows:
                seen.vendor = vendor_of(reader)
            classes.rows(rows)
    seen.vendor = vendor_of(reader)
    classes.finish()
    seen.words = seen.words_now()
    seen.format = reader.format
    seen.notes += [f"partial result: {problem}" for problem in reader.problems]
    return seen


def vendor_of(reader: Reader) -> str:
    """Say whose exits a recording holds, as far as it has been read."""
    vendor = getattr(reader, "vendor", "vmx")
    return str(vendor() if callable(vendor) else vendor)


def of_record(path: str) -> Seen:
    """Judge every exit of a record that Exitless wrote."""
    record = read(path)
    header = record.header
    simulated = header.origin == "simulated"
    xen = "xentrace" in header.origin
    seen = Seen("trace", "exitless" if simulated else "xen" if xen else "kvm", "vmx")
    if "vintr" in header.exits.values() and "INTERRUPT_WINDOW" not in header.exits.values():
        seen.vendor, seen.words = "svm", Seen("", "", "svm").words
    names = [name.rpartition("v")[::2] for name in header.vcpus]
    places = [(vm, int(number) if number.isdigit() else -1) for vm, number in ((n[0], n[1]) for n in names)]
    classes = Classes(seen, lambda code: header.exits.get(code, f"0x{code:x}"), lambda n: places[n])
    classes.rows(record)
    classes.finish()
    seen.format = (
        f"record of {header.scenario or header.title} under {header.mechanism}" if simulated else header.origin
    )
    return seen


def of_table(source: Source, repair: bool) -> Seen:
    """Read a pasted table; with ``repair`` rows are put together, and how many is said."""
    source.settle()
    try:
        text = source.read_at(0, MOST_TEXT).decode("utf-8")
    except UnicodeDecodeError:
        raise unknown(source, f" or, of tables, {EXPECTED}") from None
    if not looks_pasted(text) and operations(text):
        return seen_of_cycles(text)
    table = read_pasted(text, source.name, repair)
    if repair:
        table.notes.append(f"repaired: {table.repaired} pieces of cut lines put together")
    return seen_of(table)


def seen_in(path: str, clock_hz: int, repair: bool = False) -> Seen:
    """Read whatever the file is. Errors: TraceError."""
    source = open_source(path)
    if is_record(source.head):
        source.close()
        return of_record(path)
    with source:
        reader = reader_of(source, clock_hz)
        return of_table(source, repair) if reader is None else of_reader(reader)


def print_prediction(out: Console, d: dict[str, Any]) -> None:
    """Print the table before and after, then the rule of each row."""
    what = [f"with {', '.join(d['enabled'])}"] if d["enabled"] else []
    what += [f"without {', '.join(d['disabled'])}"] if d["disabled"] else []
    brought = f" (which brings {', '.join(d['brought'])})" if d["brought"] else ""
    out.print(f"[bold]{d['input']}[/] ({d['format']}) {' and '.join(what)}{brought}; {d['unit']}")
    t = new_table()
    t.add_column("exit reason", no_wrap=True)
    for head in ("before", "after", "least", "most"):
        t.add_column(head, justify="right", no_wrap=True)
    wide, timed = out.width >= 100, "time_ns" in d["total"]
    if wide and timed:
        t.add_column("time before", justify="right", no_wrap=True)
        t.add_column("after", justify="right", no_wrap=True)
    t.add_column("sure", no_wrap=True)
    for row in d["rows"]:
        name = row["reason"] + ("" if row["exit"] else " *")
        times = [ns(row["time_ns"][k]) for k in ("before", "after")] if wide and timed else []
        t.add_row(name, *(f"{row[k]:,}" for k in ("before", "after", "low", "high")), *times, row["sure"])
    total = d["total"]
    times = [ns(total["time_ns"][k]) for k in ("before", "after")] if wide and timed else []
    t.add_row("[bold]all exits[/]", *(f"{total[k]:,}" for k in ("before", "after", "low", "high")), *times, "")
    out.print(t)
    if any(not row["exit"] for row in d["rows"]):
        out.print("* counts something else than exits and is not in the sum")


def print_rules(out: Console, d: dict[str, Any]) -> None:
    """Print why, row by row; then what is to be known of the whole."""
    out.print()
    out.print(f"before: measured, from {d['input']}; after, least and most: predicted, by these rules")
    for row in d["rows"]:
        if row["before"] == row["after"] and not row["cites"]:
            continue
        out.print(f"[bold]{row['reason']}[/]: {row['rule']}. [dim]Told by: {row['evidence']}.[/]")
        for cite in row["cites"]:
            out.print(f"  cites {cite}", style="dim")
    for note in d["notes"]:
        out.print(f"note: {note}")


def as_csv(d: dict[str, Any]) -> str:
    """Return one line a row and one for the sum of the exits."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    columns = ["reason", "before", "after", "low", "high", "sure", "exit", "rule", "evidence"]
    lines.writerow(columns)
    lines.writerows([row[column] for column in columns] for row in d["rows"])
    lines.writerow(["all exits", *(d["total"][column] for column in columns[1:5]), "", True, "", ""])
    return text.getvalue()


def run(args: argparse.Namespace) -> int:
    """Do it. Returns: 0. Errors: ExitlessError, for a wrong name or a file that cannot be used."""
    from exitless.cli.read import frequency

    enable, disable = names_of(args.enable, "--enable"), names_of(args.disable, "--disable")
    if args.json == "-" and args.csv == "-":
        raise ExitlessError("--json - and --csv - cannot both go to standard output; give one of them a file")
    if not enable and not disable:
        raise ExitlessError(f"exitless whatif: expected --enable or --disable with one of {', '.join(MECHANISMS)}")
    for name in enable:
        if name in disable:
            raise ExitlessError(f"exitless whatif: {name} cannot be switched on and off at once")
    seen = seen_in(args.file, frequency(args.cpu_hz), args.repair)
    if not seen.rows:
        raise TraceError(f"{args.file}: holds no VM exits; expected some, to predict what becomes of them")
    document = Prediction(seen, enable, disable).as_json("standard input" if args.file == "-" else args.file)
    if "-" not in (args.json, args.csv):
        out = console()
        print_prediction(out, document)
        print_rules(out, document)
    if args.json:
        write_json(document, args.json)
    if args.csv == "-":
        print(as_csv(document), end="")
    elif args.csv:
        write_whole(args.csv, as_csv(document).encode())
    return 0
