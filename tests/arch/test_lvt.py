"""The local vector table: delivery modes, masks, and the pins with their triggers and remote IRR."""

from itertools import product

import pytest

from exitless.arch.outcome import Accept, Access
from exitless.arch.x86.acceptance import Arrival
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.lapic import accept, acknowledge, deliverable
from exitless.arch.x86.lvt import Lvt, is_allowed, local_event, lvt_value, set_pin, write_lvt
from exitless.arch.x86.registers import Register, write_eoi

ARRIVALS = {2: Arrival.SMI, 4: Arrival.NMI, 5: Arrival.INIT, 7: Arrival.EXTINT}


def running() -> Apic:
    """Return a software-enabled APIC."""
    apic = Apic(0, 0)
    apic.core.svr = 0x1FF
    return apic


@pytest.mark.parametrize(("entry", "mode"), [(e, m) for e, m in product(range(Lvt.COUNT), range(8))])
def test_delivery_modes_of_every_entry(entry: int, mode: int) -> None:
    """10.5.1: fixed, SMI, NMI for all but timer and error, which are fixed; INIT and ExtINT for the pins only."""
    apic = running()
    write_lvt(apic, entry, mode << 8 | 0x61)
    answer = local_event(apic, entry)
    if entry in (Lvt.TIMER, Lvt.ERROR) or mode == 0:
        assert (answer, deliverable(apic.core)) == (Accept.ACCEPTED, 0x61)
    elif mode in (2, 4) or (mode in (5, 7) and entry in (Lvt.LINT0, Lvt.LINT1)):
        assert (answer, deliverable(apic.core)) == (ARRIVALS[mode], -1)
        assert is_allowed(entry, mode)
    else:
        assert (answer, deliverable(apic.core)) == (Arrival.IGNORED, -1)


@pytest.mark.parametrize("entry", range(Lvt.COUNT))
def test_every_vector_and_the_mask(entry: int) -> None:
    """10.5.1: a masked entry delivers nothing; 10.5.2: vectors below 16 are received as illegal."""
    for vector, masked in product(range(256), (0, 1)):
        apic = running()
        write_lvt(apic, entry, masked << 16 | vector)
        answer = local_event(apic, entry)
        wanted = Arrival.MASKED if masked else Accept.ILLEGAL if vector < 16 else Accept.ACCEPTED
        assert answer == wanted
        assert deliverable(apic.core) == (vector if answer == Accept.ACCEPTED else -1)
        assert apic.core.esr_pending == (0x40 if answer == Accept.ILLEGAL else 0)


def test_a_counter_overflow_masks_its_own_entry() -> None:
    """10.5.1: the performance-monitoring entry is masked when its interrupt is delivered, as NMI too."""
    for value in (0x41, 0x400):
        apic = running()
        write_lvt(apic, Lvt.PERFMON, value)
        local_event(apic, Lvt.PERFMON)
        assert lvt_value(apic, Lvt.PERFMON) == value | 0x10000
        assert local_event(apic, Lvt.PERFMON) == Arrival.MASKED


def test_a_level_pin_sets_remote_irr_and_its_eoi_clears_it() -> None:
    """10.5.1: remote IRR is set on acceptance and cleared by EOI; a line still active then asks again."""
    apic, access = running(), Register()
    write_lvt(apic, Lvt.LINT0, 0x8000 | 0x51)
    assert set_pin(apic, Lvt.LINT0, 1) == Accept.ACCEPTED
    assert lvt_value(apic, Lvt.LINT0) == 0xC051
    assert acknowledge(apic.core) == 0x51
    write_eoi(apic, access)
    assert (access.ended, access.broadcast) == (0x51, 1)
    assert (lvt_value(apic, Lvt.LINT0), deliverable(apic.core)) == (0xC051, 0x51)
    acknowledge(apic.core)
    set_pin(apic, Lvt.LINT0, 0)
    write_eoi(apic, access)
    assert (lvt_value(apic, Lvt.LINT0), deliverable(apic.core)) == (0x8051, -1)


def test_the_eoi_of_another_vector_leaves_remote_irr() -> None:
    """10.5.1: it is the EOI of this vector that clears it."""
    apic, access = running(), Register()
    write_lvt(apic, Lvt.LINT0, 0x8051)
    set_pin(apic, Lvt.LINT0, 1)
    accept(apic.core, 0x91, 0)
    assert acknowledge(apic.core) == 0x91
    write_eoi(apic, access)
    assert lvt_value(apic, Lvt.LINT0) == 0xC051


def test_lint1_is_an_edge_whatever_its_bit_says() -> None:
    """10.5.1: LINT1 must be an edge."""
    apic = running()
    write_lvt(apic, Lvt.LINT1, 0x8051)
    assert set_pin(apic, Lvt.LINT1, 1) == Accept.ACCEPTED
    assert set_pin(apic, Lvt.LINT1, 1) == Arrival.IGNORED
    assert lvt_value(apic, Lvt.LINT1) == 0x8051
    assert apic.core.tmr[2] == 0


@pytest.mark.parametrize("entry", [Lvt.LINT0, Lvt.LINT1])
def test_polarity_turns_the_pin_round(entry: int) -> None:
    """10.5.1: bit 13 set is active low; an edge is the change to active."""
    apic = running()
    set_pin(apic, entry, 1)
    write_lvt(apic, entry, 0x2000 | 0x61)
    assert set_pin(apic, entry, 1) == Arrival.IGNORED
    assert set_pin(apic, entry, 0) == Accept.ACCEPTED
    assert set_pin(apic, entry, 1) == Arrival.IGNORED


def test_unmasking_an_active_level_pin_asks() -> None:
    """10.5.1: a level is there as long as the line is active."""
    apic = running()
    write_lvt(apic, Lvt.LINT0, 0x18051)
    assert set_pin(apic, Lvt.LINT0, 1) == Arrival.MASKED
    write_lvt(apic, Lvt.LINT0, 0x8051)
    assert deliverable(apic.core) == 0x51


def test_nmi_by_pin_is_an_edge_even_when_bit_15_is_set() -> None:
    """10.5.1: the trigger mode counts for fixed delivery only."""
    apic = running()
    write_lvt(apic, Lvt.LINT0, 0x8400)
    assert [set_pin(apic, Lvt.LINT0, level) for level in (1, 1, 0, 1)] == [
        Arrival.NMI, Arrival.IGNORED, Arrival.IGNORED, Arrival.NMI,
    ]  # fmt: skip


def test_a_globally_disabled_apic_delivers_no_local_source() -> None:
    """10.4.3: it is as if there were none."""
    apic = running()
    write_lvt(apic, Lvt.THERMAL, 0x61)
    apic.core.enabled = 0
    assert local_event(apic, Lvt.THERMAL) == Accept.DROPPED


def test_remote_irr_holds_back_levels_only() -> None:
    """10.5.1: it belongs to level-triggered fixed interrupts; a pin made NMI meanwhile is not held back by it."""
    apic, access = running(), Register()
    write_lvt(apic, Lvt.LINT0, 0x8051)
    set_pin(apic, Lvt.LINT0, 1)
    acknowledge(apic.core)
    write_lvt(apic, Lvt.LINT0, 0x8451)
    assert local_event(apic, Lvt.LINT0) == Arrival.NMI
    write_eoi(apic, access)
    assert deliverable(apic.core) == -1, "the line is active, but it is no level any more"


def test_an_active_level_line_asks_as_often_as_it_is_told_to() -> None:
    """10.5.1: a level is there as long as the line is active: remote IRR holds it back, the mask too, and without
    them it merges with the request before."""
    apic = running()
    write_lvt(apic, Lvt.LINT0, 0x8051)
    assert [set_pin(apic, Lvt.LINT0, 1) for _ in range(2)] == [Accept.ACCEPTED, Arrival.MASKED]
    write_lvt(apic, Lvt.LINT0, 0x10051)
    write_lvt(apic, Lvt.LINT0, 0x18051)
    assert set_pin(apic, Lvt.LINT0, 1) == Arrival.MASKED
    write_lvt(apic, Lvt.LINT0, 0x8051)
    assert (set_pin(apic, Lvt.LINT0, 1), lvt_value(apic, Lvt.LINT0)) == (Arrival.MASKED, 0xC051)


def test_remote_irr_stays_with_a_level_and_goes_with_the_trigger() -> None:
    """10.5.1: remote IRR is read-only; it means something for a level only, so making the pin an edge clears it."""
    for value, read in ((0x8061, 0xC061), (0xC061, 0xC061), (0x18061, 0x1C061), (0x0061, 0x0061), (0x4061, 0x0061)):
        apic = running()
        write_lvt(apic, Lvt.LINT0, 0x8051)
        set_pin(apic, Lvt.LINT0, 1)
        set_pin(apic, Lvt.LINT0, 0)
        assert lvt_value(apic, Lvt.LINT0) == 0xC051
        write_lvt(apic, Lvt.LINT0, value)
        assert lvt_value(apic, Lvt.LINT0) == read


@pytest.mark.parametrize("deadline", [0, 1])
@pytest.mark.parametrize("faults", [0, 1])
@pytest.mark.parametrize("entry", range(Lvt.COUNT))
def test_every_bit_of_every_entry_by_wrmsr(entry: int, faults: int, deadline: int) -> None:
    """Figure 10-8: which bits mean anything; the read-only ones, 12 and for the pins 14, fault only by choice; what
    has been refused is not stored."""
    pin = entry in (Lvt.LINT0, Lvt.LINT1)
    defined = {*range(8), 12, 16} | ({*range(8, 11)} if entry not in (Lvt.TIMER, Lvt.ERROR) else set())
    defined |= {13, 14, 15} if pin else set()
    defined |= {17} | ({18} if deadline else set()) if entry == Lvt.TIMER else set()
    for bit in (-1, *range(32)):
        apic = running()
        apic.x2apic, apic.has_deadline = 1, deadline
        apic.choices.apic_lvt_status_faults = faults
        value = 0x10000 | (1 << bit if bit >= 0 else 0)
        refused = bit >= 0 and (bit not in defined or (faults == 1 and (bit == 12 or (pin and bit == 14))))
        assert write_lvt(apic, entry, value) == (Access.GENERAL_PROTECTION if refused else 0)
        assert lvt_value(apic, entry) == (0x10000 if refused or bit in (12, 14) else value)


@pytest.mark.parametrize("ended", [0x51, 0x91])
def test_an_eoi_touches_a_pin_that_waits_for_it_and_no_other(ended: int) -> None:
    """10.5.1, 10.8.5: remote IRR and the vector both have to fit; a line that became active while the APIC was off has
    no remote IRR, and asks for nothing at the EOI of an IPI of its vector."""
    for waits in (False, True):
        apic, access = running(), Register()
        write_lvt(apic, Lvt.LINT0, 0x8051)
        apic.core.enabled = int(waits)
        set_pin(apic, Lvt.LINT0, 1)
        apic.core.enabled = 1
        if waits:
            acknowledge(apic.core)
            set_pin(apic, Lvt.LINT0, 0)
            apic.core.isr[2] = 0
        accept(apic.core, ended, 0)
        assert acknowledge(apic.core) == ended
        write_eoi(apic, access)
        assert access.ended == ended
        assert lvt_value(apic, Lvt.LINT0) == (0xC051 if waits and ended != 0x51 else 0x8051)
        assert deliverable(apic.core) == -1
