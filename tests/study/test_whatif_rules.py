"""The table of what-if rules is whole: every citation can be looked up, every mechanism does something."""

import pytest

from exitless.study.whatif_rules import ADDITIONS, CERTAIN, GUESS, RULES, USUAL
from exitless.study.whatif_words import BRINGS, MECHANISMS, SAYS, Class, closure, words_of
from tests.house.tree import cites

CLASSES = {value for name, value in vars(Class).items() if name.isupper()}
CONTRACT = (
    "apicv posted vtd-posting avic ipi-virtualization pv-eoi pv-ipi x2apic upcall-vector halt-poll timer-posting "
    "icr-fastpath"
).split()


def test_the_mechanisms_are_those_of_the_contract_and_each_has_a_rule() -> None:
    assert sorted(MECHANISMS) == sorted(CONTRACT)
    assert {rule.mechanism for rule in RULES if rule.on} == set(MECHANISMS)


def test_every_rule_cites_what_can_be_looked_up() -> None:
    missing = sorted({rule.cites for rule in (*RULES, *ADDITIONS)} - set(cites()))
    assert not missing, f"add these to src/exitless/study/cites.toml: {missing}"


def test_every_rule_speaks_of_known_classes_exits_and_shares_in_order() -> None:
    known = set(vars(words_of("vmx"))) | {"", "software"}
    for rule in (*RULES, *ADDITIONS):
        low, likely, high = rule.keep
        assert 0 <= low <= likely <= high, rule
        assert rule.to in known and rule.sure in (CERTAIN, USUAL, GUESS) and rule.mechanism in MECHANISMS, rule
    assert {cls for rule in RULES for cls in rule.classes} <= CLASSES
    assert set(SAYS) == CLASSES


def test_a_certain_rule_that_removes_or_keeps_leaves_nothing_open() -> None:
    """A share that is open comes from what hardware does with a target, never from the manual's yes or no."""
    open_ones = [r for r in RULES if r.sure == CERTAIN and r.keep[0] != r.keep[2] and "ipi" not in r.classes]
    assert not open_ones


@pytest.mark.parametrize(
    ("names", "vendor", "all_of_them"),
    [
        (["vtd-posting"], "vmx", ["apicv", "posted", "vtd-posting"]),
        (["vtd-posting"], "svm", ["avic", "vtd-posting"]),
        (["timer-posting"], "vmx", ["apicv", "posted", "timer-posting"]),
        (["timer-posting"], "svm", ["avic", "timer-posting"]),
        (["ipi-virtualization"], "vmx", ["apicv", "posted", "ipi-virtualization"]),
        (["halt-poll", "x2apic"], "vmx", ["x2apic", "halt-poll"]),
    ],
)
def test_a_mechanism_brings_what_it_cannot_be_without(names: list[str], vendor: str, all_of_them: list[str]) -> None:
    assert closure(names, vendor) == all_of_them
    assert all(set(brought) <= set(MECHANISMS) for brought in BRINGS.values())
