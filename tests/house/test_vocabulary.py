"""The vocabulary is closed: one row a kind, one kind a row, and every word is there to be used."""

import ast
from collections import Counter

from exitless.vocab.exits import VMX_NAMES, Exit
from exitless.vocab.kinds import Kind
from exitless.vocab.table import BY_KIND, BY_NAME, TABLE
from tests.house.tree import SRC, compiled, report, sources, tree


def constants(of: str, path) -> dict[str, int]:
    """Return the numbered constants of a class, read from the source so that both forms are judged alike."""
    for node in tree(path).body:
        if isinstance(node, ast.ClassDef) and node.name == of:
            return {
                entry.target.id: ast.literal_eval(entry.value)
                for entry in node.body
                if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name) and entry.value is not None
            }
    raise AssertionError(f"no class {of} in {path}")


KINDS = constants("Kind", SRC / "vocab" / "kinds.py")


def test_every_kind_has_exactly_one_row_and_every_row_a_kind() -> None:
    rows = Counter(row.kind for row in TABLE)
    numbers = Counter(KINDS.values())
    problems = [f"Kind.{kind} has {rows[number]} rows" for kind, number in KINDS.items() if rows[number] != 1]
    problems += [
        f"row {row.name} has the number {row.kind}, which no Kind has" for row in TABLE if row.kind not in numbers
    ]
    problems += [f"the number {number} belongs to {times} kinds" for number, times in numbers.items() if times != 1]
    report(problems, "Give each kind in vocab/kinds.py its own number and one row in vocab/table.py.")
    assert len(BY_KIND) == len(BY_NAME) == len(TABLE), "two rows of vocab/table.py share a name"


def test_rows_are_named_after_their_kinds_and_say_what_happens() -> None:
    by_number = {number: kind for kind, number in KINDS.items()}
    problems = [
        f"{row.name} is Kind.{by_number[row.kind]}"
        for row in TABLE
        if row.name.upper().replace(".", "_") != by_number[row.kind]
    ]
    problems += [f"{row.name} says nothing" for row in TABLE if len(row.says.split()) < 3]
    report(
        problems, "Name the row as the kind, with a dot for the first underscore, and say in one clause what happens."
    )


def test_the_class_and_its_source_agree() -> None:
    """The compiled class must hold the numbers that the source shows."""
    assert {kind: getattr(Kind, kind) for kind in KINDS} == KINDS


def test_kinds_fit_the_packed_column() -> None:
    assert max(KINDS.values()) < 65536 and min(KINDS.values()) > 0, "a kind has 16 bits of a packed word, and 0 is none"


def test_every_exit_reason_has_the_name_of_its_number() -> None:
    exits = constants("Exit", SRC / "vocab" / "exits.py")
    problems = [
        f"Exit.{reason} is {number}, named {VMX_NAMES.get(number, 'nothing')}"
        for reason, number in exits.items()
        if number >= 0 and VMX_NAMES.get(number) != reason
    ]
    report(problems, "Correct the number or the name; both are the manual's.")
    assert Exit.NONE < 0, "no exit must be no exit reason"


def test_every_kind_is_recorded_or_read_somewhere() -> None:
    """A word nobody says is taken out of the vocabulary, or given to whoever should say it."""
    speakers = [path for path in sources() if path.relative_to(SRC).parts[0] in {"sim", "traces", "check", "mech"}]
    said = {
        node.attr
        for path in {*speakers, *compiled()}
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Kind"
    }
    report(sorted(f"Kind.{kind}" for kind in KINDS if kind not in said), "Nothing records these kinds.")
