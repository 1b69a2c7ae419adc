"""The command ``exitless``: finds the command's module, runs it, and turns failures into sentences and exit statuses.

A module :mod:`exitless.cli` of a command has ``add_parser(subparsers)`` and ``run(args) -> int``. It is imported only
when its command is asked for.
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Final, NoReturn

from exitless.errors import ExitlessError, LawBroken
from exitless.version import line

DONE: Final = 0
BROKEN: Final = 1
UNUSABLE: Final = 2
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

COMMANDS: Final = {
    "run": "simulate a scenario under its delivery mechanisms and answer its questions",
    "explain": "walk one interrupt step by step: rule, bits, time, citation",
    "list": "list mechanisms, scenarios, costs, worlds, kinds or rules",
    "show": "draw a timeline in the terminal, as one HTML page, or as a Perfetto file",
    "view": "open the workbench in a browser: live what-if, comparison, tour",
    "read": "report on real traces",
    "whatif": "predict the exits of a recording or table under other mechanisms",
    "judge": "find the first event of a recording that no legal execution explains",
    "replay": "simulate the host below a recording, and compare",
    "calibrate": "measure the steps in recordings and write them as costs for run and replay",
    "check": "explore a delivery protocol in every order",
    "vectors": "replay conformance vectors against the rules",
    "sweep": "simulate the many scenarios of a study, in parallel, and go on where it stopped",
    "bench": "measure the engine against C and SimPy",
}


class UsageError(ExitlessError):
    """The command line cannot be understood."""


class Parser(argparse.ArgumentParser):
    """A parser that raises :class:`UsageError` with one sentence in place of printing its usage."""

    def __init__(self, *args: object, **options: object) -> None:
        options.setdefault("allow_abbrev", False)
        super().__init__(*args, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Turn one of argparse's complaints into a sentence that names the command."""
        raise UsageError(f"{self.prog}: {message}; {self.prog} --help tells what is possible")


def near(word: str, known: Sequence[str]) -> str:
    """Return ``; did you mean "..."?`` when a known word is near, or the empty string."""
    found = get_close_matches(word, known, n=1, cutoff=0.5)
    return f'; did you mean "{found[0]}"?' if found else ""


def available() -> list[str]:
    """Return the commands of this build, in the order of the help."""
    return [name for name in COMMANDS if importlib.util.find_spec(f"exitless.cli.{name}") is not None]


def overview() -> str:
    """Return what ``exitless --help`` prints."""
    rows = "\n".join(f"  {name:<9} {COMMANDS[name]}" for name in available())
    return (
        "usage: exitless COMMAND [OPTIONS]\n\n"
        "A workbench for interrupt virtualization.\n\n"
        f"commands:\n{rows}\n\n"
        "  exitless COMMAND --help   what a command takes\n"
        "  exitless --version        the version, and whether it runs compiled or interpreted\n"
    )


def parse(name: str, rest: Sequence[str]) -> tuple[argparse.Namespace, object]:
    """Read the options of one command; returns them with the command's module.

    Errors: UsageError, with a near match for an unknown command or option.
    """
    if name not in available():
        kind = "option" if name.startswith("-") else "command"
        known = ["--help", "--version"] if kind == "option" else available()
        raise UsageError(f'unknown {kind} "{name}"{near(name, known) or "; exitless --help lists what there is"}')
    module = importlib.import_module(f"exitless.cli.{name}")
    top = Parser(prog="exitless")
    commands = top.add_subparsers(dest="command", parser_class=Parser)
    module.add_parser(commands)
    words = getattr(module, "arranged", list)(rest)
    args, unknown = top.parse_known_args([name, *words])
    options = [option for action in commands.choices[name]._actions for option in action.option_strings]
    for word in unknown:
        if word.startswith("-") and word != "-":
            option = word.partition("=")[0]
            hint = near(option, options) or f"; exitless {name} --help lists them"
            raise UsageError(f'exitless {name}: unknown option "{option}"{hint}')
    if unknown:
        raise UsageError(
            f'exitless {name}: "{unknown[0]}" is one argument too many; exitless {name} --help tells what is taken'
        )
    return args, module


def complain(sentence: str) -> None:
    """Print one sentence on standard error."""
    text = " ".join(sentence.split())
    print(text if text.startswith("exitless") else f"exitless: {text}", file=sys.stderr)


def dispatch(argv: Sequence[str]) -> int:
    """Do what the words ask; returns the exit status, and lets failures through."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(overview(), end="")
        return DONE
    if argv[0] in ("-V", "--version"):
        print(line())
        return DONE
    args, module = parse(argv[0], argv[1:])
    return int(module.run(args))  # type: ignore[attr-defined]


def finish(work: Callable[[], int]) -> int:
    """Do the work and turn however it ends into an exit status, with at most one sentence on standard error."""
    try:
        status = work()
        sys.stdout.flush()
        return status
    except ExitlessError as problem:
        complain(str(problem))
        return UNUSABLE
    except LawBroken as problem:
        complain(str(problem))
        return BROKEN
    except KeyboardInterrupt:
        complain("interrupted; files that were not finished have not been written")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough. Python would complain once more while it closes standard output.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as problem:
        if problem.filename is None:
            raise
        complain(f"{problem.filename}: {(problem.strerror or 'cannot be used').lower()}")
        return UNUSABLE


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``exitless`` with these words (by default those of the process) and return the exit status."""
    words = sys.argv[1:] if argv is None else argv
    return finish(lambda: dispatch(words))
