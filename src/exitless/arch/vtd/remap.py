"""Interrupt remapping: from a request to a message, a post, or a fault. VT-d, 5.1.3 and 5.1.4."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.choices import Choices
from exitless.arch.vtd.irte import Irte
from exitless.arch.x86.message import decode_compatible, is_remappable, remapping_index, reserved_request_bits


class Verdict:
    """What becomes of a request. Cites: VT-d remap.algorithm"""

    FORWARD: Final = 0
    REMAPPED: Final = 1
    POSTED: Final = 2
    FAULT: Final = 3


class Fault:
    """Remapping fault reasons; 20H, 21H and 23H are from memory, and what a unit answers is its choice.

    Cites: VT-d remap.faults
    """

    NONE: Final = 0
    REQUEST_RESERVED: Final = 32
    INDEX: Final = 33
    NOT_PRESENT: Final = 34
    FETCH: Final = 35
    ENTRY_RESERVED: Final = 36
    COMPATIBILITY: Final = 37
    SOURCE: Final = 38
    DESCRIPTOR_ACCESS: Final = 39
    DESCRIPTOR_RESERVED: Final = 40


UNVERIFIED_FAULTS: Final = (32, 33, 35)


class Remapper:
    """A remapping unit: its table, and whether it is enabled, in extended mode (EIME), and lets compatibility
    requests pass (CFIS). Cites: VT-d remap.algorithm
    """

    def __init__(self) -> None:
        self.table: list[Irte] = []
        self.enabled: i64 = 1
        self.eime: i64 = 1
        self.cfis: i64 = 0
        self.choices: Choices = Choices()


class Translation:
    """What :func:`translate` found; ``recorded`` is 1 when a fault is also recorded. Cites: VT-d remap.algorithm"""

    def __init__(self) -> None:
        self.kind: i64 = Verdict.FAULT
        self.fault: i64 = Fault.NONE
        self.recorded: i64 = 0
        self.index: i64 = -1
        self.vector: i64 = 0
        self.destination: i64 = 0
        self.dm: i64 = 0
        self.rh: i64 = 0
        self.delivery: i64 = 0
        self.trigger: i64 = 0
        self.urgent: i64 = 0


def _clear(out: Translation) -> None:
    out.kind = Verdict.FAULT
    out.fault = Fault.NONE
    out.recorded = 0
    out.index = -1
    out.vector = 0
    out.destination = 0
    out.dm = 0
    out.rh = 0
    out.delivery = 0
    out.trigger = 0
    out.urgent = 0


def _fault(out: Translation, reason: i64, recorded: i64) -> i64:
    out.kind = Verdict.FAULT
    out.fault = reason
    out.recorded = recorded
    return Verdict.FAULT


def _forward(out: Translation, address: i64, data: i64) -> i64:
    message = decode_compatible(address, data)
    out.kind = Verdict.FORWARD
    out.vector = message.vector
    out.destination = message.destination
    out.dm = message.dm
    out.rh = message.rh
    out.delivery = message.delivery
    out.trigger = message.trigger
    return Verdict.FORWARD


def source_valid(irte: Irte, sid: i64) -> bool:
    """Tell whether a requester may use an entry. Cites: VT-d irte.remapped"""
    if irte.svt == 0:
        return True
    if irte.svt == 1:
        ignored: i64 = 0
        if irte.sq == 1:
            ignored = 4
        elif irte.sq == 2:
            ignored = 6
        elif irte.sq == 3:
            ignored = 7
        return (sid ^ irte.sid) & 65535 & ~ignored == 0
    if irte.svt == 2:
        return irte.sid >> 8 <= sid >> 8 <= irte.sid & 255
    return False


def entry_destination(remapper: Remapper, irte: Irte) -> i64:
    """Return the destination of a remapped entry: all 32 bits of DST with EIME, otherwise bits 47:40 of the entry.

    Cites: VT-d irte.remapped
    """
    if remapper.eime != 0:
        return irte.dst
    return (irte.dst >> 8) & 255


def has_reserved(remapper: Remapper, irte: Irte) -> bool:
    """Tell whether an entry sets a reserved bit; two kinds count by choice.

    Cites: VT-d irte.remapped, VT-d irte.posted
    """
    if irte.reserved != 0:
        return True
    if irte.svt == 3 and remapper.choices.vtd_reserved_source_type_is_entry != 0:
        return True
    if remapper.eime == 0 and irte.im == 0 and remapper.choices.vtd_narrow_destination_is_checked != 0:
        return irte.dst & ~65280 != 0
    return False


def entry_fault(remapper: Remapper, irte: Irte, sid: i64) -> i64:
    """Tell why a requester may not use an entry, in the order in which it is looked at: it can be read, it is present,
    reserved bits are clear, the requester is valid.

    Returns: one of Fault, or the choice that stands for it; NONE when it may. Cites: VT-d remap.faults
    """
    if irte.unreadable != 0:
        return remapper.choices.vtd_fault_fetch
    if irte.p == 0:
        return Fault.NOT_PRESENT
    valid: bool = source_valid(irte, sid)
    if not valid and remapper.choices.vtd_source_before_reserved != 0:
        return Fault.SOURCE
    if has_reserved(remapper, irte):
        return Fault.ENTRY_RESERVED
    if not valid:
        return Fault.SOURCE
    return Fault.NONE


def translate(remapper: Remapper, address: i64, data: i64, sid: i64, out: Translation) -> i64:
    """A request reaches the remapping unit, which decodes it before it performs anything.

    Outside extended mode DST holds an 8-bit xAPIC ID, in its bits 15:8.

    Changes: all of ``out``
    Returns: one of Verdict, also in ``out``. POSTED obliges the caller to post ``out.vector``.
    Cites: VT-d remap.algorithm, VT-d irte.remapped
    """
    _clear(out)
    if remapper.enabled == 0:
        return _forward(out, address, data)
    if not is_remappable(address):
        if remapper.eime != 0 or remapper.cfis == 0:
            return _fault(out, Fault.COMPATIBILITY, 1)
        return _forward(out, address, data)
    if reserved_request_bits(address, data):
        return _fault(out, remapper.choices.vtd_fault_request_reserved, 1)
    index: i64 = remapping_index(address, data)
    out.index = index
    if index >= len(remapper.table):
        return _fault(out, remapper.choices.vtd_fault_index, 1)
    irte: Irte = remapper.table[index]
    reason: i64 = entry_fault(remapper, irte, sid)
    if reason != Fault.NONE:
        return _fault(out, reason, irte.unreadable | (1 - irte.fpd))
    out.vector = irte.vector
    if irte.im != 0:
        out.kind = Verdict.POSTED
        out.urgent = irte.urg
        return Verdict.POSTED
    out.kind = Verdict.REMAPPED
    out.destination = entry_destination(remapper, irte)
    out.dm = irte.dm
    out.rh = irte.rh
    out.delivery = irte.dlm
    out.trigger = irte.tm
    return Verdict.REMAPPED
