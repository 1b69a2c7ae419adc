"""Reads the kernel's own description of its events and compiles, for each event, a plan that takes out what is needed.

A description is the text of ``events/SYSTEM/EVENT/format``; trace.dat and perf.data carry one for every event.
"""

import re
import struct
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from exitless.errors import TraceError
from exitless.traces.kvm import TRACEPOINTS, Use, known

FIELD: Final = re.compile(r"field:([^;]*);\s*offset:(\d+);\s*size:(\d+);\s*(?:signed:(\d+);)?")
NAME: Final = re.compile(r"name: *(\S+)")
ID: Final = re.compile(r"ID: *(\d+)")
LAST_WORD: Final = re.compile(r"(\w+)\s*(?:\[[^\]]*\])?\s*$")
SCALARS: Final = {1: "bB", 2: "hH", 4: "iI", 8: "qQ"}
MOST_OFFSET: Final = 65536
MOST_EVENTS: Final = 65536
ABSENT: Final = -1

Read = Callable[[Any, int], tuple[int, ...]]


class Field(NamedTuple):
    """Where one field of an event lies in its payload. Units: offset and size in bytes."""

    name: str
    offset: int
    size: int
    signed: bool


class EventFormat(NamedTuple):
    """One event as its kernel describes it."""

    system: str
    name: str
    id: int
    fields: dict[str, Field]


class Plan:
    """What becomes of every record of one event.

    Shapes: ``read`` takes the payload's bytes and where it begins, and gives thread and needed fields in the order of
    :data:`~exitless.traces.kvm.TRACEPOINTS`; what this kernel does not have is -1, and missing at the end.
    ``least`` is how many bytes a payload must have. ``count`` counts the records, ``short`` those that had fewer.
    ``fields`` are what ``read`` reads, None for one that this kernel does not have.
    """

    def __init__(self, kind: str, use: int, least: int, read: Read, fields: Sequence[Field | None] = ()) -> None:
        self.kind = kind
        self.use = use
        self.least = least
        self.read = read
        self.fields = fields
        self.count = 0
        self.short = 0


def field_name(declaration: str) -> str:
    """Take the name out of a declaration such as ``char comm[16]``."""
    match = LAST_WORD.search(declaration)
    return match[1] if match else ""


def parse_fields(text: str) -> dict[str, Field]:
    """Read the lines ``field:...; offset:...; size:...; signed:...;``."""
    fields = {}
    for declaration, offset, size, signed in FIELD.findall(text):
        name = field_name(declaration)
        if name and len(offset) < 8 and len(size) < 8:
            fields[name] = Field(name, int(offset), int(size), signed == "1")
    return fields


def parse_format(text: str, system: str, place: str) -> EventFormat:
    """Read one description. Errors: TraceError, when it has no name or number."""
    name, number = NAME.search(text), ID.search(text)
    if name is None or number is None or len(number[1]) > 8:
        start = " ".join(text[:40].split())
        raise TraceError(f"{place}: expected an event's description with name and ID, found {start!r}")
    return EventFormat(system, name[1], int(number[1]), parse_fields(text.partition("\nprint fmt:")[0]))


def reader_of(fields: list[Field | None], order: str) -> tuple[int, Read]:
    """Compile what takes some fields out of a payload: its least size in bytes, and the function."""
    there = sorted({field for field in fields if field is not None}, key=lambda field: field.offset)
    layout, at = order, 0
    for field in there:
        if field.offset < at:
            raise ValueError("fields overlap")
        layout += f"{field.offset - at}x" + SCALARS[field.size][not field.signed]
        at = field.offset + field.size
    unpack = struct.Struct(layout).unpack_from
    if there == fields:
        return at, unpack
    places = [there.index(field) if field is not None else len(there) for field in fields]
    pick = itemgetter(*places)
    if len(places) == 1:
        return at, lambda data, begin: (unpack(data, begin)[0],)
    return at, lambda data, begin: pick((*unpack(data, begin), ABSENT))


def compile_plan(event: EventFormat, order: str) -> Plan:
    """Make the plan of an event; one whose needed fields are not what they should be is only counted.

    ``order`` is ``<`` or ``>``, as the recording's words are written.
    """
    kind = f"{event.system}:{event.name}"
    use, names = TRACEPOINTS.get(kind, (Use.NAME_ONLY if known(kind) else Use.UNKNOWN, ""))
    if use <= Use.NAME_ONLY:
        return Plan(kind, use, 0, lambda data, begin: ())
    fields: list[Field | None] = []
    for name in ("common_pid", *names.split()):
        optional, alternatives = name.endswith("?"), name.rstrip("?").split("|")
        found = next((event.fields[one] for one in alternatives if one in event.fields), None)
        if found is not None and (found.size not in SCALARS or found.offset > MOST_OFFSET):
            found = None
        if found is None and not optional:
            return Plan(kind, Use.UNKNOWN, 0, lambda data, begin: ())
        fields.append(found)
    while fields[-1] is None:
        fields.pop()
    try:
        return Plan(kind, use, *reader_of(fields, order), fields)
    except ValueError:
        return Plan(kind, Use.UNKNOWN, 0, lambda data, begin: ())
