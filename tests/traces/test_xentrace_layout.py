"""The layout of Xen's trace records, rule by rule."""

import struct
from pathlib import Path

import pytest

from exitless.errors import TraceError
from exitless.traces.reader import LOST, open_reader
from exitless.traces.xentrace import Xentrace, vendor_of
from exitless.vocab.kinds import Kind
from tests.traces.helpers import DATA, EXCERPTS, excerpt, plain_counts, read_bytes
from tests.traces.writer import IDLE, enter, inject, leave, lost, record, runstate, window

# Hex of real header words, from the layout: event, extra words in bits 30..28, time stamp flag in bit 31.
VECTORS = {
    "03 f0 01 20 03 00 00 00 40 00 00 00": window(3, b"\0" * 64)[:12],
    "01 10 08 80 02 00 00 00 01 00 00 00": enter(0x1_0000_0002),
    "0f 20 08 10 58 00 00 00": record(0x8200F, 0x58),
    "21 10 02 90 10 00 00 00 00 00 00 00 02 00 05 00": runstate(0x10, 5, 2, 0, 2),
}


@pytest.mark.parametrize("text", VECTORS)
def test_the_test_writer_makes_the_words_of_the_layout(text: str) -> None:
    assert VECTORS[text] == bytes.fromhex(text)


def test_the_three_vectors_are_read_as_what_they_say(tmp_path: Path) -> None:
    """VMENTRY at TSC 0x1_00000002, INTR of vector 0x58 without a stamp, d5v2 from running to blocked at TSC 0x10."""
    words = list(VECTORS)
    data = window(3, bytes.fromhex(words[3]), bytes.fromhex(words[2]), bytes.fromhex(words[1]))
    reader, rows = read_bytes(tmp_path, data)
    assert [v.name() for v in reader.vcpus] == ["d5v2"]
    assert rows == [
        (0, Kind.RUNSTATE, 3, 0, 0, 2),
        (0, Kind.HOST_IRQ, 3, -1, 0x58, -1),
        (0x1_0000_0002 - 0x10, Kind.VM_ENTRY, 3, -1, -1, -1),
    ]


def test_a_record_without_a_stamp_takes_the_one_before_on_its_pcpu(tmp_path: Path) -> None:
    data = window(0, enter(100), inject(0x30), enter(300)) + window(1, enter(200))
    _, rows = read_bytes(tmp_path, data)
    assert [(row[0], row[1], row[2]) for row in rows] == [
        (0, Kind.VM_ENTRY, 0), (0, Kind.IRQ_INJECT, 0), (100, Kind.VM_ENTRY, 1), (200, Kind.VM_ENTRY, 0),
    ]  # fmt: skip


def test_windows_of_several_pcpus_become_one_order_of_time(tmp_path: Path) -> None:
    data = (
        window(0, enter(10), enter(40)) + window(2, enter(20), enter(50)) + window(0, enter(60)) + window(2, enter(60))
    )
    reader, rows = read_bytes(tmp_path, data)
    assert [(row[0] + 10, row[2]) for row in rows] == [(10, 0), (20, 2), (40, 0), (50, 2), (60, 0), (60, 2)]
    assert reader.pcpus == 3
    assert reader.kinds == {"0x0001f003": 4, "0x00081001": 6}
    assert reader.events == 10


def test_wrap_buffer_is_skipped_by_its_size_whatever_it_holds(tmp_path: Path) -> None:
    """Its contents are undefined, a time stamp in it too."""
    data = window(0, enter(10), record(0x1F002, 0x1008200F, 1), record(0x1F002, 7, tsc=1 << 62), enter(20))
    reader, rows = read_bytes(tmp_path, data)
    assert [row[0] for row in rows] == [0, 10]
    assert reader.kinds["0x0001f002"] == 2 and not reader.problems


def test_lost_records_hide_the_pcpu_from_the_first_loss_and_name_who_runs_after_it(tmp_path: Path) -> None:
    data = window(
        0, runstate(100, 1, 0, 1, 0), leave(110, 12), lost(200, 7, 1, 3, 150), leave(210, 12), enter(220)
    )  # fmt: skip
    reader, rows = read_bytes(tmp_path, data)
    assert (reader.lost_events, reader.lost_intervals) == (7, 1)
    names = [v.name() for v in reader.vcpus]
    assert (50, LOST, 0, -1, 7, 100) in rows
    assert (100, LOST, 0, names.index("d1v3"), -1, 0) in rows
    assert [names[row[3]] for row in rows if row[1] == Kind.VM_EXIT] == ["d1v0", "d1v3"]


def test_a_loss_that_claims_to_have_begun_before_the_record_before_it_begins_there(tmp_path: Path) -> None:
    _, rows = read_bytes(tmp_path, window(0, enter(100), enter(180), lost(200, 1, IDLE, 0, 20), enter(300)))
    assert [row[0] for row in rows] == [0, 80, 80, 100, 200]


def test_the_vcpu_is_followed_through_runstates_on_each_pcpu(tmp_path: Path) -> None:
    """HVM records name no vCPU; a runstate of another vCPU, told by a waker, changes nothing here."""
    data = window(
        0, runstate(10, 1, 0, 1, 0), leave(20, 12), runstate(30, 2, 5, 2, 1), leave(35, 12), runstate(40, 1, 0, 0, 2),
        runstate(41, IDLE, 0, 1, 0), runstate(60, IDLE, 0, 0, 1), runstate(61, 2, 5, 1, 0), enter(70),
    ) + window(1, runstate(15, 1, 1, 1, 0), leave(25, 12))  # fmt: skip
    reader, rows = read_bytes(tmp_path, data)
    names = [v.name() for v in reader.vcpus]
    assert [
        (row[2], names[row[3]]) for row in rows if row[1] in (Kind.VM_EXIT, Kind.VM_ENTRY)
    ] == [(0, "d1v0"), (1, "d1v1"), (0, "d1v0"), (0, "d2v5")]  # fmt: skip
    assert all(row[3] == -1 for row in rows if row[1] == Kind.RUNSTATE and row[0] in (31, 50))


def test_who_ran_before_the_first_scheduler_record_is_who_it_takes_off_the_pcpu(tmp_path: Path) -> None:
    reader, rows = read_bytes(tmp_path, window(0, leave(10, 12), enter(20), runstate(30, 4, 2, 0, 1)))
    assert reader.vcpus[rows[0][3]].name() == "d4v2" and not reader.notes
    reader, rows = read_bytes(tmp_path, window(0, leave(10, 12), enter(20), runstate(30, 4, 2, 1, 0)))
    assert rows[0][3] == -1 and "no scheduler record says who ran: 2;" in reader.notes[0]


def test_an_exit_by_an_external_interrupt_carries_the_vector_of_the_record_behind_it(tmp_path: Path) -> None:
    _, rows = read_bytes(
        tmp_path, window(0, leave(10, 1), record(0x8200F, 0xFA), enter(20), leave(30, 0x60), record(0x8200F))
    )
    assert [row[4:] for row in rows] == [(1, 0xFA), (0xFA, -1), (-1, -1), (0x60, -1), (-1, -1)]


def test_records_become_kinds_with_the_arguments_of_the_table(tmp_path: Path) -> None:
    data = window(
        0, runstate(10, 1, 0, 1, 0), record(0x82020, 0xF3, 5, 0xFFFFFFFF), record(0x82012, 32), record(0x82013, 1),
        record(0x20100D, 0x10001D, 1, tsc=20), record(0x20100D, 0x20, tsc=21), record(0x8200D, 0x80B, 0, 0),
        record(0x8200D, 0x830, 0xFD, 1), record(0x82025), record(0x82217, 0xFEE000B0, 0),
        record(0x82217, 0xFEE00300, 0x40),
        record(0x8200C, 0x1B, 0, 0), record(0x82017, 0xFEE00020), record(0x82017, 0xFEC00000),
        record(0x802008, 25, 1, 2, tsc=30), record(0x28004, 2, 7, tsc=31), record(0x28006, 1, 0, tsc=32),
        record(0x22206, 3, tsc=33), record(0x2800A, 1, 0, IDLE, 0, tsc=34),
    )  # fmt: skip
    reader, rows = read_bytes(tmp_path, data)
    assert [row[1:2] + row[3:] for row in rows[1:]] == [
        (Kind.IRQ_WINDOW, 0, 0xF3, 5), (Kind.HYPERCALL, 0, 32, -1), (Kind.GUEST_HLT, 0, 1, 0),
        (Kind.HYPERCALL, 0, 29, 1), (Kind.HYPERCALL, 0, 32, -1),
        (Kind.MSR_ACCESS, 0, 2**32 + 0x80B, 0), (Kind.IRQ_EOI, 0, -1, 1),
        (Kind.MSR_ACCESS, 0, 2**32 + 0x830, 2**32 + 0xFD), (Kind.IRQ_EOI, 0, -1, 1),
        (Kind.APIC_ACCESS, 0, 4096 + 0xB0, 0), (Kind.IRQ_EOI, 0, -1, 1), (Kind.APIC_ACCESS, 0, 4096 + 0x300, 0x40),
        (Kind.MSR_ACCESS, 0, 0x1B, -1), (Kind.APIC_ACCESS, 0, 0x20, -1),
        (Kind.HOST_IRQ, 0, -1, 25), (Kind.HOST_DONE, 0, -1, 0), (Kind.SCHED_WAKE, 1, 0, 0),
            (Kind.SCHED_BLOCK, 0, 0, 0),
        (Kind.SCHED_TICKLE, -1, 3, 0), (Kind.SCHED_SWITCH, -1, 0, -1),
    ]  # fmt: skip
    assert reader.unread() == {}


@pytest.mark.parametrize("event", [0x802003, 0x802004, 0x802006])
def test_candidate_c7_records_of_vectors_are_counted_and_nothing_is_taken_from_them(tmp_path: Path, event: int) -> None:
    """As Xen writes them: irq and vector in 16 bits each, then six words of the mask; the next record stands behind."""
    told = struct.pack("<2H6I", 30, 0x58, 2, 0, 0, 0, 0, 0)
    assert struct.unpack_from("<I", told)[0] == 5767198, "what a reader of whole words would take for the irq"
    words = struct.unpack("<7I", told)
    data = window(0, enter(10), record(event, *words, tsc=20), leave(30, 12))
    reader, rows = read_bytes(tmp_path, data)
    assert [row[:2] for row in rows] == [(0, Kind.VM_ENTRY), (20, Kind.VM_EXIT)] and reader.unread() == {}
    assert reader.kinds[f"0x{event:08x}"] == 1


def test_unknown_and_too_short_records_are_counted_and_stop_nothing(tmp_path: Path) -> None:
    data = window(0, enter(10), record(0x4F123, 1), record(0x81102, tsc=20), record(0x82004), enter(30))
    reader, rows = read_bytes(tmp_path, data)
    assert reader.unread() == {"0x0004f123": 1, "0x00081102 (too short)": 1, "0x00082004 (too short)": 1}
    assert len(rows) == 2 and reader.events == 6


def test_a_nested_guests_exit_is_an_exit_of_its_vcpu(tmp_path: Path) -> None:
    reader, rows = read_bytes(tmp_path, window(0, record(0x81502, 12, 0, 0, tsc=10), record(0x81401, tsc=20)))
    assert [row[1] for row in rows] == [Kind.VM_EXIT, Kind.VM_ENTRY]
    assert reader.kinds == {"0x0001f003": 1, "0x00081401": 1, "0x00081502": 1}


def test_the_codes_decide_whose_exits_they_are() -> None:
    assert vendor_of({1: 10, 12: 5, 48: 9}, 0) == "vmx"
    assert vendor_of({0x60: 10, 0x78: 5, 0x400: 9, 0x47: 3}, 0) == "svm"
    assert vendor_of({0x40: 3}, 1) == "svm", "SVM's own event leaves no doubt"
    assert vendor_of({12: 100, 0x60: 1}, 0) == "vmx", "one damaged code changes nothing"
    assert vendor_of({}, 0) == "vmx"


def test_exits_have_linux_names_of_their_vendor(tmp_path: Path) -> None:
    vmx, _ = read_bytes(tmp_path, window(0, leave(10, 7), leave(20, 0x80000021)))
    assert (vmx.exit_name(7), vmx.exit_name(0x80000021)) == ("INTERRUPT_WINDOW", "INVALID_STATE FAILED_VMENTRY")
    svm, _ = read_bytes(tmp_path, window(0, leave(10, 0x64), leave(20, 0x400)))
    assert (svm.exit_name(0x64), svm.exit_name(0x81), svm.exit_name(0x999)) == ("vintr", "hypercall", "0x999")
    own, _ = read_bytes(tmp_path, window(0, record(0x81103, 0x47, 0, 0, tsc=1)))
    assert own.exit_name(0x47) == "NM excp"


def test_time_stamps_that_go_back_on_a_pcpu_are_told(tmp_path: Path) -> None:
    reader, rows = read_bytes(tmp_path, window(0, enter(100), enter(90), enter(120)))
    assert [row[0] for row in rows] == [0, 0, 20]
    assert "time stamps that went backwards on their pCPU and were taken as the one before: 1" in reader.notes[1]


def test_time_is_counted_in_whole_picoseconds_of_the_clock_given(tmp_path: Path) -> None:
    reader, rows = read_bytes(tmp_path, window(0, enter(0), enter(26)), 2_600_000_000)
    assert rows[1][0] == 10_000 == reader.duration_ps
    assert reader.clock_origin == "given"
    path = tmp_path / "trace.bin"
    with open_reader(str(path)) as assumed:
        assert (assumed.clock_hz, assumed.clock_origin) == (2_400_000_000, "assumed")


def test_a_stamp_that_no_recording_reaches_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"pCPU 0's record at offset 24 lies more than 53 days after the first"):
        read_bytes(tmp_path, window(0, enter(1), enter(1 << 63)))


@pytest.mark.parametrize("name", EXCERPTS)
def test_excerpts_hold_what_their_layout_says(name: str) -> None:
    with open_reader(str(DATA / f"{name}.bin.xz"), 2_600_000_000) as reader:
        assert isinstance(reader, Xentrace)
        count = sum(len(rows) for rows in reader.rows())
        assert reader.kinds == plain_counts(excerpt(name))
        assert (reader.problems, reader.unread(), reader.vendor()) == ([], {}, "svm") and count > 1000
