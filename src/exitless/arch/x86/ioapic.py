"""The I/O APIC: redirection entries, remote IRR, EOI and level resend; the form that asks a remapping unit.

The rules follow Linux's model of the 82093AA (arch/x86/kvm/ioapic.c), the layout of its registers is from memory and in
accord with it; the remappable form is VT-d's, 5.1.5.1.
A pin that has something to send has its delivery status set; the driver fetches it with :func:`next_to_send`, makes the
message, and tells with :func:`accepted` that it has arrived. Between the two others can look.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.choices import Choices
from exitless.arch.x86.message import ADDRESS_BASE, DeliveryMode, Message
from exitless.bits.words import shl

STATUS: Final = 4096
REMOTE_IRR: Final = 16384
TRIGGER: Final = 32768
MASKED: Final = 65536
ENTRY_WRITABLE: Final = 110591
REMAPPABLE: Final = 65536
FIRST_ENTRY: Final = 16


class Entry:
    """One redirection entry and its pin.

    ``low`` and ``high`` are bits 31:0 and 63:32: vector 7:0, delivery mode 10:8, destination mode 11, delivery status
    12, polarity 13, remote IRR 14, trigger 15, mask 16, destination 63:56. ``pin`` is the line's level, 1 for high;
    ``held`` 1 while a masked edge waits (a choice). Cites: KVM ioapic.c registers
    """

    def __init__(self) -> None:
        self.low: i64 = MASKED
        self.high: i64 = 0
        self.pin: i64 = 0
        self.held: i64 = 0


class IoApic:
    """One I/O APIC, as after reset: every entry is masked. ``select`` is IOREGSEL. Cites: KVM ioapic.c registers"""

    def __init__(self, apic_id: i64, pins: i64) -> None:
        self.apic_id: i64 = apic_id
        self.select: i64 = 0
        self.choices: Choices = Choices()
        self.entries: list[Entry] = []
        i: i64 = 0
        while i < pins:
            self.entries.append(Entry())
            i += 1


class Pin:
    """What a change of a pin or of an entry did. Cites: KVM ioapic.c kvm_ioapic_set_irq

    NOTHING: no edge, or no level that asks. SEND: a message is to be sent. MERGED: the one before has not been sent
    yet, or not been ended. MASKED: the entry holds it back; an edge is lost.
    """

    NOTHING: Final = 0
    SEND: Final = 1
    MERGED: Final = 2
    MASKED: Final = 3


def is_level(entry: Entry) -> bool:
    """Tell whether a pin is level triggered: by its trigger bit, with fixed or lowest-priority delivery.

    Cites: KVM ioapic.c registers
    """
    delivery: i64 = (entry.low >> 8) & 7
    return entry.low & TRIGGER != 0 and (delivery == DeliveryMode.FIXED or delivery == DeliveryMode.LOWEST)


def is_asserted(entry: Entry) -> bool:
    """Tell whether a pin is at the level that its polarity bit calls active. Cites: KVM ioapic.c registers"""
    return entry.pin != (entry.low >> 13) & 1


def _request(ioapic: IoApic, entry: Entry) -> i64:
    """A pin has something to send: an edge has come, or a level is asserted."""
    if entry.low & MASKED != 0:
        if ioapic.choices.ioapic_masked_edge_is_held != 0 and not is_level(entry):
            entry.held = 1
        return Pin.MASKED
    if entry.low & STATUS != 0 or (is_level(entry) and entry.low & REMOTE_IRR != 0):
        return Pin.MERGED
    entry.low = entry.low | STATUS
    return Pin.SEND


def set_pin(ioapic: IoApic, number: i64, level: i64) -> i64:
    """A line takes a level, 1 for high.

    An edge pin asks when it becomes active; a level pin while it is active, unless remote IRR stands. A second edge
    before the first has been sent merges with it.

    Changes: the pin, delivery status
    Returns: one of Pin. Cites: KVM ioapic.c kvm_ioapic_set_irq
    """
    entry: Entry = ioapic.entries[number]
    before: bool = is_asserted(entry)
    entry.pin = level
    if not is_asserted(entry) or (before and not is_level(entry)):
        return Pin.NOTHING
    return _request(ioapic, entry)


def next_to_send(ioapic: IoApic, start: i64) -> i64:
    """Return the first pin from ``start`` on that has a message to send, or -1. Cites: KVM ioapic.c ioapic_service"""
    i: i64 = start
    while i < len(ioapic.entries):
        if ioapic.entries[i].low & STATUS != 0:
            return i
        i += 1
    return -1


def is_remappable(entry: Entry) -> bool:
    """Tell whether bit 48 says remappable form. Cites: VT-d remap.ioapic"""
    return entry.high & REMAPPABLE != 0


def remapping_handle(entry: Entry) -> i64:
    """Return the index that a remappable entry names: bits 63:49, and bit 11 as bit 15. Cites: VT-d remap.ioapic"""
    return ((entry.high >> 17) & 32767) + ((entry.low >> 11) & 1) * 32768


def message(ioapic: IoApic, number: i64) -> Message:
    """Make the message of a pin. In the compatibility form bits 63:56 become the destination, bit 11 the mode, with the
    redirection hint for logical or lowest priority; in the remappable form the address carries the index.

    Cites: KVM ioapic.c ioapic_service, VT-d remap.ioapic
    """
    entry: Entry = ioapic.entries[number]
    data: i64 = (entry.low & 2047) + (entry.low & TRIGGER)
    if entry.low & TRIGGER != 0:
        data += 16384
    if is_remappable(entry):
        index: i64 = remapping_handle(entry)
        address: i64 = ADDRESS_BASE + shl(index & 32767, 5) + 16 + shl(index >> 15, 2)
        return Message(address, data * ioapic.choices.ioapic_remappable_carries_vector)
    logical: i64 = (entry.low >> 11) & 1
    hint: i64 = logical
    if (entry.low >> 8) & 7 == DeliveryMode.LOWEST:
        hint = 1
    return Message(ADDRESS_BASE + shl(entry.high >> 24, 12) + shl(hint, 3) + shl(logical, 2), data)


def accepted(ioapic: IoApic, number: i64) -> None:
    """The message of a pin has been sent and accepted: a level pin waits for its EOI.

    Changes: delivery status, remote IRR. Cites: KVM ioapic.c ioapic_service
    """
    entry: Entry = ioapic.entries[number]
    entry.low = entry.low & ~STATUS
    if is_level(entry):
        entry.low = entry.low | REMOTE_IRR


def end_of_interrupt(ioapic: IoApic, vector: i64) -> i64:
    """An EOI for ``vector`` arrives, broadcast by a local APIC or written to the EOI register here.

    Every level entry with that vector clears remote IRR; one whose line is still active asks again, if it is unmasked.

    Changes: remote IRR, delivery status
    Returns: how many entries it ended. Cites: KVM ioapic.c kvm_ioapic_update_eoi, Xen vioapic.c vioapic_update_EOI
    """
    ended: i64 = 0
    i: i64 = 0
    while i < len(ioapic.entries):
        entry: Entry = ioapic.entries[i]
        if entry.low & 255 == vector and is_level(entry) and entry.low & REMOTE_IRR != 0:
            ended += 1
            entry.low = entry.low & ~REMOTE_IRR
            if is_asserted(entry):
                _request(ioapic, entry)
        i += 1
    return ended


def write_entry_low(ioapic: IoApic, number: i64, value: i64) -> i64:
    """Software writes bits 31:0 of an entry; delivery status and remote IRR are read-only.

    Making a pin an edge clears its remote IRR, which some systems use as an EOI. A level pin that is unmasked while
    its line is active asks; so does a held edge.

    Changes: the entry
    Returns: one of Pin. Cites: KVM ioapic.c ioapic_write_indirect
    """
    entry: Entry = ioapic.entries[number]
    kept: i64 = entry.low & (STATUS | REMOTE_IRR)
    if value & TRIGGER == 0:
        kept = kept & STATUS
    entry.low = (value & ENTRY_WRITABLE) | kept
    if entry.low & MASKED != 0:
        entry.low = entry.low & ~STATUS
        return Pin.NOTHING
    if not is_level(entry):
        if entry.held == 0:
            return Pin.NOTHING
        entry.held = 0
        return _request(ioapic, entry)
    if not is_asserted(entry) or ioapic.choices.ioapic_unmask_sends_asserted == 0:
        return Pin.NOTHING
    return _request(ioapic, entry)


def write_entry_high(ioapic: IoApic, number: i64, value: i64) -> None:
    """Software writes bits 63:32 of an entry: the destination, or the index of a remappable entry.

    Changes: the entry. Cites: KVM ioapic.c ioapic_write_indirect
    """
    ioapic.entries[number].high = value


def version(ioapic: IoApic) -> i64:
    """Return the version register: 20H with an EOI register, 11H without; the highest entry in 23:16.

    Cites: KVM ioapic.c registers
    """
    number: i64 = 17
    if ioapic.choices.ioapic_has_eoi_register != 0:
        number = 32
    return number + shl(len(ioapic.entries) - 1, 16)


def read_window(ioapic: IoApic) -> i64:
    """Read IOWIN, offset 10H: the register that IOREGSEL names; 0 where there is none.

    Cites: KVM ioapic.c registers
    """
    if ioapic.select == 0 or ioapic.select == 2:
        return shl(ioapic.apic_id & 15, 24)
    if ioapic.select == 1:
        return version(ioapic)
    number: i64 = (ioapic.select - FIRST_ENTRY) >> 1
    if number < 0 or number >= len(ioapic.entries):
        return 0
    if ioapic.select & 1 != 0:
        return ioapic.entries[number].high
    return ioapic.entries[number].low


def write_window(ioapic: IoApic, value: i64) -> i64:
    """Write IOWIN; version and arbitration ID are read-only.

    Changes: the register that IOREGSEL names
    Returns: one of Pin, as :func:`write_entry_low` answers. Cites: KVM ioapic.c ioapic_write_indirect
    """
    if ioapic.select == 0:
        ioapic.apic_id = (value >> 24) & 15
        return Pin.NOTHING
    number: i64 = (ioapic.select - FIRST_ENTRY) >> 1
    if number < 0 or number >= len(ioapic.entries):
        return Pin.NOTHING
    if ioapic.select & 1 != 0:
        write_entry_high(ioapic, number, value)
        return Pin.NOTHING
    return write_entry_low(ioapic, number, value)


def write_page(ioapic: IoApic, offset: i64, value: i64) -> i64:
    """Software writes 32 bits at ``offset`` of the I/O APIC's page: IOREGSEL at 0, IOWIN at 10H, EOI at 40H.

    Changes: as the register says. Returns: one of Pin. Cites: KVM ioapic.c registers
    """
    if offset == 0:
        ioapic.select = value & 255
    elif offset == 16:
        return write_window(ioapic, value)
    elif offset == 64 and ioapic.choices.ioapic_has_eoi_register != 0:
        end_of_interrupt(ioapic, value & 255)
    return Pin.NOTHING


def read_page(ioapic: IoApic, offset: i64) -> i64:
    """Software reads 32 bits at ``offset`` of the I/O APIC's page. Cites: KVM ioapic.c registers"""
    if offset == 0:
        return ioapic.select
    if offset == 16:
        return read_window(ioapic)
    return 0
