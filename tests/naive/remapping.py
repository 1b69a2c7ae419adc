"""A second, slow remapping unit: requests and entries as whole numbers, bit by bit. VT-d 5.1, 5.2, 9.9 to 9.11.

It shares nothing with the package. What the specification leaves open is answered as the package's defaults answer it.
"""

IGNORED = {0: 0, 1: 0b100, 2: 0b110, 3: 0b111}


class Blocked(Exception):  # noqa: N818
    """The request is blocked: the fault reason, and whether it is recorded."""

    def __init__(self, reason: int, recorded: bool = True) -> None:
        super().__init__(reason, recorded)
        self.reason, self.recorded = reason, recorded


def bits(value: int, high: int, low: int) -> int:
    """Return bits ``high`` down to ``low``."""
    return value >> low & (1 << high - low + 1) - 1


def reserved(entry: int) -> bool:
    """9.9, 9.10: whether a bit is set that no field of the entry's format has."""
    if bits(entry, 15, 15):
        spans = [(7, 2), (13, 12), (37, 24), (95, 84)]
    else:
        spans = [(14, 12), (31, 24), (127, 84)]
    return any(bits(entry, high, low) for high, low in spans)


def may_use(entry: int, sid: int) -> bool:
    """9.9: source validation."""
    kind, mine = bits(entry, 83, 82), bits(entry, 79, 64)
    if kind == 0:
        return True
    if kind == 1:
        mask = 0xFFFF & ~IGNORED[bits(entry, 81, 80)]
        return sid & mask == mine & mask
    return kind == 2 and mine >> 8 <= sid >> 8 <= mine & 0xFF


def request(table: list[int], enabled: bool, eime: bool, cfis: bool, address: int, data: int, sid: int) -> tuple:
    """One interrupt request. Returns: what becomes of it, with the fields of the message or of the post."""
    passed = (
        "forward", bits(data, 7, 0), bits(address, 19, 12), bits(address, 3, 3), bits(address, 2, 2),
        bits(data, 10, 8), bits(data, 15, 15),
    )  # fmt: skip
    if not enabled:  # 1
        return passed
    if not bits(address, 4, 4):  # 2
        if eime or not cfis:
            raise Blocked(0x25)
        return passed
    shv = bits(address, 3, 3)
    if data >> 16 if shv else data:  # 3
        raise Blocked(0x20)
    index = bits(address, 19, 5) + (bits(address, 2, 2) << 15) + (data if shv else 0)
    if index >= len(table):  # 4
        raise Blocked(0x21)
    entry = table[index]
    recorded = not bits(entry, 1, 1)
    if not bits(entry, 0, 0):  # 5
        raise Blocked(0x22, recorded)
    if reserved(entry):
        raise Blocked(0x24, recorded)
    if not may_use(entry, sid):
        raise Blocked(0x26, recorded)
    if bits(entry, 15, 15):  # 7
        return "post", bits(entry, 23, 16), bits(entry, 14, 14)
    destination = bits(entry, 63, 32) if eime else bits(entry, 47, 40)
    return (
        "remap", bits(entry, 23, 16), destination, bits(entry, 3, 3), bits(entry, 2, 2), bits(entry, 7, 5),
        bits(entry, 4, 4),
    )  # fmt: skip


def post(descriptor: int, vector: int, urgent: bool) -> tuple[int, tuple[int, int] | None]:
    """5.2.3 on a descriptor of 512 bits. Returns: the descriptor after, and NV with NDST where it notifies."""
    on, sn = bits(descriptor, 256, 256), bits(descriptor, 257, 257)
    told = bits(descriptor, 279, 272), bits(descriptor, 319, 288)
    descriptor |= 1 << vector
    if on or (sn and not urgent):
        return descriptor, None
    return descriptor | 1 << 256, told
