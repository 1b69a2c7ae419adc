"""What the things of a record are called: vCPUs, sources, exit reasons, owners."""

from exitless.record.block import Header
from exitless.study.summary import CALL_NAMES
from exitless.study.ways import Journey
from exitless.vocab.exits import VMX_NAMES
from exitless.vocab.kinds import Owner


def is_xen(header: Header) -> bool:
    """Tell whether the host of a record is Xen; a simulated one is."""
    return header.origin == "simulated" or "xen" in header.origin.lower()


def is_model(header: Header) -> bool:
    """Tell whether a record is a run that the model checker found."""
    return header.origin == "model checker"


def host_name(header: Header) -> str:
    """Return what the hypervisor is called."""
    return "Xen" if is_xen(header) else "host"


def name_of(names: list[str], number: int, what: str) -> str:
    """Return a name by number, or the number where the record has none."""
    return names[number] if 0 <= number < len(names) else f"{what}{number}"


def vcpu_name(header: Header, vcpu: int) -> str:
    """Return a vCPU's name."""
    return name_of(header.vcpus, vcpu, "vCPU")


def source_name(header: Header, source: int) -> str:
    """Return a source's name."""
    return name_of(header.sources, source, "source ")


def reason_name(header: Header, reason: int) -> str:
    """Return an exit reason as the manual or the record names it."""
    return header.exits.get(reason) or VMX_NAMES.get(reason, f"reason {reason}")


def call_name(number: int, operation: int) -> str:
    """Return a hypercall's name, or its numbers."""
    return CALL_NAMES.get((number, operation), f"hypercall {number}, operation {operation}")


def others_name(header: Header) -> str:
    """Return who has a pCPU that is no guest's: dom0 under Xen, the host's own tasks elsewhere."""
    return "dom0" if host_name(header) == "Xen" else "host's tasks"


def owner_name(header: Header, owner: int) -> str:
    """Return an owner of pCPU time in a word."""
    return {Owner.IDLE: "idle", Owner.XEN: host_name(header), Owner.DOM0: others_name(header),
            Owner.GUEST: "guest"}.get(owner, "?")  # fmt: skip


def is_direct(header: Header, vcpu: int, vector: int) -> bool:
    """Tell whether a vector is the host's and the guest's at once: a guest takes it without a virtual APIC."""
    return any(
        (guest, host, to) == (vector, vector, vcpu)
        for guest, host, to in zip(header.source_vector, header.source_host_vector, header.source_vcpu, strict=False)
    )


def headline(header: Header, journey: Journey) -> str:
    """Say one interrupt in one line, without its numbers."""
    if journey.source >= 0:
        return f"{source_name(header, journey.source)} interrupt #{journey.serial}"
    return f"vector 0x{journey.vector:02x} of {vcpu_name(header, journey.vcpu)}, #{journey.serial}"
