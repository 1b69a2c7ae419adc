"""Decodes the pages of Linux's ring buffer, one pCPU's after another, as trace.dat keeps them.

A page begins with the time of its first event and a word that says how many bytes follow and whether events before it
were lost. Each event has a word of type (5 bits) and time since the one before (27 bits), then its payload.
"""

import struct
from collections.abc import Callable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Final

from exitless.traces import ring as fast
from exitless.traces.event_format import Plan
from exitless.traces.kvm import Use
from exitless.traces.kvm_rows import Event
from exitless.traces.ring import NUMBERS, Ring

SIZE: Final = 2**27 - 1
MISSED: Final = 2**31
COUNTED: Final = 2**30
MOST_LOST: Final = 2**40
DELTA: Final = 2**27 - 1
TOP: Final = 0xF8 * 2**56
LONGEST: Final = 28
PADDING: Final = 29
EXTEND: Final = 30
STAMP: Final = 31
LATEST: Final = 2**61
FARTHEST: Final = 2**61
# Interpreted, the loop over plain numbers is slower than the one that unpacks a page at once.
COMPILED: Final = str(fast.__file__).endswith(tuple(EXTENSION_SUFFIXES))


class Page:
    """How this recording's pages are laid out. Units: bytes; ``limit`` is in ticks."""

    def __init__(self, order: str, size: int, long_size: int, data_at: int) -> None:
        self.order = order
        self.size = size
        self.data_at = data_at
        self.head = struct.Struct(order + ("QQ" if long_size == 8 else "QI"))
        self.count = struct.Struct(order + ("Q" if long_size == 8 else "I"))
        self.word = struct.Struct(order + "I")
        self.limit = 2**62


class PerCpu:
    """The events of one pCPU, a piece at a time.

    Shapes: ``pieces`` gives bytes with whole pages, and where the first stands in the file (-1: it was packed);
    ``rows`` wait from ``at`` on. ``first`` and ``last`` are in ticks, -1 for none. ``shift`` corrects a page's stamp.
    """

    def __init__(
        self, cpu: int, page: Page, plans: dict[int, Plan], pieces: Iterator[tuple[bytes, int]],
        tell: Callable[[str], None], shift: Callable[[int], int] | None = None, ring: Ring | None = None,
    ) -> None:  # fmt: skip
        self.cpu = cpu
        self.page = page
        self.plans = plans
        self.rows: list[Event] = []
        self.at = 0
        self.first = -1
        self.last = -1
        self.backwards = 0
        self.unknown: dict[int, int] = {}
        self._pieces = pieces
        self._tell = tell
        self._shift = shift
        self._ring = ring if COMPILED and page.order == "<" else None
        self._lost = False

    def more(self) -> bool:
        """Decode pages until there are events."""
        self.rows, self.at = [], 0
        while not self.rows:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            data, place = piece
            size = self.page.size
            for at in range(0, len(data), size):
                self._whole(data, at, f"at offset {place + at}" if place >= 0 else "in a packed piece")
        return True

    def leave_out(self, sentence: str) -> None:
        """Give up on this pCPU."""
        self._tell(sentence)
        self.rows, self._pieces, self.first, self.last = [], iter(()), -1, -1

    def _whole(self, data: bytes, at: int, where: str) -> None:
        """Decode one page, or say what is wrong with it and go on with the next."""
        if len(data) - at < self.page.data_at + 4:
            if any(data[at:]):
                self._bad(f"the last page of pCPU {self.cpu} {where} is cut short after {len(data) - at} bytes")
            return
        stamp, commit = self.page.head.unpack_from(data, at)
        begin, size = at + self.page.data_at, commit & SIZE
        if not size:
            return
        end = begin + size
        if size > self.page.size - self.page.data_at or size % 4:
            self._bad(f"the page of pCPU {self.cpu} {where} says that it holds {size} bytes, which it cannot")
            return
        if self._shift is not None:
            stamp = self._shift(stamp)
        if stamp < 0 or (self.first >= 0 and stamp - self.first > self.page.limit):
            self._bad(f"the page of pCPU {self.cpu} {where} has a time no recording reaches")
            return
        if stamp < self.last:
            self.backwards += 1
            stamp = self.last
        if end > len(data):
            self._tell(
                f"the page of pCPU {self.cpu} {where} should hold {size} bytes, but {len(data) - begin} are there"
            )
            size = (len(data) - begin) // 4 * 4
        if self.first < 0:
            self.first = stamp
        self._note_loss(data, end, at + self.page.size, commit, stamp)
        if not self._decode(data, begin, size, stamp):
            self._bad(f"the page of pCPU {self.cpu} {where} holds an event that crosses its end or a time none reaches")

    def _decode(self, data: bytes, begin: int, size: int, now: int) -> bool:
        """Decode a page's events, by the compiled loop where its numbers suffice; False when one does not fit."""
        ring = self._ring
        if ring is None or now >= LATEST:
            return self._events(data, begin, struct.unpack_from(f"{self.page.order}{size // 4}I", data, begin), now)
        until = self.first + min(self.page.limit, FARTHEST)
        whole = ring.page(data, begin, begin + size, now, until, self.last, self.cpu, self.rows)
        self.last = ring.last
        self.backwards += ring.backwards
        return whole

    def _bad(self, sentence: str) -> None:
        """A page cannot be used: what it held is lost."""
        self._tell(sentence + "; what it held is lost")
        self._lost = True

    def _note_loss(self, data: bytes, end: int, after: int, commit: int, stamp: int) -> None:
        """Make an event of what was lost before a page; the count stands behind the page's data if there was room."""
        if not commit & MISSED and not self._lost:
            return
        count = 0
        if commit & MISSED and commit & COUNTED and end + self.page.count.size <= min(after, len(data)):
            count = self.page.count.unpack_from(data, end)[0]
        self._lost = False
        since = self.last if self.last >= 0 else stamp
        self.rows.append((since, self.cpu, Use.LOST, (-1, count if count < MOST_LOST else 0, stamp)))

    def _events(self, data: bytes, begin: int, words: tuple[int, ...], now: int) -> bool:
        """Decode a page's events; False when one of them does not end within the page."""
        plans, rows, cpu, n, i = self.plans, self.rows, self.cpu, len(words), 0
        little, limit = self.page.order == "<", self.page.limit
        whole, last = True, self.last
        while i < n:
            word = words[i]
            if little:
                kind, delta = word & 31, word >> 5
            else:
                kind, delta = word >> 27, word & DELTA
            if kind <= LONGEST:
                at, length = i + 1, kind
                if not kind:
                    if at >= n or words[at] < 8:
                        whole = False
                        break
                    at, length = i + 2, words[at] - 1 >> 2
                i = at + length
                if i > n:
                    whole = False
                    break
                now += delta
                last = now
                number = words[at] & 0xFFFF if little else words[at] >> 16
                plan = plans.get(number)
                if plan is None:
                    self.unknown[number] = self.unknown.get(number, 0) + 1
                    continue
                plan.count += 1
                if plan.use > 0:
                    if 4 * length < plan.least:
                        plan.short += 1
                    else:
                        rows.append((now, cpu, plan.use, plan.read(data, begin + 4 * at)))
                continue
            if i + 1 >= n:
                whole = kind == PADDING and not delta
                break
            if kind == EXTEND:
                now += delta + (words[i + 1] << 27)
                i += 2
                if now - self.first > limit:
                    whole = False
                    break
            elif kind == STAMP:
                now = self._absolute(now, delta + (words[i + 1] << 27))
                i += 2
                if now - self.first > limit:
                    whole = False
                    break
            elif delta:
                now += delta
                i += 1 + max(1, words[i + 1] >> 2)
            else:
                break
        self.last = last
        return whole

    def _absolute(self, now: int, stamp: int) -> int:
        """Take an absolute stamp of 59 bits; the upper five are those of the time before."""
        stamp |= now & TOP
        if stamp < now:
            self.backwards += 1
            return now
        return stamp


def ring_of(plans: dict[int, Plan]) -> Ring:
    """Write plans down as the numbers that the compiled loop needs."""
    ring = Ring()
    for number, plan in plans.items():
        if 0 <= number < NUMBERS:
            ring.plan(number, plan.use, plan.least)
            for field in plan.fields:
                place = (field.offset, field.size, int(field.signed)) if field is not None else (0, 0, 0)
                ring.field(number, *place)
    return ring


def sum_up(ring: Ring, plans: dict[int, Plan], unknown: dict[int, int]) -> None:
    """Add what the compiled loop counted to the plans, and to ``unknown`` what has none."""
    for number, count in enumerate(ring.counts):
        if not count:
            continue
        plan = plans.get(number)
        if plan is None:
            unknown[number] = unknown.get(number, 0) + int(count)
        else:
            plan.count += int(count)
            plan.short += int(ring.shorts[number])
