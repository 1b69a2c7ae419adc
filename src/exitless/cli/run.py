"""``exitless run``: simulate a scenario under its mechanisms, compare them, answer the mail's questions."""

import argparse
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from exitless.bits import units
from exitless.cli.answers import Answer, answers, print_answers
from exitless.cli.output import console, per_cent, progress, write_json
from exitless.errors import LawBroken, ScenarioError
from exitless.record.block import Record
from exitless.record.sinks import Sink
from exitless.record.store import write as store
from exitless.scenario import LONGEST_PS, Built, Scenario, check_mechanisms, load, prepare, time_within
from exitless.scenario.schema import Bound
from exitless.study.summary import Summary, summarize
from exitless.study.tally import Tally
from exitless.version import VERSION, compiled

SLICES = 200


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("run", help="simulate a scenario under its mechanisms and compare them")
    p.add_argument("scenario", nargs="?", default="mail", help="a name from the library (default mail) or a .toml file")
    p.add_argument("--mechanism", action="append", metavar="NAME", help="only this one (repeatable)")
    p.add_argument("--seed", type=int, help="seed of every random stream (default: the scenario's)")
    p.add_argument("--length", metavar="TIME", help='simulated time, for example "200 ms" (default: the scenario\'s)')
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change the scenario, for example device[0].load=60",
    )
    p.add_argument("--laws", action="store_true", help="check the laws of state after every event")
    p.add_argument("--out", metavar="DIR", help="keep the whole record of each mechanism there")
    p.add_argument("--json", metavar="FILE", help="write the results as JSON (- for standard output)")
    p.set_defaults(run=run)


class Result:
    """One mechanism's run: what was built, what came out, and how fast."""

    def __init__(self, built: Built, summary: Summary, seconds: float) -> None:
        self.built = built
        self.summary = summary
        self.seconds = seconds


def primary_source(built: Built) -> int:
    """Return the source for which exits per interrupt are given: the first NIC queue, else the first source."""
    for n, queue in enumerate(built.machine.queue_of_source):
        if queue >= 0:
            return n
    return 0 if built.header.sources else -1


def make_tally(built: Built) -> Tally:
    """Make the sink that counts."""
    h = built.header
    m = built.machine
    targets = [m.irqs[s.irq].pcpu if s.irq >= 0 else -1 for s in m.sources]
    return Tally(h.pcpus, len(h.vcpus), len(h.sources), h.source_port, h.source_host_vector, h.source_vcpu, targets)


def run_one(
    scenario: Scenario,
    name: str,
    mechanism: str,
    seed: int | None,
    length: int | None,
    laws: bool,
    keep: bool,
    tick: Any,
) -> tuple[Result, Record | None]:
    """Run one mechanism. ``tick(share)`` is called as it goes on. Errors: ScenarioError, LawBroken."""
    sinks: list[Sink] = []
    built = prepare(scenario, name, mechanism, seed, length, sinks)
    tally = make_tally(built)
    sinks.append(tally)
    record = Record(built.header) if keep else None
    if record is not None:
        sinks.append(record)
    machine = built.machine
    machine.watch_laws = int(laws)
    began = time.perf_counter()
    end = built.header.length_ps
    for n in range(1, SLICES + 1):
        machine.run(end * n // SLICES)
        tick(1 / SLICES)
        if machine.law_broken:
            break
    machine.columns.flush()
    if machine.columns.failures:
        raise RuntimeError(machine.columns.failures[0])
    tally.finish(end)
    seconds = time.perf_counter() - began
    outstanding = [int(s.outstanding != 0) for s in machine.sources]
    summary = summarize(tally, built.header, outstanding, primary_source(built))
    summary.events, summary.rows = int(machine.events), int(machine.columns.rows())
    summary.laws_checked = int(machine.laws_checked)
    if machine.law_broken:
        summary.laws_broken.append(machine.law_said())
    return Result(built, summary, seconds), record


def run_all(args: argparse.Namespace) -> list[Result]:
    """Run every mechanism asked for, with progress on standard error."""
    scenario, name = load(args.scenario, args.set)
    names = args.mechanism or scenario.run.mechanisms
    if not names:
        raise ScenarioError(f"{name}: run.mechanisms is empty and no --mechanism was given")
    check_mechanisms(names, "--mechanism")
    length = None if args.length is None else time_within(args.length, 1, LONGEST_PS, "--length")
    folder = None
    if args.out:
        folder = Path(args.out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise ScenarioError(f"--out {args.out}: cannot make the directory: {problem.strerror}") from None
    results = []
    with progress() as bar:
        task = bar.add_task("simulating", total=len(names))
        for mechanism in names:
            bar.update(task, description=f"simulating {mechanism}")
            result, record = run_one(
                scenario, name, mechanism, args.seed, length, args.laws, folder is not None,
                lambda share: bar.advance(task, share),
            )  # fmt: skip
            results.append(result)
            if folder is not None and record is not None:
                store(record, folder / f"{mechanism}.xl")
    return results


def as_json(results: list[Result]) -> dict[str, Any]:
    """Make the document of the contract."""
    first = results[0].built.header
    rows = []
    for r in results:
        s = r.summary
        rows.append({
            "mechanism": s.mechanism,
            "sources": {
                x.name: {
                    "asserted": x.asserted, "delivered": x.delivered, "coalesced": x.coalesced, "pending": x.pending,
                    "lost": x.lost, "exits_when_running": round(x.exits_when_running, 4),
                    "latency_ns": x.latency.as_json(), "taken_ns": x.taken.as_json(),
                } for x in s.sources.values()
            },
            "exits": {"total": sum(s.exits.values()), "by_reason": s.exits, "by_source": s.by_source},
            "exits_per_interrupt": round(s.exits_per_interrupt, 4),
            "interrupt": s.first_source,
            "hypercalls": s.hypercalls,
            "injections": {"total": sum(s.injections.values()),
                           "by_vector": {f"0x{v:02x}": n for v, n in s.injections.items()}},
            "windows_armed": {f"0x{v:02x}": n for v, n in s.windows.items()},
            "cpu": {p: {k: round(v, 6) for k, v in shares.items()} for p, shares in s.cpu.items()},
            "frames": {"received": s.frames, "dropped": s.drops},
            "events": s.events, "rows": s.rows, "seconds": round(r.seconds, 4),
            "laws": {"checked": s.laws_checked, "broken": s.laws_broken},
        })  # fmt: skip
    return {
        "exitless": {"version": VERSION, "compiled": compiled()}, "scenario": first.scenario, "title": first.title,
        "seed": first.seed, "length_ns": first.length_ps // 1000, "clock_hz": first.clock_hz,
        "costs": {"table": results[0].built.preset.name, "origin": results[0].built.preset.says}, "results": rows,
    }  # fmt: skip


REASON_SHORT = {
    "EXTERNAL_INTERRUPT": "ext-int", "INTERRUPT_WINDOW": "window", "APIC_ACCESS": "apic-access",
    "APIC_WRITE": "apic-write",
    "EOI_INDUCED": "eoi", "VMCALL": "vmcall", "MSR_WRITE": "wrmsr", "EXCEPTION_NMI": "exception", "HLT": "hlt",
}  # fmt: skip


def rival_of(results: list[Result]) -> str:
    """Name the device source that shares the NIC's pCPU, or an empty string."""
    built = results[0].built
    m = built.machine
    first = results[0].summary.first_source
    if not first:
        return ""
    mine = m.irqs[m.sources[built.header.sources.index(first)].irq].pcpu if m.irqs else -1
    for irq in m.irqs:
        name = built.header.sources[int(irq.source)]
        if (
            name != first
            and irq.pcpu == mine
            and m.sources[irq.source].vcpu != m.sources[built.header.sources.index(first)].vcpu
        ):
            return name
    return ""


def new_table() -> Table:
    """Make a table in the house's style."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, show_edge=False)


def print_table(out: Console, results: list[Result]) -> None:
    """Print the comparison: one row a mechanism."""
    nic = results[0].summary.first_source
    rival = rival_of(results)
    t = new_table()
    t.add_column("mechanism", no_wrap=True)
    t.add_column(f"exits per\n{nic} int.", justify="right")
    t.add_column("guest\nran", justify="right")
    for name in (nic, rival):
        if name:
            t.add_column(f"{name} latency, µs\np50 / p99 / max", justify="right", no_wrap=True)
    for r in results:
        s = r.summary
        row = [s.mechanism, f"{s.exits_per_interrupt:.2f}", f"{s.sources[nic].exits_when_running:.2f}"]
        t.add_row(*row, *[three(s.sources[name].latency) for name in (nic, rival) if name])
    out.print(t)
    out.print(
        f"'guest ran': exits per {nic} interrupt for those that found the guest running; a halted guest's wake-up "
        "needs no "
        "exit. Latency: assertion to the handler's first instruction.",
        style="dim",
    )
    out.print()


def print_reasons(out: Console, results: list[Result]) -> None:
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


def print_shares(out: Console, results: list[Result]) -> None:
    """Print whose code the guest's pCPU ran."""
    built = results[0].built
    guest = next((n for n, v in enumerate(built.machine.vcpus) if not v.domain.is_pv), 0)
    name = f"pcpu{int(built.machine.vcpus[guest].pcpu)}"
    t = new_table()
    t.add_column(f"time of {name.replace('pcpu', 'pCPU')}", no_wrap=True)
    for owner in ("guest", "Xen", "dom0", "idle"):
        t.add_column(owner, justify="right")
    t.add_column("frames received", justify="right")
    t.add_column("dropped", justify="right")
    for r in results:
        c = r.summary.cpu[name]
        t.add_row(
            r.summary.mechanism,
            *[per_cent(c[k]) for k in ("guest", "hypervisor", "dom0", "idle")],
            f"{r.summary.frames:,}",
            f"{r.summary.drops:,}",
        )
    out.print(t)
    out.print()


def three(x: Any) -> str:
    """Print p50, p99 and max in µs."""
    return f"{x.p50 / 1000:.2f} / {x.p99 / 1000:.1f} / {x.max / 1000:.0f}"


def print_meetings(out: Console, results: list[Result]) -> None:
    """Print who went first when the two devices' interrupts waited at the same time on the guest's pCPU."""
    nic = results[0].summary.first_source
    rival = rival_of(results)
    if not rival:
        return
    t = new_table()
    t.add_column("when both waited", no_wrap=True)
    t.add_column("met", justify="right")
    t.add_column(f"{nic}'s handler\nfirst", justify="right")
    t.add_column(f"{rival}'s handler\nfirst", justify="right")
    t.add_column(f"host took {rival} after, µs\np50 / p99 / max", justify="right")
    for r in results:
        a, b = r.summary.sources[nic], r.summary.sources[rival]
        both = a.first + b.first
        t.add_row(
            r.summary.mechanism,
            f"{both:,}",
            per_cent(a.first / both) if both else "–",
            per_cent(b.first / both) if both else "–",
            three(b.taken),
        )
    out.print(t)
    out.print()


def print_results(out: Console, results: list[Result]) -> None:
    """Print everything for people."""
    header = results[0].built.header
    form = "compiled" if compiled() else "interpreted, about forty times slower (no compiled modules here)"
    out.print(f"exitless {VERSION}, {form}")
    out.print(f"[bold]{header.scenario}[/]: {header.title}", soft_wrap=False)
    out.print(
        f"{units.show_time(header.length_ps)} simulated for each mechanism, seed {header.seed}; costs: "
        f"{results[0].built.preset.name} "
        f"(origin: guess; `exitless list costs` shows each)."
    )
    out.print()
    print_table(out, results)
    print_reasons(out, results)
    print_meetings(out, results)
    print_shares(out, results)
    events = sum(r.summary.events for r in results)
    seconds = sum(r.seconds for r in results) or 1e-9
    out.print(
        f"{events:,} events, {sum(r.summary.rows for r in results):,} rows recorded in {seconds:.2f} s: "
        f"{events / seconds / 1e6:.2f} M events/s on this machine."
    )


def broken_expectations(results: list[Result]) -> list[str]:
    """Hold results against the scenario's [expect]; only in the length it was written for."""
    out = []
    for r in results:
        s = r.summary
        for law in s.laws_broken:
            out.append(f"{s.mechanism}: {law}")
        lost = sum(x.lost for x in s.sources.values())
        if lost != r.built.scenario.expect.lost:
            out.append(f"{s.mechanism}: {lost} interrupts lost, expected {r.built.scenario.expect.lost}")
    return out


def out_of_bounds(results: list[Result]) -> list[str]:
    """Hold exits per interrupt against the scenario's [expect]."""
    out = []
    for r in results:
        s, expect = r.summary, r.built.scenario.expect
        running = s.sources[s.first_source].exits_when_running if s.first_source else 0.0
        for what, bounds, value in (
            ("exits per interrupt", expect.exits_per_interrupt, s.exits_per_interrupt),
            ("exits per interrupt that found the guest running", expect.exits_when_running, running),
        ):
            bound = bounds.get(s.mechanism, Bound())
            if (bound.min is not None and value < bound.min) or (bound.max is not None and value > bound.max):
                out.append(f"{s.mechanism}: {value:.3f} {what}, expected {bound.min or 0} to {bound.max}")
    return out


def mail_answers(args: argparse.Namespace, results: list[Result]) -> list[Answer]:
    """Answer the mail's questions; two short probe runs of their own (a moved vCPU, a mixed guest) are made for it."""
    scenario, name = load(args.scenario, args.set)
    mixed_scenario, _ = load(args.scenario, [*args.set, 'vm[1].timer="event"'])
    with progress() as bar:
        bar.add_task("two probes for the answers", total=None)
        mixed, _ = run_one(mixed_scenario, name, "apicv", args.seed, 100_000_000_000, False, False, lambda share: None)
        built = {r.summary.mechanism: r.built for r in results}
        slow: dict[str, Summary] = {}
        for mechanism in ("direct", "direct-negotiated", "vtd-posted"):
            if mechanism in built:
                held, _ = load(args.scenario, [*args.set, 'host.cost.g_nic_isr="200 us"'])
                slow[mechanism] = run_one(
                    held, name, mechanism, args.seed, 20_000_000_000, False, False, lambda share: None
                )[0].summary
        return list(
            answers(scenario, name, [r.summary for r in results], built, rival_of(results), mixed.summary, slow)
        )


def run(args: argparse.Namespace) -> int:
    """Do it. Returns: 0, or 1 when a law is broken or an interrupt is lost."""
    results = run_all(args)
    if args.json != "-":
        out = console()
        print_results(out, results)
        if results[0].built.header.scenario == "mail":
            print_answers(out, mail_answers(args, results))
    if args.json:
        write_json(as_json(results), args.json)
    problems = broken_expectations(results)
    if not args.set and args.length is None and args.seed is None:
        problems += out_of_bounds(results)
    for problem in problems:
        console(stderr=True).print(f"exitless: {problem}")
    return 1 if problems else 0


__all__ = ["LawBroken", "add_parser", "as_json", "run", "run_all", "run_one"]
