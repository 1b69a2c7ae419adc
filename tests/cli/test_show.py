"""``exitless show``: what it takes, what it writes, how it ends, and how wide it is."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from exitless.cli.main import main
from exitless.cli.output import open_whole, size
from exitless.mech.catalog import CATALOG
from exitless.record.store import write
from exitless.view.page import asset
from shared import shared
from tests.views.sample import posted, pvhvm, recording

MAIL = [row.name for row in CATALOG]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of records."""
    out = tmp_path / "records"
    out.mkdir()
    write(posted(), out / "vtd-posted.xl")
    write(pvhvm(), out / "pvhvm.xl")
    return out


@pytest.mark.parametrize("mechanism", MAIL)
@pytest.mark.parametrize("words", [[], ["--ascii"]])
def test_every_mechanism_of_mail_shows_and_fits(
    mechanism: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    width = 80 if words else 120
    asked = ["--mechanism", mechanism, "--length", "2 ms", "--width", str(width), *words]
    assert main(["show", "mail", *asked]) == 0
    told = capsys.readouterr().out
    assert f"mail under {mechanism}, simulated, seed 1" in told and "pCPU1" in told and "assertion to handler" in told
    assert max(len(line) for line in told.splitlines()) <= width
    assert not words or told.isascii()


def test_no_colour_codes_go_where_there_is_no_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(folder / "pvhvm.xl")]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_below_60_columns_there_is_no_lane(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(folder / "pvhvm.xl"), "--width", "50"]) == 0
    told = capsys.readouterr().out
    assert "█" not in told and "Upcall begins" in told


def test_a_folder_shows_one_record_and_names_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "sample under vtd-posted" in told and "--mechanism pvhvm" in told
    assert main(["show", str(folder), "--mechanism", "pvhvm", "--mechanism", "vtd-posted"]) == 0
    told = capsys.readouterr().out
    assert told.index("sample under pvhvm") < told.index("sample under vtd-posted")


def test_an_interrupt_and_a_window_can_be_chosen(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = str(folder / "vtd-posted.xl")
    assert main(["show", record, "--source", "nic", "--nth", "1563"]) == 0
    assert "nic interrupt #1563" in capsys.readouterr().out
    assert main(["show", record, "--from", "5 us", "--to", "8 us"]) == 0
    assert "5.000 µs to 8.000 µs" in capsys.readouterr().out


def test_a_counterexample_is_shown_step_by_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "post-while-blocking", "--mutate", "check-before-nv", "--out", str(tmp_path)]) == 1
    steps = len(json.loads(_checked(tmp_path))["worlds"][0]["path"])
    capsys.readouterr()
    assert main(["show", str(tmp_path / "post-while-blocking-check-before-nv.xl"), "--width", "80"]) == 0
    told = capsys.readouterr().out.splitlines()
    numbered = [line.split()[0] for line in told if line.split() and line.split()[0].isdigit()]
    assert numbered == [str(n) for n in range(1, steps + 1)]
    assert any("posts: PIR, ON" in line for line in told) and max(map(len, told)) <= 80


def _checked(folder: Path) -> str:
    target = folder / "check.json"
    main(["check", "post-while-blocking", "--mutate", "check-before-nv", "--json", str(target)])
    return target.read_text()


@pytest.mark.parametrize("name", ["xen-vmx-hvm/xentrace.bin", "xen-pvh1/xentrace.bin.xz"])
def test_a_recording_of_xen_shows(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = shared(f"data/traces/{name}")
    assert main(["show", str(path), "--width", "80"]) == 0
    told = capsys.readouterr().out
    assert "recorded (xentrace" in told and "names no device assertion" in told and "injected" in told
    assert max(len(line) for line in told.splitlines()) <= 80


def test_files_are_written_whole_and_their_size_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture, trace = folder / "a.svg", folder / "a.pftrace"
    asked = ["--mechanism", "vtd-posted", "--mechanism", "pvhvm", "--svg", str(picture), "--perfetto", str(trace)]
    assert main(["show", str(folder), *asked]) == 0
    told = capsys.readouterr().out
    for path in (picture, trace):
        assert f"wrote {path}, {size(path.stat().st_size)}" in told.replace("\n", "")
    assert ElementTree.parse(picture).getroot().tag.endswith("svg") and trace.read_bytes()[0] == 0x0A
    assert {f.name for f in folder.iterdir()} == {"vtd-posted.xl", "pvhvm.xl", "a.svg", "a.pftrace"}


def test_a_page_holds_every_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        asset("draw.js")
    except FileNotFoundError:
        pytest.skip("this build has no scripts of the page (view/web/draw.js)")
    assert main(["show", str(folder), "--html", str(folder / "a.html")]) == 0
    text = (folder / "a.html").read_text("utf-8")
    assert '"name":"vtd-posted"' in text and '"name":"pvhvm"' in text


def test_what_is_interrupted_leaves_nothing_and_the_old_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "a.svg"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), open_whole(target) as out:
        out.write(b"half")
        raise KeyboardInterrupt
    assert target.read_text() == "old" and [f.name for f in tmp_path.iterdir()] == ["a.svg"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["mial"], 'did you mean "mail"?'),
        (["nothing-like-it"], "exitless list scenarios"),
        (["{folder}/vtd-postd.xl"], "vtd-posted.xl"),
        (["{empty}"], "expected records"),
        (["{text}"], "no reader knows this"),
        (["{cut}"], "cut off"),
        (["{none}"], "no rows"),
        (["mail", "--mechanism", "vtd-postd"], 'did you mean "vtd-posted"?'),
        (["{folder}", "--mechanism", "pvhmv"], 'did you mean "pvhvm"?'),
        (["{folder}/pvhvm.xl", "--source", "nci"], 'did you mean "nic"?'),
        (["{folder}/pvhvm.xl", "--nth", "9"], "#1562 to #1564"),
        (["{folder}/pvhvm.xl", "--nth", "-1"], "0 or more"),
        (["{folder}/pvhvm.xl", "--from", "3"], "with a unit"),
        (["{folder}/pvhvm.xl", "--from", "3 us", "--to", "2 us"], "after --from"),
        (["{folder}/pvhvm.xl", "--from", "3 s"], "runs from"),
        (["{folder}/pvhvm.xl", "--width", "7"], "20 or more"),
        (["{folder}/pvhvm.xl", "--seed", "2"], "recorded already"),
        (["{folder}/pvhvm.xl", "--svg", "{folder}/no/a.svg"], "cannot write"),
        (["mail", "--length", "0 ms"], "--length: expected 1 ps to 86400 s, got 0 ms"),
        (["{folder}/pvhvm.xl", "--hmtl", "a"], "--html"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence_and_status_2(
    words: list[str], hint: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {name: tmp_path / name for name in ("empty", "text", "cut", "none")}
    places["empty"].mkdir()
    places["text"].write_text("this is no recording of anything\n" * 9)
    places["cut"].write_bytes((folder / "pvhvm.xl").read_bytes()[:-30])
    blank = recording()
    del blank.time[:], blank.where[:], blank.a[:], blank.b[:]
    write(blank, places["none"])
    asked = [word.format(folder=folder, **places) for word in words]
    before = sorted(f.name for f in folder.iterdir())
    assert main(["show", *asked]) == 2
    told = capsys.readouterr()
    assert told.out == "" and len(told.err.splitlines()) == 1 and hint in told.err, told.err
    assert sorted(f.name for f in folder.iterdir()) == before
