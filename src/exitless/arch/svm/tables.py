"""AVIC's tables: from guest APIC IDs, physical and logical, to backing pages and cores. APM vol. 2, 15.29.5."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import shl, zeros

PAGE_WORDS: Final = 1024
PHYSICAL_LAYOUT: Final[list[tuple[str, int, int]]] = [
    ("host_id", 0, 12), ("backing", 12, 40), ("running", 62, 1), ("valid", 63, 1),
]  # fmt: skip
LOGICAL_LAYOUT: Final[list[tuple[str, int, int]]] = [("guest_id", 0, 8), ("valid", 31, 1)]


class PhysicalEntry:
    """One entry of the physical APIC ID table. ``backing`` is the backing page's number (address bits 51:12), 0 for a
    pointer that is not legal; ``host_id`` means something while ``running`` is 1: a core is assigned, be it in its
    guest or in host mode. ``logged`` is bit 61, in which KVM shadows GALogIntr. Cites: APM avic.tables
    """

    def __init__(self) -> None:
        self.valid: i64 = 0
        self.running: i64 = 0
        self.backing: i64 = 0
        self.host_id: i64 = 0
        self.logged: i64 = 0


class LogicalEntry:
    """One entry of the logical APIC ID table: the guest physical ID of the one with this logical ID.

    Cites: APM avic.tables
    """

    def __init__(self) -> None:
        self.valid: i64 = 0
        self.guest_id: i64 = 0


class Backing:
    """One backing page: the registers of a guest's APIC, as on a virtual-APIC page.

    Shapes: ``words`` 1,024 doublewords. Cites: APM avic.tables
    """

    def __init__(self) -> None:
        self.words: vec[i64] = zeros(PAGE_WORDS)


class Tables:
    """The tables of one guest.

    Shapes: ``physical`` one entry a guest APIC ID; ``logical`` 8 entries in the flat model, 60 in the cluster model;
    ``pages`` the memory that backing-page numbers name, by number. Cites: APM avic.tables
    """

    def __init__(self, ids: i64) -> None:
        self.physical: list[PhysicalEntry] = []
        self.logical: list[LogicalEntry] = []
        self.pages: list[Backing] = []
        i: i64 = 0
        while i < ids:
            self.physical.append(PhysicalEntry())
            i += 1
        i = 0
        while i < 60:
            self.logical.append(LogicalEntry())
            i += 1


def pack_physical(entry: PhysicalEntry) -> vec[i64]:
    """Return a physical entry as two 32-bit words, low first. Cites: APM avic.tables"""
    words: vec[i64] = zeros(2)
    words[0] = entry.host_id + shl(entry.backing & 1048575, 12)
    words[1] = (entry.backing >> 20) + shl(entry.logged, 29) + shl(entry.running, 30) + shl(entry.valid, 31)
    return words


def unpack_physical(words: vec[i64]) -> PhysicalEntry:
    """Take two 32-bit words apart. Cites: APM avic.tables"""
    out: PhysicalEntry = PhysicalEntry()
    out.host_id = words[0] & 4095
    out.backing = (words[0] >> 12) + shl(words[1] & 1048575, 20)
    out.logged = (words[1] >> 29) & 1
    out.running = (words[1] >> 30) & 1
    out.valid = (words[1] >> 31) & 1
    return out


def pack_logical(entry: LogicalEntry) -> i64:
    """Return a logical entry as 32 bits. Cites: APM avic.tables"""
    return entry.guest_id + shl(entry.valid, 31)


def unpack_logical(word: i64) -> LogicalEntry:
    """Take 32 bits apart. Cites: APM avic.tables"""
    out: LogicalEntry = LogicalEntry()
    out.guest_id = word & 255
    out.valid = (word >> 31) & 1
    return out


def logical_index(cluster: i64, member: i64, flat: bool) -> i64:
    """Return the index of a logical ID's entry: the bit in the flat model, cluster times 4 plus the bit otherwise.

    Cites: APM avic.tables
    """
    if flat:
        return member
    return shl(cluster, 2) + member
