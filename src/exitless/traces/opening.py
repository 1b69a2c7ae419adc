"""Opens a recording: a file, a pipe or standard input, packed with xz, gzip or zstd or not, told by its first bytes.

Whoever reads a recording sees a :class:`Source`: its first bytes, its size, and ``read_at``. What cannot be read at any
place (a pipe, a packed file) is unpacked once into a temporary file, and only after its head has been looked at.
"""

import importlib
import io
import lzma
import os
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, Final

from exitless.errors import TraceError

HEAD: Final = 65536
CHUNK: Final = 65536
SLICE: Final = 256
IN_MEMORY: Final = 32 << 20
MOST_UNPACKED: Final = 16 << 30
XZ_MEMORY: Final = 512 << 20

XZ: Final = b"\xfd7zXZ\x00"
GZIP: Final = b"\x1f\x8b\x08"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
# Frames that hold no data.
ZSTD_SKIPPED: Final = tuple(bytes([n]) + b"\x2a\x4d\x18" for n in range(0x50, 0x60))


class Source:
    """The bytes of one recording.

    ``head`` holds its first bytes, unpacked; ``packed`` names the packing (``""`` for none); ``problem`` is a sentence
    when a packed stream was damaged and only what came before the damage can be read. ``tick`` is told how many of a
    stream's ``length`` bytes (0: unknown) have been unpacked.
    """

    def __init__(self, name: str, file: BinaryIO, first: bytes) -> None:
        self.name = name
        self._feed = Feed(first, file)
        seekable = file is not sys.stdin.buffer and file.seekable()
        self.packed, parts = _unpacked(name, self._feed, seekable)
        self.problem = ""
        self.size = 0
        self.length = _length(file)
        self.tick: Callable[[int], None] = lambda taken: None
        self._file = file
        self._kept: BinaryIO | None = None
        self._parts = None if parts is None else self._guarded(parts)
        self.head = self._first()

    def _first(self) -> bytes:
        """Read the head."""
        if self._parts is None:
            self._file.seek(0)
            head = self._file.read(HEAD)
            self.size = self._file.seek(0, io.SEEK_END)
            return head
        head = b""
        for part in self._parts:
            head += part
            if len(head) >= HEAD:
                break
        return head

    def _guarded(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Hand out a stream's parts; damage ends it and is kept as the problem, with where in the file it is."""
        try:
            yield from parts
        except EOFError:
            self.problem = (
                f"{self.name}: the {self.packed} file itself ends early, at offset {self._feed.taken} within its "
                "stream; expected the rest of it"
            )
        except OSError as broken:
            self.problem = f"{self.name}: cannot be read on after offset {self._feed.taken}: {_said(broken)}"
        except Exception as broken:
            if not isinstance(broken, (lzma.LZMAError, zlib.error, MemoryError)) and not _is_zstd(broken):
                raise
            self.problem = (
                f"{self.name}: the {self.packed} stream is damaged before offset {self._feed.taken} of the file; "
                f"expected one that can be unpacked ({_said(broken)})"
            )

    def settle(self) -> None:
        """Make every byte readable at any place. Errors: TraceError, when there are too many bytes."""
        if self._parts is None or self._kept is not None:
            return
        kept: Any = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)
        self._kept = kept
        kept.write(self.head)
        self.size = len(self.head)
        for part in self._parts:
            self.size += len(part)
            self.tick(self._feed.taken)
            if self.size > MOST_UNPACKED:
                limit = MOST_UNPACKED >> 30
                raise TraceError(f"{self.name}: unpacks to more than {limit} GiB; unpack and cut it first")
            try:
                kept.write(part)
            except OSError as problem:
                raise TraceError(f"{self.name}: no room for the unpacked recording: {problem.strerror}") from None

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to ``count`` bytes from ``offset``; fewer at the end."""
        self.settle()
        file = self._file if self._kept is None else self._kept
        try:
            file.seek(offset)
            return file.read(count)
        except OSError as problem:
            raise TraceError(f"{self.name}: cannot be read at offset {offset}: {problem.strerror}") from None

    def close(self) -> None:
        """Give back the files."""
        if self._kept is not None:
            self._kept.close()
        if self._file is not sys.stdin.buffer:
            self._file.close()

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def _said(problem: BaseException) -> str:
    return " ".join(str(problem).split()) or type(problem).__name__


def _length(file: BinaryIO) -> int:
    """Return how many bytes a file has, 0 where that is not known, as of a pipe."""
    try:
        return os.fstat(file.fileno()).st_size
    except OSError:
        return 0


def _is_zstd(problem: BaseException) -> bool:
    """Tell whether an error is zstd's, whichever package raises it."""
    return type(problem).__name__ == "ZstdError"


class Feed:
    """The bytes of a stream that cannot be read twice, beginning with what was taken from it: ``taken`` so far."""

    def __init__(self, first: bytes, file: BinaryIO) -> None:
        self.first = first
        self._file = file
        self.taken = 0

    def __iter__(self) -> Iterator[bytes]:
        part = self.first
        while part:
            self.taken += len(part)
            yield part
            part = self._file.read(CHUNK)


def _streams(make: Callable[[], Any], parts: Iterable[bytes], magics: tuple[bytes, ...]) -> Iterator[bytes]:
    """Unpack one or more streams that stand one after another, never more than a chunk at a time."""
    unpack: Any = None
    waiting = b""
    for part in parts:
        waiting += part
        while True:
            if unpack is None:
                waiting = waiting.lstrip(b"\x00")
                if len(waiting) < len(magics[0]):
                    break
                if not waiting.startswith(magics):
                    return
                unpack = make()
            out = unpack.decompress(waiting, CHUNK)
            waiting = getattr(unpack, "unconsumed_tail", b"")
            if unpack.eof:
                waiting, unpack = unpack.unused_data, None
            elif not out:
                break
            if out:
                yield out
    if unpack is not None:
        raise EOFError


def _zstd_module(name: str, otherwise: str) -> Any:
    """Find zstd in the standard library where it has it, else the package ``zstandard``. Errors: TraceError."""
    for module in ("compression.zstd", "zstandard"):
        try:
            return importlib.import_module(module)
        except ImportError:
            continue
    raise TraceError(
        f"{name}: is packed with zstd, which needs the package zstandard: pip install 'exitless[zstd]', {otherwise}"
    )


class Unpacker:
    """Unpacks pieces that stand within a recording, packed by ``zlib`` or ``zstd``. Errors: TraceError, for others."""

    def __init__(self, name: str, packing: str, otherwise: str = "or record without compression") -> None:
        self._zstd: Any = None
        self._going: Any = None
        if packing == "zstd":
            self._zstd = _zstd_module(name, otherwise)
        elif packing != "zlib":
            raise TraceError(f"{name}: its parts are packed with {packing!r}; expected none, zlib or zstd")

    def stream(self) -> Any:
        """Return an object whose ``decompress`` unpacks one stream, part by part."""
        if self._zstd is None:
            return zlib.decompressobj()
        return self._zstd.ZstdDecompressor() if hasattr(self._zstd, "ZstdFile") else _ZstdStream(self._zstd)

    def more(self, data: bytes, size: int) -> bytes | None:
        """Unpack what follows of streams that go on from piece to piece, at most ``size`` bytes; None for damage."""
        out = b""
        try:
            while data and len(out) < size:
                if self._going is None or self._going.eof:
                    self._going = self.stream()
                out += self._going.decompress(data, size - len(out))
                data = self._going.unused_data if self._going.eof else b""
        except Exception as broken:
            if not isinstance(broken, (zlib.error, EOFError, MemoryError)) and not _is_zstd(broken):
                raise
            self._going = None
            return None
        return out[:size]

    def unpack(self, data: bytes, size: int) -> bytes:
        """Unpack one piece that should have ``size`` bytes; nothing if it is damaged."""
        self._going = None
        return self.more(data, size) or b""


class _ZstdStream:
    """The package ``zstandard`` with the interface of the standard library, as far as it is needed here.

    It is fed a few bytes at a time, since what they unpack to has no other limit.
    """

    unconsumed_tail = b""

    def __init__(self, module: Any) -> None:
        self._stream = module.ZstdDecompressor().decompressobj()
        self.eof = False
        self.unused_data = b""

    def decompress(self, data: bytes, size: int) -> bytes:
        """Unpack what follows, ``size`` bytes or some more; what was not looked at is ``unconsumed_tail``."""
        out, at = bytearray(), 0
        while at < len(data) and len(out) < size and not self.eof:
            out += self._stream.decompress(data[at : at + SLICE])
            at += SLICE
            self.eof = self._stream.eof
        self.unconsumed_tail = data[at:]
        if self.eof:
            self.unused_data = self._stream.unused_data + data[at:]
        return bytes(out)


def _unpacked(name: str, feed: Feed, seekable: bool) -> tuple[str, Iterator[bytes] | None]:
    """Choose the unpacker by the first bytes; None for a plain file that can be read at any place."""
    first = feed.first
    if first.startswith(XZ):
        return "xz", _streams(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY), feed, (XZ,))
    if first.startswith(GZIP):
        return "gzip", _streams(lambda: zlib.decompressobj(31), feed, (GZIP,))
    if first.startswith((ZSTD, *ZSTD_SKIPPED)):
        unpacker = Unpacker(name, "zstd", "or unpack the file with zstd -d first")
        return "zstd", _streams(unpacker.stream, feed, (ZSTD, *ZSTD_SKIPPED))
    return "", None if seekable else iter(feed)


def open_source(path: str) -> Source:
    """Open the recording at ``path``, or standard input for ``-``.

    Errors: TraceError in one sentence when there is nothing to read, or what packs it cannot be unpacked.
    """
    name = "standard input" if path == "-" else path
    try:
        file: BinaryIO = sys.stdin.buffer if path == "-" else open(path, "rb")
        first = file.read(CHUNK)
    except OSError as problem:
        raise TraceError(f"{name}: cannot be read: {(problem.strerror or str(problem)).lower()}") from None
    except ValueError:
        raise TraceError(f"{name!r} is no file name") from None
    if not first:
        raise TraceError(f"{name}: is empty; expected a recording")
    source = Source(name, file, first)
    if not source.head:
        raise TraceError(source.problem or f"{name}: unpacks to nothing; expected a recording")
    return source
