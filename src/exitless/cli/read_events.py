"""The rows of a recording for CSV or Parquet: one row an event, with the columns of the record. Units: time in ps.

Rows are kept in a temporary file until the recording has been read, because only then all machines have their names.
"""

import tempfile
from array import array
from collections.abc import Iterator
from typing import Final

from exitless.cli.row_files import TEXT, WHOLE, Columns
from exitless.errors import TraceError
from exitless.record.columns import Columns as Block
from exitless.record.columns import unpacked
from exitless.traces.reader import LOST, Reader
from exitless.vocab.kinds import Kind
from exitless.vocab.table import BY_KIND

# The columns of a record, then names beside its numbers: the event's, its vCPU's, the exit reason's.
NUMBERS: Final = ("time_ps", "kind", "pcpu", "vcpu", "a", "b")
NAMES: Final = ("event", "vm_vcpu", "exit_reason")
COLUMNS: Final[Columns] = dict.fromkeys(NUMBERS, WHOLE) | dict.fromkeys(NAMES, TEXT)
WIDTH: Final = len(NUMBERS)
BLOCK: Final = 65_536

Named = tuple[int, int, int, int, int, int, str, str, str]


class Events:
    """The rows of one recording, kept until they are written."""

    def __init__(self) -> None:
        self.kept = array("q")
        self.file = tempfile.TemporaryFile()
        self.count = 0

    def block(self, columns: Block) -> None:
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
