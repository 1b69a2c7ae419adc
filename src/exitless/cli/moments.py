"""What the tour's cards are made of: the runs on the bench, and the moments of theirs that answer something."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from exitless.cli.run import Result
from exitless.record.block import Event, Record
from exitless.scenario import Scenario
from exitless.study.cites import reference
from exitless.study.journeys import of_source
from exitless.study.spans import rows
from exitless.study.summary import Summary
from exitless.study.ways import Journey
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind

Card = dict[str, Any]


class Runs(NamedTuple):
    """What the answers are computed from: the runs by mechanism, the device in question and its rival."""

    scenario: Scenario
    name: str
    seed: int | None
    by_name: dict[str, tuple[Result, Record]]
    source: int
    rival: str

    def has(self, *names: str) -> list[str]:
        """Return those of the mechanisms that were run."""
        return [n for n in names if n in self.by_name]

    def summary(self, name: str) -> Summary:
        """Return one mechanism's numbers."""
        return self.by_name[name][0].summary

    def record(self, name: str) -> Record:
        """Return one mechanism's rows."""
        return self.by_name[name][1]

    def guest_vector(self, name: str) -> int:
        """Return the vector of the device in the guest, under a mechanism."""
        return self.record(name).header.source_vector[self.source]

    def rival_vector(self, name: str) -> int:
        """Return the host vector of the rival, under a mechanism."""
        h = self.record(name).header
        return h.source_host_vector[h.sources.index(self.rival)]

    def each(self, name: str) -> dict[str, float]:
        """Return the exits of one of the device's interrupts by reason, under a mechanism."""
        s = self.summary(name)
        handled = max(1, s.sources[s.first_source].delivered)
        return {reason: n / handled for reason, n in s.by_source[s.first_source].items()}

    def journeys(self, name: str) -> list[Journey]:
        """Return the ways of the device's interrupts under a mechanism."""
        record = self.record(name)
        return of_source(rows(record, 0, record.header.length_ps), record.header, self.source)


def at_us(time_ps: int) -> str:
    """Return a moment as the page tells moments in full: thousands apart by a thin space, and the unit."""
    return f"{time_ps / 1e6:,.3f}".replace(",", "\u2009") + "\u00a0µs"


def card(question: str, says: list[str], opposite: list[tuple[str, str]], cites: list[str], **more: Any) -> Card:
    """Make a card; ``says`` is at most three sentences, of which the first stands alone."""
    sources = [reference(c).partition(": ")[2] for c in cites]
    return {"question": question, "says": says, "opposite": opposite, "cites": sources, **more}


def moment(mechanism: str, time: int, title: str, text: str, journey: Journey | None = None) -> dict[str, Any]:
    """Name the moment of a run that answers: its time in ps, the interrupt to select, and a line for a callout."""
    out: dict[str, Any] = {"mechanism": mechanism, "time": time, "callout": [title, text]}
    if journey is not None:
        out["key"] = f"{journey.source}.{journey.serial}"
    return out


def later(record: Record, *kinds: int) -> Iterator[Event]:
    """Yield a record's rows of some kinds: those after the first fifth, in which a run finds its pace, then those."""
    start = record.header.length_ps // 5
    found = [e for e in rows(record, 0, record.header.length_ps) if e.kind in kinds]
    yield from (e for e in found if e.time_ps >= start)
    yield from (e for e in found if e.time_ps < start)


def exit_of(record: Record, *reasons: int) -> Event | None:
    """Return an exit for one of some reasons."""
    return next((e for e in later(record, Kind.VM_EXIT) if e.a in reasons and e.vcpu >= 0), None)


def around(journeys: list[Journey], time: int) -> Journey | None:
    """Return the interrupt that was under way at a time."""
    return next((j for j in journeys if j.start <= time <= j.end), None)


def counted(n: int, one: str, many: str = "") -> str:
    """Say how many."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def rival_exits(runs: Runs, name: str) -> list[int]:
    """Return when the rival's host vector ended guest mode."""
    vector = runs.rival_vector(name)
    rows_ = later(runs.record(name), Kind.VM_EXIT)
    return [e.time_ps for e in rows_ if e.a == Exit.EXTERNAL_INTERRUPT and e.b == vector]


def inside_handler(runs: Runs, name: str) -> tuple[Journey | None, int]:
    """Return an interrupt of the device inside whose handler the rival's exit fell, and the exit's time."""
    at = set(rival_exits(runs, name))
    for way in runs.journeys(name):
        if way.handled >= 0:
            for time in way.touching:
                if time in at and way.steps[way.handled].time < time < way.end:
                    return way, time
    return None, -1


def rival_way(runs: Runs, name: str, time: int) -> Journey | None:
    """Return the rival's interrupt that was under way at a time."""
    record = runs.record(name)
    number = record.header.sources.index(runs.rival)
    return around(of_source(rows(record, 0, record.header.length_ps), record.header, number), time)


def typical(runs: Runs, name: str, *kinds: int) -> tuple[Journey | None, int]:
    """Return an ordinary interrupt of the device that has a step of one of some kinds, and that step's time."""
    ways = [j for j in runs.journeys(name) if j.handled >= 0 and not j.merged]
    for way in [j for j in ways if j.start >= runs.record(name).header.length_ps // 5] + ways:
        for step in way.steps:
            if step.kind in kinds:
                return way, step.time
    return None, -1
