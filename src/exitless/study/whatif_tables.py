"""Finds out, row by row, what a pasted table may hold: each row's classes of exits, as shares that are not exact.

A row does not say why its exits happened. What other rows count narrows it: interrupts injected, ends of interrupt,
IPIs; and where nothing does, the shares are guesses with wide ends.
"""

from typing import Final

from exitless.errors import TraceError
from exitless.study.pasted import Pasted
from exitless.study.whatif_counters import counters
from exitless.study.whatif_seen import Seen
from exitless.study.whatif_words import XEN_WORDS, Class

Shares = dict[str, tuple[float, float, float]]

C = Class
CALLBACK: Final = 0xF3
STATED_REST: Final = "(rows not listed)"
# How much of a row each class takes where nothing tells it: least, likely, most.
PLAIN: Final[dict[str, Shares]] = {
    "INTERRUPT_WINDOW": {C.WINDOW: (0.9, 1.0, 1.0), C.WINDOW_EXTERNAL: (0.0, 0.0, 0.1)},
    "TPR_BELOW_THRESHOLD": {C.TPR_BELOW: (1.0, 1.0, 1.0)},
    "EOI_INDUCED": {C.EOI_TOLD: (1.0, 1.0, 1.0)},
    "PREEMPTION_TIMER": {C.TIMER_GUEST: (1.0, 1.0, 1.0)},
    "NMI_WINDOW": {C.WINDOW_EXTERNAL: (1.0, 1.0, 1.0)},
    "avic_incomplete_ipi": {C.IPI_ASLEEP: (0.0, 1.0, 1.0), C.IPI_MANY: (0.0, 0.0, 1.0), C.IPI_ODD: (0.0, 0.0, 1.0)},
    "avic_unaccelerated_access": {
        C.TIMER_ARM: (0.0, 0.9, 1.0), C.EOI_TOLD: (0.0, 0.1, 1.0), C.APIC_WRITE: (0.0, 0.0, 1.0),
    },
    "APIC_ACCESS": {
        C.EOI: (0.0, 0.4, 1.0), C.EOI_BUSY: (0.0, 0.03, 1.0), C.EOI_LEVEL: (0.0, 0.0, 0.1), C.IPI: (0.0, 0.1, 0.5),
        C.IPI_REST: (0.0, 0.1, 0.5), C.IPI_MANY: (0.0, 0.0, 0.5),
        C.ICR_HIGH: (0.0, 0.2, 0.5), C.TIMER_ARM: (0.0, 0.15, 0.5), C.TPR: (0.0, 0.0, 0.9),
        C.APIC_READ: (0.0, 0.02, 0.5),
    },
    "APIC_WRITE": {
        C.IPI: (0.0, 0.4, 1.0), C.IPI_REST: (0.0, 0.4, 1.0), C.IPI_MANY: (0.0, 0.0, 1.0), C.TIMER_ARM: (0.0, 0.2, 1.0),
    },
    "MSR_WRITE": {
        C.EOI: (0.0, 0.4, 1.0), C.EOI_BUSY: (0.0, 0.03, 1.0), C.IPI: (0.0, 0.1, 1.0), C.IPI_REST: (0.0, 0.1, 1.0),
        C.IPI_MANY: (0.0, 0.0, 1.0), C.DEADLINE: (0.0, 0.35, 1.0), C.KEPT: (0.0, 0.02, 0.3),
    },
    "EXTERNAL_INTERRUPT": {
        C.KICK: (0.0, 0.15, 1.0), C.HOST: (0.0, 0.3, 1.0), C.TIMER_GUEST: (0.0, 0.5, 0.9),
        C.DEVICE_GUEST: (0.0, 0.05, 0.9),
    },
    "write_cr8": {C.CR8: (1.0, 1.0, 1.0)},
}  # fmt: skip
SAME: Final = {
    "vintr": "INTERRUPT_WINDOW", "msr": "MSR_WRITE", "MSR": "MSR_WRITE", "interrupt": "EXTERNAL_INTERRUPT",
}  # fmt: skip
# Where the processor ends and delivers interrupts itself, a write of an MSR sends or arms; Hyper-V's EOI exits still.
VIRTUAL_MSR: Final[Shares] = {
    C.EOI: (0.0, 0.0, 1.0), C.IPI: (0.0, 0.15, 1.0), C.IPI_REST: (0.0, 0.15, 1.0), C.IPI_MANY: (0.0, 0.0, 1.0),
    C.DEADLINE: (0.0, 0.65, 1.0), C.KEPT: (0.0, 0.05, 1.0),
}  # fmt: skip
POSTED: Final[Shares] = {
    C.HOST: (0.0, 0.4, 1.0), C.TIMER_GUEST: (0.0, 0.55, 1.0), C.DEVICE_GUEST: (0.0, 0.05, 0.9), C.KICK: (0.0, 0.0, 0.2),
}  # fmt: skip
KICKED: Final[Shares] = {
    C.KICK: (0.5, 0.97, 1.0), C.HOST: (0.0, 0.03, 0.5), C.TIMER_GUEST: (0.0, 0.0, 0.2), C.DEVICE_GUEST: (0.0, 0.0, 0.2),
}  # fmt: skip
SENT: Final[Shares] = {
    C.IPI_HYPERV: (0.0, 0.95, 1.0), C.IPI: (0.0, 0.0, 1.0), C.EOI: (0.0, 0.0, 0.3), C.EOI_BUSY: (0.0, 0.0, 0.1),
    C.DEADLINE: (0.0, 0.05, 0.4),
}  # fmt: skip
PAGED: Final[Shares] = {
    C.EOI: (0.0, 0.25, 0.6), C.EOI_BUSY: (0.0, 0.05, 0.3), C.IPI: (0.0, 0.15, 0.5), C.ICR_HIGH: (0.0, 0.15, 0.5),
    C.APIC_READ: (0.0, 0.1, 0.5), C.TIMER_ARM: (0.0, 0.1, 0.5), C.KEPT: (0.0, 0.2, 1.0),
}  # fmt: skip
SENT_BY_PAGE: Final[Shares] = {
    C.IPI: (0.3, 0.5, 1.0), C.ICR_HIGH: (0.0, 0.45, 0.5), C.EOI: (0.0, 0.0, 0.3), C.TIMER_ARM: (0.0, 0.05, 0.4),
}  # fmt: skip
XEN: Final[dict[str, Shares]] = {
    "INTR": {C.HOST: (0.3, 1.0, 1.0), C.KICK: (0.0, 0.0, 0.7), C.DEVICE_GUEST: (0.0, 0.0, 0.7)},
}
APICV_ROWS: Final = ("APIC_WRITE", "EOI_INDUCED")
AVIC_ROWS: Final = ("avic_incomplete_ipi", "avic_unaccelerated_access")
# Writes of MSRs are taken for IPIs where all other exits together are fewer than one in so many of them.
FEW_OTHERS: Final = 4
XEN_ROWS: Final = (
    "VMEXIT", "VMENTRY", "VMMCALL", "INTR_WINDOW", "HLT", "INTR", "TRAP", "CPUID", "NPF", "MSR_READ", "MSR_WRITE",
    "IO_READ", "IO_WRITE", "CR_READ", "CR_WRITE", "DR_READ", "DR_WRITE", "NMI", "SMI", "INVLPG", "MCE", "RDTSC",
    "IOPORT_READ", "IOPORT_WRITE", "IOMEM_READ", "IOMEM_WRITE", "PF_XEN", "CLTS", "LMSW", "XCR_WRITE",
)  # fmt: skip


def scaled(shares: Shares, total: float) -> Shares:
    """Turn shares into numbers of exits."""
    return {cls: (low * total, likely * total, high * total) for cls, (low, likely, high) in shares.items()}


def seen_of(table: Pasted) -> Seen:
    """Make of a pasted table what ``whatif`` reasons on. Errors: TraceError, for exits that no rule knows."""
    if table.vendor == "arm64":
        raise TraceError(
            f"{table.format}: these exits are arm64's; expected Intel's or AMD's, whose mechanisms these are"
        )
    if table.format in ("perf stat", "counts of tracepoints"):
        seen = counters(table)
    elif table.format == "xentrace summary":
        seen = records(table)
    else:
        seen = reasons(table)
    seen.format = table.format
    seen.total = table.total
    seen.notes[:0] = [*table.notes, *(f"partial result: {problem}" for problem in table.problems)]
    listed = sum(n for reason, n in seen.rows.items() if reason not in seen.no_exits)
    if seen.total is not None and seen.total > listed:
        rest = seen.total - listed
        told = sum(row.time_ns or 0.0 for row in table.exits.values())
        mean = max(0.0, table.time_ns - told) / rest if table.time_ns is not None else 0.0
        seen.put(STATED_REST, rest, {C.KEPT: (rest, rest, rest)}, mean)
        seen.why[STATED_REST] = f"the stated total, {seen.total:,}, less the rows that are listed"
    elif seen.total is not None and seen.total < listed:
        seen.notes.append(
            f"the rows add up to {listed:,.0f}, the table states {seen.total:,}: some rows count more than exits, "
            "and the total goes by what is stated"
        )
    return seen


def reasons(table: Pasted) -> Seen:
    """Take a table of exits by reason, as ``perf kvm stat`` prints it."""
    hypervisor = "xen" if table.format.startswith("xen") else "kvm"
    seen = Seen("table", hypervisor, table.vendor or "vmx")
    counts = {name: row.count for name, row in table.exits.items()}
    plain = {SAME.get(name, name): count for name, count in counts.items()}
    hints = Hints(plain, sum(table.vectors.values()) or table.records.get("irq_injections", 0), table)
    for name, count in counts.items():
        shares, why = hints.shares(SAME.get(name, name), count)
        if why:
            seen.why[name] = why
        seen.put(name, count, shares, table.mean_ns.get(name, 0.0))
    seen.count("injected", hints.injected)
    if hints.virtual:
        names = ("avic",) if hints.by == "AVIC" else ("apicv", "posted")
        seen.on |= dict.fromkeys(names, f"the row {hints.virtual[0]}")
        for name in ("virtual", "posted_running"):
            seen.count(name, seen.sum_of((C.IPI, C.IPI_REST)))
    if seen.software_way() == "msr":
        seen.on["x2apic"] = "a row of MSR writes and none of the APIC's page"
    if hints.upcalls:
        seen.on["upcall-vector"] = f"vector 0xf3 {hints.upcalls:,} times, and as many writes of MSRs"
        seen.count("upcalls_lapic", hints.upcalls)
    return seen


class Hints:
    """What rows of a table say about one another. ``storm``: hardly anything but IPIs and the kicks that they cause."""

    def __init__(self, counts: dict[str, int], injected: int, table: Pasted) -> None:
        self.counts = counts
        self.injected = injected
        self.calls = table.calls
        self.interrupts = counts.get("EXTERNAL_INTERRUPT", 0)
        self.sent = counts.get("MSR_WRITE", 0) + counts.get("APIC_ACCESS", 0)
        halts = sum(counts.get(name, 0) for name in ("HLT", "hlt", "PREEMPTION_TIMER"))
        self.storm = self.interrupts > 0 and 0.4 * self.interrupts <= self.sent <= self.interrupts
        self.storm = self.storm and halts < self.sent / 10
        self.others = max(0, table.total - counts.get("MSR_WRITE", 0)) if table.total is not None else 0
        self.virtual = [name for name in (*APICV_ROWS, *AVIC_ROWS) if counts.get(name)]
        self.by = "AVIC" if self.virtual and self.virtual[0] in AVIC_ROWS else "APICv"
        self.expired = counts.get("PREEMPTION_TIMER", 0)
        self.paged = sum(counts.get(name, 0) for name in ("APIC_ACCESS", "APIC_WRITE"))
        self.told_of_timers = (
            f"the guest's timer is the preemption timer, which expired {self.expired:,} times, and so none of the "
            "host's (KVM lapic.c start_hv_timer)" if self.expired else "the rest is not told"
        )  # fmt: skip
        callback = table.vectors.get(CALLBACK, 0)
        self.upcalls = callback if callback <= counts.get("MSR_WRITE", 0) + 1 else 0

    def shares(self, name: str, count: int) -> tuple[Shares, str]:
        """Return the classes of a row, and what they were told by; nothing where the name says it all."""
        if self.virtual and name == "EXTERNAL_INTERRUPT":
            return scaled(self.timers(POSTED), count), (
                f"exits that only {self.by} has are there, so kicks are few; {self.told_of_timers}"
            )
        if self.virtual and name == "MSR_WRITE":
            return self.armed(VIRTUAL_MSR, count), (
                f"exits that only {self.by} has are there, so EOIs do not exit, but for Hyper-V's own MSR"
            )
        if self.storm and name == "EXTERNAL_INTERRUPT":
            return scaled(KICKED, count), (
                f"{count:,} host interrupts against {self.sent:,} writes that can send IPIs, and hardly a halt: so "
                "many can only be kicks, two exits an IPI"
            )
        if self.storm and name in ("MSR_WRITE", "APIC_ACCESS"):
            return scaled(SENT if name == "MSR_WRITE" else SENT_BY_PAGE, count), (
                f"fewer than the {self.interrupts:,} host interrupts, so ends of interrupt are not among them: the "
                "guest ends interrupts in memory, as Windows does with Hyper-V's page, and these send, as Hyper-V's "
                "ICR does"
            )
        if name == "MSR_WRITE" and 0 < FEW_OTHERS * self.others < count:
            each = self.others
            sent = (0, (count - each) / 2, count)
            return {
                C.IPI: sent, C.IPI_REST: sent, C.EOI: (0, each / 2, each), C.DEADLINE: (0, each / 2, each),
            }, (
                f"an interrupt's EOI and its timer's next deadline need an interrupt, which costs another exit: with "
                f"{each:,} others at most {2 * each:,} are these, and what is left sends IPIs"
            )  # fmt: skip
        if name == "MSR_WRITE" and self.upcalls:
            ends = min(count, self.upcalls)
            rest = count - ends
            return {C.EOI_UPCALL: (ends, ends, ends), C.KEPT: (rest, rest, rest)}, (
                f"{self.upcalls:,} upcalls by vector 0xf3 of the local APIC, each with an EOI"
            )
        if name == "hypercall" and self.calls.get("physdev_op"):
            ends = min(count, self.calls["physdev_op"])
            return {C.PIRQ_EOI: (ends, ends, ends), C.KEPT: (count - ends, count - ends, count - ends)}, (
                f"{ends:,} calls of physdev_op"
            )
        if name == "npf" and self.counts.get("MSR_WRITE", 0) * 20 < count and "INTERRUPT_WINDOW" in self.counts:
            return scaled(PAGED, count), (
                "interrupts are injected and hardly an MSR is written: the guest reaches its APIC by its page; how "
                "often, the row does not say"
            )
        if name not in PLAIN:
            return {C.KEPT: (count, count, count)}, ""
        why = "the row does not say what for; shares as is usual, with wide ends" if len(PLAIN[name]) > 1 else ""
        if name == "EXTERNAL_INTERRUPT":
            return scaled(self.timers(PLAIN[name]), count), f"{why}; {self.told_of_timers}"
        if name == "MSR_WRITE":
            return self.armed(PLAIN[name], count), why
        return scaled(PLAIN[name], count), why

    def timers(self, shares: Shares) -> Shares:
        """Where the guest's timer is the preemption timer, the host's own timers are not the guest's."""
        if not self.expired:
            return shares
        least, likely, most = shares[C.HOST]
        return {**shares, C.TIMER_GUEST: (0.0, 0.0, shares[C.TIMER_GUEST][2]), C.HOST: (
            least, likely + shares[C.TIMER_GUEST][1], most
        )}  # fmt: skip

    def armed(self, shares: Shares, count: int) -> Shares:
        """Each expiry of the preemption timer was armed before, by a write of an MSR where no page is accessed."""
        found = scaled(shares, count)
        if self.expired and not self.paged:
            least = min(self.expired, count)
            more = max(0.0, least - found[C.DEADLINE][1])
            rest = count - found[C.DEADLINE][1]
            found = {
                cls: (low, likely * (1 - more / rest) if rest else likely, min(high, count - least))
                for cls, (low, likely, high) in found.items()
            }
            found[C.DEADLINE] = (least, max(least, shares[C.DEADLINE][1] * count), count)
        return found


def records(table: Pasted) -> Seen:
    """Take a count of xentrace records: a row a handler, and some that are no exits."""
    seen = Seen("table", "xen", "vmx")
    seen.words = XEN_WORDS
    counts = table.counts
    injected = counts.get("INJ_VIRQ", 0)
    upcalls = injected > 0 and counts.get("VMMCALL", 0) >= injected
    for name, count in counts.items():
        if name in ("VMEXIT", "VMENTRY"):
            continue
        shares: Shares = scaled(XEN.get(name, {C.KEPT: (1.0, 1.0, 1.0)}), count)
        if name in ("INTR_WINDOW", "INJ_VIRQ"):
            cls = C.WINDOW_UPCALL if upcalls else C.WINDOW
            shares = {cls: (count, count, count)}
            seen.why[name] = (
                "at least as many hypercalls as injections: a guest with Xen's event channels, whose callback needs a "
                "window each time" if upcalls else "few hypercalls, so the injections are the local APIC's"
            )  # fmt: skip
        elif name == "VMMCALL" and upcalls:
            shares = {C.PIRQ_EOI: (0.0, injected, injected), C.KEPT: (count - injected, count - injected, count)}
            seen.why[name] = (
                f"{injected:,} injections, and one hypercall each to end a PIRQ, if all came from PIRQs "
                "(Xen physdev.c irq_status_query)"
            )
        elif name == "INTR":
            seen.why[name] = "the row does not tell kicks from the interrupts of devices and timers"
        seen.put(name, count, shares, 0.0)
        if name not in XEN_ROWS:
            seen.no_exits.add(name)
    seen.count("injected", injected)
    if upcalls:
        seen.count("upcalls", injected)
    return seen
