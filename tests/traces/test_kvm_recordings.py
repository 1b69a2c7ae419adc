"""Recordings of KVM against what the reference tools, and the guests themselves, say of them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from exitless.cli.main import main
from exitless.cli.read import facts_of
from exitless.cli.read_pair import origin_ps
from exitless.record.columns import BLOCK_ROWS, Columns
from exitless.study.trace_report import TraceReport
from exitless.traces.reader import open_reader
from exitless.traces.recording import to_record
from exitless.vocab.kinds import Kind
from shared import shared
from tests.traces.helpers import (
    DATA,
    counts_of,
    perf_stat,
    read_linux,
    read_linux_bytes,
    report_of,
    taken,
    unpacked,
    without_system,
)  # fmt: skip

FOLDERS = ("kvm-kut-vmexit-ipi", "kvm-linux-2cpu", "kvm-tiny-1cpu-x2apic", "kvm-tiny-2cpu-xapic")
TINY = DATA / "kvm-tiny-2cpu.dat.xz"
LINUX = DATA / "kvm-linux-2cpu-part.dat.xz"
PERF = DATA / "kvm-tiny-1cpu.perf.data.xz"
NMI = "0x02"


def folder(name: str, file: str) -> Path:
    """Return a file of the reference recordings."""
    return shared(f"data/traces/{name}/{file}")


def check_guest_counts(report: dict[str, Any], truth: dict[str, dict[str, int]]) -> None:
    """Every vector that the guest took was injected as often; NMIs, whose injection KVM does not trace, accepted."""
    by_vcpu = {str(v["vcpu"]): {**v["injected"], **nmis(v)} for v in report["vcpus"]}
    assert by_vcpu == truth


def by_phase(report: dict[str, Any], vcpus: int) -> list[int]:
    """Return how many interrupts each vCPU took."""
    taken = {v["vcpu"]: sum(v["injected"].values()) + sum(nmis(v).values()) for v in report["vcpus"]}
    return [taken.get(n, 0) for n in range(vcpus)]


@pytest.mark.parametrize("name", ["kvm-tiny-1cpu-x2apic", "kvm-tiny-2cpu-xapic"])
def test_what_guests_had_taken_by_the_end_of_each_phase_comes_out(name: str) -> None:
    """The guest counts at each phase's end; its clock there is the recording's, so rows up to it give the same."""
    truth = json.loads(folder(name, "truth.json").read_text())
    report, columns, at = TraceReport(), Columns([]), 0
    with open_reader(str(folder(name, "trace.txt.xz"))) as reader:
        rows = [row for some in reader.rows() for row in some]
        origin, facts = origin_ps(reader), facts_of(reader)
    for phase in truth["phases"]:
        while at < len(rows) and rows[at][0] + origin <= round(phase["mono"] * 1e12):
            columns.row(*rows[at])
            at += 1
            if columns.fill == BLOCK_ROWS - 1:
                report.block(columns)
                columns.fill = 0
        report.block(columns)
        columns.fill = 0
        then = phase["taken_by_then"][: truth["ncpu"]]
        assert by_phase(report.as_json(facts), len(then)) == then, f"phase {phase['phase']}"


def test_read_counts_up_to_a_moment(capsys: pytest.CaptureFixture[str]) -> None:
    """kvm-tiny-2cpu: by the end of phase 7 vCPU 0 had taken 752 interrupts, vCPU 1 had taken 50."""
    phase = json.loads((DATA / "kvm-tiny-2cpu.truth.json").read_text())["phases"][7]
    assert main(["read", str(TINY), "--until", f"{phase['mono']:.6f}", "--json", "-"]) == 0
    d = json.loads(capsys.readouterr()[0])
    assert by_phase(d, 2) == phase["taken_by_then"] and "counted up to" in " ".join(d["notes"])
    assert main(["read", str(TINY), "--until", "soon"]) == 2
    assert "expected seconds of the recording's clock" in capsys.readouterr()[1]


def nmis(vcpu: dict[str, Any]) -> dict[str, int]:
    """Return the NMIs of a vCPU."""
    return {NMI: vcpu["accepted"][NMI]} if NMI in vcpu["accepted"] else {}


def check_perf_stat(report: dict[str, Any], text: str, times: bool) -> None:
    """perf counts exits that have a next entry, and times them from exit to entry."""
    table, total = perf_stat(text)
    reasons = report["exits"]["by_reason"]
    assert {name: x["timed"] for name, x in reasons.items()} == {name: row[0] for name, row in table.items()}
    if times:
        for name, (count, least, most, mean) in table.items():
            x = reasons[name]
            mine = (x["min_ns"] / 1000, x["max_ns"] / 1000, x["time_ns"] / 1000 / count)
            assert mine == pytest.approx((least, most, mean), abs=0.011), name
        assert sum(x["time_ns"] for x in reasons.values()) / 1000 == pytest.approx(total, abs=0.05)


def test_every_kind_has_the_count_of_the_reference() -> None:
    reader, _ = read_linux(TINY)
    assert without_system(reader.kinds) == counts_of((DATA / "kvm-tiny-2cpu.event-counts.txt").read_text())
    assert reader.kinds["kvm:kvm_exit"] == 6742 and reader.kinds["ftrace:print"] == 17
    assert not reader.unread() and not reader.problems and not reader.lost_intervals


def test_what_the_guest_counted_comes_out_vector_by_vector() -> None:
    check_guest_counts(report_of(TINY, 0), taken((DATA / "kvm-tiny-2cpu.truth.json").read_text()))


def test_what_is_injected_again_is_no_new_interrupt() -> None:
    """Every ExtINT (0x25) is injected, cancelled, and injected again; KVM's own counter has 1411 of both."""
    vectors = report_of(TINY, 0)["vectors"]
    assert (vectors["0x25"]["injected"], vectors["0x25"]["reinjected"]) == (50, 50)
    assert sum(v["injected"] + v["reinjected"] for v in vectors.values()) == 1411


def test_requests_that_merge_are_counted_and_add_up() -> None:
    """Five sends of 0x33 become one interrupt; accepted less merged is injected for every vector with a local APIC."""
    vectors = report_of(TINY, 0)["vectors"]
    assert (vectors["0x33"]["accepted"], vectors["0x33"]["merged"], vectors["0x33"]["injected"]) == (250, 200, 50)
    for name, v in vectors.items():
        if v["accepted"] and name != NMI:
            assert v["accepted"] - v["merged"] == v["injected"] == v["eoi"], name
            assert 0 < v["latency_ns"]["p50"] <= v["latency_ns"]["p99"] <= v["latency_ns"]["max"]
            assert v["services"] == v["eoi"] and v["service_ns"]["p50"] > 0


def test_ends_of_interrupt_left_in_memory_are_no_second_ends() -> None:
    reader, rows = read_linux(LINUX)
    assert reader.kinds["kvm:kvm_pv_eoi"] == 173
    vectors = report_of(LINUX, 0)["vectors"]
    assert sum(v["eoi"] for v in vectors.values()) == reader.kinds["kvm:kvm_eoi"] == 272
    assert sum(v["eoi_without_exit"] for v in vectors.values()) == 173
    assert sum(1 for row in rows if row[1] == Kind.EOI_SPARED) == 173


def test_the_report_of_trace_cmd_gives_the_same_rows_as_the_binary_file() -> None:
    binary, rows = read_linux(LINUX)
    text, lines = read_linux(DATA / "kvm-linux-2cpu-part.report.txt.xz")
    assert lines == rows and text.kinds == binary.kinds and text.duration_ps == binary.duration_ps
    assert [(v.vm, v.number, v.tid) for v in text.vcpus] == [(v.vm, v.number, v.tid) for v in binary.vcpus]


def test_perf_data_has_the_counts_and_times_of_perf_kvm_stat() -> None:
    report = report_of(PERF, 0)
    check_perf_stat(report, (DATA / "kvm-tiny-1cpu.perf-kvm-stat.txt").read_text(), times=True)
    assert report["vcpus"][0]["vm"] == "vm125" and report["vcpus"][0]["tid"] == 129


def test_lost_events_are_counted_and_cut_what_is_timed(tmp_path: Path) -> None:
    """trace-cmd prints a line of dropped events for ten pages; eight say how many."""
    reader, rows = read_linux_bytes(tmp_path, unpacked("pvm-lost.dat"))
    assert (reader.lost_intervals, reader.lost_events) == (10, 617 + 923 + 770 + 616 + 155 + 613 + 923 + 460)
    losses = [row for row in rows if row[1] == 0]
    assert len(losses) == 10 and all(row[0] <= row[5] for row in losses)
    assert reader.events == sum(reader.kinds.values()) == 2271 and not reader.problems


def test_a_recording_becomes_a_record_with_vcpus_in_order() -> None:
    record = to_record(str(TINY))
    assert record.header.vcpus == ["vm1v0", "vm1v1"] and record.header.pcpus == 2
    assert record.header.exits[0x400] == "npf" and record.header.origin.startswith("recorded (trace.dat v6; clock mono")
    times = list(record.time)
    assert times == sorted(times) and len(times) > 30_000


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("file", ["trace.dat.xz", "trace.txt.xz"])
def test_whole_recordings_have_the_counts_of_trace_cmd(name: str, file: str) -> None:
    if name != "kvm-tiny-2cpu-xapic" and file == "trace.dat.xz":
        pytest.importorskip("zstandard", reason="the optional package zstandard is not installed")
    reader, _ = read_linux(folder(name, file))
    assert without_system(reader.kinds) == counts_of(folder(name, "event-counts.txt").read_text())
    assert not reader.unread() and not reader.problems


@pytest.mark.parametrize("name", ["kvm-tiny-1cpu-x2apic", "kvm-tiny-2cpu-xapic"])
@pytest.mark.parametrize("file", ["trace.dat.xz", "trace.txt.xz"])
def test_whole_recordings_agree_with_their_guests(name: str, file: str) -> None:
    if file == "trace.dat.xz":
        pytest.importorskip("zstandard", reason="the optional package zstandard is not installed")
    report = report_of(folder(name, file), 0)
    check_guest_counts(report, taken(folder(name, "truth.json").read_text()))
    stats = dict(re.findall(r"^(\w+):(\d+)$", folder(name, "kvm-debugfs-stats.txt").read_text(), re.MULTILINE))
    assert report["exits"]["total"] == int(stats["exits"])
    assert sum(v["injected"] + v["reinjected"] for v in report["vectors"].values()) == int(stats["irq_injections"])


@pytest.mark.parametrize("name", ["kvm-linux-2cpu", "kvm-tiny-1cpu-x2apic", "kvm-tiny-2cpu-xapic"])
@pytest.mark.parametrize("file", ["perf.data.guest.xz", "perf-script.txt.xz"])
def test_whole_recordings_have_the_counts_and_times_of_perf_kvm_stat(name: str, file: str) -> None:
    """perf script prints microseconds, so only its counts can be compared."""
    text = folder(name, "perf-kvm-stat.txt").read_text()
    check_perf_stat(report_of(folder(name, file), 0), text, times="data" in file)


def test_the_exits_of_another_recorder_in_the_same_window_have_perfs_counts() -> None:
    pytest.importorskip("zstandard", reason="the optional package zstandard is not installed")
    report = report_of(folder("kvm-kut-vmexit-ipi", "trace.dat.xz"), 0)
    check_perf_stat(report, folder("kvm-kut-vmexit-ipi", "perf-kvm-stat.txt").read_text(), times=False)


@pytest.mark.parametrize(
    ("first", "others"),
    [
        ("pvm_1vcpu.tsc.v6.dat", ["pvm_1vcpu.tsc.trace.txt"]),
        ("pvm_2vcpu.tsc.v6.dat", ["pvm_2vcpu.tsc.v7zstd.dat", "pvm_2vcpu.tsc.trace.txt"]),
        ("pvm_2vcpu.perf.data", ["pvm_2vcpu.perf-script.txt"]),
    ],
)
def test_one_recording_in_several_formats_gives_the_same_rows(first: str, others: list[str]) -> None:
    reader, rows = read_linux(folder("kvm-pvm", first))
    for other in others:
        if "zstd" in other:
            pytest.importorskip("zstandard", reason="the optional package zstandard is not installed")
        again, same = read_linux(folder("kvm-pvm", other))
        assert same == rows and again.kinds == reader.kinds, other


@pytest.mark.parametrize(("name", "vcpus"), [("pvm_1vcpu", 1), ("pvm_2vcpu", 2)])
def test_a_guest_that_reads_the_tsc_enters_its_handler_after_each_accepted_interrupt(name: str, vcpus: int) -> None:
    """The guest logs every handler's entry; guest and trace have the same clock, and no latency is negative."""
    _, rows = read_linux(folder("kvm-pvm", f"{name}.tsc.v6.dat"))
    lines = folder("kvm-pvm", f"{name}.tsc.guestlog.csv").read_text().splitlines()[1:]
    accepted = sum(1 for row in rows if row[1] == Kind.IRQ_REQUEST)
    assert accepted == len(lines) and {row[3] for row in rows if row[1] == Kind.IRQ_REQUEST} == set(range(vcpus))


def test_interrupts_of_the_host_itself_are_told_by_vector_and_irq() -> None:
    report = report_of(folder("host-irq", "own_irq.mono.v6.dat"), 0)
    text = folder("host-irq", "own_irq.mono.report.txt").read_text()
    assert report["host_irqs"] == {"36": len(re.findall(r" irq_handler_entry: +irq=36 ", text))}
    assert report["host_vectors"]["0xec"] == len(re.findall(r" local_timer_entry: ", text))


def test_an_old_file_of_another_processor_is_read() -> None:
    reader, rows = read_linux(folder("arm-v6", "arm_sched.trappy_raw_trace.v6.dat"))
    assert reader.events == 757 and reader.pcpus == 6 and not reader.problems
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_a_record_keeps_every_row_that_is_an_event() -> None:
    reader, _ = read_linux(LINUX)
    kinds = [where & 65535 for where in to_record(str(LINUX)).where]
    assert kinds.count(Kind.VM_EXIT) == reader.kinds["kvm:kvm_exit"]
    # A KICK_CPU hypercall sends a message that is no interrupt (Res3, vec 0).
    assert kinds.count(Kind.IRQ_REQUEST) == reader.kinds["kvm:kvm_apic_accept_irq"] - 1 == 271
