"""``exitless read``: what it prints, what it writes, and how it refuses."""

import csv
import io
import json
from pathlib import Path

import pytest

from exitless.cli.main import main
from tests.traces.helpers import DATA, excerpt, plain_counts
from tests.traces.writer import enter, leave, record, runstate, window

PVH1 = DATA / "xen-pvh1-start.bin.xz"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command; returns status, standard output and standard error."""
    status = main(["read", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_json_has_the_fields_that_other_programs_count_on(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(capsys, str(PVH1), "--json", "-", "--cpu-hz", "2.6 GHz")
    d = json.loads(out)
    assert (status, err) == (0, "")
    assert {
        "file", "format", "clock", "duration_ns", "events", "kinds", "unread", "lost", "exits", "vcpus", "vectors",
    } <= d.keys()  # fmt: skip
    counts = plain_counts(excerpt("xen-pvh1-start"))
    assert d["kinds"] == counts and d["events"] == sum(counts.values())
    assert d["lost"] == {"events": 0, "intervals": 0}
    assert d["exits"]["total"] == counts["0x00081102"] == sum(x["count"] for x in d["exits"]["by_reason"].values())
    for x in d["exits"]["by_reason"].values():
        assert {"count", "time_ns", "min_ns", "p50_ns", "p99_ns", "max_ns"} <= x.keys()
    for v in d["vcpus"]:
        assert {"vm", "vcpu", "tid", "exits", "guest_ns", "host_ns"} <= v.keys()
    for v in d["vectors"].values():
        assert {"accepted", "injected", "eoi", "latency_ns"} <= v.keys()
        assert v["latency_ns"].keys() == {"p50", "p99", "max"}
    assert (d["clock"], d["clock_hz"], d["clock_origin"]) == ("tsc", 2_600_000_000, "given")


@pytest.mark.parametrize("width", [80, 120])
def test_the_printed_report_fits_the_width_and_names_clock_and_origin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(width))
    status, out, err = said(capsys, str(PVH1))
    assert (status, err) == (0, "") and max(len(line) for line in out.splitlines()) <= width
    text = " ".join(out.split())
    assert "clock: tsc at 2.4 GHz (assumed; the recording does not say it, give --cpu-hz)" in text
    for word in ("cpuid", "hypercall", "interrupt", "d2v0", "0xf3", "event_channel_op", "running->blocked"):
        assert word in out


def test_kinds_are_listed_with_their_names_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, str(PVH1), "--kinds")
    count = plain_counts(excerpt("xen-pvh1-start"))["0x0020100d"]
    assert any(line.split() == ["0x0020100d", f"{count:,}", "PV_HYPERCALL_V2"] for line in out.splitlines())


def test_csv_has_a_line_for_each_exit_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "exits.csv"
    said(capsys, str(PVH1), "--exits-csv", str(target), "--json", str(tmp_path / "exits.json"))
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    reasons = json.loads((tmp_path / "exits.json").read_text())["exits"]["by_reason"]
    assert {row["reason"]: int(row["count"]) for row in rows} == {name: x["count"] for name, x in reasons.items()}
    assert {path.name for path in tmp_path.iterdir()} == {"exits.csv", "exits.json"}, "no temporary file is left"


def test_several_recordings_make_one_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = DATA / "xen-pvh2-start.bin.xz"
    status, out, _ = said(capsys, str(PVH1), str(other), "--json", "-")
    assert status == 0 and [d["file"] for d in json.loads(out)["traces"]] == [str(PVH1), str(other)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; expected a recording"),
        (b"hello, world\n", "no reader knows this"),
        (window(0), "holds no event"),
    ],
)
def test_unusable_input_gives_status_2_one_sentence_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, sentence: str
) -> None:  # fmt: skip
    path = tmp_path / "trace"
    path.write_bytes(content)
    status, out, err = said(capsys, str(path), "--json", str(tmp_path / "out.json"))
    assert (status, out) == (2, "") and sentence in err and err.count("\n") == 1 and "Traceback" not in err
    assert not (tmp_path / "out.json").exists()


def test_a_file_that_is_not_there_and_a_frequency_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = said(capsys, "absent.bin")
    assert status == 2 and "absent.bin: cannot be read: no such file or directory" in err
    status, _, err = said(capsys, str(PVH1), "--cpu-hz", "fast")
    assert status == 2 and '--cpu-hz fast: expected a frequency such as "2.6 GHz"' in err
    status, _, err = said(capsys, str(PVH1), "--cpu-hz", "0")
    assert status == 2 and "expected 1 kHz to 1 THz" in err


@pytest.mark.parametrize("text", ["2.6G", "2.6 GHz", "2600MHz", "2600000000"])
def test_a_frequency_may_be_written_in_several_ways(capsys: pytest.CaptureFixture[str], text: str) -> None:
    _, out, _ = said(capsys, str(PVH1), "--cpu-hz", text, "--json", "-")
    assert json.loads(out)["clock_hz"] == 2_600_000_000


def test_a_partial_result_is_marked_on_standard_error_and_in_the_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    path = tmp_path / "cut.bin"
    path.write_bytes(excerpt("xen-pvh1-start")[:60_000])
    status, out, err = said(capsys, str(path), "--json", "-")
    assert status == 0 and json.loads(out)["partial"] is True
    assert "partial result" in err and "the file ends after" in err


def test_a_recording_without_exits_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "sched.bin"
    path.write_bytes(window(0, runstate(10, 1, 0, 1, 0), record(0x4F001, 1), runstate(20, 1, 0, 0, 2)))
    status, out, _ = said(capsys, str(path))
    assert status == 0 and "no VM exits in this recording" in out
    assert "not understood: 1 record of 1 kind (0x0004f001 1)" in out


def test_lost_records_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "lost.bin"
    lost = record(0x1F001, 617, 1, 15, 0, tsc=30)
    path.write_bytes(window(0, runstate(10, 1, 0, 1, 0), leave(12, 12), lost, enter(40)))
    _, out, _ = said(capsys, str(path))
    assert "lost: 617 records in 1 interval; no time spans them" in out
    assert "seen for 0 of them" in out
