"""Records in files: one ``.xl`` file a record.

Layout, all numbers little-endian: the eight bytes of :data:`MAGIC`; the header's length (4 bytes) and the header as
JSON; then blocks, each ``BLCK``, its number of rows (4 bytes), the four lengths of its packed columns (4 bytes each)
and the columns ``time, where, a, b``, signed 64-bit words packed with zlib; last ``DONE`` and the number of all rows
(8 bytes). A file without its end was cut off, and says so.
"""

import json
import os
import struct
import sys
import tempfile
import zlib
from array import array
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from exitless.errors import TraceError
from exitless.record.block import Header, Record

MAGIC: Final = b"\x89XL1\r\n\x1a\n"
BLOCK: Final = b"BLCK"
DONE: Final = b"DONE"
ROWS: Final = 65536
LEVEL: Final = 3


def write(record: Record, path: str | Path) -> None:
    """Write a record under a temporary name and rename it when it is whole. Errors: TraceError."""
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as out:
                header = json.dumps(asdict(record.header), ensure_ascii=False, separators=(",", ":")).encode()
                out.write(MAGIC + struct.pack("<I", len(header)) + header)
                for first in range(0, len(record), ROWS):
                    out.write(pack(record, first, min(first + ROWS, len(record))))
                out.write(DONE + struct.pack("<Q", len(record)))
            os.chmod(name, 0o644)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise TraceError(f"{target}: cannot write the record: {problem.strerror or problem}") from None


def pack(record: Record, first: int, last: int) -> bytes:
    """Return the rows ``first`` to ``last`` (exclusive) as one block of a file."""
    columns = []
    for column in (record.time, record.where, record.a, record.b):
        part = column[first:last]
        if sys.byteorder == "big":
            part.byteswap()
        columns.append(zlib.compress(part.tobytes(), LEVEL))
    return BLOCK + struct.pack("<5I", last - first, *map(len, columns)) + b"".join(columns)


def read(path: str | Path) -> Record:
    """Read a record. Errors: TraceError, with the offset and what was expected there."""
    try:
        data = Path(path).read_bytes()
    except OSError as problem:
        raise TraceError(f"{path}: cannot read the record: {problem.strerror or problem}") from None
    return _Reader(str(path), data).record()


def is_record(head: bytes) -> bool:
    """Tell whether a file that begins with ``head`` is a record."""
    return head.startswith(MAGIC)


class _Reader:
    """The bytes of one file, and how far they have been read."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.data = data
        self.at = 0

    def fail(self, offset: int, expected: str) -> TraceError:
        return TraceError(f"{self.path}: at byte {offset} expected {expected}")

    def take(self, count: int, what: str) -> bytes:
        """Take ``count`` bytes."""
        if self.at + count > len(self.data):
            raise self.fail(self.at, f"{what} ({count} bytes); the file was cut off after {len(self.data)} bytes")
        part = self.data[self.at : self.at + count]
        self.at += count
        return part

    def record(self) -> Record:
        """Read the whole file."""
        if not is_record(self.data):
            raise self.fail(0, f"an Exitless record ({MAGIC[1:4].decode()}); this is another kind of file")
        self.at = len(MAGIC)
        out = Record(self.header())
        while True:
            start = self.at
            tag = self.take(4, "a block or the end of the record")
            if tag == DONE:
                (count,) = struct.unpack("<Q", self.take(8, "the number of rows"))
                if count != len(out):
                    raise self.fail(start, f"the end of {len(out)} rows, found the end of {count}")
                if self.at != len(self.data):
                    raise self.fail(self.at, f"nothing more, found {len(self.data) - self.at} bytes")
                return out
            if tag != BLOCK:
                raise self.fail(start, f"a block or the end of the record, found {tag.hex(' ')}")
            self.block(out)

    def header(self) -> Header:
        """Read the header; what a later version added to it is left out."""
        (size,) = struct.unpack("<I", self.take(4, "the length of the header"))
        start = self.at
        try:
            values: Any = json.loads(self.take(size, "the header").decode())
        except (UnicodeDecodeError, json.JSONDecodeError) as problem:
            raise self.fail(start, f"the header as JSON: {problem}") from None
        if not isinstance(values, dict):
            raise self.fail(start, "the header as a JSON object")
        plain = Header()
        known = {field.name: type(getattr(plain, field.name)) for field in fields(Header)}
        for key, kind in known.items():
            if not isinstance(values.get(key, kind()), kind):
                raise self.fail(start, f"{key} of the header to be {kind.__name__}, found {values[key]!r}")
        kept = {key: value for key, value in values.items() if key in known}
        try:
            kept["exits"] = {int(number): str(name) for number, name in kept.get("exits", {}).items()}
        except ValueError:
            raise self.fail(start, "exits of the header to be numbers and names") from None
        return Header(**kept)

    def block(self, out: Record) -> None:
        """Read one block and append its rows."""
        rows, *sizes = struct.unpack("<5I", self.take(20, "the head of a block"))
        for column, size, name in zip(
            (out.time, out.where, out.a, out.b), sizes, ("time", "where", "a", "b"), strict=True
        ):
            start = self.at
            packed = self.take(size, f"the column {name}")
            unpacker = zlib.decompressobj()
            try:
                words = unpacker.decompress(packed, rows * 8 + 1)
            except zlib.error as problem:
                raise self.fail(start, f"the column {name} packed with zlib: {problem}") from None
            if len(words) != rows * 8 or not unpacker.eof:
                raise self.fail(start, f"{rows} rows in the column {name}, found {len(words) // 8} or more")
            part = array("q")
            part.frombytes(words)
            if sys.byteorder == "big":
                part.byteswap()
            column.extend(part)
