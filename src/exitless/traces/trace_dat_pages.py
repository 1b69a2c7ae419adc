"""Decodes the pages of Linux's ring buffer, one pCPU's after another, as trace.dat keeps them.

A page begins with the time of its first event and a word that says how many bytes follow and whether events before it
were lost. Each event has a word of type (5 bits) and time since the one before (27 bits), then its payload.
"""

from collections.abc import Callable, Iterator
from typing import Final

from librt.strings import read_i16_be, read_i16_le, read_i32_be, read_i32_le, read_i64_be, read_i64_le
from mypy_extensions import i64

from exitless.bits.words import shl
from exitless.traces.kvm_rows import Mapper
from exitless.traces.merge import NO_TIME, Part
from exitless.traces.ring import Ring

SIZE: Final = 2**27 - 1
MISSED: Final = 2**31
COUNTED: Final = 2**30
MOST_LOST: Final = 2**40
DELTA: Final = 2**27 - 1
U16: Final = 65535
U32: Final = 4294967295
STAMP_BITS: Final = 2**59 - 1
LONGEST: Final = 28
PADDING: Final = 29
EXTEND: Final = 30
WHOLE: Final = 2**64
# Typed, so that a choice between it and a place makes no object.
BROKEN: Final[i64] = -1
LATEST: Final = 2**61


class Page:
    """How this recording's pages are laid out. Units: bytes; ``limit`` is in ticks."""

    def __init__(self, order: str, size: int, long_size: int, data_at: int) -> None:
        self.order = order
        self.size = size
        self.long_size = long_size
        self.data_at = data_at
        self.limit = LATEST


class PerCpu(Part):
    """The events of one pCPU, a piece of the file at a time: :meth:`step` goes to the next that becomes a row.

    Shapes: ``pieces`` gives bytes with whole pages, and where the first stands in the file (-1: it was packed).
    ``now`` is the time of the event at hand, whose payload begins at ``at`` of ``data``; ``number`` is its event's, -1
    where records were lost: ``lost`` of them (0: unknown), until ``until``. ``first`` and ``last`` are the times of the
    first page and the last event, -1 for none. ``shift`` corrects a page's stamp; times count from
    ``origin``. Units: ticks.
    """

    def __init__(
        self, cpu: int, page: Page, pieces: Iterator[tuple[bytes, int]], tell: Callable[[str], None],
        shift: Callable[[int], int] | None, ring: Ring, mapper: Mapper,
    ) -> None:  # fmt: skip
        super().__init__()
        self.cpu: i64 = cpu
        self.big: bool = page.order == ">"
        self.size: i64 = page.size
        self.long_size: i64 = page.long_size
        self.data_at: i64 = page.data_at
        self.limit: i64 = min(page.limit, LATEST)
        self.data = b""
        self.at: i64 = 0
        self.number: i64 = -1
        self.lost: i64 = 0
        self.until: i64 = 0
        self.first: i64 = -1
        self.last: i64 = -1
        self.backwards: i64 = 0
        self.origin: i64 = 0
        self._ring: Ring = ring
        self._mapper: Mapper = mapper
        self._pieces = pieces
        self._tell = tell
        self._shift = shift
        self._place: int = 0
        self._page: i64 = 0
        self._clock: i64 = 0
        self._i: i64 = 0
        self._end: i64 = 0
        self._unsure: bool = False
        self._gone: bool = False

    def leave_out(self, sentence: str) -> None:
        """Give up on this pCPU."""
        self._tell(sentence)
        self._pieces, self.data, self.first, self.last, self._i, self._end = iter(()), b"", -1, -1, 0, 0
        self.now = NO_TIME

    def put(self) -> None:
        """Make the rows of the event at hand."""
        mapper: Mapper = self._mapper
        ring: Ring = self._ring
        now: i64 = mapper.rate.ps(self.now - self.origin)
        if self.number < 0:
            mapper.lost(now, self.cpu, self.lost, mapper.rate.ps(self.until - self.origin))
        else:
            ring.read(self.data, self.at, self.number, mapper.values)
            mapper.event(now, self.cpu, ring.use(self.number), mapper.values)

    def step(self) -> bool:
        """Go to the next event that becomes a row, or to where records were lost; False at the end."""
        while True:
            if self._i < self._end:
                if self._within():
                    return True
            elif not self._open():
                self.now = NO_TIME
                return False
            elif self._gone:
                self._gone = False
                return True

    def _within(self) -> bool:
        """Go to the next event of the page that becomes a row; False when there is none."""
        data: bytes = self.data
        ring: Ring = self._ring
        i: i64 = self._i
        end: i64 = self._end
        while 0 <= i < end:
            word: i64 = self._word(data, i)
            kind: i64 = word >> 27 if self.big else word & 31
            delta: i64 = word & DELTA if self.big else word >> 5
            if kind > LONGEST:
                i = self._passing(kind, delta, i)
                continue
            length: i64 = kind * 4
            at: i64 = i + 4
            if kind == 0:
                length = self._long(data, at, end)
                at += 4
            i = at + length
            if length < 0 or i > end:
                i = BROKEN
                break
            self._clock += delta
            self.last = self._clock
            number: i64 = i64(read_i16_be(data, at)) & U16 if self.big else i64(read_i16_le(data, at)) & U16
            if ring.wanted(number, length):
                self._i = i
                self.now = self._clock
                self.at = at
                self.number = number
                return True
        self._i = self._end = 0
        if i == BROKEN:
            page = f"the page of pCPU {self.cpu} {self._where()}"
            self._bad(f"{page} holds an event that crosses its end or a time none reaches")
        return False

    def _passing(self, kind: i64, delta: i64, i: i64) -> i64:
        """Let time pass by a word that is no event; returns the place after it, BROKEN for one that cannot be."""
        if i + 4 >= self._end:
            return self._end if kind == PADDING and delta == 0 else BROKEN
        more: i64 = self._word(self.data, i + 4)
        if kind == PADDING:
            if delta == 0:
                return self._end
            self._clock += delta
            skipped: i64 = more >> 2
            return i + 4 + 4 * (skipped if skipped > 1 else 1)
        if kind == EXTEND:
            self._clock += delta + shl(more, 27)
        else:
            stamp: i64 = (delta + shl(more, 27)) + (self._clock - (self._clock & STAMP_BITS))
            if stamp < self._clock:
                self.backwards += 1
            else:
                self._clock = stamp
        return BROKEN if self._clock - self.first > self.limit else i + 8

    def _word(self, data: bytes, at: i64) -> i64:
        """Read a word of 32 bits."""
        return i64(read_i32_be(data, at)) & U32 if self.big else i64(read_i32_le(data, at)) & U32

    def _long(self, data: bytes, at: i64, end: i64) -> i64:
        """Read the length of a long event's payload; -1 for one that it cannot have."""
        if at >= end:
            return -1
        length: i64 = self._word(data, at)
        return BROKEN if length < 8 else ((length - 1) >> 2) * 4

    def _where(self) -> str:
        """Say where the page at hand stands."""
        return f"at offset {self._place + self._page - self.size}" if self._place >= 0 else "in a packed piece"

    def _open(self) -> bool:
        """Go on to the next page that holds something; False when there is none."""
        while True:
            begin: i64 = self._page
            if begin >= i64(len(self.data)):
                piece = next(self._pieces, None)
                if piece is None:
                    self.data = b""
                    self._page = 0
                    return False
                self.data, self._place = piece
                self._page = 0
                continue
            self._page = begin + self.size
            if self._whole(begin):
                return True

    def _whole(self, at: i64) -> bool:
        """Look at a page's head; tells whether its events can be decoded, after saying what is wrong with it."""
        data: bytes = self.data
        have: i64 = i64(len(data)) - at
        if have < self.data_at + 4:
            if any(data[at:]):
                self._bad(f"the last page of pCPU {self.cpu} {self._where()} is cut short after {have} bytes")
            return False
        stamp: i64 = read_i64_be(data, at) if self.big else read_i64_le(data, at)
        commit: i64 = self._word(data, at + 12 if self.big and self.long_size == 8 else at + 8)
        begin: i64 = at + self.data_at
        size: i64 = commit & SIZE
        if size == 0:
            return False
        end: i64 = begin + size
        if size > self.size - self.data_at or size & 3 != 0:
            self._bad(f"the page of pCPU {self.cpu} {self._where()} says that it holds {size} bytes, which it cannot")
            return False
        stamp = self._shifted(stamp)
        if not 0 <= stamp < NO_TIME or (self.first >= 0 and stamp - self.first > self.limit):
            self._bad(f"the page of pCPU {self.cpu} {self._where()} has a time no recording reaches")
            return False
        if stamp < self.last:
            self.backwards += 1
            stamp = self.last
        if end > i64(len(data)):
            there: i64 = have - self.data_at
            self._tell(f"the page of pCPU {self.cpu} {self._where()} should hold {size} bytes, but {there} are there")
            end = begin + there // 4 * 4
        if self.first < 0:
            self.first = stamp
        self._note_loss(data, begin + size, commit, stamp)
        self._i, self._end, self._clock = begin, end, stamp
        return True

    def _shifted(self, stamp: i64) -> i64:
        """Correct a page's stamp."""
        if self._shift is None:
            return stamp
        shifted = self._shift(stamp if stamp >= 0 else int(stamp) + WHOLE)
        return shifted if -1 <= shifted < NO_TIME else -1

    def _bad(self, sentence: str) -> None:
        """A page cannot be used: what it held is lost."""
        self._tell(sentence + "; what it held is lost")
        self._unsure = True

    def _note_loss(self, data: bytes, end: i64, commit: i64, stamp: i64) -> None:
        """Make an event of what was lost before a page; the count stands behind the page's data if there was room."""
        if commit & MISSED == 0 and not self._unsure:
            return
        self._unsure = False
        after: i64 = min(self._page, i64(len(data)))
        count: i64 = 0
        if commit & MISSED and commit & COUNTED and end + self.long_size <= after:
            if self.long_size == 4:
                count = self._word(data, end)
            else:
                count = read_i64_be(data, end) if self.big else read_i64_le(data, end)
        self.now = self.last if self.last >= 0 else stamp
        self.lost, self.until = count if 0 <= count < MOST_LOST else 0, stamp
        self.number = -1
        self._gone = True
