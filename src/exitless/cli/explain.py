"""``exitless explain``: one interrupt's way, step by step: what happened, which bits changed, what it cost, who says
so.
"""

import argparse
import textwrap
from typing import Any

from rich.console import Console
from rich.text import Text

from exitless.arch.xen.fifo import LINKED, PENDING, is_set
from exitless.bits.words import ON_PAGE, PACKED, bits_of
from exitless.cli.output import console, ns, progress, write_json
from exitless.cli.run import primary_source
from exitless.cli.sentences import RULES, rule_of, say
from exitless.cli.simulating import add_costs_option
from exitless.errors import ScenarioError
from exitless.mech.catalog import find
from exitless.record.block import Event, Header, Record
from exitless.scenario import Built, Scenario, check_mechanisms, load, near, prepare
from exitless.study.cites import reference
from exitless.vocab.kinds import Kind, Owner
from exitless.vocab.table import BY_KIND

SETTLED_PS = 1_000_000_000
SEARCH_PS = 100_000_000_000
# A timer's assertion is recorded behind what its softirq has charged, so the event that makes it begins earlier.
LEAD_PS = 100_000_000

QUIET = {Kind.STEP, Kind.CPU_OWNER, Kind.RUNSTATE, Kind.SCHED_TICKLE}


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser(
        "explain", help="one interrupt's journey: each step, the rule applied, what bits changed, its cost"
    )
    p.add_argument("scenario", nargs="?", default="mail", help="a name from the library (default mail) or a .toml file")
    p.add_argument("--mechanism", required=True, metavar="NAME", help="which mechanism")
    p.add_argument("--source", metavar="NAME", help="whose interrupt (default: the first NIC queue, disk or IPI)")
    p.add_argument(
        "--nth", type=int, metavar="N", help="which one (default: the first after 1 ms that finds its vCPU running)"
    )
    p.add_argument("--seed", type=int, help="seed of every random stream (default: the scenario's)")
    p.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change the scenario")
    add_costs_option(p)
    p.add_argument("--json", metavar="FILE", help="write the steps as JSON (- for standard output)")
    p.set_defaults(run=run)


class Step:
    """One row of the journey, with what changed and what was charged from then on."""

    def __init__(self, event: Event, changes: list[tuple[str, str, str]], costs: list[tuple[str, int, str]]) -> None:
        self.event = event
        self.changes = changes
        self.costs = costs


def vector_set(numbers: list[int]) -> str:
    """Print a set of vectors."""
    return "{" + " ".join(f"0x{n:02x}" for n in numbers) + "}"


def snapshot(built: Built, vcpu: int, pcpu: int) -> dict[str, str]:
    """Describe the state that an interrupt's way can change, by the manuals' names."""
    m = built.machine
    v = m.vcpus[vcpu]
    c = v.cpu
    page = c.vapic.page
    lapic = m.pcpus[pcpu].lapic
    shared = v.domain.shared
    ports = bits_of(shared.pending, 0, PACKED, 128)
    return {
        "LAPIC.IRR": vector_set(bits_of(lapic.irr, 0, PACKED, 8)),
        "LAPIC.ISR": vector_set(bits_of(lapic.isr, 0, PACKED, 8)),
        "PIR": vector_set(bits_of(c.pid.pir, 0, PACKED, 8)), "PID.ON": str(int(c.pid.on)), "PID.SN": str(int(c.pid.sn)),
        "PID.NV": f"0x{int(c.pid.nv):02x}", "PID.NDST": str(int(c.pid.ndst)),
        "VIRR": vector_set(bits_of(page, 128, ON_PAGE, 8)), "VISR": vector_set(bits_of(page, 64, ON_PAGE, 8)),
        "RVI": f"0x{int(c.vapic.rvi):02x}", "SVI": f"0x{int(c.vapic.svi):02x}", "VPPR": f"0x{int(page[40]):02x}",
        "recognized": str(int(c.vapic.recognized)), "window exiting": str(int(c.vapic.window_exiting)),
        "entry field": "none" if c.state.entry_vector < 0 else f"0x{int(c.state.entry_vector):02x}",
        "IF": str(int(c.state.interrupt_flag)),
        "evtchn pending": "{" + " ".join(map(str, ports)) + "}", "upcall_pending": str(int(c.info.upcall_pending)),
        "pending_sel": "{" + " ".join(map(str, bits_of(c.info.selector, 0, PACKED, 2))) + "}",
        "blocked": str(int(c.blocked)), "runstate": ("running", "runnable", "blocked", "offline")[int(v.runstate)],
        **(fifo_snapshot(built, vcpu) if v.domain.fifo else {}),
    }  # fmt: skip


def fifo_snapshot(built: Built, vcpu: int) -> dict[str, str]:
    """Describe the event words of a vCPU's ports, and its control block."""
    m = built.machine
    v = m.vcpus[vcpu]
    words, block = v.domain.words, v.domain.blocks[v.index]
    ports = [int(m.sources[n].port) for n in v.sources if m.sources[n].port >= 0]

    def with_flag(bit: int) -> str:
        return "{" + " ".join(str(port) for port in sorted(ports) if is_set(words, port, bit)) + "}"

    heads = [f"{priority}:{int(port)}" for priority, port in enumerate(block.head) if port]
    return {
        "PENDING": with_flag(PENDING), "LINKED": with_flag(LINKED), "HEAD": "{" + " ".join(heads) + "}",
        "READY": "{" + " ".join(str(n) for n in range(16) if int(block.ready) >> n & 1) + "}",
    }  # fmt: skip


def find_window(record: Record, source: int, nth: int | None, must_run: bool) -> tuple[int, int, int] | None:
    """Find the n-th handled interrupt of a source, or the first after 1 ms (with ``must_run``, one that finds its vCPU
    running). Returns: serial, time of assertion, time when it has ended; or None.
    """
    asserted: dict[int, int] = {}
    running = False
    counted = 0
    vcpu = record.header.source_vcpu[source]
    found: tuple[int, int] | None = None
    ran: dict[int, bool] = {}
    for e in record:
        if e.kind == Kind.CPU_OWNER and e.vcpu == vcpu:
            running = e.a in (Owner.DOM0, Owner.GUEST)
        elif e.kind == Kind.SOURCE_ASSERT and e.a == source:
            asserted[e.b], ran[e.b] = e.time_ps, running
        elif e.kind == Kind.SOURCE_HANDLE and e.a == source and e.b in asserted and found is None:
            counted += 1
            if counted == nth or (nth is None and asserted[e.b] > SETTLED_PS and (ran[e.b] or not must_run)):
                found = (e.b, asserted[e.b])
        elif found is not None and e.kind == Kind.IRQ_RETURN and e.vcpu == vcpu:
            return found[0], found[1], e.time_ps
    return None


def search(built: Built, record: Record, source: int, nth: int | None) -> tuple[int, int, int]:
    """Run until the interrupt asked for has been handled. Errors: ScenarioError when there is none."""
    for until in (SEARCH_PS // 10, SEARCH_PS):
        built.machine.run(until)
        built.machine.columns.flush()
        window = find_window(record, source, nth, True)
        if window is not None:
            return window
    window = find_window(record, source, nth, False)
    if window is not None:
        return window
    name = record.header.sources[source]
    handled = sum(1 for e in record if e.kind == Kind.SOURCE_HANDLE and e.a == source and e.b)
    raise ScenarioError(
        f"{'--nth ' + str(nth) if nth else '--source ' + name}: {name} had {handled} handled interrupts in the "
        f"{SEARCH_PS // 10**9} ms searched"
    )


def concerns(e: Event, source: int, vcpu: int, pcpu: int, serial: int) -> bool:
    """Tell whether a row belongs to the journey: its own source, its vCPU, or its pCPU."""
    if e.kind in (Kind.SOURCE_ASSERT, Kind.SOURCE_HANDLE, Kind.SOURCE_MERGE):
        return e.a == source and e.b == serial
    if e.kind == Kind.NIC_DROP:
        return False
    return e.vcpu == vcpu or e.pcpu == pcpu


def walk(
    scenario: Scenario, name: str, mechanism: str, seed: int | None, source: int, window: tuple[int, int, int]
) -> tuple[Built, list[Step]]:
    """Run again up to the window, then event by event, and keep what belongs to the journey."""
    serial, first, last = window
    sinks: list[Any] = []
    built = prepare(scenario, name, mechanism, seed, SEARCH_PS, sinks)
    m = built.machine
    m.run(max(0, first - LEAD_PS))
    m.columns.flush()
    record = Record(built.header)
    sinks.append(record)
    vcpu = built.header.source_vcpu[source]
    pcpu = int(m.vcpus[vcpu].pcpu)
    irq = m.sources[source].irq
    steps: list[Step] = []
    while 0 <= m.calendar.next_time() <= last:
        before = snapshot(built, vcpu, pcpu)
        seen = len(record)
        m.step()
        m.columns.flush()
        after = snapshot(built, vcpu, pcpu)
        if irq >= 0 and int(m.vcpus[vcpu].pcpu) != pcpu:
            pcpu = int(m.vcpus[vcpu].pcpu)
        changes = [(k, before[k], after[k]) for k in before if before[k] != after[k]]
        rows = [record[i] for i in range(seen, len(record))]
        mine = [e for e in rows if e.time_ps >= first and concerns(e, source, vcpu, pcpu, serial)]
        add_steps(steps, built.header, mine, changes)
    return built, steps


BELONGS: dict[str, tuple[int, ...]] = {
    "PIR": (Kind.PID_POST, Kind.PID_PROCESS, Kind.PIR_SYNC),
    "PID.ON": (Kind.PID_POST, Kind.PID_PROCESS, Kind.PIR_SYNC),
    "VIRR": (Kind.IRQ_REQUEST, Kind.PID_PROCESS, Kind.PIR_SYNC, Kind.IRQ_DELIVER, Kind.IRQ_INJECT),
    "RVI": (Kind.RVI_WRITE, Kind.PID_PROCESS, Kind.IRQ_DELIVER),
    "recognized": (Kind.PID_PROCESS, Kind.IRQ_DELIVER, Kind.VM_ENTRY),
    "LAPIC.IRR": (Kind.LAPIC_ACCEPT, Kind.HOST_IRQ),
    "LAPIC.ISR": (Kind.VM_EXIT, Kind.LAPIC_EOI, Kind.HOST_IRQ, Kind.IRQ_DELIVER),
    "VISR": (Kind.IRQ_DELIVER, Kind.IRQ_EOI, Kind.IRQ_INJECT),
    "SVI": (Kind.IRQ_DELIVER, Kind.IRQ_EOI, Kind.IRQ_INJECT),
    "VPPR": (Kind.IRQ_DELIVER, Kind.IRQ_EOI, Kind.IRQ_INJECT, Kind.VM_ENTRY),
    "IF": (Kind.IRQ_DELIVER, Kind.VM_ENTRY, Kind.IRQ_RETURN),
    "evtchn pending": (Kind.PORT_RAISE, Kind.PORT_CLEAR),
    "pending_sel": (Kind.PORT_RAISE, Kind.UPCALL_ENTER),
    "upcall_pending": (Kind.UPCALL_MARK, Kind.UPCALL_ENTER),
    "PENDING": (Kind.PORT_RAISE, Kind.PORT_CLEAR),
    "LINKED": (Kind.PORT_RAISE, Kind.UPCALL_ENTER),
    "HEAD": (Kind.PORT_RAISE,),
    "READY": (Kind.PORT_RAISE, Kind.UPCALL_ENTER),
    "window exiting": (Kind.IRQ_WINDOW, Kind.VM_ENTRY),
    "entry field": (Kind.IRQ_INJECT, Kind.VM_ENTRY),
}


def add_steps(steps: list[Step], header: Header, rows: list[Event], changes: list[tuple[str, str, str]]) -> None:
    """Turn the rows of one event into steps.

    Charges go to the step before them; a change goes to the row whose rule made it, else to the event's last step.
    """
    fresh: list[Step] = []
    for e in rows:
        if e.kind == Kind.STEP:
            if steps:
                steps[-1].costs.append((header.costs[e.a], e.b, header.cost_origins[e.a]))
        elif e.kind not in QUIET:
            steps.append(Step(e, [], []))
            fresh.append(steps[-1])
    for change in changes:
        owners = [s for s in fresh if s.event.kind in BELONGS.get(change[0], ())] or fresh[-1:] or steps[-1:]
        if owners:
            owners[0].changes.append(change)


def paragraph(out: Console, text: str, indent: str = "", hang: str = "", style: str = "") -> None:
    """Print one wrapped paragraph, at most 120 columns wide."""
    lines = textwrap.fill(text, min(out.width, 120), initial_indent=indent, subsequent_indent=hang)
    out.print(Text(lines, style=style))


def print_step(out: Console, number: int, step: Step, header: Header, first: int) -> None:
    """Print one step: time, place, what happened; then changes, cost and rule."""
    e = step.event
    where = f"pCPU{e.pcpu}" if e.pcpu >= 0 else "device"
    head = f"{number:3d} {(e.time_ps - first) / 1e6:8.3f} µs  {where:6s}  "
    paragraph(out, say(e, header), head, " " * len(head), "bold" if e.kind == Kind.SOURCE_HANDLE else "")
    indent, hang = " " * 25, " " * 27
    for name, before, after in step.changes:
        paragraph(out, f"{name}: {before} -> {after}", indent, hang, "yellow")
    if step.costs:
        total = sum(c for _, c, _ in step.costs)
        parts = " + ".join(f"{name} {ns(c / 1000)}" for name, c, _ in step.costs)
        paragraph(out, f"cost {ns(total / 1000)}: {parts} ({kinds_of(step.costs)})", indent, hang)
    if e.kind in RULES:
        rule, key = rule_of(e, header)
        paragraph(out, f"rule {rule} [{key}]", indent, hang, "dim")


def print_journey(out: Console, built: Built, source: int, window: tuple[int, int, int], steps: list[Step]) -> None:
    """Print the steps, wrapped to the terminal."""
    header = built.header
    serial, first, _ = window
    row = find(header.mechanism)
    paragraph(out, f"{header.sources[source]} interrupt #{serial} under {header.mechanism}", style="bold")
    if row is not None:
        paragraph(out, row.says)
    paragraph(
        out,
        f"Times are from its assertion at {first / 1e6:.3f} µs of the run (seed {header.seed}); costs: "
        f"{built.preset.sentence()}",
        style="dim",
    )
    out.print()
    for n, step in enumerate(steps, 1):
        print_step(out, n, step, header, first)
    print_sources(out, steps, header, min(out.width, 120))
    handled = next((s for s in steps if s.event.kind == Kind.SOURCE_HANDLE), None)
    exits = [s for s in steps if s.event.kind == Kind.VM_EXIT]
    if handled is not None:
        out.print()
        names = ", ".join(header.exits.get(s.event.a, "?") for s in exits) or "none"
        paragraph(
            out,
            f"Assertion to the handler's first instruction: {(handled.event.time_ps - first) / 1e6:.3f} µs. VM exits "
            f"until the handler had returned: {len(exits)} ({names}).",
            style="bold",
        )


def print_sources(out: Console, steps: list[Step], header: Header, width: int) -> None:
    """Print each citation once, in full."""
    keys = dict.fromkeys(rule_of(s.event, header)[1] for s in steps if s.event.kind in RULES)
    out.print()
    for key in keys:
        out.print(
            Text(
                textwrap.fill(f"[{key}] {reference(key).removeprefix(key + ': ')}", width, subsequent_indent="    "),
                style="dim",
            )
        )


def kinds_of(costs: list[tuple[str, int, str]]) -> str:
    """Name the kinds of origin of some costs."""
    return ", ".join(sorted({origin.partition(": ")[0] for _, _, origin in costs}))


def pick_source(built: Built, name: str | None) -> int:
    """Find a source by name, or the one that `exitless run` counts for. Errors: ScenarioError."""
    names = built.header.sources
    if name is None:
        return max(0, primary_source(built))
    if name not in names:
        raise ScenarioError(f'--source: no source "{name}"{near(name, names)}')
    return names.index(name)


def run(args: argparse.Namespace) -> int:
    """Do it."""
    scenario, name = load(args.scenario, args.set)
    check_mechanisms([args.mechanism], "--mechanism")
    if args.nth is not None and args.nth < 1:
        raise ScenarioError(f"--nth {args.nth}: expected 1 or more")
    sinks: list[Any] = []
    built = prepare(scenario, name, args.mechanism, args.seed, SEARCH_PS, sinks)
    source = pick_source(built, args.source)
    record = Record(built.header)
    sinks.append(record)
    with progress() as bar:
        bar.add_task("looking for the interrupt", total=None)
        window = search(built, record, source, args.nth)
        built, steps = walk(scenario, name, args.mechanism, args.seed, source, window)
    if args.json:
        write_json({
            "scenario": name, "mechanism": args.mechanism, "source": built.header.sources[source], "serial": window[0],
            "steps": [{
                "time_ns": (s.event.time_ps - window[1]) / 1000, "event": BY_KIND[s.event.kind].name,
                "pcpu": s.event.pcpu,
                "vcpu": s.event.vcpu, "a": s.event.a, "b": s.event.b, "says": say(s.event, built.header),
                "changes": {k: [x, y] for k, x, y in s.changes},
                "costs": [{"step": c, "ns": ps / 1000, "origin": o} for c, ps, o in s.costs],
                "rule": rule_of(s.event, built.header)[0], "cites": rule_of(s.event, built.header)[1],
            } for s in steps],
        }, args.json)  # fmt: skip
    if args.json != "-":
        print_journey(console(), built, source, window, steps)
    return 0
