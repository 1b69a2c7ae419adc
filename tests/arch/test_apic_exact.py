"""The local and the I/O APIC to the bit: what a door leaves in an access, EOIs of several pins, messages whole."""

from itertools import product

import pytest

from exitless.arch.choices import Choices
from exitless.arch.outcome import Access
from exitless.arch.x86.apic import FRAME, Apic
from exitless.arch.x86.destination import BusMessage, Shorthand
from exitless.arch.x86.icr import Sent, self_ipi, write_icr_low, write_icr_msr
from exitless.arch.x86.ioapic import IoApic, Pin, accepted, end_of_interrupt, next_to_send, set_pin, write_entry_low
from exitless.arch.x86.lvt import Lvt, lvt_value, write_lvt
from exitless.arch.x86.message import decode_compatible, encode_compatible, encode_remappable, remappable_address
from exitless.arch.x86.modes import base_low, write_base
from exitless.arch.x86.msi import to_bus
from exitless.arch.x86.registers import Register, Touch, page_read, page_write, read_msr, write_msr

LEVEL, MASKED, REMOTE_IRR, STATUS = 1 << 15, 1 << 16, 1 << 14, 1 << 12


def fresh(x2apic: bool = False) -> tuple[Apic, Register]:
    """Return a software-enabled APIC, and an access that is left over from an EOI and an IPI."""
    apic, access = Apic(5, 0), Register()
    if x2apic:
        assert write_base(apic, FRAME | 0xC00, 0) == 0
    apic.core.svr = 0x1FF
    access.low, access.high, access.sent, access.ended, access.broadcast = 0x55, 0x66, 1, 0x41, 1
    return apic, access


def test_the_frame_and_both_mode_bits_are_read_together() -> None:
    """10.4.4, 10.12.1: IA32_APIC_BASE holds the frame, EN in bit 11, EXTD in bit 10 and BSP in bit 8."""
    for bootstrap, bits in product((0, 1), (0x800, 0xC00, 0x000)):
        apic = Apic(5, bootstrap)
        assert write_base(apic, 0xABCDE000 | bits, 0) == 0
        assert base_low(apic) == 0xABCDE000 | bits | bootstrap << 8


@pytest.mark.parametrize("x2apic", [False, True])
def test_the_timer_behind_both_doors(x2apic: bool) -> None:
    """10.5.4: initial count at 380H, current count at 390H, divider at 3E0H; each access carries the time."""
    apic, access = fresh(x2apic)

    def write(row: int, value: int, bus: int) -> None:
        access.low, access.high, access.bus = value, 0, bus
        done = write_msr(apic, 0x800 + row, access) if x2apic else page_write(apic, row * 16, 4, access)
        assert done == 0

    def read(row: int, bus: int) -> int:
        access.bus, access.high = bus, 0x66
        done = read_msr(apic, 0x800 + row, access) if x2apic else page_read(apic, row * 16, 4, access)
        assert (done, access.high) == (0, 0)
        return access.low

    write(0x32, 0x31, 0)
    write(0x3E, 0b0001, 100)
    write(0x38, 1000, 100)
    assert (read(0x38, 100), read(0x3E, 100), read(0x39, 100)) == (1000, 1, 1000)
    assert [read(0x39, 100 + 4 * passed) for passed in range(0, 1000, 99)] == list(range(1000, 0, -99))
    write(0x3E, 0b1011, 140)
    assert (read(0x39, 140), read(0x39, 150), read(0x39, 140 + 990)) == (990, 980, 0)


def test_an_access_that_does_nothing_says_so() -> None:
    """10.5.3, 10.12.1.3: what was owed after the access before is not owed again."""
    for offset, touch in ((0x40, Touch.ILLEGAL), (0x84, Touch.UNDEFINED), (0x30, Touch.DONE), (0x80, Touch.DONE)):
        apic, access = fresh()
        assert page_write(apic, offset, 4, access) == touch
        assert (access.sent, access.ended, access.broadcast) == (-1, -1, 0)
        apic, access = fresh()
        assert page_read(apic, offset, 4, access) == touch
        assert access.high == 0
    for number, high, answer in (
        (0x803, 0, Access.GENERAL_PROTECTION), (0x808, 1, Access.GENERAL_PROTECTION), (0x808, 0, 0),
        (0x804, 0, Access.GENERAL_PROTECTION),
    ):  # fmt: skip
        apic, access = fresh(x2apic=True)
        access.high = high
        assert write_msr(apic, number, access) == answer
        assert (access.sent, access.ended, access.broadcast) == (-1, -1, 0)


def test_both_halves_of_the_icr_are_read_by_one_rdmsr() -> None:
    """10.12.9: in x2APIC mode 830H holds all 64 bits; every other register has 32."""
    apic, access = fresh(x2apic=True)
    access.low, access.high = 0x41, 0x12345
    assert (write_msr(apic, 0x830, access), access.sent) == (0, Sent.MESSAGE)
    assert (access.message.destination, access.message.wide, access.message.vector) == (0x12345, 1, 0x41)
    for number, halves in ((0x830, (0x41, 0x12345)), (0x802, (5, 0)), (0x80F, (0x1FF, 0)), (0x830, (0x41, 0x12345))):
        access.low = access.high = 0x77
        assert read_msr(apic, number, access) == 0
        assert (access.low, access.high) == halves
    for vector, sent in ((0x61, Sent.SELF), (0x0F, Sent.ILLEGAL)):
        access.low, access.high = vector, 0
        assert (write_msr(apic, 0x83F, access), access.sent) == (0, sent)


def test_each_pin_of_a_vector_is_ended_once_and_only_when_it_waits() -> None:
    """kvm_ioapic_update_eoi: remote IRR, level and the vector; the answer counts them. One that is not waiting for its
    EOI asks for nothing, active or not, and a masked one does not ask again."""
    ioapic = IoApic(0, 5)
    ioapic.choices.ioapic_unmask_sends_asserted = 0
    for pin in range(5):
        write_entry_low(ioapic, pin, LEVEL | 0x41)
    for pin in (0, 1, 3):
        assert set_pin(ioapic, pin, 1) == Pin.SEND
        accepted(ioapic, pin)
    write_entry_low(ioapic, 4, MASKED | LEVEL | 0x41)
    set_pin(ioapic, 4, 1)
    write_entry_low(ioapic, 4, LEVEL | 0x41)
    set_pin(ioapic, 1, 0)
    write_entry_low(ioapic, 3, MASKED | LEVEL | 0x41)
    assert next_to_send(ioapic, 0) == -1
    assert end_of_interrupt(ioapic, 0x40) == 0
    assert end_of_interrupt(ioapic, 0x41) == 3
    assert [entry.low for entry in ioapic.entries] == [
        LEVEL | STATUS | 0x41, LEVEL | 0x41, LEVEL | 0x41, MASKED | LEVEL | 0x41, LEVEL | 0x41,
    ]  # fmt: skip
    assert (next_to_send(ioapic, 0), next_to_send(ioapic, 1), next_to_send(ioapic, 5)) == (0, -1, -1)
    assert end_of_interrupt(ioapic, 0x41) == 0


def test_the_address_of_a_remappable_message_to_the_bit() -> None:
    """VT-d 5.1.2.2: FEEH, the handle in 19:5 and 2, format 1 in bit 4, SHV in bit 3, and bits 1:0 clear."""
    for index in (0, 1, 0x7FFF, 0x8000, 0xFFFF):
        address = 0xFEE00010 | (index & 0x7FFF) << 5 | index >> 15 << 2
        assert remappable_address(index) == address
        for subhandle in (0, 1, 0xFFFF):
            sent = encode_remappable(index, subhandle)
            assert (sent.address, sent.data) == (address | (8 if subhandle else 0), subhandle)


def whole(message: BusMessage) -> list[int]:
    """Return every field of a message: vector, mode, logical, destination, wide, trigger, level, shorthand."""
    names = ("vector", "delivery", "logical", "destination", "wide", "trigger", "level", "shorthand")
    return [getattr(message, name) for name in names]


def stale() -> BusMessage:
    """Return the message that a self IPI in x2APIC mode, at a low level, has left."""
    out = BusMessage()
    out.vector, out.delivery, out.logical, out.destination, out.wide, out.trigger = 0x99, 5, 1, 7, 1, 1
    out.level, out.shorthand = 0, Shorthand.SELF
    return out


def test_every_field_of_a_message_is_that_of_the_write() -> None:
    """10.11: an MSI asserts, to an 8-bit destination, level only as its trigger says; 10.12.9: 64 bits at once;
    10.12.11: SELF IPI is fixed, an edge, and for itself."""
    for delivery, trigger in product((0, 1, 4), (0, 1)):
        sent, out = encode_compatible(0xA5, 1, 1, 0x41, delivery, trigger), stale()
        to_bus(decode_compatible(sent.address, sent.data), Choices(), out)
        assert whole(out) == [0x41, delivery, 1, 0xA5, 0, int(trigger and delivery != 4), 1, Shorthand.NONE]
    apic, out = fresh(x2apic=True)[0], stale()
    assert write_icr_msr(apic, 0x841, 0x10002, out) == Sent.MESSAGE
    assert whole(out) == [0x41, 0, 1, 0x10002, 1, 0, 1, Shorthand.NONE]
    assert (apic.icr_low, apic.icr_high) == (0x841, 0x10002)
    assert self_ipi(apic, 0x61, out) == Sent.SELF
    assert whole(out) == [0x61, 0, 0, 0, 1, 0, 1, Shorthand.SELF]
    assert (apic.icr_low, apic.icr_high) == (0x841, 0x10002)


def test_status_in_the_icr_faults_by_choice_and_nothing_else_does() -> None:
    """10.12.9: bit 12 is the one that apic_icr_status_faults is about."""
    for status in (0, 0x1000):
        apic = fresh(x2apic=True)[0]
        apic.choices.apic_icr_status_faults = 1
        answer = write_icr_msr(apic, 0x841 | status, 3, BusMessage())
        assert answer == (Access.GENERAL_PROTECTION if status else Sent.MESSAGE)
        assert (apic.icr_low, apic.icr_high) == ((0, 0) if status else (0x841, 3))


def test_software_disable_sets_every_mask_and_nothing_else() -> None:
    """10.4.7.2: clearing SVR[8] masks all seven entries, whose other bits stay; setting it unmasks none and masks
    none."""
    for entry in range(Lvt.COUNT):
        apic, access = fresh()
        value = 0x8051 if entry == Lvt.LINT0 else 0x51
        assert write_lvt(apic, entry, value) == 0
        for svr, masked in ((0x1FF, 0), (0x1F0, 0), (0xFF, 1), (0xF0, 1), (0x1FF, 1)):
            access.low = svr
            assert page_write(apic, 0xF0, 4, access) == Touch.DONE
            assert lvt_value(apic, entry) == value | masked << 16, (entry, hex(svr))
            assert apic.core.svr == svr


def test_writing_esr_arms_the_error_interrupt() -> None:
    """10.5.3: it latches and clears what has accumulated, and the next error may be told again."""
    apic, access = fresh()
    write_lvt(apic, Lvt.ERROR, 0x41)
    for _ in range(2):
        page_read(apic, 0x40, 4, access)
        assert (apic.core.esr_armed, apic.core.esr_pending) == (0, 0x80)
        page_write(apic, 0x280, 4, access)
        assert (apic.core.esr_armed, apic.core.esr_pending, apic.core.esr) == (1, 0, 0x80)
    page_write(apic, 0x280, 4, access)
    assert (apic.core.esr_armed, apic.core.esr) == (1, 0)


def test_trigger_and_level_of_an_ipi_count_for_init_alone() -> None:
    """10.6.1: bits 15 and 14 tell INIT from its de-assert; everything else is an edge that asserts."""
    for mode, level, trigger in product((0, 1, 2, 4, 5, 6), (0, 1), (0, 1)):
        apic, out = fresh()[0], stale()
        assert write_icr_low(apic, trigger << 15 | level << 14 | mode << 8 | 0x41, out) == Sent.MESSAGE
        assert (out.level, out.trigger) == ((level, trigger) if mode == 5 else (1, 0))
        assert (out.vector, out.delivery, out.logical, out.destination, out.wide) == (0x41, mode, 0, 0, 0)


@pytest.mark.parametrize("x2apic", [False, True])
def test_all_24_words_of_isr_tmr_and_irr_are_read(x2apic: bool) -> None:
    """Table 10-1, 10-6: 100H, 180H and 200H begin the three, vector v is bit v mod 32 of word v / 32."""
    apic, access = fresh(x2apic)
    for first, words in ((0x10, apic.core.isr), (0x18, apic.core.tmr), (0x20, apic.core.irr)):
        for i in range(8):
            words[i] = first << 16 | 0x100 + i
    for row in range(0x10, 0x28):
        access.low = 0
        done = read_msr(apic, 0x800 + row, access) if x2apic else page_read(apic, row * 16, 4, access)
        assert (done, access.low) == (0, row // 8 * 8 << 16 | 0x100 + row % 8)
