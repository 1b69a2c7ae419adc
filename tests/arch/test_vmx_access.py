"""Accesses to APIC registers by memory, MSR and CR8: every offset, every size, every combination of the controls.

The tables here are the manual's lists, written a third way beside the rules and the naive processor's steps. That
virtualize-APIC-accesses is 1, or virtualize-x2APIC-mode for MSRs, is asked by the rules for MSRs themselves; for memory
it is what brings an access to these rules at all.
"""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitless.arch.outcome import Access
from exitless.arch.vmx.access import page_read, page_write, write_emulation
from exitless.arch.vmx.controls import Check, Controls, check_controls
from exitless.arch.vmx.ipi import is_virtual_self_ipi
from exitless.arch.vmx.msrs import read_msr, write_msr
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import set_bit
from exitless.vocab.exits import Exit
from tests.naive import apicv, both
from tests.naive.apicv import Processor

SIZES = (1, 2, 4, 8)
V, A = Access.VIRTUALIZED, Exit.APIC_ACCESS

# Rows of the page by what becomes of a read: always an exit, or virtualized with register virtualization.
READ_ROWS = {0x020, 0x030, 0x080, 0x0B0, 0x0D0, 0x0E0, 0x0F0, 0x280, 0x380, 0x3E0}
READ_ROWS |= set(range(0x100, 0x180, 16)) | set(range(0x180, 0x200, 16)) | set(range(0x200, 0x280, 16))
READ_ROWS |= {0x300, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370}
WRITE_ROWS = {0x020, 0x080, 0x0B0, 0x0D0, 0x0E0, 0x0F0, 0x280, 0x300, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370}
WRITE_ROWS |= {0x380, 0x3E0}

COMBINATIONS = [
    tuple(name for name, there in zip(("TPRS", "VAA", "REG", "VID"), bits) if there)
    for bits in product((0, 1), repeat=4)
]


def processor_with(*names: str) -> Processor:
    """Return a processor with these controls and no others."""
    processor = Processor(*names)
    processor.control = set(names)
    return processor


def pattern() -> bytes:
    """Bytes of a page on which a wrong offset shows."""
    return bytes((offset * 7 + (offset >> 8) * 13 + 3) & 255 for offset in range(4096))


def fill(vapic: VirtualApic, data: bytes) -> None:
    for i in range(1024):
        vapic.page[i] = int.from_bytes(data[4 * i : 4 * i + 4], "little")


def read_expected(controls: tuple[str, ...], offset: int, size: int) -> int:
    """The read table: by row, and only inside the row's first four bytes."""
    if "TPRS" not in controls or size > 4 or offset % 16 + size > 4:
        return A
    if "REG" not in controls:
        return V if offset == 0x080 else A
    return V if offset - offset % 16 in READ_ROWS else A


def write_expected(controls: tuple[str, ...], offset: int, size: int) -> int:
    """The write table."""
    if "TPRS" not in controls or size > 4 or offset % 16 + size > 4:
        return A
    if "REG" in controls:
        return V if offset - offset % 16 in WRITE_ROWS else A
    return V if offset in ((0x080, 0x0B0, 0x300) if "VID" in controls else (0x080,)) else A


@pytest.mark.parametrize("controls", COMBINATIONS, ids="+".join)
def test_reads_at_every_offset_and_size(controls: tuple[str, ...]) -> None:
    """The answer, the data or the qualification, and a page that stays as it is."""
    processor = processor_with(*controls)
    programmed, vapic, data = both.controls(processor), VirtualApic(), pattern()
    fill(vapic, data)
    before = list(vapic.page)
    op = both.operation()
    for size, offset in product(SIZES, range(4096)):
        answer = page_read(vapic, programmed, op, offset, size)
        assert answer == read_expected(controls, offset, size)
        if answer == V:
            assert op.low == int.from_bytes(data[offset : offset + size], "little")
        else:
            assert op.qualification == offset, "type 0 is a data read"
    assert list(vapic.page) == before
    assert op.emulate == -1


@pytest.mark.parametrize("controls", COMBINATIONS, ids="+".join)
def test_writes_at_every_offset_and_size(controls: tuple[str, ...]) -> None:
    """The answer, the bytes stored or the qualification, and what is owed at the operation's end."""
    processor = processor_with(*controls)
    programmed, vapic, data = both.controls(processor), VirtualApic(), pattern()
    fill(vapic, data)
    before = list(vapic.page)
    for size, offset in product(SIZES, range(4096)):
        op = both.operation()
        op.low = 0x5AC3E178 ^ offset
        answer = page_write(vapic, programmed, op, offset, size)
        assert answer == write_expected(controls, offset, size)
        if answer == V:
            stored = bytearray(data[offset & ~3 : (offset & ~3) + 4])
            stored[offset & 3 : (offset & 3) + size] = op.low.to_bytes(4, "little")[:size]
            assert vapic.page[offset >> 2] == int.from_bytes(stored, "little")
            assert (op.emulate, op.emulate_size) == (offset, size)
            vapic.page[offset >> 2] = before[offset >> 2]
        else:
            assert op.qualification == 0x1000 + offset, "type 1 is a data write"
            assert op.emulate == -1
    assert list(vapic.page) == before, "no other byte was touched"


@pytest.mark.parametrize("controls", [c for c in COMBINATIONS if "TPRS" in c], ids="+".join)
def test_accesses_agree_with_the_naive_steps(controls: tuple[str, ...]) -> None:
    """At every offset of the first 1,024 bytes, where all registers are, with and without an earlier write."""
    processor = processor_with(*controls)
    programmed, vapic = both.controls(processor), VirtualApic()
    for offset, size, earlier in product(range(1024), SIZES, (None, (0x080, 4))):
        step = apicv.Operation()
        step.written = earlier
        op = both.operation(earlier)
        expected = both.qualified(lambda o=offset, s=size, i=step: processor.page_read(o, s, i))
        answer = page_read(vapic, programmed, op, offset, size)
        assert (both.answered(answer), op.qualification) == expected
        op = both.operation(earlier)
        expected = both.qualified(lambda o=offset, s=size, i=step: processor.page_write(o, s, i, 0))
        answer = page_write(vapic, programmed, op, offset, size)
        assert (both.answered(answer), op.qualification) == expected


def test_secondary_controls_that_are_not_activated_do_not_count() -> None:
    programmed = both.controls(processor_with("TPRS", "REG", "VID", "VX2", "MSRB"))
    programmed.secondary = 0
    vapic = VirtualApic()
    assert page_read(vapic, programmed, both.operation(), 0x020, 4) == A
    assert page_write(vapic, programmed, both.operation(), 0x0B0, 4) == A
    assert read_msr(vapic, programmed, both.operation(), 0x08) == Access.PHYSICAL
    assert write_msr(vapic, programmed, both.operation(), 0x08) == Access.PHYSICAL


# ---- several accesses of one operation ----


def test_a_read_after_a_virtualized_write_of_the_same_operation_exits() -> None:
    """Read, then write, is an ordinary XCHG and stays inside; write, then read, does not."""
    programmed, vapic = both.controls(processor_with("TPRS", "REG")), VirtualApic()
    op = both.operation()
    assert page_read(vapic, programmed, op, 0x080, 4) == V
    assert page_read(vapic, programmed, op, 0x020, 4) == V, "two reads are fine"
    assert page_write(vapic, programmed, op, 0x080, 4) == V
    assert page_read(vapic, programmed, op, 0x080, 4) == A


def test_two_writes_of_one_operation() -> None:
    """Same offset and size: one emulation. A different one exits, though the data of the first is on the page."""
    programmed = both.controls(processor_with("TPRS", "REG"))
    for offset, size in product((0x080, 0x081, 0x082, 0x0F0), (1, 2, 4)):
        vapic, op = VirtualApic(), both.operation()
        op.low = 0x21
        assert page_write(vapic, programmed, op, 0x080, 1) == V
        op.low = 0x42
        same = (offset, size) == (0x080, 1)
        assert page_write(vapic, programmed, op, offset, size) == (V if same else A)
        assert vapic.page[Reg.VTPR] == (0x42 if same else 0x21)


# ---- emulation of writes ----


def emulated(controls: tuple[str, ...], offset: int) -> object:
    """What the write table says becomes of a completed write, beside the state: an exit or nothing.

    The page below holds a self-IPI in the ICR, an EOI-exit bit for SVI, and a VTPR below the threshold.
    """
    vid = "VID" in controls
    if offset == 0x080:
        return both.DONE if vid else Exit.TPR_BELOW_THRESHOLD
    if offset == 0x0B0:
        return Exit.EOI_INDUCED if vid else Exit.APIC_WRITE
    if offset == 0x300:
        return both.DONE if vid else Exit.APIC_WRITE
    return both.DONE if 0x310 <= offset <= 0x313 else Exit.APIC_WRITE


@pytest.mark.parametrize("controls", [c for c in COMBINATIONS if "TPRS" in c], ids="+".join)
def test_emulation_after_every_write_that_is_virtualized(controls: tuple[str, ...]) -> None:
    for offset, size in product(range(1024), (1, 2, 4)):
        if write_expected(controls, offset, size) != V:
            continue
        processor = processor_with(*controls)
        processor.set_array(apicv.VISR, 1 << 0x51 | 1 << 0x31)
        processor.svi, processor.rvi = 0x51, 0x41
        processor.put(apicv.VTPR, 0xFFFFFF23)
        processor.put(apicv.VEOI, 0x5A5A5A5A)
        processor.put(apicv.VICR_LO, 0x00040091)
        processor.put(apicv.VICR_HI, 0x12345678)
        processor.eoi_exit_bitmap = 1 << 0x51
        processor.tpr_threshold = 5
        vapic, op = both.virtual_apic(processor), both.operation((offset, size))
        answer = write_emulation(vapic, both.controls(processor), op)
        expected, qualification = both.qualified(lambda p=processor, o=offset: p.write_emulation(o))
        assert both.answered(answer) == expected == emulated(controls, offset)
        if answer in (Exit.APIC_WRITE, Exit.EOI_INDUCED):
            assert op.qualification == qualification == (0x51 if answer == Exit.EOI_INDUCED else offset)
        assert op.emulate == -1
        assert both.same_page(vapic, processor)
        assert both.brief(vapic) == both.naive_brief(processor)


def test_no_emulation_without_a_virtualized_write() -> None:
    vapic, op = VirtualApic(), both.operation()
    assert write_emulation(vapic, Controls(), op) == Exit.NONE
    assert not any(vapic.page)


@pytest.mark.parametrize(
    "high", [0, 0x00040000, 0x00080000, 0x000C0000, 0x00050000, 0x00060000, 0x00140000, 0x80040000]
)
def test_which_icr_values_are_virtual_self_ipis(high: int) -> None:
    """All values of the low 16 bits: fixed, edge or level, either destination mode, not bit 12, vector from 16 on."""
    for low in range(65536):
        value = high | low
        expected = high == 0x00040000 and low & 0xB700 == 0 and low & 0xFF >= 16
        assert is_virtual_self_ipi(value) == expected


@given(value=st.integers(0, 2**32 - 1) | st.integers(0, 2**20 - 1).map(lambda low: low & 0x4DFFF | 0x40000))
def test_self_ipi_judgement_agrees_with_the_bit_fields(value: int) -> None:
    assert is_virtual_self_ipi(value) == apicv.self_ipi_ok(value)


@pytest.mark.parametrize("vector", range(256))
def test_self_ipi_by_memory_and_by_msr(vector: int) -> None:
    """Below 16 it is the hypervisor's to judge: exit 56, qualification 300H, or 3F0H by MSR with the value stored."""
    processor = processor_with("TPRS", "VID", "VX2", "MSRB")
    programmed = both.controls(processor)
    vapic, op = VirtualApic(), both.operation()
    op.low = 0x00044800 | vector
    assert page_write(vapic, programmed, op, 0x300, 4) == V
    assert write_emulation(vapic, programmed, op) == (Exit.NONE if vector >= 16 else Exit.APIC_WRITE)
    assert (vapic.rvi, op.qualification) == ((vector, 0) if vector >= 16 else (0, 0x300))
    vapic, op = VirtualApic(), both.operation()
    op.low = vector
    assert write_msr(vapic, programmed, op, 0x3F) == (Exit.NONE if vector >= 16 else Exit.APIC_WRITE)
    assert (vapic.rvi, op.qualification) == ((vector, 0) if vector >= 16 else (0, 0x3F0))
    assert vapic.page[Reg.SELF_IPI] == vector
    assert both.array(vapic, Reg.VIRR) == (1 << vector if vector >= 16 else 0)


# ---- MSRs 800H to 8FFH ----

MSR_COMBINATIONS = [
    tuple(name for name, there in zip(("VX2", "REG", "VID", "MSRB"), bits) if there)
    for bits in product((0, 1), repeat=4)
]


@pytest.mark.parametrize("controls", MSR_COMBINATIONS, ids="+".join)
def test_rdmsr_of_every_register(controls: tuple[str, ...]) -> None:
    """Reads: with register virtualization eight bytes of the page, never a fault, whatever the register."""
    processor = processor_with("TPRS", *controls)
    processor.page = dict(enumerate(pattern()))
    vapic, programmed = both.virtual_apic(processor), both.controls(processor)
    before = list(vapic.page)
    for index in range(256):
        op = both.operation()
        answer = read_msr(vapic, programmed, op, index)
        if "MSRB" not in controls:
            expected = Exit.MSR_READ
        elif "VX2" in controls and ("REG" in controls or index == 0x08):
            expected = V
        else:
            expected = Access.PHYSICAL
        assert answer == expected
        assert both.answered(answer) == both.outcome(lambda i=index: processor.rdmsr(0x800 + i))
        if answer == V:
            assert op.high << 32 | op.low == int.from_bytes(pattern()[16 * index : 16 * index + 8], "little")
            assert op.high << 32 | op.low == processor.rdmsr(0x800 + index)
    assert list(vapic.page) == before


@pytest.mark.parametrize("controls", MSR_COMBINATIONS, ids="+".join)
@pytest.mark.parametrize("value", [0, 0x0F, 0x10, 0x45, 0xFF, 0x100, 0x80000000, 1 << 32, 0xFFFFFFFFFFFFFFFF])
def test_wrmsr_of_every_register(controls: tuple[str, ...], value: int) -> None:
    """Writes: only 808, 80B and 83F are special; reserved bits fault; register virtualization counts not."""
    for index in range(256):
        processor = processor_with("TPRS", *controls)
        processor.set_array(apicv.VISR, 1 << 0x51)
        processor.svi, processor.rvi = 0x51, 0x31
        for i in range(8):
            processor.page[16 * index + i] = 0xEE
        vapic, op = both.virtual_apic(processor), both.operation()
        op.low, op.high = value & 0xFFFFFFFF, value >> 32
        answer = write_msr(vapic, both.controls(processor), op, index)
        special = index == 0x08 or ("VID" in controls and index in (0x0B, 0x3F))
        if "MSRB" not in controls:
            assert answer == Exit.MSR_WRITE
        elif "VX2" not in controls or not special:
            assert answer == Access.PHYSICAL
        elif value > 255 or (index == 0x0B and value):
            assert answer == Access.GENERAL_PROTECTION
        elif index == 0x3F and value < 16:
            assert (answer, op.qualification) == (Exit.APIC_WRITE, 0x3F0)
        else:
            assert answer == Exit.NONE
            assert vapic.page[4 * index] == value
            assert vapic.page[4 * index + 1] == 0, "the eight bytes of the slot are written"
        assert both.answered(answer) == both.outcome(lambda p=processor, i=index: p.wrmsr(0x800 + i, value))
        assert both.same_page(vapic, processor)
        assert both.brief(vapic) == both.naive_brief(processor)


def test_the_msr_bitmap_goes_first_and_only_for_its_own_register() -> None:
    programmed = both.controls(processor_with("TPRS", "VX2", "REG", "VID", "MSRB"))
    for index in range(0, 256, 5):
        programmed.msr_read_exit = Controls().msr_read_exit
        programmed.msr_write_exit = Controls().msr_write_exit
        set_bit(programmed.msr_read_exit, 0, 1, index)
        vapic = VirtualApic()
        exits = [i for i in range(256) if read_msr(vapic, programmed, both.operation(), i) == Exit.MSR_READ]
        assert exits == [index]
        assert not any(write_msr(vapic, programmed, both.operation(), i) == Exit.MSR_WRITE for i in range(256))
        set_bit(programmed.msr_write_exit, 0, 1, index)
        exits = [i for i in range(256) if write_msr(vapic, programmed, both.operation(), i) == Exit.MSR_WRITE]
        assert exits == [index]


# ---- which settings are legal at all ----


def legal(tprs: int, vaa: int, vx2: int, reg: int, vid: int, extint: int = 1, pi: int = 0, ack: int = 1) -> bool:
    controls = Controls()
    controls.use_tpr_shadow, controls.virtualize_apic_accesses, controls.virtualize_x2apic_mode = tprs, vaa, vx2
    controls.apic_register_virtualization, controls.virtual_interrupt_delivery = reg, vid
    controls.ext_int_exiting, controls.process_posted_interrupts, controls.ack_int_on_exit = extint, pi, ack
    return check_controls(controls, 0) == Check.PASS


def test_the_number_of_legal_settings() -> None:
    """14 of the five controls of the virtual APIC, 50 of the eight with external interrupts and posting."""
    assert sum(legal(*bits) for bits in product((0, 1), repeat=5)) == 14
    assert sum(legal(*bits) for bits in product((0, 1), repeat=8)) == 50


def test_legal_settings_are_those_of_the_four_rules() -> None:
    for tprs, vaa, vx2, reg, vid, extint, pi, ack in product((0, 1), repeat=8):
        expected = (
            (tprs or not (vx2 or reg or vid))
            and not (vx2 and vaa)
            and (not vid or extint)
            and (not pi or (vid and ack))
        )
        assert legal(tprs, vaa, vx2, reg, vid, extint, pi, ack) == bool(expected)


def test_fields_of_posted_interrupts_at_entry() -> None:
    """The notification vector has 8 bits, the descriptor is aligned to 64 bytes, and address 0 is legal."""
    controls = both.controls(processor_with("TPRS", "VID", "EXTINT"))
    controls.process_posted_interrupts = 1
    for vector in (0, 0xF2, 0xFF, 0x100, 0x8000):
        controls.notification_vector = vector
        assert check_controls(controls, 0) == (Check.PASS if vector < 256 else Check.NOTIFICATION_VECTOR)
    controls.notification_vector = 0xF2
    for address in (0, *(1 << bit for bit in range(46))):
        controls.descriptor_address = address
        expected = Check.DESCRIPTOR_ADDRESS if address in (1, 2, 4, 8, 16, 32) else Check.PASS
        assert check_controls(controls, 0) == expected
    controls.descriptor_address = 0
    controls.secondary = 0
    assert check_controls(controls, 0) == Check.POSTING_NEEDS_VID, "posting is pin-based, delivery is secondary"
