"""Writes small perf.data files and streams, record by record, for tests."""

import struct
from collections.abc import Sequence

from tests.traces.trace_dat_writer import MAGIC as TRACING
from tests.traces.trace_dat_writer import SYSTEMS, Writer

TID, TIME, ID, CPU, PERIOD, RAW, IDENTIFIER, CALLCHAIN, READ = 2, 4, 64, 128, 256, 1024, 65536, 32, 16
USUAL = TID | TIME | CPU | RAW | IDENTIFIER
SAMPLE_ID_ALL = 1 << 18
USE_CLOCK = 1 << 25
ATTR = 128
W = Writer()


def attr(kind: int = 2, config: int = 10, sample: int = USUAL, clock: int = -1) -> bytes:
    """Write a perf_event_attr."""
    flags = SAMPLE_ID_ALL | (USE_CLOCK if clock >= 0 else 0)
    out = struct.pack("<IIQQQQQ", kind, ATTR, config, 1, sample, 0, flags)
    return out.ljust(92, b"\0") + struct.pack("<i", max(clock, 0)).ljust(ATTR - 92, b"\0")


def record(kind: int, body: bytes) -> bytes:
    """Write a record."""
    body += bytes(-len(body) % 8)
    return struct.pack("<IHH", kind, 0, 8 + len(body)) + body


def sample(
    time: int, tid: int, cpu: int, payload: bytes, ident: int = 1, pid: int = 100, bits: int = USUAL,
    chain: Sequence[int] = (),
) -> bytes:  # fmt: skip
    """Write a sample. The payload is an event of a ring buffer without its first word."""
    out = struct.pack("<Q", ident) if bits & IDENTIFIER else b""
    out += struct.pack("<IIQ", pid, tid, time)
    out += struct.pack("<Q", ident) if bits & ID else b""
    out += struct.pack("<II", cpu, 0)
    out += struct.pack("<Q", 1) if bits & PERIOD else b""
    out += struct.pack(f"<Q{len(chain)}Q", len(chain), *chain) if bits & CALLCHAIN else b""
    return record(9, out + struct.pack("<I", len(payload)) + payload if bits & RAW else out)


def lost(time: int, cpu: int, count: int) -> bytes:
    """Say that samples were lost."""
    return record(2, struct.pack("<QQIIQIIQ", 1, count, 0, 0, time, cpu, 0, 1))


ROUND = record(68, b"")


def tracing() -> bytes:
    """Write the kernel's event formats as perf keeps them."""
    out = TRACING + b"0.6\0" + bytes([0, 8]) + W.pack("I", 4096) + W.header() + W.pack("I", 0) + W.formats(SYSTEMS)
    return out + W.pack("IIQ", 0, 0, 0)


def names(found: Sequence[tuple[int, str]]) -> bytes:
    """Write how perf calls the events with some numbers."""
    out = struct.pack("<II", len(found), ATTR)
    for ident, name in found:
        text = name.encode() + b"\0"
        out += bytes(ATTR) + struct.pack("<II", 1, len(text)) + text + struct.pack("<Q", ident)
    return out


def perf_data(
    records: bytes, attrs: Sequence[tuple[bytes, Sequence[int]]] = ((attr(), (1,)),), formats: bool = True,
    called: Sequence[tuple[int, str]] = (),
) -> bytes:  # fmt: skip
    """Write a file: header, numbers, attributes, records, features."""
    at, idents, table = 104, b"", b""
    for _, mine in attrs:
        idents += struct.pack(f"<{len(mine)}Q", *mine)
    for data, mine in attrs:
        table += data + struct.pack("<QQ", at, 8 * len(mine))
        at += 8 * len(mine)
    data_at = at + len(table)
    features = (1 << 1 if formats else 0) | (1 << 12 if called else 0)
    sections = ([tracing()] if formats else []) + ([names(called)] if called else [])
    place = data_at + len(records) + 16 * len(sections)
    tail = b""
    for section in sections:
        tail += struct.pack("<QQ", place, len(section))
        place += len(section)
    head = b"PERFILE2" + struct.pack(
        "<13Q", 104, ATTR + 16, at, len(table), data_at, len(records), 0, 0, features, 0, 0, 0, 0
    )
    return head[:104] + idents + table + records + tail + b"".join(sections)


def stream(records: bytes, attrs: Sequence[tuple[bytes, Sequence[int]]] = ((attr(), (1,)),)) -> bytes:
    """Write a stream: attributes and formats are records among the others."""
    out = b"PERFILE2" + struct.pack("<Q", 16)
    for data, idents in attrs:
        out += record(64, data + struct.pack(f"<{len(idents)}Q", *idents))
    formats = tracing()
    out += struct.pack("<IHHI", 66, 0, 12, len(formats)) + formats + bytes(-len(formats) % 8)
    return out + records
