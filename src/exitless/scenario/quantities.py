"""Values of a scenario with their units and their limits; every complaint names the place in the file."""

from typing import Any, Final

from exitless.bits import units
from exitless.errors import ScenarioError

# A day: far above any use, and low enough that sums of times stay well within a signed 64-bit word of ps.
LONGEST_PS: Final = 86_400 * units.PS_PER_S
SHORTEST_PS: Final = units.PS_PER_US
# Drawing exponentially distributed times multiplies by up to 2**21.
LONGEST_MEAN_PS: Final = units.PS_PER_S
SEED_LIMIT: Final = 2**32


def quantity(parser: Any, text: str, where: str) -> int:
    """Parse a value with a unit, with the place in the complaint."""
    try:
        return int(parser(text))
    except ValueError as problem:
        raise ScenarioError(f"{where}: {problem}") from None


def within(value: int, low: int, high: int, where: str) -> int:
    """Check a whole number's range."""
    if not low <= value <= high:
        raise ScenarioError(f"{where}: expected {low} to {high}, got {value}")
    return value


def time_within(text: str, low_ps: int, high_ps: int, where: str) -> int:
    """Parse a time and check its range."""
    value = quantity(units.parse_time_ps, text, where)
    if not low_ps <= value <= high_ps:
        raise ScenarioError(f"{where}: expected {plain(low_ps)} to {plain(high_ps)}, got {text}")
    return value


def plain(time_ps: int) -> str:
    """Print a limit in the largest unit that shows it as a whole number."""
    for unit, size in reversed(units.TIME_UNITS.items()):
        if unit != "µs" and time_ps % size == 0:
            return f"{time_ps // size} {unit}"
    return f"{time_ps} ps"
