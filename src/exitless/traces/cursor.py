"""Walks through a recording's own tables: numbers, texts and blocks, each with a limit, each missing one told."""

import struct
from typing import Final, Protocol

from exitless.errors import TraceError

MOST_TEXT: Final = 4096
MOST_BLOCK: Final = 128 << 20


class Bytes(Protocol):
    """Bytes that can be read at any place."""

    name: str
    size: int

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``."""


class Memory:
    """Bytes in memory, such as an unpacked section; ``name`` says what they are."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.size = len(data)
        self._data = data

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``."""
        return self._data[offset : offset + count]


class Cursor:
    """A place in some bytes. ``order`` is ``<`` or ``>``. Errors: TraceError, when they end too early."""

    def __init__(self, source: Bytes, at: int = 0, order: str = "<", end: int = -1) -> None:
        self.source = source
        self.at = at
        self.order = order
        self.end = source.size if end < 0 else min(end, source.size)

    def left(self) -> int:
        """Return how many bytes follow."""
        return self.end - self.at

    def block(self, count: int, what: str) -> bytes:
        """Take ``count`` bytes."""
        if not 0 <= count <= self.end - self.at:
            raise TraceError(
                f"{self.source.name}: ends at offset {self.end} within {what}, which should have {count} bytes from "
                f"offset {self.at}"
            )
        if count > MOST_BLOCK:
            raise TraceError(
                f"{self.source.name}: says at offset {self.at} that {what} has {count} bytes; expected at most "
                f"{MOST_BLOCK >> 20} MiB"
            )
        data = self.source.read_at(self.at, count)
        if len(data) < count:
            raise TraceError(f"{self.source.name}: ends at offset {self.at + len(data)} within {what}")
        self.at += count
        return data

    def skip(self, count: int, what: str) -> None:
        """Go past ``count`` bytes."""
        if not 0 <= count <= self.end - self.at:
            raise TraceError(
                f"{self.source.name}: ends at offset {self.end} within {what}, which should have {count} bytes from "
                f"offset {self.at}"
            )
        self.at += count

    def numbers(self, layout: str, what: str) -> tuple[int, ...]:
        """Take numbers, laid out as for :mod:`struct`."""
        layout = self.order + layout
        return struct.unpack(layout, self.block(struct.calcsize(layout), what))

    def number(self, letter: str, what: str) -> int:
        """Take one number."""
        return self.numbers(letter, what)[0]

    def text(self, what: str) -> str:
        """Take a text that ends with a zero byte."""
        data = self.source.read_at(self.at, min(MOST_TEXT, self.left()))
        end = data.find(b"\0")
        if end < 0:
            raise TraceError(
                f"{self.source.name}: {what} at offset {self.at} does not end within {MOST_TEXT} bytes; expected a "
                "zero byte"
            )
        self.at += end + 1
        return data[:end].decode("utf-8", "replace")
