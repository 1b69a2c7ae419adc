"""The interrupt command register: what is sent, to whom, and what is refused."""

from itertools import product

import pytest

from exitless.arch.outcome import Accept
from exitless.arch.x86.acceptance import Arrival, receive
from exitless.arch.x86.apic import FRAME, Apic
from exitless.arch.x86.destination import BusMessage, Shorthand, reaches
from exitless.arch.x86.icr import Sent, is_valid_combination, self_ipi, write_icr_high, write_icr_low, write_icr_msr
from exitless.arch.x86.lapic import deliverable
from exitless.arch.x86.modes import write_base

FIXED, LOWEST, SMI, RESERVED, NMI, INIT, STARTUP, EXTINT = range(8)
# Table 10-3 for the Pentium 4 and later: the delivery modes of each shorthand.
ALLOWED = {
    Shorthand.NONE: {FIXED, LOWEST, SMI, NMI, INIT, STARTUP},
    Shorthand.SELF: {FIXED},
    Shorthand.ALL: {FIXED},
    Shorthand.OTHERS: {FIXED, LOWEST, SMI, NMI, INIT, STARTUP},
}


def running(number: int = 0, x2apic: bool = False) -> Apic:
    """Return a software-enabled APIC."""
    apic = Apic(number, 0)
    apic.core.svr = 0x1FF
    if x2apic:
        assert write_base(apic, FRAME | 0xC00, 0) == 0
    return apic


@pytest.mark.parametrize(("shorthand", "mode"), [(s, m) for s, m in product(range(4), range(8))])
def test_combinations_are_those_of_the_table(shorthand: int, mode: int) -> None:
    """Table 10-3: self and all-including-self with fixed delivery only, ExtINT and reserved modes never."""
    apic, out = running(), BusMessage()
    answer = write_icr_low(apic, shorthand << 18 | mode << 8 | 0x31, out)
    assert is_valid_combination(out) == (mode in ALLOWED[shorthand])
    wanted = Sent.SELF if shorthand == Shorthand.SELF else Sent.MESSAGE
    assert answer == (wanted if mode in ALLOWED[shorthand] else Sent.NOTHING)
    assert apic.core.esr_pending == 0


def test_a_refused_combination_is_sent_by_choice() -> None:
    """The table does not say what hardware does: apic_invalid_combination_is_sent decides."""
    apic, out = running(), BusMessage()
    apic.choices.apic_invalid_combination_is_sent = 1
    assert write_icr_low(apic, Shorthand.ALL << 18 | NMI << 8, out) == Sent.MESSAGE


def test_every_vector_of_a_self_ipi() -> None:
    """10.5.3, 10.6.1, 10.12.11: below 16 both sides record, from 16 on the edge is in IRR when the write completes."""
    for vector, msr in product(range(256), (0, 1)):
        apic, out = running(3, x2apic=bool(msr)), BusMessage()
        if msr:
            answer = self_ipi(apic, vector, out)
        else:
            answer = write_icr_low(apic, 1 << 18 | 0xC800 | vector, out)
        if vector < 16:
            assert (answer, apic.core.esr_pending, deliverable(apic.core)) == (Sent.ILLEGAL, 0x60, -1)
        else:
            assert (answer, apic.core.esr_pending, deliverable(apic.core)) == (Sent.SELF, 0, vector)
        assert list(apic.core.tmr) == [0] * 8


@pytest.mark.parametrize("mode", [FIXED, LOWEST])
def test_a_vector_below_16_is_recorded_by_the_sender(mode: int) -> None:
    """10.5.3: send illegal vector, bit 5; whether it is sent on is the switch apic_illegal_vector_is_sent."""
    for vector in range(256):
        apic, out = running(), BusMessage()
        answer = write_icr_low(apic, mode << 8 | 0x800 | vector, out)
        assert answer == (Sent.ILLEGAL if vector < 16 else Sent.MESSAGE)
        assert apic.core.esr_pending == (0x20 if vector < 16 else 0)
    apic, other, out = running(), running(1), BusMessage()
    apic.choices.apic_illegal_vector_is_sent = 1
    assert write_icr_low(apic, 7, out) == Sent.MESSAGE
    assert receive(other, out) == Accept.ILLEGAL
    assert other.core.esr_pending == 0x40


def test_modes_without_a_vector_do_not_mind_it() -> None:
    """10.6.1: the vector of NMI, SMI, INIT is no interrupt vector; SIPI's is a page number."""
    for mode in (SMI, NMI, INIT, STARTUP):
        apic, out = running(), BusMessage()
        assert write_icr_low(apic, mode << 8, out) == Sent.MESSAGE
        assert apic.core.esr_pending == 0


def test_a_part_without_lowest_priority_records_bit_4_only() -> None:
    """10.5.3: redirectable IPI; nothing is sent."""
    apic, out = running(), BusMessage()
    apic.sends_lowest = 0
    assert write_icr_low(apic, LOWEST << 8 | 3, out) == Sent.UNABLE
    assert apic.core.esr_pending == 0x10


def test_a_physical_broadcast_with_lowest_priority_is_not_sent() -> None:
    """10.6.2.1: not supported; a logical one and the shorthand for all others are."""
    apic, out = running(), BusMessage()
    write_icr_high(apic, 0xFF000000)
    assert write_icr_low(apic, LOWEST << 8 | 0x41, out) == Sent.NOTHING
    assert write_icr_low(apic, LOWEST << 8 | 0x841, out) == Sent.MESSAGE
    assert write_icr_low(apic, LOWEST << 8 | 3 << 18 | 0x41, out) == Sent.MESSAGE
    wide = running(1, x2apic=True)
    assert write_icr_msr(wide, LOWEST << 8 | 0x41, 0xFFFFFFFF, out) == Sent.NOTHING
    assert write_icr_msr(wide, LOWEST << 8 | 0x41, 0xFF, out) == Sent.MESSAGE


def test_310h_stores_and_300h_sends_to_it() -> None:
    """10.6.1: the destination is bits 63:56; writing the low half sends."""
    apic, out = running(), BusMessage()
    write_icr_high(apic, 0x7F123456)
    assert apic.icr_high == 0x7F000000
    assert write_icr_low(apic, 0x0000D931, out) == Sent.MESSAGE
    assert (out.destination, out.wide, out.logical, out.delivery, out.vector) == (0x7F, 0, 1, LOWEST, 0x31)
    assert (out.trigger, out.level) == (0, 1), "level trigger is converted to edge"
    assert apic.icr_low == 0xC931


def test_a_software_disabled_apic_still_sends() -> None:
    """10.4.7.2: an APIC with SVR[8]=0 can issue IPIs."""
    apic, out = Apic(0, 0), BusMessage()
    assert write_icr_low(apic, 0x41, out) == Sent.MESSAGE


def test_what_each_mode_is_to_its_receiver() -> None:
    """10.4.7.2, 10.8.4: NMI, SMI, INIT, SIPI and ExtINT pass IRR, priorities and SVR; a disabled APIC takes nothing."""
    wanted = {
        SMI: Arrival.SMI, NMI: Arrival.NMI, INIT: Arrival.INIT, STARTUP: Arrival.STARTUP, EXTINT: Arrival.EXTINT,
        RESERVED: Arrival.IGNORED,
    }  # fmt: skip
    for mode, arrival in wanted.items():
        apic, message = Apic(0, 0), BusMessage()
        apic.core.tpr = 0xFF
        message.delivery, message.vector = mode, 0x9A
        assert receive(apic, message) == arrival
        assert list(apic.core.irr) == [0] * 8
        apic.core.enabled = 0
        assert receive(apic, message) == Accept.DROPPED


def test_init_deassert_resets_nobody_unless_chosen() -> None:
    """10.6.1: INIT level de-assert is not supported from the Pentium 4 on; apic_init_deassert_resets decides."""
    sender, apic, out = running(), running(1), BusMessage()
    assert write_icr_low(sender, INIT << 8 | 0x8000, out) == Sent.MESSAGE
    assert receive(apic, out) == Arrival.IGNORED
    apic.choices.apic_init_deassert_resets = 1
    assert receive(apic, out) == Arrival.INIT
    assert write_icr_low(sender, INIT << 8 | 0xC000, out) == Sent.MESSAGE
    assert receive(running(1), out) == Arrival.INIT


def test_shorthands_ignore_destination_and_mode() -> None:
    """10.6.1: with a shorthand the destination fields mean nothing."""
    apics = [running(i) for i in range(4)]
    for shorthand, destination, logical in product((Shorthand.ALL, Shorthand.OTHERS), (0, 2, 0xFF), (0, 1)):
        out = BusMessage()
        write_icr_high(apics[1], destination << 24)
        assert write_icr_low(apics[1], shorthand << 18 | logical << 11 | 0x31, out) == Sent.MESSAGE
        reached = [i for i in range(4) if reaches(apics[i], out, i, 1)]
        assert reached == ([0, 1, 2, 3] if shorthand == Shorthand.ALL else [0, 2, 3])


def test_two_ipis_of_one_vector_merge_before_delivery() -> None:
    """T25 (10.8.4): a vector is pending once in IRR and once in ISR, further requests merge."""
    sender, apic, out = running(), running(1), BusMessage()
    write_icr_high(sender, 1 << 24)
    write_icr_low(sender, 0x51, out)
    assert [receive(apic, out), receive(apic, out)] == [Accept.ACCEPTED, Accept.MERGED]
