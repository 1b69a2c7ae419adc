"""``exitless vectors``: replay conformance vectors against the oracle, and tell every difference."""

import argparse
import time
from collections import Counter
from typing import Any, Final

from msgspec import UNSET
from rich.console import Console
from rich.table import Table

from exitless.arch.vmx.controls import CHECK_REASONS, Check, has_vid
from exitless.arch.vmx.entry import GUEST_REASONS
from exitless.cli.main import near
from exitless.cli.output import console, write_json
from exitless.cli.vector_calls import replay
from exitless.cli.vector_export import export
from exitless.cli.vector_files import LOW, NAMES, Event, Place, Record, RuleRecord, make, read
from exitless.errors import ScenarioError
from exitless.mech.conformance import Play
from exitless.mech.happenings import DO, Happening, Seen
from exitless.vocab.exits import VMX_NAMES, Exit

OP_OF: Final = {number: name for name, number in DO.items()}
QUALIFIED: Final = (Exit.APIC_ACCESS, Exit.EOI_INDUCED, Exit.APIC_WRITE)
COMPARED_BYTES: Final = 0x3F0
EOI_UPPER: Final = 0x0B4
SELF_IPI: Final = 0x3F

# Where the recording leaves the manual: what the vectors' own list calls it, and the sentence that says who is right.
DEVIATIONS: Final = {
    "vid-only-unaligned-write": "with virtual-interrupt delivery but no register virtualization only writes at exactly "
    "080H, 0B0H and 300H are virtualized; the recording virtualizes 0B1H-0B3H and 301H-303H too [SDM apicv.writes]",
    "x2-eoi-upper-dword": "WRMSR 80BH stores eight bytes at 0B0H; the recording leaves 0B4H as it was "
    "[SDM apicv.x2apic-msrs]",
    "x2-selfipi-no-store-3f0": "WRMSR 83FH stores at 3F0H whatever the vector; the recording stores only vectors below "
    "16, which RDMSR 83FH then shows (bytes from 3F0H are not compared) [SDM apicv.x2apic-msrs]",
    "entry-pi-without-tprshadow": "process-posted-interrupts needs virtual-interrupt delivery in force; the recording "
    "enters without the TPR shadow or the secondary controls [SDM vmx.entry-checks]",
}


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("vectors", help="replay conformance vectors against the rules")
    p.add_argument("what", choices=["run", "export"], help="run: replay and compare; export: write ours into a folder")
    p.add_argument(
        "files", nargs="+", metavar="FILE", help="vectors, one JSON object a line, .xz, .gz, .zst too; export: a folder"
    )
    p.add_argument("--category", action="append", default=[], metavar="NAME", help="only this category (repeatable)")
    p.add_argument("--json", metavar="FILE", help="write the results as JSON (- for standard output)")
    p.add_argument("--count", type=int, default=1000, metavar="N", help="export: how many by chance (default 1000)")
    p.add_argument("--seed", type=int, default=1, metavar="N", help="export: what chance begins with (default 1)")
    p.set_defaults(run=run)


class Verdict:
    """What came of one vector: passed, or the first difference, or a known deviation."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.deviation = ""
        self.failed = False
        self.step = -1
        self.expected = ""
        self.got = ""

    def fail(self, step: int, expected: str, got: str, row: Happening | None = None) -> None:
        """Keep the first difference, with the check that refused an entry."""
        self.failed, self.step, self.expected, self.got = True, step, expected, got
        if row is not None and row.check:
            reasons = CHECK_REASONS if row.kind == Seen.FAILED else GUEST_REASONS
            self.got = f"{got} ({reasons[row.check]})"

    def row(self) -> dict[str, Any]:
        """Return the JSON of a failure."""
        record = self.place.record
        return {
            "file": self.place.file, "line": self.place.line, "id": record.id, "category": record.cat,
            "standing": record.standing(), "step": self.step, "expected": self.expected, "got": self.got,
        }  # fmt: skip


def changed_words(event: Event) -> dict[int, int]:
    """Return which words of the page an event of a trace changes, without those that are not compared."""
    words = {int(offset, 16): int(value, 16) for offset, value in event.d.items()}
    return {offset: value for offset, value in words.items() if offset < COMPARED_BYTES}


def seen_words(row: Happening, ignored: frozenset[int]) -> dict[int, int]:
    """Return which words of the page changed in the play."""
    words = row.words
    found = {words[i] * 4: words[i + 1] for i in range(0, len(words), 2)}
    return {offset: value for offset, value in found.items() if offset not in ignored} if ignored else found


def seen_quads(row: Happening) -> dict[int, int]:
    """Return which quadwords of the descriptor changed in the play."""
    quads = row.quads
    return {quads[i]: quads[i + 1] | quads[i + 2] << 32 for i in range(0, len(quads), 3)}


def expected_fields(place: Place, event: Event, vid: bool, ignored: frozenset[int]) -> dict[str, Any]:
    """Return what is compared of one event of a trace. Errors: ScenarioError where no hexadecimal number stands."""
    try:
        return traced_fields(event, vid, ignored)
    except ValueError as problem:
        raise ScenarioError(
            f"{place.file}:{place.line}: vector {place.record.id}: an event of step {event.step} holds no "
            f"hexadecimal number: {problem}"
        ) from None


def traced_fields(event: Event, vid: bool, ignored: frozenset[int]) -> dict[str, Any]:
    """Return what is compared of one event of a trace."""
    kind = event.ev
    fields: dict[str, Any] = {"event": kind, "step": event.step}
    if kind == "step":
        fields["op"], fields["if"] = event.op, event.flag
        if event.val is not UNSET:
            fields["val"] = None if event.val is None else int(str(event.val), 16)
    elif kind == "exit":
        fields["reason"], fields["if"] = event.reason, event.flag
        if event.reason in QUALIFIED:
            fields["qual"] = int(event.qual, 16)
        if vid:
            fields["rvi"], fields["svi"] = event.rvi, event.svi
        if event.reason == Exit.EXTERNAL_INTERRUPT:
            fields["vector"] = int(event.intr_info, 16) & 255 if event.intr_info else None
    elif kind == "vmfail":
        fields["error"] = event.error
    else:
        fields["vec"] = event.vec
        if kind != "isr_eoi_done":
            fields["if"] = event.flag
    if event.d:
        words = changed_words(event)
        fields["page"] = {offset: value for offset, value in words.items() if offset not in ignored}
    if event.pid:
        fields["pid"] = {int(quad, 16): int(value, 16) for quad, value in event.pid.items()}
    return {name: value for name, value in fields.items() if value != {}}


def seen_fields(row: Happening, vid: bool, ignored: frozenset[int]) -> dict[str, Any]:
    """Return what is compared of one event of the play, in the same form."""
    kind = row.kind
    fields: dict[str, Any] = {"event": NAMES[kind], "step": row.step}
    if kind == Seen.STEP:
        name = OP_OF[row.number]
        fields["op"], fields["if"] = name, row.flag
        if name in ("RD", "RDMSR", "RCR8"):
            fields["val"] = row.high << 32 | row.low if row.read else None
    elif kind == Seen.EXIT:
        fields["reason"], fields["if"] = row.number, row.flag
        if row.number in QUALIFIED:
            fields["qual"] = row.qualification
        if vid:
            fields["rvi"], fields["svi"] = row.status & 255, row.status >> 8
        if row.number == Exit.EXTERNAL_INTERRUPT:
            fields["vector"] = row.information if row.information >= 0 else None
    elif kind == Seen.FAILED:
        fields["error"] = row.number
    else:
        fields["vec"] = row.number
        if kind != Seen.EOI_DONE:
            fields["if"] = row.flag
    if row.words:
        fields["page"] = seen_words(row, ignored)
    if row.quads:
        fields["pid"] = seen_quads(row)
    return {name: value for name, value in fields.items() if value != {}}


def is_eoi_upper(expected: dict[str, Any], got: dict[str, Any], ignored: frozenset[int]) -> bool:
    """Tell whether all that differs is the word at 0B4H, or what RDMSR 80BH reads of it later."""
    differs = {name for name in {*expected, *got} if expected.get(name) != got.get(name)}
    if differs == {"page"}:
        mine = dict(got.get("page", {}))
        return bool(mine.pop(EOI_UPPER, -1) == 0 and mine == expected.get("page", {}))
    if differs == {"val"} and EOI_UPPER in ignored and expected["val"] is not None and got["val"] is not None:
        return bool((expected["val"] ^ got["val"]) & LOW == 0)
    return False


def is_self_ipi_read(place: Place, expected: dict[str, Any], got: dict[str, Any]) -> bool:
    """Tell whether all that differs is what RDMSR 83FH reads, and it reads what an earlier WRMSR 83FH wrote.

    Bytes from 3F0H of the page are not compared, so this holds even where the trace must be met.
    """
    if {name for name in {*expected, *got} if expected.get(name) != got.get(name)} != {"val"}:
        return False
    assert isinstance(place.record, Record)
    ops = place.record.ops[: expected["step"] + 1]
    written = {op.val for op in ops if op.op == "WRMSR" and op.off == SELF_IPI and op.val >= 16}
    return ops[-1].op == "RDMSR" and ops[-1].off == SELF_IPI and got["val"] in written


def explain(play: Play, expected: dict[str, Any], got: dict[str, Any], row: Happening, ignored: frozenset[int]) -> str:
    """Return the name of the known deviation behind a difference, or the empty string."""
    controls = play.oracle.controls
    if row.kind == Seen.FAILED and row.check == Check.POSTING_NEEDS_VID and expected["event"] != "vmfail":
        if controls.use_tpr_shadow == 0 or controls.secondary == 0:
            return "entry-pi-without-tprshadow"
    if got.get("reason") == Exit.APIC_ACCESS and expected.get("reason") == Exit.APIC_WRITE:
        offset = got["qual"] & 0xFFF
        beside = 0x0B1 <= offset <= 0x0B3 or 0x301 <= offset <= 0x303
        if beside and expected["qual"] == offset and controls.apic_register_virtualization == 0:
            return "vid-only-unaligned-write"
    if has_vid(controls) and is_eoi_upper(expected, got, ignored):
        return "x2-eoi-upper-dword"
    return ""


def judge(place: Place) -> Verdict:
    """Play one vector and compare it with its trace, event by event, up to the first difference."""
    verdict = Verdict(place)
    if isinstance(place.record, RuleRecord):
        expected_call, got_call = replay(place.file, place.line, place.record)
        if expected_call:
            verdict.fail(0, expected_call, got_call)
        return verdict
    play = make(place)
    play.run()
    trace, log = place.record.trace(), play.log
    vid = has_vid(play.oracle.controls)
    settled = place.record.standing() == "agree"
    ignored: frozenset[int] = frozenset()
    for event, row in zip(trace, log, strict=False):
        expected = expected_fields(place, event, vid, ignored)
        got = seen_fields(row, vid, ignored)
        if expected == got:
            continue
        name = "" if settled else explain(play, expected, got, row, ignored)
        if is_self_ipi_read(place, expected, got):
            name = "x2-selfipi-no-store-3f0"
        if not name:
            verdict.fail(event.step, told(expected), told(got), row)
            return verdict
        verdict.deviation = name
        if name == "x2-eoi-upper-dword":
            ignored = frozenset({EOI_UPPER})
        elif name != "x2-selfipi-no-store-3f0":
            return verdict
    if len(trace) != len(log):
        at = min(len(trace), len(log))
        more = told(expected_fields(place, trace[at], vid, ignored)) if at < len(trace) else "the end"
        mine = told(seen_fields(log[at], vid, ignored)) if at < len(log) else "the end"
        verdict.fail(int(trace[at].step if at < len(trace) else log[at].step), more, mine)
    return verdict


def told(fields: dict[str, Any]) -> str:
    """Return one event in a line."""
    parts = [str(fields["event"])]
    for name, value in fields.items():
        if name == "reason":
            parts.append(f"{VMX_NAMES.get(value & 0xFFFF, value)}{' at entry' if value >> 31 else ''}")
        elif name in ("page", "pid"):
            inner = ", ".join(f"{key:03x}={word:#x}" for key, word in sorted(value.items()))
            parts.append(f"{name} {inner}")
        elif name in ("if", "rvi", "svi"):
            parts.append(f"{name}={value}")
        elif name == "op":
            parts.append(str(value))
        elif name not in ("event", "step"):
            parts.append(f"{name}={'none' if value is None else hex(value)}")
    return " ".join(parts)


class Tally:
    """Counts of one run."""

    def __init__(self) -> None:
        self.passed: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.deviations: Counter[str] = Counter()
        self.unchecked = 0
        self.failures: list[Verdict] = []

    def add(self, verdict: Verdict) -> None:
        """Count one vector."""
        record = verdict.place.record
        self.unchecked += record.standing() == "unchecked"
        if verdict.failed:
            self.failed[record.cat] += 1
            self.failures.append(verdict)
            return
        self.passed[record.cat] += 1
        if verdict.deviation:
            self.deviations[verdict.deviation] += 1

    def document(self, files: list[str], seconds: float) -> dict[str, Any]:
        """Return the JSON of the run."""
        names = sorted({*self.passed, *self.failed})
        return {
            "files": files,
            "passed": self.passed.total(),
            "failed": self.failed.total(),
            "unchecked": self.unchecked,
            "seconds": round(seconds, 3),
            "categories": {name: {"passed": self.passed[name], "failed": self.failed[name]} for name in names},
            "known_deviations": {
                name: {"vectors": count, "says": DEVIATIONS[name]} for name, count in sorted(self.deviations.items())
            },
            "failures": [verdict.row() for verdict in self.failures],
        }


def print_failure(out: Console, verdict: Verdict) -> None:
    """Print one difference."""
    place, record = verdict.place, verdict.place.record
    out.print(
        f"vector {record.id} [{record.cat}] step {verdict.step}  {place.file}:{place.line}",
        markup=False,
        soft_wrap=True,
    )
    out.print(f"  expected  {verdict.expected}", markup=False, soft_wrap=True)
    out.print(f"  got       {verdict.got}", markup=False, soft_wrap=True)


def print_tally(out: Console, tally: Tally, seconds: float) -> None:
    """Print the counts; the last line is the sum."""
    table = Table(box=None, pad_edge=False)
    table.add_column("category")
    for name in ("passed", "failed"):
        table.add_column(name, justify="right")
    for name in sorted({*tally.passed, *tally.failed}):
        table.add_row(name, f"{tally.passed[name]:,}", f"{tally.failed[name]:,}")
    out.print(table)
    for name, count in sorted(tally.deviations.items()):
        out.print(f"known deviation {name}, {count} vectors: {DEVIATIONS[name]}", markup=False, soft_wrap=True)
    if tally.unchecked:
        out.print(f"{tally.unchecked} vectors were recorded without a second opinion and are held to the recording")
    out.print(f"{seconds:.1f} s")
    out.print(f"{tally.passed.total()} passed, {tally.failed.total()} failed")


def run_export(args: argparse.Namespace) -> int:
    """Write vectors of our own into one folder."""
    if len(args.files) != 1:
        raise ScenarioError(f"vectors export: takes one folder, and {len(args.files)} are named")
    if args.count < 1 or not 0 <= args.seed < 1 << 32:
        raise ScenarioError("vectors export: expected --count of 1 or more and --seed from 0 to 4294967295")
    for path, count in export(args.files[0], args.count, args.seed):
        print(f"{path}: {count} vectors")
    return 0


def run(args: argparse.Namespace) -> int:
    """Replay the files, or export ours. Returns: 0, or 1 when a vector failed."""
    if args.what == "export":
        return run_export(args)
    out = console(stderr=args.json == "-")
    tally, there = Tally(), set()
    began = time.perf_counter()
    for file in args.files:
        for place in read(file):
            there.add(place.record.cat)
            if not args.category or place.record.cat in args.category:
                verdict = judge(place)
                tally.add(verdict)
                if verdict.failed:
                    print_failure(out, verdict)
    for name in args.category:
        if name not in there:
            hint = near(name, sorted(there)) or f"; there are {', '.join(sorted(there))}"
            raise ScenarioError(f'vectors --category: no vector is of the category "{name}"{hint}')
    seconds = time.perf_counter() - began
    if args.json:
        write_json(tally.document(list(args.files), seconds), args.json)
    print_tally(out, tally, seconds)
    return int(tally.failed.total() > 0)
