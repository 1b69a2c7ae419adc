"""Virtual-interrupt delivery: the hypervisor writes RVI before entry, the processor does the rest."""

from mypy_extensions import i64

from exitless.arch.outcome import Kick
from exitless.arch.vmx.injection import highest_requested, inject_at_entry, load_at_entry, request_interrupt
from exitless.mech.delivery import Delivery
from exitless.mech.injected import write_apic
from exitless.mech.vcpu import VirtualCpu


class Virtual(Delivery):
    """Delivery by RVI and SVI, without posting."""

    def request(self, vcpu: VirtualCpu, vector: i64, level: i64) -> i64:
        """Set VIRR; RVI is written only before an entry, so a new request needs one."""
        if request_interrupt(vcpu.vapic, vector, level):
            return Kick.NONE
        return Kick.EXIT

    def pending(self, vcpu: VirtualCpu) -> i64:
        """The highest request: the processor, not software, compares it with what is in service."""
        return highest_requested(vcpu.vapic)

    def grant(self, vcpu: VirtualCpu, vector: i64) -> i64:
        """Write RVI; nothing is injected."""
        vcpu.vapic.rvi = vector
        return 0

    def enter(self, vcpu: VirtualCpu) -> i64:
        """The entry virtualizes PPR and evaluates, then injects what the field holds."""
        load_at_entry(vcpu.vapic)
        return inject_at_entry(vcpu.state)

    def arrive(self, vcpu: VirtualCpu, vector: i64) -> bool:
        """Every physical vector exits."""
        return False

    def end(self, vcpu: VirtualCpu) -> i64:
        """A write of EOI, virtualized; it exits only for vectors in the EOI-exit bitmap."""
        return write_apic(vcpu, 176, 0)

    def write_register(self, vcpu: VirtualCpu, offset: i64, value: i64) -> i64:
        """A write of any other register."""
        return write_apic(vcpu, offset, value)
