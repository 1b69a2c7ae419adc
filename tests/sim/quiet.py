"""A quiet machine: the mail's host with one interrupt at a time, its costs all different primes."""

from exitless.record.block import Event, Record
from exitless.record.sinks import Sink
from exitless.scenario import Built, load, prepare
from exitless.scenario.costs import COST_NAMES
from exitless.vocab.kinds import Kind

MS = 1_000_000_000
NS = 1000
QUIET = [
    'vm[1].busy=true', 'host.tick="100 ms"', 'host.timeslice="100 ms"', 'vm[1].tick="1 s"', 'device[1].service="1 s"',
    "device[0].load=10", "device[0].train=1", 'device[0].rate="10 Mbit/s"',
]  # fmt: skip


def primes(count: int, first: int) -> list[int]:
    """Return so many primes from ``first`` on."""
    found: list[int] = []
    while len(found) < count:
        if all(first % d for d in range(2, int(first**0.5) + 1)):
            found.append(first)
        first += 1
    return found


PRICE = dict(zip(COST_NAMES, primes(len(COST_NAMES), 101), strict=True))
PRICED = [f'host.cost.{name}="{ns} ns"' for name, ns in PRICE.items()]


def ps(*names: str) -> int:
    """Return what these steps cost together, in ps."""
    return sum(PRICE[name] for name in names) * NS


class Quiet:
    """A priced machine and its record."""

    def __init__(self, mechanism: str, *settings: str, name: str = "mail") -> None:
        scenario, where = load(name, [*(QUIET if name == "mail" else []), *PRICED, *settings])
        self.sinks: list[Sink] = []
        self.built: Built = prepare(scenario, where, mechanism, 1, 100 * MS, self.sinks)
        self.machine = self.built.machine
        self.record = Record(self.built.header)
        self.sinks.append(self.record)

    def run(self, until_ps: int) -> list[Event]:
        """Run and return all rows so far."""
        self.machine.run(until_ps)
        self.machine.columns.flush()
        return list(self.record)

    def source(self, name: str) -> int:
        """Return a source's number."""
        return self.built.header.sources.index(name)

    def first(self, name: str, until_ps: int) -> list[Event]:
        """Return the rows from a source's first assertion that is handled to just before its next one."""
        number = self.source(name)
        rows = self.run(until_ps)
        starts = [n for n, e in enumerate(rows) if e.kind == Kind.SOURCE_ASSERT and e.a == number]
        begin = starts[0]
        return rows[begin : starts[1] if len(starts) > 1 else None]


def upto(rows: list[Event], kind: int, nth: int = 1) -> list[Event]:
    """Return the rows up to and with the n-th of a kind."""
    places = [n for n, e in enumerate(rows) if e.kind == kind]
    assert len(places) >= nth, f"only {len(places)} rows of kind {kind}"
    return rows[: places[nth - 1] + 1]


def steps(rows: list[Event], pcpu: int | None = None) -> list[str]:
    """Return the names of the steps charged in these rows, sorted; all, or those of one pCPU."""
    found = [e for e in rows if e.kind == Kind.STEP and (pcpu is None or e.pcpu == pcpu)]
    assert all(e.b == PRICE[COST_NAMES[e.a]] * NS for e in found), "each costs what the scenario says"
    return sorted(COST_NAMES[e.a] for e in found)


def exits(rows: list[Event]) -> list[int]:
    """Return the exit reasons in these rows."""
    return [e.a for e in rows if e.kind == Kind.VM_EXIT]


def at(rows: list[Event], kind: int) -> int:
    """Return the time of the first row of a kind."""
    return next(e.time_ps for e in rows if e.kind == kind)
