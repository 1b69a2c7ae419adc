"""Exitless: a workbench for interrupt virtualization.

Rules of the manuals as pure functions (:mod:`exitless.arch`), a deterministic simulator (:mod:`exitless.sim`), a
model checker (:mod:`exitless.check`) and trace readers (:mod:`exitless.traces`), which all speak of what happened in
one vocabulary (:mod:`exitless.vocab`, :mod:`exitless.record`).
"""

from typing import TYPE_CHECKING

from exitless.errors import ExitlessError, Impossible, LawBroken, ScenarioError, TraceError
from exitless.version import VERSION as __version__  # noqa: N811 - the name other tools look for
from exitless.version import compiled

if TYPE_CHECKING:
    from exitless.view.notebook import Shown

__all__ = ["ExitlessError", "Impossible", "LawBroken", "ScenarioError", "TraceError", "__version__", "compiled", "run"]


def run(scenario: str = "mail", *mechanisms: str, length: str = "10 ms", seed: int | None = None) -> "Shown":
    """Simulate a scenario under some mechanisms (default: its own); the result displays itself in a notebook.

    Errors: ScenarioError.
    """
    # Imported late: who only asks for the version or an error does not load the simulator.
    from exitless.scenario import LONGEST_PS, check_mechanisms, load, simulate, time_within
    from exitless.view.notebook import Shown

    names = list(dict.fromkeys(mechanisms)) or load(scenario)[0].run.mechanisms
    check_mechanisms(names, "mechanisms")
    length_ps = time_within(length, 1, LONGEST_PS, "length")
    return Shown([simulate(scenario, name, seed, length_ps) for name in names])
