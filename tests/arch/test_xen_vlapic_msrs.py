"""Which x2APIC registers Xen lets a guest reach by itself, for every register and every set of controls."""

from itertools import product

from exitless.arch.outcome import Access
from exitless.arch.vmx.access import Operation
from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.msrs import read_msr, write_msr
from exitless.arch.vmx.virtual_apic import VirtualApic
from exitless.arch.xen.vlapic_msrs import vlapic_msr_changed
from exitless.vocab.exits import Exit


def changed(shadow: int, registers: int, vid: int, x2apic: int) -> Controls:
    """Return the controls after the guest's mode has changed to and fro, and to what is asked."""
    controls = Controls()
    controls.use_tpr_shadow, controls.apic_register_virtualization = shadow, registers
    controls.virtual_interrupt_delivery = vid
    for mode in (1 - x2apic, x2apic):
        vlapic_msr_changed(controls, mode)
    return controls


def test_the_two_ways_exclude_each_other() -> None:
    """Accesses of the page are virtualized in xAPIC mode only, x2APIC mode only where there is something to gain."""
    for shadow, registers, vid, x2apic in product((0, 1), repeat=4):
        c = changed(shadow, registers, vid, x2apic)
        assert c.virtualize_apic_accesses == 1 - x2apic
        assert c.virtualize_x2apic_mode == int(bool(x2apic and shadow and (registers or vid)))


def test_reads_stay_in_the_guest_but_for_ppr_and_the_timers_counts() -> None:
    """With register virtualization in x2APIC mode; otherwise every read exits."""
    for registers, vid, x2apic, index in product((0, 1), (0, 1), (0, 1), range(256)):
        c = changed(1, registers, vid, x2apic)
        answer = read_msr(VirtualApic(), c, Operation(), index)
        stays = x2apic and registers and index not in (0x0A, 0x38, 0x39)
        assert answer == (Access.VIRTUALIZED if stays else Exit.MSR_READ), hex(index)


def test_writes_exit_but_for_tpr_eoi_and_self_ipi() -> None:
    """With virtual-interrupt delivery in x2APIC mode; a write of the ICR exits always, as Xen has no IPI
    virtualization."""
    for registers, vid, x2apic, index in product((0, 1), (0, 1), (0, 1), range(256)):
        c = changed(1, registers, vid, x2apic)
        c.use_tpr_shadow = 1
        op = Operation()
        op.low = 0x41 if index == 0x3F else 0
        answer = write_msr(VirtualApic(), c, op, index)
        stays = x2apic and vid and index in (0x08, 0x0B, 0x3F)
        assert answer == (Exit.NONE if stays else Exit.MSR_WRITE), hex(index)
