"""``exitless bench``: the engine against C and SimPy on the same work, interleaved in one run, and a few rates."""

import argparse
import math
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

from exitless.check.catalog import make
from exitless.check.explore import explore
from exitless.cli import yardsticks
from exitless.cli.bench_traces import Traces
from exitless.cli.host_sizes import NAME, QUARTERS, part_of_many, size_of
from exitless.cli.output import console, progress, write_json
from exitless.cli.tables import new_table
from exitless.cli.yardsticks import Timed
from exitless.errors import ExitlessError
from exitless.mech.batch import Batch
from exitless.mech.oracle import Oracle
from exitless.record.sinks import Sink
from exitless.scenario import load, prepare
from exitless.sim.reference import apply_rules
from exitless.version import VERSION, compiled, form

SECOND_PS: Final = 1_000_000_000_000
MECHANISMS: Final = ("emulated", "apicv", "posted", "vtd-posted")
RULES_A_ROUND: Final = 6

Tick = Callable[[str], None]


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("bench", help="measure the engine against C and SimPy")
    p.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds, each with every form once (default 7)")
    p.add_argument(
        "--recording",
        metavar="FILE",
        help="a trace.dat (version 6) or xentrace recording to tile for the readers",
    )
    p.add_argument("--quick", action="store_true", help="a twentieth of the work: for a look, not for a figure")
    p.add_argument(
        "--json", metavar="FILE", nargs="?", const="-", help="write the figures as JSON (- for standard output)"
    )
    p.set_defaults(run=run)


def machine_name() -> str:
    """Name the processor, the system and Python."""
    cpu = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{cpu}, {platform.system()}, Python {platform.python_version()}"


def spread(values: list[float]) -> list[float]:
    """Return least, median and greatest, or nothing for nothing."""
    return [min(values), median(values), max(values)] if values else []


class Plan:
    """How much is done. Times are simulated. Units: ps."""

    def __init__(self, rounds: int, quick: bool) -> None:
        share = 20 if quick else 1
        self.rounds = rounds
        self.engine_ps = SECOND_PS // share // (1 if compiled() else 20)
        self.c_ps = SECOND_PS // share
        self.simpy_ps = SECOND_PS // 20 // share
        self.mail_ps = SECOND_PS // 10 // share // (1 if compiled() else 20)
        self.many_ps = max(SECOND_PS // 250, SECOND_PS // 10 // share // (1 if compiled() else 20))
        self.scenarios = max(3, (100 if compiled() else 5) // share)
        self.batch_rows = (500_000 if compiled() else 10_000) // share
        self.rule_rounds = (1_000_000 if compiled() else 20_000) // share
        self.world = "consume-order" if quick else "post-while-blocking"


def verify(program: str, with_simpy: bool, plan: Plan, tick: Tick) -> int:
    """Compare all rows of all forms on several seeds; returns how many rows each form gave. Errors: LawBroken."""
    rows = 0
    horizon = min(yardsticks.COMPARED_PS, plan.simpy_ps)
    for seed in yardsticks.SEEDS:
        tick("comparing rows")
        mine = yardsticks.engine_rows(seed, horizon)
        rows += len(mine)
        if program:
            yardsticks.compare(mine, yardsticks.program_rows([program], seed, horizon), "C", seed)
        if with_simpy:
            yardsticks.compare(mine, yardsticks.program_rows(yardsticks.simpy_command(), seed, horizon), "SimPy", seed)
    return rows


def measure(recording: int, program: str, with_simpy: bool, plan: Plan, tick: Tick) -> dict[str, Any]:
    """Run every form once a round, in an order that rotates; returns one row of the answer."""
    forms: dict[str, Callable[[], Timed]] = {
        "engine": lambda: yardsticks.engine_run(1, plan.engine_ps, recording),
    }
    if program:
        forms["c"] = lambda: yardsticks.program_run([program], 1, plan.c_ps, recording)
    if with_simpy:
        forms["simpy"] = lambda: yardsticks.program_run(yardsticks.simpy_command(), 1, plan.simpy_ps, recording)
    names = list(forms)
    times: dict[str, list[float]] = {name: [] for name in names}
    events: list[float] = []
    for n in range(plan.rounds):
        for k in range(len(names)):
            name = names[(n + k) % len(names)]
            tick(f"round {n + 1}: {name}")
            timed = forms[name]()
            times[name].append(timed.per_interrupt())
            if name == "engine":
                events.append(timed.events * 1e9 / max(1, timed.cpu_ns))
    engine = times["engine"]
    to_c = spread([mine / c for mine, c in zip(engine, times.get("c", []))])
    to_simpy = spread([other / mine for mine, other in zip(engine, times.get("simpy", []))])
    return {
        "name": "reference-recorded" if recording else "reference",
        "engine_ns": median(engine),
        "c_ns": median(times["c"]) if program else None,
        "simpy_ns": median(times["simpy"]) if with_simpy else None,
        "ratio_c": to_c[1] if to_c else None,
        "ratio_simpy": to_simpy[1] if to_simpy else None,
        "unit": "per interrupt",
        "runs": plan.rounds,
        "events_per_s": median(events),
        "ratio_c_spread": to_c,
        "ratio_simpy_spread": to_simpy,
        "rounds": times,
    }


def rate(name: str, unit: str, runs: int, work: Callable[[], tuple[int, float]]) -> dict[str, Any]:
    """Do some work several times; it answers how many units were done in how many ns of CPU time."""
    costs = []
    for _ in range(runs):
        count, took = work()
        costs.append(took / max(1, count))
    cost = median(costs)
    return {
        "name": name, "engine_ns": cost, "c_ns": None, "simpy_ns": None, "ratio_c": None, "ratio_simpy": None,
        "unit": unit, "runs": runs, "per_s": 1e9 / cost if cost else 0.0,
    }  # fmt: skip


def mail_run(mechanism: str, length_ps: int, scenarios: int) -> tuple[int, int, int]:
    """Build and simulate ``mail`` so many times; returns events, rows and ns of CPU time."""
    scenario, where = load("mail")
    events = rows = 0
    began = time.process_time_ns()
    for seed in range(1, scenarios + 1):
        sinks: list[Sink] = []
        machine = prepare(scenario, where, mechanism, seed, length_ps, sinks).machine
        machine.run(length_ps)
        events += int(machine.events)
        rows += int(machine.columns.rows())
    return events, rows, time.process_time_ns() - began


def working_batch(rows: int) -> Batch:
    """Return an oracle's batch of so many operations: self-IPIs, task priorities and EOIs of a guest with delivery."""
    oracle = Oracle()
    controls = oracle.controls
    controls.use_tpr_shadow = controls.virtualize_apic_accesses = controls.virtual_interrupt_delivery = 1
    batch = Batch(oracle)
    for n in range(rows // 5):
        batch.add("WR", 0x300, 4, 0x40000 | 32 + n % 224)
        batch.add("STI")
        batch.add("WR", 0x0B0, 4, 0)
        batch.add("WR", 0x080, 4, n % 16)
        batch.add("RD", 0x080, 4)
    return batch


def rates(plan: Plan, tick: Tick) -> list[dict[str, Any]]:
    """Measure what has no counterpart in C or SimPy."""
    runs = min(3, plan.rounds)
    found = []
    for mechanism in MECHANISMS:
        tick(f"mail, {mechanism}")
        simulated: list[float] = []

        def whole(mechanism: str = mechanism, simulated: list[float] = simulated) -> tuple[int, float]:
            events, _, took = mail_run(mechanism, plan.mail_ps, 1)
            simulated.append(plan.mail_ps / 1000 / max(1, took))
            return events, took

        row = rate(f"mail-{mechanism}", "per event, recorded", runs, whole)
        row["simulated_s_per_s"] = median(simulated)
        found.append(row)
    found.append(one_second(plan, tick))
    found += host_rows(plan, tick)
    tick("mail, 10 ms")

    def short() -> tuple[int, float]:
        return plan.scenarios, mail_run("posted", SECOND_PS // 100, plan.scenarios)[2]

    found.append(rate("mail-10ms", "per scenario of 10 ms", runs, short))
    tick("rules")

    def rules() -> tuple[int, float]:
        began = time.process_time_ns()
        apply_rules(plan.rule_rounds)
        return RULES_A_ROUND * plan.rule_rounds, time.process_time_ns() - began

    found.append(rate("rules", "per rule", runs, rules))
    tick("oracle")

    def oracle() -> tuple[int, float]:
        batch = working_batch(plan.batch_rows)
        began = time.process_time_ns()
        return int(batch.run()), time.process_time_ns() - began

    found.append(rate("oracle-batch", "per step of the oracle", runs, oracle))
    tick("checker")

    def states() -> tuple[int, float]:
        began = time.process_time_ns()
        search = explore(make(plan.world, ""), 1_000_000)
        return len(search.keys), time.process_time_ns() - began

    found.append(rate(f"check-{plan.world}", "per state", 1, states))
    return found


def one_second(plan: Plan, tick: Tick) -> dict[str, Any]:
    """Measure what one simulated second of ``mail`` takes under the dearest of its mechanisms, every event recorded."""
    tick("mail, one second")
    length = SECOND_PS if compiled() and plan.mail_ps * 10 == SECOND_PS else plan.mail_ps
    scenario, _ = load("mail")
    costs = {m: mail_run(m, length, 1)[2] * SECOND_PS / length for m in scenario.run.mechanisms}
    worst = max(costs, key=lambda m: costs[m])
    row = rate(f"mail-second-{worst}", "per simulated second, recorded", 1, lambda: (1, costs[worst]))
    row |= {"by_mechanism_ns": costs, "measured_over_ns": length // 1000}
    return row


def host_rows(plan: Plan, tick: Tick) -> list[dict[str, Any]]:
    """Measure an event of ``many`` on three sizes of host, interleaved, by the CPU time of the runs."""
    costs: dict[int, list[float]] = {quarters: [] for quarters in QUARTERS}
    events: dict[int, int] = {}
    for n in range(max(1, min(5, plan.rounds))):
        for quarters in QUARTERS:
            tick(f"{NAME}, {quarters} quarters")
            sinks: list[Sink] = []
            scenario = part_of_many(quarters)
            machine = prepare(scenario, NAME, "upcall-posted", n + 1, plan.many_ps, sinks).machine
            began = time.process_time_ns()
            machine.run(plan.many_ps)
            events[quarters] = int(machine.events)
            costs[quarters].append((time.process_time_ns() - began) / max(1, int(machine.events)))
    rows = []
    for quarters in QUARTERS:
        size = size_of(part_of_many(quarters))
        row = rate(f"{NAME}: {size.partition(',')[0]}", "per event, recorded", 1, lambda: (1, 0.0))
        row["size"] = size
        least, cost, most = spread(costs[quarters])
        row |= {"engine_ns": cost, "per_s": 1e9 / cost, "runs": len(costs[quarters]), "events": events[quarters]}
        first = [mine / other for mine, other in zip(costs[quarters], costs[QUARTERS[0]])]
        row |= {"spread_ns": [least, cost, most], "ratio_to_quarter": spread(first)}
        rows.append(row)
    return rows


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if args.rounds < 1:
        raise ExitlessError(f"exitless bench: --rounds {args.rounds}: expected 1 or more")
    plan = Plan(args.rounds, args.quick)
    missing = yardsticks.simpy_missing()
    with_simpy = not missing
    with tempfile.TemporaryDirectory(prefix="exitless-bench-") as folder, progress() as bar:
        program, no_c = yardsticks.compile_c(folder)
        traces = Traces(folder, args.recording, 20 if args.quick else 1, min(3, plan.rounds) if args.quick else 1)
        hosts = len(QUARTERS) * max(1, min(5, plan.rounds))
        steps = traces.steps() + 3 + 2 * plan.rounds * (1 + bool(program) + with_simpy) + len(MECHANISMS) + 4 + hosts
        task = bar.add_task("bench", total=steps)

        def tick(what: str) -> None:
            bar.update(task, description=what, advance=1)

        compared = verify(program, with_simpy, plan, tick)
        rows = [measure(recording, program, with_simpy, plan, tick) for recording in (1, 0)]
        rows += rates(plan, tick)
        readers = traces.rows(tick)
    notes = [sentence for sentence in (no_c, missing, *traces.notes) if sentence]
    if args.json is not None:
        document = {
            "exitless": {"version": VERSION, "compiled": compiled()},
            "machine": machine_name(), "compiled": compiled(), "quick": args.quick, "rows_compared": compared,
            "notes": notes, "rows": rows + readers,
        }  # fmt: skip
        write_json(document, args.json)
    if args.json != "-":
        show(rows, compared, [name for name, there in (("C", program), ("SimPy", with_simpy)) if there], notes)
        show_readers(readers)
    return 0


def show(rows: list[dict[str, Any]], compared: int, others: list[str], notes: list[str]) -> None:
    """Print the tables."""
    out = console()
    out.print(f"{machine_name()}; Exitless {VERSION}, {form()}")
    if others:
        same = f"{compared:,} rows of {len(yardsticks.SEEDS)} seeds are the same, column by column, in the engine"
        out.print(f"{same} and in {' and '.join(others)}.")
    for note in notes:
        out.print(note)
    out.print()
    table = new_table()
    names = "reference load,\nns an interrupt", "engine", "C", "SimPy", "engine / C", "SimPy / engine"
    for name in (*names, "million\nevents/s"):
        table.add_column(name, justify="left" if name == names[0] else "right", no_wrap=True)
    for row in rows[:2]:
        table.add_row(
            "recorded" if row["name"].endswith("recorded") else "not recorded",
            *(f"{row[k]:,.0f}" if row[k] is not None else "–" for k in ("engine_ns", "c_ns", "simpy_ns")),
            *(
                f"{s[1]:.3g} ({s[0]:.3g}–{s[2]:.3g})" if s else "–"
                for s in (row["ratio_c_spread"], row["ratio_simpy_spread"])
            ),
            f"{row['events_per_s'] / 1e6:.3g}",
        )
    out.print(table)
    out.print("ratios: the median of the rounds (least–greatest)", style="dim")
    out.print()
    table = new_table()
    for name in ("rates, one process", "ns", "unit", "a second", "simulated\ns per s"):
        table.add_column(name, justify="left" if name in ("rates, one process", "unit") else "right", no_wrap=True)
    for row in rows[2:]:
        if row["name"].startswith("mail-second-"):
            continue
        simulated = f"{row['simulated_s_per_s']:.3g}" if "simulated_s_per_s" in row else ""
        table.add_row(row["name"], short(row["engine_ns"]), row["unit"], short(row["per_s"]), simulated)
    out.print(table)
    show_sizes(out, rows)


def short(x: float) -> str:
    """Print a figure with three digits, and with M for a million."""
    return f"{x / 1e6:.3g} M" if x >= 1e6 else f"{x:,.0f}" if x >= 1000 else f"{x:.3g}"


def show_sizes(out: Any, rows: list[dict[str, Any]]) -> None:
    """Say what a second of ``mail`` takes, and how an event's cost grows with the host."""
    for row in rows:
        if row["name"].startswith("mail-second-"):
            took = row["engine_ns"] / 1e9
            over = row["measured_over_ns"] / 1e9
            out.print(
                f"mail: a simulated second takes {took:.3g} s at most (goal: 0.3 s), recorded; run for {over:.3g} s"
            )
    sizes = [row for row in rows if "ratio_to_quarter" in row]
    first, last = sizes[0], sizes[-1]
    least, middle, most = last["ratio_to_quarter"]
    allowed = math.log(last["events"]) / math.log(first["events"])
    out.print(
        f"{NAME}: {last['events'] / first['events']:.2g} times the events, each costs {middle:.3g} times as much "
        f"({least:.3g}–{most:.3g}); n log n allows {allowed:.3g}"
    )


def show_readers(rows: list[dict[str, Any]]) -> None:
    """Print the table of the readers."""
    out = console()
    out.print()
    table = new_table()
    names = "exitless\nread", "million\nevents", "ns an\nevent", "reference", "ns an\nevent", "times\nas fast"
    for name in (*names, "MB, and for\na tenth"):
        left = name in (names[0], "reference")
        table.add_column(name, justify="left" if left else "right", no_wrap=True)
    for row in rows:
        other = row["reference_per_s"]
        table.add_row(
            row["name"].removeprefix("read-"), f"{row['events'] / 1e6:,.3g}", f"{row['engine_ns']:,.3g}",
            row["reference"] or "–", f"{1e9 / other:,.0f}" if other else "–",
            f"{row['ratio_reference']:.3g}" if other else "–",
            ", ".join(f"{row[key] / 1e6:,.0f}" for key in ("peak_bytes", "peak_bytes_tenth")),
        )  # fmt: skip
    out.print(table)
    out.print(
        "both read the same file, a small recording tiled; CPU time of the whole process, start and report included",
        style="dim",
    )
