"""``exitless bench`` answers in the contract's shape, and its ratios are those of its times."""

import json
from statistics import median

import pytest

from exitless import compiled
from exitless.cli.main import main

FIELDS = {"name", "engine_ns", "c_ns", "simpy_ns", "ratio_c", "ratio_simpy", "unit", "runs"}


def test_quick_json_has_the_shape_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick", "--rounds", "2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["machine"] and answer["compiled"] is compiled() and answer["rows_compared"] > 1000
    rows = {row["name"]: row for row in answer["rows"]}
    assert {"reference-recorded", "reference", "mail-posted", "mail-10ms", "rules"} <= set(rows)
    for row in rows.values():
        assert set(row) >= FIELDS and row["engine_ns"] > 0 and row["unit"].startswith("per ")
    sizes = [row for row in answer["rows"] if "ratio_to_quarter" in row]
    assert [row["name"].split(" ")[1] for row in sizes] == ["16", "32", "64"], "vCPUs"
    assert sizes[2]["events"] > 3 * sizes[0]["events"] and sizes[0]["ratio_to_quarter"] == [1, 1, 1]
    (second,) = (row for name, row in rows.items() if name.startswith("mail-second-"))
    assert second["engine_ns"] == max(second["by_mechanism_ns"].values())
    for name in ("reference-recorded", "reference"):
        row = rows[name]
        times = row["rounds"]
        assert row["runs"] == 2 and all(len(values) == 2 for values in times.values())
        assert row["engine_ns"] == median(times["engine"])
        if row["c_ns"] is not None:
            assert row["ratio_c"] == median([e / c for e, c in zip(times["engine"], times["c"])])
        if row["simpy_ns"] is not None:
            assert row["ratio_simpy"] == median([s / e for e, s in zip(times["engine"], times["simpy"])])


def test_without_a_compiler_the_rest_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert main(["bench", "--quick", "--rounds", "1"]) == 0
    told = capsys.readouterr().out
    assert "No comparison with C" in told and "engine" in told and "mail-posted" in told


def test_rounds_below_one_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--rounds", "0"]) == 2
    assert "--rounds 0" in capsys.readouterr().err
