"""``exitless replay``: recorded counts as they are, given rows marked, predicted rows near, and how it refuses."""

import gzip
import io
import json
import lzma
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exitless.cli.main import main
from exitless.cli.replay import read as read_for_replay
from exitless.record.store import read as read_record
from exitless.scenario.costs import Preset
from exitless.vocab.kinds import Kind
from tests.shared import shared
from tests.traces.helpers import DATA, EXCERPTS, excerpt, report_of
from tests.traces.writer import IDLE, enter, leave, lost, record, runstate, window

PVH1 = DATA / "xen-pvh1-start.bin.xz"
HZ = 2_600_000_000
INTEL = "data/traces/xen-vmx-hvm/xentrace.bin"
AMD = ("xen-pvh1", "xen-pvh2", "xen-hvm-nopv2-load")


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run the command; returns status, standard output and standard error."""
    status = main(["replay", *words])
    out, err = capsys.readouterr()
    return status, out, err


def document(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> dict[str, Any]:
    """Run the command for its JSON."""
    status, out, err = said(capsys, str(path), "--json", "-", *words)
    assert (status, err) == (0, "")
    made: dict[str, Any] = json.loads(out)
    return made


def by_quantity(d: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the rows by what they count."""
    rows = {row["quantity"]: row for row in d["rows"]}
    assert len(rows) == len(d["rows"]), "two rows count the same thing"
    return rows


def agree(rows: dict[str, dict[str, Any]], report: dict[str, Any]) -> None:
    """What is called recorded is what ``exitless read`` counts in the same file."""
    for name, x in report["exits"]["by_reason"].items():
        assert rows[f"exits {name}"]["recorded"] == x["count"], name
    assert rows["exits total"]["recorded"] == report["exits"]["total"]
    for name, x in report["vectors"].items():
        row = rows.get(f"injections {name}", {"recorded": 0})
        assert row["recorded"] == x["injected"], name
        assert rows.get(f"window armings {name}", {"recorded": 0})["recorded"] == x["windows_armed"], name
    for name, count in report["hypercalls"].items():
        assert rows[f"hypercalls {name}"]["recorded"] == count, name
    assert rows["wakeups"]["recorded"] == report["wakeups"]
    for name, count in report["transitions"].items():
        assert rows[f"runstate {name}"]["recorded"] == count, name


@pytest.mark.parametrize("name", EXCERPTS)
def test_recorded_counts_are_those_of_read(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = DATA / f"{name}.bin.xz"
    d = document(capsys, path, "--cpu-hz", "2.6G")
    agree(by_quantity(d), report_of(path, HZ))
    assert {"file", "rows"} <= d.keys() and {"quantity", "recorded", "simulated", "basis"} <= d["rows"][0].keys()


@pytest.mark.parametrize("path", [INTEL, *(f"data/traces/{name}/xentrace.bin.xz" for name in AMD)])
def test_whole_recordings(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Recorded counts are those of read; what is given is followed to a few in a hundred."""
    file = shared(path)
    d = document(capsys, file, "--cpu-hz", "2.6G")
    rows = by_quantity(d)
    agree(rows, report_of(file, HZ))
    for name, row in rows.items():
        if row["basis"] == "given" and row["recorded"] > 20:
            assert abs(row["simulated"] - row["recorded"]) <= 0.03 * row["recorded"], name
    waiting = d["arrivals"] - rows["injections total"]["recorded"]
    assert 0 <= waiting <= len(d["vcpus"]), "an arrival each for what was injected, and what still waited at the end"


def test_the_window_tax_of_the_intel_recording(capsys: pytest.CaptureFixture[str]) -> None:
    """1,433 upcalls, 1,910 armings, 1,697 window exits; predicted within a tenth, both parts above 1.0 included."""
    d = document(capsys, shared(INTEL))
    rows = by_quantity(d)
    pinned = {"injections 0xf3": 1433, "window armings": 1910, "exits INTERRUPT_WINDOW": 1697, "exits HLT": 391}
    assert {name: rows[name]["recorded"] for name in pinned} == pinned
    for name in ("window armings", "exits INTERRUPT_WINDOW", "exits EXTERNAL_INTERRUPT", "exits total", "wakeups"):
        assert rows[name]["basis"] != "given"
        assert abs(rows[name]["difference_percent"]) < 10, name
    recorded, simulated = d["window_tax"]["recorded"], d["window_tax"]["simulated"]
    for name in ("armings_per_injection", "window_exits_per_injection"):
        assert simulated[name] > 1.1 and recorded[name] > 1.1
    again = [side["armings"]["Xen asks again after the injection"] for side in (recorded, simulated)]
    assert again == [1433, 1433], "one arming an upcall by asking again, on both sides"


@pytest.mark.parametrize("name", AMD)
def test_windows_of_the_amd_recordings(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rows = by_quantity(document(capsys, shared(f"data/traces/{name}/xentrace.bin.xz"), "--cpu-hz", "2.6G"))
    for quantity in ("exits vintr", "window armings"):
        assert rows[quantity]["basis"] == "predicted"
        assert abs(rows[quantity]["difference_percent"]) < 10, quantity


def test_without_what_was_learned_of_guest_code_only_asking_again_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    """The part of the window exits above 1.0 comes from interrupts that are off, and from nothing else."""
    d = document(capsys, shared(INTEL), "--interrupts-on")
    assert d["window_tax"]["simulated"]["window_exits_per_injection"] == pytest.approx(1, abs=0.01)
    assert d["window_tax"]["simulated"]["armings"]["the guest cannot take the interrupt"] == 0


def test_every_rising_edge_is_injected_once() -> None:
    """Between two events that found upcall_pending clear lies exactly one injection, and no law of state breaks."""
    replay = read_for_replay(str(shared(INTEL)), 0)
    replay.simulate(Preset("illustrative", 2_400_000_000, {}), True)
    waiting = dict.fromkeys(range(len(replay.vcpus)), 0)
    edges = 0
    for e in replay.record:
        if e.kind == Kind.UPCALL_MARK and e.a == 0:
            edges += 1
            waiting[e.vcpu] += 1
        elif e.kind == Kind.IRQ_INJECT and e.a == 0xF3:
            waiting[e.vcpu] -= 1
            assert waiting[e.vcpu] == 0, f"injected without an event at {e.time_ps} ps"
    assert edges > 1000 and not any(waiting.values())


def test_out_keeps_a_record_that_names_its_exits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "replay.xl"
    status, text, err = said(capsys, str(PVH1), "--cpu-hz", "2.6G", "--out", str(out))
    kept = read_record(out)
    assert (status, err) == (0, "") and len(kept) > 1000
    assert kept.header.vcpus == ["d2v0"] and {"interrupt", "vintr", "hlt"} <= set(kept.header.exits.values())
    assert "Window tax:" in text and "given: taken from the recording" in text


def test_costs_of_a_file_take_the_place_of_the_presets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = tmp_path / "costs.toml"
    costs.write_text('[cost]\nexit = { ns = 450 }\nentry = { cycles = 900 }\nassist = "1 us"\n')
    preset = Preset(str(costs), 1_000_000_000, {})
    assert list(preset.ps[:2]) == [450_000, 900_000] and 1_000_000 in preset.ps
    status, out, _ = said(capsys, str(PVH1), "--costs", str(costs))
    assert status == 0 and "3 of 61 steps from" in " ".join(out.split())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cost = 3", "no table [cost]"),
        ("[cost]\nexti = { ns = 4 }", 'did you mean "exit"?'),
        ("[cost]\nexit = { ns = -4 }", "cost.exit: expected"),
        ('[cost]\nexit = "long"', "cost.exit:"),
        ("[cost", "not valid TOML"),
        (None, "cannot read the cost table"),
    ],
)
def test_bad_costs_are_refused(text: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = tmp_path / "costs.toml"
    if text is not None:
        costs.write_text(text)
    status, out, err = said(capsys, str(PVH1), "--costs", str(costs))
    assert (status, out) == (2, "") and says in err and len(err.splitlines()) == 1


def test_what_cannot_be_replayed_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, nobody = tmp_path / "t.bin", tmp_path / "n.bin"
    text.write_bytes(b"not a recording at all")
    nobody.write_bytes(window(0, runstate(1000, 1, 0, 0, 2), runstate(2000, 1, 0, 2, 1)))
    for path, says in ((text, "no reader knows this"), (nobody, "no exit and no entry"), (tmp_path / "no", "read")):
        status, out, err = said(capsys, str(path))
        assert (status, out) == (2, "") and says in err and len(err.splitlines()) == 1


HVM_CLASS = 0x008
INJ_VIRQ, INTR_WINDOW = 0x82004, 0x82020


def only_hvm(data: bytes) -> bytes:
    """Keep the records of the HVM class (``xentrace -e 0x0008f000``)."""
    return masked(data, lambda event: event >> 16 == HVM_CLASS)


def masked(data: bytes, wanted: Callable[[int], bool]) -> bytes:
    """Keep the records that a trace mask lets through, each window with its new length."""
    out, at = b"", 0
    while at < len(data):
        _, cpu, size = struct.unpack_from("<3I", data, at)
        end, at, kept = at + 12 + size, at + 12, []
        while at < end:
            (word,) = struct.unpack_from("<I", data, at)
            length = 4 + 8 * (word >> 31) + 4 * (word >> 28 & 7)
            kept += [data[at : at + length]] if wanted(word & 0xFFFFFFF) else []
            at += length
        out += window(cpu, *kept)
    return out


@pytest.mark.parametrize("name", EXCERPTS)
def test_without_the_schedulers_records_a_pcpu_is_one_vcpu(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Linux 14520c92cbd7 counted was recorded so. All injections come, and what only the scheduler's records
    could tell is not compared."""
    path = tmp_path / "hvm.bin"
    path.write_bytes(only_hvm(excerpt(name)))
    d = document(capsys, path, "--cpu-hz", "2.6G")
    rows = by_quantity(d)
    assert d["vcpus"] == ["p0v0"] and any("No record of the scheduler" in note for note in d["notes"])
    assert not any(quantity.startswith(("runstate", "wakeups")) for quantity in rows)
    total = rows["injections total"]
    assert total["recorded"] > 1 and abs(total["simulated"] - total["recorded"]) <= max(1, 0.02 * total["recorded"])
    for quantity, row in rows.items():
        if row["basis"] == "given" and row["recorded"] > 20:
            assert abs(row["simulated"] - row["recorded"]) <= 0.03 * row["recorded"], quantity


@pytest.mark.parametrize("name", EXCERPTS)
def test_without_the_schedulers_class_alone_all_hypercalls_are_still_there(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``xentrace -e hvm -e pv``: dom0's hypercalls lie among a guest's, and are not taken for its own."""
    path = tmp_path / "unscheduled.bin"
    path.write_bytes(masked(excerpt(name), lambda event: event >> 16 != 0x002))
    d = document(capsys, path, "--cpu-hz", "2.6G")
    calls = [row for row in d["rows"] if row["quantity"].startswith("hypercalls")]
    assert calls and all(abs(row["simulated"] - row["recorded"]) <= 1 for row in calls) and kept(d) == []


@pytest.mark.parametrize("name", EXCERPTS)
def test_without_runstates_the_switches_tell_whose_an_exit_is(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``xentrace -e 0x28000``, the scheduler's verbose records without its runstates."""
    path = tmp_path / "no-runstates.bin"
    path.write_bytes(masked(excerpt(name), lambda event: event >> 12 != 0x21))
    d = document(capsys, path, "--cpu-hz", "2.6G")
    whole = document(capsys, DATA / f"{name}.bin.xz", "--cpu-hz", "2.6G")
    assert d["vcpus"] == whole["vcpus"] and kept(d) == []
    rows = by_quantity(d)
    assert rows["window armings"]["basis"] == rows["wakeups"]["basis"] == "not predictable"
    assert not any(row["recorded"] == 0 and row["simulated"] > 2 for row in d["rows"])
    assert any("Runstates are not recorded" in note for note in d["notes"])


def test_the_hvm_class_alone_comes_through_a_pipe_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read more than once, which a pipe cannot be."""
    data = only_hvm(excerpt("xen-pvh1-start"))
    (tmp_path / "hvm.bin").write_bytes(data)
    of_file = document(capsys, tmp_path / "hvm.bin")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert document(capsys, Path("-"))["rows"] == of_file["rows"]


@pytest.mark.parametrize("path", [INTEL, "data/traces/xen-pvh1/xentrace.bin.xz"])
def test_armings_of_the_hvm_class_alone_lie_between_no_restart_and_one_at_each_switch(
    path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which switches a slice timer restarts is in no record of this class; that it can be none or all, bounds them.

    These guests have a pCPU for each vCPU. Window exits do not depend on it, and stay predicted.
    """
    file = tmp_path / "hvm.bin"
    whole = shared(path).read_bytes()
    file.write_bytes(only_hvm(lzma.decompress(whole) if path.endswith(".xz") else whole))
    d = document(capsys, file, "--cpu-hz", "2.6G")
    rows = by_quantity(d)
    row = rows["window armings"]
    assert row["simulated"] < row["recorded"] < row["simulated_most"]
    assert (row["basis"], row["difference_percent"]) == ("not predictable", None)
    assert any("Armings are not predictable from this file" in note for note in d["notes"])
    exits = rows["exits INTERRUPT_WINDOW" if path == INTEL else "exits vintr"]
    assert exits["basis"] == "predicted" and abs(exits["difference_percent"]) < 10


def test_window_exits_of_several_vcpus_on_one_pcpu_are_not_predicted_from_the_hvm_class_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of two waits for a window while the other runs: whose an exit is decides, and no record tells it."""
    file = tmp_path / "hvm.bin"
    file.write_bytes(only_hvm(excerpt("xen-hvm-nopv2-load-start")))
    d = document(capsys, file, "--cpu-hz", "2.6G")
    assert by_quantity(d)["exits vintr"]["basis"] == "not predictable"
    assert any("More than one vCPU ran on a pCPU" in note for note in d["notes"])


@pytest.mark.parametrize("name", EXCERPTS)
@pytest.mark.parametrize("hvm", [False, True])
def test_a_mask_without_armings_is_told_and_window_exits_are_predicted(
    name: str, hvm: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a window exit injects waited since the exit before at latest: so its window exit comes about again."""
    path = tmp_path / "no-windows.bin"
    data = only_hvm(excerpt(name)) if hvm else excerpt(name)
    path.write_bytes(masked(data, lambda event: event != INTR_WINDOW))
    d = document(capsys, path, "--cpu-hz", "2.6G")
    armings = [row for row in d["rows"] if row["quantity"].startswith("window armings")]
    exits = by_quantity(d).get("exits vintr", by_quantity(d).get("exits INTERRUPT_WINDOW"))
    assert exits is None or abs(exits["simulated"] - exits["recorded"]) <= max(4, 0.1 * exits["recorded"])
    if exits is not None:
        assert {(row["recorded"], row["difference_percent"], row["basis"]) for row in armings} == {
            (None, None, "not recorded")
        }
        assert any("Window armings are not recorded" in note for note in d["notes"])


@pytest.mark.parametrize("path", [INTEL, "data/traces/xen-pvh2/xentrace.bin.xz"])
def test_whole_recordings_without_armings(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The callback, after which Xen asks again, is told by the window exits that find nothing to inject."""
    file = tmp_path / "no-windows.bin"
    whole = shared(path).read_bytes()
    whole = lzma.decompress(whole) if path.endswith(".xz") else whole
    file.write_bytes(masked(whole, lambda event: event != INTR_WINDOW))
    rows = by_quantity(document(capsys, file, "--cpu-hz", "2.6G"))
    exits = rows["exits INTERRUPT_WINDOW" if path == INTEL else "exits vintr"]
    assert exits["basis"] == "predicted" and abs(exits["difference_percent"]) < 10
    assert rows["window armings"]["basis"] == "not recorded"


def test_a_mask_without_wake_ups_and_blocking_is_followed_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only who gets and loses a pCPU is recorded, no wake-up: what is given comes, and no row is 0 against many."""
    path = tmp_path / "no-wakes.bin"
    runs = (0x21011, 0x21021, 0x21031, 0x21101)
    path.write_bytes(masked(excerpt("xen-pvh2-start"), lambda event: event >> 12 != 0x28 and (
        event >> 12 != 0x21 or event in runs)))  # fmt: skip
    d = document(capsys, path, "--cpu-hz", "2.6G")
    rows = by_quantity(d)
    for name, row in rows.items():
        if row["basis"] == "given" and row["recorded"] > 20:
            assert abs(row["simulated"] - row["recorded"]) <= 0.03 * row["recorded"], name
        assert row["recorded"] or row["basis"] == "not recorded" or row["simulated"] <= 2, name
    assert rows["wakeups"]["basis"] == rows["runstate blocked->runnable"]["basis"] == "not recorded"
    assert any("changes of runstate are missing" in note for note in d["notes"])


def test_a_mask_without_injections_leaves_nothing_to_predict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only arrivals that had to wait are seen; no row may then claim a prediction of windows."""
    path = tmp_path / "no-injections.bin"
    path.write_bytes(masked(excerpt("xen-pvh2-start"), lambda event: event != INJ_VIRQ))
    d = document(capsys, path, "--cpu-hz", "2.6G")
    rows = by_quantity(d)
    assert rows["injections total"]["recorded"] is None and rows["injections total"]["basis"] == "not recorded"
    assert rows["window armings"]["basis"] == rows["exits vintr"]["basis"] == "not predictable"
    assert rows["exits vintr"]["difference_percent"] is None
    assert any("Injections are not recorded" in note for note in d["notes"])


def windows_of(data: bytes) -> list[bytes]:
    """Return the windows of a recording, each with its CPU_CHANGE record."""
    at, windows = 0, []
    while at < len(data):
        size = 12 + struct.unpack_from("<I", data, at + 8)[0]
        windows.append(data[at : at + size])
        at += size
    return windows


@pytest.mark.parametrize("first, last", [(0.0, 0.4), (0.3, 0.7), (0.6, 1.0)])
@pytest.mark.parametrize("name", EXCERPTS)
def test_any_part_of_a_recording_is_replayed(
    name: str, first: float, last: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whole windows from anywhere: whoever runs at the start is found out, and what is given is followed."""
    windows = windows_of(excerpt(name))
    path = tmp_path / "part.bin"
    path.write_bytes(b"".join(windows[int(first * len(windows)) : int(last * len(windows))]))
    status, out, _ = said(capsys, str(path), "--cpu-hz", "2.6G", "--json", "-")
    if status == 2:
        assert len(windows) < 4, "so short an excerpt may have a part in which nobody runs"
        return
    rows = by_quantity(json.loads(out))
    total = rows["injections total"]
    assert status == 0 and abs(total["simulated"] - total["recorded"]) <= max(2, 0.02 * total["recorded"])


def test_a_cut_recording_is_replayed_to_its_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = excerpt("xen-pvh2-start")
    cut = tmp_path / "cut.bin"
    cut.write_bytes(whole[: len(whole) * 2 // 3 + 5])
    status, out, err = said(capsys, str(cut), "--cpu-hz", "2.6G", "--json", "-")
    assert status == 0 and "partial result" in err and json.loads(out)["problems"]
    agree(by_quantity(json.loads(out)), report_of(cut, HZ))


def test_another_vector_two_domains_and_two_pcpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A made-up recording: each of two guests takes one upcall by a timer, one of them with interrupts off."""

    def guest(base: int, domain: int, vector: int, blocked: bool) -> bytes:
        found = [record(0x82020, vector, 5, 0xFFFFFFFF), leave(base + 3000, 7)] if blocked else []
        return b"".join([
            runstate(base, domain, 0, 1, 0), enter(base + 100), leave(base + 2000, 1), record(0x8200F, 0xFA),
            found[0] + enter(base + 2500) + found[1] if blocked else b"",
            record(0x82004, vector, 0), record(0x82020, vector, 5, vector), enter(base + 3500),
            leave(base + 9000, 7), enter(base + 9500), leave(base + 20000, 12), record(0x82013, 0),
        ])  # fmt: skip

    path = tmp_path / "made.bin"
    path.write_bytes(window(0, guest(1000, 3, 0xB1, False)) + window(1, guest(1500, 4, 0xC2, True)))
    rows = by_quantity(document(capsys, path, "--cpu-hz", "1G"))
    assert [rows[f"injections 0x{v}"]["simulated"] for v in ("b1", "c2")] == [1, 1]
    assert rows["window armings"]["recorded"] == 3 and rows["exits INTERRUPT_WINDOW"]["recorded"] == 3
    # Where interrupts were off cannot be known of code that was met once.
    assert rows["window armings"]["simulated"] == 2 and rows["exits INTERRUPT_WINDOW"]["simulated"] == 2


def kept(d: dict[str, Any]) -> list[str]:
    """Return the rows that break what any recording keeps, whole or cut.

    What is given comes, but for what was under way at the cut; what is predicted is within a tenth and half a dozen.
    Armings may miss as many as the restarts of either side besides, since the timers that decide them are not recorded.
    """
    causes = [
        d["window_tax"][side]["armings"]["a softirq restarts the entry path"] for side in ("recorded", "simulated")
    ]
    broken = []
    for row in d["rows"]:
        recorded, simulated = row["recorded"], row["simulated"]
        if row["basis"] in ("not recorded", "not predictable"):
            continue
        slack = 6 + 0.1 * recorded
        if row["quantity"].startswith("window armings"):
            low, high = recorded - causes[0] - slack, recorded + causes[1] + slack
        else:
            low, high = recorded - slack, recorded + slack
        if not low <= simulated <= high:
            broken.append(f"{row['quantity']}: {recorded} recorded, {simulated} simulated, {row['basis']}")
    return broken


@pytest.mark.parametrize("hvm", [False, True])
@pytest.mark.parametrize("name", EXCERPTS)
def test_any_cut_keeps_its_rows_near_or_marks_them(
    name: str, hvm: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cut off anywhere, or with a window missing and nothing that says so: no row goes astray unmarked."""
    data = only_hvm(excerpt(name)) if hvm else excerpt(name)
    path, windows = tmp_path / "cut.bin", windows_of(data)
    some = [data[: len(data) * n // 11 + 7 * n] for n in range(1, 12, 2 if hvm else 1)]
    some += [b"".join(windows[:n] + windows[n + 1 :]) for n in range(len(windows)) if len(windows) > 1]
    for n, part in enumerate(some):
        path.write_bytes(part)
        status, out, err = said(capsys, str(path), "--cpu-hz", "2.6G", "--json", "-")
        if status == 2:
            assert len(part) < len(data) // 4 and len(err.splitlines()) == 1, n
            continue
        assert status == 0 and kept(json.loads(out)) == [], n


def records_of(data: bytes) -> list[bytes]:
    """Return the records of a recording of one pCPU, without those that begin its windows."""
    out = []
    for w in windows_of(data):
        at = 12
        while at < len(w):
            (word,) = struct.unpack_from("<I", w, at)
            size = 4 + 8 * (word >> 31) + 4 * (word >> 28 & 7)
            out.append(w[at : at + size])
            at += size
    return out


@pytest.mark.parametrize("hvm", [False, True])
@pytest.mark.parametrize("name", EXCERPTS)
def test_lost_records_are_told_and_what_follows_is_replayed(
    name: str, hvm: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some of the records give way to one that tells how many, since when, and who runs now, as Xen writes it."""
    records = records_of(only_hvm(excerpt(name)) if hvm else excerpt(name))
    stamps = [struct.unpack_from("<Q", r, 4)[0] if r[3] & 0x80 else 0 for r in records]
    runs, now = [], (IDLE, 0)
    for r in records:
        (word,) = struct.unpack_from("<I", r)
        if word >> 12 & 0xFFFF == 0x21 and word >> 4 & 15 == 0:
            vcpu, domain = struct.unpack_from("<HH", r, 12)
            now = (domain, vcpu)
        runs.append(now)
    for n in range(6):
        first, size = len(records) * (2 * n + 1) // 13, 40 << n
        last = min(first + size, len(records) - 1)
        since, until = max(stamps[:first]), max(stamps[:last])
        path = tmp_path / "lost.bin"
        told = lost(until, last - first, *runs[last - 1], since)
        path.write_bytes(window(0, *records[:first], told, *records[last:]))
        d = document(capsys, path, "--cpu-hz", "2.6G")
        assert kept(d) == [], (n, first, last)


@pytest.mark.parametrize("packed", ["xz", "gz", "zst"])
def test_packed_or_not_the_rows_are_the_same(
    packed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = excerpt("xen-pvh1-start")
    (tmp_path / "plain.bin").write_bytes(data)
    plain = document(capsys, tmp_path / "plain.bin", "--cpu-hz", "2.6G")["rows"]
    if packed == "zst":
        small = pytest.importorskip("zstandard").ZstdCompressor().compress(data)
    else:
        small = lzma.compress(data) if packed == "xz" else gzip.compress(data)
    (tmp_path / f"packed.{packed}").write_bytes(small)
    assert document(capsys, tmp_path / f"packed.{packed}", "--cpu-hz", "2.6G")["rows"] == plain
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(small)))
    assert document(capsys, Path("-"), "--cpu-hz", "2.6G")["rows"] == plain


def test_damaged_time_stamps_leave_nothing_predicted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One stamp five days ahead makes all that follows on its pCPU one moment."""
    data = bytearray(excerpt("xen-pvh1-start"))
    at = 12
    while at < len(data) // 3 or not data[at + 3] & 0x80:
        (word,) = struct.unpack_from("<I", data, at)
        at += 4 + 8 * (word >> 31) + 4 * (word >> 28 & 7) if word != 0x2001F003 else 12
    data[at + 10] ^= 4
    (tmp_path / "ahead.bin").write_bytes(data)
    d = document(capsys, tmp_path / "ahead.bin", "--cpu-hz", "2.6G")
    assert {row["basis"] for row in d["rows"]} == {"not predictable"}
    assert any("nothing in it is predictable" in note for note in d["notes"])
