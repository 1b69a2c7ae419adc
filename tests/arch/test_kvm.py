"""KVM's steps one at a time: AVIC's tables, the descriptor around saving and restoring, the EOI-exit bitmap."""

from itertools import product

import pytest

from exitless.arch.kvm.avic import clear_running, has_request, log_while_blocked, set_running, update_device
from exitless.arch.kvm.eoi_exit import is_in_flight, needs_exit, scan
from exitless.arch.kvm.posted_intr import clear_for_restore, merge_for_save
from exitless.arch.svm.evaluate import Avic
from exitless.arch.svm.iommu import GuestIrte
from exitless.arch.svm.tables import Backing, PhysicalEntry
from exitless.arch.vmx.posted import PostedDescriptor, set_pir
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.ioapic import Entry, IoApic, write_entry_low
from exitless.bits.words import ON_PAGE, bits_of, set_bit, zeros


def test_a_vcpu_runs_where_it_was_loaded_unless_the_table_hides_it() -> None:
    """avic_vcpu_load: host ID and IsRunning in one write; with erratum 1235 IsRunning stays 0. avic_vcpu_put: it is 0
    and the host ID stays behind."""
    for hides, before in product((0, 1), (0, 1)):
        entry = PhysicalEntry()
        entry.running = before
        set_running(entry, 0x21, hides)
        assert (entry.host_id, entry.running) == (0x21, 1 - hides)
        clear_running(entry)
        assert (entry.host_id, entry.running) == (0x21, 0)


def test_the_iommu_rings_a_running_vcpu_and_logs_for_a_blocked_one() -> None:
    """avic_update_iommu_vcpu_affinity: IsRun and the destination, and no log; nowhere (-1) only clears IsRun."""
    irte = GuestIrte()
    irte.log_interrupt = 1
    for core in (0, 1, 0x21):
        update_device(irte, core)
        assert (irte.is_running, irte.destination, irte.log_interrupt) == (1, core, 0)
        for blocking in (0, 1):
            log_while_blocked(irte, blocking)
            assert irte.log_interrupt == blocking
        update_device(irte, -1)
        assert (irte.is_running, irte.destination, irte.log_interrupt) == (0, core, 1)


def test_a_sleeper_has_a_request_when_its_class_is_above_ppr() -> None:
    """avic_vcpu_blocking: IRR's highest class against PPR's, which is the higher one of TPR's and ISR's."""
    for requested, other in product(range(16, 256, 5), range(0, 256, 3)):
        for register in (Reg.VTPR, Reg.VISR):
            avic = Avic(0, Backing())
            set_bit(avic.backing.words, Reg.VIRR, ON_PAGE, requested)
            if register == Reg.VTPR:
                avic.backing.words[Reg.VTPR] = other
            elif other:
                set_bit(avic.backing.words, Reg.VISR, ON_PAGE, other)
            assert has_request(avic) == (requested // 16 > other // 16)
            assert avic.backing.words[Reg.VPPR] // 16 == other // 16
    assert not has_request(Avic(0, Backing()))


@pytest.mark.parametrize("vector", [0, 31, 32, 0x41, 255])
def test_saving_takes_what_is_posted_along_and_restoring_forgets_it(vector: int) -> None:
    """vmx_sync_pir_to_irr before a guest's APIC is saved; vmx_apicv_pre_state_restore before it is restored."""
    for save in (True, False):
        pid, vapic = PostedDescriptor(), VirtualApic()
        for lower in {0, vector // 2, vector}:
            set_pir(pid, lower)
        pid.on, pid.sn, pid.nv, pid.ndst = 1, 1, 0xF2, 3
        if save:
            assert merge_for_save(pid, vapic) == vector
        else:
            clear_for_restore(pid)
        assert (list(pid.pir), pid.on) == ([0] * 8, 0)
        assert (pid.sn, pid.nv, pid.ndst) == (1, 0xF2, 3)
        moved = sorted({0, vector // 2, vector}) if save else []
        assert bits_of(vapic.page, Reg.VIRR, ON_PAGE, 8) == moved


def test_who_must_hear_of_an_eoi() -> None:
    """ioapic_handled_vectors: a level pin, a pin with an acknowledge notifier, and the real-time clock's pin 8."""
    for level, notified, pin in product((0, 1), (0, 1), range(24)):
        entry = Entry()
        entry.low = level << 15 | 0x41
        assert needs_exit(entry, pin, notified) == bool(level or notified or pin == 8)


def test_in_flight_is_requested_or_in_service() -> None:
    """ioapic_handled_vectors asks both of a vCPU from which a pin has been taken away."""
    for requested, in_service in product((0, 1), (0, 1)):
        for vector in (0x10, 0x41, 0xFF):
            vapic = VirtualApic()
            if requested:
                set_bit(vapic.page, Reg.VIRR, ON_PAGE, vector)
            if in_service:
                set_bit(vapic.page, Reg.VISR, ON_PAGE, vector)
            assert is_in_flight(vapic, vector) == bool(requested or in_service)
            assert not is_in_flight(vapic, vector ^ 0x20)


def test_the_bitmap_has_every_vector_of_a_pin_and_256_bits() -> None:
    """ioapic_handled_vectors: bit v for vector v, whatever else the entry holds; the first and the last pin count."""
    for vector in range(256):
        for pin in (0, 23):
            ioapic = IoApic(0, 24)
            write_entry_low(ioapic, pin, 1 << 16 | 1 << 15 | vector)
            found = scan(ioapic, zeros(24), Apic(0, 0), VirtualApic())
            assert len(found) == 8
            assert bits_of(found, 0, 1, 8) == sorted({0, vector}), "pin 8 always has its bit, and is of vector 0 here"
