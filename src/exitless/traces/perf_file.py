"""The layout of perf.data: its header, what each event's samples hold, and the kernel's event formats in it.

A file has a table of event attributes, the records, and sections for each feature; a stream (``perf record -o -``) has
the same as records among the others.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from exitless.errors import TraceError
from exitless.traces.cursor import Cursor, Memory
from exitless.traces.event_format import EventFormat
from exitless.traces.opening import Source
from exitless.traces.perf_samples import Has, Shape
from exitless.traces.trace_dat_file import MAGIC as TRACING
from exitless.traces.trace_dat_file import Layout, read_formats, read_header
from exitless.traces.trace_dat_pages import Page

MAGIC: Final = b"PERFILE2"
MAGIC_BIG: Final = b"2ELIFREP"
PIPE_HEADER: Final = 16
FILE_HEADER: Final = 104
MOST_ATTRS: Final = 65_536
MOST_IDS: Final = 1 << 22
LEAST_ATTR: Final = 64
MOST_ATTR: Final = 4096
TRACING_DATA: Final = 1
OS_RELEASE: Final = 4
CPU_DESC: Final = 8
EVENT_DESC: Final = 12
MOST_TEXT: Final = 200
FEATURES: Final = 256
MOST_BITS: Final = 2**62 - 1
CLOCK_AT: Final = 92
CLOCKS: Final = {0: "realtime", 1: "mono", 4: "mono_raw", 7: "boot", 11: "tai"}


class Attr:
    """One event that was recorded: what it is, and the ``shape`` of its samples.

    Shapes: ``trailer`` lays out what other records end with, ``name`` is perf's own, "" where it is not told.
    """

    def __init__(self, kind: int, config: int, shape: Shape, all_ids: bool, clock: str) -> None:
        self.kind = kind
        self.config = config
        self.shape = shape
        self.all_ids = all_ids
        self.clock = clock
        self.name = ""
        self.trailer = [
            bit for bit in (Has.TID, Has.TIME, Has.ID, Has.STREAM_ID, Has.CPU, Has.IDENTIFIER) if shape.sample & bit
        ]


@dataclass
class PerfLayout:
    """What is known before the records are read; ``order`` is ``<`` or ``>``."""

    order: str
    pipe: bool
    begin: int
    end: int
    attrs: list[Attr] = field(default_factory=list)
    by_id: dict[int, Attr] = field(default_factory=dict)
    formats: list[EventFormat] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    host: list[str] = field(default_factory=list)

    def add(self, attr: Attr, ids: Iterable[int]) -> None:
        """Take an attribute with the numbers of its events. Errors: TraceError, for too many."""
        if len(self.attrs) >= MOST_ATTRS or len(self.by_id) >= MOST_IDS:
            raise TraceError(f"the recording has more than {MOST_ATTRS} events or {MOST_IDS} numbers of them")
        self.attrs.append(attr)
        for number in ids:
            self.by_id[number] = attr


def read_attr(data: bytes, order: str) -> Attr:
    """Read one perf_event_attr of at least 64 bytes."""
    kind, _, config, _, sample, read, flags = struct.unpack_from(order + "IIQQQQQ", data)
    own_clock, all_ids = (flags >> (n if order == "<" else 63 - n) & 1 for n in (25, 18))
    clock = "perf"
    if own_clock and len(data) >= CLOCK_AT + 4:
        number = struct.unpack_from(order + "i", data, CLOCK_AT)[0]
        clock = CLOCKS.get(number, f"clock {number}")
    return Attr(kind, config, Shape(sample & MOST_BITS, read & MOST_BITS), bool(all_ids), clock)


def read_perf_layout(source: Source) -> PerfLayout:
    """Read the header and, of a file, all its tables. Errors: TraceError."""
    order = "<" if source.head.startswith(MAGIC) else ">"
    at = Cursor(source, len(MAGIC), order)
    size = at.number("Q", "the size of the header")
    if size == PIPE_HEADER:
        return PerfLayout(order, True, PIPE_HEADER, source.size)
    if size < FILE_HEADER:
        raise TraceError(f"{source.name}: says that its header has {size} bytes; expected 16 or at least 104")
    attr_size, attrs_at, attrs_size, data_at, data_size, _, _ = at.numbers("7Q", "the header")
    features = at.numbers("4Q", "the features")
    layout = PerfLayout(order, False, data_at, data_at + data_size)
    if not LEAST_ATTR + 16 <= attr_size <= MOST_ATTR:
        raise TraceError(f"{source.name}: says that an event's attributes have {attr_size} bytes; expected 80 to 4096")
    read_attrs(layout, source, attrs_at, attrs_size, attr_size)
    if not data_size:
        layout.end = source.size
        layout.problems.append(f"{source.name}: was not finished by perf record; what it holds is read to its end")
    elif layout.end > source.size:
        layout.problems.append(
            f"{source.name}: should hold records up to offset {layout.end}, but ends at {source.size}; the rest is "
            "missing"
        )
        layout.end = source.size
        return layout
    read_features(layout, source, features, data_at + data_size)
    return layout


def read_attrs(layout: PerfLayout, source: Source, place: int, size: int, each: int) -> None:
    """Read the table of attributes, each with the numbers of its events."""
    at = Cursor(source, place, layout.order, place + size)
    for _ in range(min(size // each, MOST_ATTRS)):
        attr = read_attr(at.block(each - 16, "an event's attributes"), layout.order)
        ids_at, ids_size = at.numbers("QQ", "the numbers of an event")
        if ids_size // 8 > MOST_IDS:
            raise TraceError(f"{source.name}: says that an event has {ids_size // 8} numbers; expected fewer")
        ids = Cursor(source, ids_at, layout.order).numbers(f"{ids_size // 8}Q", "the numbers of an event")
        layout.add(attr, ids)
    if not layout.attrs:
        raise TraceError(f"{source.name}: names no event; expected at least one")


def read_features(layout: PerfLayout, source: Source, features: tuple[int, ...], place: int) -> None:
    """Read the sections that stand behind the records, one for each bit that is set."""
    at = Cursor(source, place, layout.order)
    try:
        for n in range(FEATURES):
            if not features[n // 64] >> n % 64 & 1:
                continue
            begin, size = at.numbers("QQ", "the place of a feature")
            if n == TRACING_DATA:
                tracing = read_tracing(Cursor(source, begin, layout.order, begin + size))
                layout.formats = tracing.formats
                layout.problems += tracing.problems
            elif n in (OS_RELEASE, CPU_DESC):
                text = Cursor(source, begin, layout.order, begin + size)
                said = text.block(min(text.number("I", "the length of a text"), MOST_TEXT), "a text on the host")
                word = "Linux " if n == OS_RELEASE else ""
                layout.host.append(word + said.split(b"\0")[0].decode("utf-8", "replace").strip())
            elif n == EVENT_DESC:
                read_names(layout, Cursor(source, begin, layout.order, begin + size))
    except TraceError as problem:
        layout.problems.append(str(problem))


def read_names(layout: PerfLayout, at: Cursor) -> None:
    """Read how perf calls each event."""
    count, size = at.numbers("II", "the descriptions of events")
    for _ in range(min(count, MOST_ATTRS)):
        at.skip(size, "a description of an event")
        ids = at.number("I", "the numbers of an event")
        name = at.block(at.number("I", "the name of an event"), "the name of an event")
        text = name.split(b"\0")[0].decode("utf-8", "replace")
        if ids > MOST_IDS:
            return
        for number in at.numbers(f"{ids}Q", "the numbers of an event"):
            if number in layout.by_id:
                layout.by_id[number].name = text


def read_tracing(at: Cursor) -> Layout:
    """Read the kernel's event formats, which perf keeps as the begin of a trace.dat."""
    place = at.at
    if at.block(len(TRACING), "the tracing data") != TRACING:
        raise TraceError(f"{at.source.name}: at offset {place} expected tracing data (17 08 44 'tracing')")
    at.text("the version of the tracing data")
    order, long_size, size = at.numbers("BBI", "byte order, word and page size")
    inner = Cursor(at.source, at.at, "<>"[order & 1], at.end)
    layout = Layout(6, Page(inner.order, size, 8, 16), long_size)
    read_header(layout, inner)
    read_formats(layout, inner, False)
    read_formats(layout, inner, True)
    return layout


def tracing_of(name: str, data: bytes) -> Layout:
    """Read tracing data that came in a record."""
    return read_tracing(Cursor(Memory(f"{name}, tracing data", data)))
