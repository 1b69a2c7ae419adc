"""``exitless bench`` answers in the contract's shape, and its ratios are those of its times."""

import json
import sys
from pathlib import Path
from statistics import median

import pytest

from exitless import compiled
from exitless.cli.bench_traces import LINUX, XEN, recording, used
from exitless.cli.main import main
from exitless.cli.tiling import Tile
from exitless.traces.reader import open_reader

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
    for row in (row for row in answer["rows"] if row["name"].startswith("read-")):
        assert row["events"] >= 10_000 and row["peak_bytes"] > 0 and row["per_s"] == 1e9 / row["engine_ns"]
        if row["reference"]:
            assert row["ratio_reference"] > 0 and row["reference_ns"] > 0
        else:
            assert any(row["name"].removeprefix("read-")[:5] in note or "installed" in note for note in answer["notes"])
    assert {"read-trace.dat", "read-xentrace"} <= set(rows)


@pytest.mark.parametrize(("name", "copies"), [(LINUX, 3), (XEN, 4)])
def test_a_tiled_recording_has_every_event_so_many_times(tmp_path: Path, name: str, copies: int) -> None:
    """A tiled recording holds real events: its counts are those of the small one, so many times over."""
    tile, path = Tile(recording(name)), str(tmp_path / "tiled")
    events = tile.write(path, copies)
    with open_reader(recording(name)) as one, open_reader(path) as many:
        rows = [sum(columns.fill for columns in reader.blocks()) for reader in (one, many)]
    assert events == many.events == copies * one.events and not many.problems
    assert many.kinds == {kind: copies * count for kind, count in one.kinds.items()}
    assert abs(rows[1] - copies * rows[0]) <= copies


def test_without_a_compiler_the_rest_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["bench", "--quick", "--rounds", "1"]) == 0
    told = capsys.readouterr().out
    assert "No comparison with C" in told and "engine" in told and "mail-posted" in told
    assert "…" not in told, "every table fits 80 columns"


def test_rounds_below_one_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--rounds", "0"]) == 2
    assert "--rounds 0" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a running program is told by /proc")
def test_a_programs_memory_is_its_own() -> None:
    """What a child is said to have had at most does not begin with the memory of the process that started it."""
    mine = bytearray(256 << 20)
    small = used([sys.executable, "-c", "import time; time.sleep(0.2)"]).peak
    large = used([sys.executable, "-c", "import time; x = bytearray(96 << 20); time.sleep(0.2)"]).peak
    assert 1 << 20 < small < 64 << 20 < large - small < 128 << 20 < len(mine)
