"""``exitless list``: what there is, one sentence and a citation each."""

import argparse
import ast
from importlib import resources
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from exitless.arch.choices import CHOICES
from exitless.arch.vmx.choices import VMX_CHOICES
from exitless.bits import units
from exitless.cli.output import console, write_json
from exitless.mech.catalog import CATALOG
from exitless.scenario import library_names, load
from exitless.scenario.costs import COST_NAMES, Preset
from exitless.scenario.sweeps import read_study, study_names
from exitless.study.cites import reference
from exitless.vocab.table import TABLE

TOPICS = ("mechanisms", "scenarios", "studies", "costs", "worlds", "kinds", "rules")


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("list", help="what there is: mechanisms, scenarios, studies, costs, worlds, kinds, rules")
    p.add_argument("topic", nargs="?", choices=TOPICS, help="one of them (default: the number of each)")
    p.add_argument("--unverified", action="store_true", help="only rules and switches that no source settles")
    p.add_argument("--json", metavar="FILE", help="write it as JSON (- for standard output)")
    p.set_defaults(run=run)


def mechanisms() -> list[tuple[str, str, str]]:
    """Every row of the catalogue."""
    return [(m.name, f"{m.says} (route: {m.route}; delivery: {m.delivery})", m.cites) for m in CATALOG]


def scenarios() -> list[tuple[str, str, str]]:
    """Every scenario of the library."""
    return [(n, load(n)[0].title, "") for n in library_names()]


def studies() -> list[tuple[str, str, str]]:
    """Every study of the library."""
    return [(n, (found := read_study(n)).file.title, f"scenario: {found.file.scenario}") for n in study_names()]


def costs() -> list[tuple[str, str, str]]:
    """Every step of the default cost table, at 2.4 GHz."""
    preset = Preset("illustrative", 2_400_000_000, {})
    rows = []
    for n, name in enumerate(COST_NAMES):
        cycles = f"{preset.cycles[n]} cycles, " if preset.cycles[n] else ""
        rows.append(
            (
                name,
                f"{cycles}{units.show_time(preset.ps[n])} at 2.4 GHz: {preset.sources[n]}",
                f"origin: {preset.origins[n]}",
            )
        )
    return rows


def worlds() -> list[tuple[str, str, str]]:
    """Every world of the checker."""
    from exitless.check.catalog import world_rows

    return world_rows()


def kinds() -> list[tuple[str, str, str]]:
    """Every kind of event in a record."""
    return [
        (r.name, f"{r.says}; a: {r.a or '–'}; b: {r.b or '–'}", f"KVM {r.kvm or '–'}; Xen {r.xen or '–'}")
        for r in TABLE
    ]


def docstring_cites(text: str) -> list[str]:
    """Take the citation keys out of a docstring."""
    if "Cites:" not in text:
        return []
    tail = " ".join(text.split("Cites:", 1)[1].split())
    return [k.strip().rstrip(".") for k in tail.split(",") if k.strip()]


def rules() -> list[tuple[str, str, str]]:
    """Every public function of the rule floor, read from its source."""
    rows = []

    def walk(folder: Any, prefix: str) -> None:
        for entry in sorted(folder.iterdir(), key=lambda f: f.name):
            if entry.is_dir() and not entry.name.startswith("_"):
                walk(entry, f"{prefix}{entry.name}.")
            elif entry.name.endswith(".py") and entry.name != "__init__.py":
                for node in ast.parse(entry.read_text("utf-8")).body:
                    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                        doc = ast.get_docstring(node) or ""
                        rows.append(
                            (
                                f"{prefix}{entry.name[:-3]}.{node.name}",
                                doc.split("\n\n")[0].split(" Cites:")[0].replace("\n", " "),
                                ", ".join(docstring_cites(doc)),
                            )
                        )

    walk(resources.files("exitless.arch"), "")
    return rows


UNVERIFIED = [
    (
        "switches.rescan_pir",
        "at schedule-in, ON is set when PIR holds something (KVM's order); false follows Xen's source as read, "
        "candidate problem C1",
        "Xen vmx.c vmx_pi_switch_to",
    ),
    (
        "switches.idle_polls",
        "an idle pCPU waits in MWAIT and needs no interprocessor interrupt to be woken; false sends vector 0xfc",
        "Xen softirq.h",
    ),
    (
        "switches.assist_while_blocked",
        "false: a vCPU that has just blocked goes straight to the scheduler; true: it passes vmx_intr_assist first, as "
        "Xen's source reads, and with VT-d posting a wake-up can be lost until the next post",
        "Xen intr.c vmx_intr_assist",
    ),
    (
        "switches.drops_limited",
        "the interrupt by which a device came too often is told to nobody; false hands it on before its source is off",
        "Xen irq.c irq_ratelimit",
    ),
    (
        "mech.direct",
        "ELI's vector identity and injection mode, from memory; only the mechanisms named direct use them",
        "ELI shadow-idt",
    ),
    (
        "vmx.priority",
        "software that writes offset 0A0H of the page of a running guest changes VPPR itself; a processor may keep a "
        "copy of its own",
        "SDM apicv.state",
    ),
    (
        "x86.ioapic",
        "layout of entries and numbers of registers of the I/O APIC, from memory and in accord with Linux's ioapic.c",
        "KVM ioapic.c registers",
    ),
    (
        "mech.procedures.kvm_block, kvm_avic",
        "that KVM says blocked before its last look, and where the IOMMU's steps stand in AVIC's blocking, from memory",
        "KVM kvm_main.c kvm_vcpu_block",
    ),
]


def unverified() -> list[tuple[str, str, str]]:
    """Every switch for what no source settles: the simulator's, and the rules' own with default and mark."""
    rules_own = [(c.name, f"{c.decides} Default {c.default}; {c.mark}.", c.cites) for c in [*CHOICES, *VMX_CHOICES]]
    return UNVERIFIED + rules_own


def run(args: argparse.Namespace) -> int:
    """Do it."""
    makers = {
        "mechanisms": mechanisms,
        "scenarios": scenarios,
        "studies": studies,
        "costs": costs,
        "worlds": worlds,
        "kinds": kinds,
        "rules": rules,
    }
    out = console()
    if args.topic is None:
        for topic in TOPICS:
            out.print(f"{topic}: {len(makers[topic]())}   exitless list {topic}")
        return 0
    rows = unverified() if args.unverified else makers[args.topic]()
    if args.json:
        write_json({args.topic: [{"name": a, "says": b, "cites": c} for a, b, c in rows]}, args.json)
        if args.json == "-":
            return 0
    widest = max(len(name) for name, _, _ in rows)
    t = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, width=min(out.width, 120))
    t.add_column(
        "study" if args.topic == "studies" else args.topic[:-1],
        overflow="fold",
        min_width=min(widest, out.width // 3),
        max_width=out.width // 3,
    )
    t.add_column("what it is, and its source", overflow="fold")
    for name, says, cites in rows:
        source = reference(cites) if args.topic == "mechanisms" else cites
        t.add_row(name, Text.assemble(says, *([("\n" + source, "dim")] if source else [])))
    out.print(t)
    return 0
