"""Every section of the manuals' chapters is on the coverage page: with rules that tests call, or with a reason."""

import ast
import re

from tests.house.tree import SRC, cites, floor, report, sources, tree
from tests.shared import shared
from tools.coverage import Rule, files_calling, following, keys_of, manuals, numbers, rules

# Top-level sections of each chapter, by the manuals' tables of contents; VT-d's and AMD's lists begin further on.
LAST = {"10": 13, "24": 11, "25": 6, "26": 8, "27": 8, "29": 6, "5": 2, "9": 11, "15": 29}
FIRST = {"9": 9, "15": 20}
APART = {"15": {22, 23, 24, 25, 26, 27, 28}}


def test_section_fields_are_read_with_spans() -> None:
    """``a to b`` names all between; a table's number is no section's."""
    assert sorted(numbers("10.4.7.1 to 10.4.7.3, 6.8, Table 10-1, Appendix C")) == [
        "10.4.7.1", "10.4.7.2", "10.4.7.3", "6.8",
    ]  # fmt: skip


def test_no_section_is_missing() -> None:
    """The numbers under every heading run from 1 without a gap, to the last that the contents name."""
    problems = []
    for manual in manuals():
        known = {section.number for section in manual.sections}
        for chapter in manual.chapters:
            wanted = set(range(FIRST.get(chapter, 1), LAST[chapter] + 1)) - APART.get(chapter, set())
            problems += [f"{chapter}.{number} is missing" for number in wanted if f"{chapter}.{number}" not in known]
        for number in known:
            head, last = number.rsplit(".", 1)
            if "." in head:
                before = head if last == "1" else f"{head}.{int(last) - 1}"
                problems += [f"{before}, before {number}, is missing"] if before not in known else []
    report(problems, "add the section to tools/sections.toml, with a reason where no rule follows it")


def test_every_section_has_rules_or_a_reason() -> None:
    """A section is followed by rules, says why not, or heads sections that are listed; never two of these."""
    problems = []
    for manual in manuals():
        keyed = keys_of(manual.source)
        for section in manual.sections:
            some = following(keyed.get(section.number, []))
            if some and section.why_not:
                problems.append(f"{section.number} has rules and a reason why it has none")
            elif not some and not section.why_not and not manual.below(section.number):
                problems.append(f"{section.number} {section.title} has neither rules nor a reason")
    report(problems, "cite the section in a rule (cites.toml holds its number), or say in tools/sections.toml why not")


def test_cited_sections_exist() -> None:
    """A number that a citation of these chapters names is a section of theirs."""
    problems = []
    for manual in manuals():
        known = {section.number for section in manual.sections}
        for number, keys in keys_of(manual.source).items():
            if number.split(".")[0] in manual.chapters and number not in known:
                problems.append(f"{keys[0]} names {number}")
    report(problems, "cites.toml names sections that the manual does not have")


def test_sections_of_the_facts_are_listed() -> None:
    """Whatever section the digest of the manuals gives as a source is on the page."""
    text = shared("facts/architecture.md").read_text(encoding="utf-8")
    known = {section.number for manual in manuals() for section in manual.sections}
    cited = set(re.findall(r"(?:SDM|APM) (\d+(?:\.\d+)+)", text))
    chapters = {chapter for manual in manuals() for chapter in manual.chapters}
    assert len(cited) > 40
    report(
        sorted(number for number in cited - known if number.split(".")[0] in chapters),
        "add the section to tools/sections.toml",
    )


def calls() -> dict[str, set[str]]:
    """Return, for every function and method of arch and mech, the names that its body uses."""
    found = {}
    for path in sources():
        if floor(path) in ("arch", "mech"):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.FunctionDef):
                    used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
                    used |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
                    place = str(path.relative_to(SRC).with_suffix(""))
                    found[Rule(place, node.name, []).shown()] = used
    return found


def test_every_rule_is_called_by_a_test() -> None:
    """A rule is called by its own name in a test file, or by a rule that is, or by one that this calls, and so on."""
    inside = calls()
    called = {shown: shown.strip("`").rsplit(".", 1)[-1] for shown in inside}
    direct = {shown for shown, files in files_calling().items() if files}
    reached = {shown for shown in inside if shown in direct or shown.startswith("`mech/")}
    while True:
        used = set().union(*(inside[shown] for shown in reached))
        more = {shown for shown, name in called.items() if name in used} - reached
        if not more:
            break
        reached |= more
    open_rules = {rule.shown() for rule in rules() if rule.place.startswith("arch/") and rule.called.islower()}
    assert len(open_rules) > 300
    report(sorted(open_rules - reached), "no test calls these rules, nor any rule that calls them")


def test_every_key_has_a_source_and_a_section() -> None:
    """A citation can be looked up."""
    report([key for key, entry in cites().items() if not entry["source"] or not entry["section"]], "fill in cites.toml")
