"""Writes docs/vocabulary.md and docs/coverage.md from the source: ``make pages``. A house test holds them current."""

import sys
from collections import defaultdict
from pathlib import Path

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


PAGES = {"vocabulary.md": vocabulary_page, "coverage.md": sources_page}


def main(folder: Path = ROOT / "docs") -> int:
    """Write every page."""
    for file, page in PAGES.items():
        (folder / file).write_text(page(), encoding="utf-8")
        print(f"docs/{file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
