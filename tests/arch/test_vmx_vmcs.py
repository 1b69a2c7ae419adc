"""The words of a VMCS, one bit at a time: which control or state each bit is, and that no other bit is any."""

from itertools import product

import pytest

from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.injection import GuestState
from exitless.arch.vmx.virtual_apic import VirtualApic
from exitless.arch.vmx.vmcs import (
    NO_EVENT,
    interruptibility,
    load_eoi_exit,
    load_event,
    load_exit,
    load_interruptibility,
    load_msr_bitmap,
    load_pin,
    load_primary,
    load_secondary,
    load_status,
    load_tertiary,
    msr_bitmap_bit,
)
from exitless.bits.words import zeros

# SDM tables 24-5 to 24-8 and 24-13: the bits that decide interrupts, by their positions.
PIN = {0: "ext_int_exiting", 3: "nmi_exiting", 5: "virtual_nmis", 7: "process_posted_interrupts"}
PRIMARY = {
    7: "hlt_exiting", 10: "mwait_exiting", 17: "tertiary", 19: "cr8_load_exiting", 20: "cr8_store_exiting",
    21: "use_tpr_shadow", 22: "nmi_window_exiting", 28: "msr_bitmaps", 31: "secondary",
}  # fmt: skip
SECONDARY = {
    0: "virtualize_apic_accesses", 4: "virtualize_x2apic_mode", 8: "apic_register_virtualization",
    9: "virtual_interrupt_delivery",
}  # fmt: skip
TERTIARY = {4: "ipi_virtualization", 8: "apic_timer_virtualization"}
EXIT = {15: "ack_int_on_exit"}
NAMES = {name for table in (PIN, PRIMARY, SECONDARY, TERTIARY, EXIT) for name in table.values()}


def load(word: str, controls: Controls, vapic: VirtualApic, value: int) -> None:
    """Load one of the five control words."""
    if word == "primary":
        load_primary(controls, vapic, value)
    else:
        {"pin": load_pin, "secondary": load_secondary, "tertiary": load_tertiary, "exit": load_exit}[word](
            controls, value
        )


@pytest.mark.parametrize(
    ("word", "table"),
    [("pin", PIN), ("primary", PRIMARY), ("secondary", SECONDARY), ("tertiary", TERTIARY), ("exit", EXIT)],
)
def test_every_bit_of_every_control_word(word: str, table: dict[int, str]) -> None:
    """24.6, 24.7: a control is its bit; bits that are no control of ours change nothing, and other words stay."""
    for bit, before, others in product(range(32), (0, 1), (0, 1)):
        value = 1 << bit if not others else 0xFFFFFFFF & ~(1 << bit)
        controls, vapic = Controls(), VirtualApic()
        vapic.window_exiting = before
        for name in NAMES:
            setattr(controls, name, before)
        load(word, controls, vapic, value)
        wanted = dict.fromkeys(NAMES, before) | {name: value >> at & 1 for at, name in table.items()}
        assert {name: getattr(controls, name) for name in NAMES} == wanted
        assert vapic.window_exiting == (value >> 2 & 1 if word == "primary" else before)


def test_guest_interrupt_status_is_rvi_below_svi() -> None:
    """24.4.2: RVI in bits 7:0, SVI in 15:8."""
    for rvi, svi in product((0, 1, 0x41, 0xFF), repeat=2):
        vapic = VirtualApic()
        vapic.rvi, vapic.svi = 0x99, 0x77
        load_status(vapic, svi << 8 | rvi)
        assert (vapic.rvi, vapic.svi) == (rvi, svi)


def test_every_bit_of_the_interruptibility_state() -> None:
    """Table 24-3: 0 STI, 1 MOV SS, 3 NMI; SMI and enclave, 2 and 4, and what is reserved are kept and come back."""
    for word in [1 << bit for bit in range(32)] + [0, 0x1F, 0xFFFFFFFF]:
        state = GuestState()
        state.sti_blocking = state.mov_ss_blocking = state.nmi_blocking = state.other_blocking = 1
        load_interruptibility(state, word)
        assert (state.sti_blocking, state.mov_ss_blocking, state.nmi_blocking) == (
            word & 1, word >> 1 & 1, word >> 3 & 1,
        )  # fmt: skip
        assert state.other_blocking == word & ~0b1011
        assert interruptibility(state) == word


def test_the_event_to_be_injected() -> None:
    """Table 24-16: vector 7:0, type 10:8, error code 11, the rest reserved; without bit 31 there is none."""
    for vector, kind, rest, valid in product((0, 0x41, 0xFF), range(8), (0, 1 << 11, 1 << 12, 1 << 30), (0, 1)):
        state = GuestState()
        state.entry_vector, state.entry_type, state.entry_bits = 9, 5, 1 << 20
        load_event(state, valid << 31 | rest | kind << 8 | vector)
        wanted = (vector, kind, rest) if valid else (NO_EVENT, 0, 0)
        assert (state.entry_vector, state.entry_type, state.entry_bits) == wanted
    assert NO_EVENT == -1


def test_each_quadword_of_the_eoi_exit_bitmap_has_its_64_vectors() -> None:
    """24.6.8: EOI_EXIT0 holds vectors 0 to 63, EOI_EXIT3 192 to 255."""
    vapic = VirtualApic()
    for number in range(4):
        load_eoi_exit(vapic, number, 0x100 + number, 0x200 + number)
    assert list(vapic.eoi_exit) == [0x100, 0x200, 0x101, 0x201, 0x102, 0x202, 0x103, 0x203]


def test_where_the_bitmap_page_keeps_an_msr() -> None:
    """24.6.9: four KiB: reads of the low and of the high MSRs, then writes of both; any other MSR exits."""
    for writes in (False, True):
        base = 2048 * writes
        for n in (0, 1, 0x808, 0x1FFF):
            assert msr_bitmap_bit(n, writes) == base * 8 + n
            assert msr_bitmap_bit(0xC0000000 + n, writes) == (base + 1024) * 8 + n
        for msr in (0x2000, 0xBFFFFFFF, 0xC0002000, 0xFFFFFFFF):
            assert msr_bitmap_bit(msr, writes) == -1


def test_the_x2apic_registers_of_the_bitmap_page() -> None:
    """24.6.9: MSRs 800H to 8FFH are 32 bytes at 100H for reads, and at 900H for writes."""
    for index, writes in product((0, 8, 31, 32, 0x3F, 255), (False, True)):
        controls, page = Controls(), zeros(1024)
        bit = msr_bitmap_bit(0x800 + index, writes)
        page[bit // 32] = 1 << bit % 32
        load_msr_bitmap(controls, page)
        hit, other = (
            (controls.msr_write_exit, controls.msr_read_exit)
            if writes
            else (controls.msr_read_exit, controls.msr_write_exit)
        )
        assert list(hit) == [1 << index % 32 if i == index // 32 else 0 for i in range(8)]
        assert list(other) == [0] * 8
