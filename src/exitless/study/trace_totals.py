"""What a report on a recording adds up: samples of times, vCPUs as they pass, guest vectors."""

from array import array
from typing import Final

UNKNOWN: Final = -1


class Times:
    """A sample of times in ps: ``queued`` of their sum were waits for a pCPU, ``handled`` came before such waits.

    ``at`` gives a nearest-rank percentile in whole ns, 0 for an empty sample.
    """

    def __init__(self) -> None:
        self.sample = array("q")
        self.sorted = False
        self.queued = 0
        self.handled = 0

    def add(self, time_ps: int) -> None:
        """Take one more."""
        self.sample.append(time_ps)
        self.sorted = False

    def at(self, per_mille: int) -> int:
        """Return a percentile, given in thousandths."""
        if not self.sorted:
            self.sample = array("q", sorted(self.sample))
            self.sorted = True
        n = len(self.sample)
        return self.sample[min(n - 1, max(0, -(-per_mille * n // 1000) - 1))] // 1000 if n else 0

    def as_json(self) -> dict[str, int]:
        """Return the percentiles of the contract."""
        return {"p50": self.at(500), "p99": self.at(990), "max": self.at(1000)}


class Cpu:
    """One vCPU as it passes; exits without a known vCPU have one of these a pCPU. Units: ps, -1 for none.

    Shapes: ``codes``, ``timed`` and ``handled`` have, by exit, how many there were, how many were timed, how long they
    took; ``requested`` and ``injected`` count vectors; ``serving`` has since when each vector is in service,
    ``accepted`` since when it is requested.
    """

    def __init__(self) -> None:
        self.exits = 0
        self.code = 0
        self.exited = -1
        self.entered = -1
        self.queued = 0
        self.parked = -1
        self.guest = 0
        self.host = 0
        self.pcpu = -1
        self.state = UNKNOWN
        self.since = 0
        self.spent = [0, 0, 0, 0]
        self.stays = [0, 0, 0, 0]
        self.codes: dict[int, int] = {}
        self.timed: dict[int, int] = {}
        self.handled: dict[int, int] = {}
        self.requested: dict[int, int] = {}
        self.injected: dict[int, int] = {}
        self.serving: dict[int, int] = {}
        self.waiting: dict[int, int] = {}
        self.given: set[int] = set()
        self.accepted: dict[int, int] = {}

    def forget(self) -> None:
        """What happens to it is not seen from now on."""
        self.exited = self.entered = -1
        self.state = UNKNOWN
        self.serving.clear()
        self.waiting.clear()
        self.accepted.clear()


class Vector:
    """One guest vector. ``direct``: it was injected again without an end of interrupt, so none is to be expected.

    ``rechecks`` counts windows armed for a vector that the same exit had already injected: nothing waits for those.
    ``merged`` counts requests that found the vector requested already, ``reinjected`` injections of what an entry did
    not deliver, ``spared`` ends of interrupt that took no exit. ``latency`` runs from request to injection, ``wait``
    from the window, ``service`` from injection to end, ``whole`` from request to end where nothing was injected.
    """

    def __init__(self) -> None:
        self.accepted = 0
        self.merged = 0
        self.injected = 0
        self.reinjected = 0
        self.windows = 0
        self.rechecks = 0
        self.eoi = 0
        self.spared = 0
        self.direct = False
        self.latency = Times()
        self.wait = Times()
        self.service = Times()
        self.whole = Times()
