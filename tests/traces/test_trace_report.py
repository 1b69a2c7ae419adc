"""What the report on a recording counts and times, on recordings of a few records."""

from pathlib import Path
from typing import Any

import pytest

from exitless.cli.read_marks import marks_said
from exitless.study import trace_report
from exitless.traces import reader
from tests.traces.helpers import DATA, report_of
from tests.traces.writer import IDLE, enter, inject, leave, lost, record, runstate, window


def report(folder: Path, data: bytes) -> dict[str, Any]:
    """Report on bytes; a tick is a nanosecond."""
    (folder / "trace.bin").write_bytes(data)
    return report_of(folder / "trace.bin", 10**9)


def test_reader_and_report_mean_the_same_row_by_lost() -> None:
    assert trace_report.LOST == reader.LOST


def test_an_exits_time_runs_to_the_next_entry_of_the_same_vcpu_wherever_that_is(tmp_path: Path) -> None:
    data = window(
        0, runstate(10, 1, 0, 1, 0), leave(20, 12), runstate(30, 1, 0, 0, 1), runstate(31, 1, 1, 1, 0), enter(40)
    ) + window(1, runstate(50, 1, 0, 1, 0), enter(65))
    d = report(tmp_path, data)
    hlt = d["exits"]["by_reason"]["HLT"]
    assert (hlt["count"], hlt["timed"], hlt["time_ns"], hlt["runnable_ns"], hlt["handled_ns"]) == (1, 1, 45, 20, 10)
    assert d["moves"] == 1 and d["vcpus"][0]["host_ns"] == 45


def test_guest_time_runs_from_entry_to_exit(tmp_path: Path) -> None:
    d = report(tmp_path, window(0, runstate(0, 1, 0, 1, 0), enter(10), leave(25, 12), enter(30), leave(50, 12)))
    assert (d["vcpus"][0]["guest_ns"], d["vcpus"][0]["host_ns"], d["vcpus"][0]["exits"]) == (35, 5, 2)


def test_percentiles_are_the_nearest_rank(tmp_path: Path) -> None:
    records = [runstate(0, 1, 0, 1, 0)]
    for n in range(1, 201):
        records += [leave(n * 1000, 10), enter(n * 1000 + n)]
    x = report(tmp_path, window(0, *records))["exits"]["by_reason"]["CPUID"]
    assert (x["min_ns"], x["p50_ns"], x["p99_ns"], x["max_ns"], x["time_ns"]) == (1, 100, 198, 200, 20100)


def test_marks_count_what_is_not_all_there(tmp_path: Path) -> None:
    """One exit ends with the recording, one is cut by a loss, and before the first runstate nothing tells whose."""
    data = window(
        0, leave(1, 10), enter(2), runstate(5, 1, 0, 1, 0), leave(10, 12), lost(100, 5, 1, 2, 20), enter(110),
        leave(120, 10),
    )  # fmt: skip
    marks = report(tmp_path, data)["marks"]
    assert (marks["exits_without_entry"], marks["exits_cut_by_loss"], marks["exits_without_vcpu"]) == (2, 1, 1)
    assert marks["vcpus_of_guessed_machine"] == marks["lines_repaired"] == marks["lines_quoted"] == 0
    said = "2 exits without the entry after them, 1 of them cut by a loss, 1 exit of an unknown vCPU"
    assert marks_said(marks) == said


def test_no_time_spans_a_lost_interval(tmp_path: Path) -> None:
    """The pCPU's own vCPU, and each that was not running elsewhere, may have run unseen."""
    data = window(
        0, runstate(0, 1, 0, 1, 0), leave(10, 12), lost(100, 5, 1, 2, 20), enter(110), leave(120, 10), enter(125)
    ) + window(
        1, runstate(1, 1, 1, 1, 0), leave(5, 18), enter(115), leave(130, 18), enter(131), runstate(140, 1, 0, 2, 1)
    )  # fmt: skip
    d = report(tmp_path, data)
    x = d["exits"]["by_reason"]
    assert d["lost"] == {"events": 5, "intervals": 1}
    assert (x["HLT"]["count"], x["HLT"]["timed"]) == (1, 0), "the lost pCPU's own vCPU"
    assert (x["VMCALL"]["count"], x["VMCALL"]["time_ns"]) == (2, 111), "a vCPU running on another pCPU is still seen"
    assert x["CPUID"]["time_ns"] == 5, "known again after the loss"
    stays = {f"{v['vm']}v{v['vcpu']}": v["runstates"] for v in d["vcpus"]}
    assert stays["d1v0"] == {}, "the end of its run was lost"


def test_a_vcpu_that_was_not_running_is_unknown_after_a_loss_elsewhere(tmp_path: Path) -> None:
    seen = window(0, runstate(0, 1, 0, 0, 2), runstate(50, IDLE, 0, 1, 0), runstate(90, 1, 0, 2, 1))
    assert report(tmp_path, seen)["vcpus"][0]["runstates"] == {"blocked": {"count": 1, "time_ns": 90}}
    unsure = seen + window(1, runstate(1, 2, 0, 1, 0), lost(60, 1, 2, 0, 40))
    stays = {v["vm"]: v["runstates"] for v in report(tmp_path, unsure)["vcpus"]}
    assert stays["d1"] == {}


def test_a_stay_is_counted_only_when_its_begin_was_seen(tmp_path: Path) -> None:
    data = window(0, runstate(10, 1, 0, 2, 1), runstate(30, 1, 0, 1, 0), runstate(70, 1, 0, 2, 1))
    d = report(tmp_path, data)
    assert d["vcpus"][0]["runstates"] == {"runnable": {"count": 1, "time_ns": 20}}
    assert d["transitions"] == {"blocked->runnable": 2, "runnable->running": 1}


def test_the_idle_vcpu_is_the_pcpus_idle_time_and_no_vcpu(tmp_path: Path) -> None:
    data = window(0, runstate(10, IDLE, 0, 1, 0), runstate(40, IDLE, 0, 0, 1), runstate(41, 3, 0, 1, 0))
    d = report(tmp_path, data)
    assert (
        d["idle_ns"] == 30 and [v["vm"] for v in d["vcpus"]] == ["d3"] and d["transitions"] == {"runnable->running": 1}
    )


def test_an_end_of_interrupt_ends_the_highest_vector_in_service(tmp_path: Path) -> None:
    eoi = record(0x8200D, 0x80B, 0, 0)
    data = window(0, runstate(0, 1, 0, 1, 0), inject(0x30), inject(0x80), eoi, eoi, eoi, enter(9))
    d = report(tmp_path, data)
    assert {name: (v["injected"], v["eoi"]) for name, v in d["vectors"].items()} == {"0x30": (1, 1), "0x80": (1, 1)}
    assert d["eoi_without_vector"] == 1


def test_a_vector_injected_again_without_an_end_passes_by_the_local_apic(tmp_path: Path) -> None:
    eoi = record(0x82025)
    data = window(0, runstate(0, 1, 0, 1, 0), inject(0xF3), inject(0xF3), inject(0x21), eoi, inject(0xF3), enter(9))
    d = report(tmp_path, data)
    assert (d["vectors"]["0xf3"]["direct"], d["vectors"]["0xf3"]["eoi"]) == (True, 0)
    assert (d["vectors"]["0x21"]["direct"], d["vectors"]["0x21"]["eoi"]) == (False, 1)


def test_a_wait_runs_from_the_first_window_armed_to_the_injection(tmp_path: Path) -> None:
    armed = record(0x82020, 0x31, 2, 0xFFFFFFFF)
    data = window(0, runstate(0, 1, 0, 1, 0), enter(5), armed, enter(8), armed, enter(20), inject(0x31), enter(30))
    v = report(tmp_path, data)["vectors"]["0x31"]
    assert v["latency_ns"] == {"p50": 15, "p99": 15, "max": 15}
    assert (v["latency_from"], v["windows_armed"], v["accepted"]) == ("window armed", 2, None)


def test_hypercalls_are_named_and_parted_by_machine(tmp_path: Path) -> None:
    data = window(
        0, runstate(0, 1, 0, 1, 0), record(0x82012, 32), record(0x82012, 77), runstate(5, 1, 0, 0, 2),
        runstate(6, 0, 0, 1, 0), record(0x20100D, 32, tsc=7),
    )  # fmt: skip
    d = report(tmp_path, data)
    assert d["hypercalls"] == {"event_channel_op": 2, "hypercall_77": 1}
    assert d["hypercalls_by_vm"] == {"d1": {"event_channel_op": 1, "hypercall_77": 1}, "d0": {"event_channel_op": 1}}


def test_without_scheduler_records_exits_pair_on_their_pcpu_and_a_note_says_so(tmp_path: Path) -> None:
    d = report(tmp_path, window(0, leave(10, 12), enter(30)) + window(1, leave(12, 12), enter(20)))
    assert d["exits"]["by_reason"]["HLT"]["time_ns"] == 28
    assert [(v["vm"], v["vcpu"], v["pcpu"]) for v in d["vcpus"]] == [("unknown", -1, 0), ("unknown", -1, 1)]
    assert "no scheduler record says who ran" in d["notes"][0]


def test_shares_of_all_reasons_are_one(tmp_path: Path) -> None:
    d = report_of(DATA / "xen-pvh1-start.bin.xz", 2_600_000_000)
    assert sum(x["share"] for x in d["exits"]["by_reason"].values()) == pytest.approx(1, abs=1e-4)
    assert sum(x["count"] for x in d["exits"]["by_reason"].values()) == d["exits"]["total"]
    assert sum(v["exits"] for v in d["vcpus"]) == d["exits"]["total"]


def test_damage_makes_the_report_partial(tmp_path: Path) -> None:
    whole = window(0, enter(10), enter(20))
    assert report(tmp_path, whole)["partial"] is False
    assert report(tmp_path, whole[:-4])["partial"] is True
