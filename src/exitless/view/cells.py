"""A line of the terminal's timeline, cell by cell."""

from typing import Final

from rich.text import Text

LABEL: Final = 11


class Row:
    """A line under way: a label and one character a cell, each with its style."""

    def __init__(self, label: str, cells: int) -> None:
        self.label = label
        self.cells = [" "] * cells
        self.styles = [""] * cells

    def put(self, at: int, sign: str, style: str = "") -> None:
        """Write one character, if it is inside."""
        if 0 <= at < len(self.cells):
            self.cells[at] = sign
            self.styles[at] = style

    def write(self, at: int, text: str, style: str = "") -> None:
        """Write a word where it fits whole and touches nothing else."""
        if at < 0 or at + len(text) > len(self.cells):
            return
        if any(c != " " for c in self.cells[max(0, at - 1) : at + len(text) + 1]):
            return
        for n, sign in enumerate(text):
            self.put(at + n, sign, style)

    def text(self) -> Text:
        """Return the line, without blanks at its end."""
        out = Text(f"{self.label[:LABEL]:<{LABEL}} ")
        last = max((n for n, sign in enumerate(self.cells) if sign != " "), default=-1)
        for n in range(last + 1):
            out.append(self.cells[n], self.styles[n] or None)
        out.rstrip()
        return out
