"""The words of ``whatif``: mechanisms that can be switched, and classes of exits, which are finer than exit reasons.

A class says why an exit happened, so that a rule can say whether it would happen under another mechanism. How it came
about, by a page, an MSR or a trap, is told by its exit reason.
"""

from typing import Final

# In the order in which they act: first what the guest does otherwise, then what stands below it.
MECHANISMS: Final = {
    "x2apic": "the guest reaches its local APIC by MSRs in place of a page",
    "pv-eoi": "the guest leaves the end of an interrupt in memory when nothing else waits",
    "pv-ipi": "the guest sends IPIs to several vCPUs by one hypercall",
    "upcall-vector": "Xen's upcall is a vector of the vCPU's own local APIC, in place of the callback 0xf3",
    "apicv": "Intel's register virtualization and virtual-interrupt delivery",
    "avic": "AMD's AVIC",
    "posted": "posted interrupts: a running vCPU is told without an exit",
    "ipi-virtualization": "Intel's IPI virtualization: the processor sends a fixed IPI to one vCPU itself",
    "vtd-posting": "the remapping unit posts a device's interrupt to its vCPU",
    "timer-posting": "a guest's timer expires on another pCPU and is posted",
    "icr-fastpath": "KVM sends a fixed IPI to one vCPU before it does anything else of an exit",
    "halt-poll": "the host waits a while for the next interrupt before a halted vCPU gives up its pCPU",
}

# What a mechanism cannot be without.
BRINGS: Final = {
    "vtd-posting": ("posted",),
    "posted": ("apicv",),
    "ipi-virtualization": ("posted",),
    "timer-posting": ("posted",),
}


class Class:
    """Why an exit happened."""

    WINDOW: Final = "window"
    WINDOW_UPCALL: Final = "window-upcall"
    WINDOW_EXTERNAL: Final = "window-8259"
    TPR_BELOW: Final = "tpr-threshold"
    TPR: Final = "tpr"
    CR8: Final = "cr8"
    EOI: Final = "eoi"
    EOI_BUSY: Final = "eoi-busy"
    EOI_LEVEL: Final = "eoi-level"
    EOI_UPCALL: Final = "eoi-upcall"
    EOI_TOLD: Final = "eoi-told"
    IPI: Final = "ipi"
    IPI_REST: Final = "ipi-rest"
    IPI_ASLEEP: Final = "ipi-asleep"
    IPI_MANY: Final = "ipi-many"
    IPI_ODD: Final = "ipi-odd"
    IPI_SELF: Final = "ipi-self"
    IPI_HYPERV: Final = "ipi-hyper-v"
    ICR_HIGH: Final = "icr-high"
    ICR_READ: Final = "icr-read"
    APIC_READ: Final = "apic-read"
    APIC_WRITE: Final = "apic-write"
    TIMER_ARM: Final = "timer-arm"
    TIMER_READ: Final = "timer-read"
    DEADLINE: Final = "deadline"
    KICK: Final = "kick"
    HOST: Final = "host"
    HOST_UNTOLD: Final = "host-untold"
    TIMER_GUEST: Final = "timer-guest"
    DEVICE_GUEST: Final = "device-guest"
    PIRQ_EOI: Final = "pirq-eoi"
    MANY_CALL: Final = "ipi-call"
    KEPT: Final = "other"


SAYS: Final = {
    Class.WINDOW: "interrupt windows",
    Class.WINDOW_UPCALL: "interrupt windows of Xen's callback",
    Class.WINDOW_EXTERNAL: "windows for an 8259's interrupt or an NMI",
    Class.TPR_BELOW: "TPR fallen below a threshold",
    Class.TPR: "accesses to TPR",
    Class.CR8: "writes of CR8",
    Class.EOI: "EOIs with nothing else waiting",
    Class.EOI_BUSY: "EOIs while another vector waits, or after another exit",
    Class.EOI_LEVEL: "EOIs of level-triggered interrupts",
    Class.EOI_UPCALL: "EOIs of Xen's upcalls",
    Class.EOI_TOLD: "EOIs that the EOI-exit bitmap asks for",
    Class.IPI: "fixed IPIs to one running vCPU",
    Class.IPI_REST: "further fixed IPIs of one vector, right after the first",
    Class.IPI_ASLEEP: "fixed IPIs to a vCPU that is not running",
    Class.IPI_MANY: "IPIs to several vCPUs in one write",
    Class.IPI_ODD: "NMI, INIT and start-up IPIs",
    Class.IPI_SELF: "IPIs to the sender itself",
    Class.IPI_HYPERV: "IPIs by Hyper-V's ICR",
    Class.ICR_HIGH: "destinations written to ICR's upper half",
    Class.ICR_READ: "reads of ICR",
    Class.APIC_READ: "reads of other APIC registers",
    Class.APIC_WRITE: "writes of other APIC registers",
    Class.TIMER_ARM: "writes of the APIC timer's registers",
    Class.TIMER_READ: "reads of the APIC timer's count",
    Class.DEADLINE: "writes of TSC_DEADLINE",
    Class.KICK: "kicks: IPIs of the host that make a vCPU take an interrupt",
    Class.HOST: "the host's own interrupts",
    Class.HOST_UNTOLD: "interrupts of the host of which nothing tells the vector",
    Class.TIMER_GUEST: "host timers that expire for the guest",
    Class.DEVICE_GUEST: "a device's interrupts for this guest",
    Class.PIRQ_EOI: "hypercalls that end a PIRQ",
    Class.MANY_CALL: "hypercalls that send IPIs",
    Class.KEPT: "all else",
}

EOIS: Final = (Class.EOI, Class.EOI_BUSY, Class.EOI_LEVEL, Class.EOI_UPCALL)
IPIS: Final = (Class.IPI, Class.IPI_REST, Class.IPI_ASLEEP, Class.IPI_MANY, Class.IPI_ODD, Class.IPI_SELF)

# What only one hypervisor has.
OF_KVM: Final = ("pv-eoi", "pv-ipi", "icr-fastpath", "halt-poll", "timer-posting")
OF_XEN: Final = ("upcall-vector",)

# How the guest reached its APIC, by the name of the exit.
PAGE: Final = frozenset({"APIC_ACCESS", "EPT_VIOLATION", "EPT_MISCONFIG", "npf", "NPF"})
MSR: Final = frozenset({"MSR_WRITE", "MSR_READ", "msr", "MSR"})
TRAP: Final = frozenset({"APIC_WRITE", "avic_unaccelerated_access"})


class Names:
    """What a vendor's exits are called: those that a rule may bring in."""

    def __init__(
        self, page: str, write: str, trap: str, told: str, incomplete: str, call: str, kick: str, window: str, read: str
    ) -> None:
        self.page = page
        self.write = write
        self.trap = trap
        self.told = told
        self.incomplete = incomplete
        self.call = call
        self.kick = kick
        self.window = window
        self.read = read


VMX_WORDS: Final = Names(
    "APIC_ACCESS", "MSR_WRITE", "APIC_WRITE", "EOI_INDUCED", "APIC_WRITE", "VMCALL", "EXTERNAL_INTERRUPT",
    "INTERRUPT_WINDOW", "MSR_READ",
)  # fmt: skip
SVM_WORDS: Final = Names(
    "npf", "msr", "avic_unaccelerated_access", "avic_unaccelerated_access", "avic_incomplete_ipi", "hypercall",
    "interrupt", "vintr", "msr",
)  # fmt: skip


# What a summary of xentrace records calls them.
XEN_WORDS: Final = Names(
    "NPF", "MSR_WRITE", "APIC_WRITE", "EOI_INDUCED", "APIC_WRITE", "VMMCALL", "INTR", "INTR_WINDOW",
    "MSR_READ",
)  # fmt: skip


def words_of(vendor: str) -> Names:
    """Return how a vendor's exits are called."""
    return SVM_WORDS if vendor == "svm" else VMX_WORDS


def way(reason: str) -> str:
    """Say how an exit came about: ``page``, ``msr``, ``trap``, or nothing of these."""
    return "page" if reason in PAGE else "msr" if reason in MSR else "trap" if reason in TRAP else ""


def closure(names: list[str], vendor: str) -> list[str]:
    """Add what the named mechanisms bring with them; in the order in which they act."""
    wanted = set(names)
    by_avic = (
        {"vtd-posting", "timer-posting"} if vendor == "svm" else set()
    )  # AMD's remapping unit writes what AVIC reads
    if wanted & by_avic:
        wanted.add("avic")
    for _ in MECHANISMS:
        for name in wanted - by_avic:
            wanted.update(BRINGS.get(name, ()))
    return [name for name in MECHANISMS if name in wanted]
