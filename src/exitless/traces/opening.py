"""Opens a recording: a file, a pipe or standard input, packed with xz, gzip or zstd or not, told by its first bytes.

Whoever reads a recording sees a :class:`Source`: its first bytes, its size, and ``read_at``. What cannot be read at any
place (a pipe, a packed file) is unpacked once into a temporary file, and only after its head has been looked at.
"""

import importlib
import io
import lzma
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
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


class Source:
    """The bytes of one recording.

    ``head`` holds its first bytes, unpacked; ``packed`` names the packing (``""`` for none); ``problem`` is a sentence
    when a packed stream was damaged and only what came before the damage can be read.
    """

    def __init__(self, name: str, file: BinaryIO, packed: str, parts: Iterator[bytes] | None) -> None:
        self.name = name
        self.packed = packed
        self.problem = ""
        self.size = 0
        self._file = file
        self._kept: BinaryIO | None = None
        self._parts = None if parts is None else self._guarded(parts)
        self.head = self._first()

    def _first(self) -> bytes:
        """Read the head."""
        if self._parts is None:
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
        """Hand out a stream's parts; damage ends it and is kept as the problem."""
        try:
            yield from parts
        except (EOFError, lzma.LZMAError, zlib.error, OSError, MemoryError) as broken:
            self.problem = f"{self.name}: the {self.packed or 'input'} stream is damaged or cut short ({_said(broken)})"
        except Exception as broken:
            if type(broken).__name__ != "ZstdError":
                raise
            self.problem = f"{self.name}: the zstd stream is damaged or cut short ({_said(broken)})"

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


def _raw(first: bytes, file: BinaryIO) -> Iterator[bytes]:
    """Hand out a stream that cannot be read twice, beginning with what was already taken from it."""
    part = first
    while part:
        yield part
        part = file.read(CHUNK)


def _streams(make: Callable[[], Any], parts: Iterator[bytes], magic: bytes) -> Iterator[bytes]:
    """Unpack one or more streams that stand one after another, never more than a chunk at a time."""
    unpack: Any = None
    waiting = b""
    for part in parts:
        waiting += part
        while True:
            if unpack is None:
                waiting = waiting.lstrip(b"\x00")
                if len(waiting) < len(magic):
                    break
                if not waiting.startswith(magic):
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
        raise EOFError("its end is missing")


class _Parts(io.RawIOBase):
    """A readable file made of parts, for a library that wants a file."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with what comes next."""
        if not self._rest:
            self._rest = next(self._parts, b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


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


def _zstd(name: str, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack a stream of zstd."""
    file = io.BufferedReader(_Parts(parts))
    zstd = _zstd_module(name, "or unpack the file with zstd -d first")
    stream: Any
    if hasattr(zstd, "ZstdFile"):
        stream = zstd.ZstdFile(file)
    else:
        stream = zstd.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    while part := stream.read(CHUNK):
        yield part


class Unpacker:
    """Unpacks pieces that stand within a recording, packed by ``zlib`` or ``zstd``. Errors: TraceError, for others."""

    def __init__(self, name: str, packing: str, otherwise: str = "or record without compression") -> None:
        self._zstd: Any = None
        if packing == "zstd":
            self._zstd = _zstd_module(name, otherwise)
        elif packing != "zlib":
            raise TraceError(f"{name}: its parts are packed with {packing!r}; expected none, zlib or zstd")

    def stream(self) -> Any:
        """Return an object whose ``decompress`` unpacks one stream, part by part."""
        if self._zstd is None:
            return zlib.decompressobj()
        return self._zstd.ZstdDecompressor() if hasattr(self._zstd, "ZstdFile") else _ZstdStream(self._zstd)

    def feed(self, stream: Any, data: bytes, size: int) -> bytes | None:
        """Unpack what follows of a stream, at most ``size`` bytes; None when it is damaged."""
        try:
            return bytes(stream.decompress(data, size))
        except Exception as broken:
            if not isinstance(broken, (zlib.error, EOFError, MemoryError)) and type(broken).__name__ != "ZstdError":
                raise
            return None

    def unpack(self, data: bytes, size: int) -> bytes:
        """Unpack one piece that should have ``size`` bytes; nothing if it is damaged."""
        return self.feed(self.stream(), data, size) or b""


class _ZstdStream:
    """The package ``zstandard`` with the interface of the standard library, as far as it is needed here.

    It is fed a few bytes at a time, since what they unpack to has no other limit.
    """

    def __init__(self, module: Any) -> None:
        self._new = module.ZstdDecompressor().decompressobj
        self._stream = self._new()

    def decompress(self, data: bytes, size: int) -> bytes:
        """Unpack what follows, at most ``size`` bytes."""
        out = bytearray()
        while data and len(out) < size:
            if self._stream.eof:
                self._stream = self._new()
            out += self._stream.decompress(data[:SLICE])
            data = self._stream.unused_data + data[SLICE:] if self._stream.eof else data[SLICE:]
        return bytes(out[:size])


def _unpacked(name: str, file: BinaryIO, first: bytes) -> tuple[str, Iterator[bytes] | None]:
    """Choose the unpacker by the first bytes; None for a plain file that can be read at any place."""
    parts = _raw(first, file)
    if first.startswith(XZ):
        return "xz", _streams(lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_MEMORY), parts, XZ)
    if first.startswith(GZIP):
        return "gzip", _streams(lambda: zlib.decompressobj(31), parts, GZIP)
    if first.startswith(ZSTD):
        return "zstd", _zstd(name, parts)
    if file is not sys.stdin.buffer and file.seekable():
        file.seek(0)
        return "", None
    return "", parts


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
    source = Source(name, file, *_unpacked(name, file, first))
    if not source.head:
        raise TraceError(source.problem or f"{name}: unpacks to nothing; expected a recording")
    return source
