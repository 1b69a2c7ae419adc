"""``exitless replay``: what came from outside in a recording, on a simulated host; both sides compared."""

import argparse
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from exitless.cli.output import Patience, console, ns, write_json
from exitless.cli.read import frequency
from exitless.cli.read_why import table
from exitless.cli.replay_notes import explanation
from exitless.errors import TraceError
from exitless.record.block import Header, Record
from exitless.record.store import write as store
from exitless.scenario.costs import COST_NAMES, DEFAULT, Preset
from exitless.sim.replay import ReplayMachine
from exitless.sim.state import Domain
from exitless.study.arrivals import OTHER, SAME, Arrivals
from exitless.study.passing import Thing
from exitless.study.replayed import PREDICTED, UNRECORDED, UNTOLD, Comparison, Counts, Line
from exitless.study.unscheduled import Gaps, Unscheduled
from exitless.traces.reader import Vcpu, open_reader
from exitless.traces.xentrace import Xentrace
from exitless.vocab.exits import Exit
from exitless.vocab.given import Given
from exitless.vocab.kinds import Kind, Owner

MOST_VCPUS: Final = 4096
# What a lane's end allows for what was under way, so that a replay's last exit is not cut off by its own costs.
TAIL_PS: Final = 1_000_000_000


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("replay", help="simulate the host below a recording, and compare")
    p.add_argument("trace", metavar="TRACE", help="an xentrace recording, packed or not (- for standard input)")
    p.add_argument(
        "--costs", metavar="FILE", default=DEFAULT,
        help=f"a cost table: a .toml file, as `exitless calibrate` writes, or a table's name (default: {DEFAULT})",
    )  # fmt: skip
    p.add_argument("--cpu-hz", metavar="HZ", help='clock of the recording, for example "2.6 GHz" or 2.6G')
    p.add_argument(
        "--interrupts-on", action="store_true",
        help="take the guest to have interrupts on outside its handlers, whatever was learned of its code",
    )  # fmt: skip
    p.add_argument("--out", metavar="FILE", help="keep the record of the simulated run (.xl), for exitless show")
    p.add_argument("--json", metavar="FILE", help="write both sides as JSON (- for standard output)")
    p.set_defaults(run=run)


class Replay:
    """One recording, replayed: what was given, what came of it, and both sides' counts."""

    def __init__(self, reader: Xentrace, arrivals: Arrivals, recorded: Counts, alone: Unscheduled | None) -> None:
        self.reader = reader
        self.arrivals = arrivals
        self.recorded = recorded
        self.things = arrivals.finish()
        self.vcpus = sorted(arrivals.replayed(), key=lambda v: (len(reader.vcpus[v].vm), reader.vcpus[v].name()))
        self.record = Record(Header())
        self.simulated = Counts()
        self.restarted: Counts | None = None
        self.arrived = 0
        self.alone = alone
        self.costs = DEFAULT

    def exit_name(self, reason: int) -> str:
        """Name one of the simulator's exit numbers as the vendor whose exits the recording holds."""
        if reason >= OTHER:
            return self.reader.exit_name(reason - OTHER)
        svm = {number: code for code, number in SAME.items()}
        return self.reader.exit_name(svm[reason] if self.reader.vendor() == "svm" else reason)

    def simulate(self, preset: Preset, dark: bool) -> None:
        """Build the host, give it what the recording gave, and let it run. ``dark`` False: interrupts count as on.

        Where no slice of time is told, it runs once without restarts by slice timers and once with one at each switch.
        """
        self.costs = preset.sentence()
        self.arrived = self._run(preset, dark, self.record, self.things)
        self.simulated.rows(self.record, False)
        if not self.arrivals.slices_told() and any(t.what == Given.BACK for t in self.things):
            record, self.restarted = Record(Header()), Counts()
            things = [t._replace(a=1) if t.what == Given.BACK else t for t in self.things]
            self._run(preset, dark, record, things)
            self.restarted.rows(record, False)
        reasons = {k[2] for k in self.simulated.by_vcpu if k[1] == Kind.VM_EXIT}
        self.record.header = Header(
            title=f"replay of {Path(self.reader.source.name).name}", origin="simulated (replay)", mechanism="replay",
            length_ps=self.reader.duration_ps, pcpus=len(self.vcpus) + 1, costs=COST_NAMES,
            vcpus=[self.reader.vcpus[v].name() for v in self.vcpus], owners=[Owner.GUEST] * len(self.vcpus),
            cost_origins=[f"{o}: {s}" for o, s in zip(preset.origins, preset.sources, strict=True)],
            exits={r: self.exit_name(r) for r in sorted(reasons)}, clock_hz=self.reader.clock_hz,
        )  # fmt: skip

    def _run(self, preset: Preset, dark: bool, record: Record, things: list[Thing]) -> int:
        """Run once; returns how many interrupts were given."""
        machine = ReplayMachine(len(self.vcpus), [record])
        for n, ps in enumerate(preset.ps):
            machine.costs[n] = ps
        numbers = {v: n for n, v in enumerate(self.vcpus)}
        domains: dict[str, Domain] = {}
        for v in self.vcpus:
            vcpu = self.reader.vcpus[v]
            domain = domains.setdefault(vcpu.vm, Domain(len(domains), 0))
            machine.add(domain, vcpu.number, self.callback(v), self.arrivals.state_at_start(v))
        for t in things:
            machine.give(numbers[t.vcpu], t.time, t.what, t.a, t.b, t.dark if dark else 0, t.again)
        machine.run(self.reader.duration_ps + TAIL_PS)
        machine.columns.flush()
        return int(machine.arrivals)

    def callback(self, vcpu: int) -> int:
        """Return the vector of a vCPU's callback: one domain has one, told by any of its windows; 0 for none."""
        vm = self.reader.vcpus[vcpu].vm
        if not self.arrivals.windowless.armed:
            return max(self.arrivals.windowless.callback(vm), 0)
        known = [a for v, a in sorted(self.arrivals.callbacks.items()) if self.reader.vcpus[v].vm == vm]
        return known[0] if known else 0

    def restarts(self) -> tuple[int, int]:
        """Return how many switches to these guests set the earliest timer of their pCPU, and how many told a slice."""
        first = sum(t.what == Given.BACK and t.a == 1 for t in self.things)
        return first, self.arrivals.slices_told()

    def compare(self) -> Comparison:
        """Put both sides together."""
        hosts = sum(t.what in (Given.HOST, Given.LOCAL) for t in self.things)
        return Comparison(
            self.recorded, self.simulated, self.restarted, set(self.vcpus), hosts, self.arrivals, self.exit_name
        )

    def lines(self, comparison: Comparison) -> list[Line]:
        """Return the rows: those of the scheduler only where it was recorded, none predicted where time stood still."""
        lines = [line for line in comparison.lines() if self.alone is None or line.group != "scheduler"]
        window = f"exits {self.exit_name(Exit.INTERRUPT_WINDOW)}"
        for line in lines:
            if line.basis == PREDICTED and line.quantity == window and self.several(line.recorded):
                line.basis = UNTOLD
            if self.stands_still() and line.basis != UNRECORDED:
                line.basis = UNTOLD
        return lines

    def several(self, window_exits: int) -> bool:
        """Tell whether other vCPUs of a pCPU ran while an interrupt waited, as often as a tenth of the window exits."""
        return self.alone is not None and 10 * self.alone.unarmed_entries > window_exits

    def stands_still(self) -> bool:
        """Tell whether time stamps are damaged: one that is far ahead makes all that follow it one moment."""
        return 10 * int(self.reader.shared.backwards) > self.reader.events


def read(path: str, clock_hz: int) -> Replay:
    """Read a recording for its arrivals. Errors: TraceError, also for one in which nothing runs by VM entry.

    One without records of the scheduler, and so without vCPUs, is read twice more: for how long guests were away, and
    with one vCPU for each pCPU.
    """
    with open_reader(path, clock_hz) as reader:
        if not isinstance(reader, Xentrace):
            raise TraceError(f"{path}: is {reader.what}; a replay needs {Xentrace.what}")
        replay = read_once(reader, None)
        if not replay.vcpus:
            replay = read_once(Xentrace(reader.source, clock_hz), gaps(Xentrace(reader.source, clock_hz)))
    if not replay.vcpus:
        raise TraceError(
            f"{reader.source.name}: holds no exit and no entry of a vCPU; a replay needs records of the HVM class "
            "(xentrace -e all)"
        )
    if len(replay.vcpus) > MOST_VCPUS:
        raise TraceError(
            f"{reader.source.name}: {len(replay.vcpus):,} vCPUs run by VM entry; expected at most {MOST_VCPUS:,}"
        )
    return replay


def gaps(reader: Xentrace) -> Gaps:
    """Read a recording for the times between exits and entries."""
    found = Gaps()
    for rows in reader.rows():
        found.rows(rows)
    return found


def read_once(reader: Xentrace, between: Gaps | None) -> Replay:
    """Read a recording for its arrivals; with ``between`` a pCPU's guests count as one vCPU. Errors: TraceError."""
    reader.keeps = True
    arrivals = Arrivals(
        lambda pcpu, n: reader.of_pcpu[pcpu].places[n],
        lambda pcpu, n: reader.of_pcpu[pcpu].slices[n],
        lambda vcpu: reader.vcpus[vcpu].vm,
        reader.pcpus == 1,
    )
    recorded = Counts()

    def vcpu_of(pcpu: int) -> int:
        reader.vcpus.append(Vcpu(f"p{pcpu}", 0, -1))
        return len(reader.vcpus) - 1

    alone = None if between is None else Unscheduled(between.longest_stay(), vcpu_of)
    with Patience(f"reading {reader.source.name}", reader.size) as tick:
        reader.tick = tick
        for rows in reader.rows() if alone is None else alone.batches(reader.rows()):
            arrivals.rows(rows)
            recorded.rows(rows, True)
    return Replay(reader, arrivals, recorded, alone)


def as_json(replay: Replay, lines: list[Line], comparison: Comparison, preset: Preset) -> dict[str, Any]:
    """Make the document of the contract."""
    reader = replay.reader
    return {
        "file": reader.source.name, "format": reader.format, "clock_hz": reader.clock_hz,
        "duration_ns": reader.duration_ps // 1000, "vendor": reader.vendor(), "costs": preset.name,
        "vcpus": [reader.vcpus[v].name() for v in replay.vcpus], "arrivals": replay.arrived,
        "rows": [line.as_json() for line in lines], "window_tax": comparison.tax(), "problems": reader.problems,
        "notes": [*reader.notes, *explanation(replay, comparison)],
    }  # fmt: skip


def show(out: Console, replay: Replay, lines: list[Line], comparison: Comparison) -> None:
    """Print both sides."""
    reader = replay.reader
    names = ", ".join(reader.vcpus[v].name() for v in replay.vcpus)
    out.print(f"[bold]{reader.source.name}[/]: {ns(reader.duration_ps // 1000)}, {reader.vendor()}, replayed: {names}")
    out.print(f"{replay.arrived:,} interrupts for these guests and their own exits were given; costs: {replay.costs}")
    t = table(["quantity", "recorded", "simulated", "differs", "given", "this row is"])
    for line in lines:
        difference = line.difference()
        shown = "–" if difference is None else f"{difference:+.1f} %"
        recorded = "–" if line.basis == UNRECORDED else f"{line.recorded:,}"
        simulated = f"{line.simulated:,}" if line.most is None else f"{line.simulated:,}–{line.most:,}"
        t.add_row(line.quantity, recorded, simulated, shown, f"{line.given:,}", line.basis)
    out.print()
    out.print(t)
    legend = (
        "given: taken from the recording, no prediction (a side differs where the simulated host could not follow); "
        "mixed: the rest of the row is predicted"
    )
    if any(line.basis == UNRECORDED for line in lines):
        legend += "; not recorded: the file has no such records"
    if any(line.basis == UNTOLD for line in lines):
        legend += "; not predictable: what decides the row is not in the file, and what, is said below"
    out.print(legend)
    out.print()
    for sentence in explanation(replay, comparison):
        out.print(sentence)


def run(args: argparse.Namespace) -> int:
    """Do it. Returns: 0. Errors: TraceError for a recording or a cost table that cannot be used."""
    clock_hz = frequency(args.cpu_hz)
    Preset(args.costs, 2_400_000_000, {})
    replay = read(args.trace, clock_hz)
    preset = Preset(args.costs, replay.reader.clock_hz, {})
    replay.simulate(preset, not args.interrupts_on)
    comparison = replay.compare()
    lines = replay.lines(comparison)
    for problem in replay.reader.problems:
        console(stderr=True).print(f"exitless: partial result: {problem}", soft_wrap=True)
    if args.json != "-":
        show(console(), replay, lines, comparison)
    if args.out:
        store(replay.record, args.out)
    if args.json:
        write_json(as_json(replay, lines, comparison, preset), args.json)
    return 0
