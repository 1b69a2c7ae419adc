"""``exitless calibrate``: the steps that recordings time, with their spread and origin, as a cost table."""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from exitless.cli.output import Patience, console, ns, write_json, write_whole
from exitless.cli.read import frequency
from exitless.cli.read_why import table
from exitless.errors import TraceError
from exitless.scenario.costs import COST_NAMES, DEFAULT, Preset
from exitless.study.calibration import USES, Origin, Step, Stretch, costs_of, stretches
from exitless.study.stretch_table import UNTIMED
from exitless.study.stretches import Stretches
from exitless.traces.kvm_reader import LOCAL, LinuxReader
from exitless.traces.reader import Reader, open_reader
from exitless.traces.xentrace import Xentrace

# Cycles of the base table become time at this clock; only their proportions are used.
CLOCK_HZ: Final = 2_400_000_000
SHOWN: Final = 24
SKETCH: Final = ("min_ns", "p50_ns", "mean_ns", "p90_ns", "p99_ns", "max_ns")


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("calibrate", help="measure the steps in recordings and write them as costs")
    p.add_argument("trace", nargs="+", metavar="TRACE", help="a recording, packed or not (- for standard input)")
    p.add_argument("-o", "--out", metavar="FILE", help="write the cost table there (a .toml file; - for stdout)")
    p.add_argument(
        "--use", choices=USES, default="p50", help="which figure of a sample becomes the cost (default: p50)"
    )
    p.add_argument("--cpu-hz", metavar="HZ", help='clock of a recording that holds none, for example "2.6 GHz" or 2.6G')
    p.add_argument("--json", metavar="FILE", help="write all of it as JSON (- for standard output)")
    p.set_defaults(run=run)


def measure(path: str, clock_hz: int) -> tuple[Origin, list[str]]:
    """Read one recording to its end; returns it, and what is to be said of it. Errors: TraceError."""
    with open_reader(path, clock_hz) as reader:
        seen = Stretches(not isinstance(reader, Xentrace))
        with Patience(f"reading {path}", reader.size) as tick:
            reader.tick = tick
            for rows in reader.rows():
                seen.rows(rows)
        clock = f"{reader.clock} at {reader.clock_hz / 1e9:g} GHz" if reader.clock_hz else reader.clock
        origin = Origin(
            Path(reader.source.name).name, reader.format, f"{clock} ({reader.clock_origin})", reader.host or "not told",
            reader.vendor() if isinstance(reader, Xentrace | LinuxReader) else "",
            reader.duration_ps // 1000, reader.exit_name, seen.samples,
        )  # fmt: skip
        return origin, [f"{origin.file}: {said}" for said in cautions(reader, seen)]


def cautions(reader: Reader, seen: Stretches) -> list[str]:
    """Say what makes the times of a recording doubtful."""
    out = [f"partial: {problem}" for problem in reader.problems]
    if reader.clock_origin == "assumed":
        out.append(
            f"its clock is assumed to run at {reader.clock_hz / 1e9:g} GHz, and all times with it; give --cpu-hz"
        )
    if reader.clock == LOCAL and reader.pcpus > 1:
        out.append("its clock is local to each pCPU, so stretches between pCPUs may be wrong; record with -C mono")
    if not seen.scheduled:
        out.append("holds no scheduler records, so what looks like one exit may have waited for a pCPU")
    if not seen.hosted:
        out.append("holds no host interrupts, so what looks undisturbed may have been interrupted")
    if isinstance(reader, Xentrace):
        out.append("Xen stamps no record between exit and entry, so injections and EOIs have no time of their own")
    return out


def document(
    origins: list[Origin], found: list[Stretch], steps: list[Step], said: list[str], use: str
) -> dict[str, Any]:
    """Make the JSON document; its tables are those of the cost file."""
    return {
        "says": f"Measured in {', '.join(o.file for o in origins)}; a cost is the {use} of its sample.",
        "base": DEFAULT, "value": use,
        "cost": {
            s.name: {"ns": s.ps / 1000, "origin": f"measured ({', '.join(s.files)})", "source": s.source} for s in steps
        },
        "recording": [
            {"file": o.file, "format": o.format, "clock": o.clock, "host": o.host, "vendor": o.vendor or "not told",
             "duration_ns": o.duration_ns} for o in origins
        ],
        "stretch": [s.as_json() for s in found], "notes": said,
    }  # fmt: skip


def word(value: Any) -> str:
    """Write a value as TOML: numbers, text, lists and tables of them."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key_of(k)} = {word(v)}" for k, v in value.items()) + " }" if value else "{}"
    if isinstance(value, list):
        return "[" + ", ".join(word(v) for v in value) + "]"
    if isinstance(value, str):
        return json.dumps("".join(c if c.isprintable() else "?" for c in value), ensure_ascii=False)
    return repr(value)


def key_of(name: str) -> str:
    """Write a key as TOML."""
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else word(name)


def as_toml(d: dict[str, Any]) -> str:
    """Write the cost file."""
    lines = ["# Written by exitless calibrate; docs/calibrate.md says how to read it. Times are in ns."]
    lines += [f"# {note}" for note in d["notes"]]
    lines += [f"{key} = {word(d[key])}" for key in ("says", "base", "value")] + ["", "[cost]"]
    lines += [f"{key_of(name)} = {word(row)}" for name, row in d["cost"].items()]
    for kind in ("recording", "stretch"):
        for row in d[kind]:
            lines += ["", f"[[{kind}]]", *(f"{key_of(key)} = {word(value)}" for key, value in row.items())]
    return "\n".join(lines) + "\n"


def show(out: Console, d: dict[str, Any]) -> None:
    """Print what was measured, what it says of the costs, and what it cannot say."""
    for o in d["recording"]:
        out.print(f"[bold]{o['file']}[/]: {o['format']}, {ns(o['duration_ns'])}, clock {o['clock']}, host: {o['host']}")
    out.print()
    wide = out.width >= 100
    columns = [key for key in SKETCH if wide or key not in ("mean_ns", "p90_ns")]
    t = table(["stretch", "way", "count", *(key.removesuffix("_ns") for key in columns)])
    for s in d["stretch"][:SHOWN]:
        t.add_row(s["name"], s["place"], f"{s['count']:,}", *(ns(s[key]) for key in columns))
    out.print(t)
    if len(d["stretch"]) > SHOWN:
        out.print(f"and {len(d['stretch']) - SHOWN} more; the file has them all, with their conditions")
    out.print("way: the steps of an interrupt's way between which it lies; no time spans lost records")
    out.print()
    t = table(["cost", "ns", "from"])
    for name, row in d["cost"].items():
        t.add_row(name, f"{row['ns']:,.1f}", row["source"])
    t.columns[2].justify, t.columns[2].no_wrap = "left", False
    out.print(t)
    rest = [name for name in COST_NAMES if name not in d["cost"]]
    out.print(f"{len(rest)} of {len(COST_NAMES)} steps stay as in '{d['base']}': {', '.join(rest)}")
    for note in d["notes"]:
        out.print(f"note: {note}")


def run(args: argparse.Namespace) -> int:
    """Do it. Returns: 0. Errors: TraceError for a recording that cannot be used or times nothing."""
    if args.out and args.out != "-" and not args.out.endswith(".toml"):
        raise TraceError(f"-o {args.out}: a cost table's file ends in .toml")
    if args.out == "-" and args.json == "-":
        raise TraceError("-o - and --json - cannot both go to standard output; give one of them a file")
    clock_hz = frequency(args.cpu_hz)
    origins, said = [], []
    for path in args.trace:
        origin, cautious = measure(path, clock_hz)
        origins.append(origin)
        said += cautious
    found = stretches(origins)
    if not found:
        names = ", ".join(o.file for o in origins)
        raise TraceError(f"{names}: times no step; expected VM exits and entries, wake-ups or host interrupts")
    base = Preset(DEFAULT, CLOCK_HZ, {})
    steps, more = costs_of(found, dict(zip(COST_NAMES, base.ps, strict=True)), args.use)
    d = document(origins, found, steps, [*said, *more, UNTIMED], args.use)
    if "-" not in (args.out, args.json):
        show(console(), d)
    if args.out == "-":
        print(as_toml(d), end="")
    elif args.out:
        write_whole(args.out, as_toml(d).encode())
    if args.json:
        write_json(d, args.json)
    return 0
