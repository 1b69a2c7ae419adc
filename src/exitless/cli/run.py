"""``exitless run``: simulate a scenario under its mechanisms, compare them, answer the mail's questions."""

import argparse
import time
from pathlib import Path
from typing import Any

from exitless.arch.xen.callback import Callback
from exitless.cli.answers import Answer, answers, print_answers
from exitless.cli.measures import broken_measures, json_row
from exitless.cli.more_tables import print_more, print_schedulers
from exitless.cli.output import console, progress, write_json
from exitless.cli.published import print_if_published, published_of
from exitless.cli.simulating import add_scenario_options, asked
from exitless.cli.tables import print_results
from exitless.errors import LawBroken, ScenarioError
from exitless.record.block import Record
from exitless.record.sinks import Sink
from exitless.record.store import write as store
from exitless.scenario import Built, Scenario, load, prepare
from exitless.scenario.schema import Bound
from exitless.sim.state import Role
from exitless.study.meeting import Meeting
from exitless.study.summary import Summary, summarize
from exitless.study.tally import WHEREVER, Tally
from exitless.version import VERSION, compiled

SLICES = 200


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("run", help="simulate a scenario under its mechanisms and compare them")
    p.add_argument("scenario", nargs="?", default="mail", help="a name from the library (default mail) or a .toml file")
    add_scenario_options(p)
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
    """Return the source for which exits per interrupt are given: the first NIC queue, else the first paravirtual disk,
    else the first that gets interprocessor interrupts, else a load's device, else the first.
    """
    for n, queue in enumerate(built.machine.queue_of_source):
        if queue >= 0:
            return n
    for role in (Role.FRONT, Role.IPI):
        for source in built.machine.sources:
            if source.role == role:
                return int(source.number)
    if built.machine.loads:
        return int(built.machine.loads[0].source)
    return 0 if built.header.sources else -1


def rival_of(built: Built) -> str:
    """Name another vCPU's device that shares the first NIC queue's pCPU, or an empty string."""
    m = built.machine
    first = primary_source(built)
    if first < 0 or m.sources[first].irq < 0:
        return ""
    mine = m.irqs[m.sources[first].irq].pcpu
    for irq in m.irqs:
        if irq.source != first and irq.pcpu == mine and m.sources[irq.source].vcpu != m.sources[first].vcpu:
            return built.header.sources[int(irq.source)]
    return ""


def make_tally(built: Built) -> Tally:
    """Make the sink that counts."""
    h = built.header
    m = built.machine
    targets = [m.irqs[s.irq].pcpu if s.irq >= 0 else -1 if s.role == Role.DEVICE else WHEREVER for s in m.sources]
    tally = Tally(h.pcpus, len(h.vcpus), len(h.sources), h.source_port, h.source_host_vector, h.source_vcpu, targets)
    tally.watching = int(is_watched(built))
    tally.upcall = next((v.cpu.callback_vector for v in m.vcpus if v.cpu.callback_style == Callback.UPCALL_VECTOR), -1)
    mine, rival = primary_source(built), rival_of(built)
    if rival:
        vector = h.source_host_vector[mine]
        other = h.source_host_vector[h.sources.index(rival)]
        tally.meeting = Meeting(targets[mine], vector if vector >= 0 else m.posted_vector, other)
    return tally


def is_crowded(built: Built) -> bool:
    """Tell whether there are more vCPUs of guests than pCPUs."""
    return sum(not v.domain.serves for v in built.machine.vcpus) > len(built.machine.pcpus)


def is_watched(built: Built) -> bool:
    """Tell whether a scenario is about more than one NIC and its pCPU, so that more is counted and printed."""
    m = built.machine
    talks = any(s.role != Role.DEVICE for s in m.sources)
    return (
        talks
        or is_crowded(built)
        or len(m.nics) > 1
        or bool(m.slow_irqs)
        or bool(built.scenario.move or built.scenario.offline)
        or built.scenario.watch
    )


def count_all_for_ipis(built: Built, summary: Summary) -> None:
    """Where interprocessor interrupts are the subject, every exit of every vCPU is of their making, at either end."""
    first = primary_source(built)
    if first >= 0 and built.machine.sources[first].role == Role.IPI:
        mine = [built.header.sources[int(s.number)] for s in built.machine.sources if s.role == Role.IPI]
        sent = sum(summary.sources[name].asserted for name in mine)
        summary.exits_per_interrupt = sum(summary.exits.values()) / (sent or 1)


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
    count_all_for_ipis(built, summary)
    if machine.law_broken:
        summary.laws_broken.append(machine.law_said())
    return Result(built, summary, seconds), record


def run_all(args: argparse.Namespace) -> list[Result]:
    """Run every mechanism asked for, with progress on standard error."""
    scenario, name, names, length = asked(args.scenario, args)
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
    return {
        "exitless": {"version": VERSION, "compiled": compiled()}, "scenario": first.scenario, "title": first.title,
        "seed": first.seed, "length_ns": first.length_ps // 1000, "clock_hz": first.clock_hz,
        "scheduler": results[0].built.scenario.host.scheduler,
        "costs": {"table": results[0].built.preset.name, "origin": results[0].built.preset.says},
        "results": [json_row(r) for r in results],
    }  # fmt: skip


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
        out += broken_measures(expect.measures, json_row(r))
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
            answers(
                scenario, name, [r.summary for r in results], built, rival_of(results[0].built), mixed.summary, slow
            )
        )


def both_schedulers(args: argparse.Namespace, result: Result) -> list[tuple[str, Result]]:
    """Run a result's mechanism once more under Xen's other scheduler. Returns: both, by scheduler."""
    built = result.built
    mine = built.scenario.host.scheduler
    other = "credit" if mine == "credit2" else "credit2"
    scenario, name = load(args.scenario, [*args.set, f'host.scheduler="{other}"'])
    length = built.header.length_ps
    second, _ = run_one(scenario, name, built.mechanism.name, args.seed, length, False, False, lambda share: None)
    return [(mine, result), (other, second)]


def run(args: argparse.Namespace) -> int:
    """Do it. Returns: 0, or 1 when a law is broken or an interrupt is lost."""
    results = run_all(args)
    beside = published_of(results[0].built.header.scenario, results)
    if args.json != "-":
        out = console()
        print_results(out, results, rival_of(results[0].built), print_more)
        print_if_published(out, results[0].built.header.scenario, results)
        if is_crowded(results[0].built) and not beside:
            print_schedulers(out, both_schedulers(args, results[0]), results[0].summary.first_source)
        if results[0].built.header.scenario == "mail":
            print_answers(out, mail_answers(args, results))
    if args.json:
        document = as_json(results)
        if beside is not None:
            document["published"] = beside
        write_json(document, args.json)
    problems = broken_expectations(results)
    if not args.set and args.length is None and args.seed is None:
        problems += out_of_bounds(results) + (beside["missed"] if beside is not None else [])
    for problem in problems:
        console(stderr=True).print(f"exitless: {problem}")
    return 1 if problems else 0


__all__ = ["LawBroken", "add_parser", "as_json", "run", "run_all", "run_one"]
