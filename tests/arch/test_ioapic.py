"""The I/O APIC: redirection entries, edges and levels, remote IRR and EOI, and both forms of its messages."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exitless.arch.choices import Choices
from exitless.arch.vtd.irte import Irte
from exitless.arch.vtd.remap import Fault, Remapper, Translation, Verdict, translate
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.destination import BusMessage, matches
from exitless.arch.x86.ioapic import (
    IoApic,
    Pin,
    accepted,
    end_of_interrupt,
    message,
    next_to_send,
    read_page,
    set_pin,
    write_entry_low,
    write_page,
)
from exitless.arch.x86.message import decode_compatible, encode_compatible
from exitless.arch.x86.msi import to_bus
from tests.naive.ioapic import NaiveIoApic

LEVEL, MASKED, LOW_ACTIVE = 1 << 15, 1 << 16, 1 << 13


def one(entry: int, high: int = 0) -> IoApic:
    """Return an I/O APIC of one pin with this entry."""
    ioapic = IoApic(0, 1)
    put(ioapic, 0x11, high)
    put(ioapic, 0x10, entry)
    return ioapic


def put(ioapic: IoApic, register: int, value: int) -> None:
    write_page(ioapic, 0x00, register)
    write_page(ioapic, 0x10, value)


def get(ioapic: IoApic, register: int) -> int:
    write_page(ioapic, 0x00, register)
    return read_page(ioapic, 0x10)


def send_all(ioapic: IoApic) -> list[int]:
    """Send and accept whatever waits; return the pins."""
    pins = []
    while (number := next_to_send(ioapic, 0)) >= 0:
        accepted(ioapic, number)
        pins.append(number)
    return pins


def test_entry_bits_that_software_can_change() -> None:
    """Bit layout of a redirection entry: 12 and 14 are read-only, 31:17 reserved; reset is masked."""
    assert get(IoApic(0, 24), 0x10 + 2 * 23) == MASKED
    for bit in range(32):
        ioapic = one(MASKED)
        put(ioapic, 0x10, 1 << bit | MASKED)
        wanted = (1 << bit if bit in (*range(12), 13, 15, 16) else 0) | MASKED
        assert get(ioapic, 0x10) == wanted, bit
        put(ioapic, 0x11, 1 << bit)
        assert get(ioapic, 0x11) == 1 << bit


def test_identification_registers() -> None:
    """ID in bits 27:24, the highest entry in 23:16 of the version; there is nothing beyond the last entry."""
    ioapic = IoApic(9, 24)
    assert (get(ioapic, 0), get(ioapic, 1), get(ioapic, 2)) == (9 << 24, 23 << 16 | 0x20, 9 << 24)
    put(ioapic, 0, 0xFFFFFFFF)
    assert get(ioapic, 0) == 15 << 24
    put(ioapic, 0x10 + 48, 0)
    assert (get(ioapic, 0x10 + 48), read_page(ioapic, 0), read_page(ioapic, 0x20)) == (0, 0x40, 0)
    ioapic.choices.ioapic_has_eoi_register = 0
    assert get(ioapic, 1) == 23 << 16 | 0x11


def test_an_edge_sends_once_and_a_second_merges() -> None:
    """A second edge while the first has not been sent is lost; after it, it is a new one."""
    ioapic = one(0x41)
    assert [set_pin(ioapic, 0, level) for level in (1, 1, 0, 1)] == [Pin.SEND, Pin.NOTHING, Pin.NOTHING, Pin.MERGED]
    assert send_all(ioapic) == [0]
    set_pin(ioapic, 0, 0)
    assert set_pin(ioapic, 0, 1) == Pin.SEND
    assert get(ioapic, 0x10) == 0x1041


def test_a_level_waits_for_its_eoi_and_asks_again() -> None:
    """Remote IRR is set on acceptance; while it stands nothing is sent; EOI clears it and an active line asks again."""
    ioapic = one(LEVEL | 0x41)
    assert set_pin(ioapic, 0, 1) == Pin.SEND
    assert send_all(ioapic) == [0]
    assert get(ioapic, 0x10) == LEVEL | 1 << 14 | 0x41
    assert set_pin(ioapic, 0, 1) == Pin.MERGED
    assert end_of_interrupt(ioapic, 0x41) == 1
    assert send_all(ioapic) == [0]
    set_pin(ioapic, 0, 0)
    end_of_interrupt(ioapic, 0x41)
    assert (send_all(ioapic), get(ioapic, 0x10)) == ([], LEVEL | 0x41)


def test_eoi_of_every_vector_ends_only_its_own() -> None:
    """EOI(v): every level entry with that vector, and no other."""
    for vector in range(256):
        ioapic = IoApic(0, 3)
        for pin, entry in enumerate((LEVEL | vector, LEVEL | vector ^ 1, vector)):
            write_entry_low(ioapic, pin, entry)
            set_pin(ioapic, pin, 1)
        assert send_all(ioapic) == [0, 1, 2]
        assert end_of_interrupt(ioapic, vector) == 1
        assert send_all(ioapic) == [0]


def test_directed_eoi_and_the_switch_to_edge() -> None:
    """A write of the EOI register at 40H ends a vector here; making the entry an edge clears remote IRR too."""
    for way in ("register", "edge"):
        ioapic = one(LEVEL | 0x41)
        set_pin(ioapic, 0, 1)
        send_all(ioapic)
        set_pin(ioapic, 0, 0)
        if way == "register":
            write_page(ioapic, 0x40, 0x41)
        else:
            put(ioapic, 0x10, MASKED | 0x41)
            put(ioapic, 0x10, LEVEL | 0x41)
        assert get(ioapic, 0x10) == LEVEL | 0x41
    ioapic = one(LEVEL | 0x41)
    ioapic.choices.ioapic_has_eoi_register = 0
    set_pin(ioapic, 0, 1)
    send_all(ioapic)
    write_page(ioapic, 0x40, 0x41)
    assert get(ioapic, 0x10) == LEVEL | 1 << 14 | 0x41


def test_masks() -> None:
    """A masked level asks at the unmasking; a masked edge is lost, or kept by choice."""
    ioapic = one(MASKED | LEVEL | 0x41)
    assert set_pin(ioapic, 0, 1) == Pin.MASKED
    assert write_entry_low(ioapic, 0, LEVEL | 0x41) == Pin.SEND
    for held in (0, 1):
        ioapic = one(MASKED | 0x41)
        ioapic.choices.ioapic_masked_edge_is_held = held
        set_pin(ioapic, 0, 1)
        assert write_entry_low(ioapic, 0, 0x41) == (Pin.SEND if held else Pin.NOTHING)
    ioapic = one(MASKED | LEVEL | 0x41)
    ioapic.choices.ioapic_unmask_sends_asserted = 0
    set_pin(ioapic, 0, 1)
    assert write_entry_low(ioapic, 0, LEVEL | 0x41) == Pin.NOTHING


def test_polarity() -> None:
    """Bit 13: 1 is active low."""
    ioapic = one(LOW_ACTIVE | MASKED | 0x41)
    set_pin(ioapic, 0, 1)
    write_entry_low(ioapic, 0, LOW_ACTIVE | 0x41)
    assert [set_pin(ioapic, 0, 1), set_pin(ioapic, 0, 0)] == [Pin.NOTHING, Pin.SEND]


@pytest.mark.parametrize("mode", [2, 4, 5, 7])
def test_modes_that_are_edges_have_no_remote_irr(mode: int) -> None:
    """SMI, NMI, INIT and ExtINT are edges whatever the trigger bit says."""
    ioapic = one(LEVEL | mode << 8)
    set_pin(ioapic, 0, 1)
    assert send_all(ioapic) == [0]
    assert get(ioapic, 0x10) & 1 << 14 == 0


def test_the_compatibility_message() -> None:
    """Entry bits 63:56 become address 19:12; vector, delivery and trigger the data. It reaches whom the entry names."""
    for vector in range(256):
        ioapic = one(LEVEL | 1 << 8 | 1 << 11 | vector, 0x84000000)
        sent = message(ioapic, 0)
        assert sent.data == vector | 1 << 8 | 1 << 14 | 1 << 15
        assert sent.address == 0xFEE8400C
        out = BusMessage()
        to_bus(decode_compatible(sent.address, sent.data), Choices(), out)
        assert (out.vector, out.delivery, out.logical, out.destination, out.trigger) == (vector, 1, 1, 0x84, 1)
        apic = Apic(9, 0)
        apic.ldr = 0x80000000
        assert matches(apic, out)


def test_an_msi_without_the_hint_is_physical_unless_chosen() -> None:
    """10.11.1: DM counts with RH=1; msi_logical_without_hint is for those who read it otherwise. NMIs are edges."""
    for rh, dm, chosen in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0), (0, 1, 1)):
        choices, out = Choices(), BusMessage()
        choices.msi_logical_without_hint = chosen
        sent = encode_compatible(0x12, rh, dm, 0x41, 4, 1)
        to_bus(decode_compatible(sent.address, sent.data), choices, out)
        assert out.logical == int(bool(dm and (rh or chosen)))
        assert (out.destination, out.wide, out.trigger) == (0x12, 0, 0)


def test_the_remappable_message_names_its_index() -> None:
    """VT-d 5.1.5.1: index 14:0 in bits 63:49, format in 48, index 15 in bit 11; the unit finds that very entry."""
    remapper = Remapper()
    for n in range(65536):
        remapper.table.append(Irte() if n % 257 else entry_for(n))
    for index in range(0, 65536, 257):
        ioapic = one(LEVEL | (index >> 15) << 11 | 0x41, (index & 0x7FFF) << 17 | 1 << 16)
        sent, out = message(ioapic, 0), Translation()
        assert translate(remapper, sent.address, sent.data, 0, out) == Verdict.REMAPPED
        assert (out.index, out.destination) == (index, index)
    ioapic.choices.ioapic_remappable_carries_vector = 1
    sent = message(ioapic, 0)
    assert sent.data == 0x41 | 1 << 14 | 1 << 15
    translate(remapper, sent.address, sent.data, 0, out)
    assert out.fault == Fault.REQUEST_RESERVED


def entry_for(number: int) -> Irte:
    """Return a present entry whose destination is its own number."""
    irte = Irte()
    irte.p, irte.dst, irte.vector = 1, number, 0x41
    return irte


class Pins(RuleBasedStateMachine):
    """An I/O APIC of four pins, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.ioapic, self.naive = IoApic(0, 4), NaiveIoApic(4)

    answers = {Pin.NOTHING: "nothing", Pin.SEND: "send", Pin.MERGED: "merged", Pin.MASKED: "masked"}
    pins = st.integers(0, 3)
    few = st.sampled_from([0x31, 0x41, 0x42])

    @rule(pin=pins, level=st.integers(0, 1))
    def line(self, pin: int, level: int) -> None:
        assert self.answers[set_pin(self.ioapic, pin, level)] == self.naive.line(pin, level)

    @rule(pin=pins, vector=few, mode=st.sampled_from([0, 0, 0, 1, 4]), level=st.booleans(), rest=st.integers(0, 7))
    def entry(self, pin: int, vector: int, mode: int, level: bool, rest: int) -> None:
        masked, low_active, logical = int(rest == 7), rest & 1, rest >> 1 & 1
        value = vector | mode << 8 | logical << 11 | low_active << 13 | int(level) << 15 | masked << 16
        put(self.ioapic, 0x10 + 2 * pin, value)
        self.naive.write_low(pin, value)

    @rule(vector=few)
    def eoi(self, vector: int) -> None:
        assert end_of_interrupt(self.ioapic, vector) == self.naive.eoi(vector)

    @rule(start=pins)
    def send(self, start: int) -> None:
        number = next_to_send(self.ioapic, start)
        assert number == min((n for n in self.naive.waiting if n >= start), default=-1)
        if number >= 0:
            accepted(self.ioapic, number)
            self.naive.sent(number)

    @invariant()
    def same_entries(self) -> None:
        for number, pin in enumerate(self.naive.pins):
            assert get(self.ioapic, 0x10 + 2 * number) == pin.low(number in self.naive.waiting)


TestPins = Pins.TestCase
TestPins.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
