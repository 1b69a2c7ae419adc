"""What ``exitless run`` prints beyond the mail's tables: disks, IPIs, crowds, moves, windows, held interrupts."""

from typing import Any

from rich.console import Console

from exitless.cli.output import per_cent
from exitless.cli.tables import REASON_SHORT, new_table, three
from exitless.sim.state import Role
from exitless.study.summary import Latency, Summary

# What the two schedulers do for a vCPU that wakes, and how long a turn is.
WOKEN = {
    "credit": "woken with BOOST, unless it has used up its credit.",
    "credit2": "woken; it goes first if it has more credit left, and there is no BOOST.",
}
SLICES = {
    "credit": "Time slice {}: no turn is longer while somebody of equal priority waits.",
    "credit2": "A turn lasts until its credit is the next waiter's, 10 ms at most.",
}


def us(ns: float) -> str:
    """Print a time in µs."""
    return f"{ns / 1000:.2f}" if ns < 100_000 else f"{ns / 1000:.0f}"


def of_role(result: Any, role: int) -> list[str]:
    """Name the sources of a role."""
    built = result.built
    return [built.header.sources[int(s.number)] for s in built.machine.sources if s.role == role]


def print_more(out: Console, results: list[Any]) -> None:
    """Print every table that the scenario has something for."""
    if results[0].summary.extras is None:
        return
    machine = results[0].built.machine
    if len(machine.nics) > 1:
        print_nics(out, results)
    if of_role(results[0], Role.FRONT):
        print_disks(out, results)
    if of_role(results[0], Role.IPI):
        print_ipis(out, results)
    if machine.slow_irqs:
        print_holds(out, results)
    if results[0].built.scenario.move or results[0].built.scenario.offline:
        print_moves(out, results)
    if sum(not v.domain.serves for v in machine.vcpus) > len(machine.pcpus):
        print_states(out, results, results[0].summary.first_source)
        busy = [s for s in machine.sources if machine.vcpus[s.vcpu].busy]
        if busy:
            print_states(out, results, results[0].built.header.sources[int(busy[-1].number)])
        print_turns(out, results)
    if results[0].built.scenario.watch or any(r.summary.extras.windows_holding.count for r in results):
        print_windows(out, results)


def print_nics(out: Console, results: list[Any]) -> None:
    """Print one row for each mechanism and queue of a NIC: whose it is, its vectors, interrupts, exits, latency."""
    t = new_table()
    t.add_column("queues of NICs,\nby mechanism", no_wrap=True)
    t.add_column("vCPU", no_wrap=True)
    t.add_column("host\nvector", justify="right")
    t.add_column("handled", justify="right")
    t.add_column("merged", justify="right")
    t.add_column("exits\neach", justify="right")
    t.add_column("latency, µs\np50 / p99 / max", justify="right", no_wrap=True)
    for r in results:
        t.add_row(f"[bold]{r.summary.mechanism}[/]")
        h = r.built.header
        for queue in r.built.machine.nic_queues:
            name = h.sources[int(queue.source)]
            s = r.summary.sources[name]
            vector = h.source_host_vector[int(queue.source)]
            host = f"0x{vector:02x}" if vector >= 0 else "posted"
            exits = sum(r.summary.by_source[name].values()) / (s.delivered or 1)
            t.add_row(f"  {name}", h.vcpus[h.source_vcpu[int(queue.source)]], host, f"{s.delivered:,}",
                      f"{s.coalesced:,}", f"{exits:.2f}", three(s.latency))  # fmt: skip
    out.print(t)
    out.print()


def print_disks(out: Console, results: list[Any]) -> None:
    """Print one row for each mechanism and ring: port, priority, events, latency."""
    t = new_table()
    t.add_column("events of paravirtual\ndisks, by mechanism", no_wrap=True)
    t.add_column("port", justify="right")
    t.add_column("prio-\nrity", justify="right")
    t.add_column("handled", justify="right")
    t.add_column("merged", justify="right")
    t.add_column("latency, µs\np50 / p99 / max", justify="right", no_wrap=True)
    for r in results:
        t.add_row(f"[bold]{r.summary.mechanism}[/]")
        for name in of_role(r, Role.FRONT):
            s = r.summary.sources[name]
            source = r.built.machine.sources[r.built.header.sources.index(name)]
            domain = r.built.machine.vcpus[source.vcpu].domain
            priority = str(int(domain.words.priority[source.port])) if domain.fifo else "–"
            t.add_row(f"  {name}", str(int(source.port)), priority, f"{s.delivered:,}", f"{s.coalesced:,}",
                      three(s.latency))  # fmt: skip
    out.print(t)
    out.print("Latency: from the backend's EVTCHNOP_send to the handler of that port in the guest.", style="dim")
    out.print()


def print_ipis(out: Console, results: list[Any]) -> None:
    """Print what one interprocessor interrupt costs in exits, at the sender and at the target together."""
    counts = [sum(r.summary.sources[name].asserted for name in of_role(r, Role.IPI)) or 1 for r in results]
    seen = [(k, n / sent) for r, sent in zip(results, counts, strict=True) for k, n in r.summary.exits.items()]
    reasons = list(dict.fromkeys(k for k, share in seen if share > 0.02))
    t = new_table()
    t.add_column("all exits per IPI", no_wrap=True)
    t.add_column("sent", justify="right", no_wrap=True)
    t.add_column("merged", justify="right", no_wrap=True)
    t.add_column("exits", justify="right", no_wrap=True)
    for reason in reasons:
        t.add_column(REASON_SHORT.get(reason, reason.lower()).replace("-", "-\n"), justify="right", no_wrap=True)
    for r, sent in zip(results, counts, strict=True):
        merged = sum(r.summary.sources[name].coalesced for name in of_role(r, Role.IPI))
        cells = [f"{r.summary.exits[k] / sent:.2f}" if k in r.summary.exits else "–" for k in reasons]
        total = sum(r.summary.exits.values()) / sent
        t.add_row(r.summary.mechanism, f"{sent:,}", per_cent(merged / sent), f"{total:.2f}", *cells)
    out.print(t)
    out.print(
        "vmcall, apic-access and apic-write are the sender's (the xAPIC's ICR is two writes); ext-int, a kick, and "
        "window are the target's. Ticks are in the total.",
        style="dim",
    )
    out.print()


def lengths(x: Latency) -> list[str]:
    """Print a number of lengths, with their median and the longest in µs."""
    return [f"{x.count:,}", us(x.p50), us(x.max)] if x.count else ["0", "–", "–"]


def print_holds(out: Console, results: list[Any]) -> None:
    """Print how long interrupts of type EOI stayed in service, who ended them, and who waited behind them."""
    machine = results[0].built.machine
    held = machine.irqs[machine.slow_irqs[0]]
    behind = [i for i in machine.irqs if i.pcpu == held.pcpu and i is not held and i.vector >> 4 <= held.vector >> 4]
    vector = int(behind[0].vector) if behind else -1
    t = new_table()
    t.add_column(f"0x{int(held.vector):02x} held in service\nfor the guest's EOI", no_wrap=True)
    t.add_column("held", justify="right")
    t.add_column("p50, µs", justify="right")
    t.add_column("longest", justify="right")
    t.add_column("ended by\nXen's timer", justify="right")
    if vector >= 0:
        t.add_column(f"0x{vector:02x} waited,\nlongest, µs", justify="right")
    for r in results:
        x = r.summary.extras
        share = f"{x.forced:,} ({per_cent(x.forced / x.holds.count)})" if x.holds.count else "0"
        wait = [us(r.summary.held_ps.get(vector, 0) / 1000)] if vector >= 0 else []
        t.add_row(r.summary.mechanism, *lengths(x.holds), share, *wait)
    out.print(t)
    out.print(
        "'held': from do_IRQ to the EOI that the local APIC gets at last. Vectors of class F, Xen's own, are not held "
        "back.",
        style="dim",
    )
    out.print()


def print_moves(out: Console, results: list[Any]) -> None:
    """Print what a move of a vCPU rewrites, and what still went to its old pCPU."""
    t = new_table()
    t.add_column("what moves rewrite", no_wrap=True)
    t.add_column("moves", justify="right")
    t.add_column("remapping\nentries", justify="right")
    t.add_column("posted\ndescriptors", justify="right")
    t.add_column("taken where\nit was", justify="right")
    t.add_column("old vector\nkept, µs", justify="right")
    t.add_column("lost", justify="right")
    for r in results:
        x: Any = r.summary.extras
        lost = sum(s.lost for s in r.summary.sources.values())
        kept = f"{x.kept.p50 / 1000:.0f}" if x.kept.count else "–"
        t.add_row(r.summary.mechanism, str(x.moves), str(x.routes), str(x.descriptors), str(x.strays), kept, str(lost))
    out.print(t)
    out.print(
        "A remapping entry gets its new pCPU and vector when its interrupt next occurs, still on the old pCPU, whose "
        "vector is kept (median) until one has come in on the new one. RVI and SVI are in the VMCS, "
        "VIRR and VISR in the virtual-APIC page: both go with the vCPU, and no code here writes them for a move.",
        style="dim",
    )
    out.print()


def print_states(out: Console, results: list[Any], name: str) -> None:
    """Print the latency of a source by the runstate of its vCPU at the assertion."""
    t = new_table()
    t.add_column(f"{name}: number,\nlatency p50 / max in µs", no_wrap=True)
    for state in ("running", "runnable", "blocked"):
        t.add_column(f"vCPU\n{state}", justify="right", no_wrap=True)
    for r in results:
        cells: list[str] = []
        for state in ("running", "runnable", "blocked"):
            x = r.summary.sources[name].by_state[state]
            cells.append(f"{x.count}: {us(x.p50)} / {us(x.max)}" if x.count else "–")
        t.add_row(r.summary.mechanism, *cells)
    scheduler = results[0].built.scenario.host.scheduler
    out.print(t)
    out.print(
        "'runnable': preempted or not yet chosen; it waits for its turn whatever the mechanism. 'blocked': "
        + WOKEN[scheduler],
        style="dim",
    )
    out.print()


def print_schedulers(out: Console, rows: list[tuple[str, Any]], name: str) -> None:
    """Print the latency of one source under each scheduler: the same load, mechanism and seed."""
    t = new_table()
    t.add_column(f"{name}, by scheduler\n(p50 / p99 / max, µs)", no_wrap=True)
    t.add_column("vCPU\nrunnable", justify="right", no_wrap=True)
    t.add_column("vCPU\nblocked", justify="right", no_wrap=True)
    t.add_column("busy guests wait,\nms p50 / max", justify="right", no_wrap=True)
    for scheduler, result in rows:
        s: Summary = result.summary
        cells: list[str] = []
        for state in ("runnable", "blocked"):
            x = s.sources[name].by_state[state]
            cells.append(f"{us(x.p50)} / {us(x.p99)} / {us(x.max)}" if x.count else "–")
        m = result.built.machine
        busy = [result.built.header.sources[int(v.timer_source)] for v in m.vcpus if v.busy]
        late = [s.sources[b].by_state["runnable"] for b in busy if s.sources[b].by_state["runnable"].count]
        cells.append(f"{max(x.p50 for x in late) / 1e6:.1f} / {max(x.max for x in late) / 1e6:.1f}" if late else "–")
        t.add_row(scheduler, *cells)
    out.print(t)
    out.print(
        "credit boosts who wakes and lets the others wait for slices of 30 ms; credit2 has no BOOST and turns as short "
        "as the rate limit. One who wakes inside another's rate limit waits for its end (credit), or, as nobody is "
        "told, for the end of a slice (credit2). The last column: ticks that found their vCPU waiting.",
        style="dim",
    )
    out.print()


def print_turns(out: Console, results: list[Any]) -> None:
    """Print how turns on pCPUs ended, and how long those were that others ended."""
    t = new_table()
    t.add_column("turns on pCPUs, ms:\nshortest, p50, longest", no_wrap=True)
    t.add_column("ended by\nblocking", justify="right", no_wrap=True)
    t.add_column("ended for a\nwoken vCPU", justify="right", no_wrap=True)
    t.add_column("ended for one\nthat waited", justify="right", no_wrap=True)
    for r in results:
        x: Any = r.summary.extras
        cells = [str(x.turns_blocked)]
        for turn in (x.turns_by_waker, x.turns_by_waiter):
            three_ms = " ".join(f"{ns / 1e6:.1f}" for ns in (turn.min, turn.p50, turn.max))
            cells.append(f"{turn.count}: {three_ms}" if turn.count else "–")
        t.add_row(r.summary.mechanism, *cells)
    host = results[0].built.scenario.host
    out.print(t)
    out.print(
        f"Scheduler {host.scheduler}. Rate limit {host.ratelimit}: no turn ends earlier for another. "
        + SLICES[host.scheduler].format(host.timeslice),
        style="dim",
    )
    out.print()


def print_windows(out: Console, results: list[Any]) -> None:
    """Print for how long interrupt windows were armed, and for how long they kept a recognized vector back."""
    t = new_table()
    t.add_column("interrupt windows, µs", no_wrap=True)
    t.add_column("armed", justify="right", no_wrap=True)
    t.add_column("open\np50", justify="right", no_wrap=True)
    t.add_column("\nlongest", justify="right", no_wrap=True)
    t.add_column("held RVI\nback", justify="right", no_wrap=True)
    t.add_column("for\np50", justify="right", no_wrap=True)
    t.add_column("\nlongest", justify="right", no_wrap=True)
    for r in results:
        s: Summary = r.summary
        x: Any = s.extras
        armed = f"{sum(s.windows.values()):,}"
        t.add_row(s.mechanism, armed, *lengths(x.windows)[1:], *lengths(x.windows_holding))
    out.print(t)
    out.print(
        "A window is armed after each injection of the global callback and exits at the handler's IRET; until then the "
        "processor recognizes no virtual interrupt, whatever its class.",
        style="dim",
    )
    out.print()
