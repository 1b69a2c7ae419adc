"""What ``exitless run`` prints for people: one comparison a table."""

from collections.abc import Callable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from exitless.bits import units
from exitless.cli.output import per_cent
from exitless.version import VERSION, compiled

REASON_SHORT = {
    "EXTERNAL_INTERRUPT": "ext-int", "INTERRUPT_WINDOW": "window", "APIC_ACCESS": "apic-access",
    "APIC_WRITE": "apic-write",
    "EOI_INDUCED": "eoi", "VMCALL": "vmcall", "MSR_WRITE": "wrmsr", "EXCEPTION_NMI": "exception", "HLT": "hlt",
}  # fmt: skip


def new_table() -> Table:
    """Make a table in the house's style."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)


def print_table(out: Console, results: list[Any], rival: str) -> None:
    """Print the comparison: one row a mechanism."""
    nic = results[0].summary.first_source
    t = new_table()
    t.add_column("mechanism", no_wrap=True)
    t.add_column(f"exits per\n{nic} int.", justify="right")
    t.add_column("guest\nran", justify="right")
    for name in (nic, rival):
        if name:
            t.add_column(f"{name} latency, µs\np50 / p99 / max", justify="right", no_wrap=True)
    for r in results:
        s = r.summary
        running = "–" if nic.endswith(".ipi") else f"{s.sources[nic].exits_when_running:.2f}"
        row = [s.mechanism, f"{s.exits_per_interrupt:.2f}", running]
        t.add_row(*row, *[three(s.sources[name].latency) for name in (nic, rival) if name])
    out.print(t)
    out.print(
        f"'guest ran': exits per {nic} interrupt for those that found the guest running; a halted guest's wake-up "
        "needs no "
        "exit. Latency: assertion to the handler's first instruction.",
        style="dim",
    )
    out.print()


def print_reasons(out: Console, results: list[Any]) -> None:
    """Print what the exits of one NIC interrupt are, by reason, and the hypercalls among them."""
    nic = results[0].summary.first_source
    reasons = list(dict.fromkeys(k for r in results for k in r.summary.by_source[nic]))
    t = new_table()
    t.add_column(f"exits of a {nic} interrupt", no_wrap=True)
    for reason in reasons:
        t.add_column(REASON_SHORT.get(reason, reason.lower()).replace("-", "-\n"), justify="right")
    t.add_column("hypercalls\nin all", justify="right")
    for r in results:
        s = r.summary
        n = s.sources[nic].delivered or 1
        cells = [f"{s.by_source[nic].get(k, 0) / n:.2f}" if s.by_source[nic].get(k) else "–" for k in reasons]
        t.add_row(s.mechanism, *cells, f"{sum(s.hypercalls.values()):,}")
    out.print(t)
    out.print()


def print_shares(out: Console, results: list[Any]) -> None:
    """Print whose code the guest's pCPU ran."""
    built = results[0].built
    guest = next((n for n, v in enumerate(built.machine.vcpus) if not v.domain.serves), 0)
    name = f"pcpu{int(built.machine.vcpus[guest].pcpu)}"
    t = new_table()
    t.add_column(f"time of {name.replace('pcpu', 'pCPU')}", no_wrap=True)
    for owner in ("guest", "Xen", "dom0", "idle"):
        t.add_column(owner, justify="right")
    frames = bool(built.machine.nics)
    if frames:
        t.add_column("frames received", justify="right")
        t.add_column("dropped", justify="right")
    for r in results:
        c = r.summary.cpu[name]
        t.add_row(
            r.summary.mechanism,
            *[per_cent(c[k]) for k in ("guest", "hypervisor", "dom0", "idle")],
            *([f"{r.summary.frames:,}", f"{r.summary.drops:,}"] if frames else []),
        )
    out.print(t)
    out.print()


def three(x: Any) -> str:
    """Print p50, p99 and max in µs."""
    return f"{x.p50 / 1000:.2f} / {x.p99 / 1000:.1f} / {x.max / 1000:.0f}"


def print_meetings(out: Console, results: list[Any], rival: str) -> None:
    """Print who went first when the two devices' vectors met in one local APIC, and when both handlers were due."""
    meetings = [r.summary.meeting for r in results]
    if not rival or meetings[0] is None:
        return
    nic = results[0].summary.first_source
    t = new_table()
    t.add_column(f"both vectors in\npCPU{meetings[0].pcpu}'s APIC", no_wrap=True)
    t.add_column("vectors", justify="right", no_wrap=True)
    t.add_column("met", justify="right")
    t.add_column(f"{nic}'s\nfirst", justify="right")
    t.add_column(f"{rival}'s\nfirst", justify="right")
    t.add_column("both\ndue", justify="right")
    t.add_column(f"{nic}'s han-\ndler first", justify="right")
    for r in results:
        m, a, b = r.summary.meeting, r.summary.sources[nic], r.summary.sources[rival]
        both = a.first + b.first
        t.add_row(
            r.summary.mechanism,
            f"0x{m.mine:02x} 0x{m.rival:02x}",
            f"{m.met:,}",
            f"{m.mine_first:,}",
            f"{m.rival_first:,}",
            f"{both:,}",
            per_cent(a.first / both) if both else "–",
        )
    out.print(t)
    out.print(
        f"'met': one vector was accepted while the other was requested or in service in the same local APIC, where the "
        f"priority class decides. 'both due': {nic} and {rival} were asserted and neither handler had begun; that is "
        "decided by the scheduler, because dom0's vCPU has to run first.",
        style="dim",
    )
    out.print()


def print_results(
    out: Console, results: list[Any], rival: str, more: Callable[[Console, list[Any]], None] = lambda out, results: None
) -> None:
    """Print everything for people; ``more`` prints what only some scenarios have."""
    header = results[0].built.header
    form = "compiled" if compiled() else "interpreted, about forty times slower (no compiled modules here)"
    out.print(f"exitless {VERSION}, {form}")
    out.print(f"[bold]{header.scenario}[/]: {header.title}", soft_wrap=False)
    out.print(
        f"{units.show_time(header.length_ps)} simulated for each mechanism, seed {header.seed}. Costs: "
        f"{results[0].built.preset.sentence()}"
    )
    out.print()
    print_table(out, results, rival)
    if not results[0].summary.first_source.endswith(".ipi"):
        print_reasons(out, results)
    if results[0].summary.extras is None:
        print_meetings(out, results, rival)
    print_shares(out, results)
    more(out, results)
    events = sum(r.summary.events for r in results)
    seconds = sum(r.seconds for r in results) or 1e-9
    out.print(
        f"{events:,} events, {sum(r.summary.rows for r in results):,} rows recorded in {seconds:.2f} s: "
        f"{events / seconds / 1e6:.2f} M events/s on this machine."
    )
