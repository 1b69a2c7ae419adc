"""IA32_APIC_BASE, RESET and INIT: which transitions are legal, and what each keeps."""

from itertools import product

import pytest

from exitless.arch.outcome import Access
from exitless.arch.x86.apic import FRAME, Apic
from exitless.arch.x86.lapic import accept, acknowledge, deliverable
from exitless.arch.x86.modes import (
    Mode,
    base_high,
    base_low,
    init,
    logical_id,
    may_stand_in_msr_list,
    mode,
    reset,
    write_base,
)
from exitless.arch.x86.registers import Register, page_read, page_write, read_msr, write_msr

BITS = {Mode.DISABLED: 0x000, Mode.XAPIC: 0x800, Mode.X2APIC: 0xC00, Mode.INVALID: 0x400}
# The table of the manual's figure 10-27: from a mode, the modes that may be written.
LEGAL = {
    Mode.DISABLED: {Mode.DISABLED, Mode.XAPIC},
    Mode.XAPIC: {Mode.DISABLED, Mode.XAPIC, Mode.X2APIC},
    Mode.X2APIC: {Mode.DISABLED, Mode.X2APIC},
}


def in_mode(wanted: int, number: int = 0x12) -> Apic:
    """Return an APIC that was brought there by legal writes."""
    apic = Apic(number, 0)
    if wanted != Mode.XAPIC:
        assert write_base(apic, FRAME | BITS[wanted], 0) == 0
    assert mode(apic) == wanted
    return apic


@pytest.mark.parametrize(("old", "new"), [(old, new) for old, new in product(LEGAL, BITS)])
def test_transitions_are_those_of_the_figure(old: int, new: int) -> None:
    """10.12.5.1: a transition that the figure does not show raises #GP; EXTD without EN always does."""
    apic = in_mode(old)
    answer = write_base(apic, FRAME | BITS[new], 0)
    assert answer == (0 if new in LEGAL[old] else Access.GENERAL_PROTECTION)
    assert mode(apic) == (new if new in LEGAL[old] else old)


def test_reserved_bits_fault_and_change_nothing() -> None:
    """10.4.4: bits 7:0, 9 and those above MAXPHYADDR are reserved."""
    apic = Apic(0, 1)
    for bit in range(64):
        low, high = (1 << bit & 0xFFFFFFFF), 1 << bit >> 32
        answer = write_base(apic, FRAME | 0x900 | low, high)
        reserved = bit < 8 or bit == 9 or bit >= 46
        assert answer == (Access.GENERAL_PROTECTION if reserved else 0), bit
        if bit == 10:
            write_base(apic, FRAME | 0x100, 0)
        assert write_base(apic, FRAME | 0x900, 0) == 0
        assert (base_low(apic), base_high(apic)) == (FRAME | 0x900, 0)


def test_the_frame_moves_and_the_bootstrap_bit_is_read_only() -> None:
    """10.4.4: the base field gives bits MAXPHYADDR-1:12; what is written to BSP changes nothing."""
    apic = Apic(3, 0)
    assert write_base(apic, 0x12345900, 0x21) == 0
    assert (base_low(apic), base_high(apic)) == (0x12345800, 0x21)
    apic.choices.apic_bsp_write_faults = 1
    assert write_base(apic, 0x12345900, 0x21) == Access.GENERAL_PROTECTION


def test_without_x2apic_extd_is_reserved() -> None:
    """10.12.1: EXTD exists where CPUID says so."""
    apic = Apic(3, 0)
    apic.has_x2apic = 0
    assert write_base(apic, FRAME | 0xC00, 0) == Access.GENERAL_PROTECTION


def test_entering_x2apic_keeps_all_but_ldr_icr_high_and_a_written_id() -> None:
    """10.12.5.1: LDR is derived anew, the high half of the ICR and an ID that software wrote are lost."""
    apic = Apic(0x123, 0)
    apic.choices.apic_id_writable = 1
    access = Register()
    for row, value in ((0x02, 0x77000000), (0x0D, 0x80000000), (0x0F, 0x1FF), (0x31, 0x55000000), (0x08, 0x40)):
        access.low = value
        page_write(apic, row * 16, 4, access)
    page_read(apic, 0x20, 4, access)
    assert access.low == 0x77000000
    accept(apic.core, 0x91, 1)
    assert write_base(apic, FRAME | 0xC00, 0) == 0
    read_msr(apic, 0x802, access)
    assert access.low == 0x123
    assert logical_id(apic) == 0x12 << 16 | 1 << 3
    read_msr(apic, 0x830, access)
    assert access.high == 0
    assert (apic.core.tpr, apic.core.svr, deliverable(apic.core)) == (0x40, 0x1FF, 0x91)


def test_leaving_x2apic_loses_all_but_the_id() -> None:
    """10.12.5.1: x2APIC to disabled resets; the way back to xAPIC mode leads through disabled only."""
    apic = in_mode(Mode.X2APIC, 0x45)
    access = Register()
    access.low = 0x1FF
    assert write_msr(apic, 0x80F, access) == 0
    accept(apic.core, 0x31, 0)
    write_base(apic, FRAME, 0)
    write_base(apic, FRAME | 0x800, 0)
    assert (apic.core.svr, deliverable(apic.core), apic.core.apic_id, apic.xapic_id) == (0xFF, -1, 0x45, 0x45)


@pytest.mark.parametrize("keeps", [0, 1])
def test_disabling_from_xapic_resets_unless_chosen(keeps: int) -> None:
    """10.4.3 leaves the registers' fate open; the switch apic_disable_keeps_state decides."""
    apic = Apic(1, 0)
    apic.choices.apic_disable_keeps_state = keeps
    access = Register()
    access.low = 0x70
    page_write(apic, 0x80, 4, access)
    write_base(apic, FRAME, 0)
    write_base(apic, FRAME | 0x800, 0)
    assert apic.core.tpr == 0x70 * keeps


@pytest.mark.parametrize("wanted", [Mode.XAPIC, Mode.X2APIC])
def test_init_keeps_mode_and_id_and_resets_the_rest(wanted: int) -> None:
    """10.12.5.1: INIT leaves EN, EXTD and the ID as they were."""
    apic = in_mode(wanted, 0x99)
    apic.core.svr = 0x1F0
    accept(apic.core, 0x55, 1)
    acknowledge(apic.core)
    apic.core.tpr, apic.icr_low, apic.timer.count = 0x33, 0x4500, 7
    init(apic)
    fresh = Apic(0x99, 0)
    assert mode(apic) == wanted
    for name in ("tpr", "svr", "esr", "lvt_error", "apic_id"):
        assert getattr(apic.core, name) == getattr(fresh.core, name), name
    assert [list(apic.core.isr), list(apic.core.irr), list(apic.core.tmr)] == [[0] * 8] * 3
    assert (apic.icr_low, apic.dfr, list(apic.lvt), apic.timer.count) == (0, 0xFFFFFFFF, [0x10000] * 6, 0)
    reset(apic)
    assert (mode(apic), base_low(apic)) == (Mode.XAPIC, FRAME | 0x800)


@pytest.mark.parametrize("wanted", [Mode.XAPIC, Mode.DISABLED])
def test_every_x2apic_msr_faults_outside_x2apic_mode(wanted: int) -> None:
    """10.12.2: in xAPIC mode RDMSR and WRMSR of 800H to BFFH raise #GP."""
    apic, access = in_mode(wanted), Register()
    for number in range(0x800, 0xC00):
        assert read_msr(apic, number, access) == Access.GENERAL_PROTECTION
        assert write_msr(apic, number, access) == Access.GENERAL_PROTECTION


def test_which_msrs_a_vmx_list_may_hold() -> None:
    """26.4 refuses MSR[31:8] = 000008H; 10.12.4 speaks of 800H to FFFH, which is the other side of the switch."""
    apic = Apic(0, 0)
    for wide in (0, 1):
        apic.choices.apic_msr_list_refuses_to_fff = wide
        last = 0xFFF if wide else 0x8FF
        refused = {n for n in range(0x2000) if not may_stand_in_msr_list(n, apic.choices)}
        assert refused == set(range(0x800, last + 1))
    assert may_stand_in_msr_list(0xC0000808, apic.choices)


def dirty(number: int = 0x123) -> Apic:
    """Return an APIC in x2APIC mode at another place, no register of which has its value after RESET."""
    apic = Apic(number, 1)
    assert write_base(apic, 0x12345C00, 0x21) == 0
    core, timer = apic.core, apic.timer
    for words in (core.irr, core.isr, core.tmr):
        for i in range(8):
            words[i] = 0x5A5A5A50 + i
    core.tpr, core.svr, core.esr, core.esr_pending, core.esr_armed, core.lvt_error = 0x33, 0x1F0, 0x20, 0x40, 0, 0x41
    apic.xapic_id, apic.ldr, apic.dfr, apic.icr_low, apic.icr_high = 0x77, 0x1000000, 0xFFFFFFF, 0x4500, 7
    for i in range(6):
        apic.lvt[i] = 0x31 + i
    timer.initial, timer.divide, timer.count, timer.origin = 9, 11, 7, 1000
    timer.deadline_low, timer.deadline_high, timer.kept = 5, 6, 1
    return apic


def registers(apic: Apic) -> dict[str, object]:
    """Return all that RESET and INIT set, but the ID, the mode and the frame."""
    core, timer = apic.core, apic.timer
    out: dict[str, object] = {name: list(getattr(core, name)) for name in ("irr", "isr", "tmr")}
    out |= {name: getattr(core, name) for name in ("tpr", "svr", "esr", "esr_pending", "esr_armed", "lvt_error")}
    out |= {name: getattr(apic, name) for name in ("ldr", "dfr", "icr_low", "icr_high")} | {"lvt": list(apic.lvt)}
    names = ("initial", "divide", "count", "origin", "deadline_low", "deadline_high", "kept")
    return out | {name: getattr(timer, name) for name in names}


def test_init_and_reset_set_every_register() -> None:
    """10.4.7.1 and 10.4.7.3: INIT leaves what power-up leaves, but for the ID and the mode; RESET is xAPIC mode."""
    wanted = registers(Apic(0x123, 1))
    assert not [name for name, value in registers(dirty()).items() if value == wanted[name]]
    apic = dirty()
    init(apic)
    assert registers(apic) == wanted
    assert (mode(apic), base_low(apic), base_high(apic), apic.xapic_id) == (Mode.X2APIC, 0x12345D00, 0x21, 0x77)
    for globally_enabled in (0, 1):
        apic = dirty()
        apic.core.enabled = globally_enabled
        reset(apic)
        assert registers(apic) == wanted
        assert (mode(apic), base_low(apic), base_high(apic)) == (Mode.XAPIC, FRAME | 0x900, 0)
        assert (apic.core.enabled, apic.xapic_id, apic.core.apic_id) == (1, 0x23, 0x123)


def test_only_entering_x2apic_mode_loses_ldr_icr_high_and_the_written_id() -> None:
    """10.12.5.1: a write that keeps the mode keeps them; the move into x2APIC mode clears them."""
    for old, new in ((Mode.XAPIC, Mode.XAPIC), (Mode.XAPIC, Mode.X2APIC), (Mode.X2APIC, Mode.X2APIC)):
        apic = in_mode(old, 0x123)
        apic.xapic_id, apic.ldr, apic.icr_high = 0x77, 0x1000000, 0x5000000
        assert write_base(apic, 0x12345000 | BITS[new], 0) == 0
        kept = (0x77, 0x1000000, 0x5000000) if old == new else (0x23, 0, 0)
        assert (apic.xapic_id, apic.ldr, apic.icr_high) == kept
        assert (apic.base, apic.core.enabled, apic.x2apic) == (0x12345000, 1, int(new == Mode.X2APIC))


def test_the_bootstrap_bit_may_be_written_as_it_is() -> None:
    """10.4.4: the bit is read-only; with apic_bsp_write_faults a write of its own value is still no fault."""
    for bootstrap, written, faults in ((0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1), (1, 0, 0), (0, 1, 0)):
        apic = Apic(3, bootstrap)
        apic.choices.apic_bsp_write_faults = faults
        answer = write_base(apic, 0x12345800 | written << 8, 0)
        assert answer == (Access.GENERAL_PROTECTION if faults and written != bootstrap else 0)
        assert base_low(apic) == (FRAME if answer else 0x12345000) | 0x800 | bootstrap << 8
