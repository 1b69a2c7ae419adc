"""The last eight cases, each tested whole, and what KVM does to keep them right.

The name of a test begins with its case.
"""

from itertools import product

import pytest

from exitless.arch.kvm.eoi_exit import scan
from exitless.arch.kvm.posted_intr import clear_for_restore, has_pending, merge_for_save
from exitless.arch.outcome import Accept
from exitless.arch.svm.evaluate import Avic, deliver, doorbell, retire, set_requested, vmrun
from exitless.arch.svm.ipi import Ipi, send
from exitless.arch.svm.tables import Backing, Tables
from exitless.arch.svm.vmcb import Incomplete, SvmExit
from exitless.arch.vmx.controls import Check
from exitless.arch.vmx.eoi import eoi_virtualization, set_eoi_exit
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt, evaluate_pending
from exitless.arch.vmx.posted import PostedDescriptor, clear_outstanding, raise_rvi, set_pir, take_pir
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.arch.vtd.post import post
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.destination import BusMessage, matches
from exitless.arch.x86.ioapic import IoApic, accepted, end_of_interrupt, set_pin, write_entry_high, write_entry_low
from exitless.arch.x86.lapic import LocalApic, accept, acknowledge, deliverable
from exitless.arch.x86.lapic import end_of_interrupt as lapic_end
from exitless.arch.x86.lowest import Arbiter, Policy, recipients
from exitless.arch.x86.registers import Register, page_write
from exitless.bits.words import ON_PAGE, bits_of, has_bit, set_bit, zeros
from exitless.mech.oracle import Oracle, Step
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


@pytest.mark.parametrize("address", [0, 0x40, 0x7FFFFFC0])
def test_t24_posting_needs_its_controls_and_a_vector_and_an_address(address: int) -> None:
    """T24: refused with error 7 if ACK=0, VID=0, ANV[15:8] or the address's bits 5:0 are not 0; address 0 is legal."""

    def entry(**wanted: int) -> tuple[int, int, int]:
        o = Oracle()
        o.controls.use_tpr_shadow = o.controls.virtual_interrupt_delivery = 1
        o.controls.process_posted_interrupts, o.controls.notification_vector = 1, 0xF2
        o.controls.descriptor_address = address
        for name, value in wanted.items():
            assert hasattr(o.controls, name)
            setattr(o.controls, name, value)
        return o.enter(), o.error, o.failed_check

    assert entry() == (Step.GOES_ON, 0, Check.PASS)
    assert entry(notification_vector=0xFF) == (Step.GOES_ON, 0, Check.PASS)
    assert entry(ack_int_on_exit=0) == (Step.FAILED, 7, Check.POSTING_NEEDS_ACK)
    assert entry(virtual_interrupt_delivery=0) == (Step.FAILED, 7, Check.POSTING_NEEDS_VID)
    assert entry(secondary=0) == (Step.FAILED, 7, Check.POSTING_NEEDS_VID), "posting itself is a pin-based control"
    for bit in range(8, 16):
        assert entry(notification_vector=0xF2 | 1 << bit) == (Step.FAILED, 7, Check.NOTIFICATION_VECTOR)
    for bit in range(6):
        assert entry(descriptor_address=address | 1 << bit) == (Step.FAILED, 7, Check.DESCRIPTOR_ADDRESS)


def test_t25_two_requests_of_a_vector_before_its_delivery_are_one() -> None:
    """T25: IPIs that find the vector pending merge; one that finds it in service waits, and is a second delivery."""
    for vector in range(16, 256):
        o = Oracle()
        o.controls.use_tpr_shadow = o.controls.virtual_interrupt_delivery = 1
        o.controls.virtualize_x2apic_mode, o.state.interrupt_flag = 1, 1
        o.enter()
        assert (o.wrmsr(0x3F, vector), o.wrmsr(0x3F, vector)) == (Step.GOES_ON, Step.GOES_ON)
        assert (o.boundary(), o.vector, o.vapic.rvi) == (Step.INTERRUPT, vector, 0)
        assert (o.wrmsr(0x3F, vector), o.load_flag(1), o.boundary()) == (Step.GOES_ON,) * 3
        assert (o.vapic.rvi, o.vapic.svi) == (vector, vector)
        assert has_bit(o.vapic.page, Reg.VIRR, ON_PAGE, vector) and has_bit(o.vapic.page, Reg.VISR, ON_PAGE, vector)
        assert (o.wrmsr(0x0B, 0), o.boundary(), o.vector) == (Step.GOES_ON, Step.INTERRUPT, vector)
        assert (o.load_flag(1), o.wrmsr(0x0B, 0), o.boundary()) == (Step.GOES_ON,) * 3
        real = LocalApic(0)
        assert [accept(real, vector, 0), accept(real, vector, 0)] == [Accept.ACCEPTED, Accept.MERGED]
        assert acknowledge(real) == vector
        assert [accept(real, vector, 0), accept(real, vector, 0)] == [Accept.ACCEPTED, Accept.MERGED]
        assert (deliverable(real), lapic_end(real), acknowledge(real)) == (-1, vector, vector)


@pytest.mark.parametrize(("first", "second", "suppressed", "broadcasts"), [
    (1, None, 1, False), (1, None, 0, True), (0, None, 0, False), (0, 1, 0, True), (1, 0, 0, False), (0, 1, 1, False),
])  # fmt: skip
def test_t26_the_trigger_mode_at_acceptance_decides_the_broadcast(
    first: int, second: int | None, suppressed: int, broadcasts: bool
) -> None:
    """T26: a level is broadcast unless SVR[12]; an edge in service and a level accepted before its EOI is one."""
    for vector in range(16, 256):
        apic, access = Apic(0, 0), Register()
        apic.core.svr = 0x1FF | suppressed << 12
        accept(apic.core, vector, first)
        assert acknowledge(apic.core) == vector
        if second is not None:
            accept(apic.core, vector, second)
        trigger = has_bit(apic.core.tmr, 0, 1, vector)
        page_write(apic, 0xB0, 4, access)
        assert (access.ended, access.broadcast) == (vector, int(broadcasts))
        assert has_bit(apic.core.tmr, 0, 1, vector) == trigger, "EOI leaves TMR alone"


def test_t27_an_eoi_with_nothing_in_service() -> None:
    """T27: the real APIC ignores it. The virtual one ends vector 0: bit 0 of the bitmap decides, and PPR follows."""
    apic, access = Apic(0, 0), Register()
    apic.core.svr, access.ended = 0x1FF, 99
    page_write(apic, 0xB0, 4, access)
    assert (access.ended, access.broadcast, list(apic.core.isr)) == (-1, 0, [0] * 8)
    for exits, left in product((False, True), (0, 0x41)):
        o = Oracle()
        o.controls.use_tpr_shadow = o.controls.virtual_interrupt_delivery = o.controls.virtualize_x2apic_mode = 1
        set_eoi_exit(o.vapic, 0, exits)
        set_bit(o.vapic.page, Reg.VISR, ON_PAGE, 0)
        if left:
            set_bit(o.vapic.page, Reg.VISR, ON_PAGE, left)
        o.enter()
        o.vapic.page[Reg.VTPR] = 0x23
        answer = o.wrmsr(0x0B, 0)
        assert bits_of(o.vapic.page, Reg.VISR, ON_PAGE, 8) == ([left] if left else [])
        assert (o.vapic.svi, o.vapic.page[Reg.VPPR]) == (left, 0x40 if left else 0x23)
        assert answer == (Step.EXIT if exits else Step.GOES_ON)
        if exits:
            assert (o.out.reason, o.out.qualification) == (Exit.EOI_INDUCED, 0)


# Width, logical, DFR, destination; the logical IDs (bits 31:24, or the x2APIC ID) that are reached, of those beside.
FLAT_IDS, CLUSTER_IDS, WIDE_IDS = (1, 2, 0x80, 0xFF), (0x01, 0x08, 0x0F, 0x11, 0x1F, 0xE1), (0, 1, 15, 16, 300)
DESTINATIONS = [
    (1, 1, 0, 0xFFFFFFFF, WIDE_IDS, WIDE_IDS),
    (1, 0, 0, 0xFFFFFFFF, WIDE_IDS, WIDE_IDS),
    (1, 1, 0, 0x00010001, WIDE_IDS, (16,)),
    (0, 1, 0xFFFFFFFF, 0, FLAT_IDS, ()),
    (0, 1, 0xFFFFFFFF, 2, FLAT_IDS, (2, 0xFF)),
    (0, 1, 0x0FFFFFFF, 0x0F, CLUSTER_IDS, (0x01, 0x08, 0x0F)),
    (0, 1, 0x0FFFFFFF, 0xFF, CLUSTER_IDS, CLUSTER_IDS),
]


@pytest.mark.parametrize(("wide", "logical", "dfr", "destination", "there", "reached"), DESTINATIONS)
def test_t28_broadcasts_and_empty_destinations(
    wide: int, logical: int, dfr: int, destination: int, there: tuple[int, ...], reached: tuple[int, ...]
) -> None:
    """T28: FFFFFFFFH is everyone in both modes; flat 0 nobody; cluster 0FH cluster 0 only, FFH everyone."""
    message = BusMessage()
    message.wide, message.logical, message.destination = wide, logical, destination
    found = []
    for number in there:
        apic = Apic(number, 0)
        apic.x2apic, apic.dfr, apic.ldr = wide, dfr, 0 if wide else number << 24
        if matches(apic, message):
            found.append(number)
    assert tuple(found) == reached


def test_t29_after_id_1_the_request_is_there_already() -> None:
    """T29: AVIC has set IRR[v] before it exits with ID 1; setting it again or one more doorbell changes nothing."""
    for vector in range(16, 256):
        tables = Tables(2)
        tables.pages += [Backing(), Backing(), Backing()]
        for number in range(2):
            entry = tables.physical[number]
            entry.valid, entry.backing, entry.running = 1, number + 1, 1 - number
        sender, target = Avic(0, tables.pages[1]), Avic(1, tables.pages[2])
        assert send(tables, sender, vector, 1 << 24, Ipi()) == SvmExit.INCOMPLETE_IPI
        assert (sender.vmcb.info2_high, sender.vmcb.info2_low) == (Incomplete.NOT_RUNNING, 1)
        assert bits_of(target.backing.words, Reg.VIRR, ON_PAGE, 8) == [vector]
        assert set_requested(target.backing, vector), "already there"
        assert vmrun(target) == SvmExit.NONE
        assert (target.recognized, doorbell(target)) == (vector, vector)
        assert (deliver(target), doorbell(target)) == (vector, 0), "one delivery, and the doorbell after it finds none"
        assert (retire(target), doorbell(target)) == (vector, 0)


def test_t30_nothing_posted_before_a_restore_survives_it() -> None:
    """T30: PIR={31H} and ON=1 from before must be cleared; what is posted at a save becomes part of it."""
    pid, vapic = PostedDescriptor(), VirtualApic()
    set_pir(pid, 0x31)
    pid.on = 1
    clear_for_restore(pid)
    assert (has_pending(pid), bits_of(pid.pir, 0, 1, 8)) == (False, [])
    for cleared in (True, False):
        o = Oracle()
        o.controls.use_tpr_shadow = o.controls.virtual_interrupt_delivery = o.controls.process_posted_interrupts = 1
        o.controls.notification_vector, o.state.interrupt_flag, o.pid.on = 0xF2, 1, 1
        set_pir(o.pid, 0x31)
        if cleared:
            clear_for_restore(o.pid)
        accept(o.lapic, 0xF2, 0)
        assert (o.enter(), o.boundary()) == (Step.GOES_ON, Step.POSTED)
        assert o.boundary() == (Step.GOES_ON if cleared else Step.INTERRUPT), "otherwise a stale interrupt comes"
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
