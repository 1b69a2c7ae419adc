"""Every one of the thirty cases has a test that bears its name, and none bears a name beyond."""

import ast
import re
from pathlib import Path

FILES = ("test_t1_to_t15.py", "test_t16_to_t22.py", "test_t23_to_t30.py")


def test_all_thirty_cases_are_present() -> None:
    """T1 to T30 stand in the three files whose names say which; each has a docstring that says what it is."""
    found: dict[int, list[str]] = {}
    for name in FILES:
        low, high = (int(number) for number in re.findall(r"t(\d+)", name))
        for node in ast.parse(Path(__file__).with_name(name).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (case := re.match(r"test_t(\d+)_", node.name)):
                assert low <= int(case[1]) <= high, f"{node.name} is not one of the cases of {name}"
                assert ast.get_docstring(node), f"{node.name} does not say what it checks"
                found.setdefault(int(case[1]), []).append(node.name)
    assert sorted(found) == list(range(1, 31)), f"no test for {sorted(set(range(1, 31)) - set(found))}"
