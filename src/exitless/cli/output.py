"""What every command does alike: consoles, files written whole, JSON, times and progress."""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from exitless.errors import ExitlessError

PATIENCE: Final = 1.0


def console(stderr: bool = False) -> Console:
    """Return a console as wide as the terminal, 100 columns where there is none; colour only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    wide = None if stream.isatty() or os.environ.get("COLUMNS") else 100
    return Console(file=stream, width=wide, highlight=False, no_color=bool(os.environ.get("NO_COLOR")) or None)


@contextmanager
def open_whole(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file under a temporary name that gets its own when the block has ended well, and is removed otherwise.

    Errors: ExitlessError in one sentence.
    """
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent or Path("."), prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as out:
                yield out
            os.chmod(name, 0o644)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise ExitlessError(f"{target}: cannot write: {problem.strerror or problem}") from None


def write_whole(path: str | Path, data: bytes) -> None:
    """Write a file under a temporary name and rename it. Errors: ExitlessError in one sentence."""
    with open_whole(path) as out:
        out.write(data)


def write_json(document: dict[str, Any], path: str) -> None:
    """Write one JSON document to a file, or to standard output for ``-``."""
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if path == "-":
        sys.stdout.write(text)
    else:
        write_whole(path, text.encode())


def progress() -> Progress:
    """Return a progress display on standard error that leaves nothing behind, and shows nothing but on a terminal."""
    out = console(stderr=True)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(),
        console=out, transient=True, disable=not out.is_terminal,
    )  # fmt: skip


class Patience:
    """A progress display that appears on standard error only when the work has taken over a second.

    Called with how much is done of ``total`` (0: unknown).
    """

    def __init__(self, what: str, total: float = 0) -> None:
        self.what = what
        self.total = total
        self.began = time.monotonic()
        self.bar: Progress | None = None

    def __call__(self, done: float) -> None:
        """Tell how much is done."""
        if self.bar is None and time.monotonic() - self.began > PATIENCE:
            self.bar = progress()
            self.task = self.bar.add_task(self.what, total=self.total or None)
            self.bar.start()
        if self.bar is not None:
            self.bar.update(self.task, completed=done, description=self.what)

    def __enter__(self) -> "Patience":
        return self

    def __exit__(self, *problem: object) -> None:
        if self.bar is not None:
            self.bar.stop()


def ns(value: float) -> str:
    """Print a time given in ns with the unit that suits its size, three significant places."""
    if value >= 1e6:
        return f"{value / 1e6:.3g} ms" if value < 1e9 else f"{value / 1e9:.3g} s"
    if value >= 1e3:
        return f"{value / 1e3:.3g} µs"
    return f"{value:.3g} ns"


def per_cent(part: float) -> str:
    """Print a share."""
    return f"{100 * part:.1f} %"


def size(count: int) -> str:
    """Print a number of bytes, decimal units."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"
