"""Registers of the local APIC by page and by MSR: reset values, writable bits, and accesses that are refused."""

import pytest

from exitless.arch.outcome import Access
from exitless.arch.x86.apic import FRAME, Apic
from exitless.arch.x86.lapic import accept, acknowledge
from exitless.arch.x86.modes import write_base
from exitless.arch.x86.registers import (
    Register,
    Touch,
    page_read,
    page_write,
    read_cr8,
    read_msr,
    sends,
    write_cr8,
    write_msr,
)

RO, RW, WO, NONE = "RO", "RW", "WO", "--"
# Offset: xAPIC access, bits that software can write there, x2APIC access, reset value; tables 10-1 and 10-6.
TABLE = {
    0x020: (RO, 0, RO, 0x05000000), 0x030: (RO, 0, RO, 0x01060015), 0x080: (RW, 0xFF, RW, 0), 0x090: (RO, 0, NONE, 0),
    0x0A0: (RO, 0, RO, 0), 0x0B0: (WO, 0, WO, 0), 0x0C0: (RO, 0, NONE, 0), 0x0D0: (RW, 0xFF000000, RO, 0),
    0x0E0: (RW, 0xF0000000, NONE, 0xFFFFFFFF), 0x0F0: (RW, 0x11FF, RW, 0xFF),
    **dict.fromkeys(range(0x100, 0x280, 0x10), (RO, 0, RO, 0)),
    0x280: (RW, 0, RW, 0), 0x2F0: (RW, 0x107FF, RW, 0x10000), 0x300: (RW, 0xCCFFF, RW, 0),
    0x310: (RW, 0xFF000000, NONE, 0), 0x320: (RW, 0x700FF, RW, 0x10000), 0x330: (RW, 0x107FF, RW, 0x10000),
    0x340: (RW, 0x107FF, RW, 0x10000), 0x350: (RW, 0x1A7FF, RW, 0x10000), 0x360: (RW, 0x1A7FF, RW, 0x10000),
    0x370: (RW, 0x100FF, RW, 0x10000), 0x380: (RW, 0xFFFFFFFF, RW, 0), 0x390: (RO, 0, RO, 0),
    0x3E0: (RW, 0xB, RW, 0),
}  # fmt: skip
# What WRMSR may hold; everything else is reserved. An LVT entry's read-only bits are ignored by default.
MSR_BITS = {
    0x08: 0xFF, 0x0B: 0, 0x0F: 0x11FF, 0x28: 0, 0x2F: 0x117FF, 0x32: 0x710FF, 0x33: 0x117FF, 0x34: 0x117FF,
    0x35: 0x1F7FF, 0x36: 0x1F7FF, 0x37: 0x110FF, 0x38: 0xFFFFFFFF, 0x3E: 0xB, 0x3F: 0xFF,
}  # fmt: skip


def fresh(x2apic: bool = False) -> tuple[Apic, Register]:
    """Return an APIC after reset, and an access."""
    apic = Apic(5, 0)
    if x2apic:
        assert write_base(apic, FRAME | 0xC00, 0) == 0
    return apic, Register()


@pytest.mark.parametrize("offset", sorted(TABLE))
def test_reset_value(offset: int) -> None:
    """10.4.7.1: LVT entries 00010000H, SVR 000000FFH, DFR all ones, everything else 0."""
    apic, access = fresh()
    assert page_read(apic, offset, 4, access) == Touch.DONE
    assert access.low == TABLE[offset][3]


@pytest.mark.parametrize("offset", sorted(TABLE))
def test_every_bit_of_the_page_is_writable_or_not(offset: int) -> None:
    """Table 10-1 and the registers' figures; the APIC is software enabled, so that masks can be cleared."""
    _, mask, _, reset = TABLE[offset]
    base = {0x0F0: 0x100, 0x320: 0, 0x0E0: 0}.get(offset, 0)
    for bit in range(32):
        apic, access = fresh()
        apic.core.svr = 0x1FF
        access.low = base | 1 << bit
        assert page_write(apic, offset, 4, access) == Touch.DONE
        page_read(apic, offset, 4, access)
        wanted = (base | 1 << bit) & mask
        if offset == 0x0E0:
            wanted |= 0x0FFFFFFF
        elif mask == 0:
            wanted = reset
        if offset not in (0x0A0, 0x280):
            assert access.low == wanted, (hex(offset), bit)
        assert apic.core.esr_pending == (0x20 if offset == 0x300 and bit != 18 and sends_illegal(1 << bit) else 0) or (
            offset == 0x300 and bit == 18
        )


def sends_illegal(low: int) -> bool:
    """Tell whether an ICR value is a fixed or lowest-priority IPI with a vector below 16 that may be sent so."""
    return low & 0xFF < 16 and low >> 8 & 7 in (0, 1) and not (low >> 18 & 2 and low >> 8 & 7 and not low >> 18 & 1)


def test_reserved_slots_are_recorded_as_illegal_register_addresses() -> None:
    """10.5.3: an access to a reserved slot sets bit 7; reading it gives 0 (apic_reserved_read)."""
    for offset in range(0, 0x1000, 0x10):
        apic, access = fresh()
        touch = page_read(apic, offset, 4, access)
        assert (touch == Touch.ILLEGAL) == (offset not in TABLE), hex(offset)
        assert apic.core.esr_pending == (0x80 if offset not in TABLE else 0)
        apic, access = fresh()
        touch = page_write(apic, offset, 4, access)
        assert (touch == Touch.ILLEGAL) == (offset not in TABLE), hex(offset)
        assert apic.core.esr_pending & 0x80 == (0x80 if offset not in TABLE else 0)


def test_what_a_reserved_slot_and_the_arbitration_priority_read_is_a_choice() -> None:
    """10.5.3 does not say what a reserved slot reads; the arbitration priority was before the Pentium 4 only."""
    apic, access = fresh()
    apic.choices.apic_reserved_read = 0xFFFFFFFF
    page_read(apic, 0x40, 4, access)
    assert access.low == 0xFFFFFFFF
    for there in (0, 1):
        apic, access = fresh()
        apic.choices.apic_has_arbitration = there
        apic.core.tpr = 0x50
        assert page_read(apic, 0x90, 4, access) == Touch.DONE
        assert (access.low, apic.core.esr_pending) == (0x50 * there, 0)


def test_other_sizes_and_places_are_undefined() -> None:
    """10.4.1: registers are to be accessed with 32-bit loads and stores at multiples of 16."""
    apic, access = fresh()
    for offset in range(0x80, 0x90):
        for size in (1, 2, 4, 8):
            wanted = Touch.DONE if offset == 0x80 and size == 4 else Touch.UNDEFINED
            assert page_read(apic, offset, size, access) == wanted
            assert page_write(apic, offset, size, access) == wanted


def test_the_page_is_not_there_in_x2apic_mode_or_when_disabled() -> None:
    """10.12.2: in x2APIC mode the page behaves as for a globally disabled APIC."""
    apic, access = fresh(x2apic=True)
    assert page_read(apic, 0x30, 4, access) == Touch.ELSEWHERE
    write_base(apic, FRAME, 0)
    assert page_write(apic, 0x80, 4, access) == Touch.ELSEWHERE


def test_which_msrs_can_be_read_and_written() -> None:
    """Table 10-6: a read of a write-only register, a write of a read-only one and any reserved one raise #GP."""
    apic, access = fresh(x2apic=True)
    for number in range(0x800, 0xC00):
        kind = TABLE.get((number - 0x800) * 16, (0, 0, NONE, 0))[2]
        if number == 0x83F:
            kind = WO
        access.low, access.high = (0x20 if number == 0x83F else 0), 0
        assert (read_msr(apic, number, access) == 0) == (kind in (RO, RW)), hex(number)
        access.low, access.high = (0x20 if number == 0x83F else 0), 0
        assert (write_msr(apic, number, access) == 0) == (kind in (WO, RW)), hex(number)
    assert apic.core.esr_pending & 0x80 == 0


@pytest.mark.parametrize("row", sorted(MSR_BITS))
def test_reserved_bits_of_every_msr(row: int) -> None:
    """10.12.1.3: WRMSR with a reserved bit set raises #GP and stores nothing; nothing is recorded in ESR."""
    for bit in range(64):
        apic, access = fresh(x2apic=True)
        before = (apic.core.tpr, apic.core.svr, list(apic.lvt), apic.timer.initial, apic.timer.divide)
        access.low, access.high = 1 << bit & 0xFFFFFFFF, 1 << bit >> 32
        if row == 0x3F:
            access.low |= 0x80
        answer = write_msr(apic, 0x800 + row, access)
        assert (answer == 0) == bool(MSR_BITS[row] >> bit & 1), bit
        if answer:
            assert before == (apic.core.tpr, apic.core.svr, list(apic.lvt), apic.timer.initial, apic.timer.divide)
            assert apic.core.esr_pending == 0


def test_lvt_read_only_bits_fault_by_choice() -> None:
    """What WRMSR does with bit 12 is not in the table: apic_lvt_status_faults decides."""
    apic, access = fresh(x2apic=True)
    access.low = 0x1020
    assert write_msr(apic, 0x832, access) == 0
    apic.choices.apic_lvt_status_faults = 1
    access.low = 0x1020
    assert write_msr(apic, 0x832, access) == Access.GENERAL_PROTECTION


def test_icr_msr_reserved_bits() -> None:
    """10.12.9: bits 31:20, 17:16 and 13 are reserved; bit 12 is not there and ignored (AMD: #GP, by choice)."""
    for bit in range(64):
        apic, access = fresh(x2apic=True)
        access.low, access.high = 1 << bit & 0xFFFFFFFF | 0x20, 1 << bit >> 32
        reserved = bit == 13 or bit in (16, 17) or 20 <= bit < 32
        assert (write_msr(apic, 0x830, access) == 0) != reserved, bit
    apic, access = fresh(x2apic=True)
    apic.choices.apic_icr_status_faults = 1
    access.low, access.high = 0x1020, 0
    assert write_msr(apic, 0x830, access) == Access.GENERAL_PROTECTION
    apic.choices.apic_x2apic_lowest_faults = 1
    access.low = 0x120
    assert write_msr(apic, 0x830, access) == Access.GENERAL_PROTECTION


def test_broadcast_suppression_needs_version_bit_24_and_focus_a_choice() -> None:
    """10.8.5 and 10.9: SVR[12] exists with Version[24]; SVR[9] is reserved on the Pentium 4 and later."""
    apic, access = fresh()
    apic.version = 0x00060015
    access.low = 0x1FFF
    page_write(apic, 0xF0, 4, access)
    assert apic.core.svr == 0x1FF
    apic.choices.apic_focus_writable = 1
    access.low = 0x1FFF
    page_write(apic, 0xF0, 4, access)
    assert apic.core.svr == 0x3FF


def test_a_part_without_cmci_has_no_such_register() -> None:
    """Table 10-1: the CMCI entry is there when the part has it."""
    apic, access = fresh()
    apic.has_cmci = 0
    assert page_read(apic, 0x2F0, 4, access) == Touch.ILLEGAL


def test_software_disable_masks_the_table_and_keeps_it_masked() -> None:
    """10.4.7.2: the mask bits of all LVT entries are set, and attempts to clear them are ignored."""
    apic, access = fresh()
    for value in (0x1FF, 0xFF):
        access.low = value
        page_write(apic, 0xF0, 4, access)
        for offset in (0x2F0, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370):
            access.low = 0x31
            page_write(apic, offset, 4, access)
            page_read(apic, offset, 4, access)
            assert access.low == (0x31 if value == 0x1FF else 0x10031)


@pytest.mark.parametrize("accepts", [0, 1])
def test_a_software_disabled_apic_drops_unless_chosen(accepts: int) -> None:
    """10.4.7.2 says what IRR and ISR keep; apic_accepts_while_disabled decides what a fixed message does."""
    apic, access = fresh()
    apic.choices.apic_accepts_while_disabled = accepts
    accept(apic.core, 0x51, 0)
    page_read(apic, 0x220, 4, access)
    assert access.low == (1 << 17 if accepts else 0)


def test_cr8_is_the_class_of_tpr() -> None:
    """10.8.6: CR8[3:0] is TPR[7:4]; MOV to CR8 clears TPR[3:0]; other bits raise #GP. T17 for the physical APIC."""
    for value in range(256):
        apic, access = fresh()
        access.low = value
        page_write(apic, 0x80, 4, access)
        assert (apic.core.tpr, read_cr8(apic)) == (value, value >> 4)
    for value in range(64):
        apic, _ = fresh()
        answer = write_cr8(apic, value, 0)
        assert answer == (0 if value < 16 else Access.GENERAL_PROTECTION)
        assert apic.core.tpr == (value << 4 if value < 16 else 0)
    assert write_cr8(apic, 0, 1) == Access.GENERAL_PROTECTION


def test_esr_latches_what_has_accumulated() -> None:
    """10.5.3: a write latches; a read gives what was latched last; errors meanwhile wait for the next write."""
    apic, access = fresh()
    page_read(apic, 0x40, 4, access)
    page_read(apic, 0x280, 4, access)
    assert access.low == 0
    page_write(apic, 0x280, 4, access)
    page_read(apic, 0x280, 4, access)
    assert access.low == 0x80
    apic.core.svr = 0x1FF
    accept(apic.core, 3, 0)
    page_write(apic, 0x280, 4, access)
    page_read(apic, 0x280, 4, access)
    assert access.low == 0x40


def test_the_error_interrupt_comes_once_until_esr_is_written() -> None:
    """10.5.3: writing ESR arms it again; its vector below 16 is not recorded without end; it is an edge."""
    apic, access = fresh()
    apic.core.svr = 0x1FF
    accept(apic.core, 0x41, 1)
    acknowledge(apic.core)
    access.low = 0x41
    page_write(apic, 0x370, 4, access)
    page_read(apic, 0x40, 4, access)
    assert apic.core.irr[2] == 2
    assert apic.core.tmr[2] == 0
    apic.core.irr[2] = 0
    page_read(apic, 0x40, 4, access)
    assert apic.core.irr[2] == 0
    page_write(apic, 0x280, 4, access)
    access.low = 0x0F
    page_write(apic, 0x370, 4, access)
    page_read(apic, 0x40, 4, access)
    assert [list(apic.core.irr), apic.core.esr_pending] == [[0] * 8, 0x80]


def test_eoi_of_every_vector_and_its_broadcast() -> None:
    """T26, T27 (10.8.5): a level vector's EOI is broadcast unless SVR[12]; with ISR empty EOI does nothing."""
    for vector in range(16, 256):
        for level, suppress in ((0, 0), (1, 0), (1, 1)):
            apic, access = fresh()
            apic.core.svr = 0x1FF | suppress << 12
            accept(apic.core, vector, level)
            acknowledge(apic.core)
            page_write(apic, 0xB0, 4, access)
            assert (access.ended, access.broadcast) == (vector, int(level and not suppress))
            page_write(apic, 0xB0, 4, access)
            assert (access.ended, access.broadcast) == (-1, 0)


def test_the_trigger_mode_is_that_of_the_last_acceptance() -> None:
    """T26 (10.8.4): an edge in service and a level acceptance before its EOI: the EOI is broadcast."""
    apic, access = fresh()
    apic.core.svr = 0x1FF
    accept(apic.core, 0x61, 0)
    acknowledge(apic.core)
    accept(apic.core, 0x61, 1)
    page_write(apic, 0xB0, 4, access)
    assert (access.ended, access.broadcast) == (0x61, 1)


def test_only_an_ipi_for_others_is_handed_on() -> None:
    """10.6.1: a legal IPI leaves a message, to all as well; a self IPI, a refused one, another register leave none."""
    for offset, low, owed in (
        (0x300, 0x00000041, True), (0x300, 0x000C0041, True), (0x300, 0x000C0441, True), (0x300, 0x00040041, False),
        (0x300, 0x0000000F, False), (0x300, 0x0004000F, False), (0x300, 0x00080041, True), (0x310, 0x01000000, False),
        (0x080, 0x00000041, False), (0x0B0, 0, False), (0x380, 0x00000041, False), (0x100, 0x00000041, False),
    ):  # fmt: skip
        apic, access = fresh()
        apic.core.svr = 0x1FF
        access.low = low
        assert page_write(apic, offset, 4, access) == Touch.DONE
        assert sends(access) == owed, f"{offset:#x} {low:#x}"
