"""The time-ordered queue: a binary heap in packed columns.

An entry is a time, an event number and two small arguments. Entries with equal times leave in the order in
which they came. Time is kept apart from the sequence number, so runs may last as long as picoseconds do.
"""

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

from exitless.bits.words import zeros

SEQUENCE_LIMIT: Final = 4611686018427387904


class Calendar:
    """Pending events, earliest first.

    ``pop`` moves the earliest entry into ``now``, ``event``, ``x`` and ``y`` and tells whether there was one.
    Shapes: columns of equal length; ``count`` entries of them are in use.
    """

    def __init__(self, capacity: i64) -> None:
        self.key_time: vec[i64] = zeros(capacity)
        self.key_order: vec[i64] = zeros(capacity)
        self.what: vec[i64] = zeros(capacity)
        self.capacity: i64 = capacity
        self.count: i64 = 0
        self.order: i64 = 0
        self.now: i64 = 0
        self.event: i64 = 0
        self.x: i64 = 0
        self.y: i64 = 0

    def push(self, time: i64, event: i64, x: i64, y: i64) -> None:
        """Add an entry. ``event`` and ``x`` are below 65,536; ``y`` is below 2**30."""
        n: i64 = self.count
        if n == self.capacity:
            self._grow()
        self.count = n + 1
        self.order += 1
        order: i64 = self.order
        payload: i64 = event + x * 65536 + y * 4294967296
        times: vec[i64] = self.key_time
        orders: vec[i64] = self.key_order
        what: vec[i64] = self.what
        while n > 0:
            parent: i64 = (n - 1) >> 1
            if times[parent] <= time:
                break
            times[n] = times[parent]
            orders[n] = orders[parent]
            what[n] = what[parent]
            n = parent
        times[n] = time
        orders[n] = order
        what[n] = payload

    def pop(self) -> bool:
        """Take the earliest entry; False when there is none."""
        n: i64 = self.count
        if n == 0:
            return False
        times: vec[i64] = self.key_time
        orders: vec[i64] = self.key_order
        what: vec[i64] = self.what
        payload: i64 = what[0]
        self.now = times[0]
        self.event = payload & 65535
        self.x = (payload >> 16) & 65535
        self.y = payload >> 32
        n -= 1
        self.count = n
        if n == 0:
            return True
        time: i64 = times[n]
        order: i64 = orders[n]
        last: i64 = what[n]
        hole: i64 = 0
        child: i64 = 1
        while child < n:
            right: i64 = child + 1
            if right < n:
                tr: i64 = times[right]
                tl: i64 = times[child]
                if tr < tl or (tr == tl and orders[right] < orders[child]):
                    child = right
            tc: i64 = times[child]
            if tc > time or (tc == time and orders[child] > order):
                break
            times[hole] = tc
            orders[hole] = orders[child]
            what[hole] = what[child]
            hole = child
            child = 2 * hole + 1
        times[hole] = time
        orders[hole] = order
        what[hole] = last
        return True

    def next_time(self) -> i64:
        """Return the time of the earliest entry, or -1."""
        if self.count == 0:
            return -1
        return self.key_time[0]

    def _grow(self) -> None:
        i: i64 = 0
        more: i64 = self.capacity
        while i < more:
            self.key_time = append(self.key_time, 0)
            self.key_order = append(self.key_order, 0)
            self.what = append(self.what, 0)
            i += 1
        self.capacity = more + more
