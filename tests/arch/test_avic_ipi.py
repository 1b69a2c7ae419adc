"""AVIC: IPIs, every way in which they stay incomplete, doorbells, delivery, and the IOMMU's guest mode."""

from itertools import product

import pytest

from exitless.arch.svm.access import write
from exitless.arch.svm.evaluate import (
    Avic,
    Next,
    arbitrate,
    deliver,
    doorbell,
    evaluate,
    may_take_virtual,
    retire,
    set_requested,
    vmexit,
    vmrun,
)
from exitless.arch.svm.iommu import (
    GUEST_LAYOUT,
    REMAPPED_LAYOUT,
    Arrived,
    GuestIrte,
    GuestLog,
    pack_guest_irte,
    request_guest,
    take,
    tell,
    unpack_guest_irte,
)
from exitless.arch.svm.ipi import Ipi, find_targets, request_target, ring_target, send
from exitless.arch.svm.tables import Backing, Tables
from exitless.arch.svm.vmcb import Incomplete, SvmExit
from exitless.bits.words import ON_PAGE, bits_of, zeros

SELF, ALL, OTHERS, LOGICAL = 1 << 18, 2 << 18, 3 << 18, 1 << 11
DFR, FLAT, CLUSTER = 0xE0 >> 2, 0xFFFFFFFF, 0x0FFFFFFF


def guest(vcpus: int, running: tuple[int, ...], x2avic: int = 0, ids: int = 256) -> tuple[Tables, Avic]:
    """Return tables for vCPUs 0 up, on cores 0x40 + number where they run, and vCPU 0 itself."""
    tables = Tables(ids)
    tables.pages.append(Backing())
    for number in range(vcpus):
        tables.pages.append(Backing())
        entry = tables.physical[number]
        entry.valid, entry.backing, entry.running = 1, number + 1, int(number in running)
        entry.host_id = 0x40 + number
        if number < 8:
            tables.logical[number].valid, tables.logical[number].guest_id = 1, number
    avic = Avic(0, tables.pages[1])
    avic.vmcb.x2avic, avic.in_guest = x2avic, 1
    avic.backing.words[DFR] = FLAT
    return tables, avic


def requested(tables: Tables) -> dict[int, list[int]]:
    """Return what is in IRR, by vCPU."""
    found = {n - 1: bits_of(page.words, 128, ON_PAGE, 8) for n, page in enumerate(tables.pages) if n}
    return {n: vectors for n, vectors in found.items() if vectors}


def info(avic: Avic) -> tuple[int, int, int, int]:
    """Return ICR low and high, reason, index."""
    return (avic.vmcb.info1_low, avic.vmcb.info1_high, avic.vmcb.info2_high, avic.vmcb.info2_low)


def test_every_vector_to_a_running_and_to_an_idle_vcpu() -> None:
    """15.29.6.1: IRR is set, a running core gets a doorbell; otherwise exit 401H, ID 1. Below 16: ID 4."""
    for vector, running in product(range(256), ((1,), ())):
        tables, avic = guest(2, running)
        out = Ipi()
        answer = send(tables, avic, vector, 1 << 24, out)
        if vector < 16:
            assert (answer, requested(tables)) == (SvmExit.INCOMPLETE_IPI, {})
            assert info(avic) == (vector, 1 << 24, Incomplete.INVALID_VECTOR, 0)
            continue
        assert requested(tables) == {1: [vector]}
        assert answer == (SvmExit.NONE if running else SvmExit.INCOMPLETE_IPI)
        assert list(out.doorbells[: out.rung]) == ([0x41] if running else [])
        if not running:
            assert info(avic) == (vector, 1 << 24, Incomplete.NOT_RUNNING, 1)


@pytest.mark.parametrize("low", [m << 8 | 0x41 for m in range(1, 8)] + [0x8041, 0x400])
def test_other_than_fixed_edges_are_an_invalid_type(low: int) -> None:
    """15.29.9, ID 0: nothing has been done; an NMI with vector 0 is of this kind unless chosen otherwise."""
    tables, avic = guest(2, (1,))
    assert send(tables, avic, low, 1 << 24, Ipi()) == SvmExit.INCOMPLETE_IPI
    assert (info(avic)[2], requested(tables)) == (Incomplete.INVALID_TYPE, {})
    avic.vmcb.choices.avic_vector_before_type = 1
    send(tables, avic, low, 1 << 24, Ipi())
    assert info(avic)[2] == (Incomplete.INVALID_VECTOR if low & 0xFF < 16 else Incomplete.INVALID_TYPE)


def test_invalid_targets() -> None:
    """15.29.9: ID 2 for an entry that is not valid or beyond the greatest index, ID 3 for its page; index in 11:0."""
    for target in range(255):
        tables, avic = guest(2, (1,))
        answer = send(tables, avic, 0x41, target << 24, Ipi())
        if target > 1:
            assert (answer, info(avic)[2:]) == (SvmExit.INCOMPLETE_IPI, (Incomplete.INVALID_TARGET, target))
    tables, avic = guest(2, (1,))
    tables.physical[1].backing = 0
    send(tables, avic, 0x41, 1 << 24, Ipi())
    assert (info(avic)[2:], requested(tables)) == ((Incomplete.INVALID_BACKING, 1), {})
    tables, avic = guest(2, (0, 1))
    avic.vmcb.max_index = 0
    send(tables, avic, 0x41, 1 << 24, Ipi())
    assert info(avic)[2:] == (Incomplete.INVALID_TARGET, 1)


def test_self_needs_no_doorbell_and_no_table() -> None:
    """15.29.6.1: the IRR bit of the own page, and it is evaluated at once."""
    avic = Avic(0, Backing())
    avic.in_guest = 1
    assert send(Tables(0), avic, SELF | 0x51, 0, Ipi()) == SvmExit.NONE
    assert avic.recognized == 0x51


@pytest.mark.parametrize(("low", "high", "reached"), [
    (ALL, 0, {0, 1, 2}), (OTHERS, 0, {1, 2}), (0, 0xFF000000, {0, 1, 2}), (LOGICAL, 0xFF000000, {0, 1, 2}),
    (LOGICAL, 0x05000000, {0, 2}), (LOGICAL, 0, set()),
])  # fmt: skip
def test_whom_an_ipi_reaches(low: int, high: int, reached: set[int]) -> None:
    """15.29.6.1: broadcasts go to every valid entry, a flat logical destination through the logical table."""
    tables, avic = guest(3, (0, 1, 2))
    assert send(tables, avic, low | 0x61, high, Ipi()) == SvmExit.NONE
    assert set(requested(tables)) == reached


def test_a_broadcast_sets_all_before_it_exits() -> None:
    """15.29.6.1 step 6 and T29: with ID 1 the bits are set in all targets; setting one again is harmless."""
    tables, avic = guest(4, (0, 3))
    out = Ipi()
    assert send(tables, avic, OTHERS | 0x61, 0, out) == SvmExit.INCOMPLETE_IPI
    assert requested(tables) == {1: [0x61], 2: [0x61], 3: [0x61]}
    assert (list(out.doorbells[: out.rung]), out.idle, info(avic)[2:]) == ([0x43], 2, (Incomplete.NOT_RUNNING, 1))
    assert set_requested(tables.pages[2], 0x61), "already there: software that sets it again changes nothing"
    other = Avic(1, tables.pages[2])
    assert vmrun(other) == SvmExit.NONE
    assert other.recognized == 0x61
    assert doorbell(other) == 0x61, "one more doorbell finds the same"
    assert deliver(other) == 0x61
    assert doorbell(other) == 0
    tables, avic = guest(4, (0, 3))
    avic.vmcb.choices.avic_reports_first_index = 0
    send(tables, avic, OTHERS | 0x61, 0, Ipi())
    assert info(avic)[3] == 2


def test_cluster_destinations() -> None:
    """15.29.5.3: index (cluster << 2) + member; cluster 15 is reserved, what it does is a choice."""
    tables, avic = guest(3, (0, 1, 2))
    avic.backing.words[DFR] = CLUSTER
    for entry in tables.logical:
        entry.valid = 0
    for number, index in ((1, 4 * 3 + 0), (2, 4 * 3 + 2)):
        tables.logical[index].valid, tables.logical[index].guest_id = 1, number
    assert send(tables, avic, LOGICAL | 0x61, 0x35000000, Ipi()) == SvmExit.NONE
    assert set(requested(tables)) == {1, 2}
    send(tables, avic, LOGICAL | 0x71, 0x32000000, Ipi())
    assert info(avic)[2:] == (Incomplete.INVALID_TARGET, 4 * 3 + 1)
    assert send(tables, avic, LOGICAL | 0x71, 0xF1000000, Ipi()) == SvmExit.INCOMPLETE_IPI
    avic.vmcb.choices.avic_reserved_cluster_exits = 0
    assert send(tables, avic, LOGICAL | 0x71, 0xF1000000, Ipi()) == SvmExit.NONE
    avic.backing.words[DFR] = 0x5FFFFFFF
    send(tables, avic, LOGICAL | 0x71, 0x11000000, Ipi())
    assert info(avic)[2] == Incomplete.INVALID_TYPE


def test_x2avic_destinations() -> None:
    """15.29.5.3, 15.29.10: 32 bits, FFFFFFFFH broadcast; the logical ID is derived, cluster ID[19:4], bit ID[3:0]."""
    tables, avic = guest(20, tuple(range(20)), x2avic=1)
    avic.vmcb.max_index = 511
    for high, low, reached in (
        (17, 0, {17}), (0xFFFFFFFF, 0, set(range(20))), (0xFFFFFFFF, LOGICAL, set(range(20))),
        (1 << 16 | 0b1010, LOGICAL, {17, 19}), (0b11, LOGICAL, {0, 1}),
    ):  # fmt: skip
        for page in tables.pages:
            for word in range(128, 160):
                page.words[word] = 0
        assert send(tables, avic, low | 0x61, high, Ipi()) == SvmExit.NONE
        assert set(requested(tables)) == reached
    send(tables, avic, LOGICAL | 0x61, 1 << 16 | 0x8000, Ipi())
    assert info(avic)[2:] == (Incomplete.INVALID_TARGET, 31)
    send(tables, avic, 0x61, 0xFF, Ipi())
    assert info(avic)[2:] == (Incomplete.INVALID_TARGET, 0xFF)


@pytest.mark.parametrize("chosen", [0, 1])
def test_logical_ids_above_255(chosen: int) -> None:
    """15.29.6.1 step 3: a logical ID above 255 is an invalid target, and nobody is reached; physical ones are not."""
    for number in (254, 255, 256, 257, 271, 299):
        tables, avic = guest(300, tuple(range(300)), x2avic=1, ids=512)
        avic.vmcb.max_index, avic.vmcb.choices.avic_logical_beyond_255 = 511, chosen
        answer = send(tables, avic, LOGICAL | 0x61, (number >> 4) << 16 | 1 << (number & 15), Ipi())
        if number > 255 and not chosen:
            assert answer == SvmExit.INCOMPLETE_IPI and info(avic)[2:] == (Incomplete.INVALID_TARGET, number)
            assert not any(requested(tables))
        else:
            assert answer == SvmExit.NONE and set(requested(tables)) == {number}
        assert send(tables, avic, 0x62, number, Ipi()) == SvmExit.NONE


def test_the_icr_write_goes_through_the_page() -> None:
    """Table 15-22, 15.29.10: xAVIC takes the destination from 310H, x2AVIC writes it there; SELF_IPI is a self IPI."""
    tables, avic = guest(2, (0, 1))
    assert write(tables, avic, 0x310, 1 << 24, 0, False, Ipi()) == SvmExit.NONE
    assert requested(tables) == {}
    assert write(tables, avic, 0x300, 0x41, 0x77, False, Ipi()) == SvmExit.NONE
    assert (requested(tables), avic.backing.words[0x310 >> 2]) == ({1: [0x41]}, 1 << 24)
    tables, avic = guest(2, (0, 1), x2avic=1)
    assert write(tables, avic, 0x300, 0x41, 1, False, Ipi()) == SvmExit.NONE
    assert (requested(tables), avic.backing.words[0x310 >> 2]) == ({1: [0x41]}, 1)
    assert write(tables, avic, 0x3F0, 0x51, 0, False, Ipi()) == SvmExit.NONE
    assert requested(tables)[0] == [0x51]


def test_the_race_that_p20_is_about() -> None:
    """P20: IRR before IsRunning on one side, IsRunning before IRR on the other; in every order somebody sees it."""
    for order in ("sender", "between", "sleeper"):
        tables, avic = guest(2, (1,))
        out = Ipi()
        out.vector = 0x61
        assert find_targets(tables, avic, 0x61, 1 << 24, out) == Incomplete.NONE
        if order == "sleeper":
            tables.physical[1].running = 0
        request_target(tables, out, 0)
        if order == "between":
            tables.physical[1].running = 0
        rung = ring_target(tables, avic, out, 0)
        tables.physical[1].running = 0
        seen_by_sleeper = bool(bits_of(tables.pages[2].words, 128, ON_PAGE, 8))
        assert (rung, out.rung, out.idle) == ((True, 1, 0) if order == "sender" else (False, 0, 1)), order
        assert seen_by_sleeper


def test_an_irr_bit_without_a_doorbell_is_not_noticed() -> None:
    """15.29.8: evaluation happens at VMRUN, doorbell, TPR or PPR change, and EOI; P20's second half."""
    avic = Avic(0, Backing())
    assert vmrun(avic) == SvmExit.NONE
    set_requested(avic.backing, 0x61)
    assert arbitrate(avic, False, True) == Next.NOTHING
    assert doorbell(avic) == 0x61
    assert arbitrate(avic, False, True) == Next.VIRTUAL
    vmexit(avic)
    assert doorbell(avic) == 0
    vmrun(avic)
    assert avic.recognized == 0x61


@pytest.mark.parametrize("tpr", [0x00, 0x2F, 0x30, 0x3F, 0x80, 0xF0, 0xFF])
def test_classes_decide_for_every_vector(tpr: int) -> None:
    """15.21.4: the class of the vector must be above that of PPR."""
    for vector in range(256):
        avic = Avic(0, Backing())
        avic.backing.words[32] = tpr
        set_requested(avic.backing, vector)
        assert (evaluate(avic) == vector and vector > 0) == (vector >> 4 > tpr >> 4)


def test_delivery_and_end_nest() -> None:
    """15.29.8: the vector moves from IRR to ISR, PPR follows; EOI lets the next one through."""
    avic = Avic(0, Backing())
    for vector in (0x41, 0x91, 0x45):
        set_requested(avic.backing, vector)
    vmrun(avic)
    assert deliver(avic) == 0x91
    assert (avic.backing.words[40], avic.recognized) == (0x90, 0)
    assert retire(avic) == 0x91
    assert (deliver(avic), avic.backing.words[40]) == (0x45, 0x40)
    assert avic.recognized == 0
    assert retire(avic) == 0x45
    assert deliver(avic) == 0x41
    assert (retire(avic), retire(avic)) == (0x41, -1)


def test_physical_interrupts_come_first() -> None:
    """T13, AVIC's half (15.21.4): #VMEXIT INTR first, and IRR[41H] is still set."""
    avic = Avic(0, Backing())
    set_requested(avic.backing, 0x41)
    vmrun(avic)
    assert arbitrate(avic, True, True) == Next.PHYSICAL_EXIT
    assert bits_of(avic.backing.words, 128, ON_PAGE, 8) == [0x41]
    assert arbitrate(avic, True, False) == Next.PHYSICAL
    assert arbitrate(avic, False, True) == Next.VIRTUAL


@pytest.mark.parametrize("masking", [0, 1])
def test_what_masks_what(masking: int) -> None:
    """15.21.1: with V_INTR_MASKING the guest's IF masks virtual interrupts only, the host's IF physical ones."""
    for guest_if, host_if, gif, shadow in product((0, 1), repeat=4):
        avic = Avic(0, Backing())
        set_requested(avic.backing, 0x41)
        vmrun(avic)
        avic.vmcb.v_intr_masking, avic.vmcb.shadow = masking, shadow
        avic.interrupt_flag, avic.host_interrupt_flag, avic.gif = guest_if, host_if, gif
        virtual = bool(guest_if and gif and not shadow)
        physical = bool(gif and (host_if if masking else guest_if and not shadow))
        assert may_take_virtual(avic) == virtual
        assert arbitrate(avic, False, True) == (Next.VIRTUAL if virtual else Next.NOTHING)
        assert (arbitrate(avic, True, True) == Next.PHYSICAL_EXIT) == physical
        avic.vmcb.vgif_enable, avic.vmcb.vgif = 1, 0
        assert not may_take_virtual(avic)


def test_vtpr_and_the_page_at_vmrun() -> None:
    """How VMRUN reconciles V_TPR with the page is open: avic_vmrun_loads_vtpr."""
    for chosen, page, v_tpr in ((0, 0x80, 8), (1, 0x50, 5)):
        avic = Avic(0, Backing())
        avic.vmcb.choices.avic_vmrun_loads_vtpr = chosen
        avic.backing.words[32], avic.vmcb.v_tpr = 0x80, 5
        vmrun(avic)
        assert (avic.backing.words[32], avic.vmcb.v_tpr) == (page, v_tpr)


def test_a_kept_doorbell_ends_at_vmrun() -> None:
    """A doorbell in host mode is lost, or kept by choice; VMRUN evaluates in either case."""
    avic = Avic(0, Backing())
    for chosen in (0, 1):
        avic.vmcb.choices.avic_host_doorbell_is_kept = chosen
        assert (doorbell(avic), avic.kept) == (0, chosen)
    vmrun(avic)
    assert avic.kept == 0


@pytest.mark.parametrize("guest_mode", [0, 1])
def test_iommu_entries_bit_by_bit(guest_mode: int) -> None:
    """The two forms of a 128-bit entry; what is not a field is not kept."""
    layout = GUEST_LAYOUT if guest_mode else REMAPPED_LAYOUT
    known = {first + n for _, first, width in layout for n in range(width)}
    for bit in range(128):
        if bit == 7:
            continue
        words = zeros(4)
        words[0] = guest_mode << 7
        words[bit // 32] |= 1 << bit % 32
        assert (list(pack_guest_irte(unpack_guest_irte(words))) == list(words)) == (bit in known), bit


def test_the_iommu_sets_irr_and_then_tells() -> None:
    """15.29.6.2: IRR on the page; IsRun: a doorbell; else GALogIntr: a log entry and an interrupt; else nothing."""
    for vector, (running, logs) in product(range(256), product((0, 1), (0, 1))):
        irte, backing, log = GuestIrte(), Backing(), GuestLog(4)
        irte.vector, irte.is_running, irte.log_interrupt, irte.tag = vector, running, logs, 0x1234
        assert not request_guest(irte, backing)
        assert request_guest(irte, backing)
        assert bits_of(backing.words, 128, ON_PAGE, 8) == [vector]
        assert tell(irte, log) == (Arrived.DOORBELL if running else Arrived.LOGGED if logs else Arrived.SILENT)
        assert take(log) == (0x1234 if logs and not running else -1)


@pytest.mark.parametrize("overwrites", [0, 1])
def test_a_full_log(overwrites: int) -> None:
    """The log is a ring with one empty place; a full one drops the new entry, or the oldest by choice."""
    log, irte = GuestLog(4), GuestIrte()
    log.choices.avic_log_overwrites = overwrites
    irte.log_interrupt = 1
    answers = []
    for tag in range(1, 6):
        irte.tag = tag
        answers.append(tell(irte, log))
    assert answers == [Arrived.LOGGED] * 3 + [Arrived.LOGGED if overwrites else Arrived.LOST_LOG] * 2
    assert [take(log) for _ in range(4)] == ([3, 4, 5, -1] if overwrites else [1, 2, 3, -1])
    assert log.overflowed == 1 - overwrites
