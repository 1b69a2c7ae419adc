"""Makes a screenshot's PNG small: a palette of 256 colours, of which one is near each of the picture's."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

HEADER = struct.Struct(">IIBBBBB")
EXACT = 64
MAGIC = b"\x89PNG\r\n\x1a\n"


def parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and contents of a PNG's chunks."""
    at = len(MAGIC)
    while at < len(data):
        (long,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + long]
        at += 12 + long


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def unfiltered(raw: bytes, wide: int, step: int) -> list[bytes]:
    """Return the rows of a picture of ``step`` bytes a pixel; how a row is filtered stands before it (PNG, 9.2)."""
    rows: list[bytes] = []
    before, long = bytearray(wide * step), wide * step
    for at in range(0, len(raw), long + 1):
        kind, row = raw[at], bytearray(raw[at + 1 : at + 1 + long])
        for x in range(long if kind else 0):
            a, b = row[x - step] if x >= step else 0, before[x]
            c = before[x - step] if x >= step else 0
            if kind == 4:
                far = [abs(b - c), abs(a - c), abs(a + b - 2 * c)]
                guess = (a, b, c)[far.index(min(far))]
            else:
                guess = (0, a, b, (a + b) // 2)[kind]
            row[x] = (row[x] + guess) & 255
        rows.append(bytes(row))
        before = row
    return rows


def far(one: bytes, other: bytes) -> int:
    """Return by how much two colours differ in the channel in which they differ most."""
    return max(abs(one[0] - other[0]), abs(one[1] - other[1]), abs(one[2] - other[2]))


def palette_of(count: Counter[bytes]) -> list[bytes]:
    """Return at most 256 colours such that every one of a picture is near one of them; the commonest are all there."""
    for reach in range(0, 256, 4):
        out: list[bytes] = []
        for colour, _ in count.most_common():
            if len(out) < EXACT or all(far(colour, known) > reach for known in out):
                out.append(colour)
                if len(out) > 256:
                    break
        if len(out) <= 256:
            return out
    raise AssertionError("one colour is near all")


def small(data: bytes) -> bytes:
    """Return a PNG of 8 bits a channel, without holes, as one of a palette. Errors: ValueError for other kinds."""
    found = list(parts(data))
    wide, high, depth, kind, _, _, laced = HEADER.unpack(found[0][1])
    if depth != 8 or kind not in (2, 6) or laced:
        raise ValueError(f"a PNG of depth {depth}, colour type {kind}, interlace {laced}: expected 8, 2 or 6, 0")
    step = 3 if kind == 2 else 4
    raw = zlib.decompress(b"".join(content for name, content in found if name == b"IDAT"))
    pixels = [[row[x : x + 3] for x in range(0, len(row), step)] for row in unfiltered(raw, wide, step)]
    count = Counter(pixel for row in pixels for pixel in row)
    palette = palette_of(count)
    place = {colour: n for n, colour in enumerate(palette)}
    for colour in count:
        if colour not in place:
            place[colour] = min(range(len(palette)), key=lambda n: far(palette[n], colour))
    body = zlib.compress(b"".join(b"\0" + bytes(place[pixel] for pixel in row) for row in pixels), 9)
    return b"".join([
        MAGIC, chunk(b"IHDR", HEADER.pack(wide, high, 8, 3, 0, 0, 0)), chunk(b"PLTE", b"".join(palette)),
        chunk(b"IDAT", body), chunk(b"IEND", b""),
    ])  # fmt: skip
