"""AVIC: VMRUN's checks, bit layouts, and what every access to a register is."""

from itertools import product

import pytest

from exitless.arch.svm.access import Treatment, read, read_treatment, write, write_treatment
from exitless.arch.svm.evaluate import Avic
from exitless.arch.svm.ipi import Ipi
from exitless.arch.svm.tables import (
    LOGICAL_LAYOUT,
    PHYSICAL_LAYOUT,
    Backing,
    Tables,
    logical_index,
    pack_logical,
    pack_physical,
    unpack_logical,
    unpack_physical,
)
from exitless.arch.svm.vmcb import (
    INT_CTL_LAYOUT,
    SvmExit,
    Vmcb,
    check_vmrun,
    pack_int_ctl,
    pack_physical_table,
    unpack_int_ctl,
)
from exitless.bits.words import ON_PAGE, set_bit, zeros

A, X, T, F, G = (
    Treatment.ALLOWED, Treatment.ACCELERATED, Treatment.TRAP, Treatment.FAULT, Treatment.GENERAL_PROTECTION,
)  # fmt: skip
# Table 15-22: offset: read, write in xAVIC. What is not here faults.
XAVIC = {
    0x020: (A, T), 0x030: (A, F), 0x080: (A, X), 0x0A0: (A, F), 0x0B0: (A, X), 0x0C0: (A, T), 0x0D0: (A, T),
    0x0E0: (A, T), 0x0F0: (A, T), **dict.fromkeys(range(0x100, 0x280, 0x10), (A, F)), 0x280: (A, T), 0x300: (A, X),
    0x310: (A, A), **dict.fromkeys(range(0x320, 0x390, 0x10), (A, T)), 0x3E0: (A, T),
}  # fmt: skip
# Where x2AVIC differs: registers that x2APIC mode does not have, or only reads.
X2AVIC = {
    **XAVIC, 0x020: (A, F), 0x0C0: (F, F), 0x0D0: (A, F), 0x0E0: (F, F), 0x310: (F, F), 0x3F0: (F, X),
}  # fmt: skip


def vcpu(x2avic: int = 0) -> Avic:
    avic = Avic(0, Backing())
    avic.vmcb.x2avic = x2avic
    return avic


def service(avic: Avic, vector: int, level: int) -> None:
    set_bit(avic.backing.words, 64, ON_PAGE, vector)
    if level:
        set_bit(avic.backing.words, 96, ON_PAGE, vector)


@pytest.mark.parametrize("x2avic", [0, 1])
@pytest.mark.parametrize("extended", [False, True])
def test_every_register_is_treated_as_the_table_says(x2avic: int, extended: bool) -> None:
    """Table 15-22: 400H to 4F0H and 540H on fault, 500H to 530H by CPUID, 90H and 390H fault."""
    table = X2AVIC if x2avic else XAVIC
    for offset in range(0, 0x1000, 0x10):
        wanted = table.get(offset, (F, F))
        if 0x500 <= offset <= 0x530 and extended:
            wanted = (A, T)
        avic = vcpu(x2avic)
        assert (read_treatment(avic, offset, extended), write_treatment(avic, offset, extended)) == wanted, hex(offset)


def test_faults_and_traps_tell_offset_and_direction() -> None:
    """15.29.9: EXITINFO1[11:4] offset, bit 32 write; a trap comes after the store, a fault instead of it."""
    for offset in range(0, 0x1000, 0x10):
        avic, tables = vcpu(), Tables(1)
        wanted_read, wanted_write = XAVIC.get(offset, (F, F))
        assert read(avic, offset, False) == (SvmExit.NOACCEL if wanted_read == F else SvmExit.NONE)
        if wanted_read == F:
            assert (avic.vmcb.info1_low, avic.vmcb.info1_high) == (offset, 0)
        if offset in (0x080, 0x0B0, 0x300):
            continue
        answer = write(tables, avic, offset, 0x12345678, 0, False, Ipi())
        assert answer == (SvmExit.NOACCEL if wanted_write in (F, T) else SvmExit.NONE)
        assert avic.backing.words[offset >> 2] == (0 if wanted_write == F else 0x12345678)
        if wanted_write in (F, T):
            assert (avic.vmcb.info1_low, avic.vmcb.info1_high) == (offset, 1)


def test_absent_registers_raise_gp_by_choice() -> None:
    """What x2AVIC does where x2APIC mode has no register: avic_absent_msr_faults."""
    avic = vcpu(1)
    avic.vmcb.choices.avic_absent_msr_faults = 1
    assert read(avic, 0x0E0, False) == SvmExit.GENERAL_PROTECTION
    assert write(Tables(1), avic, 0x310, 0, 0, False, Ipi()) == SvmExit.GENERAL_PROTECTION
    assert write_treatment(avic, 0x020, False) == G


def test_tpr_is_written_through() -> None:
    """Table 15-22: page updated, V_TPR := TPR[7:4], PPR recomputed."""
    for value in range(256):
        avic = vcpu()
        service(avic, 0x58, 0)
        assert write(Tables(1), avic, 0x080, value, 0, False, Ipi()) == SvmExit.NONE
        assert (avic.backing.words[32], avic.vmcb.v_tpr) == (value, value >> 4)
        assert avic.backing.words[40] == (value if value >> 4 >= 5 else 0x50)


@pytest.mark.parametrize("level", [0, 1])
def test_eoi_of_every_vector(level: int) -> None:
    """Table 15-22: an edge is retired by hardware; a level traps, EXITINFO2[7:0] names its vector, software ends it."""
    for vector in range(16, 256):
        avic = vcpu()
        service(avic, vector, level)
        if vector > 16:
            service(avic, 16, 1 - level)
        answer = write(Tables(1), avic, 0x0B0, 0, 0, False, Ipi())
        assert answer == (SvmExit.NOACCEL if level else SvmExit.NONE)
        still = avic.backing.words[64 + 4 * (vector >> 5)] >> (vector & 31) & 1
        assert still == level
        if level:
            assert (avic.vmcb.info1_low, avic.vmcb.info1_high, avic.vmcb.info2_low) == (0x0B0, 1, vector)
    avic = vcpu()
    service(avic, 0x61, 1)
    avic.vmcb.choices.avic_eoi_trap_keeps_in_service = 0
    write(Tables(1), avic, 0x0B0, 0, 0, False, Ipi())
    assert avic.backing.words[64 + 12] == 0
    assert write(Tables(1), avic, 0x0B0, 0, 0, False, Ipi()) == SvmExit.NONE


def test_int_ctl_bit_by_bit() -> None:
    """15.29.4: the layout at 060H; undefined bits are not kept."""
    fields = {first + n: name for name, first, width in INT_CTL_LAYOUT for n in range(width)}
    for bit in range(32):
        vmcb = Vmcb()
        unpack_int_ctl(vmcb, 1 << bit)
        assert pack_int_ctl(vmcb) == (1 << bit if bit in fields else 0), bit
        if bit in fields:
            assert getattr(vmcb, fields[bit]) != 0


def test_table_entries_bit_by_bit() -> None:
    """15.29.5: physical 63 V, 62 IsRunning, 51:12 page, 11:0 host ID (61 is KVM's); logical 31 V, 7:0 ID."""
    known = {first + n for _, first, width in PHYSICAL_LAYOUT for n in range(width)} | {61}
    for bit in range(64):
        words = zeros(2)
        words[bit // 32] = 1 << bit % 32
        back = pack_physical(unpack_physical(words))
        assert (list(back) == list(words)) == (bit in known), bit
    known = {first + n for _, first, width in LOGICAL_LAYOUT for n in range(width)}
    for bit in range(32):
        assert (pack_logical(unpack_logical(1 << bit)) == 1 << bit) == (bit in known)
    vmcb = Vmcb()
    vmcb.physical_table, vmcb.max_index = 0x1234567890, 0x1FF
    assert list(pack_physical_table(vmcb)) == [0x678901FF, 0x12345]


def test_logical_indices() -> None:
    """15.29.5.3: log2 of the ID in the flat model, (cluster << 2) + log2 of the member otherwise."""
    assert [logical_index(0, bit, True) for bit in range(8)] == list(range(8))
    assert [logical_index(c, m, False) for c, m in product(range(15), range(4))] == list(range(60))


@pytest.mark.parametrize(
    ("fields", "legal"),
    [
        ({}, True), ({"avic": 0}, True), ({"avic": 0, "x2avic": 1}, False), ({"x2avic": 1}, True),
        ({"max_index": 255}, True), ({"max_index": 256}, False), ({"x2avic": 1, "max_index": 511}, True),
        ({"x2avic": 1, "max_index": 512}, False),
        ({"x2avic": 1, "max_index": 512, "has_x2avic_extension": 1}, True),
        ({"backing_page": 1 << 36}, False), ({"physical_table": 1 << 36}, False), ({"logical_table": 1 << 36}, False),
        ({"logical_table": 1 << 36, "x2avic": 1}, True), ({"backing_page": (1 << 36) - 1}, True),
        ({"nested_paging": 0}, False), ({"nested_paging": 0, "avic": 0}, True),
    ],
)  # fmt: skip
def test_what_vmrun_refuses(fields: dict[str, int], legal: bool) -> None:
    """15.29.4.1 to .3: VMEXIT_INVALID."""
    vmcb = Vmcb()
    for name, value in fields.items():
        assert hasattr(vmcb, name)
        setattr(vmcb, name, value)
    assert check_vmrun(vmcb) == (SvmExit.NONE if legal else SvmExit.INVALID)
    if fields == {"nested_paging": 0}:
        vmcb.choices.avic_needs_nested_paging = 0
        assert check_vmrun(vmcb) == SvmExit.NONE
