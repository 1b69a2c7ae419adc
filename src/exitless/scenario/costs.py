"""Cost tables: those that come with Exitless, and files of the same shape, such as ``exitless calibrate`` writes.

A file says what its own steps cost; every other step keeps the cost and the origin it has in the file's ``base``.
"""

import tomllib
from functools import cache
from typing import Any, Final

from exitless.bits import units
from exitless.errors import ScenarioError
from exitless.scenario.files import file_text, near, text_in
from exitless.scenario.load import parse, preset_names
from exitless.scenario.quantities import plain, time_within
from exitless.sim.costs import Cost

COST_NAMES: list[str] = [name.lower() for name in vars(Cost) if name.isupper() and name != "COUNT"]
DEFAULT: Final = "illustrative"
LONGEST_PS: Final = units.PS_PER_S
ENTRIES: Final = ["says", "base", "value", "cost", "recording", "stretch"]
COLUMNS: Final = ["cycles", "ns", "origin", "source"]
EXPECTED: Final = 'expected { cycles = 900 }, { ns = 375 } or "375 ns"'


@cache
def cost_table(name: str) -> dict[str, Any]:
    """Read a cost table of the package; it is the same for every machine built, and nobody changes it."""
    return tomllib.loads(text_in("presets", name))


def is_file(name: str) -> bool:
    """Tell whether a cost table is a file, by its ending, and not one of the package."""
    return name.endswith(".toml")


def read_costs(path: str) -> dict[str, Any]:
    """Read a file of costs and check what stands at its top. Errors: ScenarioError with the place."""
    table = parse(file_text(path, "cost table"), path)
    for key in table:
        if key not in ENTRIES:
            raise ScenarioError(f"{path}: {key}: no such entry of a cost table{near(key, ENTRIES)}")
    if not isinstance(table.get("cost"), dict):
        raise ScenarioError(
            f"{path}: has no table [cost]; expected one line a step, such as exit = {{ ns = 450, origin = "
            '"measured (where)", source = "how" }'
        )
    base = table.get("base", DEFAULT)
    if not isinstance(base, str) or base not in preset_names():
        raise ScenarioError(f'{path}: base: no cost table "{str(base)[:40]}"{near(str(base)[:40], preset_names())}')
    return table


class Preset:
    """A cost table: ``ps`` and ``origins`` by cost number. ``own`` are the steps that a file gives, by name.

    ``name`` is one of the package's tables, or a file (it ends in ``.toml``). ``changes`` are a scenario's own costs.
    """

    def __init__(self, name: str, clock_hz: int, changes: dict[str, str]) -> None:
        data: dict[str, Any] = read_costs(name) if is_file(name) else {"base": name, "cost": {}}
        self.base: str = data.get("base", DEFAULT)
        if self.base not in preset_names():
            raise ScenarioError(
                f'host.costs: no cost table "{self.base}"{near(self.base, preset_names())}; a file ends in .toml'
            )
        table = cost_table(self.base)
        self.name = name
        self.says: str = table["says"]
        self.ps: list[int] = []
        self.origins: list[str] = []
        self.sources: list[str] = []
        self.cycles: list[int] = []
        self.own: list[str] = []
        for key in COST_NAMES:
            row = table["cost"][key]
            self.ps.append(units.cycles_to_ps(row["cycles"], clock_hz) if "cycles" in row else row["ns"] * 1000)
            self.cycles.append(row.get("cycles", 0))
            self.origins.append(row["origin"])
            self.sources.append(row["source"])
        for key, row in data["cost"].items():
            self._take(key, row, clock_hz)
        if self.own:
            said = data.get("says", "")
            self.says = f"{said if isinstance(said, str) and said else f'From {name}.'} {self.sentence()}"
        for key, value in changes.items():
            n = step_number(key, f"host.cost.{key}")
            self.ps[n] = time_within(value, 0, LONGEST_PS, f"host.cost.{key}")
            self.origins[n], self.sources[n] = "set", "set by the scenario"

    def _take(self, key: str, row: object, clock_hz: int) -> None:
        """Take one step's cost from the file."""
        where = f"{self.name}: cost.{key}"
        n = step_number(key, where)
        self.ps[n] = picoseconds(row, clock_hz, where)
        self.cycles[n] = 0
        self.origins[n], self.sources[n] = "set", f"set by {self.name}"
        if isinstance(row, dict):
            for column in row:
                if column not in COLUMNS:
                    raise ScenarioError(f"{where}.{column}: no such column{near(column, COLUMNS)}")
            self.origins[n] = text_of(row, "origin", where, self.origins[n])
            self.sources[n] = text_of(row, "source", where, self.sources[n])
        self.own.append(key)

    def sentence(self) -> str:
        """Say how many steps come from where."""
        if not self.own:
            return f"All {len(COST_NAMES)} steps are those of '{self.base}' ({', '.join(sorted(set(self.origins)))})."
        rest = len(COST_NAMES) - len(self.own)
        kinds = ", ".join(sorted({origin.partition(" (")[0] for origin in cost_origins(self, self.own)}))
        return (
            f"{len(self.own)} of {len(COST_NAMES)} steps from {self.name} ({kinds}: {', '.join(sorted(self.own))}); "
            f"the other {rest} stay as in '{self.base}' (guess)."
        )


def cost_origins(preset: Preset, names: list[str]) -> list[str]:
    """Return the origins of some steps."""
    return [preset.origins[COST_NAMES.index(name)] for name in names]


def text_of(row: dict[str, object], column: str, where: str, otherwise: str) -> str:
    """Return a column that is text. Errors: ScenarioError."""
    value = row.get(column, otherwise)
    if not isinstance(value, str):
        raise ScenarioError(f"{where}.{column}: expected text in quotes, got {str(value)[:40]}")
    return value


def step_number(key: str, where: str) -> int:
    """Return a step's number. Errors: ScenarioError with a near match."""
    if key not in COST_NAMES:
        raise ScenarioError(f"{where}: no such step{near(key, COST_NAMES)}")
    return COST_NAMES.index(key)


def picoseconds(row: object, clock_hz: int, where: str) -> int:
    """Read one cost: cycles, ns, or a time with its unit. Errors: ScenarioError."""
    found = -1
    try:
        if isinstance(row, str):
            found = int(units.parse_time_ps(row))
        elif isinstance(row, dict):
            for key in ("cycles", "ns"):
                value = row.get(key)
                if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12:
                    found = units.cycles_to_ps(round(value), clock_hz) if key == "cycles" else round(value * 1000)
                    break
    except ValueError as problem:
        raise ScenarioError(f"{where}: {problem}") from None
    if found < 0:
        raise ScenarioError(f"{where}: {EXPECTED}, got {str(row)[:80]}")
    if found > LONGEST_PS:
        raise ScenarioError(f"{where}: expected 0 to {plain(LONGEST_PS)}, got {str(row)[:80]}")
    return found
