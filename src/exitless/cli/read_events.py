"""Writes the rows of a recording as CSV or Parquet: one row an event, with the columns of the record.

Rows are kept in a temporary file until the recording has been read, because only then all machines have their names.
"""

import csv
import importlib
import io
import tempfile
from array import array
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from exitless.errors import TraceError
from exitless.record.columns import Columns, unpacked
from exitless.traces.reader import LOST, Reader
from exitless.vocab.kinds import Kind
from exitless.vocab.table import BY_KIND

# The columns of a record, then names beside its numbers: the event's, its vCPU's, the exit reason's.
NUMBERS: Final = ("time_ps", "kind", "pcpu", "vcpu", "a", "b")
NAMES: Final = ("event", "vm_vcpu", "exit_reason")
COLUMNS: Final = NUMBERS + NAMES
WIDTH: Final = len(NUMBERS)
BLOCK: Final = 65_536

Named = tuple[int, int, int, int, int, int, str, str, str]


class Events:
    """The rows of one recording, kept until they are written."""

    def __init__(self) -> None:
        self.kept = array("q")
        self.file = tempfile.TemporaryFile()
        self.count = 0

    def block(self, columns: Columns) -> None:
        """Take a block of rows."""
        kept, rows = self.kept, unpacked(columns)
        for row in rows:
            kept.extend(row)
        self.count += len(rows)
        if len(kept) > BLOCK * WIDTH:
            self._flush()

    def _flush(self) -> None:
        try:
            self.file.write(self.kept.tobytes())
        except OSError as problem:
            raise TraceError(f"no room for the recording's rows: {problem.strerror}") from None
        del self.kept[:]

    def blocks(self, reader: Reader) -> Iterator[list[Named]]:
        """Hand all rows out again, with their names, a block at a time."""
        self._flush()
        self.file.seek(0)
        vcpus = [vcpu.name() for vcpu in reader.vcpus]
        kinds = {kind: row.name for kind, row in BY_KIND.items()} | {LOST: "lost"}
        while data := self.file.read(BLOCK * WIDTH * 8):
            numbers = array("q")
            numbers.frombytes(data)
            block: list[Named] = []
            for at in range(0, len(numbers), WIDTH):
                time, kind, pcpu, vcpu, a, b = numbers[at : at + WIDTH]
                name = vcpus[vcpu] if 0 <= vcpu < len(vcpus) else ""
                reason = reader.exit_name(a) if kind == Kind.VM_EXIT else ""
                block.append((time, kind, pcpu, vcpu, a, b, kinds.get(kind, ""), name, reason))
            yield block

    def close(self) -> None:
        """Give back the file."""
        self.file.close()


def write_csv(out: BinaryIO, events: Events, reader: Reader) -> None:
    """Write a heading and one line an event. Units: time in ps."""
    text = io.TextIOWrapper(out, "utf-8", newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(COLUMNS)
    for block in events.blocks(reader):
        lines.writerows(block)
    text.flush()
    text.detach()


def parquet_library() -> str:
    """Name the package that can write Parquet. Errors: TraceError, when neither pyarrow nor polars is installed."""
    for name in ("pyarrow", "polars"):
        try:
            importlib.import_module(name)
            return name
        except ImportError:
            continue
    raise TraceError(
        "--parquet needs the package pyarrow or polars: pip install 'exitless[parquet]'; --csv needs neither"
    )


def write_parquet(out: BinaryIO, events: Events, reader: Reader) -> None:
    """Write one row an event. Units: time in ps. Errors: TraceError, when no package for it is installed."""
    if parquet_library() == "pyarrow":
        _with_pyarrow(out, events, reader)
    else:
        _with_polars(out, events, reader)


def _columns(block: list[Named]) -> list[tuple[Any, ...]]:
    return list(zip(*block, strict=True)) if block else [()] * len(COLUMNS)


def _with_pyarrow(out: BinaryIO, events: Events, reader: Reader) -> None:
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    types = [arrow.int64()] * WIDTH + [arrow.string()] * len(NAMES)
    schema = arrow.schema(list(zip(COLUMNS, types, strict=True)))
    with parquet.ParquetWriter(out, schema) as writer:
        for block in events.blocks(reader):
            arrays = [arrow.array(column, kind) for column, kind in zip(_columns(block), types, strict=True)]
            writer.write_table(arrow.table(arrays, schema=schema))


def _with_polars(out: BinaryIO, events: Events, reader: Reader) -> None:
    polars: Any = importlib.import_module("polars")
    schema = dict.fromkeys(NUMBERS, polars.Int64) | dict.fromkeys(NAMES, polars.String)
    frames = [polars.DataFrame(schema=schema)]
    for block in events.blocks(reader):
        frames.append(polars.DataFrame(dict(zip(COLUMNS, _columns(block), strict=True)), schema=schema))
    polars.concat(frames).write_parquet(out)
