"""Merges what several pCPUs recorded by time."""

from typing import Final

from mypy_extensions import i64, mypyc_attr

from exitless.record.columns import BLOCK_ROWS, Columns

# One event becomes at most so many rows.
MOST_ROWS: Final = 4
ROOM: Final = BLOCK_ROWS - MOST_ROWS
NO_TIME: Final = 2**62 - 1


@mypyc_attr(allow_interpreted_subclasses=True)
class Part:
    """One pCPU's part of a recording. ``now`` is the time of the event at hand, ``NO_TIME`` when there is none."""

    def __init__(self) -> None:
        self.now: i64 = NO_TIME

    def put(self) -> None:
        """Make the rows of the event at hand."""
        raise NotImplementedError

    def step(self) -> bool:
        """Go to the next event; False at the end."""
        raise NotImplementedError


class Weave:
    """Takes the events of all pCPUs in the order of time; at equal times the earlier part's come first.

    Shapes: ``heap`` has the places of the parts that have an event at hand, the one that comes first at the front.
    """

    def __init__(self, parts: list[Part], columns: Columns) -> None:
        self.parts: list[Part] = parts
        self.columns: Columns = columns
        self.heap: list[int] = [n for n, part in enumerate(parts) if part.now < NO_TIME]
        k = len(self.heap) // 2
        while k > 0:
            k -= 1
            self._sink(k)

    def _before(self, a: i64, b: i64) -> bool:
        """Tell whether the first part's event comes before the second's."""
        mine: i64 = self.parts[a].now
        other: i64 = self.parts[b].now
        return mine < other or (mine == other and a < b)

    def _sink(self, k: int) -> None:
        """Put the entry at one place of the heap where it belongs, further down."""
        heap = self.heap
        moved = heap[k]
        while 2 * k + 1 < len(heap):
            child = 2 * k + 1
            if child + 1 < len(heap) and self._before(heap[child + 1], heap[child]):
                child += 1
            if not self._before(heap[child], moved):
                break
            heap[k] = heap[child]
            k = child
        heap[k] = moved

    def fill(self) -> bool:
        """Make rows until the columns have no more room; False at the end."""
        while self.heap:
            part: Part = self.parts[self.heap[0]]
            until: i64 = NO_TIME
            for other in self.heap[1:3]:
                if self.parts[other].now < until:
                    until = self.parts[other].now
            if not self._run(part, until):
                return True
            if part.now == NO_TIME:
                self.heap[0] = self.heap[-1]
                self.heap.pop()
            if self.heap:
                self._sink(0)
        return False

    def _run(self, part: Part, until: i64) -> bool:
        """Make rows of a part's events before a time, of one at least; False when there is no room for another's."""
        columns: Columns = self.columns
        while columns.fill <= ROOM:
            part.put()
            if not part.step() or part.now >= until:
                return True
        return False
