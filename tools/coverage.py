"""Makes docs/coverage.md: every section of the manuals' chapters, the rules that follow it, their tests and vectors."""

import ast
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache

from exitless.cli.vector_export import MEANT
from exitless.cli.vector_rules import LEFT_OUT
from exitless.cli.vector_shapes import catalogue
from tests.house.tree import ROOT, SRC, cited, cites, floor, module, public, sources

NUMBER = re.compile(r"\d+(?:\.\d+)+")
SPAN = re.compile(r"(\d+(?:\.\d+)+) to (\d+(?:\.\d+)+)")


@dataclass
class Section:
    """One numbered section of a manual, and why no rule follows it (empty where one does)."""

    number: str
    title: str
    why_not: str


@dataclass
class Manual:
    """The chapters of one manual that the rules stand in."""

    source: str
    chapters: dict[str, str]
    sections: list[Section] = field(default_factory=list)

    def below(self, number: str) -> list[Section]:
        """Return the sections under a number."""
        return [section for section in self.sections if section.number.startswith(f"{number}.")]


@dataclass
class Rule:
    """One public name of the package that cites a source."""

    place: str
    called: str
    keys: list[str]

    def shown(self) -> str:
        """Return how the page calls it: the folder, the file, the name."""
        return f"`{self.place}.{self.called}`"


@cache
def manuals() -> list[Manual]:
    """Return what tools/sections.toml holds, in its order."""
    found = []
    for row in tomllib.loads((ROOT / "tools" / "sections.toml").read_text(encoding="utf-8"))["manual"]:
        sections = [
            Section(number, entry["title"], entry.get("not_modelled", "")) for number, entry in row["sections"].items()
        ]
        found.append(Manual(row["source"], row["chapters"], sections))
    return found


def numbers(text: str) -> list[str]:
    """Return the section numbers that the section field of a citation names; ``a to b`` names all between."""
    found = NUMBER.findall(re.sub(r"\b(?:Table|Figure) [\d-]+", "", SPAN.sub("", text)))
    for first, last in SPAN.findall(text):
        head, start = first.rsplit(".", 1)
        found += [f"{head}.{number}" for number in range(int(start), int(last.rsplit(".", 1)[1]) + 1)]
    return found


@cache
def rules() -> list[Rule]:
    """Return every public name whose docstring cites something."""
    found = []
    for path in sources():
        for called, node in public(path):
            keys = cited(ast.get_docstring(node))
            if keys:
                found.append(Rule(str(path.relative_to(SRC).with_suffix("")), called, keys))
    return found


def _names(test: ast.Module) -> tuple[set[str], set[str]]:
    """Return the modules that a test file imports, and every name that it uses."""
    modules: set[str] = set()
    used: set[str] = set()
    for node in ast.walk(test):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            used |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Name):
            used.add(node.id)
        elif isinstance(node, ast.Attribute):
            used.add(node.attr)
    return modules, used


@cache
def files_calling() -> dict[str, list[str]]:
    """Return, for every cited name of the package, the test files that import its module and call it by its name."""
    found: dict[str, list[str]] = defaultdict(list)
    known = {module(path): str(path.relative_to(SRC).with_suffix("")) for path in sources()}
    for test in sorted((ROOT / "tests").rglob("*.py")):
        if test.is_relative_to(ROOT / "tests" / "house"):
            continue
        modules, used = _names(ast.parse(test.read_text(encoding="utf-8")))
        places = {known[name] for name in modules if name in known}
        for rule in rules():
            if rule.place in places and rule.called.rsplit(".", 1)[-1] in used:
                found[rule.shown()].append(str(test.relative_to(ROOT / "tests")))
    return found


def exported(rule: Rule) -> bool:
    """Tell whether ``exitless vectors export`` writes vectors of a rule."""
    dotted = rule.place.removeprefix("arch/").replace("/", ".") + "." + rule.called
    return dotted in catalogue().rules and dotted not in LEFT_OUT


def recorded(rule: Rule) -> list[str]:
    """Return the categories of whole-processor vectors that stand for a rule."""
    dotted = rule.place.removeprefix("arch/").replace("/", ".") + "." + rule.called
    return sorted(category for category, meant in MEANT.items() if meant == dotted)


def keys_of(source: str) -> dict[str, list[str]]:
    """Return the citation keys of one source by the section numbers that they name."""
    found: dict[str, list[str]] = defaultdict(list)
    for key, entry in cites().items():
        if entry["source"] == source:
            for number in numbers(entry["section"]):
                found[number].append(key)
    return found


def following(keys: list[str]) -> list[Rule]:
    """Return the rules that cite one of some keys."""
    return [rule for rule in rules() if set(rule.keys) & set(keys)]


def _cells(some: list[Rule]) -> tuple[str, str, str]:
    """Return three columns for some rules: themselves, their test files, their vectors."""
    who = "<br>".join(sorted({rule.shown() for rule in some})) or "-"
    files = sorted({file for rule in some for file in files_calling().get(rule.shown(), [])})
    tests = "<br>".join(f"`{file}`" for file in files) or "-"
    count = sum(exported(rule) for rule in some)
    groups = sorted({name for rule in some for name in recorded(rule)})
    said = [f"{count} rules exported"] if count else []
    said += [f"recorded: {', '.join(groups)}"] if groups else []
    return who, tests, "; ".join(said) or "-"


def manual_part(manual: Manual) -> str:
    """Return one manual's part of the page: a row for every section of its chapters."""
    keyed = keys_of(manual.source)
    parts = [f"## {manual.source}"]
    for chapter, title in manual.chapters.items():
        lines = [
            f"### {chapter} {title}\n",
            "| section | title | rules | tests | vectors |",
            "| --- | --- | --- | --- | --- |",
        ]
        for section in manual.sections:
            if not section.number.startswith(f"{chapter}."):
                continue
            some = following(keyed.get(section.number, []))
            if some:
                who, tests, vectors = _cells(some)
            elif section.why_not:
                who, tests, vectors = f"not modelled: {section.why_not}", "-", "-"
            else:
                who, tests, vectors = f"the {len(manual.below(section.number))} sections below", "-", "-"
            lines.append(f"| {section.number} | {section.title} | {who} | {tests} | {vectors} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def others_part() -> str:
    """Return the sources that have no chapters: source files, papers, and appendices and tables of the manuals."""
    listed = {manual.source: {section.number for section in manual.sections} for manual in manuals()}
    by_source: dict[str, list[str]] = defaultdict(list)
    for key, entry in cites().items():
        outside = set(numbers(entry["section"])) - listed.get(entry["source"], set())
        if entry["source"] in listed and numbers(entry["section"]) and not outside:
            continue
        who, tests, vectors = _cells(following([key]))
        by_source[entry["source"]].append(
            f"| {key} | {entry['section']} | {entry['title']} | {who} | {tests} | {vectors} |"
        )
    head = "| key | section | title | rules | tests | vectors |\n| --- | --- | --- | --- | --- | --- |"
    return "\n\n".join(
        f"## {source}{' (other chapters)' if source in listed else ''}\n\n{head}\n" + "\n".join(sorted(rows))
        for source, rows in sorted(by_source.items())
    )


def coverage_page() -> str:
    """Return docs/coverage.md without its first line."""
    every = [section for manual in manuals() for section in manual.sections]
    without = sum(bool(section.why_not) for section in every)
    in_arch = [f"{module(path)}.{called}" for path in sources() if floor(path) == "arch" for called, _ in public(path)]
    intro = (
        "# Coverage\n\nEvery section of the manuals' chapters that are modelled: the rules that follow it, the test "
        "files that call those rules by name, and\nwhether `exitless vectors export` writes vectors of them; or why no "
        "rule follows it. After the manuals come the sources that\nhave no chapters.\n\n"
        f"{len(every)} sections, of which {without} are not modelled and say why; {len(cites())} citation keys; "
        f"{len(in_arch)} public names in `arch`."
    )
    return "\n\n".join([intro, *map(manual_part, manuals()), others_part()]) + "\n"
