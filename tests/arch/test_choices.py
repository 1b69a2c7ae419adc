"""The switches for what the manuals leave open: one table, the same defaults, and each of them is read by a rule."""

import ast
import re

from exitless.arch import choices
from exitless.arch.choices import CHOICES, Choices
from tests.house.tree import SRC

MARKS = {"from memory", "open", "derived", "code reading"}


def attributes() -> list[str]:
    """Return what the class sets, read from its source, for compiled classes have no dictionary."""
    module = ast.parse((SRC / "arch" / "choices.py").read_text(encoding="utf-8"))
    made = next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Choices")
    return [
        n.target.attr for n in ast.walk(made) if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Attribute)
    ]


def test_the_table_has_every_switch_once_with_its_default() -> None:
    names = [row.name for row in CHOICES]
    assert names == attributes()


def test_every_switch_begins_with_the_default_of_its_row() -> None:
    assert {row.name: row.default for row in CHOICES} == {
        name: getattr(Choices(), name) for name in {row.name for row in CHOICES}
    }


def test_every_row_says_what_it_decides_and_where_the_question_comes_from() -> None:
    for row in CHOICES:
        assert row.mark in MARKS, row.name
        assert row.decides.endswith(".") and len(row.decides.split()) > 4, row.name
        assert row.name.split("_")[0] in ("apic", "timer", "msi", "ioapic", "vtd", "svm", "avic"), row.name


def test_every_switch_is_read_by_a_rule_and_turned_by_a_test() -> None:
    rules = "\n".join(path.read_text(encoding="utf-8") for path in sorted((SRC / "arch").rglob("*.py")))
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((SRC.parents[1] / "tests" / "arch").glob("test_*.py"))
    )
    for name in attributes():
        assert re.search(rf"choices\.{name}\b", rules), f"no rule reads {name}"
        assert re.search(rf"choices\.{name} = ", tests), f"no test of tests/arch turns {name}"


def test_two_units_do_not_share_their_choices() -> None:
    first, second = choices.Choices(), choices.Choices()
    first.vtd_fault_index = 1
    assert second.vtd_fault_index == 33
