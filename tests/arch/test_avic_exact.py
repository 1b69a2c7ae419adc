"""AVIC, to the bit: every word of an exit's information, and each index at which a table or a model ends."""

from itertools import product

import pytest

from exitless.arch.svm.access import read, unaccelerated, write, write_eoi
from exitless.arch.svm.evaluate import Avic, is_level_in_service, may_take_virtual, vmexit, vmrun
from exitless.arch.svm.iommu import GuestLog, append, take
from exitless.arch.svm.ipi import Ipi, check_icr, find_targets, send
from exitless.arch.svm.tables import Backing, Tables
from exitless.arch.svm.vmcb import Incomplete, SvmExit, Vmcb, check_vmrun, greatest_index
from exitless.arch.vmx.virtual_apic import Reg
from exitless.bits.words import ON_PAGE, set_bit

LOGICAL, ALL = 1 << 11, 2 << 18
FLAT, CLUSTER = 0xFFFFFFFF, 0x0FFFFFFF
MARK = 0x5A5A


def marked() -> Avic:
    """Return a vCPU whose exit information still holds what an earlier exit wrote."""
    avic = Avic(0, Backing())
    vmcb = avic.vmcb
    vmcb.info1_low = vmcb.info1_high = vmcb.info2_low = vmcb.info2_high = MARK
    return avic


def info(avic: Avic) -> tuple[int, int, int, int]:
    """Return the four words of EXITINFO1 and EXITINFO2."""
    vmcb = avic.vmcb
    return vmcb.info1_low, vmcb.info1_high, vmcb.info2_low, vmcb.info2_high


def guest(ids: int, dfr: int) -> tuple[Tables, Avic]:
    """Return a guest of so many vCPUs, all valid and running, number n behind entry n of the logical table."""
    tables = Tables(ids)
    tables.pages.append(Backing())
    for number in range(ids):
        tables.pages.append(Backing())
        entry = tables.physical[number]
        entry.valid, entry.backing, entry.running = 1, number + 1, 1
        tables.logical[number].valid, tables.logical[number].guest_id = 1, number
    avic = Avic(0, tables.pages[1])
    avic.backing.words[Reg.DFR] = dfr
    return tables, avic


def test_an_unaccelerated_access_writes_all_of_its_information() -> None:
    """15.29.9: EXITINFO1 is offset and direction; EXITINFO2 is the vector of an EOI, and nothing else ever."""
    for offset in range(0, 0x1000, 0x10):
        for direction, vector in ((0, 0), (1, 0), (1, 0x91)):
            avic = marked()
            assert unaccelerated(avic, offset, direction, vector) == SvmExit.NOACCEL
            assert info(avic) == (offset, direction, vector, 0)
    for offset in (0x090, 0x390, 0x540):
        avic = marked()
        assert read(avic, offset, False) == SvmExit.NOACCEL
        assert info(avic) == (offset, 0, 0, 0)
        avic = marked()
        assert write(Tables(1), avic, offset, 0, 0, False, Ipi()) == SvmExit.NOACCEL
        assert info(avic) == (offset, 1, 0, 0)
    avic = marked()
    assert write(Tables(1), avic, 0x0F0, 0x1FF, 0, False, Ipi()) == SvmExit.NOACCEL
    assert info(avic) == (0x0F0, 1, 0, 0)


@pytest.mark.parametrize("offset", [0x500, 0x510, 0x520, 0x530])
def test_the_extended_lvt_is_read_and_written_where_it_is_virtualized(offset: int) -> None:
    """Table 15-22: CPUID Fn8000_000A EDX[27] decides whether 500H to 530H are there at all."""
    avic = marked()
    assert read(avic, offset, True) == SvmExit.NONE
    assert write(Tables(1), avic, offset, 0x10000, 0, True, Ipi()) == SvmExit.NOACCEL
    assert (info(avic), avic.backing.words[offset >> 2]) == ((offset, 1, 0, 0), 0x10000)
    avic = marked()
    assert read(avic, offset, False) == SvmExit.NOACCEL
    assert write(Tables(1), avic, offset, 0x10000, 0, False, Ipi()) == SvmExit.NOACCEL
    assert (info(avic), avic.backing.words[offset >> 2]) == ((offset, 1, 0, 0), 0)


@pytest.mark.parametrize("level", [0, 1])
def test_an_eoi_leaves_zero_in_its_register(level: int) -> None:
    """Table 15-22: the register reads as zero whatever was written, at an edge and at a level."""
    avic = marked()
    avic.backing.words[Reg.VEOI] = MARK
    set_bit(avic.backing.words, Reg.VISR, ON_PAGE, 0x91)
    if level:
        set_bit(avic.backing.words, Reg.VTMR, ON_PAGE, 0x91)
    write_eoi(avic)
    assert avic.backing.words[Reg.VEOI] == 0
    assert info(avic) == ((0x0B0, 1, 0x91, 0) if level else (MARK,) * 4)


def test_nothing_in_service_is_no_level() -> None:
    """Table 15-22: it is the highest vector in service whose TMR bit counts; without one there is none."""
    backing = Backing()
    for word in range(8):
        backing.words[Reg.VTMR + 4 * word] = 0xFFFFFFFF
    assert not is_level_in_service(backing)
    set_bit(backing.words, Reg.VISR, ON_PAGE, 16)
    assert is_level_in_service(backing)


def test_vgif_counts_only_where_it_is_enabled() -> None:
    """15.21.1: the virtual GIF masks virtual interrupts when its use is enabled, and only then."""
    for enabled, vgif, takes in ((0, 0, True), (0, 1, True), (1, 0, False), (1, 1, True)):
        avic = Avic(0, Backing())
        avic.vmcb.vgif_enable, avic.vmcb.vgif = enabled, vgif
        assert may_take_virtual(avic) == takes


@pytest.mark.parametrize("greatest", [0, 1, 4, 5])
def test_a_broadcast_ends_at_the_greatest_index(greatest: int) -> None:
    """15.29.4: the greatest physical ID is the last that counts, for a broadcast as for a single target."""
    tables, avic = guest(6, FLAT)
    avic.vmcb.max_index = greatest
    out = Ipi()
    assert find_targets(tables, avic, ALL | 0x61, 0, out) == Incomplete.NONE
    assert list(out.targets[: out.count]) == list(range(greatest + 1))


def test_every_flat_destination_means_its_own_bits() -> None:
    """15.29.5.3: the flat model has eight members, one a bit; FFH is the broadcast."""
    tables, avic = guest(8, FLAT)
    for destination in range(256):
        out = Ipi()
        assert find_targets(tables, avic, LOGICAL | 0x61, destination << 24, out) == Incomplete.NONE
        assert list(out.targets[: out.count]) == [bit for bit in range(8) if destination >> bit & 1]


def test_a_reserved_cluster_names_entry_0() -> None:
    """15.29.5.3: cluster 15 has no entry; the exit that it may raise reports index 0."""
    tables, avic = guest(8, CLUSTER)
    assert send(tables, avic, LOGICAL | 0x61, 0xF2000000, Ipi()) == SvmExit.INCOMPLETE_IPI
    assert info(avic) == (LOGICAL | 0x61, 0xF2000000, 0, Incomplete.INVALID_TARGET)


def test_a_self_ipi_by_its_register_reports_a_bad_vector_as_an_icr() -> None:
    """15.29.10: SELF_IPI is an ICR write with shorthand 01b and high half 0; a vector below 16 stays incomplete."""
    for vector in range(256):
        avic = marked()
        avic.vmcb.x2avic = 1
        answer = write(Tables(0), avic, 0x3F0, vector | 0x700, 0, False, Ipi())
        assert answer == (SvmExit.INCOMPLETE_IPI if vector < 16 else SvmExit.NONE)
        assert info(avic) == ((1 << 18 | vector, 0, 0, Incomplete.INVALID_VECTOR) if vector < 16 else (MARK,) * 4)
        assert avic.recognized == (vector if vector >= 16 else 0)


def test_vmrun_enters_and_vmexit_forgets_what_was_recognized() -> None:
    """15.29.8: what was recognized is found again at the next VMRUN, and is nothing in host mode."""
    avic = Avic(0, Backing())
    set_bit(avic.backing.words, Reg.VIRR, ON_PAGE, 0x91)
    for _ in range(2):
        assert vmrun(avic) == SvmExit.NONE
        assert (avic.in_guest, avic.recognized) == (1, 0x91)
        vmexit(avic)
        assert (avic.in_guest, avic.recognized) == (0, 0)


@pytest.mark.parametrize("size", [2, 3, 4, 8])
def test_an_overwritten_log_loses_its_oldest_entry_only(size: int) -> None:
    """15.29.6.2 and avic_log_overwrites: the ring holds one entry less than its size; each new one drops one."""
    log = GuestLog(size)
    log.choices.avic_log_overwrites = 1
    for tag in range(1, 3 * size):
        assert append(log, tag)
        held = list(range(max(1, tag - size + 2), tag + 1))
        copy = GuestLog(size)
        copy.head, copy.tail = log.head, log.tail
        for place in range(size):
            copy.tags[place] = log.tags[place]
        assert [take(copy) for _ in range(len(held) + 1)] == [*held, -1]


def test_which_destination_formats_are_looked_at() -> None:
    """15.29.6.1: a format that is neither flat nor cluster is an invalid type where the format counts: a logical
    destination without shorthand, in xAVIC.
    """
    for model, logical, shorthand, x2avic, vector in product(range(16), (0, 1), range(4), (0, 1), (0x40, 0x41)):
        avic = Avic(0, Backing())
        avic.vmcb.x2avic = x2avic
        avic.backing.words[Reg.DFR] = model << 28
        counts = logical and not shorthand and not x2avic and model not in (0, 15)
        wanted = Incomplete.INVALID_TYPE if counts else Incomplete.NONE
        assert check_icr(avic, vector | logical << 11 | shorthand << 18) == wanted


def test_vector_16_is_the_first_that_is_legal_whatever_is_looked_at_first() -> None:
    """15.29.9, ID 4, and avic_vector_before_type."""
    for vector, first in product(range(256), (0, 1)):
        avic = Avic(0, Backing())
        avic.vmcb.choices.avic_vector_before_type = first
        assert check_icr(avic, vector) == (Incomplete.INVALID_VECTOR if vector < 16 else Incomplete.NONE)
        wanted = Incomplete.INVALID_VECTOR if vector < 16 and first else Incomplete.INVALID_TYPE
        assert check_icr(avic, vector | 4 << 8) == wanted


def test_every_running_target_is_rung() -> None:
    """15.29.6.1: one doorbell for each target whose IsRunning is 1, in the order of the tables."""
    tables, avic = guest(5, FLAT)
    for number in range(5):
        tables.physical[number].host_id = 0x40 + number
    out = Ipi()
    assert send(tables, avic, ALL | 0x61, 0, out) == SvmExit.NONE
    assert list(out.doorbells[: out.rung]) == [0x40, 0x41, 0x42, 0x43, 0x44]


def test_an_invalid_target_reports_the_whole_icr() -> None:
    """15.29.9: EXITINFO1 is the ICR as the guest wrote it."""
    tables, avic = guest(2, FLAT)
    assert send(tables, avic, 0x4061, 0x07123456, Ipi()) == SvmExit.INCOMPLETE_IPI
    assert info(avic) == (0x4061, 0x07123456, 7, Incomplete.INVALID_TARGET)


def test_how_far_the_physical_table_may_reach() -> None:
    """15.29.4.1: 255 entries' index in xAVIC, 511 in x2AVIC, 4095 with the extension."""
    for x2avic, extension, greatest in ((0, 0, 255), (0, 1, 255), (1, 0, 511), (1, 1, 4095)):
        vmcb = Vmcb()
        vmcb.x2avic, vmcb.has_x2avic_extension, vmcb.max_index = x2avic, extension, greatest
        assert greatest_index(vmcb) == greatest
        assert check_vmrun(vmcb) == SvmExit.NONE
        vmcb.max_index = greatest + 1
        assert check_vmrun(vmcb) == SvmExit.INVALID


def test_which_registers_are_absent_in_x2avic() -> None:
    """Table 15-22, by the choice avic_absent_msr_faults: what x2APIC mode has not, or cannot do, is #GP there."""
    avic = Avic(0, Backing())
    avic.vmcb.x2avic, avic.vmcb.choices.avic_absent_msr_faults = 1, 1
    absent = [offset for offset in range(0, 0x1000, 0x10) if read(avic, offset, False) == SvmExit.GENERAL_PROTECTION]
    assert absent == [0x0C0, 0x0E0, 0x310, 0x3F0]
    out, tables = Ipi(), Tables(1)
    absent = [o for o in range(0, 0x1000, 0x10) if write(tables, avic, o, 0, 0, False, out) == -2]
    assert absent == [0x020, 0x0C0, 0x0D0, 0x0E0, 0x310]


def test_where_the_tables_and_the_memory_end() -> None:
    """15.29.9: the greatest index is a target still; one beyond it, beyond the table, or a page beyond is none."""
    for greatest, target, wanted in (
        (3, 3, Incomplete.NONE), (2, 3, Incomplete.INVALID_TARGET), (9, 4, Incomplete.INVALID_TARGET),
        (9, 5, Incomplete.INVALID_TARGET),
    ):  # fmt: skip
        tables, avic = guest(4, FLAT)
        avic.vmcb.max_index = greatest
        assert find_targets(tables, avic, 0x61, target << 24, Ipi()) == wanted
    for page, wanted in ((0, Incomplete.INVALID_BACKING), (4, Incomplete.NONE), (5, Incomplete.INVALID_BACKING)):
        tables, avic = guest(4, FLAT)
        tables.physical[2].backing = page
        assert find_targets(tables, avic, 0x61, 2 << 24, Ipi()) == wanted


def test_a_search_starts_with_nothing_found() -> None:
    """15.29.6.1: a logical destination without a bit reaches nobody, whatever the last search left behind."""
    tables, avic = guest(4, FLAT)
    out = Ipi()
    out.count, out.index = 3, 7
    assert find_targets(tables, avic, LOGICAL | 0x61, 0, out) == Incomplete.NONE
    assert (out.count, out.index) == (0, 0)
