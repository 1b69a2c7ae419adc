"""What ``whatif`` says beside its numbers: what counts of exits do not show."""

from typing import Final

NO_MARK: Final = (
    "KVM sets PV EOI's mark only while nothing can be pending, which it does not know of where the processor delivers: "
    "pv-eoi changes nothing there (KVM lapic.c apic_sync_pv_eoi_to_guest)"
)
ALWAYS_TOGETHER: Final = "on KVM, APICv is register virtualization, virtual-interrupt delivery and posting together"


def remarks(names: set[str], vendor: str, exits: dict[str, float], kept: float) -> list[str]:
    """Say what counts of exits do not show, of mechanisms that are switched on; ``kept`` of these exits stay."""
    out = []
    if names & {"apicv", "posted", "avic", "vtd-posting"}:
        total = sum(exits.values())
        if total and kept > total * 2 / 3:
            out.append(
                "posting can be slower: most exits stay, and each entry then looks into the posted-interrupt "
                "descriptor; netperf without ioeventfd lost by it (Linux ad3610919e6f)"
            )
    if "avic" in names and vendor == "vmx":
        out.append("the exits are Intel's; avic is predicted for the same guest, the nearest of Intel's own is apicv")
    if "apicv" in names and vendor == "svm":
        out.append("the exits are AMD's; apicv is predicted for the same guest, the nearest of AMD's own is avic")
    if "halt-poll" in names:
        out.append(
            "halt polling saves no exits: a halted vCPU keeps its pCPU for a while, so that waking it is cheaper"
        )
    if "timer-posting" in names and any(exits.get(name) for name in ("HLT", "hlt")):
        out.append(
            "KVM posts a guest's timer only where HLT or MWAIT does not exit (Linux since 2022); here HLT exits, so it "
            "must be MWAIT, or nothing changes (KVM lapic.c kvm_can_post_timer_interrupt)"
        )
    if "icr-fastpath" in names:
        out.append(
            "the fast path saves no exits: an IPI arrives some 200 cycles earlier, and the host is done with it in a "
            "little more than half of the time"
        )
    return out
