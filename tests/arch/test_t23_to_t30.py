"""The later cases of the fifteen subtle ones' table that join several manuals; the others stand with their rules.

T25 is in test_icr, T26 and T27 (the physical half) in test_apic_registers, T28 in test_destination, T29 and AVIC's half
of T13 in test_avic_ipi.
"""

import pytest

from exitless.arch.kvm.eoi_exit import scan
from exitless.arch.kvm.posted_intr import clear_for_restore, has_pending, merge_for_save
from exitless.arch.vmx.eoi import eoi_virtualization, set_eoi_exit
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt, evaluate_pending
from exitless.arch.vmx.posted import PostedDescriptor, clear_outstanding, raise_rvi, set_pir, take_pir
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.arch.vtd.post import post
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.destination import BusMessage
from exitless.arch.x86.ioapic import IoApic, accepted, end_of_interrupt, set_pin, write_entry_high, write_entry_low
from exitless.arch.x86.lowest import Arbiter, Policy, recipients
from exitless.bits.words import ON_PAGE, bits_of, has_bit, set_bit, zeros
from exitless.vocab.exits import Exit


@pytest.mark.parametrize("in_bitmap", [False, True])
def test_t23_a_posted_level_needs_its_eoi_exit(in_bitmap: bool) -> None:
    """T23: PIR leaves VTMR alone; without the bitmap's bit there is no exit 45 and remote IRR stays; with it the line
    is ended and asks again."""
    for vector in range(16, 256):
        ioapic, pid, vapic = IoApic(0, 1), PostedDescriptor(), VirtualApic()
        write_entry_low(ioapic, 0, 1 << 15 | vector)
        set_pin(ioapic, 0, 1)
        accepted(ioapic, 0)
        post(pid, vector, 0)
        set_eoi_exit(vapic, vector, in_bitmap)
        clear_outstanding(pid)
        raise_rvi(vapic, take_pir(pid, vapic))
        evaluate_pending(vapic)
        deliver_virtual_interrupt(vapic)
        assert not has_bit(vapic.page, Reg.VTMR, ON_PAGE, vector)
        answer = eoi_virtualization(vapic)
        assert answer == (Exit.EOI_INDUCED if in_bitmap else Exit.NONE)
        if answer == Exit.EOI_INDUCED:
            assert end_of_interrupt(ioapic, vector) == 1
        asks_again = ioapic.entries[0].low & 1 << 12 != 0
        stuck = ioapic.entries[0].low & 1 << 14 != 0
        assert (asks_again, stuck) == (in_bitmap, not in_bitmap)


def test_t30_nothing_posted_before_a_restore_survives_it() -> None:
    """T30: PIR={31H} and ON=1 from before must be cleared; what is posted at a save becomes part of it."""
    pid, vapic = PostedDescriptor(), VirtualApic()
    set_pir(pid, 0x31)
    pid.on = 1
    clear_for_restore(pid)
    assert (has_pending(pid), bits_of(pid.pir, 0, 1, 8)) == (False, [])
    set_pir(pid, 0x31)
    set_pir(pid, 0x91)
    pid.on = 1
    assert merge_for_save(pid, vapic) == 0x91
    assert (bits_of(vapic.page, Reg.VIRR, ON_PAGE, 8), bits_of(pid.pir, 0, 1, 8), pid.on) == ([0x31, 0x91], [], 0)


def test_kvm_scans_pins_for_the_bitmap() -> None:
    """KVM's ioapic.c: level pins, pins with a notifier and the real-time clock, on the vCPUs of the destination."""
    ioapic, notified = IoApic(0, 24), zeros(24)
    for number in range(24):
        level = 1 << 15 if number % 5 == 0 else 0
        write_entry_low(ioapic, number, level | 0x30 + number)
        write_entry_high(ioapic, number, (number % 2) << 24)
    notified[3] = notified[4] = 1
    for apic_id in (0, 1):
        found = bits_of(scan(ioapic, notified, Apic(apic_id, 0), VirtualApic()), 0, 1, 8)
        pins = {n for n in range(24) if n % 5 == 0 or n in (3, 4, 8)}
        assert found == [0x30 + n for n in sorted(pins) if n % 2 == apic_id]


@pytest.mark.parametrize("register", [Reg.VIRR, Reg.VISR])
def test_p16_a_pin_that_was_sent_elsewhere_keeps_its_bit_while_in_flight(register: int) -> None:
    """P16: the old vCPU still has the vector requested or in service, so its EOI must still exit."""
    ioapic, vapic = IoApic(0, 1), VirtualApic()
    write_entry_low(ioapic, 0, 1 << 15 | 0x51)
    write_entry_high(ioapic, 0, 7 << 24)
    assert bits_of(scan(ioapic, zeros(1), Apic(0, 0), vapic), 0, 1, 8) == []
    set_bit(vapic.page, register, ON_PAGE, 0x51)
    assert bits_of(scan(ioapic, zeros(1), Apic(0, 0), vapic), 0, 1, 8) == [0x51]


def test_who_is_handed_a_message() -> None:
    """10.6.2: everyone the destination names; with lowest priority one of them."""
    apics = [Apic(number, 0) for number in range(4)]
    for number, apic in enumerate(apics):
        apic.core.svr, apic.ldr, apic.core.tpr = 0x1FF, 1 << number << 24, 0x40 - 0x10 * number
    message, out = BusMessage(), zeros(4)
    message.logical, message.destination, message.vector = 1, 0b1011, 0x41
    count = recipients(Arbiter(Policy.LOWEST_TPR, 4), apics, message, -1, out)
    assert list(out[:count]) == [0, 1, 3]
    message.delivery = 1
    count = recipients(Arbiter(Policy.LOWEST_TPR, 4), apics, message, -1, out)
    assert list(out[:count]) == [3]
    message.destination = 0
    assert recipients(Arbiter(Policy.LOWEST_TPR, 4), apics, message, -1, out) == 0
