"""The door keeps its promises: one sentence on standard error, the exit statuses, no traceback."""

import importlib
import subprocess
import sys

import pytest

from exitless.cli import main as door
from exitless.errors import LawBroken, ScenarioError


def exitless(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run([sys.executable, "-m", "exitless", *words], capture_output=True, text=True, check=False)


class Stub:
    """A command module whose run raises, or returns, what it was given."""

    def __init__(self, outcome: object) -> None:
        self.outcome = outcome

    def run(self, args: object) -> int:
        """Do as told."""
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        assert isinstance(self.outcome, int)
        return self.outcome


def test_version_says_which_form_runs() -> None:
    done = exitless("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("exitless 0.") and (" compiled," in done.stdout or " interpreted," in done.stdout)


def test_help_lists_every_command_that_is_built() -> None:
    done = exitless("--help")
    assert done.returncode == 0
    missing = [name for name in door.available() if f"\n  {name} " not in done.stdout]
    assert door.available() and not missing, f"not in the help: {missing}"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rnu"], "exitless"),
        (["chekc"], "check"),
        (["--versoin"], "--version"),
        (["run", "--mechansim", "posted"], "--mechanism"),
        (["run", "mail", "much"], "too many"),
    ],
)
def test_what_cannot_be_understood_is_one_sentence_with_a_near_match_and_status_2(words: list[str], hint: str) -> None:
    done = exitless(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and hint in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("command", list(door.COMMANDS))
def test_every_command_is_built_and_explains_its_options(command: str) -> None:
    module = importlib.import_module(f"exitless.cli.{command}")
    assert callable(module.add_parser) and callable(module.run)
    done = exitless(command, "--help")
    assert done.returncode == 0 and f"usage: exitless {command}" in done.stdout


@pytest.mark.parametrize(
    ("outcome", "status", "says"),
    [
        (0, 0, ""),
        (1, 1, ""),
        (ScenarioError("vm[0].mechanism: no such thing"), 2, "vm[0].mechanism: no such thing"),
        (LawBroken("a request was lost"), 1, "a request was lost"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (FileNotFoundError(2, "No such file or directory", "none.toml"), 2, "none.toml: no such file or directory"),
    ],
)
def test_outcomes_become_exit_statuses(
    outcome: object, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert door.finish(lambda: Stub(outcome).run(None)) == status
    told = capsys.readouterr().err
    assert says in told and len(told.splitlines()) == (1 if says else 0)


def test_a_reader_that_stops_reading_is_no_error_message() -> None:
    """The help is longer than the one byte that is read, and the pipe is closed before the rest."""
    program = (
        "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); sys.argv = ['exitless', '--help'];"
        "from exitless.cli.main import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (141, "")
