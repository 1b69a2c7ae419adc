"""The reference workload is the same work in the engine, in C and in SimPy: every row, column by column."""

from pathlib import Path

import pytest

from exitless.cli import yardsticks
from exitless.errors import LawBroken
from exitless.record.columns import Columns
from exitless.sim.reference import COUNTERS, Reference, apply_rules

HORIZON_PS = 15_000_000_000


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build the C reference, or skip."""
    folder: Path = tmp_path_factory.mktemp("reference")
    path, why_not = yardsticks.compile_c(str(folder))
    if not path:
        pytest.skip(why_not)
    return path


@pytest.mark.parametrize("seed", [1, 77, 16_777_215])
def test_engine_and_c_give_the_same_rows(seed: int, program: str) -> None:
    rows = yardsticks.engine_rows(seed, HORIZON_PS)
    assert len(rows) > 10_000
    yardsticks.compare(rows, yardsticks.program_rows([program], seed, HORIZON_PS), "C", seed)


@pytest.mark.parametrize("seed", [1, 77, 16_777_215])
def test_engine_and_simpy_give_the_same_rows(seed: int) -> None:
    pytest.importorskip("simpy")
    rows = yardsticks.engine_rows(seed, HORIZON_PS)
    yardsticks.compare(rows, yardsticks.program_rows(yardsticks.simpy_command(), seed, HORIZON_PS), "SimPy", seed)


def test_the_workload_reaches_everything_it_counts() -> None:
    workload = Reference(1, Columns([]), 0)
    workload.run(200_000_000_000)
    assert [name for name, count in zip(COUNTERS, workload.counters()) if count == 0] == []


@pytest.mark.parametrize("column", range(4))
def test_one_changed_number_is_found_and_named(column: int) -> None:
    rows = yardsticks.engine_rows(1, 1_000_000_000)
    changed = [list(row) for row in rows]
    changed[100][column] += 1
    with pytest.raises(LawBroken, match=f"row 100, column {yardsticks.NAMES[column]}"):
        yardsticks.compare(rows, [(t, k, a, b) for t, k, a, b in changed], "C", 1)
    with pytest.raises(LawBroken, match="rows"):
        yardsticks.compare(rows, rows[:-1], "C", 1)


def test_bulk_rules_deliver_each_vector_from_16_to_255_in_turn() -> None:
    assert apply_rules(240) == sum(range(16, 256))
    assert apply_rules(241) == sum(range(16, 256)) + 16


def test_without_a_compiler_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    path, why_not = yardsticks.compile_c(str(tmp_path))
    assert path == "" and "no-such-compiler" in why_not and why_not.count(". ") == 0
