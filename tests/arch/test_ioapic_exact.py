"""The I/O APIC to the bit: messages of every entry, registers of every pin, and what a write keeps."""

from itertools import product

import pytest

from exitless.arch.x86.ioapic import IoApic, Pin, accepted, message, read_page, set_pin, write_entry_low, write_page

LEVEL, MASKED, REMOTE_IRR, STATUS = 1 << 15, 1 << 16, 1 << 14, 1 << 12


def put(ioapic: IoApic, register: int, value: int) -> int:
    """Write a register through the window."""
    write_page(ioapic, 0x00, register)
    return write_page(ioapic, 0x10, value)


def get(ioapic: IoApic, register: int) -> int:
    """Read a register through the window."""
    write_page(ioapic, 0x00, register)
    return read_page(ioapic, 0x10)


def entry(low: int, high: int = 0) -> IoApic:
    """Return an I/O APIC of one pin with this entry, written while it is masked."""
    ioapic = IoApic(0, 1)
    put(ioapic, 0x11, high)
    put(ioapic, 0x10, low | MASKED)
    return ioapic


@pytest.mark.parametrize("mode", range(8))
def test_the_compatibility_message_of_every_entry(mode: int) -> None:
    """ioapic_service, 10.11: vector, mode and trigger with its assert bit; the hint for logical and for lowest priority
    destinations, DM for logical ones."""
    for logical, level, polarity, destination in product((0, 1), (0, 1), (0, 1), (0, 0x84, 0xFF)):
        sent = message(entry(level << 15 | polarity << 13 | logical << 11 | mode << 8 | 0x41, destination << 24), 0)
        hint = int(logical == 1 or mode == 1)
        assert sent.address == 0xFEE00000 | destination << 12 | hint << 3 | logical << 2
        assert sent.data == 0x41 | mode << 8 | level << 14 | level << 15


def test_the_remappable_message_of_every_entry() -> None:
    """VT-d 5.1.5.1: index 14:0 in bits 63:49, bit 15 in bit 11; format 1, SHV 0, and no data unless chosen."""
    for index, level, carries in product((0, 1, 0x7FFF, 0x8000, 0xFFFF), (0, 1), (0, 1)):
        ioapic = entry(level << 15 | index >> 15 << 11 | 0x41, (index & 0x7FFF) << 17 | 1 << 16)
        ioapic.choices.ioapic_remappable_carries_vector = carries
        sent = message(ioapic, 0)
        assert sent.address == 0xFEE00010 | (index & 0x7FFF) << 5 | index >> 15 << 2
        assert sent.data == (0x41 | level << 14 | level << 15) * carries


def test_every_register_of_every_pin() -> None:
    """IOREGSEL 10H + 2n and 11H + 2n are the halves of entry n; nothing lies below 10H but ID, version, arbitration."""
    ioapic = IoApic(9, 24)
    for pin in range(24):
        assert put(ioapic, 0x10 + 2 * pin, MASKED | 0x40 + pin) == Pin.NOTHING
        assert put(ioapic, 0x11 + 2 * pin, pin << 24 | 0x5A) == Pin.NOTHING
    for pin in range(24):
        assert get(ioapic, 0x10 + 2 * pin) == MASKED | 0x40 + pin
        assert get(ioapic, 0x11 + 2 * pin) == pin << 24 | 0x5A
    before = [(one.low, one.high) for one in ioapic.entries]
    for register in [*range(1, 0x10), *range(0x40, 0x100)]:
        assert put(ioapic, register, 0xFFFFFFFF) == Pin.NOTHING
        if register > 2:
            assert get(ioapic, register) == 0
    assert [(one.low, one.high) for one in ioapic.entries] == before
    assert get(ioapic, 0) == 9 << 24
    for number in range(16):
        put(ioapic, 0, number << 24 | 0xF0FFFFFF)
        assert (get(ioapic, 0), get(ioapic, 2), ioapic.apic_id) == (number << 24, number << 24, number)


def test_what_a_write_of_an_entry_keeps() -> None:
    """Delivery status and remote IRR are read-only: a level keeps both, an edge loses remote IRR, and a mask takes back
    what has not been sent."""
    for value, kept in (
        (LEVEL | 0x42, STATUS | REMOTE_IRR), (0x42, STATUS), (LEVEL | MASKED | 0x42, REMOTE_IRR), (MASKED | 0x42, 0),
        (LEVEL | STATUS | REMOTE_IRR | 0x42, STATUS | REMOTE_IRR),
    ):  # fmt: skip
        for status, remote in product((0, STATUS), (0, REMOTE_IRR)):
            ioapic = entry(LEVEL | 0x41)
            ioapic.entries[0].low = LEVEL | 0x41 | status | remote
            write_entry_low(ioapic, 0, value)
            assert ioapic.entries[0].low == value & ~(STATUS | REMOTE_IRR) | (status | remote) & kept


def test_an_accepted_level_waits_and_an_accepted_edge_does_not() -> None:
    """ioapic_service: delivery status ends with the acceptance, remote IRR begins for a level."""
    for level in (0, LEVEL):
        ioapic = entry(level | 0x41)
        write_entry_low(ioapic, 0, level | 0x41)
        assert set_pin(ioapic, 0, 1) == Pin.SEND
        assert ioapic.entries[0].low == level | STATUS | 0x41
        accepted(ioapic, 0)
        assert ioapic.entries[0].low == level | (REMOTE_IRR if level else 0) | 0x41


def test_a_held_edge_is_sent_once() -> None:
    """ioapic_masked_edge_is_held: the unmasking sends it, a second one has nothing left to send; no level is held."""
    ioapic = entry(0x41)
    ioapic.choices.ioapic_masked_edge_is_held = 1
    assert set_pin(ioapic, 0, 1) == Pin.MASKED
    assert ioapic.entries[0].held == 1
    assert write_entry_low(ioapic, 0, 0x41) == Pin.SEND
    assert ioapic.entries[0].held == 0
    accepted(ioapic, 0)
    for low in (MASKED | 0x41, 0x41):
        assert write_entry_low(ioapic, 0, low) == Pin.NOTHING
    ioapic = entry(LEVEL | 0x41)
    ioapic.choices.ioapic_masked_edge_is_held = 1
    assert set_pin(ioapic, 0, 1) == Pin.MASKED
    assert ioapic.entries[0].held == 0
