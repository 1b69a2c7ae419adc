"""The time-ordered queue: the entries that come soonest in a short sorted list, all others in a binary heap behind it.

An entry is a time, an event number and two small arguments. Entries with equal times leave in the order in
which they came. Most of what a machine plans happens almost at once, so most entries never see the heap.
"""

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

from exitless.bits.words import zeros

PAIR: Final = 2
WIDTH: Final = 3
NEAR: Final = 32
NEAR_WORDS: Final = 64
# How many leave the heap at once.
BATCH: Final = 16


class Calendar:
    """Pending events, earliest first.

    ``pop`` moves the earliest entry into ``now``, ``event``, ``x`` and ``y`` and tells whether there was one.
    Shapes: ``near`` has ``soon`` entries of two words, time and arguments, the earliest last; ``heap`` has ``later``
    entries of three words: time, order, arguments. None of ``heap`` is earlier than any of ``near``, which is empty
    only when all is; where times are equal, those of ``near`` came first. ``order`` counts up for entries that go to
    the heap at once, ``early`` down for those that leave the list for it.
    """

    def __init__(self, capacity: i64) -> None:
        self.near: vec[i64] = zeros(NEAR_WORDS)
        self.heap: vec[i64] = zeros(capacity * WIDTH)
        self.capacity: i64 = capacity
        self.soon: i64 = 0
        self.later: i64 = 0
        self.order: i64 = 0
        self.early: i64 = 0
        self.now: i64 = 0
        self.event: i64 = 0
        self.x: i64 = 0
        self.y: i64 = 0

    def push(self, time: i64, event: i64, x: i64, y: i64) -> None:
        """Add an entry. ``event`` and ``x`` are below 65,536; ``y`` is below 2**30."""
        payload: i64 = event + x * 65536 + y * 4294967296
        n: i64 = self.soon
        near: vec[i64] = self.near
        if (self.later != 0 or n == NEAR) and time >= near[0]:
            self.order += 1
            self._put_later(time, self.order, payload)
            return
        if n == NEAR:
            self.early -= 1
            self._put_later(near[0], self.early, near[1])
            i: i64 = PAIR
            while i < NEAR_WORDS:
                near[i - PAIR] = near[i]
                i += 1
            n -= 1
        self.soon = n + 1
        at: i64 = n * PAIR
        while at > 0:
            before: i64 = near[at - 2]
            if before > time:
                break
            near[at] = before
            near[at + 1] = near[at - 1]
            at -= PAIR
        near[at] = time
        near[at + 1] = payload

    def pop(self) -> bool:
        """Take the earliest entry; False when there is none."""
        n: i64 = self.soon - 1
        if n < 0:
            return False
        near: vec[i64] = self.near
        at: i64 = n * PAIR
        payload: i64 = near[at + 1]
        self.now = near[at]
        self.event = payload & 65535
        self.x = (payload >> 16) & 65535
        self.y = payload >> 32
        self.soon = n
        if n == 0 and self.later != 0:
            self._fetch()
        return True

    def next_time(self) -> i64:
        """Return the time of the earliest entry, or -1."""
        n: i64 = self.soon
        if n == 0:
            return -1
        return self.near[n * PAIR - 2]

    def pending(self) -> i64:
        """Return how many entries there are."""
        return self.soon + self.later

    def _put_later(self, time: i64, order: i64, payload: i64) -> None:
        """Add an entry to the heap. Equal times are told apart by their order."""
        n: i64 = self.later
        if n == self.capacity:
            self._grow()
        self.later = n + 1
        heap: vec[i64] = self.heap
        at: i64 = n * WIDTH
        while n > 0:
            n = (n - 1) >> 1
            parent: i64 = n * WIDTH
            before: i64 = heap[parent]
            if before < time or (before == time and heap[parent + 1] < order):
                break
            heap[at] = before
            heap[at + 1] = heap[parent + 1]
            heap[at + 2] = heap[parent + 2]
            at = parent
        heap[at] = time
        heap[at + 1] = order
        heap[at + 2] = payload

    def _fetch(self) -> None:
        """Move the earliest entries of the heap to the list, which is empty: so many that what is planned next for soon
        finds its place among them.
        """
        count: i64 = self.later
        if count > BATCH:
            count = BATCH
        self.soon = count
        near: vec[i64] = self.near
        at: i64 = count * PAIR
        while at > 0:
            at -= PAIR
            heap: vec[i64] = self.heap
            near[at] = heap[0]
            near[at + 1] = heap[2]
            self._drop_first()

    def _drop_first(self) -> None:
        """Take the earliest entry out of the heap."""
        heap: vec[i64] = self.heap
        n: i64 = self.later - 1
        self.later = n
        if n == 0:
            return
        last: i64 = n * WIDTH
        time: i64 = heap[last]
        order: i64 = heap[last + 1]
        payload: i64 = heap[last + 2]
        hole: i64 = 0
        child: i64 = WIDTH
        while child < last:
            right: i64 = child + WIDTH
            if right < last:
                if heap[right] < heap[child] or (heap[right] == heap[child] and heap[right + 1] < heap[child + 1]):
                    child = right
            first: i64 = heap[child]
            if first > time or (first == time and heap[child + 1] > order):
                break
            heap[hole] = first
            heap[hole + 1] = heap[child + 1]
            heap[hole + 2] = heap[child + 2]
            hole = child
            child = 2 * hole + WIDTH
        heap[hole] = time
        heap[hole + 1] = order
        heap[hole + 2] = payload

    def _grow(self) -> None:
        i: i64 = 0
        more: i64 = self.capacity * WIDTH
        heap: vec[i64] = self.heap
        while i < more:
            heap = append(heap, 0)
            i += 1
        self.heap = heap
        self.capacity = self.capacity * 2
