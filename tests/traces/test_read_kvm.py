"""``exitless read`` on recordings of KVM: what it prints and writes, from files and from standard input."""

import gzip
import json
import lzma
from pathlib import Path

import pytest

from exitless.cli.main import main
from tests.traces.helpers import DATA, counts_of, in_a_process, unpacked, without_system

TINY = DATA / "kvm-tiny-2cpu.dat.xz"
LINUX = DATA / "kvm-linux-2cpu-part.dat.xz"
READ = "import sys\nfrom exitless.cli.main import main\nsys.exit(main(['read', '-', '--json', '-']))"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command; returns status, standard output and standard error."""
    status = main(["read", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_json_has_the_fields_that_other_programs_count_on(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(capsys, str(TINY), "--json", "-")
    d = json.loads(out)
    assert (status, err, d["format"], d["clock"], d["partial"]) == (0, "", "trace.dat v6", "mono", False)
    assert without_system(d["kinds"]) == counts_of((DATA / "kvm-tiny-2cpu.event-counts.txt").read_text())
    assert d["events"] == sum(d["kinds"].values()) and d["unread"] == {} and d["lost"] == {"events": 0, "intervals": 0}
    assert d["exits"]["total"] == 6742 and d["exits"]["by_reason"]["npf"]["count"] == 5003
    for x in d["exits"]["by_reason"].values():
        assert {"count", "time_ns", "min_ns", "p50_ns", "p99_ns", "max_ns", "share", "per_second"} <= x.keys()
        assert x["min_ns"] <= x["p50_ns"] <= x["p99_ns"] <= x["max_ns"]
    assert [(v["vm"], v["vcpu"], v["tid"], v["exits"]) for v in d["vcpus"]] == [
        ("vm1", 0, 204, 5890),
        ("vm1", 1, 205, 852),
    ]
    for v in d["vcpus"]:
        assert sum(x["count"] for x in v["by_reason"].values()) == v["exits"] and v["guest_ns"] > 0 < v["host_ns"]
        assert sum(x["time_ns"] for x in v["by_reason"].values()) == pytest.approx(v["host_ns"], abs=20)


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("recording", [TINY, LINUX, DATA / "pvm-lost.dat.xz", DATA / "kvm-tiny-1cpu.perf.data.xz"])
def test_the_printed_report_fits_the_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, recording: Path
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(width))
    status, out, err = said(capsys, str(recording))
    assert (status, err) == (0, "") and max(len(line) for line in out.splitlines()) <= width
    assert "…" not in out.partition("hypercalls")[0].partition("host interrupts")[0]


def test_vectors_are_printed_with_all_that_happened_to_them(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "120")
    _, out, _ = said(capsys, str(TINY))
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.startswith("0x")}
    # accepted, merged, injected, again, EOI
    assert rows["0x33"][1:6] == ["250", "200", "50", "0", "50"]
    assert rows["0x25"][1:7] == ["(direct)", "0", "0", "50", "50", "0"]
    assert rows["0xec"][1:6] == ["273", "71", "202", "6", "202"]


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress, lzma.compress])
@pytest.mark.parametrize("name", ["kvm-linux-2cpu-part.dat", "kvm-linux-2cpu-part.report.txt"])
def test_standard_input_gives_what_the_file_gives(
    capsys: pytest.CaptureFixture[str], name: str, pack
) -> None:  # fmt: skip
    d = json.loads(in_a_process(READ, stdin=pack(unpacked(name))))
    _, out, _ = said(capsys, str(LINUX), "--json", "-")
    same = json.loads(out)
    assert d["file"] == "standard input" and d["kinds"] == same["kinds"]
    assert d["exits"] == same["exits"] and d["vectors"] == same["vectors"] and d["vcpus"] == same["vcpus"]


def test_hypercalls_have_kvms_names(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, str(LINUX), "--json", "-")
    assert json.loads(out)["hypercalls"] == {"KICK_CPU": 1}


def test_lost_events_are_told_and_make_no_damage(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(capsys, str(DATA / "pvm-lost.dat.xz"))
    assert (status, err) == (0, "") and "lost: 5,077 records in 10 intervals; no time spans them" in out
    assert "EOIs with no interrupt in service" in out


@pytest.mark.parametrize("name", ["kvm-linux-2cpu-part.dat", "kvm-tiny-1cpu.perf.data"])
def test_a_file_cut_short_gives_a_marked_partial_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:  # fmt: skip
    data = unpacked(name)
    (tmp_path / "cut").write_bytes(data[: len(data) * 2 // 3])
    status, out, err = said(capsys, str(tmp_path / "cut"), "--json", "-")
    assert status == 0 and json.loads(out)["partial"] is True and "partial result" in err and "missing" in err


@pytest.mark.parametrize("start", [b"\x17\x08\x44tracing", b"PERFILE2", b"# tracer: nop\n"])
def test_unusable_input_gives_status_2_and_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], start: bytes
) -> None:  # fmt: skip
    (tmp_path / "bad").write_bytes(start)
    status, out, err = said(capsys, str(tmp_path / "bad"))
    assert (status, out) == (2, "") and err.count("\n") == 1 and "bad" in err and "Traceback" not in err
