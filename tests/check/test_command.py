"""``exitless check``: what it prints, the JSON that others read, and how it ends."""

import json
from pathlib import Path

import pytest

from exitless.check.catalog import entries
from exitless.cli.main import main


def test_a_world_that_holds_ends_with_0_and_lists_what_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "post-order"]) == 0
    told = capsys.readouterr().out
    assert "post-order: holds" in told and "18 states, 20 edges" in told
    assert all(word in told for word in ("always", "eventually", "sometimes"))


def test_a_broken_world_ends_with_1_and_fits_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["check", "post-while-blocking", "--mutate", "check-before-nv"]) == 1
    told = capsys.readouterr().out
    assert "After 9 steps" in told and "PIR {0x41}; ON 1" in told and "vCPU asleep" in told
    assert "[Xen vmx.c vmx_vcpu_block]" in told
    assert max(len(line) for line in told.splitlines()) <= 80


def test_the_small_timeline_has_one_lane_an_agent(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "consume-order", "--mutate", "scan-before-clear"])
    lanes = [line.split() for line in capsys.readouterr().out.splitlines()[-5:] if line.strip()]
    numbers = sorted(int(cell) for lane in lanes for cell in lane if cell.isdigit() and lane[0] != "pCPU")
    cpu = [cell for lane in lanes if lane[0] == "pCPU" for cell in lane[2:] if cell.isdigit()]
    assert sorted(numbers + [int(cell) for cell in cpu]) == [1, 2, 3, 4, 5]


def test_json_has_the_fields_that_others_read(tmp_path: Path) -> None:
    target = tmp_path / "check.json"
    assert main(["check", "--all", "--json", str(target)]) == 0
    worlds = json.loads(target.read_text())["worlds"]
    assert [w["world"] for w in worlds] == [entry.name for entry in entries()]
    for w in worlds:
        assert (w["mutation"], w["verdict"], w["steps"]) == (None, "holds", 0)
        assert w["states"] > 0 and w["edges"] > 0 and isinstance(w["property"], str)


def test_json_on_standard_output_is_all_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "post-order", "--mutate", "pir-after-on", "--json", "-"]) == 1
    (world,) = json.loads(capsys.readouterr().out)["worlds"]
    assert (world["mutation"], world["verdict"], world["steps"]) == ("pir-after-on", "broken", 5)
    assert len(world["path"]) == 5 and world["property"].startswith("eventually")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["post-while-bloking"], '"post-while-blocking"'),
        (["post-while-blocking", "--mutate", "chek-before-nv"], '"check-before-nv"'),
        (["--mutate", "nonsense-at-all"], "there are check-before-nv"),
        (["post-order", "--all"], "not both"),
        (["post-while-blocking", "--states", "100"], "nothing is decided"),
        (["post-order", "--states", "0"], "1 or more"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_status_2(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *words]) == 2
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1 and hint in told.err


def test_a_mutation_alone_chooses_the_world_that_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--mutate", "wakeup-clears-on"]) == 1
    assert "post-while-blocking, wakeup-clears-on: broken" in capsys.readouterr().out


def test_all_with_a_mutation_takes_the_worlds_that_have_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--all", "--mutate", "pir-after-on"]) == 1
    told = capsys.readouterr().out
    assert "post-order, pir-after-on: broken" in told and "post-while-blocking, pir-after-on: broken" in told
    assert "consume-order" not in told


def test_the_list_names_worlds_and_mutations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--list"]) == 0
    told = capsys.readouterr().out
    assert "post-while-blocking" in told and "check-before-nv" in told and "[SDM posted.processing]" in told
