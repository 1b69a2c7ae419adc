"""What the tests of readers do again and again."""

import lzma
import struct
from collections import Counter
from pathlib import Path
from typing import Any

from exitless.cli.read import facts_of
from exitless.study.trace_report import TraceReport
from exitless.traces.reader import Reader, Row, open_reader
from exitless.traces.xentrace import Xentrace

DATA = Path(__file__).parent / "data"
EXCERPTS = ("xen-pvh1-start", "xen-pvh2-start", "xen-hvm-nopv2-load-start")


def excerpt(name: str) -> bytes:
    """Return an excerpt, unpacked."""
    return lzma.decompress((DATA / f"{name}.bin.xz").read_bytes())


def rows_of(reader: Reader) -> list[Row]:
    """Read a recording to its end."""
    return [row for rows in reader.rows() for row in rows]


def read_bytes(folder: Path, data: bytes, clock_hz: int = 10**12) -> tuple[Xentrace, list[Row]]:
    """Read bytes as a recording; with the default clock a tick is a picosecond."""
    path = folder / "trace.bin"
    path.write_bytes(data)
    with open_reader(str(path), clock_hz) as reader:
        assert isinstance(reader, Xentrace)
        return reader, rows_of(reader)


def report_of(path: Path, clock_hz: int) -> dict[str, Any]:
    """Make the report on a recording."""
    report = TraceReport()
    with open_reader(str(path), clock_hz) as reader:
        for rows in reader.rows():
            report.rows(rows)
        return report.as_json(facts_of(reader))


def plain_counts(data: bytes) -> Counter[str]:
    """Count the records of whole windows by the layout alone: header word, flag, number of extra words."""
    counts: Counter[str] = Counter()
    at = 0
    while at < len(data):
        (word,) = struct.unpack_from("<I", data, at)
        counts[f"0x{word & 0xFFFFFFF:08x}"] += 1
        at += 4 + 8 * (word >> 31) + 4 * (word >> 28 & 7)
    return counts
