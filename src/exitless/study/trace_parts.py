"""What is followed of a recording: exits by reason, vCPUs as they pass, guest vectors."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import reaching, zeros
from exitless.study.times import Counts, Times

UNKNOWN: Final = -1
VECTORS: Final = 256
FEW_CODES: Final = 2048
FEW_CALLS: Final = 64
STATES: Final = 4
# Tables of a vCPU by vector, one after the other: since when each is in service, waits for a window, is requested (-1:
# it is not); the exit after which it was injected; how often it was requested and injected.
WAITING: Final = 256
ACCEPTED: Final = 512
GIVEN: Final = 768
REQUESTED: Final = 1024
INJECTED: Final = 1280
BY_VECTOR: Final = 1536


class Reason:
    """Exits by one code: of one vCPU or of all."""

    def __init__(self, code: i64) -> None:
        self.code: i64 = code
        self.count: i64 = 0
        self.timed: i64 = 0
        self.spent: i64 = 0
        self.times: Times = Times()


class Reasons:
    """Exits by code; ``place`` has each small code's place in ``found`` plus one, ``others`` that of large ones."""

    def __init__(self) -> None:
        self.found: list[Reason] = []
        self.place: vec[i64] = zeros(0)
        self.others: dict[int, int] = {}

    def of(self, code: i64) -> Reason:
        """Find a code's exits."""
        if 0 <= code < i64(len(self.place)) and self.place[code] > 0:
            return self.found[self.place[code] - 1]
        n: i64 = i64(self.others.get(code, -1))
        if n < 0:
            n = i64(len(self.found))
            self.found.append(Reason(code))
            if 0 <= code < FEW_CODES:
                self.place = reaching(self.place, code)
                self.place[code] = n + 1
            else:
                self.others[code] = n
        return self.found[n]


class Cpu:
    """One vCPU as it passes; exits without a known vCPU have one of these a pCPU. Units: ps, -1 for none.

    Shapes: ``reasons`` has its exits by code; ``vectors`` the tables by vector, none before the first interrupt;
    ``held`` how many vectors are in service, wait or are requested; ``calls`` counts hypercalls.
    """

    def __init__(self) -> None:
        self.exits: i64 = 0
        self.reason: Reason = Reason(0)
        self.all: Reason = Reason(0)
        self.exited: i64 = -1
        self.entered: i64 = -1
        self.queued: i64 = 0
        self.parked: i64 = -1
        self.guest: i64 = 0
        self.host: i64 = 0
        self.pcpu: i64 = -1
        self.state: i64 = UNKNOWN
        self.since: i64 = 0
        self.spent: vec[i64] = zeros(STATES)
        self.stays: vec[i64] = zeros(STATES)
        self.reasons: Reasons = Reasons()
        self.vectors: vec[i64] = zeros(0)
        self.held: i64 = 0
        self.calls: Counts = Counts(FEW_CALLS)

    def by_vector(self) -> vec[i64]:
        """Return the tables by vector."""
        if i64(len(self.vectors)) == 0:
            self.vectors = zeros(BY_VECTOR)
            self.forget_vectors()
        return self.vectors

    def forget_vectors(self) -> None:
        """No vector is known to be in service, to wait or to be requested."""
        n: i64 = 0
        while n < GIVEN and n < i64(len(self.vectors)):
            self.vectors[n] = -1
            n += 1
        self.held = 0

    def counted(self, first: i64) -> dict[int, int]:
        """Return one of the two counts by vector."""
        found: dict[int, int] = {}
        n: i64 = 0
        while n < VECTORS and i64(len(self.vectors)) > 0:
            if self.vectors[first + n] > 0:
                found[n] = self.vectors[first + n]
            n += 1
        return found

    def forget(self) -> None:
        """What happens to it is not seen from now on."""
        self.exited = self.entered = -1
        self.state = UNKNOWN
        if self.held > 0:
            self.forget_vectors()


class Vector:
    """One guest vector. ``direct``: it was injected again without an end of interrupt, so none is to be expected.

    ``rechecks`` counts windows armed for a vector that the same exit had already injected: nothing waits for those.
    ``merged`` counts requests that found the vector requested already, ``reinjected`` injections of what an entry did
    not deliver, ``spared`` ends of interrupt that took no exit. ``latency`` runs from request to injection, ``wait``
    from the window, ``service`` from injection to end, ``whole`` from request to end where nothing was injected.
    """

    def __init__(self) -> None:
        self.accepted: i64 = 0
        self.merged: i64 = 0
        self.injected: i64 = 0
        self.reinjected: i64 = 0
        self.windows: i64 = 0
        self.rechecks: i64 = 0
        self.eoi: i64 = 0
        self.spared: i64 = 0
        self.direct: bool = False
        self.latency: Times = Times()
        self.wait: Times = Times()
        self.service: Times = Times()
        self.whole: Times = Times()
