"""The time-ordered queue: a binary heap in packed columns.

An entry is a time, an event number and two small arguments. Entries with equal times leave in the order in
which they came. Time is kept apart from the sequence number, so runs may last as long as picoseconds do.
What an entry says stays in one place while its key, time and ticket, moves through the heap. A ticket is the
sequence number times ``SLOTS`` plus that place, so tickets order equal times and find the entry as well.
"""

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

from exitless.bits.words import zeros

SLOTS: Final = 1048576
SEQUENCE_LIMIT: Final = 4398046511104


class Calendar:
    """Pending events, earliest first.

    ``pop`` moves the earliest entry into ``now``, ``event``, ``x`` and ``y`` and tells whether there was one.
    Shapes: columns of equal length; of ``key_time`` and ``ticket`` the first ``count`` are in use, of ``free`` the
    others: places in ``what`` that hold no entry.
    Errors: OverflowError beyond ``SLOTS`` pending entries or ``SEQUENCE_LIMIT`` pushes.
    """

    def __init__(self, capacity: i64) -> None:
        self.key_time: vec[i64] = zeros(capacity)
        self.ticket: vec[i64] = zeros(capacity)
        self.what: vec[i64] = zeros(capacity)
        self.free: vec[i64] = zeros(capacity)
        self.capacity: i64 = capacity
        self.count: i64 = 0
        self.order: i64 = 0
        self.now: i64 = 0
        self.event: i64 = 0
        self.x: i64 = 0
        self.y: i64 = 0
        i: i64 = 0
        while i < capacity:
            self.free[i] = i
            i += 1

    def push(self, time: i64, event: i64, x: i64, y: i64) -> None:
        """Add an entry. ``event`` and ``x`` are below 65,536; ``y`` is below 2**30."""
        n: i64 = self.count
        if n == self.capacity:
            self._grow()
        self.count = n + 1
        order: i64 = self.order + 1
        if order == SEQUENCE_LIMIT:
            raise OverflowError("the calendar has numbered as many entries as its tickets can hold")
        self.order = order
        slot: i64 = self.free[n]
        self.what[slot] = event + x * 65536 + y * 4294967296
        times: vec[i64] = self.key_time
        tickets: vec[i64] = self.ticket
        while n > 0:
            parent: i64 = (n - 1) >> 1
            above: i64 = times[parent]
            if above <= time:
                break
            times[n] = above
            tickets[n] = tickets[parent]
            n = parent
        times[n] = time
        tickets[n] = order * SLOTS + slot

    def pop(self) -> bool:
        """Take the earliest entry; False when there is none."""
        n: i64 = self.count
        if n == 0:
            return False
        times: vec[i64] = self.key_time
        tickets: vec[i64] = self.ticket
        slot: i64 = tickets[0] & (SLOTS - 1)
        payload: i64 = self.what[slot]
        self.now = times[0]
        self.event = payload & 65535
        self.x = (payload >> 16) & 65535
        self.y = payload >> 32
        n -= 1
        self.count = n
        self.free[n] = slot
        time: i64 = times[n]
        ticket: i64 = tickets[n]
        hole: i64 = 0
        child: i64 = 1
        while child < n:
            least: i64 = times[child]
            right: i64 = child + 1
            if right < n:
                other: i64 = times[right]
                if other < least or (other == least and tickets[right] < tickets[child]):
                    child = right
                    least = other
            if least > time or (least == time and tickets[child] > ticket):
                break
            times[hole] = least
            tickets[hole] = tickets[child]
            hole = child
            child = 2 * hole + 1
        times[hole] = time
        tickets[hole] = ticket
        return True

    def next_time(self) -> i64:
        """Return the time of the earliest entry, or -1."""
        if self.count == 0:
            return -1
        return self.key_time[0]

    def _grow(self) -> None:
        i: i64 = self.capacity
        more: i64 = i + i
        if more > SLOTS:
            raise OverflowError("the calendar holds more pending entries than its tickets can tell apart")
        while i < more:
            self.key_time = append(self.key_time, 0)
            self.ticket = append(self.ticket, 0)
            self.what = append(self.what, 0)
            self.free = append(self.free, i)
            i += 1
        self.capacity = more
