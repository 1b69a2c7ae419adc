"""Texts that a run is asked for in: those that come with Exitless, and files of the user's."""

import difflib
from importlib import resources
from pathlib import Path
from typing import Final

from exitless.errors import ScenarioError

LARGEST: Final = 4 << 20


def near(word: str, known: list[str]) -> str:
    """Return ``; did you mean "x"?`` when something known is close, else the list of what is known."""
    close = difflib.get_close_matches(word, known, 1, 0.5)
    if not close and word:
        close = [k for k in known if k.lower().startswith(word.lower())]
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known: {', '.join(known)}" if known else ""


def names_in(folder: str) -> list[str]:
    """Return the names of the TOML texts in a folder of the package, sorted."""
    files = (resources.files("exitless.scenario") / folder).iterdir()
    return sorted(f.name[:-5] for f in files if f.name.endswith(".toml"))


def text_in(folder: str, name: str) -> str:
    """Return a text of the package."""
    return (resources.files("exitless.scenario") / folder / f"{name}.toml").read_text("utf-8")


def file_text(path: str, what: str) -> str:
    """Read a file as text; ``what`` is what it should hold, for messages.

    Errors: ScenarioError: it cannot be read, is no UTF-8, or is larger than 4 MiB
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except OSError as problem:
        raise ScenarioError(f"{path}: cannot read the {what}: {problem.strerror or problem}") from None
    except UnicodeDecodeError as problem:
        byte = problem.object[problem.start]
        raise ScenarioError(f"{path}: expected UTF-8 text, got byte 0x{byte:02x} at offset {problem.start}") from None
    except ValueError:
        raise ScenarioError(f"{path!r}: no file can have a name with a zero byte in it") from None
    if len(data) > LARGEST:
        raise ScenarioError(f"{path}: expected a {what} of at most {LARGEST >> 20} MiB; this file is larger")
    return text


def named_text(name: str, folder: str, known: list[str], what: str) -> tuple[str, str]:
    """Return a text of the package by its name, or a file's by its ending, and what to call it in messages.

    Errors: ScenarioError
    """
    if name in known:
        return text_in(folder, name), name
    if Path(name).suffix != ".toml":
        raise ScenarioError(f'no {what} "{name}" in the library, and a file must end in .toml{near(name, known)}')
    return file_text(name, what), str(Path(name))
