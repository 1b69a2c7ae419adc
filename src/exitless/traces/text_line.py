"""Takes a line of a recording that is text apart: who, where, when, which event."""

from typing import Final

from librt.strings import read_i64_le
from mypy_extensions import i64

from exitless.traces.text_form import is_digit, is_space, is_word, lesser, stands

# A thread's name, in bytes.
MOST_NAME: Final = 256
# Typed, so that a choice between it and a place makes no object.
NONE: Final[i64] = -1
MOST_SECONDS: Final = 9_000_000_000
NEWLINE: Final = 10
# Eight characters at once: newlines, spaces, the lowest bit of each, the highest of each but the last.
NEWLINES: Final = 0x0A0A0A0A0A0A0A0A
SPACES: Final = 0x2020202020202020
LOWEST: Final = 0x0101010101010101
HIGHEST: Final = 0x0080808080808080
SPACE: Final[i64] = 32
OPEN: Final = 40
CLOSE: Final = 41
PLUS: Final = 43
DASH: Final = 45
POINT: Final = 46
ZERO: Final = 48
SLASH: Final = 47
COLON: Final = 58
BOTH_OFF: Final = 68
BRACKET: Final = 91
BRACKET_END: Final = 93
BOTTOM_HALVES_OFF: Final = 98
INTERRUPTS_OFF: Final = 100
# What perf script prints of records that are no samples begins so.
NO_SAMPLE: Final = b"PERF_RECORD_"


def line_end(data: bytes, at: i64, end: i64) -> i64:
    """Return the place of the next newline, ``end`` when there is none.

    Of eight characters without one, none becomes zero by taking the newline's bits off; only a zero lends its highest
    bit when one is taken off each.
    """
    while at + 8 <= end:
        rest: i64 = read_i64_le(data, at) ^ NEWLINES
        lent: i64 = (rest - LOWEST) & ~rest
        if lent < 0 or lent & HIGHEST != 0:
            break
        at += 8
    while at < end and i64(data[at]) != NEWLINE:
        at += 1
    return at


class Line:
    """What a line says of its event, and where in ``data`` the event's name and its text are.

    Shapes: ``tgid`` is -1 where it is not told; ``fraction`` is the part of the time after the point, in ns, -1 for
    none. ``whole`` is -1 for a number that no clock reaches. ``white``: between a thread's name and its number is white
    space, else a dash.
    """

    def __init__(self, white: bool) -> None:
        self.white: bool = white
        self.data: bytes = b""
        self.end: i64 = 0
        self.tid: i64 = 0
        self.tgid: i64 = -1
        self.cpu: i64 = 0
        self.number: i64 = 0
        self.whole: i64 = 0
        self.fraction: i64 = -1
        self.name: i64 = 0
        self.name_end: i64 = 0
        self.body: i64 = 0

    def spaces(self, at: i64) -> i64:
        """Return the next place that is not white."""
        data: bytes = self.data
        end: i64 = self.end
        while at + 8 <= end and read_i64_le(data, at) == SPACES:
            at += 8
        while at < end and is_space(i64(data[at])):
            at += 1
        return at

    def digits(self, at: i64, most: i64) -> i64:
        """Return the place after at most so many digits; ``number`` is what they say, -1 for more than 18 of them."""
        data: bytes = self.data
        last: i64 = lesser(self.end, at + most)
        begin: i64 = at
        number: i64 = 0
        while at < last:
            c: i64 = i64(data[at]) - ZERO
            if c < 0 or c > 9:
                break
            number = number * 10 + c
            at += 1
        self.number = number if at - begin <= 18 else NONE
        return at

    def has(self, at: i64, c: i64) -> bool:
        """Tell whether a character stands at a place."""
        return at < self.end and i64(self.data[at]) == c

    def parse(self, data: bytes, at: i64, end: i64) -> bool:
        """Read a line; False for one that is no event."""
        self.data = data
        self.end = end
        at = self.spaces(at) + 1
        last: i64 = lesser(end, at + MOST_NAME)
        while at < last:
            if self._ends_name(i64(data[at])) and self._after_name(at + 1):
                return True
            at += 1
        return False

    def _ends_name(self, c: i64) -> bool:
        """Tell whether a character may stand between a thread's name and its number."""
        return is_space(c) if self.white else c == DASH

    def _after_name(self, at: i64) -> bool:
        """Read what follows the thread's name; False when that is no event, so that the name goes on."""
        raise NotImplementedError

    def _cpu(self, at: i64) -> i64:
        """Read ``[CPU]``; returns the place after it, -1 when it is not there."""
        if not self.has(at, BRACKET):
            return -1
        after: i64 = self.digits(at + 1, 5)
        if after == at + 1 or not self.has(after, BRACKET_END):
            return -1
        self.cpu = self.number
        return after + 1

    def _time(self, at: i64, most: i64) -> i64:
        """Read a time and its colon; returns the place after it, -1 when it is not there."""
        after: i64 = self.digits(at, most)
        if after == at:
            return -1
        self.whole = self.number
        self.fraction = -1
        if self.has(after, POINT):
            begin: i64 = after + 1
            after = self.digits(begin, 9)
            if after == begin:
                return -1
            self.fraction = self.number
            n: i64 = after - begin
            while n < 9:
                self.fraction *= 10
                n += 1
            if self.whole >= MOST_SECONDS:
                self.whole = -1
        return after + 1 if self.has(after, COLON) else NONE

    def _flags(self, at: i64) -> i64:
        """Go past a word of flags, if one stands before the time."""
        after: i64 = at
        data: bytes = self.data
        last: i64 = lesser(self.end, at + 11)
        while after < last and i64(data[after]) != COLON and not is_space(i64(data[after])):
            after += 1
        if after == at or after - at > 10 or after >= self.end or not is_space(i64(data[after])):
            return at
        return self.spaces(after)


class FtraceLine(Line):
    """``COMM-PID (TGID) [CPU] FLAGS TIME: EVENT: TEXT``, where thread group and flags may be missing."""

    def __init__(self) -> None:
        super().__init__(False)

    def _after_name(self, at: i64) -> bool:
        after: i64 = self.digits(at, 10)
        if after == at:
            return False
        self.tid = self.number
        at = self.spaces(after)
        if at == after:
            return False
        self.tgid = -1
        if self.has(at, OPEN):
            at = self._group(self.spaces(at + 1))
        if at < 0:
            return False
        after = self._cpu(at)
        if after < 0:
            after = self._bare_cpu(at)
        if after < 0:
            return False
        begin: i64 = self.spaces(after)
        at = self._time(begin, 20)
        if at < 0:
            at = self._time(self._flags(begin), 20)
        if at < 0:
            return False
        self.name = self._after_difference(self.spaces(at))
        if self.name == at or is_digit(i64(self.data[self.name]) if self.name < self.end else SPACE):
            return False
        at = self.name
        last: i64 = lesser(self.end, at + 64)
        data: bytes = self.data
        while at < last and is_word(i64(data[at])):
            at += 1
        if at == self.name or not self.has(at, COLON):
            return False
        self.name_end = at
        self.body = self.spaces(at + 1)
        return True

    def _bare_cpu(self, at: i64) -> i64:
        """Read a pCPU that stands without brackets and right before its flags, as ``trace-cmd report -l`` has it.

        Returns the place of the flags, whose first says whether interrupts are off; -1 when it is not there.
        """
        after: i64 = self.digits(at, 5)
        if after == at or after >= self.end:
            return -1
        c: i64 = i64(self.data[after])
        if c != POINT and c != INTERRUPTS_OFF and c != BOTTOM_HALVES_OFF and c != BOTH_OFF:
            return -1
        self.cpu = self.number
        return after

    def _after_difference(self, at: i64) -> i64:
        """Go past ``(+N)``, the time since the line before, if it stands there (``trace-cmd report --ts-diff``)."""
        if not self.has(at, OPEN) or not self.has(at + 1, PLUS):
            return at
        after: i64 = self.digits(at + 2, 20)
        return self.spaces(after + 1) if self.has(after, CLOSE) else at

    def _group(self, at: i64) -> i64:
        """Read what follows ``(``: a number or dashes, ``)``, and white; returns the place after it, -1 for none."""
        after: i64 = self.digits(at, 10)
        if after > at:
            self.tgid = self.number
        else:
            while self.has(after, DASH):
                after += 1
        if after == at or not self.has(after, CLOSE):
            return -1
        at = self.spaces(after + 1)
        return at if at > after + 1 else NONE


class PerfLine(Line):
    """``COMM PID/TID [CPU] FLAGS TIME: PERIOD SYSTEM:EVENT: TEXT``, where process, flags and period may be missing."""

    def __init__(self) -> None:
        super().__init__(True)

    def _after_name(self, at: i64) -> bool:
        at = self.spaces(at)
        after: i64 = self.digits(at, 10)
        if after == at:
            return False
        self.tgid = -1
        self.tid = self.number
        if self.has(after, SLASH):
            self.tgid = self.tid
            at = after + 1
            after = self.digits(at, 10)
            if after == at:
                return False
            self.tid = self.number
        at = self.spaces(after)
        if at == after:
            return False
        after = self._cpu(at)
        at = self.spaces(after) if after >= 0 else NONE
        if after < 0 or at == after:
            return False
        after = self._time(at, 11)
        if after < 0:
            after = self._time(self._flags(at), 11)
        at = self.spaces(after) if after >= 0 else NONE
        if after < 0 or at == after or self.fraction < 0:
            return False
        after = self.digits(at, 20)
        if after > at and after < self.end and is_space(i64(self.data[after])):
            at = self.spaces(after)
        return self._event(at)

    def _event(self, at: i64) -> bool:
        """Read the event's name: up to three words with colons between, a colon or more behind."""
        if stands(self.data, at, self.end, NO_SAMPLE):
            return False
        self.name = at
        words: i64 = 0
        while True:
            begin: i64 = at
            last: i64 = lesser(self.end, at + 64)
            while at < last and (is_word(i64(self.data[at])) or i64(self.data[at]) == DASH):
                at += 1
            if at == begin or not self.has(at, COLON):
                return False
            words += 1
            self.name_end = at
            at += 1
            if at >= self.end or is_space(i64(self.data[at])):
                break
            if self.has(at, COLON):
                while self.has(at, COLON):
                    at += 1
                if at < self.end and not is_space(i64(self.data[at])):
                    return False
                break
            if words == 3:
                return False
        self.body = self.spaces(at)
        return True
