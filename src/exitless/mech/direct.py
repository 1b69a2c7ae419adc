"""ELI-like direct delivery: external interrupts do not exit, the guest takes physical vectors through a shadow IDT.

The guest ends them at the real local APIC. Whatever the hypervisor must give the guest itself is injected as with
an emulated local APIC, and until that has ended the guest's EOI exits (ELI's injection mode).
"""

from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.vmx.injection import inject_at_entry, pending_without_vid
from exitless.mech.delivery import Delivery
from exitless.mech.injected import grant_by_entry, request_by_entry
from exitless.mech.vcpu import VirtualCpu
from exitless.vocab.exits import Exit


class Direct(Delivery):
    """Delivery of physical vectors without exits, with injection as the way for everything else.

    ``vcpu.forwarded`` holds the vector that was injected and not yet ended, -1 while the guest's EOI may reach
    the real local APIC.
    """

    def request(self, vcpu: VirtualCpu, vector: i64, level: i64) -> i64:
        """Set the emulated IRR; it needs an entry."""
        return request_by_entry(vcpu, vector, level)

    def pending(self, vcpu: VirtualCpu) -> i64:
        """The highest emulated request above what was injected and not ended."""
        return pending_without_vid(vcpu.vapic)

    def grant(self, vcpu: VirtualCpu, vector: i64) -> i64:
        """Inject, and make the guest's next EOI exit."""
        vcpu.forwarded = vector
        return grant_by_entry(vcpu, vector)

    def enter(self, vcpu: VirtualCpu) -> i64:
        """The entry injects what the field holds."""
        return inject_at_entry(vcpu.state)

    def arrive(self, vcpu: VirtualCpu, vector: i64) -> bool:
        """Nothing is posted here."""
        return False

    def end(self, vcpu: VirtualCpu) -> i64:
        """WRMSR of the x2APIC EOI register.

        It reaches the real local APIC, or exits while something injected is open.
        """
        if vcpu.forwarded >= 0:
            vcpu.operation.qualification = 11
            return Exit.MSR_WRITE
        return Access.PHYSICAL

    def write_register(self, vcpu: VirtualCpu, offset: i64, value: i64) -> i64:
        """Every other x2APIC register stays intercepted."""
        vcpu.operation.qualification = offset >> 4
        return Exit.MSR_WRITE
