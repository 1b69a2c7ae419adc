"""What a conformance vector is made of: operations of the guest, and the events that guest and host log."""

from typing import Final

from mypy_extensions import i64


class Do:
    """Operations of the guest."""

    NOP: Final = 0
    RD: Final = 1
    WR: Final = 2
    OR: Final = 3
    RDMSR: Final = 4
    WRMSR: Final = 5
    RCR8: Final = 6
    WCR8: Final = 7
    STI: Final = 8
    CLI: Final = 9
    HLT: Final = 10
    STIHLT: Final = 11
    STIWCR8: Final = 12
    MOVSS: Final = 13
    POST: Final = 14
    IPI: Final = 15
    VMCALL: Final = 16
    HGIS: Final = 17
    HTHR: Final = 18
    HINTWIN: Final = 19
    HINJECT: Final = 20
    HSETIRR: Final = 21
    HEOI: Final = 22


DO: Final = {
    "NOP": 0, "RD": 1, "WR": 2, "OR": 3, "RDMSR": 4, "WRMSR": 5, "RCR8": 6, "WCR8": 7, "STI": 8, "CLI": 9, "HLT": 10,
    "STIHLT": 11, "STIWCR8": 12, "MOVSS": 13, "POST": 14, "IPI": 15, "VMCALL": 16, "HGIS": 17, "HTHR": 18,
    "HINTWIN": 19, "HINJECT": 20, "HSETIRR": 21, "HEOI": 22,
}  # fmt: skip


class Seen:
    """Kinds of events in a log."""

    STEP: Final = 0
    EXIT: Final = 1
    INTERRUPT: Final = 2
    EOI_DONE: Final = 3
    EXCEPTION: Final = 4
    FAILED: Final = 5


class Action:
    """One operation of the guest: what to do, page offset or MSR, size, and a value in two 32-bit halves.

    ``second`` and ``flags`` belong to POST.
    """

    def __init__(self, do: i64, offset: i64, size: i64, low: i64, high: i64, second: i64, flags: i64) -> None:
        self.do: i64 = do
        self.offset: i64 = offset
        self.size: i64 = size
        self.low: i64 = low
        self.high: i64 = high
        self.second: i64 = second
        self.flags: i64 = flags


class Happening:
    """One event of a log.

    ``number`` is the reason of an exit (with bit 31 for an entry that failed), the vector of an interrupt or
    exception, the operation that is done, or the error of a failed entry. ``read`` is 1 where a value was read, in two
    halves. ``status`` is RVI and SVI at an exit, ``information`` the interrupt acknowledged on it or -1, ``check`` the
    VM-entry check that failed.
    Shapes: ``words`` doubleword number and new value, in pairs, of what changed on the virtual-APIC page since the
    event before; ``quads`` quadword number and both halves, in threes, for the posted-interrupt descriptor.
    """

    def __init__(self, kind: i64, step: i64, number: i64) -> None:
        self.kind: i64 = kind
        self.step: i64 = step
        self.number: i64 = number
        self.qualification: i64 = 0
        self.status: i64 = 0
        self.flag: i64 = 0
        self.information: i64 = 0
        self.check: i64 = 0
        self.read: i64 = 0
        self.low: i64 = 0
        self.high: i64 = 0
        self.activity: i64 = 0
        self.interruptibility: i64 = 0
        self.words: list[int] = []
        self.quads: list[int] = []
