"""The live workbench: a change becomes a simulated window, a page's document, a scenario file or a command."""

import shlex
from typing import Any, Final, NamedTuple

from exitless.bits import units
from exitless.cli.controls import assignments, limits, values_of
from exitless.cli.run import Result, make_tally, primary_source
from exitless.cli.tour import tour
from exitless.errors import LawBroken, ScenarioError
from exitless.mech.catalog import CATALOG
from exitless.record.block import Record
from exitless.record.sinks import Sink
from exitless.scenario import (
    Scenario,
    check_mechanisms,
    library_names,
    load,
    near,
    parse,
    prepare,
    preset_names,
    read_text,
    set_path,
)  # fmt: skip
from exitless.study.summary import summarize
from exitless.view.brief import brief
from exitless.view.page import document

WINDOW_PS: Final = 10 * units.PS_PER_MS
LONGEST_PS: Final = 100 * units.PS_PER_MS
EVENTS: Final = 400_000
ROWS: Final = 150_000
SLICES: Final = 100
KEPT: Final = 24
MOST: Final = 12


class Asked(NamedTuple):
    """What a request asks for, checked: scenario, what it is called, its changes, its mechanisms."""

    scenario: Scenario
    name: str
    settings: list[str]
    mechanisms: list[str]


class Ran(NamedTuple):
    """One mechanism's run, with every row."""

    result: Result
    record: Record


def run_window(scenario: Scenario, name: str, mechanism: str, seed: int | None, length_ps: int) -> Ran:
    """Simulate a window. Errors: ScenarioError, also in one sentence when it would take too long."""
    sinks: list[Sink] = []
    built = prepare(scenario, name, mechanism, seed, length_ps, sinks)
    tally, record = make_tally(built), Record(built.header)
    sinks += [tally, record]
    machine = built.machine
    for n in range(1, SLICES + 1):
        machine.run(length_ps * n // SLICES)
        if machine.events > EVENTS or machine.columns.rows() > ROWS:
            raise ScenarioError(
                f"{mechanism} would take too long: {machine.events:,} events by {length_ps * n // SLICES / 1e9:g} ms "
                f"of {length_ps / 1e9:g} ms; ask for fewer or larger frames, or begin with a shorter --length"
            )
        if machine.law_broken:
            raise LawBroken(f"{mechanism}: {machine.law_said()}")
    machine.columns.flush()
    tally.finish(length_ps)
    outstanding = [int(s.outstanding != 0) for s in machine.sources]
    summary = summarize(tally, built.header, outstanding, primary_source(built))
    return Ran(Result(built, summary, 0.0), record)


class Bench:
    """A scenario on the bench: ``what`` and ``settings`` as the command line gave them."""

    def __init__(self, what: str, settings: list[str], mechanisms: list[str], seed: int | None, length_ps: int) -> None:
        self.what = what
        self.settings = settings
        self.chosen = mechanisms
        self.seed = seed
        self.length_ps = length_ps
        self.ran: dict[tuple[str, ...], Ran] = {}
        self.tours: dict[tuple[str, ...], list[dict[str, Any]]] = {}

    def names(self) -> list[str]:
        """Return the scenarios to choose from: the one given, and the library."""
        return list(dict.fromkeys([self.what, *library_names()]))

    def settings_of(self, what: str) -> list[str]:
        """Return the changes the command line made; they belong to the scenario it named."""
        return self.settings if what == self.what else []

    def asked(self, request: dict[str, Any]) -> Asked:
        """Check a request. Errors: ScenarioError."""
        what, changes = request.get("scenario", self.what), request.get("changes", {})
        if what not in self.names():
            raise ScenarioError(f'there is no scenario "{str(what)[:60]}" here{near(str(what), self.names())}')
        if not isinstance(changes, dict):
            raise ScenarioError("changes: expected a table of controls and their values")
        given = self.settings_of(what)
        base, _ = load(what, given)
        settings = [*given, *assignments(base, changes)]
        scenario, name = load(what, settings)
        mechanisms = request.get("mechanisms") or self.mechanisms(scenario)
        if not isinstance(mechanisms, list) or not all(isinstance(m, str) for m in mechanisms):
            raise ScenarioError("mechanisms: expected a list of names")
        check_mechanisms(mechanisms[:MOST], "mechanisms")
        return Asked(scenario, name, settings, list(dict.fromkeys(mechanisms[:MOST])))

    def mechanisms(self, scenario: Scenario) -> list[str]:
        """Return the mechanisms to compare."""
        return self.chosen or scenario.run.mechanisms or [CATALOG[0].name]

    def run(self, asked: Asked, mechanism: str) -> Ran:
        """Simulate a window, or take it from those just made. Errors: ScenarioError."""
        key = (asked.name, mechanism, *asked.settings)
        if key not in self.ran:
            ran = run_window(asked.scenario, asked.name, mechanism, self.seed, self.length_ps)
            while len(self.ran) >= KEPT:
                del self.ran[next(iter(self.ran))]
            self.ran[key] = ran
        return self.ran[key]

    def simulate(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a change: the page's document of the mechanisms asked for. Errors: ScenarioError.

        With ``brief``, a source's name, it is no more than a comparison shows of that source; it is drawn first.
        """
        asked = self.asked(request)
        records = [self.run(asked, m).record for m in asked.mechanisms]
        source = request.get("brief")
        if isinstance(source, str) and all(source in r.header.sources for r in records):
            out: dict[str, Any] = {
                "records": [brief(r, 0, self.length_ps, r.header.sources.index(source)) for r in records]
            }
        else:
            out = document(records, 0, self.length_ps, budget=ROWS * len(records))
        return {**out, "live": self.facts(asked, request.get("scenario", self.what))}

    def facts(self, asked: Asked, what: str) -> dict[str, Any]:
        """Return what the control row shows."""
        base, _ = load(what, self.settings_of(what))
        says = how_they_deliver()
        names = self.mechanisms(base)
        return {
            "scenario": what, "scenarios": self.names(), "mechanisms": names, "says": {m: says[m] for m in names},
            "values": values_of(asked.scenario), "base": values_of(base), "limits": limits(),
            "costs": list(dict.fromkeys([base.host.costs, *preset_names()])),
        }  # fmt: skip

    def words(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a state as a scenario file and as a command. Errors: ScenarioError."""
        asked = self.asked(request)
        what = request.get("scenario", self.what)
        text, where = read_text(what)
        data = parse(text, where)
        for assignment in asked.settings:
            set_path(data, assignment)
        data.setdefault("run", {})["mechanisms"] = asked.mechanisms
        command = ["exitless", "run", what]
        for m in asked.mechanisms:
            command += ["--mechanism", m]
        if self.seed is not None:
            command += ["--seed", str(self.seed)]
        command += ["--length", f"{self.length_ps / 1e9:g} ms"]
        for assignment in asked.settings:
            command += ["--set", assignment]
        return {"toml": toml(data), "command": shlex.join(command)}

    def tour(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer the mail's questions for a state. Errors: ScenarioError."""
        asked = self.asked({**request, "mechanisms": None})
        key = (asked.name, *asked.settings)
        if key not in self.tours:
            ran = {m: self.run(asked, m) for m in asked.mechanisms}
            self.tours = {
                key: tour(asked.scenario, asked.name, self.seed, {m: (r.result, r.record) for m, r in ran.items()})
            }
        return {"tour": self.tours[key]}


def toml(data: dict[str, Any]) -> str:
    """Write a scenario's tables as TOML: text, numbers, lists of them, tables and lists of tables."""
    lines: list[str] = []
    _table(data, "", lines)
    return "\n".join(lines).strip() + "\n"


def _table(data: dict[str, Any], path: str, lines: list[str]) -> None:
    for key, value in data.items():
        if not isinstance(value, dict) and not _tables(value):
            lines.append(f"{_key(key)} = {_value(value)}")
    for key, value in data.items():
        place = f"{path}.{_key(key)}" if path else _key(key)
        for one in value if _tables(value) else [value] if isinstance(value, dict) else []:
            lines += ["", f"[[{place}]]" if _tables(value) else f"[{place}]"]
            _table(one, place, lines)


def _tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _key(key: str) -> str:
    return key if key.replace("-", "").replace("_", "").isalnum() and key.isascii() else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_value(v) for v in value)}]"
    if isinstance(value, str):
        kept = "".join(c if c >= " " and c not in '"\\\x7f' else f"\\u{ord(c):04x}" for c in value)
        return f'"{kept}"'
    return str(value)


def how_they_deliver() -> dict[str, str]:
    """Return of every mechanism the sentence that says how it delivers."""
    return {row.name: row.says for row in CATALOG}
