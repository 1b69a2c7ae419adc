"""Every rule of the manuals is met by the naive implementation in tests/naive, or it is said here what meets it."""

import ast
import re

from tests.house.test_coverage import calls
from tests.house.tree import ROOT, report
from tools.coverage import rules

FOLDERS = ("arch/x86/", "arch/vmx/", "arch/vtd/", "arch/svm/")

# What no naive model has, because the manual says it in a table: the file that holds it against that table.
BY_TABLE = {
    r"vmx/vmcs\.": "arch/test_layouts.py",
    r"(svm/(tables|vmcb|iommu)|vtd/(irte|descriptor))\.(un)?pack": "arch/test_layouts.py",
    r"x86/message\.(encode|is_interrupt|remappable)": "arch/test_message.py",
    r"x86/modes\.(base_|may_stand)": "arch/test_modes.py",
    r"svm/injection\.": "arch/test_svm_injection.py",
    r"svm/access\.msr_door": "arch/test_svm_injection.py",
    r"svm/ipi\.software_sends": "arch/test_svm_injection.py",
    r"vmx/leaving\.(interruption_information|is_trap_like)": "arch/test_vmx_leaving.py",
    r"vmx/entry\.is_loadable_msr": "arch/test_vmx_entry.py",
    r"vtd/posting\.(address_low|is_postable|posted_entry|remapped_entry|replace)": "arch/test_vtd_posting.py",
    r"x86/lowest\.lowest": "arch/test_lowest.py",
    r"x86/lowest\.recipients": "arch/test_t23_to_t30.py",
    r"x86/destination\.reaches": "arch/test_icr.py",
    r"x86/timer\.(collapse_missed|read_deadline)": "arch/test_timer.py",
}


def naive_files() -> list[str]:
    """Return the sources of the test files that hold the package against a naive model."""
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.name not in ("test_second_implementation.py",)]
    texts = [
        path.read_text(encoding="utf-8") for path in files if path.name.startswith("test_") or "naive" in str(path)
    ]
    return [text for text in texts if re.search(r"tests\.naive", text)]


def names_in(text: str) -> set[str]:
    """Return every name and attribute that a source uses."""
    parts = list(ast.walk(ast.parse(text)))
    return {part.id for part in parts if isinstance(part, ast.Name)} | {
        part.attr for part in parts if isinstance(part, ast.Attribute)
    }


def met() -> set[str]:
    """Return the rules that those tests call, or that are called by what they call, and so on."""
    inside = calls()
    own = {shown: shown.strip("`").rsplit(".", 1)[-1] for shown in inside}
    used = set().union(*map(names_in, naive_files()))
    reached = {shown for shown, name in own.items() if name in used}
    while True:
        used = set().union(*(inside[shown] for shown in reached))
        more = {shown for shown, name in own.items() if name in used} - reached
        if not more:
            return reached
        reached |= more


def test_every_rule_of_the_manuals_is_met_by_a_naive_model_or_a_table() -> None:
    shown = {rule.shown() for rule in rules() if rule.place.startswith(FOLDERS) and rule.called.islower()}
    assert len(shown) > 200
    left = sorted(shown - met())
    listed = {name for name in left if any(re.search(pattern, name) for pattern in BY_TABLE)}
    report([name for name in left if name not in listed], "write a naive twin in tests/naive, or a row in BY_TABLE")
    for pattern, file in BY_TABLE.items():
        mine = [name for name in left if re.search(pattern, name)]
        assert mine, f"nothing needs the row {pattern}: take it out"
        used = names_in((ROOT / "tests" / file).read_text(encoding="utf-8"))
        for name in mine:
            assert name.strip("`").rsplit(".", 1)[-1] in used, f"{file} does not call {name}"
