"""What the tests of readers do again and again."""

import json
import lzma
import os
import re
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from exitless.cli.read import facts_of
from exitless.study.trace_report import TraceReport
from exitless.traces.kvm_reader import LinuxReader
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
        for columns in reader.blocks():
            report.block(columns)
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


def read_linux(path: Path | str, clock_hz: int = 0) -> tuple[LinuxReader, list[Row]]:
    """Read a Linux recording to its end."""
    with open_reader(str(path), clock_hz) as reader:
        assert isinstance(reader, LinuxReader)
        return reader, rows_of(reader)


def read_linux_bytes(folder: Path, data: bytes, clock_hz: int = 0) -> tuple[LinuxReader, list[Row]]:
    """Read bytes as a Linux recording."""
    (folder / "recording").write_bytes(data)
    return read_linux(folder / "recording", clock_hz)


def unpacked(name: str) -> bytes:
    """Return a file of the data folder, unpacked."""
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


def counts_of(text: str) -> dict[str, int]:
    """Read trace-cmd's counts of events, which it names without their system."""
    return {name: int(count) for count, name in re.findall(r"^ *(\d+) (\w+)$", text, re.MULTILINE) if name != "total"}


def without_system(kinds: dict[str, int]) -> dict[str, int]:
    """Name events as trace-cmd does."""
    return {kind.partition(":")[2]: count for kind, count in kinds.items()}


def taken(truth: str) -> dict[str, dict[str, int]]:
    """Read what a guest counted: by vCPU, by vector."""
    found: dict[str, dict[str, int]] = json.loads(truth)["taken"]
    return found


def perf_stat(text: str) -> tuple[dict[str, tuple[int, float, float, float]], float]:
    """Read the first table of ``perf kvm stat report``: count, least, most and mean us by exit; us in all."""
    table = text.split("== ")[1]
    rows = re.findall(r"^ *(\S.*?) +(\d+) +[\d.]+% +[\d.]+% +([\d.]+)us +([\d.]+)us +([\d.]+)us", table, re.MULTILINE)
    total = re.search(r"time:([\d.]+)us", table)
    assert rows and total is not None
    return {r[0]: (int(r[1]), float(r[2]), float(r[3]), float(r[4])) for r in rows}, float(total[1])


def in_a_process(program: str, *words: str, stdin: bytes = b"") -> str:
    """Run a few lines in a process of their own, with this one's modules; returns what they print."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program, *words], input=stdin, capture_output=True, env=environment)
    return done.stdout.decode() + done.stderr.decode()
