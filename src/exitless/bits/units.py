"""Time and rates: integer picoseconds inside, units at the door.

Picoseconds make 10 Gbit/s Ethernet exact: a byte takes 800 ps, a minimum frame with preamble and
inter-frame gap 67,200 ps. A signed 64-bit count lasts 106 days.
"""

import re
from typing import Final

PS_PER_NS: Final = 1_000
PS_PER_US: Final = 1_000_000
PS_PER_MS: Final = 1_000_000_000
PS_PER_S: Final = 1_000_000_000_000

TIME_UNITS: Final = {
    "ps": 1,
    "ns": PS_PER_NS,
    "us": PS_PER_US,
    "µs": PS_PER_US,
    "ms": PS_PER_MS,
    "s": PS_PER_S,
}
RATE_UNITS: Final = {"bit/s": 1, "kbit/s": 10**3, "Mbit/s": 10**6, "Gbit/s": 10**9}
FREQUENCY_UNITS: Final = {"Hz": 1, "kHz": 10**3, "MHz": 10**6, "GHz": 10**9}
SIZE_UNITS: Final = {"B": 1, "KiB": 1024, "MiB": 1024 * 1024}

_QUANTITY = re.compile(r"\s*([0-9]+(?:[ _][0-9]{3})*|[0-9]+)(?:\.([0-9]+))?\s*([^\s0-9.].*?)\s*")


def parse(text: str, units: dict[str, int], what: str) -> int:
    """Turn ``"4 us"`` into a whole number of the smallest unit.

    Errors: ValueError with one sentence that says what was expected, when the text has no number, no
    unit, an unknown unit, or is not a whole number of the smallest unit.
    """
    m = _QUANTITY.fullmatch(text)
    names = ", ".join(units)
    if m is None:
        raise ValueError(f"expected {what} with a unit ({names}), got {text!r}")
    whole, fraction, unit = m.group(1), m.group(2) or "", m.group(3)
    if unit not in units:
        raise ValueError(f"unknown unit {unit!r} for {what}; expected one of {names}")
    scaled = int(whole.replace(" ", "").replace("_", "") + fraction) * units[unit]
    divisor = 10 ** len(fraction)
    if scaled % divisor:
        smallest = next(iter(units))
        raise ValueError(f"{what} {text!r} is finer than one {smallest}")
    return int(scaled // divisor)


def parse_time_ps(text: str) -> int:
    """Parse a time such as ``"200 ms"`` into picoseconds."""
    return parse(text, TIME_UNITS, "a time")


def parse_rate_bps(text: str) -> int:
    """Parse a data rate such as ``"10 Gbit/s"`` into bits per second."""
    return parse(text, RATE_UNITS, "a data rate")


def parse_frequency_hz(text: str) -> int:
    """Parse a frequency such as ``"2.4 GHz"`` into hertz."""
    return parse(text, FREQUENCY_UNITS, "a frequency")


def parse_size_bytes(text: str) -> int:
    """Parse a size such as ``"1500 B"`` into bytes."""
    return parse(text, SIZE_UNITS, "a size")


def cycles_to_ps(cycles: int, clock_hz: int) -> int:
    """Convert processor cycles to picoseconds, rounded half up."""
    return (cycles * PS_PER_S * 2 + clock_hz) // (2 * clock_hz)


def ps_to_cycles(time_ps: int, clock_hz: int) -> int:
    """Convert picoseconds to processor cycles, rounded down."""
    return time_ps * clock_hz // PS_PER_S


def show_time(time_ps: int) -> str:
    """Print a time with three decimals in the unit that suits its size."""
    sign = "-" if time_ps < 0 else ""
    t = abs(time_ps)
    for unit, size in (("s", PS_PER_S), ("ms", PS_PER_MS), ("µs", PS_PER_US), ("ns", PS_PER_NS)):
        if t >= size:
            thousandths = (t * 1000 + size // 2) // size
            return f"{sign}{thousandths // 1000}.{thousandths % 1000:03d} {unit}"
    return f"{sign}{t} ps"
