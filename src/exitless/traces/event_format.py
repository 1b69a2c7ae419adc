"""Reads the kernel's own description of its events and compiles, for each event, a plan that takes out what is needed.

A description is the text of ``events/SYSTEM/EVENT/format``; trace.dat and perf.data carry one for every event.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from exitless.errors import TraceError
from exitless.traces.kvm import TRACEPOINTS, Use, known
from exitless.traces.ring import NUMBERS, Ring

FIELD: Final = re.compile(r"field:([^;]*);\s*offset:(\d+);\s*size:(\d+);\s*(?:signed:(\d+);)?")
NAME: Final = re.compile(r"name: *(\S+)")
ID: Final = re.compile(r"ID: *(\d+)")
LAST_WORD: Final = re.compile(r"(\w+)\s*(?:\[[^\]]*\])?\s*$")
SCALARS: Final = (1, 2, 4, 8)
MOST_OFFSET: Final = 65536
MOST_EVENTS: Final = 65536


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

    Shapes: ``fields`` are what is read of it: thread and needed fields in the order of
    :data:`~exitless.traces.kvm.TRACEPOINTS`, None for one that this kernel does not have. ``least`` is how many bytes a
    payload must have.
    """

    def __init__(self, kind: str, use: int, least: int, fields: Sequence[Field | None] = ()) -> None:
        self.kind = kind
        self.use = use
        self.least = least
        self.fields = fields


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


def least_of(fields: list[Field | None]) -> int:
    """Return how many bytes a payload with some fields must have. Errors: ValueError, when fields overlap."""
    at = 0
    for field in sorted({field for field in fields if field is not None}, key=lambda field: field.offset):
        if field.offset < at:
            raise ValueError("fields overlap")
        at = field.offset + field.size
    return at


def compile_plan(event: EventFormat) -> Plan:
    """Make the plan of an event; one whose needed fields are not what they should be is only counted."""
    kind = f"{event.system}:{event.name}"
    use, names = TRACEPOINTS.get(kind, (Use.NAME_ONLY if known(kind) else Use.UNKNOWN, ""))
    if use <= Use.NAME_ONLY:
        return Plan(kind, use, 0)
    fields: list[Field | None] = []
    for name in ("common_pid", *names.split()):
        optional, alternatives = name.endswith("?"), name.rstrip("?").split("|")
        found = next((event.fields[one] for one in alternatives if one in event.fields), None)
        if found is not None and (found.size not in SCALARS or found.offset > MOST_OFFSET):
            found = None
        if found is None and not optional:
            return Plan(kind, Use.UNKNOWN, 0)
        fields.append(found)
    while fields[-1] is None:
        fields.pop()
    try:
        return Plan(kind, use, least_of(fields), fields)
    except ValueError:
        return Plan(kind, Use.UNKNOWN, 0)


def add_plan(ring: Ring, number: int, plan: Plan) -> None:
    """Write a plan down as numbers."""
    if 0 <= number < NUMBERS:
        fields = [(f.offset, f.size, f.signed) if f is not None else (0, 0, False) for f in plan.fields]
        ring.plan(number, plan.use, plan.least, fields)


def count_plans(ring: Ring, plans: dict[int, Plan], counts: Counter[str], unknown: Counter[str]) -> None:
    """Add up the events that have passed, by kind, and those of them that were not understood."""
    for number, count, short in ring.counts():
        plan = plans.get(number)
        kind = f"event {number}" if plan is None else plan.kind
        counts[kind] += count
        if plan is None or plan.use < 0:
            unknown[kind] += count
        if short:
            unknown[f"{kind} (too short)"] += short


def ring_of(plans: dict[int, Plan], order: str) -> Ring:
    """Write plans down as numbers; ``order`` is ``<`` or ``>``, as the recording's words are written."""
    ring = Ring(order == ">")
    for number, plan in plans.items():
        add_plan(ring, number, plan)
    return ring
