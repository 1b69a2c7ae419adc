"""The reference recordings as rows, and parts of them."""

from functools import cache
from typing import NamedTuple

from exitless.traces.reader import LOST, open_reader
from shared import shared
from tests.judge.faults import Row


class Recording(NamedTuple):
    """All rows of a recording, and what the judge is told of it beside them."""

    rows: list[Row]
    threads: bool
    pcpus: int


@cache
def recording(name: str) -> Recording:
    """Read a reference recording; skips the calling test where there are none."""
    with open_reader(str(shared(f"data/traces/{name}"))) as reader:
        rows = [row for rows in reader.rows() for row in rows]
        return Recording(rows, not reader.format.startswith("xentrace"), reader.pcpus)


def part(rows: list[Row], first: int, last: int) -> list[Row]:
    """Cut a recording: what was lost at the cut is still lost after it."""
    gaps = [r for r in rows[:first] if r[1] == LOST and r[4] >= 0 and r[5] >= rows[first][0]]
    return gaps + rows[first:last]
