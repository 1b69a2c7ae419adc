"""Puts the text of a recording in order that went through a mail program: quotation marks off, cut lines together.

Nothing here is done unasked, and what was done is counted, so that it can be said.
"""

import io
import re
from typing import Final

from exitless.errors import TraceError
from exitless.traces import ftrace_text, perf_script
from exitless.traces.opening import CHUNK, Source
from exitless.traces.text_line import FtraceLine, PerfLine

QUOTE: Final = re.compile(r"(?:[>|] ?)+")
HARD: Final = str.maketrans("\u00a0\u2007\u202f", "   ")
# No mail program cuts a line that would have been shorter than this with its next word.
NARROWEST: Final = 60
MOST: Final = 64 << 20
MOST_PIECES: Final = 4


class Repair:
    """A repaired text, and what was done: ``joined`` pieces, ``quoted`` lines."""

    def __init__(self, text: str) -> None:
        self.joined = 0
        self.quoted = 0
        self.lines: list[str] = []
        self.held = ""
        self.pieces = 0
        self.last = 0
        for line in text.splitlines():
            self._line(line.translate(HARD).rstrip())
        self._flush()

    def _flush(self) -> None:
        self.lines.append(self.held)
        self.joined += max(0, self.pieces - 1)
        self.held, self.pieces = "", 0

    def _line(self, line: str) -> None:
        if line.startswith(">"):
            line, self.quoted = QUOTE.sub("", line, count=1), self.quoted + 1
        if self.pieces and not self._goes_on(line):
            self._flush()
        self.held = f"{self.held} {line.lstrip()}" if self.pieces else line
        self.pieces += 1
        self.last = len(line)

    def _goes_on(self, line: str) -> bool:
        """Tell whether a line is the rest of the one before: that was cut where the next word no longer fitted."""
        if not line.strip() or line.startswith("#") or is_event(line) or perf_script.CHAIN.match(line):
            return False
        if ftrace_text.LOST.match(line) or perf_script.LOST.match(line) or self.pieces >= MOST_PIECES:
            return False
        if self.held.startswith("#"):
            return False
        if is_event(self.held):
            return self.last + 1 + len(line.split()[0]) >= NARROWEST
        return is_event(f"{self.held} {line.lstrip()}")


def is_event(line: str) -> bool:
    """Tell whether a line is a whole event of a text, or at least begins with all that comes before its fields."""
    data = line.encode()
    return any(form.parse(data, 0, len(data)) for form in (FtraceLine(), PerfLine()))


def repaired(source: Source) -> tuple[Source, Repair | None]:
    """Return a text repaired, with what was done; what is no text comes back as it is. Errors: TraceError."""
    if b"\0" in source.head:
        return source, None
    source.settle()
    if source.size > MOST:
        raise TraceError(f"{source.name}: --repair takes texts of up to {MOST >> 20} MiB; this one is larger")
    done = Repair(source.read_at(0, source.size).decode("utf-8", "replace"))
    data = "\n".join(done.lines).encode() + b"\n"
    after = Source(source.name, io.BytesIO(data), data[:CHUNK])
    after.problem = source.problem
    source.close()
    return after, done
