"""Finds out what counters of tracepoints may hold: how many exits end interrupts, send them or are kicks.

Counters do not tell exits by reason. What others count narrows it: ends of interrupt, injections, IPIs. Which ends PV
EOI would not spare, they do not say: those that found another request, and those with another exit before them.
"""

from exitless.errors import TraceError
from exitless.study.pasted import Pasted
from exitless.study.whatif_seen import Seen
from exitless.study.whatif_words import Class

Shares = dict[str, tuple[float, float, float]]

C = Class


def counters(table: Pasted) -> Seen:
    """Take counters of tracepoints. Errors: TraceError, when none says what exits are for."""
    counts = {name.removeprefix("kvm_"): n for name, n in table.counts.items()}
    seen = Seen("table", "kvm", "svm" if any(name.startswith("avic_") for name in counts) else "vmx")
    table.vendor = seen.vendor
    at_work(seen, counts)
    total = counts.get("exit", counts.get("entry", 0))
    if not total:
        total = sum(counts.get(name, 0) for name in ("apic", "msr"))
        seen.notes.append(
            "neither kvm_exit nor kvm_entry is counted, so the total is of accesses to APIC and MSRs alone"
        )
    accesses = min(counts.get("apic", counts.get("msr", total)), total)
    ends, busy, why = ended(counts, accesses, virtual=bool({"apicv", "avic"} & set(seen.on)))
    injected = counts.get("inj_virq", 0)
    sent = min(counts.get("apic_ipi", 0), total - ends)
    kicks = min(injected * 0.5, max(0.0, total - ends - sent))
    eoi: Shares = {C.EOI: (0.0, ends - busy, ends), C.EOI_BUSY: (0.0, busy, ends)}
    ipi: Shares = {C.IPI: (0.0, sent / 2, sent), C.IPI_REST: (0.0, sent / 2, sent), C.IPI_MANY: (0.0, 0.0, sent)}
    rest = max(0.0, total - ends - sent - kicks)
    exits: Shares = {
        **eoi, **ipi, C.KICK: (0.0, kicks, min(injected, kicks + rest)), C.KEPT: (0.0, rest, rest + kicks),
    }  # fmt: skip
    for name, count in table.counts.items():
        short = name.removeprefix("kvm_")
        if short in ("exit", "entry"):
            shares = {
                cls: (a * count / total, b * count / total, c * count / total) for cls, (a, b, c) in exits.items()
            }
        elif short == "apic" or (short == "msr" and count >= ends):
            other = max(0.0, count - ends - sent)
            part = min(sent, count - ends) / sent if sent else 0.0
            shares = {
                **eoi, **{cls: (a * part, b * part, c) for cls, (a, b, c) in ipi.items()},
                C.KEPT: (0.0, other, other + sent),
            }  # fmt: skip
        elif short == "inj_virq":
            shares = {C.WINDOW: (count, count, count)}
        elif short == "eoi":
            shares = {C.EOI_BUSY: (count, count, count)}
        else:
            shares = {C.KEPT: (count, count, count)}
        seen.put(name, count, shares, 0.0)
        if short in ("exit", "entry", "apic", "msr"):
            seen.why[name] = why
        if short != "exit":
            seen.no_exits.add(name)
    if "exit" not in counts:
        seen.no_exits -= {"kvm_entry"} if "entry" in counts else {"kvm_apic", "kvm_msr"}
    seen.count("injected", injected)
    seen.count("spared", counts.get("pv_eoi", 0))
    return seen


def at_work(seen: Seen, counts: dict[str, int]) -> None:
    """Name what some counters show at work."""
    for name, mechanisms in (
        ("apicv_accept_irq", ("avic",) if seen.vendor == "svm" else ("apicv", "posted")),
        ("avic_incomplete_ipi", ("avic",)),
        ("avic_unaccelerated_access", ("avic",)),
        ("pv_eoi", ("pv-eoi",)),
    ):
        if counts.get(name):
            seen.on |= dict.fromkeys(mechanisms, f"kvm_{name} {counts[name]:,} times")


def ended(counts: dict[str, int], accesses: int, virtual: bool) -> tuple[float, float, str]:
    """Return how many ends of interrupt exit, how many of them at least found another request, and by what it is told.

    Errors: TraceError, when nothing counted tells it.
    """
    injected, spared = counts.get("inj_virq", 0), counts.get("pv_eoi", 0)
    if virtual:
        return 0.0, 0.0, "the processor ends interrupts itself"
    if "eoi" in counts:
        ends, by = max(0, counts["eoi"] - spared), "by kvm_eoi"
    elif "inj_virq" in counts:
        ends, by = max(0, injected - spared), "one for each injection, kvm_eoi is not counted"
    elif "apic" in counts:
        ends, by = accesses, "kvm_apic counts nothing else here"
    else:
        raise TraceError(
            "these counters do not say what exits are for; expected kvm_eoi, kvm_inj_virq or kvm_apic beside kvm_exit"
        )
    ends = min(ends, accesses)
    merged = max(0, counts.get("apic_accept_irq", counts.get("accept_irq", injected)) - injected)
    busy = min(merged, ends / 2)
    return ends, busy, (
        f"{ends:,} ends of interrupt that exit, {by}; {merged:,} requests found one pending (accepted less injected), "
        "which is the least number of ends that found another; how many had an exit before them is not told"
    )  # fmt: skip
