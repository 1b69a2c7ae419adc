"""Data flows down the hourglass: nobody imports its own consumer, and the core imports almost nothing."""

import ast
import sys

import pytest

from tests.house.layers import ARCH_IMPORTS, EXTRAS, MAY_IMPORT, OUTSIDE
from tests.house.tree import ROOT, SRC, Function, floor, imports, name, public, report, sources, tree


def test_every_floor_imports_only_what_the_table_allows() -> None:
    problems = []
    for path in sources():
        here = floor(path)
        if here not in MAY_IMPORT:
            problems.append(f"{name(path)}: the floor {here} is not in the table")
            continue
        for line, target in imports(path):
            parts = target.split(".")
            if parts[0] == "exitless" and len(parts) > 1:
                there = parts[1]
                if there not in MAY_IMPORT[here] | {here, "errors"}:
                    problems.append(f"{name(path)}:{line} ({here}) imports {target} ({there})")
    report(
        problems,
        "Move the code to a floor that may import this, or pass the value in; the table is tests/house/layers.py.",
    )


def test_the_table_names_no_floor_that_is_gone_and_has_no_circle() -> None:
    there = {floor(path) for path in sources()}
    assert set(MAY_IMPORT) <= there, f"take out of tests/house/layers.py: {sorted(set(MAY_IMPORT) - there)}"
    reached = {here: set(allowed) for here, allowed in MAY_IMPORT.items()}
    for _ in reached:
        for targets in reached.values():
            for target in list(targets):
                targets |= reached[target]
    circles = sorted(here for here, targets in reached.items() if here in targets)
    assert not circles, f"these floors could import themselves through others: {circles}"


def _late_imports(path) -> set[int]:
    """Return the lines of imports that stand inside a function or under TYPE_CHECKING."""
    lines = set()
    for node in ast.walk(tree(path)):
        guarded = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if isinstance(node, Function) or guarded:
            lines |= {inner.lineno for inner in ast.walk(node) if isinstance(inner, ast.Import | ast.ImportFrom)}
    return lines


def test_outside_modules_come_in_only_where_the_table_allows() -> None:
    problems = []
    for path in sources():
        late = _late_imports(path)
        for line, target in imports(path):
            root = target.split(".")[0]
            if root == "exitless" or root in sys.stdlib_module_names:
                continue
            if root in EXTRAS:
                if floor(path) not in EXTRAS[root]:
                    problems.append(f"{name(path)}:{line} imports the extra {root}")
                elif line not in late:
                    problems.append(f"{name(path)}:{line} imports the extra {root} outside a function")
            elif floor(path) not in OUTSIDE.get(root, frozenset()):
                problems.append(f"{name(path)}:{line} imports {root}")
    report(
        problems,
        "Do without, or import the extra inside the function that needs it; see OUTSIDE in tests/house/layers.py.",
    )


def test_rules_import_only_names_on_the_short_list() -> None:
    problems = [
        f"{name(path)}:{line} imports {target}"
        for path in sources()
        if floor(path) == "arch"
        for line, target in imports(path)
        if not target.startswith("exitless.") and target not in ARCH_IMPORTS
    ]
    report(problems, "A rule is pure: take time, chance and text as arguments or leave them to the driver.")


IMPURE_CALLS = {"open", "print", "input", "exec", "eval", "float", "round", "globals", "setattr", "__import__"}


def _impurities(node: ast.AST) -> str:
    """Name what is impure about one node of a rule's file, or return the empty string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
        return f"the floating-point number {node.value}"
    if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
        return "a division that makes a float (use // or a shift)"
    if isinstance(node, ast.JoinedStr):
        return "a formatted string"
    if isinstance(node, ast.Raise | ast.Try | ast.Assert):
        return "an exception (an exit, a fault, a refusal is a value)"
    if isinstance(node, ast.Global | ast.Nonlocal | ast.Yield | ast.YieldFrom | ast.Await | ast.Lambda):
        return f"{type(node).__name__.lower()}"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
        return f"a call of {node.func.id}()"
    return ""


def test_rules_have_no_floats_exceptions_text_or_hidden_state() -> None:
    problems = [
        f"{name(path)}:{getattr(node, 'lineno', 0)} has {_impurities(node)}"
        for path in sources()
        if floor(path) == "arch"
        for node in ast.walk(tree(path))
        if _impurities(node)
    ]
    report(problems, "A rule takes state and small integers, changes only that state and answers with a small integer.")


@pytest.mark.parametrize("floor_name", sorted(set(MAY_IMPORT) - {"errors", "version", "__init__", "__main__"}))
def test_architecture_paper_shows_the_same_table(floor_name: str) -> None:
    rows = {}
    for line in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("| `") and len(cells) >= 2:
            rows[cells[0].strip("`")] = set(cells[1].replace("`", "").replace(",", " ").split()) - {"nothing"}
    wanted = set(MAY_IMPORT[floor_name])
    assert rows.get(floor_name) == wanted, (
        f"ARCHITECTURE.md, row {floor_name}: the table of tests/house/layers.py says {sorted(wanted) or 'nothing'}"
    )


def test_every_floor_has_public_content_or_is_still_announced_as_empty() -> None:
    empty = [
        here
        for here in sorted(MAY_IMPORT)
        if (SRC / here).is_dir() and not any(list(public(path)) for path in sources() if floor(path) == here)
    ]
    assert not empty, f"these floors hold nothing: {empty}; remove the folder and its row, or fill it"
