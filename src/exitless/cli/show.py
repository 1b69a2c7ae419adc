"""``exitless show``: a record, a recording or a simulated scenario as a picture: terminal, HTML, Perfetto or SVG."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from exitless.bits import units
from exitless.cli.live import how_they_deliver
from exitless.cli.main import near
from exitless.cli.moments import Card
from exitless.cli.output import Patience, console, open_whole, size, write_whole
from exitless.cli.run import Result, run_one
from exitless.cli.simulating import add_scenario_options, asked
from exitless.cli.tour import tour
from exitless.errors import ScenarioError, TraceError
from exitless.record.block import Record
from exitless.record.store import is_record, read
from exitless.scenario import library_names, quantity
from exitless.traces.reader import open_reader
from exitless.traces.recording import record_of
from exitless.view.lanes import sources_of
from exitless.view.page import page, pick
from exitless.view.perfetto import Perfetto
from exitless.view.scene import Scene, part, scene
from exitless.view.svg import svg
from exitless.view.timeline import timeline

BUDGET: Final = 60_000
LENGTH_PS: Final = 20 * units.PS_PER_MS
AROUND: Final = 2
NARROWEST: Final = 20
FAVOURITE: Final = "vtd-posted"
SIMULATING: Final = ("seed", "length", "set")


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser(
        "show", help="draw a timeline in the terminal, as one HTML page, as a Perfetto file or as a still picture"
    )
    p.add_argument(
        "what", metavar="RUN|TRACE|SCENARIO",
        help="a record (.xl) or a folder of them, a recording, or a scenario by name or .toml file, which is simulated "
        "for 20 ms unless --length says otherwise",
    )  # fmt: skip
    add_scenario_options(p)
    p.add_argument("--source", metavar="NAME", help="whose interrupt (default: the first guest's device)")
    p.add_argument("--nth", type=int, metavar="N", help="which one, by its number (default: one worth a look)")
    p.add_argument("--from", dest="first", metavar="TIME", help='begin of the window, for example "3.2 ms"')
    p.add_argument("--to", dest="last", metavar="TIME", help="end of the window")
    p.add_argument("--width", type=int, metavar="N", help="columns (default: the terminal's; below 60 steps alone)")
    p.add_argument("--ascii", action="store_true", help="use no character outside ASCII")
    p.add_argument("--html", metavar="FILE", help="write one self-contained page")
    p.add_argument("--perfetto", metavar="FILE", help="write a trace for ui.perfetto.dev")
    p.add_argument("--svg", metavar="FILE", help="write a still picture; further records are compared with the first")
    p.add_argument("--theme", choices=("light", "dark"), default="light", help="colours of the still picture")
    p.set_defaults(run=run)


class Found(NamedTuple):
    """What is to be shown: records, the mechanisms left out, and the tour's cards if it was simulated whole."""

    records: list[Record]
    left: list[str]
    cards: list[Card] = []


def records_of(args: argparse.Namespace) -> Found:
    """Read or simulate what is to be shown. Errors: ExitlessError."""
    path = Path(args.what)
    if args.what in library_names() or (path.suffix == ".toml" and not path.is_dir()):
        return simulated(args)
    given = [f"--{name}" for name in SIMULATING if getattr(args, name) not in (None, [])]
    if given and path.exists():
        raise ScenarioError(f"{given[0]} is for a scenario that is simulated; {args.what} is recorded already")
    if path.is_dir():
        files = sorted(path.glob("*.xl"))
        if not files:
            raise TraceError(f"{path}: expected records (.xl files) in this folder, found none; run --out makes them")
        return Found(*chosen(args, [read(file) for file in files]))
    if not path.exists():
        raise ScenarioError(unknown(args.what, path))
    with path.open("rb") as file:
        head = file.read(64)
    if is_record(head):
        return Found(*chosen(args, [read(path)]))
    with open_reader(args.what) as reader, Patience(f"reading {path.name}", reader.size) as tick:
        return Found(*chosen(args, [record_of(reader, tick)]))


def unknown(what: str, path: Path) -> str:
    """Say that there is nothing of a name, with a near match among the library and the files beside it."""
    folder = path.parent
    beside = [str(folder / f.name) for f in folder.iterdir() if not f.name.startswith(".")] if folder.is_dir() else []
    hint = near(what, [*library_names(), *beside])
    return f'no record, recording or scenario "{what}"{hint or "; `exitless list scenarios` names the scenarios"}'


def chosen(args: argparse.Namespace, records: list[Record]) -> tuple[list[Record], list[str]]:
    """Keep the records of the mechanisms asked for, in that order. Errors: ScenarioError."""
    names = [r.header.mechanism for r in records]
    if args.mechanism:
        for name in args.mechanism:
            if name not in names:
                known = [n for n in names if n]
                hint = near(name, known) or (f"; there is {', '.join(known)}" if known else "")
                raise ScenarioError(f"--mechanism {name}: no record of it in {args.what}{hint}")
        return [records[names.index(name)] for name in dict.fromkeys(args.mechanism)], []
    if args.html or len(records) == 1:
        return records, []
    kept = names.index(FAVOURITE) if FAVOURITE in names else len(names) - 1
    return [records[kept]], [n for n in names if n != names[kept]]


def simulated(args: argparse.Namespace) -> Found:
    """Simulate a scenario: the mechanisms asked for; for a page all of it, otherwise one. Errors: ScenarioError.

    A page gets the tour with the numbers of these runs.
    """
    scenario, name, names, length = asked(args.what, args)
    left: list[str] = []
    if not args.mechanism and not args.html:
        kept = FAVOURITE if FAVOURITE in names else names[-1]
        left = [n for n in names if n != kept]
        names = [kept]
    if length is None:
        length = min(LENGTH_PS, quantity(units.parse_time_ps, scenario.run.length, "run.length"))
    ran: dict[str, tuple[Result, Record]] = {}
    with Patience("simulating", len(names)) as tick:
        done = 0.0

        def more(share: float) -> None:
            nonlocal done
            done += share
            tick(done)

        for mechanism in names:
            tick.what = f"simulating {mechanism}"
            result, record = run_one(scenario, name, mechanism, args.seed, length, False, True, more)
            if record is not None:
                ran[mechanism] = (result, record)
    cards = tour(scenario, name, args.seed, ran) if args.html and ran else []
    return Found([record for _, record in ran.values()], left, cards)


def check(args: argparse.Namespace, records: list[Record]) -> tuple[int | None, int | None]:
    """Hold the choices against what the records have. Returns: the ends of the window. Errors: ScenarioError."""
    first = None if args.first is None else quantity(units.parse_time_ps, args.first, "--from")
    last = None if args.last is None else quantity(units.parse_time_ps, args.last, "--to")
    if first is not None and last is not None and last <= first:
        raise ScenarioError(f"--to {args.last}: expected a time after --from {args.first}")
    if args.nth is not None and args.nth < 0:
        raise ScenarioError(f"--nth {args.nth}: expected the number of an interrupt, 0 or more")
    if args.width is not None and args.width < NARROWEST:
        raise ScenarioError(f"--width {args.width}: expected {NARROWEST} or more columns")
    for record in records:
        header = record.header
        if not len(record):
            raise TraceError(f"{args.what}: the record holds no rows, so there is nothing to show")
        if args.source is not None and not sources_of(header, args.source):
            known = header.sources
            hint = near(args.source, known) or (f"; there is {', '.join(known)}" if known else "; it names no source")
            raise ScenarioError(f"--source {args.source}: the record has no source of this name{hint}")
        low, high = record.time[0], max(record.time[-4096:])
        for option, text, outside in (
            ("--from", args.first, first is not None and first >= high),
            ("--to", args.last, last is not None and last <= low),
        ):
            if outside:
                ends = f"{units.show_time(low)} to {units.show_time(high)}"
                raise ScenarioError(f"{option} {text}: the record has nothing there; it runs from {ends}")
    return first, last


def set_scene(
    args: argparse.Namespace, record: Record, first: int | None, last: int | None, nth: int | None, around: int | None
) -> Scene:  # fmt: skip
    """Set the scene of one record: the window asked for, or one about an interrupt. Errors: ScenarioError."""
    if first is None and last is None:
        out = scene(record, *part(record, BUDGET, args.source, nth), args.source, nth, around)
    else:
        out = scene(record, first, last, args.source, nth)
    if nth is not None and out.journey is None:
        have = [j.serial for j in out.journeys]
        hint = f"it has #{min(have)} to #{max(have)} there" if have else "it has none there"
        raise ScenarioError(f"--nth {nth}: {args.source or 'the source'} has no interrupt of this number; {hint}")
    return out


def run(args: argparse.Namespace) -> int:
    """Do it. Returns: 0."""
    for path in (args.html, args.svg, args.perfetto):
        if path and not Path(path).parent.is_dir():
            raise ScenarioError(f"{path}: cannot write: there is no folder {Path(path).parent}")
    records, left, cards = records_of(args)
    first, last = check(args, records)
    nth = args.nth
    if nth is None and len(records) > 1 and first is None and last is None:
        nth = pick(records, args.source)
    if not (args.html or args.perfetto or args.svg):
        print_timelines(args, records, first, last, nth, left)
        return 0
    out = console()
    if args.html:
        write_whole(
            args.html, page(records, first, last, args.source, nth, cards=cards, says=how_they_deliver()).encode()
        )
        told(out, args.html)
    if args.svg:
        scenes = [set_scene(args, records[0], first, last, nth, None)]
        scenes += [set_scene(args, record, None, None, None, None) for record in records[1:]]
        write_whole(args.svg, svg(scenes, args.theme).encode())
        told(out, args.svg)
    if args.perfetto:
        with open_whole(args.perfetto) as file, Patience(f"writing {args.perfetto}", len(records)) as tick:
            writer = Perfetto(file)
            for n, record in enumerate(records):
                writer.add(record, first, last, partial(_from, tick, n))
        told(out, args.perfetto)
    return 0


def _from(tick: Patience, before: int, share: float) -> None:
    """Tell how much of several records is done."""
    tick(before + share)


def told(out: Any, path: str) -> None:
    """Say what was written."""
    out.print(f"wrote {path}, {size(Path(path).stat().st_size)}", soft_wrap=True, markup=False)


def print_timelines(
    args: argparse.Namespace, records: list[Record], first: int | None, last: int | None, nth: int | None,
    left: list[str],
) -> None:  # fmt: skip
    """Print every record's timeline."""
    out = console()
    width = args.width or out.width
    plain = args.ascii or not writes_blocks()
    for n, record in enumerate(records):
        if n:
            out.print()
        for line in timeline(set_scene(args, record, first, last, nth, AROUND), width, plain):
            out.print(line, soft_wrap=True)
    if left:
        out.print()
        out.print(f"Also here: --mechanism {', '.join(left)}", style="dim")


def writes_blocks() -> bool:
    """Tell whether standard output can write the signs of the timeline."""
    try:
        "█┄▼".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
