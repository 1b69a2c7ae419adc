"""The rules of ``whatif``: what a mechanism makes of a class of exits, and which exits it adds.

``keep`` is how many exits there are afterwards for each one before: least, likely, most. ``to`` names the exit that
they become, as an attribute of :class:`~exitless.study.whatif_words.Names`; empty, they keep their name. ``way`` is how
the exit came about (``page``, ``msr``, ``trap``), empty for any. ``sure`` is ``certain`` where the manual leaves no
choice, ``usual`` where known hypervisors do it so, ``guess`` where the file cannot tell. The first rule of a mechanism
that fits an exit decides it; an exit that none fits stays.
"""

from typing import Final, NamedTuple

from exitless.study.whatif_words import EOIS, IPIS, Class

Share = tuple[float, float, float]

NONE: Final[Share] = (0.0, 0.0, 0.0)
ALL: Final[Share] = (1.0, 1.0, 1.0)
FEW: Final[Share] = (0.0, 0.0, 0.1)
ANY: Final[Share] = (0.0, 0.5, 1.0)
TWICE: Final[Share] = (2.0, 2.0, 3.0)

CERTAIN: Final = "certain"
USUAL: Final = "usual"
GUESS: Final = "guess"


class Rule(NamedTuple):
    """What becomes of the exits of some classes."""

    mechanism: str
    on: bool
    classes: tuple[str, ...]
    way: str
    keep: Share
    to: str
    sure: str
    cites: str
    says: str


class Addition(NamedTuple):
    """Exits that come in: ``keep`` for each of what the file counts under ``counter``. ``like``: whose time they take."""

    mechanism: str
    on: bool
    counter: str
    keep: Share
    to: str
    like: tuple[str, ...]
    sure: str
    cites: str
    says: str


C = Class
WINDOWS: Final = (C.WINDOW, C.WINDOW_UPCALL)
POINT_TO_POINT: Final = (C.IPI, C.IPI_REST, C.IPI_ASLEEP)
WRITES: Final = (C.APIC_WRITE, C.TIMER_ARM)

RULES: Final = (
    # x2APIC: one MSR where there were several accesses to a page
    Rule("x2apic", True, (C.ICR_HIGH, C.ICR_READ), "page", NONE, "", CERTAIN, "SDM apic.x2apic", "one write of the 64-bit ICR sends, without its upper half apart and without a delivery status to read"),
    Rule("x2apic", True, (*EOIS, *IPIS, *WRITES, C.TPR), "page", ALL, "write", CERTAIN, "SDM apic.x2apic", "the same access, by WRMSR"),
    Rule("x2apic", True, (C.APIC_READ, C.TIMER_READ), "page", ALL, "read", USUAL, "SDM apic.x2apic", "the same access, by RDMSR"),
    Rule("x2apic", True, (*IPIS, *WRITES), "trap", ALL, "write", USUAL, "SDM apicv.x2apic-msrs", "the same write, by WRMSR, which exits before it is done"),
    Rule("x2apic", False, IPIS, "msr", TWICE, "page", USUAL, "SDM apic.registers", "two writes, of ICR's upper and lower half, and with some guests a read of the delivery status"),
    Rule("x2apic", False, (*EOIS, *WRITES, C.TPR, C.APIC_READ, C.TIMER_READ), "msr", ALL, "page", CERTAIN, "SDM apic.registers", "the same access, to the page"),
    # PV EOI
    Rule("pv-eoi", True, (C.EOI,), "", FEW, "", USUAL, "KVM lapic.c apic_sync_pv_eoi_to_guest", "nothing else waits and nothing is level-triggered, so the guest clears a bit in memory"),
    Rule("pv-eoi", True, (C.EOI_BUSY, C.EOI_LEVEL), "", ALL, "", CERTAIN, "KVM lapic.c apic_sync_pv_eoi_to_guest", "another vector waits, an exit after the injection has taken the mark back, or the I/O APIC must hear of it"),
    # PV IPIs
    Rule("pv-ipi", True, (C.IPI_REST,), "", FEW, "", USUAL, "Linux kvm.c kvm_send_ipi_mask", "one hypercall for up to 128 destinations stands for the whole run of writes"),
    Rule("pv-ipi", True, (C.IPI_MANY,), "", ALL, "call", USUAL, "Linux kvm.c kvm_send_ipi_mask", "one hypercall in place of one write of ICR"),
    Rule("pv-ipi", False, (C.MANY_CALL,), "", (1.0, 2.0, 128.0), "write", GUESS, "Linux kvm.c kvm_send_ipi_mask", "a write of ICR for each destination, or for each cluster; the file does not say how many"),
    # The upcall as a vector of the vCPU's own
    Rule("upcall-vector", True, (C.WINDOW_UPCALL,), "", (0.0, 0.0, 0.25), "", USUAL, "Xen hvm.c hvmop_set_evtchn_upcall_vector", "the vector is in IRR and ISR, so Xen does not find it pending again right after it has injected it; a window only where the guest has interrupts off"),
    # APICv
    Rule("apicv", True, (C.WINDOW,), "", NONE, "", CERTAIN, "SDM apicv.delivery", "the processor delivers by itself when the guest can take it"),
    Rule("apicv", True, (C.WINDOW_UPCALL,), "", (0.0, 0.0, 1.0), "", USUAL, "Linux pci/xen.c xen_hvm_msi_init", "where the APIC is virtualized, Linux has its MSIs by the local APIC in place of the callback; events of other sources keep their windows"),
    Rule("apicv", True, (C.PIRQ_EOI,), "", (0.0, 0.0, 1.0), "", USUAL, "Linux pci/xen.c xen_hvm_msi_init", "where the APIC is virtualized, Linux has its MSIs by the local APIC, and no PIRQ to end"),
    Rule("apicv", True, (C.WINDOW_EXTERNAL,), "", ALL, "", USUAL, "Xen intr.c vmx_intr_assist", "an NMI and an 8259's interrupt are injected as before"),
    Rule("apicv", True, (C.IPI_HYPERV,), "msr", ALL, "trap", GUESS, "Linux kvm hyperv.c inhibit", "KVM has no APICv while the guest uses Hyper-V's SynIC; without it the guest writes ICR in its APIC's page, and the write exits after it is done"),
    Rule("apicv", True, (C.TPR_BELOW,), "", NONE, "", CERTAIN, "SDM apicv.tpr", "with virtual-interrupt delivery the threshold is not used"),
    Rule("apicv", True, (C.TPR,), "", NONE, "", CERTAIN, "SDM apicv.tpr", "TPR is virtualized"),
    Rule("apicv", True, (C.CR8,), "", NONE, "", CERTAIN, "SDM apicv.cr8", "CR8 is the virtual TPR"),
    Rule("apicv", True, (C.EOI, C.EOI_BUSY, C.EOI_UPCALL), "", NONE, "", CERTAIN, "SDM apicv.eoi", "EOI is virtualized, and the EOI-exit bitmap has no bit of an edge-triggered vector"),
    Rule("apicv", True, (C.EOI_LEVEL,), "", ALL, "told", CERTAIN, "SDM apicv.eoi-exit-bitmap", "the I/O APIC must hear of it, so its bit is set"),
    Rule("apicv", True, (C.IPI_SELF,), "page", NONE, "", CERTAIN, "SDM apicv.self-ipi", "a self-IPI is virtualized"),
    Rule("apicv", True, (C.ICR_HIGH,), "page", NONE, "", CERTAIN, "SDM apicv.write-emulation", "a write of ICR's upper half is stored and nothing else"),
    Rule("apicv", True, (*IPIS, *WRITES), "page", ALL, "trap", CERTAIN, "SDM apicv.writes", "the write exits after it is done"),
    Rule("apicv", True, (C.APIC_READ, C.ICR_READ), "page", NONE, "", CERTAIN, "SDM apicv.reads", "reads come from the virtual-APIC page"),
    Rule("apicv", True, (C.APIC_READ,), "msr", NONE, "", USUAL, "SDM apicv.x2apic-msrs", "reads come from the virtual-APIC page where the MSR bitmap lets them"),
    Rule("apicv", True, (*IPIS, *WRITES, C.TIMER_READ), "msr", ALL, "", CERTAIN, "SDM apicv.x2apic-msrs", "of the APIC's MSRs, only writes of TPR, EOI and self-IPI are virtualized"),
    Rule("apicv", True, (C.DEADLINE,), "msr", ALL, "", CERTAIN, "SDM apicv.x2apic-msrs", "TSC_DEADLINE is no register of the virtual-APIC page"),
    # AVIC
    Rule("avic", True, WINDOWS, "", NONE, "", CERTAIN, "APM avic.priority", "the processor delivers by itself when the guest can take it"),
    Rule("avic", True, (C.WINDOW_EXTERNAL,), "", ALL, "", USUAL, "KVM svm/avic.c avic_vcpu_load", "an 8259's interrupt needs a window, and KVM inhibits AVIC meanwhile"),
    Rule("avic", True, (C.TPR, C.CR8, C.TPR_BELOW), "", NONE, "", USUAL, "APM avic.registers", "TPR is accelerated"),
    Rule("avic", True, (C.EOI, C.EOI_BUSY, C.EOI_UPCALL), "", NONE, "", CERTAIN, "APM avic.registers", "EOI of an edge-triggered interrupt is accelerated"),
    Rule("avic", True, (C.EOI_LEVEL,), "", ALL, "told", CERTAIN, "APM avic.registers", "EOI of a level-triggered interrupt traps"),
    Rule("avic", True, (C.IPI, C.IPI_REST, C.IPI_SELF), "", FEW, "incomplete", CERTAIN, "APM avic.ipi", "the processor sets IRR and rings the doorbell of a vCPU that runs"),
    Rule("avic", True, (C.IPI_ASLEEP,), "", ALL, "incomplete", CERTAIN, "APM avic.ipi", "the target does not run, so the exit asks the host to wake it"),
    Rule("avic", True, (C.IPI_MANY,), "", ANY, "incomplete", GUESS, "APM avic.ipi", "no exit if all targets run; the file does not say"),
    Rule("avic", True, (C.IPI_ODD,), "", ALL, "incomplete", CERTAIN, "APM avic.ipi", "only fixed edge-triggered IPIs are accelerated"),
    Rule("avic", True, (C.ICR_HIGH, C.APIC_READ, C.ICR_READ), "", NONE, "", CERTAIN, "APM avic.registers", "the access is allowed"),
    Rule("avic", True, (*WRITES, C.TIMER_READ), "", ALL, "trap", CERTAIN, "APM avic.registers", "the access traps or faults"),
    Rule("avic", True, (C.DEADLINE,), "msr", ALL, "", USUAL, "APM avic.registers", "TSC_DEADLINE is no register of the backing page"),
    Rule("avic", True, (C.HOST_UNTOLD,), "", (0.2, 0.8, 1.0), "", GUESS, "APM avic.doorbell", "those that were kicks go; which, the recording does not tell"),
    Rule("avic", True, (C.KICK,), "", FEW, "", USUAL, "APM avic.doorbell", "a doorbell in place of an IPI of the host"),
    # Posting
    Rule("posted", True, (C.HOST_UNTOLD,), "", (0.2, 0.8, 1.0), "", GUESS, "SDM posted.processing", "those that were kicks go; which, the recording does not tell"),
    Rule("posted", True, (C.KICK,), "", FEW, "", USUAL, "SDM posted.processing", "the notification is taken in the guest; a kick stays where it finds the vCPU outside"),
    Rule("ipi-virtualization", True, POINT_TO_POINT, "", FEW, "", CERTAIN, "SDM apicv.ipi-virtualization", "the processor posts to the target itself"),
    Rule("ipi-virtualization", True, (C.IPI_MANY, C.IPI_ODD, C.IPI_SELF), "", ALL, "trap", CERTAIN, "SDM apicv.ipi-virtualization", "shorthands, logical destinations and other delivery modes exit after the write"),
    Rule("vtd-posting", True, (C.DEVICE_GUEST,), "", FEW, "", USUAL, "VT-d posted.operation", "the remapping unit posts and notifies the guest; a halted vCPU still costs the host a wake-up"),
    Rule("timer-posting", True, (C.TIMER_GUEST,), "", (0.0, 0.0, 0.2), "", USUAL, "Linux kvm 0c5f81dad46c", "the timer expires on a housekeeping pCPU, and its vector is posted"),
    # No exits fewer
    Rule("icr-fastpath", True, POINT_TO_POINT, "msr", ALL, "", CERTAIN, "Linux kvm fast path, measured", "the exit stays, and the host is done with it in a little more than half of the time"),
    Rule("halt-poll", True, (C.KEPT,), "", ALL, "", CERTAIN, "KVM kvm_main.c kvm_vcpu_block", "HLT exits as before; the vCPU gives its pCPU away less often"),
    # Back to software
    Rule("upcall-vector", False, (C.EOI_UPCALL,), "", NONE, "", CERTAIN, "Xen hvm.c hvmop_set_evtchn_upcall_vector", "the callback is outside the local APIC, and has no EOI"),
    Rule("apicv", False, (C.EOI_TOLD,), "", ALL, "software", CERTAIN, "SDM apicv.eoi-exit-bitmap", "the EOI exits as any other"),
    Rule("apicv", False, IPIS, "trap", (1.0, 2.0, 3.0), "page", USUAL, "SDM apicv.accesses", "the write of ICR's upper half exits as well"),
    Rule("apicv", False, (*WRITES, *EOIS), "trap", ALL, "page", CERTAIN, "SDM apicv.accesses", "the access to the page exits before it is done"),
    Rule("avic", False, (C.EOI_TOLD,), "", ALL, "software", CERTAIN, "APM avic.registers", "the EOI exits as any other"),
    Rule("avic", False, IPIS, "trap", (1.0, 2.0, 3.0), "page", USUAL, "APM avic.registers", "the write of ICR's upper half exits as well"),
    Rule("avic", False, (*WRITES, *EOIS), "trap", ALL, "page", CERTAIN, "APM avic.registers", "the access to the page faults"),
)  # fmt: skip

ADDITIONS: Final = (
    Addition("upcall-vector", True, "upcalls", ALL, "software", EOIS, USUAL, "Xen hvm.c hvmop_set_evtchn_upcall_vector", "each upcall is a vector of the local APIC, and ends with an EOI"),
    Addition("upcall-vector", False, "upcalls_lapic", (0.0, 1.0, 1.3), "window", WINDOWS, USUAL, "Xen intr.c vmx_intr_assist", "after an injection Xen asks again, the callback is still pending, and a window is armed"),
    Addition("apicv", False, "virtual", ALL, "software", EOIS, CERTAIN, "SDM apicv.eoi", "each interrupt that the processor delivered ends with an EOI that exits"),
    Addition("apicv", False, "posted_running", (0.5, 1.0, 1.0), "kick", (C.KICK, C.HOST), USUAL, "KVM vmx/common.h __vmx_deliver_posted_interrupt", "what was posted to a running vCPU is a kick"),
    Addition("apicv", False, "virtual", (0.0, 0.1, 1.0), "window", WINDOWS, GUESS, "SDM apicv.delivery", "an interrupt that meets a guest with interrupts off waits for a window; how often, the file does not say"),
    Addition("avic", False, "virtual", ALL, "software", EOIS, CERTAIN, "APM avic.registers", "each interrupt that the processor delivered ends with an EOI that exits"),
    Addition("avic", False, "posted_running", (0.5, 1.0, 1.0), "kick", (C.KICK, C.HOST), USUAL, "APM avic.doorbell", "a doorbell is a kick"),
    Addition("avic", False, "virtual", (0.0, 0.1, 1.0), "window", WINDOWS, GUESS, "APM avic.priority", "an interrupt that meets a guest with interrupts off waits for a window; how often, the file does not say"),
    Addition("posted", False, "posted_running", (0.5, 1.0, 1.0), "kick", (C.KICK, C.HOST), USUAL, "SDM posted.processing", "what was posted to a running vCPU is a kick"),
    Addition("pv-eoi", False, "spared", ALL, "software", EOIS, CERTAIN, "KVM lapic.c apic_sync_pv_eoi_to_guest", "each EOI that was left in memory is written"),
)  # fmt: skip
