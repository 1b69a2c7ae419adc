"""What an interrupt's way is: its steps, and the costs that rows charge for them. Times are ps."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple

from exitless.record.block import Event, Header
from exitless.vocab.kinds import Kind


class Charge(NamedTuple):
    """A named cost was charged on the way; ``origin`` says where its number comes from."""

    name: str
    ps: int
    origin: str


class Step(NamedTuple):
    """One row of an interrupt's way, and the costs charged since the step before it."""

    time: int
    kind: int
    pcpu: int
    vcpu: int
    a: int
    b: int
    charges: tuple[Charge, ...] = ()


@dataclass
class Journey:
    """One interrupt.

    ``handled`` is the step of the handler's first instruction, -1 when the record does not reach it; ``merged`` tells
    that it found an earlier one undelivered and became one with it. ``exits`` are those that this interrupt
    caused or waited for to its end; ``touching`` others' exits on its vCPU meanwhile, each the time of its row.
    """

    source: int
    serial: int
    vcpu: int
    vector: int
    steps: list[Step] = field(default_factory=list)
    handled: int = -1
    merged: bool = False
    exits: list[int] = field(default_factory=list)
    touching: list[int] = field(default_factory=list)

    @property
    def start(self) -> int:
        """When it was asserted, or first seen."""
        return self.steps[0].time

    @property
    def end(self) -> int:
        """The time of the last step the record holds."""
        return self.steps[-1].time

    @property
    def latency(self) -> int:
        """Assertion to the first instruction of its handler, -1 while that is not known."""
        return self.steps[self.handled].time - self.start if self.handled >= 0 else -1


class Charges:
    """The costs that rows charge, in the order of their times."""

    def __init__(self, events: list[Event], header: Header) -> None:
        known = len(header.costs)
        self.rows = [e for e in events if e.kind == Kind.STEP and 0 <= e.a < known]
        self.times = [e.time_ps for e in self.rows]
        origins = [*header.cost_origins[:known], *["unknown"] * (known - len(header.cost_origins))]
        self.named = list(zip(header.costs, origins, strict=True))

    def put(self, journey: Journey) -> None:
        """Put the costs charged since the step before on every step: on its pCPU, or on the one before it."""
        steps = journey.steps
        if not self.named or len(steps) < 2:
            return
        charges: dict[int, list[Charge]] = {}
        place, last = 1, steps[-1].time
        for n in range(bisect_left(self.times, steps[0].time), len(self.rows)):
            time, _, pcpu, _, cost, ps = self.rows[n]
            if time > last:
                break
            while place < len(steps) and steps[place].time <= time:
                place += 1
            if place == len(steps):
                break
            here = steps[place]
            if time + ps <= here.time and pcpu >= 0 and (pcpu == here.pcpu or pcpu == steps[place - 1].pcpu):
                name, origin = self.named[cost]
                charges.setdefault(place, []).append(Charge(name, ps, origin))
        for n, found in charges.items():
            steps[n] = Step(*steps[n][:6], tuple(found))
