"""AMD's IOMMU with AVIC: the interrupt-remapping entry in guest mode, and the guest APIC log. APM vol. 2, 15.29.6.2.

The layout follows Linux's driver headers; names of its fields vary between documents.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.choices import Choices
from exitless.arch.svm.evaluate import set_requested
from exitless.arch.svm.tables import Backing
from exitless.bits.words import shl, zeros

GUEST_LAYOUT: Final[list[tuple[str, int, int]]] = [
    ("remap_enable", 0, 1), ("suppress_faults", 1, 1), ("log_interrupt", 2, 1), ("is_running", 6, 1),
    ("guest_mode", 7, 1), ("destination_low", 8, 24), ("tag", 32, 32), ("vector", 64, 8), ("root", 76, 40),
    ("destination_high", 120, 8),
]  # fmt: skip
REMAPPED_LAYOUT: Final[list[tuple[str, int, int]]] = [
    ("remap_enable", 0, 1), ("suppress_faults", 1, 1), ("delivery", 2, 3), ("request_eoi", 5, 1), ("logical", 6, 1),
    ("guest_mode", 7, 1), ("destination_low", 8, 24), ("vector", 64, 8), ("destination_high", 120, 8),
]  # fmt: skip


class GuestIrte:
    """One 128-bit entry. In guest mode ``log_interrupt`` is GALogIntr, ``is_running`` IsRun, ``root`` the number of the
    backing page, ``tag`` the GATag; otherwise ``delivery``, ``request_eoi`` and ``logical`` count. ``destination`` is
    the host APIC ID, 32 bits in two parts. Cites: APM avic.iommu, Linux amd_iommu_types.h irte_ga
    """

    def __init__(self) -> None:
        self.remap_enable: i64 = 0
        self.suppress_faults: i64 = 0
        self.guest_mode: i64 = 0
        self.log_interrupt: i64 = 0
        self.is_running: i64 = 0
        self.delivery: i64 = 0
        self.request_eoi: i64 = 0
        self.logical: i64 = 0
        self.destination: i64 = 0
        self.tag: i64 = 0
        self.vector: i64 = 0
        self.root: i64 = 0


class GuestLog:
    """The guest APIC log, a ring. ``head`` is where software reads, ``tail`` where hardware writes; one place stays
    empty. ``overflowed`` is 1 after a full log dropped an entry. Shapes: ``tags`` one GATag an entry.

    Cites: APM avic.iommu
    """

    def __init__(self, size: i64) -> None:
        self.tags: vec[i64] = zeros(size)
        self.head: i64 = 0
        self.tail: i64 = 0
        self.overflowed: i64 = 0
        self.choices: Choices = Choices()


class Arrived:
    """What the IOMMU owes after it has set a vCPU's IRR bit. Cites: APM avic.iommu

    DOORBELL: to ``destination``. LOGGED: an entry was written, and the host is interrupted. SILENT: neither; the vCPU
    finds it at its next VMRUN. LOST_LOG: the log was full; the host is interrupted and must look at every vCPU.
    """

    SILENT: Final = 0
    DOORBELL: Final = 1
    LOGGED: Final = 2
    LOST_LOG: Final = 3


def pack_guest_irte(irte: GuestIrte) -> vec[i64]:
    """Return an entry as four 32-bit words, lowest first. Cites: Linux amd_iommu_types.h irte_ga"""
    words: vec[i64] = zeros(4)
    words[0] = irte.remap_enable + shl(irte.suppress_faults, 1) + shl(irte.guest_mode, 7)
    words[0] = words[0] + shl(irte.destination & 16777215, 8)
    words[2] = irte.vector
    words[3] = shl(irte.destination >> 24, 24)
    if irte.guest_mode != 0:
        words[0] = words[0] + shl(irte.log_interrupt, 2) + shl(irte.is_running, 6)
        words[1] = irte.tag
        words[2] = words[2] + shl(irte.root & 1048575, 12)
        words[3] = words[3] + (irte.root >> 20)
    else:
        words[0] = words[0] + shl(irte.delivery, 2) + shl(irte.request_eoi, 5) + shl(irte.logical, 6)
    return words


def unpack_guest_irte(words: vec[i64]) -> GuestIrte:
    """Take four 32-bit words apart. Cites: Linux amd_iommu_types.h irte_ga"""
    out: GuestIrte = GuestIrte()
    w: i64 = words[0]
    out.remap_enable = w & 1
    out.suppress_faults = (w >> 1) & 1
    out.guest_mode = (w >> 7) & 1
    out.destination = (w >> 8) + shl(words[3] >> 24, 24)
    out.vector = words[2] & 255
    if out.guest_mode != 0:
        out.log_interrupt = (w >> 2) & 1
        out.is_running = (w >> 6) & 1
        out.tag = words[1]
        out.root = (words[2] >> 12) + shl(words[3] & 1048575, 20)
    else:
        out.delivery = (w >> 2) & 7
        out.request_eoi = (w >> 5) & 1
        out.logical = (w >> 6) & 1
    return out


def request_guest(irte: GuestIrte, backing: Backing) -> bool:
    """The IOMMU sets the vector's IRR bit on the backing page.

    Changes: IRR. Returns: whether it was set already.
    Atomic: one locked operation; what follows is :func:`tell`. Cites: APM avic.iommu
    """
    return set_requested(backing, irte.vector)


def append(log: GuestLog, tag: i64) -> bool:
    """Hardware writes an entry into the log. Returns: whether there was room, or room was made by choice.

    Changes: the log. Cites: APM avic.iommu
    """
    size: i64 = len(log.tags)
    after: i64 = (log.tail + 1) % size
    if after == log.head:
        if log.choices.avic_log_overwrites == 0:
            log.overflowed = 1
            return False
        log.head = (log.head + 1) % size
    log.tags[log.tail] = tag
    log.tail = after
    return True


def take(log: GuestLog) -> i64:
    """Software takes the oldest entry out of the log. Returns: its tag, or -1 when it is empty.

    Changes: the log. Cites: APM avic.iommu
    """
    if log.head == log.tail:
        return -1
    tag: i64 = log.tags[log.head]
    log.head = (log.head + 1) % len(log.tags)
    return tag


def tell(irte: GuestIrte, log: GuestLog) -> i64:
    """The IOMMU lets it be known that an IRR bit was set: by IsRun, else by GALogIntr.

    Changes: the log. Returns: one of Arrived. Cites: APM avic.iommu
    """
    if irte.is_running != 0:
        return Arrived.DOORBELL
    if irte.log_interrupt == 0:
        return Arrived.SILENT
    if append(log, irte.tag):
        return Arrived.LOGGED
    return Arrived.LOST_LOG
