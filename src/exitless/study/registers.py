"""A vCPU's interrupt registers over time, as far as a record's rows prove them: its virtual APIC, its posted-interrupt
descriptor, the EOI-exit bitmap, and what Xen tells it of event channels.

A bit is 0, 1 or unknown. A simulated record that begins at time 0 begins with all bits clear; any other begins with all
bits unknown, and rows make them known: a delivery with an empty RVI proves every request bit clear. Times are ps.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from exitless.record.block import Event, Header, Record
from exitless.vocab.kinds import Kind

ALL: Final = 2**256 - 1
UNKNOWN: Final = -1


class Field:
    """What a :class:`Change` changes."""

    PIR: Final = 0
    REQUEST: Final = 1
    SERVICE: Final = 2
    RVI: Final = 3
    SVI: Final = 4
    ON: Final = 5
    SN: Final = 6
    NV: Final = 7
    NDST: Final = 8
    VTPR: Final = 9
    EOI_EXIT: Final = 10
    UPCALL: Final = 11
    SELECTOR: Final = 12

    SETS: Final = frozenset((PIR, REQUEST, SERVICE, EOI_EXIT, SELECTOR))


class Change(NamedTuple):
    """A field has this value from ``time`` on; ``known`` has a 1 for every bit of ``value`` that is proven."""

    time: int
    field: int
    value: int
    known: int


@dataclass
class Registers:
    """One vCPU's changes. ``virtual`` tells the processor's virtual APIC from one kept by the hypervisor, ``apic`` that
    rows tell of either, ``posted`` that it has a descriptor, ``events`` that it has event channels."""

    virtual: bool
    posted: bool
    apic: bool
    events: bool
    changes: list[Change]


_POSTED: Final = (Kind.PID_POST, Kind.PID_PROCESS, Kind.PIR_SYNC)
_TOLD: Final = frozenset(
    (
        *_POSTED, Kind.IRQ_REQUEST, Kind.IRQ_INJECT, Kind.IRQ_WINDOW, Kind.IRQ_DELIVER, Kind.IRQ_EOI, Kind.RVI_WRITE,
        Kind.TIMER_FIRE, Kind.PID_CONTROL, Kind.PID_MOVE, Kind.EOI_MAP, Kind.APIC_ACCESS, Kind.PORT_RAISE,
        Kind.UPCALL_MARK, Kind.UPCALL_ENTER,
    )
)  # fmt: skip
_EVENTS: Final = frozenset((Kind.PORT_RAISE, Kind.UPCALL_MARK, Kind.UPCALL_ENTER))
LAPIC: Final = 2
TPR_WRITTEN: Final = 0x1080
TWO_LEVEL: Final = 3


def registers(record: Record, first_ps: int, last_ps: int) -> dict[int, Registers]:
    """Return the registers of every vCPU whose rows tell of an APIC or of event channels; what was before ``first_ps``
    is folded."""
    places = [n for n, where in enumerate(record.where) if where & 65535 in _TOLD and record.time[n] <= last_ps]
    events = sorted((record[n] for n in places), key=_time)
    kinds: dict[int, set[int]] = {}
    for e in events:
        kinds.setdefault(e.vcpu, set()).add(e.kind)
    simulated = record.header.origin == "simulated"
    known = ALL if simulated and len(record) > 0 and min(record.time[:4096]) == 0 else 0
    out = {}
    for vcpu, seen in sorted(kinds.items()):
        virtual = bool(seen & {*_POSTED, Kind.RVI_WRITE})
        told = Kind.IRQ_REQUEST in seen and (simulated or Kind.IRQ_INJECT in seen)
        channels = bool(seen & _EVENTS)
        if vcpu >= 0 and (virtual or told or channels):
            replay = _Replay(known, virtual, record.header)
            for e in events:
                if e.vcpu == vcpu:
                    replay.take(e)
            changes = _folded(replay.changes, first_ps)
            out[vcpu] = Registers(virtual, bool(seen & {*_POSTED}), virtual or told, channels, changes)
    return out


def _time(event: Event) -> int:
    return event.time_ps


def _folded(changes: list[Change], first_ps: int) -> list[Change]:
    """Keep of what was before a moment only the last value of every field."""
    before = {c.field: c._replace(time=first_ps) for c in changes if c.time < first_ps}
    return [*before.values(), *(c for c in changes if c.time >= first_ps)]


class _Replay:
    """The registers of one vCPU, row after row."""

    def __init__(self, known: int, virtual: bool, header: Header) -> None:
        self.virtual = virtual
        self.header = header
        self.bits = dict.fromkeys(Field.SETS, 0)
        self.known = dict.fromkeys(Field.SETS, known)
        start = 0 if known else UNKNOWN
        zero = (Field.RVI, Field.SVI, Field.ON, Field.VTPR, Field.UPCALL)
        self.numbers = {**dict.fromkeys(zero, start), **dict.fromkeys((Field.SN, Field.NV, Field.NDST), UNKNOWN)}
        self.time = -1
        self.changes: list[Change] = []
        for field in sorted(Field.SETS):
            self.changes.append(Change(-1, field, 0, known))
        for field, value in self.numbers.items():
            self.changes.append(Change(-1, field, value, ALL if value >= 0 else 0))

    def put(self, field: int, value: int, known: int) -> None:
        """A set of bits is now ``value`` as far as ``known`` goes."""
        value &= known
        if (self.bits[field], self.known[field]) != (value, known):
            self.bits[field], self.known[field] = value, known
            self.changes.append(Change(self.time, field, value, known))

    def number(self, field: int, value: int) -> None:
        """A field that is no set of bits is now ``value``."""
        if self.numbers[field] != value:
            self.numbers[field] = value
            self.changes.append(Change(self.time, field, value, ALL if value >= 0 else 0))

    def bit(self, field: int, vector: int, value: int) -> None:
        """One bit is now ``value``."""
        mask = 2**vector
        bits = self.bits[field] | mask if value else self.bits[field] & ~mask
        self.put(field, bits, self.known[field] | mask)

    def highest(self, field: int, vector: int) -> None:
        """``vector`` is the highest bit set, or none is when it is not positive."""
        above = ALL & ~(2 ** (vector + 1) - 1) if vector > 0 else ALL
        self.put(field, self.bits[field] & ~above, self.known[field] | above)
        if vector > 0:
            self.bit(field, vector, 1)

    def is_clear(self, field: int, vector: int) -> bool:
        """Tell whether a bit is known to be 0."""
        return bool(self.known[field] >> vector & 1) and not self.bits[field] >> vector & 1

    def take(self, e: Event) -> None:
        """Take one row of this vCPU."""
        self.time = e.time_ps
        if e.kind == Kind.PID_POST:
            self.bit(Field.PIR, e.a, 1)
            if e.b >= 0 and e.b & 5:
                self.number(Field.SN, e.b >> 2 & 1)
            if e.b & 9:
                self.number(Field.ON, 1)
            elif not e.b & 2:
                self.number(Field.ON, UNKNOWN)
        elif e.kind == Kind.PID_PROCESS or e.kind == Kind.PIR_SYNC:
            self.move()
            self.highest(Field.REQUEST, e.b)
            if e.kind == Kind.PID_PROCESS:
                self.number(Field.RVI, e.b)
        elif e.kind == Kind.IRQ_REQUEST:
            self.bit(Field.REQUEST, e.a, 1)
        elif e.kind == Kind.RVI_WRITE:
            self.number(Field.RVI, e.b)
            if e.b > 0:
                self.bit(Field.REQUEST, e.b, 1)
        elif e.kind == Kind.TIMER_FIRE:
            self.forget(e.a)
        elif e.kind == Kind.IRQ_WINDOW and e.b == LAPIC:
            self.bit(Field.REQUEST, e.a, 1)
        elif not self.beside(e):
            self.service(e)

    def beside(self, e: Event) -> bool:
        """Take a row of what stands beside the APIC's bits. Returns: whether it was one."""
        if e.kind == Kind.PID_CONTROL:
            self.number(Field.NV, e.a)
            self.number(Field.SN, e.b)
            self.number(Field.NDST, e.pcpu)
        elif e.kind == Kind.PID_MOVE:
            self.number(Field.NDST, e.b)
        elif e.kind == Kind.EOI_MAP:
            word = (2**32 - 1) * 2 ** (32 * e.a)
            bits = self.bits[Field.EOI_EXIT] & ~word | e.b * 2 ** (32 * e.a)
            self.put(Field.EOI_EXIT, bits, self.known[Field.EOI_EXIT] | word)
        elif e.kind == Kind.APIC_ACCESS:
            if e.a == TPR_WRITTEN:
                self.number(Field.VTPR, e.b & 255)
        elif e.kind == Kind.PORT_RAISE:
            if e.b in (0, TWO_LEVEL):
                self.bit(Field.SELECTOR, e.a >> 6 & 255, 1)
        elif e.kind == Kind.UPCALL_MARK:
            self.number(Field.UPCALL, 1)
        elif e.kind == Kind.UPCALL_ENTER:
            self.number(Field.UPCALL, 0)
            self.put(Field.SELECTOR, 0, ALL)
        else:
            return False
        return True

    def service(self, e: Event) -> None:
        """Take a row with which a vector comes into service or ends."""
        direct = any(
            (to, host, guest) == (e.vcpu, e.a, e.a)
            for to, host, guest in zip(
                self.header.source_vcpu, self.header.source_host_vector, self.header.source_vector, strict=False
            )
        )
        if direct and (e.kind == Kind.IRQ_DELIVER or (e.kind == Kind.IRQ_EOI and not e.b)):
            return
        if e.kind == Kind.IRQ_DELIVER:
            self.deliver(e.a, e.b)
        elif e.kind == Kind.IRQ_INJECT:
            own = e.b == LAPIC or (self.known[Field.REQUEST] & self.bits[Field.REQUEST]) >> e.a & 1
            if not self.virtual and own:
                self.bit(Field.REQUEST, e.a, 0)
                self.serve(e.a)
        elif e.kind == Kind.IRQ_EOI:
            if self.virtual and e.a >= 0:
                self.bit(Field.EOI_EXIT, e.a, e.b)
            self.end(e.a)

    def forget(self, source: int) -> None:
        """A timer has fired: its vector is requested at some moment before the next entry that no row tells."""
        vector = self.header.source_vector[source] if 0 <= source < len(self.header.source_vector) else -1
        if vector > 0:
            for field in (Field.PIR, Field.REQUEST):
                if not self.bits[field] >> vector & 1:
                    self.put(field, self.bits[field], self.known[field] & ~(2**vector))

    def move(self) -> None:
        """PIR moves into the request bits, ON is cleared."""
        known = self.known[Field.REQUEST] & self.known[Field.PIR] | self.bits[Field.REQUEST] | self.bits[Field.PIR]
        self.put(Field.REQUEST, self.bits[Field.REQUEST] | self.bits[Field.PIR], known)
        self.put(Field.PIR, 0, ALL)
        self.number(Field.ON, 0)

    def deliver(self, vector: int, after: int) -> None:
        """The processor has delivered a vector of the virtual APIC."""
        if not self.virtual:
            return
        self.bit(Field.REQUEST, vector, 0)
        self.highest(Field.REQUEST, after)
        self.number(Field.RVI, after)
        self.serve(vector)

    def serve(self, vector: int) -> None:
        """A vector comes into service, so nothing of its class or above was."""
        above = ALL & ~(2 ** (vector & 0xF0) - 1)
        self.put(Field.SERVICE, self.bits[Field.SERVICE] & ~above | 2**vector, self.known[Field.SERVICE] | above)
        if self.virtual:
            self.number(Field.SVI, vector)

    def end(self, vector: int) -> None:
        """The highest vector in service has ended; a row without its number proves it only where all bits are known."""
        bits, known = self.bits[Field.SERVICE], self.known[Field.SERVICE]
        if vector < 0:
            vector = bits.bit_length() - 1 if known == ALL else -1
        if vector < 0:
            self.put(Field.SERVICE, 0, 0)
            self.number(Field.SVI, UNKNOWN)
            return
        if self.is_clear(Field.SERVICE, vector):
            return
        self.put(Field.SERVICE, bits & (2**vector - 1), known | ALL & ~(2**vector - 1))
        if self.virtual:
            bits, known = self.bits[Field.SERVICE], self.known[Field.SERVICE]
            top = bits.bit_length() - 1
            proven = known >> (top + 1) == ALL >> (top + 1)
            self.number(Field.SVI, max(top, 0) if proven else UNKNOWN)
