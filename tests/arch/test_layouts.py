"""Bit layouts against constants that the manuals' tables state, written here as numbers and never taken from the code.

A row is what a table says: a name, its lowest bit, how many bits. Each field is set alone; the rest must be 0.
"""

from collections.abc import Callable
from typing import Any

import pytest

from exitless.arch.svm import iommu, tables, vmcb
from exitless.arch.vmx import ipi, vmcs
from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.injection import GuestState
from exitless.arch.vmx.posted import PostedDescriptor
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.arch.vtd import descriptor, irte
from exitless.arch.x86 import destination, icr, ioapic, message
from exitless.arch.x86.apic import Apic, Row
from exitless.arch.x86.modes import write_base
from exitless.arch.x86.registers import Register, page_read, page_write, read_msr
from exitless.arch.xen import callback, fifo, two_level
from exitless.bits.words import zeros

Rows = dict[str, tuple[int, int]]


def whole(words: Any) -> int:
    """Join 32-bit words, lowest first."""
    return sum(words[i] << 32 * i for i in range(len(words)))


def cut(value: int, count: int) -> Any:
    """Cut a number into 32-bit words."""
    words = zeros(count)
    for i in range(count):
        words[i] = value >> 32 * i & 0xFFFFFFFF
    return words


def check_packing(make: Callable[[], Any], pack: Callable[[Any], int], rows: Rows, always: int = 0) -> None:
    """Each field alone, all ones; ``always`` are bits that stand in any case."""
    for name, (low, width) in rows.items():
        unit = make()
        setattr(unit, name, (1 << width) - 1)
        assert pack(unit) == (((1 << width) - 1) << low) | always, name


def check_taking(take: Callable[[int], Any], rows: Rows, bits: int, always: int = 0) -> None:
    """Each bit alone: it shows in the field whose it is, in the right place, and in no other."""
    for bit in range(bits):
        if always >> bit & 1:
            continue
        unit = take(1 << bit | always)
        for name, (low, width) in rows.items():
            own = 1 << bit - low if low <= bit < low + width else 0
            fixed = (always >> low) & ((1 << width) - 1)
            assert getattr(unit, name) == own | fixed, (name, bit)


# ---- the local APIC: SDM Table 10-1, Table 10-6 and the figures ----

# Offset, MSR (0: none), bits that software can write in xAPIC mode, what reset leaves there.
REGISTERS = {
    "ID": (0x020, 0x802, 0, 0x05000000), "VERSION": (0x030, 0x803, 0, None), "TPR": (0x080, 0x808, 0xFF, 0),
    "PPR": (0x0A0, 0x80A, 0, 0), "LDR": (0x0D0, 0x80D, 0xFF000000, 0), "DFR": (0x0E0, 0, 0xF0000000, 0xFFFFFFFF),
    "SVR": (0x0F0, 0x80F, 0x11FF, 0xFF), "ESR": (0x280, 0x828, 0, 0), "CMCI": (0x2F0, 0x82F, 0x107FF, 0x10000),
    "ICR_LOW": (0x300, 0x830, 0xCCFFF, 0), "ICR_HIGH": (0x310, 0, 0xFF000000, 0),
    "LVT_TIMER": (0x320, 0x832, 0x700FF, 0x10000), "LVT_THERMAL": (0x330, 0x833, 0x107FF, 0x10000),
    "LVT_PERFMON": (0x340, 0x834, 0x107FF, 0x10000), "LVT_LINT0": (0x350, 0x835, 0x1A7FF, 0x10000),
    "LVT_LINT1": (0x360, 0x836, 0x1A7FF, 0x10000), "LVT_ERROR": (0x370, 0x837, 0x100FF, 0x10000),
    "INITIAL": (0x380, 0x838, 0xFFFFFFFF, 0), "CURRENT": (0x390, 0x839, 0, 0), "DIVIDE": (0x3E0, 0x83E, 0x0B, 0),
}  # fmt: skip
# Writing these does something beside: an IPI, a mask that software disable forces, a count that starts.
ALONE = {"ICR_LOW", "SVR", "LVT_TIMER", "INITIAL", "LVT_LINT0", "LVT_LINT1"}


@pytest.mark.parametrize("name", REGISTERS)
def test_registers_stand_where_the_tables_say_and_begin_as_they_say(name: str) -> None:
    offset, msr, _, reset = REGISTERS[name]
    assert getattr(Row, name) * 16 == offset
    access, apic = Register(), Apic(5, 0)
    if reset is not None:
        page_read(apic, offset, 4, access)
        assert access.low == reset
    assert write_base(apic, 0xFEE00C00, 0) == 0
    fault = read_msr(apic, 0x800 + offset // 16, access)
    assert (fault == 0) == (msr != 0), "the MSR is 800H plus the offset divided by 16, where there is one"
    assert msr in (0, 0x800 + offset // 16)


@pytest.mark.parametrize("name", sorted(set(REGISTERS) - ALONE - {"ESR"}))
def test_bits_that_software_can_write(name: str) -> None:
    offset, _, writable, reset = REGISTERS[name]
    for bit in range(32):
        access, apic = Register(), Apic(5, 0)
        apic.core.svr = 0x1FF
        page_read(apic, offset, 4, access)
        before = access.low
        access.low = 1 << bit
        page_write(apic, offset, 4, access)
        page_read(apic, offset, 4, access)
        fixed = 0x0FFFFFFF if name == "DFR" else before & ~writable
        assert access.low == (1 << bit & writable) | fixed, (name, bit)
    assert reset is None or reset & ~writable in (0, 0x0FFFFFFF, reset)


def test_registers_of_256_bits_are_eight_rows_each() -> None:
    assert [16 * row for row in (Row.ISR, Row.TMR, Row.IRR)] == [0x100, 0x180, 0x200]
    assert [4 * word for word in (Reg.VISR, Reg.VTMR, Reg.VIRR)] == [0x100, 0x180, 0x200]
    words = {"VTPR": 0x080, "VPPR": 0x0A0, "VEOI": 0x0B0, "VICR_LO": 0x300, "VICR_X2_HI": 0x304, "VICR_HI": 0x310}
    assert {name: 4 * getattr(Reg, name) for name in words} == words


def test_fields_of_the_icr() -> None:
    """Figs. 10-12 and 10-28: vector 7:0, delivery 10:8, mode 11, level 14, trigger 15, shorthand 19:18."""

    def take(value: int) -> destination.BusMessage:
        out = destination.BusMessage()
        icr.decode_icr(value & 0xFFFFFFFF, value >> 32, 1, out)
        return out

    rows = {"vector": (0, 8), "delivery": (8, 3), "logical": (11, 1), "shorthand": (18, 2), "destination": (32, 32)}
    check_taking(take, rows, 64)


# ---- VMX: SDM 24.4 to 24.8 ----

PIN = {"ext_int_exiting": 0, "nmi_exiting": 3, "virtual_nmis": 5, "process_posted_interrupts": 7}
PRIMARY = {
    "hlt_exiting": 7, "mwait_exiting": 10, "tertiary": 17, "cr8_load_exiting": 19, "cr8_store_exiting": 20,
    "use_tpr_shadow": 21, "nmi_window_exiting": 22, "msr_bitmaps": 28, "secondary": 31,
}  # fmt: skip
SECONDARY = {
    "virtualize_apic_accesses": 0, "virtualize_x2apic_mode": 4, "apic_register_virtualization": 8,
    "virtual_interrupt_delivery": 9,
}  # fmt: skip
TERTIARY = {"ipi_virtualization": 4, "apic_timer_virtualization": 8}


def primary(controls: Controls, word: int) -> None:
    """Load the primary controls, without the one of the virtual APIC."""
    vmcs.load_primary(controls, VirtualApic(), word)


@pytest.mark.parametrize(
    ("load", "bits", "shown"),
    [
        (vmcs.load_pin, PIN, vmcs.PIN_LAYOUT), (primary, PRIMARY, vmcs.PRIMARY_LAYOUT),
        (vmcs.load_secondary, SECONDARY, vmcs.SECONDARY_LAYOUT), (vmcs.load_tertiary, TERTIARY, vmcs.TERTIARY_LAYOUT),
        (vmcs.load_exit, {"ack_int_on_exit": 15}, vmcs.EXIT_LAYOUT),
    ],
    ids=["pin", "primary", "secondary", "tertiary", "exit"],
)  # fmt: skip
def test_control_words(load: Callable[[Controls, int], None], bits: dict[str, int], shown: list[Any]) -> None:
    assert dict(shown) == bits
    for bit in range(32):
        controls = Controls()
        load(controls, 1 << bit)
        assert {name: getattr(controls, name) for name in bits} == {name: int(at == bit) for name, at in bits.items()}
        load(controls, 0xFFFFFFFF & ~(1 << bit))
        assert {name: getattr(controls, name) for name in bits} == {name: int(at != bit) for name, at in bits.items()}


def test_interrupt_window_exiting_is_primary_bit_2() -> None:
    for bit in range(32):
        vapic = VirtualApic()
        vmcs.load_primary(Controls(), vapic, 1 << bit)
        assert vapic.window_exiting == int(bit == 2) == int(1 << bit == vmcs.WINDOW_EXITING)


def test_field_encodings() -> None:
    """24.11.2 and Appendix B: the width in bits 14:13 (16, 64, 32, natural), the type in 11:10."""
    said = {
        "NOTIFICATION_VECTOR": 0x0002, "LAST_PID_INDEX": 0x0008, "VIRTUAL_TIMER_VECTOR": 0x000A,
        "GUEST_INTERRUPT_STATUS": 0x0810, "MSR_BITMAP_ADDRESS": 0x2004, "VIRTUAL_APIC_ADDRESS": 0x2012,
        "APIC_ACCESS_ADDRESS": 0x2014, "DESCRIPTOR_ADDRESS": 0x2016, "EOI_EXIT_0": 0x201C, "EOI_EXIT_1": 0x201E,
        "EOI_EXIT_2": 0x2020, "EOI_EXIT_3": 0x2022, "TERTIARY": 0x2034, "PID_TABLE_ADDRESS": 0x2042,
        "DEADLINE_SHADOW": 0x204E, "GUEST_DEADLINE": 0x2830, "PIN": 0x4000, "PRIMARY": 0x4002, "EXIT": 0x400C,
        "ENTRY_EVENT": 0x4016, "TPR_THRESHOLD": 0x401C, "SECONDARY": 0x401E, "EXIT_REASON": 0x4402,
        "EXIT_INTERRUPTION": 0x4404, "IDT_VECTORING": 0x4408, "INTERRUPTIBILITY": 0x4824, "ACTIVITY": 0x4826,
        "EXIT_QUALIFICATION": 0x6400,
    }  # fmt: skip
    assert {name: value for name, value in vars(vmcs.Field).items() if name.isupper()} == said


def test_status_interruptibility_and_event_fields() -> None:
    for bit in range(32):
        vapic, state = VirtualApic(), GuestState()
        vmcs.load_status(vapic, 1 << bit)
        assert vapic.rvi | vapic.svi << 8 == 1 << bit & 0xFFFF
        vmcs.load_interruptibility(state, 1 << bit)
        known = {0: "sti_blocking", 1: "mov_ss_blocking", 3: "nmi_blocking"}
        for at, name in known.items():
            assert getattr(state, name) == int(at == bit)
        assert state.other_blocking == (0 if bit in known else 1 << bit)
        assert vmcs.interruptibility(state) == 1 << bit
        vmcs.load_event(state, 1 << bit)
        assert state.entry_vector == (-1 if bit < 31 else 0), "31 is the valid bit"
        vmcs.load_event(state, 1 << 31 | 1 << bit)
        parts = (state.entry_vector, state.entry_type, state.entry_bits)
        assert parts == (1 << bit & 0xFF, (1 << bit & 0x700) >> 8, 1 << bit & 0x7FFFF800)


@pytest.mark.parametrize("vector", range(256))
def test_the_eoi_exit_bitmap_is_four_quadwords(vector: int) -> None:
    vapic, value = VirtualApic(), 1 << vector % 64
    vmcs.load_eoi_exit(vapic, vector // 64, value & 0xFFFFFFFF, value >> 32)
    assert whole(vapic.eoi_exit) == 1 << vector


def test_the_msr_bitmap_is_four_parts_of_1_kib() -> None:
    """24.6.9: reads low at 0, reads high at 400H, writes low at 800H, writes high at C00H; others always exit."""
    bits = {
        (0x800, False): 0x800, (0x1FFF, False): 0x1FFF, (0xC0000000, False): 0x400 * 8,
        (0x808, True): 0x800 * 8 + 0x808, (0xC0001FFF, True): 0xC00 * 8 + 0x1FFF,
    }  # fmt: skip
    for (msr, writes), bit in bits.items():
        assert vmcs.msr_bitmap_bit(msr, writes) == bit
    for msr in (0x2000, 0x40000000, 0xBFFFFFFF, 0xC0002000, 0xFFFFFFFF):
        assert vmcs.msr_bitmap_bit(msr, False) == vmcs.msr_bitmap_bit(msr, True) == -1
    for index in range(256):
        for writes in (False, True):
            bit = vmcs.msr_bitmap_bit(0x800 + index, writes)
            page, controls = cut(1 << bit, 1024), Controls()
            vmcs.load_msr_bitmap(controls, page)
            assert whole(controls.msr_write_exit if writes else controls.msr_read_exit) == 1 << index
            assert whole(controls.msr_read_exit if writes else controls.msr_write_exit) == 0


def test_an_entry_of_the_pid_pointer_table() -> None:
    """Bit 0 valid, 5:1 zero, the address above; an xAPIC destination is NDST[15:8]."""
    controls = Controls()
    controls.tertiary = controls.ipi_virtualization = 1
    assert ipi.find_descriptor(controls, cut(0x12_3456_7FC1, 2), 0x41, 0) == 0x12_3456_7FC0
    pid = PostedDescriptor()
    pid.nv, pid.ndst = 0xF2, 0x0300
    assert ipi.notification(pid, False) >> 32 == 3


# ---- VT-d: 9.9 to 9.11 and 5.1 ----

SOURCE = {"sid": (64, 16), "sq": (80, 2), "svt": (82, 2)}
COMMON: Rows = {"p": (0, 1), "fpd": (1, 1), "avail": (8, 4), "vector": (16, 8), **SOURCE}
REMAPPED: Rows = {**COMMON, "dm": (2, 1), "rh": (3, 1), "tm": (4, 1), "dlm": (5, 3), "dst": (32, 32)}
POSTED: Rows = {**COMMON, "urg": (14, 1), "pda_low": (38, 26), "pda_high": (96, 32)}


@pytest.mark.parametrize(("im", "rows"), [(0, REMAPPED), (1, POSTED)])
def test_remapping_table_entries(im: int, rows: Rows) -> None:
    """9.9 and 9.10; bit 15 tells the formats apart."""

    def fresh() -> irte.Irte:
        made = irte.Irte()
        made.im = im
        return made

    check_packing(fresh, lambda unit: whole(irte.pack(unit)), rows, im << 15)
    other = ~(1 << 15) if im == 0 else -1
    check_taking(lambda value: irte.unpack(cut(value & other, 4)), rows, 128, im << 15)
    named = {low + n for low, width in rows.values() for n in range(width)} | {15}
    for bit in set(range(128)) - {15}:
        assert irte.reserved_bits_set(cut(1 << bit | im << 15, 4)) == (bit not in named), bit


def test_the_posted_interrupt_descriptor() -> None:
    """Table 29-1 and 9.11: PIR 255:0, ON 256, SN 257, NV 279:272, NDST 319:288, in xAPIC form 303:296."""
    rows: Rows = {"on": (256, 1), "sn": (257, 1), "nv": (272, 8), "ndst": (288, 32)}
    check_packing(PostedDescriptor, lambda unit: whole(descriptor.pack_descriptor(unit, 1)), rows)
    check_taking(lambda value: descriptor.unpack_descriptor(cut(value, 16), 1), rows, 320)
    narrow = {"ndst": (296, 8)}
    check_packing(PostedDescriptor, lambda unit: whole(descriptor.pack_descriptor(unit, 0)), narrow)
    check_taking(lambda value: descriptor.unpack_descriptor(cut(value, 16), 0), narrow, 320)
    for vector in range(256):
        assert whole(descriptor.unpack_descriptor(cut(1 << vector, 16), 1).pir) == 1 << vector
    for bit in range(512):
        reserved = 258 <= bit <= 271 or 280 <= bit <= 287
        assert descriptor.descriptor_reserved(cut(1 << bit, 16)) == reserved


def test_messages_in_compatibility_format() -> None:
    """10.11: address FEEH, destination 19:12, RH 3, DM 2; data vector 7:0, delivery 10:8, level 14, trigger 15."""
    address: Rows = {"destination": (12, 8), "rh": (3, 1), "dm": (2, 1)}
    check_taking(lambda value: message.decode_compatible(0xFEE00000 | value, 0), address, 20)
    data: Rows = {"vector": (0, 8), "delivery": (8, 3), "trigger": (15, 1)}
    check_taking(lambda value: message.decode_compatible(0xFEE00000, value), data, 32)
    made = message.encode_compatible(0xAB, 1, 1, 0x51, 5, 1)
    assert (made.address, made.data) == (0xFEEAB00C, 0xC551)
    assert [bit for bit in range(5) if message.is_remappable(0xFEE00000 | 1 << bit)] == [4]


@pytest.mark.parametrize("bit", range(16))
def test_messages_in_remappable_format(bit: int) -> None:
    """VT-d 5.1.2: handle[14:0] in 19:5, format 4, SHV 3, handle[15] in 2; the subhandle is the data."""
    address = 0xFEE00010 | (1 << bit + 5 if bit < 15 else 1 << 2)
    assert message.remapping_index(address, 0) == 1 << bit
    assert message.remappable_address(1 << bit) == address
    assert message.remapping_index(address | 8, 3) == (1 << bit) + 3
    assert message.reserved_request_bits(address, 1 << bit) and not message.reserved_request_bits(address | 8, 1 << bit)
    assert message.reserved_request_bits(address | 8, 1 << bit + 16)


# ---- the I/O APIC ----


def test_redirection_entries() -> None:
    """Vector 7:0, delivery 10:8, mode 11, status 12, polarity 13, remote IRR 14, trigger 15, mask 16, dest. 63:56."""
    unit = ioapic.IoApic(0, 1)
    for bit in range(64):
        unit.select = 0x10
        ioapic.write_window(unit, 1 << 16 | (1 << bit & 0xFFFFFFFF))
        unit.select = 0x11
        ioapic.write_window(unit, 1 << bit >> 32)
        entry = unit.entries[0]
        assert entry.low == 1 << 16 | (1 << bit & 0x1AFFF), "status and remote IRR are read-only"
        assert entry.high & 0xFF000000 == 1 << bit >> 32 & 0xFF000000
    fixed = {"STATUS": 1 << 12, "REMOTE_IRR": 1 << 14, "TRIGGER": 1 << 15, "MASKED": 1 << 16}
    assert {name: getattr(ioapic, name) for name in fixed} == fixed


@pytest.mark.parametrize("bit", range(16))
def test_redirection_entries_in_remappable_form(bit: int) -> None:
    """VT-d 5.1.5.1: index[14:0] in 63:49, format 48, index[15] in 11."""
    entry = ioapic.Entry()
    entry.low = 1 << 11 if bit == 15 else 0
    entry.high = 1 << 16 | (1 << 17 + bit if bit < 15 else 0)
    assert ioapic.is_remappable(entry)
    assert ioapic.remapping_handle(entry) == 1 << bit
    entry.high &= ~(1 << 16)
    assert not ioapic.is_remappable(entry)


# ---- AMD: APM 15.21 and 15.29, and Linux's headers ----

INT_CTL: Rows = {
    "v_tpr": (0, 8), "v_irq": (8, 1), "vgif": (9, 1), "v_nmi": (11, 1), "v_nmi_mask": (12, 1), "v_intr_prio": (16, 4),
    "v_ign_tpr": (20, 1), "v_intr_masking": (24, 1), "vgif_enable": (25, 1), "v_nmi_enable": (26, 1), "x2avic": (30, 1),
    "avic": (31, 1),
}  # fmt: skip


def test_the_vmcb() -> None:
    offsets = {
        "INT_CTL": 0x060, "INT_VECTOR": 0x064, "INT_STATE": 0x068, "APIC_BAR": 0x098, "EVENT_INJECTION": 0x0A8,
        "BACKING_PAGE": 0x0E0, "LOGICAL_TABLE": 0x0F0, "PHYSICAL_TABLE": 0x0F8,
    }  # fmt: skip
    assert {name: getattr(vmcb, name) for name in offsets} == offsets
    codes = {"INTR": 0x60, "NMI": 0x61, "VINTR": 0x64, "MSR": 0x7C, "INCOMPLETE_IPI": 0x401, "NOACCEL": 0x402}
    assert {name: getattr(vmcb.SvmExit, name) for name in codes} == codes

    def take(value: int) -> vmcb.Vmcb:
        unit = vmcb.Vmcb()
        vmcb.unpack_int_ctl(unit, value)
        return unit

    check_taking(take, INT_CTL, 32)
    check_packing(lambda: take(0), vmcb.pack_int_ctl, INT_CTL)
    unit = vmcb.Vmcb()
    unit.physical_table, unit.max_index = 0xFF_FFFF_FFFF, 0
    assert whole(vmcb.pack_physical_table(unit)) == 0x000F_FFFF_FFFF_F000
    unit.physical_table, unit.max_index = 0, 0xFFF
    assert whole(vmcb.pack_physical_table(unit)) == 0xFFF


def test_avics_tables() -> None:
    """15.29.5: 63 valid, 62 running, 51:12 backing page, 11:0 host ID; logical 31 valid, 7:0 guest ID."""
    physical: Rows = {"host_id": (0, 12), "backing": (12, 40), "logged": (61, 1), "running": (62, 1), "valid": (63, 1)}
    check_packing(tables.PhysicalEntry, lambda unit: whole(tables.pack_physical(unit)), physical)
    check_taking(lambda value: tables.unpack_physical(cut(value, 2)), physical, 64)
    logical: Rows = {"guest_id": (0, 8), "valid": (31, 1)}
    check_packing(tables.LogicalEntry, tables.pack_logical, logical)
    check_taking(tables.unpack_logical, logical, 32)


GUEST: Rows = {
    "remap_enable": (0, 1), "suppress_faults": (1, 1), "log_interrupt": (2, 1), "is_running": (6, 1), "tag": (32, 32),
    "vector": (64, 8), "root": (76, 40),
}  # fmt: skip
NON_GUEST: Rows = {
    "remap_enable": (0, 1), "suppress_faults": (1, 1), "delivery": (2, 3), "request_eoi": (5, 1), "logical": (6, 1),
    "vector": (64, 8),
}  # fmt: skip


@pytest.mark.parametrize(("mode", "rows"), [(1, GUEST), (0, NON_GUEST)])
def test_amds_remapping_entries(mode: int, rows: Rows) -> None:
    """Bit 7 tells the forms apart; the destination is 31:8 and 127:120."""

    def fresh() -> iommu.GuestIrte:
        made = iommu.GuestIrte()
        made.guest_mode = mode
        return made

    check_packing(fresh, lambda unit: whole(iommu.pack_guest_irte(unit)), rows, mode << 7)
    unit = fresh()
    unit.destination = 0xFFFFFFFF
    assert whole(iommu.pack_guest_irte(unit)) == 0xFF << 120 | 0xFFFFFF00 | mode << 7
    if mode:
        check_taking(lambda value: iommu.unpack_guest_irte(cut(value, 4)), rows, 128, 1 << 7)
    assert iommu.unpack_guest_irte(cut(0xAB << 120 | 0x123456 << 8 | mode << 7, 4)).destination == 0xAB123456


# ---- Xen's shared memory ----


def test_event_words_of_the_fifo_abi() -> None:
    """31 pending, 30 masked, 29 linked, 28 busy, 16:0 link; 16 queues; a control block of 72 bytes."""
    bits = {"PENDING": 31, "MASKED": 30, "LINKED": 29, "BUSY": 28, "LINK": 0x1FFFF, "LINK_BITS": 17, "PRIORITIES": 16}
    assert {name: getattr(fifo, name) for name in bits} == bits
    assert (fifo.CONTROL_BYTES, fifo.PAGE_WORDS, fifo.PAGES * fifo.PAGE_WORDS) == (72, 1024, 131072)


@pytest.mark.parametrize("port", [0, 1, 31, 32, 63, 64, 65, 2047, 4095])
def test_bits_of_the_two_level_abi(port: int) -> None:
    """Pending and mask have bit p of 4,096; the selector has bit p / 64 of 64."""
    shared, info = two_level.SharedInfo(), two_level.VcpuInfo()
    two_level.set_pending(shared, port)
    two_level.guest_mask(shared, port)
    two_level.set_selector(info, port)
    assert (whole(shared.pending), whole(shared.mask)) == (1 << port, 1 << port)
    assert whole(info.selector) == 1 << port // 64


def test_the_callback_parameter() -> None:
    """63:56 type; GSI or vector 7:0; device 15:11 and wire 1:0."""
    low = (0x1F << 11) | 3
    assert (callback.callback_device(low), callback.callback_intx(low), callback.callback_number(0xF3)) == (31, 3, 0xF3)
    styles = [callback.decode_callback_irq(kind << 24, 0xF3) for kind in range(4)]
    assert styles == [
        callback.Callback.GSI,
        callback.Callback.PCI_INTX,
        callback.Callback.VECTOR,
        callback.Callback.NONE,
    ]
