"""What a file shows of its exits: how many of each reason and class, in what time, and on what evidence.

Recordings fill it event by event (:mod:`exitless.study.whatif_record`), pasted tables row by row
(:mod:`exitless.study.whatif_tables`).
"""

from exitless.study.whatif_words import Names, way, words_of


class Cell:
    """Exits of one reason and class: likely how many, at least, at most. ``timed`` of them took ``spent_ns``."""

    def __init__(self, count: float = 0.0, low: float | None = None, high: float | None = None) -> None:
        self.count = count
        self.low = count if low is None else low
        self.high = count if high is None else high
        self.timed = 0
        self.spent_ns = 0.0

    def mean_ns(self) -> float:
        """Return the mean time from exit to entry, 0 where it is not known."""
        return self.spent_ns / self.timed if self.timed else 0.0


class Seen:
    """All that ``whatif`` knows of a file.

    Shapes: ``cells`` by reason and class; ``rows`` has the exits of each reason, which its cells add up to; ``counts``
    counts what additions are made of; ``no_exits`` names rows that count something else than exits, and that the total
    leaves out; ``on`` names the mechanisms that the file shows at work, with the sign of it; ``why`` says for a reason
    what its classes were told by.
    """

    def __init__(self, kind: str, hypervisor: str, vendor: str) -> None:
        self.kind = kind
        self.hypervisor = hypervisor
        self.vendor = vendor
        self.format = ""
        self.unit = "exits"
        self.cells: dict[tuple[str, str], Cell] = {}
        self.rows: dict[str, float] = {}
        self.counts: dict[str, float] = {}
        self.words = words_of(vendor)
        self.no_exits: set[str] = set()
        self.total: float | None = None
        self.on: dict[str, str] = {}
        self.why: dict[str, str] = {}
        self.notes: list[str] = []
        self.timed = False
        self.length = ""

    def add(self, reason: str, cls: str, spent_ns: float = -1.0) -> None:
        """Count one exit; a negative time is unknown."""
        cell = self.cells.get((reason, cls))
        if cell is None:
            cell = self.cells[reason, cls] = Cell()
        cell.count += 1
        cell.low = cell.high = cell.count
        self.rows[reason] = self.rows.get(reason, 0) + 1
        if spent_ns >= 0:
            cell.timed += 1
            cell.spent_ns += spent_ns
            self.timed = True

    def put(self, reason: str, total: float, shares: dict[str, tuple[float, float, float]], mean_ns: float) -> None:
        """Take a row of a table: its exits are of several classes, each with its least, likely and most number."""
        self.rows[reason] = total
        for cls, (low, count, high) in shares.items():
            cell = self.cells[reason, cls] = Cell(count, low, high)
            if mean_ns > 0:
                cell.timed, cell.spent_ns = 1, mean_ns
                self.timed = True

    def words_now(self) -> Names:
        """Return the names of exits, now that the vendor is known."""
        self.words = words_of(self.vendor)
        return self.words

    def count(self, name: str, by: float = 1) -> None:
        """Count what an addition may be made of."""
        self.counts[name] = self.counts.get(name, 0) + by

    def sum_of(self, classes: tuple[str, ...]) -> float:
        """Return how many exits there are of some classes."""
        return sum(cell.count for (_, cls), cell in self.cells.items() if cls in classes)

    def mean_of(self, classes: tuple[str, ...]) -> float:
        """Return the mean time of exits of some classes; that of all where none of these has a time."""
        for wanted in (classes, ()):
            found = [cell for (_, cls), cell in self.cells.items() if cell.timed and (not wanted or cls in wanted)]
            timed = sum(cell.count for cell in found)
            if timed:
                return sum(cell.mean_ns() * cell.count for cell in found) / timed
        return 0.0

    def software_way(self) -> str:
        """Say how the guest reaches its APIC, ``page`` or ``msr``, by the exits that show it."""
        ways = {"page": 0.0, "msr": 0.0, "trap": 0.0}
        for (reason, cls), cell in self.cells.items():
            if way(reason) in ways and cls not in ("other", "deadline"):
                ways[way(reason)] += cell.count
        return "msr" if ways["msr"] >= ways["page"] + ways["trap"] and ways["msr"] > 0 else "page"
