"""What the reader of trace.dat makes of files written word by word."""

import struct
from pathlib import Path
from typing import Any

import pytest

from exitless.errors import TraceError
from exitless.traces.reader import LOST
from exitless.traces.trace_dat import TraceDat
from exitless.vocab.kinds import Kind
from tests.traces.helpers import in_a_process, read_linux_bytes, report_of
from tests.traces.trace_dat_writer import ENTRY, EOI, EXIT, Writer, event_format

W = Writer()
HLT = 12
VALID = 0x80000000


def some(w: Writer = W, start: int = 1000) -> bytes:
    """Write a page: entry, exit by HLT after 50, entry 200 later; the times are ns."""
    return w.page(start, w.entry(0, 7), w.exit(50, 7, HLT), w.entry(200, 7))


def times(rows: list[Any]) -> list[int]:
    """Return the times of rows in ns."""
    return [row[0] // 1000 for row in rows]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("long_size", [4, 8])
@pytest.mark.parametrize("page_size", [4096, 65536])
def test_byte_order_word_and_page_size_are_as_the_header_says(
    tmp_path: Path, order: str, long_size: int, page_size: int
) -> None:  # fmt: skip
    w = Writer(order, long_size, page_size)
    for data in (w.v6([[some(w)], [some(w, 1100)]]), w.v7([[some(w)], [some(w, 1100)]])):
        reader, rows = read_linux_bytes(tmp_path, data)
        assert times(rows) == [0, 50, 100, 150, 250, 350] and reader.pcpus == 2
        assert reader.kinds == {"kvm:kvm_entry": 4, "kvm:kvm_exit": 2}
        assert [row[4] for row in rows if row[1] == Kind.VM_EXIT] == [HLT, HLT] and not reader.problems


@pytest.mark.parametrize("packing", ["none", "zlib", "zstd"])
def test_version_7_is_read_however_it_is_packed(tmp_path: Path, packing: str) -> None:
    if packing == "zstd":
        pytest.importorskip("zstandard", reason="the optional package zstandard is not installed")
    pages = [some(W, 1000 * n) for n in range(1, 8)]
    reader, rows = read_linux_bytes(tmp_path, W.v7([pages, []], packing))
    assert len(rows) == 21 and reader.format == "trace.dat v7" and reader.clock == "mono" and not reader.problems
    assert rows == read_linux_bytes(tmp_path, W.v6([pages, []]))[1]


def test_time_passes_by_deltas_extends_and_absolute_stamps(tmp_path: Path) -> None:
    far = 1 << 40
    page = W.page(
        1000, W.entry(0, 7), W.extend(far), W.exit(5, 7, HLT), W.stamp(2 * far), W.entry(3, 7), W.discarded(10, 20),
        W.exit(1, 7, HLT),
    )  # fmt: skip
    _, rows = read_linux_bytes(tmp_path, W.v6([[page]]))
    assert times(rows) == [0, far + 5, 2 * far - 1000 + 3, 2 * far - 1000 + 14]


def test_long_events_and_a_page_that_ends_early_are_understood(tmp_path: Path) -> None:
    exit_payload = W.exit(0, 7, HLT)[4:]
    page = W.page(1, W.event(0, exit_payload, long=True), W.event(1, bytes([15, 0]) + bytes(300)), W.word(29, 0))
    reader, rows = read_linux_bytes(tmp_path, W.v6([[page]]))
    assert reader.kinds == {"kvm:kvm_exit": 1, "kvm:kvm_fpu": 1} and len(rows) == 1 and not reader.problems


def test_fields_are_found_by_name_wherever_a_kernel_puts_them(tmp_path: Path) -> None:
    """An older kvm_exit without vCPU and interrupt information, with its fields in another order."""
    old = event_format("kvm_exit", 10, ("u32 isa", 8, 4, 0), ("unsigned int exit_reason", 12, 4, 0))
    systems = (("kvm", (old, ENTRY)),)
    page = W.page(0, W.event(0, W.pack("HBBiII", 10, 0, 0, 7, 2, 0x78)), W.entry(5, 7, 3))
    reader, rows = read_linux_bytes(tmp_path, W.v6([[page]], systems=systems))
    assert [row[1:5] for row in rows] == [(Kind.VM_EXIT, 0, 0, 0x78), (Kind.VM_ENTRY, 0, 0, -1)]
    assert reader.exit_name(0x78) == "hlt" and [v.number for v in reader.vcpus] == [3]


def test_an_event_whose_needed_fields_are_missing_is_counted_and_told(tmp_path: Path) -> None:
    broken = event_format("kvm_exit", 10, ("u32 isa", 8, 4, 0))
    reader, rows = read_linux_bytes(tmp_path, W.v6([[some()]], systems=(("kvm", (broken, ENTRY)),)))
    assert reader.unread() == {"kvm:kvm_exit": 1} and reader.kinds["kvm:kvm_exit"] == 1 and len(rows) == 2


def test_a_damaged_event_format_loses_only_its_event(tmp_path: Path) -> None:
    """Its events are counted by their number; a head in which nothing can be read is refused."""
    page = W.page(1, W.entry(0, 7), W.eoi(1, 7, 0, 0xEC), W.exit(5, 7, 12))
    broken = (("kvm", (EXIT, ENTRY, EOI.replace("ID:", "AD:"))),)
    reader, rows = read_linux_bytes(tmp_path, W.v6([[page]], systems=broken))
    assert [row[1] for row in rows] == [Kind.VM_ENTRY, Kind.VM_EXIT]
    assert reader.kinds == {"event 14": 1, "kvm:kvm_entry": 1, "kvm:kvm_exit": 1}
    assert reader.unread() == {"event 14": 1}
    assert "expected an event's description" in reader.problems[0] and "only counted" in reader.problems[0]
    with pytest.raises(TraceError, match="expected an event's description"):
        read_linux_bytes(tmp_path, W.v6([[page]], systems=(("kvm", [EXIT.replace("ID:", "AD:")] * 9),)))


def test_events_of_other_systems_are_counted_and_no_damage(tmp_path: Path) -> None:
    other = event_format("submit", 77, ("u32 sector", 8, 4, 0))
    systems = (("kvm", (EXIT, ENTRY)), ("block", (other,)))
    page = W.page(0, W.entry(0, 7), W.event(1, W.pack("HHii", 77, 0, 9, 1)), W.event(1, W.pack("HHi", 99, 0, 9)))
    reader, rows = read_linux_bytes(tmp_path, W.v6([[page]], systems=systems))
    assert reader.kinds == {"block:submit": 1, "event 99": 1, "kvm:kvm_entry": 1} and len(rows) == 1
    assert reader.unread() == {"block:submit": 1, "event 99": 1} and not reader.problems


def test_a_payload_too_short_for_its_event_is_told(tmp_path: Path) -> None:
    page = W.page(0, W.entry(0, 7), W.event(1, W.pack("HHi", 10, 0, 7)))
    reader, _ = read_linux_bytes(tmp_path, W.v6([[page]]))
    assert reader.unread() == {"kvm:kvm_exit (too short)": 1} and reader.kinds["kvm:kvm_exit"] == 1


def test_the_number_of_lost_events_may_be_told_or_not(tmp_path: Path) -> None:
    pages = [some(W, 1000), W.page(9000, W.entry(0, 7), lost=617), W.page(9500, W.entry(0, 7), lost=0)]
    reader, rows = read_linux_bytes(tmp_path, W.v6([pages]))
    assert [row for row in rows if row[1] == LOST] == [
        (250_000, LOST, 0, -1, 617, 8_000_000), (8_000_000, LOST, 0, -1, 0, 8_500_000),
    ]  # fmt: skip
    assert (reader.lost_events, reader.lost_intervals) == (617, 2)


def test_no_exit_is_timed_across_a_loss(tmp_path: Path) -> None:
    pages = [W.page(0, W.exit(0, 7, HLT)), W.page(900, W.entry(0, 7), W.exit(9, 7, 10), W.entry(20, 7), lost=3)]
    (tmp_path / "recording").write_bytes(W.v6([pages]))
    reasons = report_of(tmp_path / "recording", 0)["exits"]["by_reason"]
    assert (reasons["HLT"]["count"], reasons["HLT"]["timed"], reasons["CPUID"]["time_ns"]) == (1, 0, 20)


def test_a_page_that_cannot_be_is_left_out_and_counts_as_a_loss(tmp_path: Path) -> None:
    pages = [some(), W.page(5000, size=5000), some(W, 9000)]
    reader, rows = read_linux_bytes(tmp_path, W.v6([pages]))
    assert len([row for row in rows if row[1] != LOST]) == 6 and reader.lost_intervals == 1
    assert "says that it holds 5000 bytes" in reader.problems[0]


def test_an_event_across_a_pages_end_is_left_out_and_told(tmp_path: Path) -> None:
    reader, rows = read_linux_bytes(tmp_path, W.v6([[W.page(0, W.entry(0, 7), W.exit(1, 7, HLT)[:16])]]))
    assert len(rows) == 1 and "holds an event that crosses its end" in reader.problems[0]


def test_a_file_cut_short_keeps_every_whole_page(tmp_path: Path) -> None:
    data = W.v6([[some(W, 1000), some(W, 5000), some(W, 9000)]])
    reader, rows = read_linux_bytes(tmp_path, data[: -4096 - 3980])
    assert len(rows) == 5 and any("the file ends at" in problem for problem in reader.problems)


def test_a_damaged_piece_loses_only_itself(tmp_path: Path) -> None:
    data = bytearray(W.v7([[some(W, 1000 * n) for n in range(1, 7)]], "zlib"))
    at = data.rindex(b"\x78\x9c")
    data[at + 3] ^= 0xFF
    reader, rows = read_linux_bytes(tmp_path, bytes(data))
    assert len(rows) >= 12 and "is damaged" in " ".join(reader.problems)


def test_instances_are_merged_by_time(tmp_path: Path) -> None:
    reader, rows = read_linux_bytes(tmp_path, W.v6([[some(W, 1000)]], instance=[[some(W, 1010)]]))
    assert isinstance(reader, TraceDat) and reader.instances == ["", "inner"]
    assert times(rows) == [0, 10, 50, 60, 250, 260]


def test_an_empty_buffer_has_no_say_in_the_clock_and_no_missing_pages(tmp_path: Path) -> None:
    """trace-cmd writes an empty top instance, with a place behind the end of the file, when only others recorded."""
    data = W.v6([[some()]], instance=[[some()]])
    table = data.index(b"flyrecord\0") + 10
    gone = data[:table] + struct.pack("<QQ", 1 << 40, 0) + data[table + 16 :]
    reader, rows = read_linux_bytes(tmp_path, gone)
    assert len(rows) == 3 and not reader.problems and not reader.notes


def test_a_tick_clock_uses_the_files_own_conversion_or_a_given_frequency(tmp_path: Path) -> None:
    """mult 2**31, shift 32: half a ns a tick."""
    conversion = (14, struct.pack("<IIQ", 1 << 31, 32, 0))
    reader, rows = read_linux_bytes(tmp_path, W.v7([[some()]], options=(conversion,), clock="x86-tsc"))
    assert [row[0] for row in rows] == [0, 25_000, 125_000] and reader.clock_origin == "recorded"
    reader, rows = read_linux_bytes(tmp_path, W.v7([[some()]], clock="x86-tsc"), 10**9)
    assert times(rows) == [0, 50, 250] and (reader.clock_hz, reader.clock_origin) == (10**9, "given")
    reader, _ = read_linux_bytes(tmp_path, W.v7([[some()]], clock="x86-tsc"))
    assert (reader.clock_hz, reader.clock_origin) == (2_400_000_000, "assumed")


def test_a_guests_clock_is_shifted_vcpu_by_vcpu(tmp_path: Path) -> None:
    shift = struct.pack("<QII", 5, 0, 2)
    for offset in (0, -400 & (2**64 - 1)):
        shift += struct.pack("<IQQQ", 1, 0, offset, 1)
    _, rows = read_linux_bytes(tmp_path, W.v7([[some()], [some(W, 1500)]], options=((12, shift),)))
    assert times(rows) == [0, 50, 100, 150, 250, 350]


def test_a_host_says_which_threads_are_which_guests_vcpus(tmp_path: Path) -> None:
    guest = b"web\0" + struct.pack("<Q5I", 9, 2, 0, 7, 1, 8)
    page = W.page(0, W.entry(0, 7, 0), W.entry(1, 8, 1), W.entry(2, 30, 0))
    reader, _ = read_linux_bytes(tmp_path, W.v7([[page]], options=((13, guest),)))
    assert [v.name() for v in reader.vcpus] == ["webv0", "webv1", "vm1v0"]


def test_a_clock_that_is_local_to_each_pcpu_is_warned_of(tmp_path: Path) -> None:
    reader, _ = read_linux_bytes(tmp_path, W.v7([[some()], [some()]], clock="local"))
    assert "times between pCPUs may be wrong" in reader.notes[0]


def test_the_tracers_own_statistics_are_told(tmp_path: Path) -> None:
    stats = (2, b"CPU: 0\nentries: 5\noverrun: 12\ndropped events: 3\n\0")
    reader, _ = read_linux_bytes(tmp_path, W.v6([[some()]], options=(stats,)))
    assert "12 events overwritten before they were read, 3 not recorded" in reader.notes[0]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (W.start(6).replace(b"6\0", b"9\0"), "is a trace.dat of version '9'; expected version 6 or 7"),
        (W.start(6), "ends at offset 18 within header_page"),
        (W.v6([[]]), "holds no event"),
        (W.v6([[some()]]).replace(b"flyrecord", b"flyrecorf"), "expected 'flyrecord'"),
        (W.v6([[some()]]).replace(b"flyrecord\0", b"latency  \0"), "holds a latency trace"),
        (W.v7([[some()]]).replace(b"none\0", b"lz4x\0"), "are packed with 'lz4x'; expected none, zlib or zstd"),
        (W.v7([[some()]])[:2000], "ends at offset 2000"),
        (W.v6([[some()]]).replace(b"\0\x10\0\0header", b"\1\x10\0\0header"), "expected a power of two"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(TraceError) as told:
        read_linux_bytes(tmp_path, data)
    assert sentence in str(told.value) and "\n" not in str(told.value) and "recording" in str(told.value)


def test_packed_with_zstd_and_no_package_says_what_to_do(tmp_path: Path) -> None:
    pytest.importorskip("zstandard", reason="the optional package zstandard is not installed")
    (tmp_path / "recording").write_bytes(W.v7([[some()]], "zstd"))
    program = (
        "import sys\n"
        "sys.modules['zstandard'] = sys.modules['compression.zstd'] = None\n"
        "from exitless.traces.reader import open_reader\n"
        "open_reader(sys.argv[1])"
    )
    last = in_a_process(program, str(tmp_path / "recording")).splitlines()[-1]
    assert "TraceError" in last and "needs the package zstandard: pip install 'exitless[zstd]'" in last
