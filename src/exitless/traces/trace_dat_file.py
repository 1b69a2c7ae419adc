"""The layout of a trace.dat: its header, event formats, options and where each pCPU's pages are.

Version 6 has its parts one after another; version 7 has sections, each of which may be packed, and options that say
where they are. The man pages ``trace-cmd.dat.v6`` and ``trace-cmd.dat.v7`` describe both.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from exitless.errors import TraceError
from exitless.traces.cursor import Cursor, Memory
from exitless.traces.event_format import MOST_EVENTS, EventFormat, parse_fields, parse_format
from exitless.traces.opening import Source, Unpacker
from exitless.traces.reader import Reader
from exitless.traces.trace_dat_options import Option, Shift, commands_of, guests_of, kernel_of, shifts_of
from exitless.traces.trace_dat_pages import Page

MAGIC: Final = b"\x17\x08\x44tracing"
MOST_CPUS: Final = 16_384
MOST_SECTION: Final = 64 << 20
MOST_SYSTEMS: Final = 4096
MOST_OPTIONS: Final = 100_000
PIECE: Final = 1 << 18
# With more event formats that cannot be read, nothing else in a head is to be trusted.
MOST_DAMAGED: Final = 8
LEAST_PAGE: Final = 256
MOST_PAGE: Final = 16 << 20


@dataclass
class Part:
    """Where one pCPU's pages are."""

    cpu: int
    offset: int
    size: int
    packed: bool = False


@dataclass
class Buffer:
    """One tracing instance: its name, its clock, the size of its pages, its parts."""

    name: str
    clock: str
    page_size: int
    parts: list[Part]


@dataclass
class Layout:
    """All that is known of a file before its pages are read."""

    version: int
    page: Page
    long_size: int
    unpacker: Unpacker | None = None
    formats: list[EventFormat] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    clock: str = "local"
    host: str = ""
    commands: dict[int, str] = field(default_factory=dict)
    shifts: dict[int, Shift] = field(default_factory=dict)
    guests: dict[int, tuple[str, int]] = field(default_factory=dict)
    stats: list[str] = field(default_factory=list)
    tsc: tuple[int, int] | None = None
    problems: list[str] = field(default_factory=list)

    def page_of(self, buffer: Buffer) -> Page:
        """Return how a buffer's pages are laid out."""
        return Page(self.page.order, buffer.page_size, self.long_size, self.page.data_at)


def read_layout(source: Source) -> Layout:
    """Read everything but the pages. Errors: TraceError."""
    at = Cursor(source, len(MAGIC))
    version = at.text("the version")
    if version not in ("6", "7"):
        raise TraceError(f"{source.name}: is a trace.dat of version {version!r}; expected version 6 or 7")
    order, long_size = at.numbers("BB", "byte order and word size")
    if order > 1 or long_size not in (4, 8):
        raise TraceError(
            f"{source.name}: at offset {at.at - 2} expected byte order 0 or 1 and a word size of 4 or 8, found {order} "
            f"and {long_size}"
        )
    at.order = "<>"[order]
    size = at.number("I", "the page size")
    layout = Layout(int(version), Page(at.order, checked_page(source.name, size), 8, 16), 8)
    if version == "7":
        packing = at.text("the name of the packing")
        at.text("the version of the packing")
        if packing != "none":
            layout.unpacker = Unpacker(source.name, packing, "or unpack it with trace-cmd convert")
        read_sections(layout, source, at)
    else:
        read_parts(layout, at)
    shifts_and_guests(layout, at)
    return layout


def checked_page(name: str, size: int) -> int:
    """Return a page size that can be. Errors: TraceError."""
    if not LEAST_PAGE <= size <= MOST_PAGE or size & (size - 1):
        raise TraceError(f"{name}: says that its pages have {size} bytes; expected a power of two from 256")
    return size


def read_header_page(layout: Layout, text: str) -> None:
    """Learn from the kernel's ``header_page`` how long its words are and where a page's data begins."""
    fields = parse_fields(text)
    if "commit" in fields and "data" in fields and fields["commit"].size in (4, 8):
        layout.long_size = fields["commit"].size
        page = layout.page
        layout.page = Page(page.order, page.size, layout.long_size, min(max(fields["data"].offset, 12), 64))


def read_header(layout: Layout, at: Cursor) -> None:
    """Read ``header_page`` and ``header_event``."""
    for name in (b"header_page\0", b"header_event\0"):
        place = at.at
        found = at.block(len(name), name[:-1].decode())
        if found != name:
            raise TraceError(f"{at.source.name}: at offset {place} expected {name!r}, found {found!r}")
        text = at.block(at.number("Q", "the size of a header"), name[:-1].decode())
        if name == b"header_page\0":
            read_header_page(layout, text.decode("utf-8", "replace"))


def read_formats(layout: Layout, at: Cursor, systems: bool) -> None:
    """Read event formats: of system ``ftrace``, or of systems that are named before them.

    One that cannot be read is left out and told. Errors: TraceError.
    """
    name = at.source.name
    many = at.number("I", "the number of event systems") if systems else 1
    if many > MOST_SYSTEMS:
        raise TraceError(f"{name}: at offset {at.at - 4} says that it has {many} event systems; expected fewer")
    for _ in range(many):
        system = at.text("the name of an event system") if systems else "ftrace"
        count = at.number("I", "the number of events")
        if count + len(layout.formats) > MOST_EVENTS:
            raise TraceError(f"{name}: at offset {at.at - 4} says that {system} has {count} events; expected fewer")
        for _ in range(count):
            text = at.block(at.number("Q", "the size of an event format"), "an event format")
            where = f"{name}: before offset {at.at}"
            try:
                layout.formats.append(parse_format(text.decode("utf-8", "replace"), system, where))
            except TraceError as problem:
                if len(layout.problems) >= MOST_DAMAGED:
                    raise
                layout.problems.append(f"{problem}; its events are only counted, by their number")


def read_parts(layout: Layout, at: Cursor) -> None:
    """Read version 6, whose parts stand one after another."""
    read_header(layout, at)
    read_formats(layout, at, False)
    read_formats(layout, at, True)
    at.skip(at.number("I", "the size of the symbols"), "the symbols")
    at.skip(at.number("I", "the size of the printk formats"), "the printk formats")
    layout.commands = commands_of(at.block(at.number("Q", "the size of the command lines"), "the command lines"))
    cpus = at.number("I", "the number of pCPUs")
    if not 0 < cpus <= MOST_CPUS:
        raise TraceError(f"{at.source.name}: at offset {at.at - 4} says that it has {cpus} pCPUs; expected 1 to 16384")
    word = at.block(10, "the kind of recording")
    if word == b"options  \0":
        read_options(layout, at, False)
        word = at.block(10, "the kind of recording")
    if word == b"latency  \0":
        raise TraceError(f"{at.source.name}: holds a latency trace, which is text; expected recorded events")
    if word != b"flyrecord\0":
        raise TraceError(f"{at.source.name}: at offset {at.at - 10} expected 'flyrecord', found {word!r}")
    clock = layout.clock
    layout.buffers.append(Buffer("", clock, layout.page.size, read_places(at, cpus)))
    for option in [o for o in layout.options if o.id == Option.BUFFER]:
        inner = option.cursor(at)
        where = Cursor(at.source, inner.number("Q", "the place of a buffer"), at.order)
        name = inner.text("the name of a buffer")
        if where.block(10, "a buffer") != b"flyrecord\0":
            raise TraceError(f"{at.source.name}: at offset {where.at - 10} expected 'flyrecord' of buffer {name!r}")
        layout.buffers.append(Buffer(name, clock, layout.page.size, read_places(where, cpus)))


def read_places(at: Cursor, cpus: int) -> list[Part]:
    """Read where each pCPU's pages are."""
    parts = []
    for cpu in range(cpus):
        offset, size = at.numbers("QQ", f"the place of pCPU {cpu}'s pages")
        parts.append(Part(cpu, offset, size))
    return parts


def read_options(layout: Layout, at: Cursor, sections: bool) -> int:
    """Read options up to the last; returns where the next section with options is, 0 for none or in version 6."""
    while True:
        number = at.number("H", "an option")
        if not number and not sections:
            return 0
        size = at.number("I", "the size of an option")
        data = at.block(size, f"option {number}")
        if not number:
            return int.from_bytes(data[:8], "little" if at.order == "<" else "big")
        if len(layout.options) >= MOST_OPTIONS:
            raise TraceError(f"{at.source.name}: has more than {MOST_OPTIONS} options; expected fewer")
        option = Option(number, data)
        layout.options.append(option)
        if number == Option.CLOCK:
            layout.clock = option.chosen_clock(layout.clock)
        elif number == Option.UNAME:
            layout.host = kernel_of(option.as_text())
        elif number == Option.STATS:
            layout.stats.append(option.as_text())


def open_section(layout: Layout, source: Source, at: Cursor, offset: int) -> tuple[int, Cursor]:
    """Go to a section of version 7; returns its number and what it holds, unpacked."""
    head = Cursor(source, offset, at.order)
    number, flags, _, size = head.numbers("HHIQ", f"the section at offset {offset}")
    if not flags & 1:
        return number, Cursor(source, head.at, at.order, head.at + size)
    packed, whole = head.numbers("II", "the size of a packed section")
    if layout.unpacker is None or whole > MOST_SECTION:
        raise TraceError(
            f"{source.name}: the section at offset {offset} is packed in a way it cannot be ({packed} bytes for "
            f"{whole})"
        )
    data = layout.unpacker.unpack(head.block(packed, "a packed section"), whole)
    if len(data) < whole:
        raise TraceError(f"{source.name}: the packed section at offset {offset} is damaged and cannot be unpacked")
    return number, Cursor(Memory(f"{source.name}, section {number} at offset {offset}", data), 0, at.order)


def read_sections(layout: Layout, source: Source, at: Cursor) -> None:
    """Read version 7: all options first, then the sections that they point to."""
    next_options, seen = at.number("Q", "the place of the options"), set[int]()
    while next_options and next_options not in seen:
        seen.add(next_options)
        number, inside = open_section(layout, source, at, next_options)
        if number != 0:
            raise TraceError(f"{source.name}: at offset {next_options} expected options, found section {number}")
        next_options = read_options(layout, inside, True)
    for option in layout.options:
        if option.id in (Option.HEADERS, Option.FTRACE_EVENTS, Option.EVENT_FORMATS):
            _, inside = open_section(layout, source, at, option.cursor(at).number("Q", "the place of a section"))
            if option.id == Option.HEADERS:
                read_header(layout, inside)
            else:
                read_formats(layout, inside, option.id == Option.EVENT_FORMATS)
    for option in layout.options:
        if option.id == Option.COMMANDS:
            _, inside = open_section(layout, source, at, option.cursor(at).number("Q", "the place of a section"))
            size = inside.number("Q", "the size of the command lines")
            layout.commands = commands_of(inside.block(size, "the command lines"))
        elif option.id == Option.BUFFER:
            layout.buffers.append(read_buffer(layout, source, at, option))
        elif option.id == Option.BUFFER_TEXT and not any(o.id == Option.BUFFER for o in layout.options):
            raise TraceError(f"{source.name}: holds a latency trace, which is text; expected recorded events")
    if not layout.buffers:
        raise TraceError(f"{source.name}: does not say where its events are; was the recording cut short?")


def read_buffer(layout: Layout, source: Source, at: Cursor, option: Option) -> Buffer:
    """Read the description of one tracing instance."""
    inner = option.cursor(at)
    place = inner.number("Q", "the place of a buffer")
    name, clock = inner.text("the name of a buffer"), inner.text("the clock of a buffer")
    size, cpus = inner.numbers("II", "page size and number of pCPUs")
    if cpus > MOST_CPUS:
        raise TraceError(f"{source.name}: says that it has {cpus} pCPUs; expected at most {MOST_CPUS}")
    _, flags, _, _ = Cursor(source, place, at.order).numbers("HHIQ", f"the buffer at offset {place}")
    parts = []
    for _ in range(cpus):
        cpu, offset, length = inner.numbers("IQQ", "the place of a pCPU's pages")
        parts.append(Part(cpu, offset, length, bool(flags & 1)))
    if any(part.cpu >= MOST_CPUS for part in parts):
        raise TraceError(f"{source.name}: has a pCPU {max(part.cpu for part in parts)}; expected one below {MOST_CPUS}")
    return Buffer(name, clock or layout.clock, checked_page(source.name, size), parts)


def shifts_and_guests(layout: Layout, at: Cursor) -> None:
    """Read the options of a host and its guests that were recorded together."""
    for option in layout.options:
        if option.id == Option.TIME_SHIFT:
            layout.shifts = shifts_of(option.cursor(at))
        elif option.id == Option.GUEST:
            layout.guests.update(guests_of(option.cursor(at)))
        elif option.id == Option.TSC2NSEC:
            times, right, _ = option.cursor(at).numbers("IIQ", "the conversion of the clock")
            if times and right < 64:
                layout.tsc = times, right


def pieces_of(reader: Reader, buffer: Buffer, part: Part) -> Iterator[tuple[bytes, int]]:
    """Hand out a pCPU's pages, some at a time, with the place of each piece (-1 for a packed one).

    The size of packed pages does not include the word before them that counts the pieces.
    """
    if not part.size:
        return
    source, end = reader.source, part.offset + part.size + 4 * part.packed
    if part.offset > source.size or end > source.size:
        reader.problem(
            f"{source.name}: the pages of pCPU {part.cpu} should reach to offset {end}, but the file ends at "
            f"{source.size}; the rest is missing"
        )
        end = min(end, source.size)
    if part.packed:
        yield from packed_pieces(reader, buffer, part, end)
        return
    piece = max(PIECE // buffer.page_size, 1) * buffer.page_size
    for at in range(part.offset, end, piece):
        data = source.read_at(at, min(piece, end - at))
        reader.passed(len(data))
        yield data, at


def packed_pieces(reader: Reader, buffer: Buffer, part: Part, end: int) -> Iterator[tuple[bytes, int]]:
    """Hand out a pCPU's pages from packed pieces; a damaged piece is told and left out."""
    layout = getattr(reader, "layout", None)
    if not isinstance(layout, Layout) or layout.unpacker is None or part.size < 4:
        return
    name, at = reader.source.name, Cursor(reader.source, part.offset, layout.page.order, end)
    try:
        for _ in range(at.number("I", "the number of packed pieces")):
            packed, whole = at.numbers("II", "the size of a packed piece")
            place = at.at
            data = at.block(packed, "a packed piece")
            reader.passed(packed)
            if whole > MOST_SECTION:
                reader.problem(f"{name}: the piece of pCPU {part.cpu} at offset {place} is too large ({whole} bytes)")
                continue
            out = layout.unpacker.unpack(data, whole)
            if len(out) < whole:
                reader.problem(f"{name}: the packed piece of pCPU {part.cpu} at offset {place} is damaged")
            yield out, -1
    except TraceError as cut:
        reader.problem(str(cut))
