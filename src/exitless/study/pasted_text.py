"""Text as people paste it: quoted by a mail program, with hard spaces, tabs, separators of thousands, lines in two."""

import re
from typing import Final

QUOTE: Final = re.compile(r"(?:[>|] ?)+(?=\s*\S)|>+\s*$")
HARD: Final = "\u00a0\u2007\u2009\u202f"
HARD_SPACES: Final = str.maketrans(dict.fromkeys(HARD, " ") | {"\u200b": "", "\ufeff": "", "\t": " "})
THOUSANDS: Final = re.compile(rf"(?<=\d)[{HARD}](?=\d\d\d(?!\d))")
COLOUR: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
NUMBER: Final = r"\d{1,3}(?:[,'\u2019]\d{3})+(?:\.\d+)?|\d{1,20}(?:\.\d+)?"
# A count as people round it: 307.5k, 1.2M.
QUANTITY: Final = rf"(?:{NUMBER})[kKM]?"
GROUPED: Final = re.compile(r"(?<![\d.])(\d{1,3}) (?=\d\d\d(?!\d))")
TIMES: Final = {"k": 1000, "K": 1000, "M": 1000000}
VALUE: Final = re.compile(rf"({NUMBER})\s*(%|[nmu\u00b5\u03bc]?s(?![\w/]))?")
NS_OF: Final = {"ns": 1.0, "us": 1e3, "\u00b5s": 1e3, "\u03bcs": 1e3, "ms": 1e6, "s": 1e9}
MOST_LINES: Final = 200_000
LONGEST: Final = 4096


class Text:
    """The lines of a pasted text, plain; ``quoted`` counts those that lost a mail program's quotation marks.

    ``places`` has the line of the original in which each begins; ``joined`` counts pieces put back by a repair.
    """

    def __init__(self, text: str) -> None:
        self.lines: list[str] = []
        self.places: list[int] = []
        self.quoted = 0
        self.joined = 0
        for place, raw in enumerate(text.splitlines()[:MOST_LINES], 1):
            line = plain(raw[:LONGEST])
            if line.startswith(">") or (line.startswith("| ") and line.count("|") == 1):
                line, marks = QUOTE.subn("", line, count=1)
                self.quoted += marks
            self.lines.append(line.rstrip())
            self.places.append(place)

    def join(self, at: int, count: int) -> None:
        """Make one line of ``count`` lines from ``at`` on."""
        self.lines[at : at + count] = [" ".join(part.strip() for part in self.lines[at : at + count])]
        del self.places[at + 1 : at + count]
        self.joined += count - 1


def plain(line: str) -> str:
    """Write a line with ordinary spaces and without separators of thousands that are hard spaces."""
    if not line.isascii():
        if any(space in line for space in " \t"):
            line = THOUSANDS.sub("", line)
        line = line.translate(HARD_SPACES)
    return COLOUR.sub("", line.replace("\t", " "))


def number(text: str) -> float:
    """Read a number with or without separators of thousands."""
    return float(text.replace(",", "").replace("'", "").replace("\u2019", ""))


def count(text: str) -> int:
    """Read a whole number with or without separators of thousands, or one rounded to thousands (k) or millions (M)."""
    plain_number = text.replace(",", "").replace("'", "").replace("\u2019", "")
    if plain_number[-1] in TIMES:
        return round(float(plain_number[:-1]) * TIMES[plain_number[-1]])
    return int(plain_number)


def joined_groups(line: str) -> str:
    """Put numbers together whose groups of three digits stand apart."""
    return GROUPED.sub(r"\1", GROUPED.sub(r"\1", line))


def values(text: str) -> list[tuple[float, str]]:
    """Return the numbers of a text, each with its unit: %, a unit of time, or none."""
    return [(number(value), unit) for value, unit in VALUE.findall(text)]
