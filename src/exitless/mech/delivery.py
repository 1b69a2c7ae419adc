"""How a vCPU comes to take an interrupt: the base class of every delivery, seven verbs.

The verbs answer small integers and change only the vCPU they are given; who calls them, when, and at what cost
is the driver's business. There are no defaults: a delivery that does nothing for a verb says so.
"""

from mypy_extensions import i64, mypyc_attr

from exitless.mech.vcpu import VirtualCpu


@mypyc_attr(allow_interpreted_subclasses=True)
class Delivery:
    """The seven verbs."""

    def request(self, vcpu: VirtualCpu, vector: i64, level: i64) -> i64:
        """An interrupt is for this vCPU. Returns: Kick: what notification is owed."""
        raise NotImplementedError

    def pending(self, vcpu: VirtualCpu) -> i64:
        """Which local-APIC vector could go next, merging what was posted. Returns: a vector, 0 for none."""
        raise NotImplementedError

    def grant(self, vcpu: VirtualCpu, vector: i64) -> i64:
        """The hypervisor gives ``vector`` to the guest at the coming entry. Returns: 1 if it fills the entry field."""
        raise NotImplementedError

    def enter(self, vcpu: VirtualCpu) -> i64:
        """VM entry happens. Returns: the vector that the entry injects, -1 for none."""
        raise NotImplementedError

    def arrive(self, vcpu: VirtualCpu, vector: i64) -> bool:
        """A physical vector hits the pCPU in guest mode. Returns: whether the processor consumes it without exit."""
        raise NotImplementedError

    def end(self, vcpu: VirtualCpu) -> i64:
        """The guest writes EOI. Returns: an exit reason, or Exit.NONE; ``vcpu.operation`` holds the qualification."""
        raise NotImplementedError

    def write_register(self, vcpu: VirtualCpu, offset: i64, value: i64) -> i64:
        """The guest writes another APIC register at page ``offset``. Returns: an exit reason, or Exit.NONE."""
        raise NotImplementedError
