"""Times of single operations, as kvm-unit-tests' ``vmexit`` prints them: which exits an operation is made of.

A mechanism that saves an exit saves its cycles. What an exit costs comes from the same text where it has ``vmcall`` or
``cpuid``, which do nothing else; otherwise from published figures.
"""

import re
from typing import Final

from exitless.study.whatif_seen import Seen
from exitless.study.whatif_words import Class

ROW: Final = re.compile(r"([a-z][a-z0-9_]*)\s+(\d+(?:\.\d+)?)")
X2APIC: Final = re.compile(r"\bx2apic\b(?!_)", re.IGNORECASE)
PLAIN: Final = ("vmcall", "cpuid")
# cpuid and vmcall on one machine, Linux b7ffc44d5b2e.
PUBLISHED: Final = (1195.0, 1254.0, 1313.0)
FASTPATH: Final = 200.0
# An exit that does more than nothing, against one that does nothing; and the processor's own part of it.
MOST: Final = 1.35
LEAST: Final = 0.5

SENDS: Final = {Class.IPI: 1}
OWN: Final = {Class.IPI_SELF: 1, Class.EOI: 1}
OPERATIONS: Final[dict[str, dict[str, int]]] = {
    "ipi": SENDS, "ipi_halt": SENDS, "self_ipi_sti_nop": OWN, "self_ipi_sti_hlt": OWN, "self_ipi_tpr": OWN,
    "self_ipi_tpr_sti_nop": OWN, "self_ipi_tpr_sti_hlt": OWN, "x2apic_self_ipi_sti_nop": OWN,
    "x2apic_self_ipi_sti_hlt": OWN, "x2apic_self_ipi_tpr": OWN, "x2apic_self_ipi_tpr_sti_nop": OWN,
    "x2apic_self_ipi_tpr_sti_hlt": OWN, "cpuid": {}, "vmcall": {}, "mov_from_cr8": {}, "mov_to_cr8": {},
    "inl_from_pmtimer": {}, "inl_from_qemu": {}, "inl_from_kernel": {}, "outl_to_kernel": {}, "ple_round_robin": {},
    "wr_kernel_gs_base": {}, "wr_tsc_adjust_msr": {}, "rd_tsc_adjust_msr": {}, "wr_ibrs_msr": {}, "wr_ibpb_msr": {},
    "wr_tsc_deadline": {}, "immed_exit": {}, "inl_from_nop": {},
}  # fmt: skip


def operations(text: str) -> dict[str, float]:
    """Return the operations of a text and their cycles; the first of each."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        row = ROW.fullmatch(line.strip())
        if row is not None and row[1] in OPERATIONS:
            found.setdefault(row[1], float(row[2]))
    return found


def seen_of_cycles(text: str) -> Seen:
    """Make of such a text what ``whatif`` reasons on."""
    seen = Seen("table", "kvm", "vmx")
    seen.format = "kvm-unit-tests vmexit"
    seen.unit = "cycles"
    found = operations(text)
    own = [found[name] for name in PLAIN if name in found]
    low, likely, high = (min(own), sum(own) / len(own), max(own)) if own else PUBLISHED
    mine = " and ".join(name for name in PLAIN if name in found)
    source = f"this text's {mine}" if own else "vmcall and cpuid of Linux b7ffc44d5b2e"
    fast = FASTPATH if X2APIC.search(text) else 0.0
    for name, cycles in found.items():
        shares: dict[str, tuple[float, float, float]] = {}
        for cls, times in OPERATIONS[name].items():
            less = fast if cls == Class.IPI else 0.0
            least, most = LEAST * (low - less) * times, MOST * high * times
            shares[cls] = (min(least, cycles), min((likely - less) * times, cycles), min(most, cycles))
        left = cycles - sum(n for _, n, _ in shares.values())
        shares[Class.KEPT] = (0.0, max(0.0, left), cycles)
        seen.put(name, cycles, shares, 0.0)
        if OPERATIONS[name]:
            seen.why[name] = f"an exit takes {likely:,.0f} cycles ({source}" + (
                f"; {fast:g} less by KVM's fast path, Linux kvm 1e9e2622a149)" if fast else ")"
            )
    seen.notes.append(
        "numbers are cycles of one operation; what a mechanism adds to the processor's own work is not in them"
    )
    return seen
