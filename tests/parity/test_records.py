"""Every scenario of the library gives one record a seed: run after run, and in both forms, row by row."""

import pytest

import exitless
from exitless import scenario as scenarios
from exitless.vocab.table import BY_KIND
from tests.parity import work
from tests.parity.interpreted import in_interpreted_form

LENGTH_PS = 20_000_000_000


NOT_YET = pytest.mark.xfail(
    not hasattr(scenarios, "simulate"),
    reason="exitless.scenario has no simulate, load and library_names yet",
    strict=False,
)


def library() -> list[tuple[str, str]]:
    """Return every scenario of the library with every mechanism it lists."""
    if not hasattr(scenarios, "library_names"):
        return [("mail", "apicv")]
    return [
        (name, mechanism) for name in scenarios.library_names() for mechanism in scenarios.load(name)[0].run.mechanisms
    ]


def first_difference(one: dict[str, list[int]], other: dict[str, list[int]]) -> str:
    """Say where two records part."""
    for row in range(max(len(one["time"]), len(other["time"]))):
        here, there = ([columns[name][row : row + 1] for name in columns] for columns in (one, other))
        if here != there:
            kind = BY_KIND[here[1][0] & 65535].name if here[1] else "nothing"
            return f"row {row} ({kind}): time, where, a, b are {here} compiled and {there} interpreted"
    return "no row differs"


@NOT_YET
@pytest.mark.parametrize(("scenario", "mechanism"), library())
def test_two_runs_are_one_run(scenario: str, mechanism: str) -> None:
    first = work.row_digests(scenario, mechanism, 5, LENGTH_PS)
    assert first == work.row_digests(scenario, mechanism, 5, LENGTH_PS)
    assert first[0] > 100, "a run of 20 ms that records almost nothing compares almost nothing"


@NOT_YET
@pytest.mark.skipif(not exitless.compiled(), reason="these tests run interpreted; the compiled run compares the forms")
@pytest.mark.parametrize(("scenario", "mechanism"), library())
def test_the_interpreted_form_records_the_same_rows(scenario: str, mechanism: str) -> None:
    mine = work.row_digests(scenario, mechanism, 5, LENGTH_PS)
    theirs = in_interpreted_form("work", "row_digests", scenario, mechanism, 5, LENGTH_PS)
    if list(mine) != theirs:
        compiled = work.rows(scenario, mechanism, 5, LENGTH_PS)
        interpreted = in_interpreted_form("work", "rows", scenario, mechanism, 5, LENGTH_PS)
        pytest.fail(first_difference(compiled, interpreted))


@NOT_YET
def test_the_seed_matters() -> None:
    """Otherwise the tests above would compare runs that draw nothing."""
    one = work.row_digests("mail", "apicv", 5, LENGTH_PS)
    assert one != work.row_digests("mail", "apicv", 6, LENGTH_PS)
