"""The four exceptions of Exitless. An architectural outcome (exit, fault, remap fault) is never one of them."""


class ExitlessError(Exception):
    """Whatever the command line reports in one sentence and exit status 2."""


class ScenarioError(ExitlessError):
    """The scenario or the command line asks for what cannot be: says the place, the value and a near match."""


class TraceError(ExitlessError):
    """A recording cannot be used: says the file, the offset and what was expected there."""


class LawBroken(Exception):  # noqa: N818 - the law is what is named
    """A law does not hold: says the law, the state and the record so far. Exit status 1."""


class Impossible(AssertionError):
    """A bug of Exitless: valid input cannot lead here."""
