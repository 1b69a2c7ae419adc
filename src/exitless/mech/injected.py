"""The emulated local APIC: software keeps IRR and ISR, VM entry injects, the EOI exits."""

from mypy_extensions import i64

from exitless.arch.outcome import Access, Kick
from exitless.arch.vmx.access import page_write, write_emulation
from exitless.arch.vmx.injection import acknowledge_emulated, inject_at_entry, pending_without_vid, request_interrupt
from exitless.arch.vmx.msrs import write_msr
from exitless.mech.delivery import Delivery
from exitless.mech.vcpu import VirtualCpu
from exitless.vocab.exits import Exit


def write_page(vcpu: VirtualCpu, offset: i64, value: i64) -> i64:
    """The guest stores 4 bytes at ``offset`` of the APIC page, as one operation.

    Returns: an exit reason, or Exit.NONE when the store and what it causes stay in the guest.
    """
    op = vcpu.operation
    op.emulate = -1
    op.low = value
    answer: i64 = page_write(vcpu.vapic, vcpu.controls, op, offset, 4)
    if answer != Access.VIRTUALIZED:
        return answer
    return write_emulation(vcpu.vapic, vcpu.controls, op)


def write_apic(vcpu: VirtualCpu, offset: i64, value: i64) -> i64:
    """The guest writes the register at ``offset``: a store to the page, or in x2APIC mode WRMSR of 800H + offset / 16.

    Returns: an exit reason, or Exit.NONE when the write and what it causes stay in the guest.
    Cites: SDM apicv.x2apic-msrs
    """
    if vcpu.x2apic == 0:
        return write_page(vcpu, offset, value)
    op = vcpu.operation
    op.low = value
    op.high = 0
    answer: i64 = write_msr(vcpu.vapic, vcpu.controls, op, offset >> 4)
    if answer == Exit.MSR_WRITE:
        op.qualification = offset >> 4
    return answer


def request_by_entry(vcpu: VirtualCpu, vector: i64, level: i64) -> i64:
    """Set the emulated IRR. Returns: Kick.EXIT when the request is new, for it needs a VM entry."""
    if request_interrupt(vcpu.vapic, vector, level):
        return Kick.NONE
    return Kick.EXIT


def grant_by_entry(vcpu: VirtualCpu, vector: i64) -> i64:
    """Move the vector from the emulated IRR to ISR, and let the next entry inject it. Returns: 1."""
    acknowledge_emulated(vcpu.vapic, vector)
    vcpu.state.entry_vector = vector
    return 1


class Injected(Delivery):
    """Delivery by an emulated local APIC, with or without APIC-register virtualization."""

    def request(self, vcpu: VirtualCpu, vector: i64, level: i64) -> i64:
        """Set IRR; a new request must make the vCPU pass through VM entry."""
        return request_by_entry(vcpu, vector, level)

    def pending(self, vcpu: VirtualCpu) -> i64:
        """The highest request whose class is above the one in service."""
        return pending_without_vid(vcpu.vapic)

    def grant(self, vcpu: VirtualCpu, vector: i64) -> i64:
        """Move the vector from IRR to ISR now, and inject it at entry."""
        return grant_by_entry(vcpu, vector)

    def enter(self, vcpu: VirtualCpu) -> i64:
        """The entry injects what the field holds."""
        return inject_at_entry(vcpu.state)

    def arrive(self, vcpu: VirtualCpu, vector: i64) -> bool:
        """Every physical vector exits."""
        return False

    def end(self, vcpu: VirtualCpu) -> i64:
        """A write of EOI: a store to 0B0H of the APIC page, or WRMSR 80BH."""
        return write_apic(vcpu, 176, 0)

    def write_register(self, vcpu: VirtualCpu, offset: i64, value: i64) -> i64:
        """A write of any other register."""
        return write_apic(vcpu, offset, value)
