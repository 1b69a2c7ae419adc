"""What the reader of perf.data makes of files and streams written record by record."""

import struct
from pathlib import Path

import pytest

from exitless.errors import TraceError
from exitless.traces.reader import LOST
from exitless.vocab.kinds import Kind
from tests.traces.helpers import read_linux_bytes
from tests.traces.perf_writer import (
    CALLCHAIN,
    ID,
    IDENTIFIER,
    PERIOD,
    ROUND,
    USUAL,
    W,
    attr,
    lost,
    perf_data,
    record,
    sample,
    stream,
)  # fmt: skip

ENTRY, EXIT = W.entry(0, 7)[4:], W.exit(0, 7, 12)[4:]


def exits(*times: int) -> bytes:
    """Write an exit and an entry for each time."""
    return b"".join(sample(t, 7, 0, EXIT) + sample(t + 5, 7, 0, ENTRY) for t in times)


@pytest.mark.parametrize("write", [perf_data, stream])
def test_samples_of_a_file_and_a_stream_become_rows(tmp_path: Path, write) -> None:
    reader, rows = read_linux_bytes(tmp_path, write(exits(100, 200), ((attr(clock=1), (1,)),)))
    assert [(row[0], row[1]) for row in rows] == [
        (0, Kind.VM_EXIT), (5000, Kind.VM_ENTRY), (100_000, Kind.VM_EXIT), (105_000, Kind.VM_ENTRY),
    ]  # fmt: skip
    assert reader.kinds == {"kvm:kvm_entry": 2, "kvm:kvm_exit": 2} and reader.clock == "mono" and not reader.problems
    assert [(v.vm, v.number, v.tid) for v in reader.vcpus] == [("vm100", 0, 7)]


def test_samples_are_put_in_order_round_by_round(tmp_path: Path) -> None:
    """Each ring buffer is in order, the file is not; what is older than the round before is complete."""
    records = exits(300) + exits(100) + ROUND + exits(500) + exits(400) + ROUND + exits(600) + ROUND
    _, rows = read_linux_bytes(tmp_path, perf_data(records))
    assert [row[0] // 1000 for row in rows] == [0, 5, 200, 205, 300, 305, 400, 405, 500, 505]


def test_a_sample_that_comes_too_late_keeps_the_order_and_is_told(tmp_path: Path) -> None:
    megabyte = record(99, bytes(60_000)) * 18
    records = exits(300) + ROUND + exits(500) + ROUND + megabyte + exits(100) + ROUND + exits(900)
    reader, rows = read_linux_bytes(tmp_path, perf_data(records))
    times = [row[0] for row in rows]
    assert times == sorted(times) and len(rows) == 8 and "came after later ones" in reader.notes[0]


def test_several_events_may_have_samples_of_different_layouts(tmp_path: Path) -> None:
    second = USUAL | PERIOD | CALLCHAIN
    attrs = ((attr(), (1, 2)), (attr(1, 0, USUAL & ~1024), (3,)), (attr(sample=second), (4,)))
    records = (
        sample(10, 7, 0, EXIT, 2) + sample(12, 7, 0, b"", 3, bits=USUAL & ~1024)
        + sample(15, 7, 1, ENTRY, 4, bits=second, chain=(1, 2, 3))
    )  # fmt: skip
    reader, rows = read_linux_bytes(tmp_path, perf_data(records, attrs, called=((3, "cpu-clock"),)))
    assert [row[:3] for row in rows] == [(0, Kind.VM_EXIT, 0), (5000, Kind.VM_ENTRY, 1)]
    assert reader.kinds == {"cpu-clock": 1, "kvm:kvm_entry": 1, "kvm:kvm_exit": 1}
    assert reader.unread() == {"cpu-clock": 1}


def test_without_an_identifier_the_first_layout_holds(tmp_path: Path) -> None:
    bits = USUAL & ~IDENTIFIER | ID
    records = sample(10, 7, 0, EXIT, bits=bits) + sample(15, 7, 0, ENTRY, bits=bits)
    _, rows = read_linux_bytes(tmp_path, perf_data(records, ((attr(sample=bits), (1,)),)))
    assert [row[0] for row in rows] == [0, 5000]


def test_lost_samples_are_counted_with_place_and_time(tmp_path: Path) -> None:
    records = sample(10, 7, 1, EXIT) + lost(12, 1, 42) + sample(15, 7, 1, ENTRY) + ROUND
    reader, rows = read_linux_bytes(tmp_path, perf_data(records))
    assert (2000, LOST, 1, -1, 42, 2000) in rows and (reader.lost_events, reader.lost_intervals) == (42, 1)


@pytest.mark.parametrize("pieces", [1, 7])
def test_packed_records_go_on_from_one_to_the_next(tmp_path: Path, pieces: int) -> None:
    zstandard = pytest.importorskip("zstandard", reason="the optional package zstandard is not installed")
    pack = zstandard.ZstdCompressor().compressobj()
    plain, out = exits(*range(100, 2100, 10)), b""
    step = -(-len(plain) // pieces)
    for at in range(0, len(plain), step):
        data = pack.compress(plain[at : at + step]) + pack.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        out += struct.pack("<IHH", 81, 0, 8 + len(data)) + data
    reader, rows = read_linux_bytes(tmp_path, perf_data(out + ROUND))
    assert rows == read_linux_bytes(tmp_path, perf_data(plain))[1] and len(rows) == 400 and not reader.problems


def test_data_that_is_no_record_is_passed_over(tmp_path: Path) -> None:
    """An AUXTRACE record is followed by as many bytes as it says; a type nobody knows has its size."""
    trace = record(71, struct.pack("<Q", 50) + bytes(32)) + b"\xff" * 50
    reader, rows = read_linux_bytes(tmp_path, perf_data(sample(1, 7, 0, EXIT) + trace + record(99, b"abc") + exits(9)))
    assert len(rows) == 3 and not reader.problems
    endless = record(71, struct.pack("<Q", 2**64 - 1) + bytes(32))
    reader, rows = read_linux_bytes(tmp_path, perf_data(sample(1, 7, 0, EXIT) + endless + exits(9)))
    assert len(rows) == 1, "what is said to follow reaches past the end of the file"


def test_a_file_cut_short_keeps_what_came_before(tmp_path: Path) -> None:
    """The formats stand at the end: without them samples can only be counted, under the names perf gave them."""
    data = perf_data(exits(*range(100, 200)))
    reader, rows = read_linux_bytes(tmp_path, data[:4000])
    assert not rows and reader.events > 0 and "the rest is missing" in reader.problems[0]
    assert "holds no event formats" in reader.notes[-1]
    whole = stream(exits(*range(100, 200)))
    reader, rows = read_linux_bytes(tmp_path, whole[:-30])
    assert len(rows) == 199 and "within a record" in reader.problems[0]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"PERFILE2", "ends at offset 8 within the size of the header"),
        (b"PERFILE2" + struct.pack("<Q", 50), "expected 16 or at least 104"),
        (perf_data(b""), "holds no event"),
        (stream(b""), "holds no event"),
        (perf_data(exits(1), ()), "names no event"),
        (b"PERFILE2" + struct.pack("<QQ", 104, 7) + bytes(100), "attributes have 7 bytes"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(TraceError) as told:
        read_linux_bytes(tmp_path, data)
    assert sentence in str(told.value) and "\n" not in str(told.value) and "recording" in str(told.value)
