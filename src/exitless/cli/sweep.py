"""``exitless sweep``: many scenarios, mechanisms and seeds; what they measure, how sure it is, and who differs."""

import argparse
import csv
import io
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from exitless.cli.main import INTERRUPTED, complain
from exitless.cli.measures import measure, numbers_at
from exitless.cli.output import console, progress, write_json, write_whole
from exitless.cli.sweeping import Case, Interrupted, cases_of, kept_in, processors, run_cases
from exitless.cli.tables import new_table
from exitless.errors import ExitlessError, ScenarioError
from exitless.scenario import near
from exitless.scenario.sweeps import Study, read_study
from exitless.study.repeats import Repeated, paired, repeated
from exitless.version import VERSION, compiled

Rows = dict[str, dict[str, Any]]


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("sweep", help="simulate the many scenarios of a study")
    p.add_argument("study", metavar="STUDY.toml", help="a study of the library (exitless list studies) or a .toml file")
    p.add_argument("--out", metavar="DIR", help="where every case is kept (default: the study's name with .sweep)")
    p.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a processor)")
    p.add_argument("--laws", action="store_true", help="check the laws of state after every event")
    p.add_argument("--json", metavar="FILE", help="write the results as JSON (- for standard output)")
    p.add_argument("--csv", metavar="FILE", help="write every case as a line of CSV (- for standard output)")
    p.set_defaults(run=run)


def path_in(row: dict[str, Any], what: str) -> str:
    """Put the name of a row's first source in place of ``{interrupt}``."""
    return what.replace("{interrupt}", row["interrupt"])


def check_measures(study: Study, row: dict[str, Any]) -> None:
    """Look for each measure's table in the first case that is done. A counter of 0 has no entry and is no mistake.

    Errors: ScenarioError with a near match.
    """
    for n, what in enumerate(study.file.measures):
        for path in path_in(row, what).split(" per "):
            first, _, rest = path.partition("/")
            place = f'{study.where}: measures[{n}]: "{what}"'
            if first not in row:
                raise ScenarioError(f"{place}: a case has no {first}{near(first, list(row))}")
            source = rest.partition("/")[0]
            if first == "sources" and source not in row[first] and "*" not in source:
                raise ScenarioError(f'{place}: there is no source "{source}"{near(source, list(row[first]))}')
            if first in ("sources", "exits_per_interrupt", "cpu") and not numbers_at(row, path.split("/")):
                raise ScenarioError(f"{place}: no number of a case stands there; exitless run --json shows them")


def run_study(study: Study, folder: Path, jobs: int, laws: bool) -> tuple[list[Case], Rows, int]:
    """Take what is kept and run the rest. Returns: all cases, their results by key, and how many were kept before.

    Errors: ScenarioError, ExitlessError, Interrupted.
    """
    cases = cases_of(study, laws)
    rows: Rows = {}
    for case in cases:
        row = kept_in(folder, case.key)
        if row is not None:
            rows[case.key] = row
    left = list({case.key: case for case in cases if case.key not in rows}.values())
    before = len(rows)
    if rows:
        check_measures(study, next(iter(rows.values())))
    with progress() as bar:
        task = bar.add_task(f"{len(cases):,} cases", total=len(cases), completed=len(cases) - len(left))

        def done(case: Case, row: dict[str, Any]) -> None:
            if not rows:
                check_measures(study, row)
            rows[case.key] = row
            bar.advance(task)

        if left:
            run_cases(study, left, folder, jobs, laws, done)
    return cases, rows, before


class Cell:
    """What one point and mechanism measured, seed by seed, for each measure of the study."""

    def __init__(self, study: Study, rows: list[dict[str, Any]]) -> None:
        self.values = {what: [measure(row, path_in(row, what)) for row in rows] for what in study.file.measures}


def cells_of(study: Study, cases: list[Case], rows: Rows) -> dict[tuple[int, str], Cell]:
    """Gather results by point and mechanism."""
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for case in cases:
        found.setdefault((case.point, case.mechanism), []).append(rows[case.key])
    return {at: Cell(study, some) for at, some in found.items()}


def show_number(value: float, places: int) -> str:
    """Print a number with so many significant places; whole where it has more before the point."""
    return f"{value:,.0f}" if abs(value) >= 10**places else f"{value:.{places}g}"


def show(what: str, r: Repeated, sign: bool = False) -> str:
    """Print a mean with half its interval's width; times, given in ns, in µs."""
    scale = 1000 if is_time(what) else 1
    text = ("+" if sign and r.mean > 0 else "") + show_number(r.mean / scale, 4)
    return text if r.half is None else f"{text} ±{show_number(r.half / scale, 2)}"


def is_time(what: str) -> bool:
    """Tell whether a measure is a time in ns."""
    return "_ns/" in what and " per " not in what


def heading(what: str) -> str:
    """Print a measure's path as a heading of a few lines, with its unit."""
    lines = "\nper ".join(part.replace("/", "/\n") for part in what.split(" per "))
    if is_time(what):
        return lines.replace("_ns/", "/") + ", µs"
    return "exits per\ninterrupt" if what == "exits_per_interrupt" else lines


def table_of(study: Study, title: str, out: Console) -> Table:
    """Make a table: a column an axis, the mechanism, a column a measure."""
    table = new_table()
    table.title = title
    table.title_justify = "left"
    table.title_style = "bold"
    for axis in study.file.vary:
        table.add_column(escape(axis).replace(".", ".\n"), overflow="fold")
    table.add_column("mechanism", overflow="fold")
    for what in study.file.measures:
        table.add_column(heading(what), justify="right", overflow="fold")
    return table


def labels_at(study: Study, point: int, is_first: bool) -> list[str]:
    """Return a point's labels for the first row of its section, and blanks for the others."""
    return [escape(label) if is_first else "" for label in study.points[point].labels.values()]


def print_study(out: Console, study: Study, cells: dict[tuple[int, str], Cell], kept: int, where: Path) -> None:
    """Print means by point and mechanism, and the differences from the first mechanism."""
    count = len(cells) * len(study.seeds)
    out.print(escape(study.file.title), style="bold")
    seeds = f"seeds {study.seeds[0]} to {study.seeds[-1]}" if len(study.seeds) > 1 else f"seed {study.seeds[0]}"
    costs = study.points[0].scenario.host.costs
    said = f"{count:,} cases in {where}, {kept:,} of them kept from before; {seeds}; simulated with the costs {costs}"
    out.print(escape(said), style="dim")
    out.print()
    sure = f", mean ± half of the 95 % interval over {len(study.seeds)} seeds" if len(study.seeds) > 1 else ""
    table = table_of(study, f"measured{sure}", out)
    for (n, mechanism), cell in cells.items():
        labels = labels_at(study, n, mechanism == study.mechanisms[0])
        table.add_row(*labels, mechanism, *(show(what, repeated(values)) for what, values in cell.values.items()))
        if mechanism == study.mechanisms[-1] and study.file.vary:
            table.add_section()
    out.print(table)
    if len(study.mechanisms) == 1:
        return
    out.print()
    base = study.mechanisms[0]
    table = table_of(study, f"difference from {base}, seed by seed; bold: its interval leaves out 0", out)
    for (n, mechanism), cell in cells.items():
        if mechanism == base:
            continue
        labels = labels_at(study, n, mechanism == study.mechanisms[1])
        found = [(what, paired(values, cells[n, base].values[what])) for what, values in cell.values.items()]
        texts = [f"[bold]{show(what, r, True)}[/]" if r.is_clear else show(what, r, True) for what, r in found]
        table.add_row(*labels, mechanism, *texts)
        if mechanism == study.mechanisms[-1] and study.file.vary:
            table.add_section()
    out.print(table)


def plain(r: Repeated) -> dict[str, Any]:
    """Return a mean and its interval as JSON."""
    return {"mean": r.mean, "half_width_95": r.half, "seeds": r.count}


def as_json(
    study: Study, cells: dict[tuple[int, str], Cell], kept: int, where: Path, problems: list[str]
) -> dict[str, Any]:
    """Make the document."""
    base = study.mechanisms[0]
    return {
        "exitless": {"version": VERSION, "compiled": compiled()}, "study": study.where, "title": study.file.title,
        "scenario": study.file.scenario, "seeds": study.seeds,
        "length_ns": None if study.length_ps is None else study.length_ps // 1000,
        "kept_in": str(where), "cases": len(cells) * len(study.seeds), "reused": kept, "problems": problems,
        "results": [
            {
                "point": study.points[n].labels, "mechanism": mechanism,
                "measures": {what: {**plain(repeated(v)), "values": v} for what, v in cell.values.items()},
                "against": {"mechanism": base, "difference": {
                    what: plain(paired(v, cells[n, base].values[what])) for what, v in cell.values.items()
                }},
            } for (n, mechanism), cell in cells.items()
        ],
    }  # fmt: skip


def write_csv(study: Study, cases: list[Case], rows: Rows, path: str) -> None:
    """Write a line a case: its point, mechanism, seed and measures."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow([*study.file.vary, "mechanism", "seed", *study.file.measures])
    for case in cases:
        row = rows[case.key]
        values = [measure(row, path_in(row, what)) for what in study.file.measures]
        out.writerow([*study.points[case.point].labels.values(), case.mechanism, case.seed, *values])
    if path == "-":
        console().file.write(text.getvalue())
    else:
        write_whole(path, text.getvalue().encode())


def broken_in(study: Study, cases: list[Case], rows: Rows) -> list[str]:
    """Return what no case may do: break a law, or lose an interrupt that its scenario does not expect to lose."""
    out = []
    for case in cases:
        row, point = rows[case.key], study.points[case.point]
        at = ", ".join([*(f"{k} = {v}" for k, v in point.labels.items()), case.mechanism, f"seed {case.seed}"])
        out += [f"{at}: {law}" for law in row["laws"]["broken"]]
        lost = sum(source["lost"] for source in row["sources"].values())
        if lost != point.scenario.expect.lost:
            out.append(f"{at}: {lost} interrupts lost, expected {point.scenario.expect.lost}")
    return out


def run(args: argparse.Namespace) -> int:
    """Do it. Returns: 0, or 1 when a law is broken or an interrupt is lost, or 130."""
    study = read_study(args.study)
    jobs = processors() if args.jobs is None else args.jobs
    if jobs < 1:
        raise ScenarioError(f"--jobs {jobs}: expected 1 or more processes")
    folder = Path(args.out or f"{Path(study.where).stem}.sweep")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ExitlessError(f"{folder}: cannot make the directory: {problem.strerror}") from None
    try:
        cases, rows, kept = run_study(study, folder, jobs, args.laws)
    except Interrupted:
        cases = cases_of(study, args.laws)
        there = sum(kept_in(folder, case.key) is not None for case in cases)
        complain(f"interrupted with {there:,} of {len(cases):,} cases in {folder}; the same command does the rest")
        return INTERRUPTED
    cells = cells_of(study, cases, rows)
    problems = broken_in(study, cases, rows)
    if "-" not in (args.json, args.csv):
        print_study(console(), study, cells, kept, folder)
    if args.json:
        write_json(as_json(study, cells, kept, folder, problems), args.json)
    if args.csv:
        write_csv(study, cases, rows, args.csv)
    for said in problems[:20]:
        complain(said)
    if len(problems) > 20:
        complain(f"and {len(problems) - 20:,} more")
    return 1 if problems else 0
