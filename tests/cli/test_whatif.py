"""``exitless whatif``: from recordings, records and pasted tables; its JSON, its table, and how it refuses."""

import csv
import io
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from exitless.cli.main import main
from exitless.study.whatif_words import MECHANISMS
from tests.shared import shared
from tests.traces.helpers import DATA

XENTRACE = """\
VMEXIT 300
VMMCALL 140
INTR_WINDOW 80
HLT 80
INJ_VIRQ 60
"""
PVH = DATA / "xen-pvh1-start.bin.xz"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command; returns status, standard output and standard error."""
    status = main(["whatif", *words])
    out, err = capsys.readouterr()
    return status, out, err


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Run the command for its JSON."""
    status, out, err = said(capsys, *words, "--json", "-")
    assert (status, err) == (0, "")
    made: dict[str, Any] = json.loads(out)
    return made


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Write a pasted table."""
    file = tmp_path / "table.txt"
    file.write_text(XENTRACE)
    return str(file)


def test_json_has_the_fields_of_the_contract(capsys: pytest.CaptureFixture[str], table: str) -> None:
    d = document(capsys, table, "--enable", "apicv")
    assert d["input"] == table and d["enabled"] == ["apicv"]
    for row in d["rows"]:
        assert {"reason", "before", "after", "low", "high", "rule", "evidence"} <= set(row)
        assert row["rule"] and row["evidence"]
    assert set(d["total"]) >= {"before", "after", "low", "high"}
    rows = {row["reason"]: row["after"] for row in d["rows"]}
    assert rows["INTR_WINDOW"] == 0 and rows["HLT"] == 80 and rows["VMMCALL"] == 140 - 60
    assert d["total"]["after"] == 160


def test_lists_by_comma_and_repetition_are_the_same(capsys: pytest.CaptureFixture[str], table: str) -> None:
    one = document(capsys, table, "--enable", "x2apic,posted", "--disable", "upcall-vector")
    two = document(capsys, table, "--enable", "posted", "--enable", " x2apic ", "--disable", "upcall-vector")
    apart = document(capsys, "--enable", "x2apic", "posted", table, "--disable", "upcall-vector")
    assert apart == one
    assert one == two and one["enabled"] == ["x2apic", "posted"] and one["disabled"] == ["upcall-vector"]


def test_standard_input_is_read(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(XENTRACE.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    d = document(capsys, "-", "--enable", "apicv")
    assert d["input"] == "standard input" and d["total"]["before"] == 300


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_names_the_origin_of_its_numbers(
    capsys: pytest.CaptureFixture[str], table: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    status, out, err = said(capsys, table, "--enable", "apicv")
    assert (status, err) == (0, "")
    assert max(map(len, out.splitlines())) <= width
    flat = " ".join(out.split())
    assert "before: measured, from" in flat and "predicted, by these rules" in flat
    assert "cites Linux pci/xen.c xen_hvm_msi_init" in flat and "* counts something else than exits" in flat


def test_csv_has_a_line_a_row_and_the_sum(capsys: pytest.CaptureFixture[str], table: str, tmp_path: Path) -> None:
    """The rows are those of the JSON document; both at once to standard output are refused."""
    d = document(capsys, table, "--enable", "apicv")
    status, out, _ = said(capsys, table, "--enable", "apicv", "--csv", "-")
    lines = list(csv.DictReader(io.StringIO(out)))
    assert status == 0
    assert [(line["reason"], int(line["after"])) for line in lines[:-1]] == [
        (r["reason"], r["after"]) for r in d["rows"]
    ]
    assert (lines[-1]["reason"], int(lines[-1]["after"])) == ("all exits", d["total"]["after"])
    file = tmp_path / "rows.csv"
    assert main(["whatif", table, "--enable", "apicv", "--csv", str(file)]) == 0
    assert file.read_text() == out
    capsys.readouterr()
    status, out, err = said(capsys, table, "--enable", "apicv", "--csv", "-", "--json", "-")
    assert (status, out) == (2, "") and "cannot both" in err


PASTED = {
    "perf kvm stat": (
        "             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time\n\n"
        "  EXTERNAL_INTERRUPT      100    50.00%    50.00%      0.50us     10.00us      1.00us ( +-   1.00% )\n"
        "           MSR_WRITE      100    50.00%    50.00%      0.50us     10.00us      1.00us ( +-   1.00% )\n\n"
        "Total Samples:200, Total events handled time:200.00us.\n"
    ),
    "perf stat": (
        " Performance counter stats for 'sleep 1':\n\n             1,000      kvm:kvm_exit\n"
        "               400      kvm:kvm_eoi\n               400      kvm:kvm_inj_virq\n\n   1.0 seconds time elapsed\n"
    ),
    "xentrace records": XENTRACE,
    "cycles": "vmcall 1000\nipi 6000\n",
}


@pytest.mark.parametrize("form", list(PASTED))
@pytest.mark.parametrize("name", list(MECHANISMS))
def test_every_mechanism_is_asked_of_every_form_of_table_on_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, form: str, name: str
) -> None:
    """Each gives a prediction within its own interval, or says in one sentence why it cannot."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(PASTED[form].encode())))
    status, out, err = said(capsys, "-", "--enable", name, "--json", "-")
    assert status == 0, err
    d = json.loads(out)
    total = d["total"]
    assert 0 <= total["low"] <= total["after"] <= total["high"]
    assert all(row["rule"] and row["evidence"] for row in d["rows"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--enable", "apic"], 'did you mean "apicv"?'),
        (["--disable", "vt-d-posting"], 'did you mean "vtd-posting"?'),
        (["--enable", "hyperv"], "there are x2apic, pv-eoi"),
        ([], "expected --enable or --disable"),
        (["--enable", "apicv", "--disable", "apicv"], "on and off at once"),
    ],
)
def test_a_wrong_name_is_one_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], table: str, words: list[str], expected: str
) -> None:
    status, out, err = said(capsys, table, *words)
    assert (status, out) == (2, "") and len(err.splitlines()) == 1
    assert expected in err


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"hello\n", "expected"), (b"\x00\xff\xfe\x80" * 9, "expected"), (b"", "is empty"),
        (b"VMEXIT many\n", "expected"),
    ],
)  # fmt: skip
def test_what_holds_no_exits_is_one_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, data: bytes, expected: str
) -> None:
    file = tmp_path / "odd"
    file.write_bytes(data)
    status, out, err = said(capsys, str(file), "--enable", "apicv")
    assert (status, out) == (2, "") and len(err.splitlines()) == 1
    assert expected in err


def test_a_recording_is_judged_event_by_event(capsys: pytest.CaptureFixture[str]) -> None:
    d = document(capsys, str(PVH), "--enable", "avic")
    assert (d["kind"], d["hypervisor"], d["vendor"]) == ("trace", "xen", "svm")
    rows = {row["reason"]: row for row in d["rows"]}
    assert rows["vintr"]["after"] == 0 and rows["hypercall"]["after"] == rows["hypercall"]["before"]
    assert rows["msr"]["after"] == 0, "the writes of MSRs are EOIs after the upcall's vector"
    assert all("time_ns" in row for row in d["rows"])


def test_a_simulation_under_one_mechanism_foretells_another(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["run", "ipi-storm", "--mechanism", "emulated", "--mechanism", "posted", "--length", "4 ms"]
    assert main([*words, "--out", str(tmp_path), "--json", "-"]) == 0
    results = {r["mechanism"]: r for r in json.loads(capsys.readouterr().out)["results"]}
    taken = {name: sum(s["delivered"] for s in r["sources"].values()) for name, r in results.items()}
    d = document(capsys, str(tmp_path / "emulated.xl"), "--enable", "posted")
    foretold = d["total"]["after"] / taken["emulated"]
    simulated = results["posted"]["exits"]["total"] / taken["posted"]
    assert d["total"]["before"] == results["emulated"]["exits"]["total"]
    assert abs(foretold - simulated) <= 0.15 * simulated


REAL = {
    "data/traces/kvm-linux-2cpu/trace.dat.xz": 11850,
    "data/traces/kvm-tiny-2cpu-xapic/perf.data.guest.xz": 6742,
    "data/traces/kvm-tiny-1cpu-x2apic/perf-script.txt.xz": 4562,
    "data/traces/kvm-kut-vmexit-ipi/trace.dat.xz": 35216,
    "data/traces/xen-pvh2/xentrace.bin.xz": 6386,
    "data/traces/xen-vmx-hvm/xentrace.bin": 5873,
}


@pytest.mark.parametrize("path", list(REAL))
def test_real_recordings_give_sums_under_every_mechanism(capsys: pytest.CaptureFixture[str], path: str) -> None:
    file = str(shared(path))
    for word in ("--enable", "--disable"):
        d = document(capsys, file, word, ",".join(MECHANISMS))
        exits = [row for row in d["rows"] if row["exit"]]
        assert sum(row["before"] for row in exits) == d["total"]["before"] == REAL[path]
        assert sum(row["after"] for row in exits) == d["total"]["after"]
        for row in [*d["rows"], d["total"]]:
            assert 0 <= row["low"] <= row["after"] <= row["high"], row


def test_eois_that_pv_eoi_did_not_spare_had_another_vector_waiting(capsys: pytest.CaptureFixture[str]) -> None:
    """The guest had PV EOI, so its EOIs that exit are nearly all ones that KVM wanted: found by the events alone."""
    d = document(capsys, str(shared("data/traces/kvm-linux-2cpu/trace.dat.xz")), "--disable", "pv-eoi")
    parts = {part["class"]: part["before"] for row in d["rows"] if row["reason"] == "msr" for part in row["parts"]}
    assert parts["eoi-busy"] > 30 * parts["eoi"]
    assert d["total"]["after"] == 11850 + 2606


def test_a_table_brackets_what_the_recording_of_the_same_run_says(capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared("data/traces/kvm-linux-2cpu")
    exact = document(capsys, str(folder / "perf-script.txt.xz"), "--enable", "apicv")["total"]
    rough = document(capsys, str(folder / "perf-kvm-stat.txt"), "--enable", "apicv")["total"]
    share = exact["after"] / exact["before"]
    assert rough["low"] / rough["before"] <= share <= rough["high"] / rough["before"]


def test_a_recording_without_exits_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = said(capsys, str(shared("data/traces/kvm-pvm/pvm_1vcpu.tsc.v6.dat")), "--enable", "apicv")
    assert status == 2 and "holds no VM exits" in err


def test_text_and_binary_of_one_recording_predict_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared("data/traces/kvm-tiny-2cpu-xapic")
    both = [document(capsys, str(folder / name), "--enable", "apicv") for name in ("trace.dat.xz", "trace.txt.xz")]
    shown = [[(row["reason"], row["before"], row["after"]) for row in d["rows"]] for d in both]
    assert shown[0] == shown[1]


def test_an_unpacked_recording_is_the_same_as_the_packed_one(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plain = tmp_path / "plain.bin"
    plain.write_bytes(lzma.decompress(PVH.read_bytes()))
    assert (
        document(capsys, str(plain), "--enable", "avic")["rows"]
        == document(capsys, str(PVH), "--enable", "avic")["rows"]
    )
