"""Writes docs/vocabulary.md, docs/coverage.md, docs/properties.md and docs/laws.md from the source: ``make pages``.

A house test holds them current.
"""

import sys
from collections import defaultdict
from pathlib import Path

from exitless.arch.laws import INVARIANTS, LAW_NAMES, PREDICATES
from exitless.check.catalog import make
from exitless.check.explore import STATES_AT_MOST, explore
from exitless.check.path import counterexample
from exitless.check.properties import properties
from exitless.check.property import law_name
from exitless.scenario import library_names, load
from exitless.vocab.table import TABLE
from tests.house.tree import ROOT, SRC
from tools.coverage import coverage_page
from tools.judged import judge_page
from tools.whatif_page import whatif_page

GENERATED = "<!-- written by `make pages`; edit the source, not this page -->"


def vocabulary_page() -> str:
    """Return the page of event kinds: one table a group, in the order of their numbers."""
    groups: dict[str, list[str]] = defaultdict(list)
    for row in sorted(TABLE, key=lambda row: row.kind):
        origins = "; ".join(f"{tracer} {word}" for tracer, word in (("KVM", row.kvm), ("Xen", row.xen)) if word)
        seen = "model only" if row.model_only else origins or "-"
        groups[row.group].append(
            f"| {row.kind} | `{row.name}` | {row.says} | {row.a or '-'} | {row.b or '-'} | {seen} |"
        )
    head = "| number | kind | what happens | a | b | in real traces |\n| --- | --- | --- | --- | --- | --- |"
    tables = [f"## {group}\n\n{head}\n" + "\n".join(rows) for group, rows in groups.items()]
    start = (
        "# Vocabulary\n\nEvery row of a record is `time_ps kind pcpu vcpu a b`. These are the kinds, "
        "and what `a` and `b` mean in each.\n"
    )
    return "\n\n".join([GENERATED, start + "\n" + tables[0], *tables[1:]]) + "\n"


def sources_page() -> str:
    """Return docs/coverage.md."""
    return f"{GENERATED}\n\n{coverage_page()}"


def judged_page() -> str:
    """Return docs/judge.md."""
    return f"{GENERATED}\n\n{judge_page()}"


def whatif_rules_page() -> str:
    """Return docs/whatif.md."""
    return f"{GENERATED}\n\n{whatif_page()}"


def properties_page() -> str:
    """Return the page of properties: each mutation is explored, and its shortest counterexample measured."""
    head = "| property | says | world or test | mutation | steps | law that breaks |\n"
    head += "| --- | --- | --- | --- | ---: | --- |\n"
    rows = []
    for found in properties():
        for world, mutation in found.shown:
            search = explore(make(world, mutation), STATES_AT_MOST)
            law = law_name(search.law)
            steps = len(counterexample(search).steps)
            rows.append(f"| {found.number} | {found.says} | `{world}` | `{mutation}` | {steps} | {law} |")
        for test in found.tests:
            file, function = test.split("::")
            rows.append(
                f"| {found.number} | {found.says} | `tests/check/{file}` | `{function}` | - | the twin is wrong |"
            )
    start = (
        "# Properties\n\nWhat the worlds of [check.md](check.md) and a few tests prove: each property, and the wrong "
        "order that breaks it.\nUnmutated, every world holds. `exitless check WORLD --mutate NAME` shows the counter"
        "example."
    )
    return "\n\n".join([GENERATED, start, head + "\n".join(rows)]) + "\n"


# The ten sentences, in the words of the source that they were read from.
SENTENCES = {
    "I1": "At VM entry with virtual-interrupt delivery the window is armed, or RVI covers VIRR.",
    "I2": "SN = 0 and PIR not empty: ON = 1.",
    "I3": "Running: NV = notification, NDST = this pCPU, SN = 0.",
    "I4": "Blocked with posting: NV = wake-up, and on the list of the pCPU in NDST.",
    "I5": "Unmasked and pending: selector bit (FIFO: LINKED), or the guest is in its loop, or an unmask is under way.",
    "I6": "Selector bit or READY: upcall_pending, or the guest is in its loop.",
    "I7": "upcall_pending and deliverable: not blocked.",
    "I8": "The pending-EOI stack increases strictly and is the set of ISR bits of interrupts of type EOI.",
    "I9": "Every physical interrupt of a bound, unmasked source is followed by a raise, or merged into one.",
    "I10": "SVI = highest vector in VISR.",
}


def worlds_with(predicate: str) -> list[str]:
    """Return the files of worlds that ask a predicate of arch.laws."""
    folder = SRC / "check" / "worlds"
    return sorted(f.stem.replace("_", "-") for f in folder.glob("*.py") if predicate and predicate in f.read_text())


def laws_page() -> str:
    """Return the page of laws: which asks which invariant, and where."""
    head = "| invariant | sentence | law | what it asks | predicate of `arch/laws.py` | also asked in worlds |\n"
    head += "| --- | --- | ---: | --- | --- | --- |\n"
    rows = []
    for invariant, laws in INVARIANTS.items():
        for n, law in enumerate(laws):
            said = f"{invariant} | {SENTENCES[invariant]}" if n == 0 else " | "
            predicate = f"`{PREDICATES[law]}`" if PREDICATES[law] else "a count"
            worlds = ", ".join(f"`{world}`" for world in worlds_with(PREDICATES[law])) or "-"
            rows.append(f"| {said} | {law} | {LAW_NAMES[law]} | {predicate} | {worlds} |")
    ways = sum(len(load(name)[0].run.mechanisms) for name in library_names())
    start = (
        "# Laws\n\n`exitless run SCENARIO --laws` asks every law below of every vCPU, pCPU, source and interrupt after "
        f"every event.\nA test runs each of the {len(library_names())} scenarios of the library so, under each of its "
        f"mechanisms: {ways} runs. Another sets one word\nof state wrong for each law and sees that the law is named. "
        "What is on its way (a guest in its loop, do_IRQ before its\nfan-out, a tasklet) is read from the machine, not "
        "assumed.\nI2 is not asked where a scenario sets `switches.rescan_pir = false`: that is candidate C1, which "
        "breaks it."
    )
    return "\n\n".join([GENERATED, start, head + "\n".join(rows)]) + "\n"


PAGES = {
    "vocabulary.md": vocabulary_page, "coverage.md": sources_page, "properties.md": properties_page,
    "laws.md": laws_page, "judge.md": judged_page, "whatif.md": whatif_rules_page,
}  # fmt: skip


def main(folder: Path = ROOT / "docs") -> int:
    """Write every page."""
    for file, page in PAGES.items():
        (folder / file).write_text(page(), encoding="utf-8")
        print(f"docs/{file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
