"""``exitless sweep``: each case is a run of its own, kept and found again; bad studies get one sentence."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import exitless
from exitless.cli.main import main
from exitless.cli.measures import measure
from exitless.scenario.sweeps import read_study, study_names

STUDY = """
title = "load and tick"
scenario = "mail"
mechanisms = ["pvhvm", "posted"]
seeds = [1, 7]
length = "300 us"
measures = ["exits_per_interrupt", "sources/{interrupt}/latency_ns/p99", "exits/by_reason/VMCALL per exits/total"]
[vary]
"device[0].load" = [10, 60]
guests = { slow = [], fast = ["vm[1].tick='100 us'", "host.ratelimit='0 us'"] }
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the study in a directory that is the current one."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "study.toml"
    path.write_text(STUDY, "utf-8")
    return path


def environment() -> dict[str, str]:
    """Return the variables under which another process finds this package."""
    return os.environ | {"PYTHONPATH": str(Path(exitless.__file__).parent.parent)}


def sweep(study: Path, *words: str) -> dict[str, Any]:
    """Run the command; returns its document."""
    assert main(["sweep", str(study), "--jobs", "1", "--json", "result.json", *words]) == 0
    return json.loads(Path("result.json").read_text("utf-8"))


def test_every_case_is_the_run_that_the_command_run_makes(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = sweep(study)
    assert (document["cases"], document["reused"], document["problems"]) == (16, 0, [])
    assert len(document["results"]) == 8
    row = next(
        r
        for r in document["results"]
        if r["point"] == {"device[0].load": "60", "guests": "fast"} and r["mechanism"] == "posted"
    )
    capsys.readouterr()
    for n, seed in enumerate([1, 7]):
        assert main([
            "run", "mail", "--mechanism", "posted", "--seed", str(seed), "--length", "300 us", "--json", "-",
            "--set", "device[0].load=60", "--set", "vm[1].tick='100 us'", "--set", "host.ratelimit='0 us'",
        ]) == 0  # fmt: skip
        alone = json.loads(capsys.readouterr().out)["results"][0]
        for what, found in row["measures"].items():
            assert found["values"][n] == measure(alone, what.replace("{interrupt}", alone["interrupt"])), what


def test_what_is_kept_is_not_run_again_and_what_is_damaged_is(study: Path) -> None:
    first = sweep(study)
    files = sorted(Path("study.sweep").iterdir())
    assert len(files) == 16
    files[0].write_bytes(files[0].read_bytes()[:40])
    files[1].unlink()
    second = sweep(study)
    assert (first["reused"], second["reused"]) == (0, 14)
    assert second["results"] == first["results"]
    assert sorted(Path("study.sweep").iterdir()) == files


def test_one_more_value_runs_only_what_is_new(study: Path) -> None:
    """A title, a note or another measure changes no run; a value more adds its own."""
    sweep(study)
    text = STUDY.replace("[10, 60]", "[10, 60, 90]").replace("load and tick", "other words")
    study.write_text(text.replace('"exits_per_interrupt", ', '"exits/total", '), "utf-8")
    assert sweep(study)["reused"] == 16
    study.write_text(STUDY.replace('"300 us"', '"200 us"', 1), "utf-8")
    assert sweep(study)["reused"] == 0


def test_a_file_of_costs_counts_by_what_is_in_it(study: Path) -> None:
    text = STUDY.replace("seeds = [1, 7]", "seeds = 1\nset = ['host.costs=\"costs.toml\"']").replace("[10, 60]", "[10]")
    study.write_text(text, "utf-8")
    costs = Path("costs.toml")
    costs.write_text('[cost]\nexit = { ns = 450, origin = "guess", source = "a test" }\n', "utf-8")
    found = []
    for name in ("one", "two", "three"):
        assert subprocess.run(
            [sys.executable, "-m", "exitless", "sweep", "study.toml", "--jobs", "1", "--json", f"{name}.json"],
            env=environment(), check=False, capture_output=True,
        ).returncode == 0  # fmt: skip
        found.append(json.loads(Path(f"{name}.json").read_text("utf-8")))
        if name == "two":
            costs.write_text(costs.read_text("utf-8").replace("450", "4500"), "utf-8")
    assert [document["reused"] for document in found] == [0, 4, 0]
    assert found[0]["results"] == found[1]["results"] != found[2]["results"]


def test_processes_find_what_one_finds(study: Path) -> None:
    alone = sweep(study)
    assert main(["sweep", str(study), "--jobs", "2", "--out", "other", "--json", "two.json", "--laws"]) == 0
    assert json.loads(Path("two.json").read_text("utf-8"))["results"] == alone["results"]


def test_differences_are_from_the_first_mechanism_seed_by_seed(study: Path) -> None:
    for row in sweep(study)["results"]:
        for what, found in row["against"]["difference"].items():
            if row["mechanism"] == "pvhvm":
                assert (found["mean"], found["half_width_95"]) == (0, 0), what
    rows = json.loads(Path("result.json").read_text("utf-8"))["results"]
    first, second = rows[0], rows[1]
    values = [r["measures"]["exits_per_interrupt"]["values"] for r in (first, second)]
    mean = sum(b - a for a, b in zip(*values, strict=True)) / 2
    assert abs(second["against"]["difference"]["exits_per_interrupt"]["mean"] - mean) < 1e-12


def test_a_line_of_csv_a_case(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", str(study), "--jobs", "1", "--csv", "-"]) == 0
    lines = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert len(lines) == 16
    assert {(x["device[0].load"], x["guests"], x["mechanism"], x["seed"]) for x in lines} == {
        (load, guests, mechanism, seed)
        for load in ("10", "60")
        for guests in ("slow", "fast")
        for mechanism in ("pvhvm", "posted")
        for seed in ("1", "7")
    }


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_table_fits_the_terminal(
    study: Path, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["sweep", str(study), "--jobs", "1"]) == 0
    text = capsys.readouterr().out
    assert max(len(line) for line in text.splitlines()) <= int(columns)
    assert "load and tick" in text and "±" in text and "difference from pvhvm" in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("title", "titel", "titel: no such key; did you mean"),
        ('"posted"', '"postd"', 'no such mechanism "postd"; did you mean "posted"'),
        ("seeds = [1, 7]", "seeds = 0", "seeds: expected how many"),
        ("seeds = [1, 7]", "seeds = [1, 1]", "seeds: one of them stands there twice"),
        ("seeds = [1, 7]", 'seeds = "many"', "seeds: expected"),
        ('"300 us"', '"1 parsec"', "length"),
        ("[10, 60]", "[]", "vary.device[0].load: expected at least one value"),
        ("[10, 60]", "[10, 10]", "10 stands there twice"),
        ("[10, 60]", "10", "vary: an axis is a list of values, or a table"),
        ("[10, 60]", "[10, 400]", "device[0].load"),
        ("device[0].load", "device[9].load", "there is no device[9]; the scenario has 2"),
        ("device[0].load", "device[0].laod", 'did you mean "load"'),
        ('"mail"', '"mial"', 'did you mean "mail"'),
        ("sources/{interrupt}/", "sources/nik/", 'there is no source "nik"; did you mean "nic"'),
        ("exits_per_interrupt", "exits_per_interupt", 'did you mean "exits_per_interrupt"'),
        ("latency_ns/p99", "latency_ns/p97", "no number of a case stands there"),
        ("[vary]", "[vary", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_bad_study_gets_one_sentence_with_its_place(
    study: Path, old: str, new: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in STUDY
    study.write_text(STUDY.replace(old, new, 1), "utf-8")
    assert main(["sweep", str(study), "--jobs", "1"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and expected in err and "study.toml" in err, err


@pytest.mark.parametrize("words", [["mail-laod"], ["absent.toml"], ["study.toml", "--jobs", "0"]])
def test_a_bad_command_line_gets_one_sentence(
    study: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", *words]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_interrupt_keeps_what_is_done_and_says_how_to_go_on(study: Path) -> None:
    """Control-C once some files are there: status 130, and the next run takes them."""
    study.write_text(STUDY.replace('"300 us"', '"100 ms"', 1).replace("[1, 7]", "400"), "utf-8")
    command = [sys.executable, "-m", "exitless", "sweep", str(study), "--jobs", "2", "--out", "kept"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as process:
        began = time.monotonic()
        while len(list(Path("kept").glob("*.json"))) < 2 and process.poll() is None and time.monotonic() - began < 60:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    kept = [json.loads(p.read_text("utf-8")) for p in Path("kept").glob("*.json")]
    assert kept and f"interrupted with {len(kept)} of 3,200 cases in kept; the same command does the rest" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("name", study_names())
def test_studies_of_the_library_can_be_read(name: str) -> None:
    study = read_study(name)
    assert len(study.points) > 1 and len(study.mechanisms) > 1 and study.file.note
