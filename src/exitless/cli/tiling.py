"""Makes large recordings of small ones: the same events again and again, each time later, for measuring readers."""

import struct
from collections.abc import Iterator
from typing import Final

from exitless.cli.output import open_whole
from exitless.errors import TraceError
from exitless.traces.opening import open_source
from exitless.traces.reader import reader_of
from exitless.traces.trace_dat import TraceDat
from exitless.traces.xentrace import Xentrace

FLYRECORD: Final = b"flyrecord\0"
GAP: Final = 1000
LIMIT: Final = 2**62
ALL_DONE: Final = 2**64 - 1


class Tile:
    """A small recording that is read whole: its events, its bytes. Errors: TraceError, for one that cannot be tiled."""

    def __init__(self, path: str) -> None:
        with open_source(path) as source:
            reader = reader_of(source)
            if not isinstance(reader, TraceDat | Xentrace):
                raise TraceError(f"{path}: cannot be tiled; expected a trace.dat or an xentrace recording")
            for _ in reader.blocks():
                pass
            self.events = reader.events
            self.data = source.read_at(0, source.size)
            self.xen = isinstance(reader, Xentrace)
            self.svm = isinstance(reader, Xentrace) and reader.vendor() == "svm"
            self.parts: list[tuple[int, int]] = []
            self.span = GAP
            if isinstance(reader, TraceDat):
                self._pages(path, reader)
            else:
                self._windows()

    def _pages(self, path: str, reader: TraceDat) -> None:
        """Find the pages of every pCPU, and how much time they cover."""
        layout = reader.layout
        if layout.version != 6 or len(layout.buffers) != 1 or layout.page.order != "<":
            raise TraceError(
                f"{path}: cannot be tiled; expected a little-endian trace.dat of version 6 with one buffer (trace-cmd "
                "convert --file-version 6)"
            )
        self.page = layout.page.size
        self.parts = [(part.offset, part.size) for part in layout.buffers[0].parts]
        if any(size % self.page for _, size in self.parts):
            raise TraceError(f"{path}: cannot be tiled; expected pCPUs with whole pages")
        firsts = [int(part.first) for part in reader.parts if part.first >= 0]
        self.span += max(int(part.last) for part in reader.parts) - min(firsts)

    def _windows(self) -> None:
        """Find the time stamps of an xentrace recording."""
        at, first, last = 0, LIMIT, 0
        self.stamps: list[int] = []
        while at + 4 <= len(self.data):
            (word,) = struct.unpack_from("<I", self.data, at)
            if word >> 31:
                (ticks,) = struct.unpack_from("<Q", self.data, at + 4)
                if 0 < ticks < ALL_DONE:
                    self.stamps.append(at + 4)
                    first, last = min(first, ticks), max(last, ticks)
            at += 4 + 8 * (word >> 31) + 4 * (word >> 28 & 7)
        self.span += max(0, last - first)

    def copies(self, events: int) -> int:
        """Return how many times over makes that many events."""
        return max(1, -(-events // self.events))

    def write(self, path: str, copies: int) -> int:
        """Write the recording so many times over; returns its events."""
        with open_whole(path) as out:
            for piece in self._xen(copies) if self.xen else self._linux(copies):
                out.write(piece)
        return copies * self.events

    def _linux(self, copies: int) -> Iterator[bytes]:
        """Hand out a trace.dat: its head with new places, then every pCPU's pages, copy after copy."""
        head = bytearray(self.data[: min(offset for offset, size in self.parts if size)])
        table, place = head.rindex(FLYRECORD) + len(FLYRECORD), len(head)
        for k, (_, size) in enumerate(self.parts):
            struct.pack_into("<QQ", head, table + 16 * k, place, size * copies)
            place += size * copies
        yield bytes(head)
        for offset, size in self.parts:
            pages = bytearray(self.data[offset : offset + size])
            for _ in range(copies):
                yield bytes(pages)
                for at in range(0, size, self.page):
                    (stamp,) = struct.unpack_from("<Q", pages, at)
                    struct.pack_into("<Q", pages, at, stamp + self.span)

    def _xen(self, copies: int) -> Iterator[bytes]:
        """Hand out the windows of an xentrace recording, copy after copy."""
        windows = bytearray(self.data)
        for _ in range(copies):
            yield bytes(windows)
            for at in self.stamps:
                (ticks,) = struct.unpack_from("<Q", windows, at)
                struct.pack_into("<Q", windows, at, ticks + self.span)
