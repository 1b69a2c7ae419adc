"""Writes docs/vocabulary.md, docs/coverage.md and docs/properties.md from the source: ``make pages``.

A house test holds them current.
"""

import sys
from collections import defaultdict
from pathlib import Path

from exitless.check.catalog import make
from exitless.check.explore import STATES_AT_MOST, explore
from exitless.check.path import counterexample
from exitless.check.properties import properties
from exitless.check.property import law_name
from exitless.vocab.table import TABLE
from tests.house.tree import ROOT
from tools.coverage import coverage_page

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


PAGES = {"vocabulary.md": vocabulary_page, "coverage.md": sources_page, "properties.md": properties_page}


def main(folder: Path = ROOT / "docs") -> int:
    """Write every page."""
    for file, page in PAGES.items():
        (folder / file).write_text(page(), encoding="utf-8")
        print(f"docs/{file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
