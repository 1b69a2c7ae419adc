"""Why a recording is as it is: causes of exits, wake-ups, waits, halts, rates over time, and what it cannot tell."""

from typing import Any, Final

from exitless.record.columns import Columns
from exitless.study.causes import Cause, Caused, Causes
from exitless.study.over_time import NAMES, OverTime
from exitless.study.times import Times
from exitless.study.trace_report import Facts
from exitless.study.waking import Waker, Waking, Woken

# Vectors of Linux's own on a host, which are the same on all of them.
LINUX_HOST: Final = {
    0xEC: "local timer", 0xFD: "reschedule", 0xFC: "call function", 0xFB: "call function single", 0xF6: "irq work",
    0xF2: "posted interrupt", 0xF1: "posted wake-up", 0xF0: "nested posted interrupt", 0xF7: "platform IPI",
    0xFA: "local timer", 0xF9: "thermal", 0xFE: "error", 0xFF: "spurious",
}  # fmt: skip
XEN_HOST: Final = {0xFA: "local timer", 0xFC: "event check", 0xFB: "call function", 0xFD: "TLB flush"}


class Why:
    """What is followed of a recording beside its totals."""

    def __init__(self) -> None:
        self.causes = Causes()
        self.waking = Waking()
        self.over = OverTime()

    def block(self, columns: Columns) -> None:
        """Follow a block of rows, in the order of time."""
        for sink in (self.causes, self.waking, self.over):
            columns.give(sink)

    def as_json(self, facts: Facts, report: dict[str, Any]) -> dict[str, Any]:
        """Make the fields that ``read`` has beside its report; ``report`` is that report."""
        self.causes.finish()
        return {
            "causes": causes(self.causes, facts), "wakers": wakers(self.waking, facts),
            "waits": waits(self.waking, facts), "over_time": over_time(self.over),
            "untold": untold(self, facts, report),
        }  # fmt: skip


def is_xen(facts: Facts) -> bool:
    """Tell whether Xen's tracer wrote it."""
    return facts.format.startswith("xentrace")


def vcpu_name(facts: Facts, place: int) -> str:
    """Name a vCPU by its place."""
    return f"{facts.vcpus[place][0]}v{facts.vcpus[place][1]}" if 0 <= place < len(facts.vcpus) else "unknown vCPU"


def host_name(facts: Facts, vector: int) -> str:
    """Name a host's vector."""
    name = (XEN_HOST if is_xen(facts) else LINUX_HOST).get(vector, "")
    return f"host vector 0x{vector:02x}" + (f" ({name})" if name else "")


def cause_name(found: Caused, facts: Facts, told: bool) -> str:
    """Name a cause; ``told``: the recording shows messages to guests, so one that had none came from its own APIC."""
    number = int(found.number)
    names = {
        Cause.GUEST: "the guest's own instruction", Cause.HOST: "host interrupt, not told which",
        Cause.HOST_VECTOR: host_name(facts, int(found.vector)), Cause.HOST_IRQ: f"host irq {number}",
        Cause.LOCAL: "own local APIC" if told else "sender not told", Cause.IPI: f"IPI from {vcpu_name(facts, number)}",
        Cause.MSI: "MSI", Cause.IOAPIC: f"I/O APIC pin {number}", Cause.VECTOR: "sender not told",
        Cause.AGAIN: "window asked for once more" if found.vector >= 0 else "window, nothing injected",
    }  # fmt: skip
    return names[int(found.cause)]


def causes(seen: Causes, facts: Facts) -> list[dict[str, Any]]:
    """Return every cause with the exits it made, most first; ``interrupts`` is None where none are counted for it."""
    out = []
    by_guest = (Cause.LOCAL, Cause.IPI, Cause.MSI, Cause.IOAPIC, Cause.VECTOR)
    for found in sorted(seen.found.values(), key=lambda f: (-f.exits, f.cause, f.number, f.vector)):
        reasons: dict[str, int] = {}
        for code, count in sorted(found.codes.counted().items(), key=lambda item: -item[1]):
            name = facts.exit_name(code)
            reasons[name] = reasons.get(name, 0) + count
        counted = found.cause in by_guest and found.cause != Cause.VECTOR and seen.accepts
        out.append({
            "cause": cause_name(found, facts, bool(seen.messages)),
            "vector": f"0x{int(found.vector):02x}" if found.vector >= 0 and found.cause != Cause.HOST_VECTOR else None,
            "interrupts": int(found.interrupts) if counted else None, "exits": int(found.exits),
            "kicks": int(found.kicks), "time_ns": int(found.spent) // 1000, "by_reason": reasons,
        })  # fmt: skip
    return out


def waker_name(woken: Woken, facts: Facts) -> str:
    """Name who woke."""
    number, by_thread = int(woken.number), {tid: place for place, (_, _, tid) in enumerate(facts.vcpus) if tid > 0}
    if woken.waker == Waker.HOST_VECTOR:
        return host_name(facts, number)
    if woken.waker == Waker.HOST_IRQ:
        return f"host irq {number}"
    if woken.waker == Waker.THREAD:
        name = facts.commands.get(number, "")
        own = f"{vcpu_name(facts, by_thread[number])}'s thread" if number in by_thread else "thread"
        return f"{own} {number}" + (f" ({name})" if name and number not in by_thread else "")
    if woken.waker == Waker.VCPU:
        return vcpu_name(facts, number)
    if woken.waker == Waker.CALL:
        return f"{vcpu_name(facts, number)} by {facts.call_name(int(woken.call))}"
    return "an interrupt on an idle pCPU, or not told"


def wakers(seen: Waking, facts: Facts) -> list[dict[str, Any]]:
    """Return who woke whom, most first; ``vectors`` are those that waited for the vCPU then."""
    found = sorted(seen.found.values(), key=lambda w: (-w.count, w.waker, w.number, w.call, w.vcpu))
    return [
        {"waker": waker_name(w, facts), "vcpu": vcpu_name(facts, int(w.vcpu)), "count": int(w.count),
         "delay_ns": sample(w.delay), "vectors": {f"0x{v:02x}": n for v, n in sorted(w.vectors.items())}}
        for w in found
    ]  # fmt: skip


def sample(times: Times) -> dict[str, int]:
    """Return a sample's count, percentiles and greatest."""
    return {"count": times.count(), **times.as_json()}


def waits(seen: Waking, facts: Facts) -> list[dict[str, Any]]:
    """Return each vCPU's waits for a pCPU and its halts. ``halt_poll_ns`` is how long it polls now, None: not told."""
    out = []
    for place, cpu in seen.cpus.items():
        poll = int(cpu.poll_ns)
        out.append({
            "vcpu": vcpu_name(facts, place), "after_wake_up_ns": sample(cpu.woken),
            "after_losing_pcpu_ns": sample(cpu.lost), "halts_polled_ns": sample(cpu.polled),
            "halts_blocked_ns": sample(cpu.blocked), "polled_ns": int(cpu.polled.total) // 1000,
            "blocked_ns": int(cpu.blocked.total) // 1000, "halt_poll_ns": poll if poll >= 0 else None,
            "most_halt_poll_ns": int(cpu.most_poll_ns) if poll >= 0 else None, "poll_grown": int(cpu.grown),
            "poll_shrunk": int(cpu.shrunk),
        })  # fmt: skip
    return sorted(out, key=lambda w: (len(w["vcpu"]), w["vcpu"]))


def over_time(seen: OverTime) -> dict[str, Any]:
    """Return counts by interval; the last interval may be cut by the recording's end."""
    return {
        "interval_ns": int(seen.length) // 1000, "series": {name: seen.series(n) for n, name in enumerate(NAMES)},
    }  # fmt: skip


def untold(why: Why, facts: Facts, report: dict[str, Any]) -> list[str]:
    """Say what the recording cannot tell, and what would."""
    xen, waking, seen = is_xen(facts), why.waking, why.causes
    kinds = facts.kinds
    out = []
    if not waking.stays:
        out.append("who woke whom, and waits for a pCPU: " + (
            "no scheduler record (xentrace -e all)" if xen else "no sched_switch and no sched_waking"
        ))  # fmt: skip
    elif not xen and "sched:sched_wakeup" in kinds and "sched:sched_waking" not in kinds:
        out.append(
            "who woke whom, surely: sched_wakeup is written where the wake-up ends, sched_waking where it begins"
        )
    if report["exits"]["total"] and not report["host_vectors"] and not report["host_irqs"]:
        out.append("which host interrupt an exit was for: no irq_vectors and no irq_handler_entry" if not xen else
                   "which host interrupt an exit was for: no INTR record")  # fmt: skip
    if xen:
        out.append("who sent a guest's interrupt: Xen records no event channel's raise, no message and no acceptance")
    elif not seen.messages and seen.accepts:
        out.append("who sent a guest's interrupt: no kvm_apic_ipi, kvm_msi_set_irq or kvm_ioapic_set_irq")
    elif not seen.accepts and report["exits"]["total"]:
        out.append("who sent a guest's interrupt, and how long it waited: no kvm_apic_accept_irq")
    if seen.posts:
        out.append(
            f"when {int(seen.posts):,} interrupts that were posted came to their guest: the processor delivers them, "
            "no host tracer sees it; record in the guest as well (irq_handler_entry), with a common clock"
        )
    if not waking.halts and not xen:
        out.append("whether halts polled or blocked: no kvm_vcpu_wakeup")
    out.append(
        "from a device's assertion to the guest's handler: the first instruction of the handler has no row in a host's "
        "recording; the wait ends at the injection, and for what is delivered without one at the EOI"
    )
    return out
