"""Merges what several pCPUs recorded by time."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, Protocol


class Part(Protocol):
    """One pCPU's part of a recording: entries that begin with their time, decoded some at a time.

    Shapes: ``rows`` wait from ``at`` on; ``more`` decodes the next and tells whether there were any.
    """

    rows: list[Any]
    at: int

    def more(self) -> bool:
        """Replace ``rows`` by the next; False at the end."""


def merged(parts: Sequence[Part]) -> Iterator[list[Any]]:
    """Hand out entries of all parts in the order of time; at equal times the earlier part comes first.

    Whatever waits in ``rows`` when this begins is handed out first; a part without any is asked for more.
    """
    heap = [(part.rows[part.at][0], n) for n, part in enumerate(parts) if part.at < len(part.rows) or part.more()]
    heapify(heap)
    while heap:
        _, n = heappop(heap)
        part = parts[n]
        end = len(part.rows)
        if heap:
            time, other = heap[0]
            end = bisect_left(part.rows, (time + (n < other),), part.at)
        yield part.rows[part.at : end] if part.at or end < len(part.rows) else part.rows
        part.at = end
        if end < len(part.rows) or part.more():
            heappush(heap, (part.rows[part.at][0], n))
