"""Perfetto's packets: protocol buffers encoded by hand, tracks, slices, counters and flows.

The numbers are those of perfetto/trace/trace_packet.proto and perfetto/trace/track_event/*.proto.
"""

from collections.abc import Iterable
from struct import pack
from typing import BinaryIO, Final

from exitless.bits.units import PS_PER_NS

PACKET: Final = 1
TIMESTAMP, SEQUENCE, TRACK_EVENT, INTERNED, FLAGS, DESCRIPTOR, FIRST = 8, 10, 11, 12, 13, 60, 87
UUID, NAME, PARENT, COUNTER, ORDERING, RANK = 1, 2, 5, 8, 11, 12
EVENT_NOTES, EVENT_TYPE, EVENT_NAME, EVENT_TRACK, VALUE, FLOW, FLOW_END = 4, 9, 10, 11, 30, 47, 48
NAMES, NAME_ID, NAME_TEXT = 2, 1, 2
NOTE_NAME, NOTE_NUMBER, NOTE_TEXT = 10, 4, 6
UNIT_NAME: Final = 6
BEGIN, END, INSTANT, COUNT = 1, 2, 3, 4
EXPLICIT: Final = 3
CLEARED, NEEDS_NAMES = 1, 2

SHORT: Final = tuple(bytes((value,)) for value in range(128))

Notes = tuple[tuple[str, int | str], ...]


def varint(value: int) -> bytes:
    """Encode a whole number, seven bits a byte, lowest first; a negative one as 64 bits."""
    if 0 <= value < 128:
        return SHORT[value]
    value &= 0xFFFF_FFFF_FFFF_FFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field: int, value: int) -> bytes:
    """Encode a field that is a whole number."""
    return varint(field * 8) + varint(value)


def block(field: int, value: bytes | str) -> bytes:
    """Encode a field that is text or another message."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field * 8 + 2) + varint(len(data)) + data


def fixed(field: int, value: int) -> bytes:
    """Encode a field of 64 bits."""
    return varint(field * 8 + 1) + pack("<Q", value)


class Packets:
    """A trace under way, packet by packet."""

    def __init__(self, out: BinaryIO) -> None:
        self.out = out
        self.names: dict[str, int] = {}
        self.tracks = 0
        self.flows = 0
        self.begun = False

    def packet(self, content: bytes, flags: int = NEEDS_NAMES) -> None:
        """Write one packet; the first says that names begin anew."""
        head = number(SEQUENCE, 1)
        if not self.begun:
            self.begun = True
            head += number(FLAGS, CLEARED) + number(FIRST, 1)
        else:
            head += number(FLAGS, flags)
        self.out.write(block(PACKET, head + content))

    def track(self, name: str, parent: int = 0, counter: str = "") -> int:
        """Describe a track, a counter of a unit if one is given. Returns: its number."""
        self.tracks += 1
        content = number(UUID, self.tracks) + block(NAME, name) + number(RANK, self.tracks)
        content += number(PARENT, parent) if parent else b""
        content += block(COUNTER, block(UNIT_NAME, counter)) if counter else number(ORDERING, EXPLICIT)
        self.packet(block(DESCRIPTOR, content))
        return self.tracks

    def event(
        self, time_ps: int, track: int, kind: int, name: str = "", notes: Notes = (), flows: Iterable[int] = (),
        ends: Iterable[int] = (),
    ) -> None:  # fmt: skip
        """Write the begin or end of a slice, or something of no length."""
        content = number(EVENT_TYPE, kind) + number(EVENT_TRACK, track)
        interned = b""
        if name:
            if name not in self.names:
                self.names[name] = len(self.names) + 1
                interned = block(
                    INTERNED, block(NAMES, number(NAME_ID, self.names[name]) + block(NAME_TEXT, name))
                )  # fmt: skip
            content += number(EVENT_NAME, self.names[name])
        for label, value in notes:
            said = block(NOTE_TEXT, value) if isinstance(value, str) else number(NOTE_NUMBER, value)
            content += block(EVENT_NOTES, block(NOTE_NAME, label) + said)
        content += b"".join(fixed(FLOW, flow) for flow in flows) + b"".join(fixed(FLOW_END, flow) for flow in ends)
        self.packet(number(TIMESTAMP, max(0, time_ps) // PS_PER_NS) + interned + block(TRACK_EVENT, content))

    def count(self, time_ps: int, track: int, value: int) -> None:
        """Write a counter's value from a time on."""
        content = number(EVENT_TYPE, COUNT) + number(EVENT_TRACK, track) + number(VALUE, value)
        self.packet(number(TIMESTAMP, max(0, time_ps) // PS_PER_NS) + block(TRACK_EVENT, content))
