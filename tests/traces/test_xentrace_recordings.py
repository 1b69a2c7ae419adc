"""Whole recordings against what the reference tool says of them."""

import re
from collections import Counter
from pathlib import Path

import pytest

from exitless.study.trace_report import STATES
from exitless.traces.reader import open_reader
from exitless.traces.recording import record_of
from exitless.traces.xentrace import Xentrace, to_record
from exitless.vocab.kinds import Kind, Owner
from exitless.vocab.table import BY_KIND
from shared import shared
from tests.traces.helpers import report_of, rows_of

FOLDERS = ("xen-pvh1", "xen-pvh2", "xen-hvm-nopv2-load")
TSC_HZ = 2_600_000_000
LINUX_NAMES = {
    "EXCEPTION_NM": "NM excp", "INTR": "interrupt", "VINTR": "vintr", "CPUID": "cpuid", "HLT": "hlt", "MSR": "msr",
    "VMMCALL": "hypercall", "IOIO": "io", "NPF": "npf",
}  # fmt: skip


def recording(folder: str) -> Path:
    """Return a recording of the AMD machine."""
    return shared(f"data/traces/{folder}/xentrace.bin.xz")


def intel() -> Path:
    """Return the recording of an Intel host without APICv."""
    return shared("data/traces/xen-vmx-hvm/xentrace.bin")


def reference_counts(folder: str) -> dict[str, int]:
    """Return the reference tool's count of every event."""
    text = shared(f"data/traces/{folder}/event-counts.txt").read_text()
    return {event: int(count) for count, event in re.findall(r"^ *(\d+) (0x[0-9a-f]{8}) ", text, re.MULTILINE)}


def reference_exits(folder: str) -> dict[str, tuple[int, int]]:
    """Return xenalyze's exits by reason over all vCPUs: count, and cycles from exit to entry or preemption."""
    found: dict[str, tuple[int, int]] = {}
    text = shared(f"data/traces/{folder}/xenalyze-summary.txt").read_text()
    for reason, number, mean in re.findall(r"^ VMEXIT_(\w+) +(\d+) .*% +(\d+) cyc", text, re.MULTILINE):
        count, cycles = found.get(LINUX_NAMES[reason], (0, 0))
        found[LINUX_NAMES[reason]] = (count + int(number), cycles + int(number) * int(mean))
    return found


def reference_runstates(folder: str) -> dict[tuple[str, str], tuple[int, float]]:
    """Return xenalyze's stays in each runstate of each vCPU: count and seconds."""
    found = {}
    vm = vcpu = ""
    for line in shared(f"data/traces/{folder}/xenalyze-summary.txt").read_text().splitlines():
        if match := re.match(r"\|-- Domain (\d+)", line):
            vm, vcpu = f"d{match[1]}", ""
        elif match := re.match(r"-- (v\d+) --", line):
            vcpu = match[1]
        elif vcpu and (match := re.match(r" *(\w+): +(\d+) +([\d.]+)s ", line)) and match[1] in STATES:
            found[vm + vcpu, match[1]] = int(match[2]), float(match[3])
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_kind_has_the_count_of_the_reference(folder: str) -> None:
    with open_reader(str(recording(folder))) as reader:
        rows_of(reader)
        assert reader.kinds == reference_counts(folder)
        assert reader.events == sum(reference_counts(folder).values())
        assert reader.unread() == {} and not reader.problems and reader.lost_intervals == 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_exits_by_reason_have_the_counts_and_times_of_xenalyze(folder: str) -> None:
    """xenalyze times an exit until the entry, or until the vCPU first waits for a pCPU."""
    report = report_of(recording(folder), TSC_HZ)
    mine, theirs = report["exits"]["by_reason"], reference_exits(folder)
    counts = reference_counts(folder)
    assert report["exits"]["total"] == counts["0x00081102"]
    assert mine.keys() == theirs.keys()
    for name, (count, cycles) in theirs.items():
        # xenalyze may lack one cut by the recording's begin; one whose entry lies behind its end has no time here.
        open_ended = mine[name]["count"] - mine[name]["timed"]
        assert abs(mine[name]["count"] - count) <= 1 and 0 <= open_ended <= 1
        mean = mine[name]["handled_ns"] * TSC_HZ / 1e9 / mine[name]["timed"]
        assert mean == pytest.approx(cycles / count, rel=2e-2 if open_ended or count != mine[name]["count"] else 5e-5)
        assert mine[name]["min_ns"] <= mine[name]["p50_ns"] <= mine[name]["p99_ns"] <= mine[name]["max_ns"]
        assert mine[name]["runnable_ns"] <= mine[name]["time_ns"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_runstates_of_every_vcpu_are_those_of_xenalyze(folder: str) -> None:
    """Counts may differ by one at the recording's begin; xenalyze also splits a run at each CONTINUE_RUNNING record."""
    report = report_of(recording(folder), TSC_HZ)
    mine = {
        (f"{v['vm']}v{v['vcpu']}", state): (stay["count"], stay["time_ns"] / 1e9)
        for v in report["vcpus"]
        for state, stay in v["runstates"].items()
    }
    theirs = {key: value for key, value in reference_runstates(folder).items() if not key[0].startswith("d32767")}
    assert mine.keys() == theirs.keys() and len(theirs) >= 9
    for key, (count, seconds) in theirs.items():
        assert mine[key][1] == pytest.approx(seconds, abs=0.012)
        if key[1] != "running":
            assert abs(mine[key][0] - count) <= 1


@pytest.mark.parametrize(
    ("folder", "vectors"),
    [
        ("xen-pvh1", {"0xf3": 801}),
        ("xen-pvh2", {"0xf3": 1159}),
        ("xen-hvm-nopv2-load", {"0x23": 45, "0xec": 899, "0xfb": 129, "0xfd": 16}),
    ],
)
def test_injections_by_vector_and_their_ends(folder: str, vectors: dict[str, int]) -> None:
    """Each of these vectors is in the local APIC, so each injection is ended once; one may be cut at the end."""
    report = report_of(recording(folder), TSC_HZ)
    assert {name: v["injected"] for name, v in report["vectors"].items()} == vectors
    assert all(0 <= v["injected"] - v["eoi"] <= 1 and not v["direct"] for v in report["vectors"].values())
    assert report["eoi_without_vector"] <= 1
    windows = reference_counts(folder)["0x00082020"]
    assert sum(report["windows_armed"].values()) == windows


@pytest.mark.parametrize("folder", FOLDERS)
def test_hypercalls_by_number_are_those_of_xenalyze(folder: str) -> None:
    report = report_of(recording(folder), TSC_HZ)
    text = shared(f"data/traces/{folder}/xenalyze-summary.txt").read_text()
    theirs: Counter[str] = Counter()
    for name, _, count in re.findall(r"^    (\w+|\(null\)) +\[ ?(\d+)\]: +(\d+)$", text, re.MULTILINE):
        theirs[{"evtchn_op": "event_channel_op", "(null)": "dm_op"}.get(name, name)] += int(count)
    # The first calls of a recording belong to nobody in the reference's table; here to the vCPU that is seen to leave.
    mine = report["hypercalls_by_vm"]["d0"]
    assert mine.keys() == theirs.keys() and all(0 <= mine[name] - count <= 8 for name, count in theirs.items())
    assert sum(mine.values()) == reference_counts(folder)["0x0020100d"]


def test_intel_recording_has_the_counts_its_description_names() -> None:
    report = report_of(intel(), 2_400_000_000)
    assert report["events"] == 180_680 and report["partial"] is False and report["unread"] == {}
    assert {name: x["count"] for name, x in report["exits"]["by_reason"].items()} == {
        "VMCALL": 1803, "INTERRUPT_WINDOW": 1697, "EXTERNAL_INTERRUPT": 1509, "HLT": 391, "EPT_VIOLATION": 282,
        "IO_INSTRUCTION": 105, "CPUID": 84, "APIC_ACCESS": 2,
    }  # fmt: skip
    assert sum(v["injected"] for v in report["vectors"].values()) == 1435
    assert report["vectors"]["0xf3"]["injected"] == 1433
    # The event-channel callback does not pass through the local APIC: nobody ends it.
    assert report["vectors"]["0xf3"]["direct"] is True and report["vectors"]["0xf3"]["eoi"] == 0
    assert sum(report["host_vectors"].values()) == 1509, "each external interrupt exit names its host vector"
    assert sum(report["hypercalls_by_vm"]["d14"].values()) == 1803
    assert {v["vm"] for v in report["vcpus"]} == {"d0", "d14"}
    assert sum(v["exits"] for v in report["vcpus"] if v["vm"] == "d14") == 5873


def test_intel_recording_has_eight_pcpus_in_one_order_of_time() -> None:
    with open_reader(str(intel())) as reader:
        assert isinstance(reader, Xentrace)
        rows = rows_of(reader)
        assert reader.pcpus == 8 and {row[2] for row in rows} == set(range(8))
        assert [row[0] for row in rows] == sorted(row[0] for row in rows)
        assert reader.vendor() == "vmx"
        assert reader.duration_ps * reader.clock_hz / 1e12 == pytest.approx(8.39e9, rel=1e-3)


def test_a_vcpu_never_runs_on_two_pcpus_and_enters_only_while_it_runs() -> None:
    """Following runstates per pCPU must give one consistent history over all of them."""
    with open_reader(str(intel())) as reader:
        on: dict[int, int] = {}
        for _, kind, pcpu, vcpu, old, new in rows_of(reader):
            if vcpu < 0 or kind not in (Kind.RUNSTATE, Kind.VM_ENTRY, Kind.VM_EXIT):
                continue
            if kind != Kind.RUNSTATE:
                assert on.setdefault(vcpu, pcpu) == pcpu
            elif old == 0:
                assert on.pop(vcpu, pcpu) == pcpu
            elif new == 0:
                assert vcpu not in on
                on[vcpu] = pcpu


def test_a_recording_becomes_a_record_of_the_common_vocabulary() -> None:
    record = to_record(str(recording("xen-pvh1")), TSC_HZ)
    header = record.header
    assert header.vcpus == ["d0v0", "d0v1", "d2v0"]
    assert header.owners == [Owner.DOM0, Owner.DOM0, Owner.GUEST]
    assert (header.pcpus, header.clock_hz) == (1, TSC_HZ)
    assert header.origin == "recorded (xentrace; clock tsc given)"
    assert header.exits[0x60] == "interrupt" and header.exits.keys() == {0x47, 0x60, 0x64, 0x72, 0x78, 0x7C, 0x81}
    kinds = Counter(BY_KIND[event.kind].name for event in record)
    reference = reference_counts("xen-pvh1")
    assert kinds["vm.exit"] == reference["0x00081102"] and kinds["vm.entry"] == reference["0x00081001"]
    assert kinds["irq.inject"] == 801 and kinds["irq.window"] == 581 and kinds["guest.hlt"] == 76
    assert kinds["hypercall"] == reference["0x00082012"] + reference["0x0020100d"]
    assert kinds["sched.wake"] == 1401 and kinds["sched.block"] == 1402 and kinds["sched.switch"] == 1957
    assert all(event.time_ps <= header.length_ps and -1 <= event.vcpu < 3 for event in record)
    entries = [event.a for event in record if event.kind == Kind.VM_ENTRY and event.a >= 0]
    assert Counter(entries) == {0xF3: 801}, "each injection is taken by the next entry of its vCPU"


def test_a_pcpus_owners_alternate_and_cover_the_guest_by_its_entries() -> None:
    record = to_record(str(recording("xen-pvh1")), TSC_HZ)
    owner = -1
    spent = 0
    since = 0
    for event in record:
        if event.kind == Kind.CPU_OWNER:
            assert event.a != owner
            spent += event.time_ps - since if owner == Owner.GUEST else 0
            owner, since = event.a, event.time_ps
    report = report_of(recording("xen-pvh1"), TSC_HZ)
    assert spent / 1000 == pytest.approx(report["vcpus"][0]["guest_ns"], rel=1e-6)


def test_moves_are_recorded_where_a_vcpu_runs_on_another_pcpu() -> None:
    with open_reader(str(intel())) as reader:
        record = record_of(reader)
    moves = [event for event in record if event.kind == Kind.VCPU_MOVE]
    assert moves and all(event.a != event.b == event.pcpu for event in moves)
    assert len(moves) == report_of(intel(), 2_400_000_000)["moves"]
