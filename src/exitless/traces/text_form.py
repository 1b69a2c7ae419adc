"""Takes the fields out of an event's printed text, by forms that :mod:`exitless.traces.kvm_text` makes of its table.

Every line of a recording that is text passes through here.
"""

import re
from collections.abc import Callable
from typing import Final

from librt.strings import read_i64_le
from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros

# Typed, so that a choice between it and a number stays a number and makes no object.
ABSENT: Final[i64] = -1
MOST_FIELDS: Final = 8
MOST_STEPS: Final = 32
MOST_WORDS: Final = 4096
NOWHERE: Final = -1
LETTER_X: Final = 120
# What a step of a form takes: a text as it stands, a number, characters of a kind, one of some words, a text if it is
# there. A lazy one ends as soon as the next step, which is a text as it stands, fits.
TEXT: Final = 0
DECIMAL: Final = 1
HEXADECIMAL: Final = 2
WORD: Final = 3
DARK: Final = 4
CHOICE: Final = 5
PERHAPS: Final = 6
NAME: Final = 7
DASHED: Final = 8
ANY: Final = 9

RAW: Final = re.compile(r"(\w+)=(-?(?:0x[0-9a-fA-F]{1,16}|\d{1,20}|[0-9a-f]{1,16}))(?![\w.])")
# Fields that trace-cmd report -R prints in hexadecimal, with no sign of it, as the event's own text has them.
WITHOUT_0X: Final = ("apicid", "dest_id", "ecx")


def is_digit(c: i64) -> bool:
    """Tell whether a character is a decimal digit."""
    return 48 <= c <= 57


def is_word(c: i64) -> bool:
    """Tell whether a character belongs to a word: a letter, a digit, an underscore."""
    return 97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 57 or c == 95


def is_space(c: i64) -> bool:
    """Tell whether a character is white."""
    return c == 32 or 9 <= c <= 13


def hexadecimal(c: i64) -> i64:
    """Return the value of a hexadecimal digit, -1 for another character."""
    if 48 <= c <= 57:
        return c - 48
    if 97 <= c <= 102:
        return c - 87
    return c - 55 if 65 <= c <= 70 else ABSENT


class Step:
    """One step of a form: ``kind`` says what it takes, from ``least`` to ``most`` characters.

    Shapes: ``text`` stands as it is; ``words`` are the choices, ``chosen`` the number of that found last. The value
    goes to field ``place`` (-1: nowhere): of a number itself, of a choice that of ``values``, of any other text what
    ``convert`` makes of it. ``other`` and ``convert_other`` make a second field of the same text.
    """

    def __init__(self, kind: i64, text: bytes, least: i64, most: i64) -> None:
        self.kind: i64 = kind
        self.text: bytes = text
        self.start: i64 = i64(text[0]) if kind == TEXT else ABSENT
        self.least: i64 = least
        self.most: i64 = most
        self.words: list[bytes] = []
        self.values: list[int] = []
        self.chosen: i64 = 0
        self.place: i64 = NOWHERE
        self.other: i64 = NOWHERE
        self.convert: Callable[[str], int] = int
        self.convert_other: Callable[[str], int] = int
        self.met: dict[bytes, tuple[int, int]] = {}

    def takes(self, c: i64) -> bool:
        """Tell whether a character belongs to what this step takes."""
        if self.kind == WORD:
            return is_word(c)
        if self.kind == DARK:
            return not is_space(c)
        if self.kind == NAME:
            return is_word(c) or c == 32 or c == 40 or c == 41
        if self.kind == DASHED:
            return is_word(c) or c == 45
        return True


def lesser(a: i64, b: i64) -> i64:
    """Return the smaller of two numbers; ``min`` would make objects of them."""
    return a if a < b else b


def stands(data: bytes, at: i64, end: i64, text: bytes) -> bool:
    """Tell whether a text stands at a place."""
    n: i64 = i64(len(text))
    if at + n > end:
        return False
    k: i64 = 0
    while k + 8 <= n:
        if read_i64_le(data, at + k) != read_i64_le(text, k):
            return False
        k += 8
    while k < n:
        if i64(data[at + k]) != i64(text[k]):
            return False
        k += 1
    return True


def decimal(data: bytes, at: i64, end: i64) -> i64:
    """Read a decimal number; one of more than 18 digits is cut to 64 bits."""
    negative: bool = at < end and i64(data[at]) == 45
    if negative:
        at += 1
    if end - at > 18:
        return wrapped(int(data[at:end]), negative)
    number: i64 = 0
    while at < end:
        number = number * 10 + i64(data[at]) - 48
        at += 1
    return -number if negative else number


def hexadecimals(data: bytes, at: i64, end: i64) -> i64:
    """Read a hexadecimal number of at most 16 digits, as 64 bits with a sign."""
    if end - at > 15:
        return wrapped(int(data[at:end], 16), False)
    number: i64 = 0
    while at < end:
        number = number * 16 + hexadecimal(i64(data[at]))
        at += 1
    return number


def wrapped(number: int, negative: bool) -> i64:
    """Return the lower 64 bits of a number with their sign."""
    number = (-number if negative else number) % 2**64
    return number - 2**64 if number >= 2**63 else number


class Form:
    """A printed form: its steps, and where in the text each of them was found."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps: list[Step] = steps[:MOST_STEPS]
        self.taken: list[int] = [k for k, step in enumerate(self.steps) if step.place != NOWHERE]
        self.begins: vec[i64] = zeros(MOST_STEPS)
        self.ends: vec[i64] = zeros(MOST_STEPS)

    def fits(self, data: bytes, at: i64, end: i64, k: i64) -> bool:
        """Tell whether the steps from the ``k``-th on fit a text."""
        while k < i64(len(self.steps)):
            step: Step = self.steps[k]
            self.begins[k] = at
            if step.kind >= NAME:
                return self._lazy(step, data, at, end, k)
            after: i64 = self._one(step, data, at, end)
            if after < 0:
                return False
            at = after
            self.ends[k] = at
            k += 1
        return True

    def _lazy(self, step: Step, data: bytes, at: i64, end: i64, k: i64) -> bool:
        """Tell whether a step that ends as early as it can fits, and all after it."""
        after: i64 = at
        last: i64 = lesser(end, at + step.most)
        start: i64 = self.steps[k + 1].start if k + 1 < i64(len(self.steps)) else ABSENT
        while True:
            if after - at >= step.least and (start < 0 or (after < end and i64(data[after]) == start)):
                self.ends[k] = after
                if self.fits(data, after, end, k + 1):
                    return True
            if after >= last or not (step.kind == ANY or step.takes(i64(data[after]))):
                return False
            after += 1

    def _one(self, step: Step, data: bytes, at: i64, end: i64) -> i64:
        """Return where a step ends that begins at a place, -1 when it does not fit."""
        if step.kind == TEXT:
            return at + i64(len(step.text)) if stands(data, at, end, step.text) else ABSENT
        if step.kind == PERHAPS:
            return at + i64(len(step.text)) if stands(data, at, end, step.text) else at
        if step.kind == CHOICE:
            n: i64 = 0
            while n < i64(len(step.words)):
                if stands(data, at, end, step.words[n]):
                    step.chosen = n
                    return at + i64(len(step.words[n]))
                n += 1
            return -1
        begin: i64 = at
        if step.kind == DECIMAL and at < end and i64(data[at]) == 45:
            at += 1
            begin = at
        last: i64 = lesser(end, begin + step.most)
        if step.kind == DECIMAL:
            while at < last and is_digit(i64(data[at])):
                at += 1
            if at < end and i64(data[at]) == LETTER_X:
                return -1
        elif step.kind == HEXADECIMAL:
            while at < last and hexadecimal(i64(data[at])) >= 0:
                at += 1
        else:
            while at < last and step.takes(i64(data[at])):
                at += 1
        return at if at > begin else ABSENT

    def take(self, data: bytes, values: vec[i64]) -> None:
        """Make fields of what the steps have found."""
        for k in self.taken:
            step: Step = self.steps[k]
            begin: i64 = self.begins[k]
            end: i64 = self.ends[k]
            if step.kind == DECIMAL:
                self._put(values, step.place, decimal(data, begin, end))
            elif step.kind == HEXADECIMAL and not step.values:
                self._put(values, step.place, hexadecimals(data, begin, end))
            elif step.kind == PERHAPS:
                self._put(values, step.place, step.values[0] if end > begin else 0)
            elif step.kind == CHOICE:
                self._put(values, step.place, step.values[step.chosen])
            else:
                self._word(step, data[begin:end], values)

    def _put(self, values: vec[i64], place: i64, value: i64) -> None:
        """Set a field; one that stands twice is put together from both."""
        values[place] = value if values[place] == ABSENT else values[place] | value

    def _word(self, step: Step, word: bytes, values: vec[i64]) -> None:
        """Make a field, or two, of a text."""
        found = step.met.get(word)
        if found is None:
            text = word.decode("utf-8", "replace")
            found = step.convert(text), step.convert_other(text) if step.other != NOWHERE else 0
            if len(step.met) < MOST_WORDS:
                step.met[word] = found
        self._put(values, step.place, found[0])
        if step.other != NOWHERE:
            self._put(values, step.other, found[1])


class TextPlan:
    """What becomes of a line of one tracepoint. ``count`` counts lines, ``unread`` those that no form fits.

    Shapes: ``fields`` has the names of each field, ``needed`` whether it must be there.
    """

    def __init__(
        self, kind: str, use: i64, fields: list[tuple[str, ...]], needed: list[bool], forms: list[Form]
    ) -> None:
        self.kind = kind
        self.use: i64 = use
        self.count: i64 = 0
        self.unread: i64 = 0
        self.fields = fields
        self.needed = needed
        self.forms = forms

    def read(self, tid: i64, data: bytes, at: i64, end: i64, values: vec[i64]) -> bool:
        """Take thread and fields out of a line's text; False when it has another form."""
        n: i64 = 1
        while n <= MOST_FIELDS - 1:
            values[n] = ABSENT
            n += 1
        values[0] = tid
        if not self.fields:
            return True
        for form in self.forms:
            if form.fits(data, at, end, 0):
                form.take(data, values)
                return True
        return self._raw(data[at:end].decode("utf-8", "replace"), values)

    def _raw(self, text: str, values: vec[i64]) -> bool:
        """Take fields that are written as name=number."""
        found = dict(RAW.findall(text))
        for n in range(len(self.fields)):
            name = ""
            for one in self.fields[n]:
                if not name and one in found:
                    name = one
            if not name:
                if self.needed[n]:
                    return False
                continue
            number = found[name]
            try:
                values[n + 1] = wrapped(int(number, 16 if name in WITHOUT_0X or "0x" in number else 10), False)
            except ValueError:
                return False
        return True

    def values(self, tid: int, body: str) -> tuple[int, ...] | None:
        """Return thread and fields of a line's text; None when it has another form."""
        data, values = body.encode(), zeros(MOST_FIELDS)
        if not self.read(tid, data, 0, len(data), values):
            return None
        return tuple([int(value) for value in values][: 1 + len(self.fields)])
