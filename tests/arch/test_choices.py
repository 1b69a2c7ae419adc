"""The switches for what the manuals leave open: tables with the same defaults, and each of them is read by a rule."""

import ast
import re

import pytest

from exitless.arch.choices import CHOICES, Choice, Choices
from exitless.arch.vmx.choices import VMX_CHOICES, VmxChoices
from tests.house.tree import SRC

MARKS = {"from memory", "open", "derived", "code reading"}
ALL = [*CHOICES, *VMX_CHOICES]
TABLES = [("choices.py", "Choices", CHOICES, Choices), ("vmx/choices.py", "VmxChoices", VMX_CHOICES, VmxChoices)]
tables = pytest.mark.parametrize(("file", "name", "rows", "unit"), TABLES, ids=["all", "vmx"])


def attributes(file: str, name: str) -> list[str]:
    """Return what a class sets, read from its source, for compiled classes have no dictionary."""
    module = ast.parse((SRC / "arch" / file).read_text(encoding="utf-8"))
    made = next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)
    return [
        n.target.attr for n in ast.walk(made) if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Attribute)
    ]


@tables
def test_the_table_has_every_switch_once_with_its_default(file: str, name: str, rows: list[Choice], unit: type) -> None:
    assert [row.name for row in rows] == attributes(file, name)


@tables
def test_every_switch_begins_with_the_default_of_its_row(file: str, name: str, rows: list[Choice], unit: type) -> None:
    assert {row.name: row.default for row in rows} == {row.name: getattr(unit(), row.name) for row in rows}


def test_every_row_says_what_it_decides_and_where_the_question_comes_from() -> None:
    for row in ALL:
        assert row.mark in MARKS, row.name
        assert row.decides.endswith(".") and len(row.decides.split()) > 4, row.name
        assert "- " not in row.decides, row.name
        assert row.name.split("_")[0] in ("apic", "timer", "msi", "ioapic", "vtd", "svm", "avic", "vmx"), row.name
    assert len({row.name for row in ALL}) == len(ALL)


def test_every_switch_is_read_by_a_rule_and_turned_by_a_test() -> None:
    rules = "\n".join(path.read_text(encoding="utf-8") for path in sorted((SRC / "arch").rglob("*.py")))
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((SRC.parents[1] / "tests" / "arch").glob("test_*.py"))
    )
    for row in ALL:
        assert re.search(rf"choices\.{row.name}\b", rules), f"no rule reads {row.name}"
        assert re.search(rf"choices\.{row.name} = |\b{row.name}=", tests), f"no test of tests/arch turns {row.name}"


@tables
def test_two_units_do_not_share_their_choices(file: str, name: str, rows: list[Choice], unit: type) -> None:
    first, second = unit(), unit()
    setattr(first, rows[0].name, 7)
    assert getattr(second, rows[0].name) == rows[0].default
