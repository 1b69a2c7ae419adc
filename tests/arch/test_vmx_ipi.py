"""Self-IPIs and IPI virtualization: which ICR values, the PID-pointer table, and what notifies whom."""

from itertools import product

import pytest
from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.vmx.access import Operation, page_read, page_write, write_emulation
from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.ipi import NOT_FOUND, find_descriptor, is_virtual_ipi, is_virtual_self_ipi, notification
from exitless.arch.vmx.msrs import write_msr
from exitless.arch.vmx.posted import PostedDescriptor
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.vocab.exits import Exit


def with_ipiv(**fields: int) -> Controls:
    """Return controls with IPI virtualization and these fields."""
    controls = Controls()
    controls.use_tpr_shadow = controls.tertiary = controls.ipi_virtualization = 1
    for name, value in fields.items():
        assert hasattr(controls, name)
        setattr(controls, name, value)
    return controls


def table(*entries: int) -> "vec[i64]":
    """Return a PID-pointer table with these 64-bit entries."""
    return vec[i64]([half for entry in entries for half in (entry & 0xFFFFFFFF, entry >> 32)])


@pytest.mark.parametrize("bit", range(32))
def test_each_bit_of_the_icr_that_keeps_an_ipi_from_being_virtualized(bit: int) -> None:
    """Mode 10:8, logical 11, 12, 13, level 15, 17:16, shorthand 19:18 and 31:20 must be 0; 14 and vector are free."""
    free = bit < 8 or bit == 14
    assert is_virtual_ipi(0x41 | 1 << bit, Controls()) == free
    assert not (is_virtual_ipi(0x41 | 1 << bit, Controls()) and is_virtual_self_ipi(0x41 | 1 << bit)), "never both"


@pytest.mark.parametrize("vector", range(256))
def test_which_vectors_find_a_descriptor(vector: int) -> None:
    found = find_descriptor(with_ipiv(), table(0x1_2340_0041), vector, 0)
    assert found == (0x1_2340_0040 if vector >= 16 else NOT_FOUND)


def test_targets_beyond_the_last_index() -> None:
    entries = table(*(0x1000 + 64 * i + 1 for i in range(8)))
    for last, target in product(range(8), range(8)):
        found = find_descriptor(with_ipiv(last_pid_index=last), entries, 0x41, target)
        assert found == (0x1000 + 64 * target if target <= last else NOT_FOUND)
    assert find_descriptor(with_ipiv(last_pid_index=7), entries, 0x41, 0xFFFFFFFF) == NOT_FOUND


def test_bits_of_an_entry() -> None:
    """Valid bit 0 is 1, bits 5:1 are 0, none beyond the physical-address width is set."""
    for bit in range(64):
        entry = 1 | 1 << bit
        found = find_descriptor(with_ipiv(physical_width=40), table(entry), 0x41, 0)
        wrong = 1 <= bit <= 5 or bit >= 40
        assert found == (NOT_FOUND if wrong else entry & ~63)
    assert find_descriptor(with_ipiv(), table(0x1000), 0x41, 0) == NOT_FOUND, "not valid"


def test_notification_goes_to_ndst_with_nv() -> None:
    pid = PostedDescriptor()
    pid.nv, pid.ndst = 0xF2, 0x0300
    assert notification(pid, x2apic=True) == 0x0300_0000_00F2
    assert notification(pid, x2apic=False) == 0x0003_0000_00F2, "an xAPIC identifier stands in bits 15:8"


def store(controls: Controls, offset: int, value: int, size: int = 4) -> tuple[int, Operation, VirtualApic]:
    """Write to the page and do what the write causes."""
    vapic, op = VirtualApic(), Operation()
    vapic.page[Reg.VICR_HI] = 0x05000000
    op.low = value
    answer = page_write(vapic, controls, op, offset, size)
    return (write_emulation(vapic, controls, op) if answer == Access.VIRTUALIZED else answer), op, vapic


def test_a_store_to_the_icr_owes_an_ipi_to_the_high_half() -> None:
    for reg, vid in product((0, 1), (0, 1)):
        controls = with_ipiv(apic_register_virtualization=reg, virtual_interrupt_delivery=vid)
        answer, op, vapic = store(controls, 0x300, 0x41)
        assert (answer, op.low, op.high) == (Access.VIRTUAL_IPI, 0x41, 5)
        assert vapic.page[Reg.VICR_LO] == 0x41
        answer, op, _ = store(controls, 0x300, 0x00080041)
        assert (answer, op.qualification) == (Exit.APIC_WRITE, 0x300), "all including self is the hypervisor's"
        answer, op, vapic = store(controls, 0x300, 0x00040041)
        expected = (Exit.NONE, 0x41) if vid else (Exit.APIC_WRITE, 0)
        assert (answer, vapic.rvi) == expected, "a self-IPI is virtual-interrupt delivery's"


@pytest.mark.parametrize("bit", range(32))
def test_a_store_of_each_bit_of_the_icr_goes_to_a_descriptor_or_to_the_hypervisor(bit: int) -> None:
    """29.4.3.2: what is no fixed, edge, physical IPI without shorthand exits as an APIC write, after the store."""
    answer, op, vapic = store(with_ipiv(), 0x300, 0x41 | 1 << bit)
    expected = (Access.VIRTUAL_IPI, 5) if bit < 8 or bit == 14 else (Exit.APIC_WRITE, 0)
    assert (answer, op.high) == expected
    assert vapic.page[Reg.VICR_LO] == 0x41 | 1 << bit


def test_ipi_virtualization_alone_takes_the_low_half_of_the_icr_only() -> None:
    controls = with_ipiv()
    for offset in range(0, 1024, 4):
        answer, op, _ = store(controls, offset, 0x41)
        if offset == 0x300:
            assert answer == Access.VIRTUAL_IPI
        elif offset == 0x080:
            assert answer == Exit.NONE
        else:
            assert (answer, op.qualification) == (Exit.APIC_ACCESS, 0x1000 + offset)
    controls.tertiary = 0
    assert store(controls, 0x300, 0x41)[0] == Exit.APIC_ACCESS, "the control counts only when activated"


@pytest.mark.parametrize("bit", range(32))
def test_wrmsr_830_with_ipi_virtualization(bit: int) -> None:
    """Reserved bits fault and store nothing; what is no plain IPI is stored and exits; the target is all of EDX."""
    controls = with_ipiv(virtualize_x2apic_mode=1)
    vapic, op = VirtualApic(), Operation()
    op.low, op.high = 0x41 | 1 << bit, 0x12345678
    answer = write_msr(vapic, controls, op, 0x30)
    if bit >= 20 or bit in (13, 16, 17):
        assert answer == Access.GENERAL_PROTECTION
        assert not any(vapic.page)
        return
    assert (vapic.page[Reg.VICR_LO], vapic.page[Reg.VICR_X2_HI]) == (0x41 | 1 << bit, 0x12345678)
    if bit < 8 or bit == 14:
        assert (answer, op.low, op.high) == (Access.VIRTUAL_IPI, (0x41 | 1 << bit) & 0xFF, 0x12345678)
    else:
        assert (answer, op.qualification) == (Exit.APIC_WRITE, 0x300)


def test_wrmsr_830_without_ipi_virtualization_is_the_real_one() -> None:
    controls = with_ipiv(virtualize_x2apic_mode=1, virtual_interrupt_delivery=1, ipi_virtualization=0)
    op = Operation()
    op.low = 0x41
    assert write_msr(VirtualApic(), controls, op, 0x30) == Access.PHYSICAL


def test_the_later_edition_reads_eoi_and_icr_with_virtual_interrupt_delivery_alone() -> None:
    """A named switch: the 2016 edition exits, and so did the recordings."""
    controls = Controls()
    controls.use_tpr_shadow = controls.virtual_interrupt_delivery = 1
    for later, offset, size in product((0, 1), range(0, 1024), (1, 2, 4)):
        controls.choices.vmx_reads_with_vid = later
        answer = page_read(VirtualApic(), controls, Operation(), offset, size)
        virtual = offset == 0x080 or (later and offset in (0x0B0, 0x300))
        assert answer == (Access.VIRTUALIZED if virtual else Exit.APIC_ACCESS)
