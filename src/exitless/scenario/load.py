"""Read a scenario: from the library or a TOML file, strictly; every complaint names its place and a near match."""

import re
import tomllib
from typing import Any

import msgspec

from exitless.errors import ScenarioError
from exitless.mech.catalog import CATALOG
from exitless.scenario.files import named_text, names_in, near
from exitless.scenario.schema import TABLES, Bound, Scenario


def library_names() -> list[str]:
    """Return the names of the scenarios that come with Exitless, ``mail`` first."""
    names = [name for name in names_in("library") if not name.endswith(".published")]
    return sorted(names, key=lambda n: n != "mail")


def preset_names() -> list[str]:
    """Return the names of the cost tables that come with Exitless."""
    return names_in("presets")


def read_text(name: str) -> tuple[str, str]:
    """Return a scenario's text and what to call it in messages. Errors: ScenarioError."""
    return named_text(name, "library", library_names(), "scenario")


def parse(text: str, where: str) -> dict[str, Any]:
    """Parse TOML. Errors: ScenarioError with line and column."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise ScenarioError(f"{where}: not valid TOML: {problem}") from None
    except (ValueError, RecursionError):
        raise ScenarioError(f"{where}: not usable TOML: a number or a nesting in it is beyond all bounds") from None


# What the checker of types calls things, and what the writer of a file does.
PLAIN = {
    "`int`": "a whole number", "`float`": "a number", "`str`": "text in quotes", "`bool`": "true or false",
    "`array`": "a list", "`object`": "a table",
}  # fmt: skip


def in_plain_words(said: str) -> str:
    """Say what is wrong with a value in the words of TOML."""
    missing = re.fullmatch(r"Object missing required field `(.*?)`", said)
    if missing:
        return f"{missing[1]} is missing"
    for technical, plain in PLAIN.items():
        said = said.replace(technical, plain)
    return said[0].lower() + said[1:]


def field_names(table: Any) -> list[str]:
    """Return what a table of the file may hold."""
    return [f.encode_name for f in msgspec.structs.fields(table)]


def convert(data: dict[str, Any], where: str) -> Scenario:
    """Turn parsed TOML into records. Errors: ScenarioError with the path of the bad field and a near match."""
    try:
        return msgspec.convert(data, Scenario)
    except msgspec.ValidationError as problem:
        message = str(problem)
        found = re.search(r" - at `\$\.?(.*?)`$", message)
        place = found[1] if found else ""
        said = re.sub(r" - at `.*`$", "", message)
        unknown = re.search(r"unknown field `(.*?)`", said)
        table = re.sub(r"\[.*?\]", "", place).split(".")[0]
        if unknown:
            known = field_names(Bound if "[...]" in place else TABLES.get(table, Scenario))
            spot = f"{place}.{unknown[1]}" if place else unknown[1]
            raise ScenarioError(f"{where}: {spot}: no such key{near(unknown[1], known)}") from None
        raise ScenarioError(f"{where}: {place or 'the file'}: {in_plain_words(said)}") from None


STEP = re.compile(r"([A-Za-z_][\w-]*)(?:\[(\d{1,9})\])?")
PATH = re.compile(rf"{STEP.pattern}(?:\.{STEP.pattern})*")


def set_path(data: dict[str, Any], assignment: str) -> None:
    """Apply one ``--set PATH=VALUE``: ``device[0].load=50``, ``host.ratelimit=0 us``. Errors: ScenarioError."""
    path, equals, value = assignment.partition("=")
    if not equals or not path.strip():
        raise ScenarioError(f'--set {assignment}: expected PATH=VALUE, for example host.ratelimit="0 us"')
    if not PATH.fullmatch(path.strip()):
        raise ScenarioError(f'--set {assignment}: expected a path such as device[0].load before the "="')
    steps = STEP.findall(path.strip())
    at: Any = data
    for n, (key, index) in enumerate(steps):
        last = n == len(steps) - 1
        if not isinstance(at, dict):
            raise ScenarioError(f"--set {assignment}: {key} is not inside a table")
        if index:
            items = at.get(key, [])
            if not isinstance(items, list):
                raise ScenarioError(f"--set {assignment}: {key} is no list, so it has no [{index}]")
            if int(index) >= len(items):
                raise ScenarioError(f"--set {assignment}: there is no {key}[{index}]; the scenario has {len(items)}")
            if last:
                items[int(index)] = parse_value(value)
            at = items[int(index)]
        elif last:
            at[key] = parse_value(value)
        else:
            at = at.setdefault(key, {})


def parse_value(text: str) -> Any:
    """Read a value as TOML would; bare words are strings."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except (ValueError, RecursionError):
        return text.strip()


def load(name: str, settings: list[str] | None = None) -> tuple[Scenario, str]:
    """Read, adjust and check a scenario. Returns: it and its name. Errors: ScenarioError."""
    text, where = read_text(name)
    data = parse(text, where)
    for assignment in settings or []:
        set_path(data, assignment)
    scenario = convert(data, where)
    check_mechanisms(scenario.run.mechanisms, f"{where}: run.mechanisms")
    check_mechanisms(list(scenario.expect.exits_per_interrupt), f"{where}: expect.exits_per_interrupt")
    check_mechanisms(list(scenario.expect.exits_when_running), f"{where}: expect.exits_when_running")
    for what, bounds in scenario.expect.measures.items():
        check_mechanisms(list(bounds), f'{where}: expect.measures."{what}"')
    return scenario, where


def check_mechanisms(names: list[str], where: str) -> None:
    """Every name must be in the catalogue. Errors: ScenarioError."""
    known = [m.name for m in CATALOG]
    for name in names:
        if name not in known:
            raise ScenarioError(f'{where}: no such mechanism "{name}"{near(name, known)}')
