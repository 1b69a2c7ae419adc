"""Exitless: a workbench for interrupt virtualization.

Rules of the manuals as pure functions (:mod:`exitless.arch`), a deterministic simulator (:mod:`exitless.sim`), a
model checker (:mod:`exitless.check`) and trace readers (:mod:`exitless.traces`), which all speak of what happened in
one vocabulary (:mod:`exitless.vocab`, :mod:`exitless.record`).
"""

from exitless.errors import ExitlessError, Impossible, LawBroken, ScenarioError, TraceError
from exitless.version import VERSION as __version__  # noqa: N811 - the name other tools look for
from exitless.version import compiled

__all__ = ["ExitlessError", "Impossible", "LawBroken", "ScenarioError", "TraceError", "__version__", "compiled"]
