"""Writes docs/vocabulary.md, docs/coverage.md and docs/properties.md from the source: ``make pages``.

A house test holds them current.
"""

import ast
import sys
from collections import defaultdict
from pathlib import Path

from exitless.check.catalog import make
from exitless.check.explore import STATES_AT_MOST, explore
from exitless.check.path import counterexample
from exitless.check.properties import properties
from exitless.check.property import law_name
from exitless.vocab.table import TABLE
from tests.house.tree import ROOT, cited, cites, floor, module, name, public, sources

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


def tests_of() -> dict[str, list[str]]:
    """Return for every module of the package the test files that import it or something of it."""
    found: dict[str, set[str]] = defaultdict(set)
    modules = {module(path) for path in sources()}
    for test in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(test.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                names = {alias.name for alias in node.names}
            else:
                continue
            for wanted in names & modules:
                found[wanted].add(str(test.relative_to(ROOT / "tests")))
    return {wanted: sorted(files) for wanted, files in found.items()}


def coverage_page() -> str:
    """Return the page of sources: section, the rules that cite it, the tests that import those rules."""
    rules: dict[str, list[str]] = defaultdict(list)
    tests: dict[str, set[str]] = defaultdict(set)
    tested = tests_of()
    for path in sources():
        for qualified, node in public(path):
            for key in cited(ast.get_docstring(node)):
                rules[key].append(f"`{name(path).removesuffix('.py')}.{qualified}`")
                tests[key] |= set(tested.get(module(path), []))
    parts = [GENERATED, "# Coverage\n\nWhich rule follows which section, and which test files import it."]
    by_source: dict[str, list[str]] = defaultdict(list)
    for key, entry in cites().items():
        who = "<br>".join(sorted(set(rules.get(key, [])))) or "data or module text"
        where = "<br>".join(f"`{test}`" for test in sorted(tests.get(key, set()))) or "-"
        by_source[entry["source"]].append(f"| {key} | {entry['section']} | {entry['title']} | {who} | {where} |")
    head = "| key | section | title | cited by | tests |\n| --- | --- | --- | --- | --- |"
    for source in sorted(by_source):
        parts.append(f"## {source}\n\n{head}\n" + "\n".join(sorted(by_source[source])))
    arch = [qualified for path in sources() if floor(path) == "arch" for qualified, _ in public(path)]
    parts.append(f"{len(arch)} public names in `arch`, {len(cites())} sections cited.")
    return "\n\n".join(parts) + "\n"


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


PAGES = {"vocabulary.md": vocabulary_page, "coverage.md": coverage_page, "properties.md": properties_page}


def main(folder: Path = ROOT / "docs") -> int:
    """Write every page."""
    for file, page in PAGES.items():
        (folder / file).write_text(page(), encoding="utf-8")
        print(f"docs/{file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
