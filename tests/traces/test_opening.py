"""A recording is told by its content, packed or not, and what cannot be read is told in one sentence."""

import gzip
import lzma
from pathlib import Path

import pytest

from exitless.errors import TraceError
from exitless.traces.opening import HEAD, open_source
from exitless.traces.reader import open_reader
from tests.traces.helpers import DATA, EXCERPTS, excerpt, in_a_process, read_bytes, rows_of, unpacked
from tests.traces.writer import enter, window

WHOLE = window(0, *[enter(n) for n in range(1, 20_000)])


def packed_with(packing: str, data: bytes = WHOLE) -> bytes:
    """Pack a recording."""
    if packing == "zst":
        zstandard = pytest.importorskip("zstandard", reason="the optional package zstandard is not installed")
        return bytes(zstandard.ZstdCompressor().compress(data))
    return {"plain": lambda data: data, "xz": lzma.compress, "gz": gzip.compress}[packing](data)


@pytest.mark.parametrize("packing", ["plain", "xz", "gz", "zst"])
def test_packing_is_told_by_content_not_by_name(tmp_path: Path, packing: str) -> None:
    path = tmp_path / "recording.txt"
    path.write_bytes(packed_with(packing))
    with open_reader(str(path), 10**12) as reader:
        assert len(rows_of(reader)) == 19_999 and not reader.problems


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_packed_streams_may_stand_one_after_another(tmp_path: Path, pack) -> None:
    path = tmp_path / "parts"
    path.write_bytes(pack(WHOLE[:100_000]) + pack(WHOLE[100_000:]))
    with open_source(str(path)) as source:
        source.settle()
        assert source.size == len(WHOLE) and not source.problem
        assert source.read_at(0, len(WHOLE)) == WHOLE
        assert source.head == WHOLE[: len(source.head)] and len(source.head) >= HEAD


@pytest.mark.parametrize("packing", ["xz", "gz", "zst"])
def test_a_packed_stream_cut_short_gives_a_marked_partial_result(tmp_path: Path, packing: str) -> None:
    """It is the packed file that ends early, at an offset of its own."""
    data = packed_with(packing, b"".join(map(excerpt, EXCERPTS)))
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) * 2 // 3])
    with open_reader(str(path)) as reader:
        name, at = reader.source.packed, len(data) * 2 // 3
        assert rows_of(reader) and reader.problems[0] == (
            f"{path}: the {name} file itself ends early, at offset {at} within its stream; expected the rest of it"
        )


@pytest.mark.parametrize("packing", ["xz", "gz"])
def test_a_packed_head_cut_short_is_refused_for_the_packed_files_end(tmp_path: Path, packing: str) -> None:
    """What unpacks ends within the recording's own head; that is the second thing said, not the first."""
    data = packed_with(packing, unpacked("kvm-linux-2cpu-part.dat"))
    path = tmp_path / "cut"
    path.write_bytes(data[: len(data) // 25])
    with pytest.raises(
        TraceError, match=r"itself ends early, at offset \d+ .*; the \d+ bytes that were unpacked"
    ) as told:
        open_reader(str(path))
    assert str(told.value).count(str(path)) == 1


def test_frames_of_zstd_without_data_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    packed, frame = packed_with("zst"), b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    path.write_bytes(frame + packed + frame + packed)
    with open_source(str(path)) as source:
        source.settle()
        assert source.read_at(0, source.size) == WHOLE + WHOLE and not source.problem


def test_standard_input_is_read_like_a_file() -> None:
    program = (
        "from exitless.traces.reader import open_reader\n"
        "with open_reader('-') as reader: print(reader.source.name, sum(len(rows) for rows in reader.rows()))"
    )
    assert in_a_process(program, stdin=WHOLE) == "standard input 19999\n"
    assert in_a_process(program, stdin=lzma.compress(WHOLE)) == "standard input 19999\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; expected a recording"),
        (gzip.compress(b""), "unpacks to nothing"),
        (lzma.compress(WHOLE)[:40], "the xz file itself ends early, at offset 40"),
        (gzip.compress(WHOLE)[:9], "the gzip file itself ends early, at offset 9"),
        (
            lzma.compress(WHOLE)[:7] + bytes(45),
            "the xz stream is damaged before offset 52",
        ),
        (
            b"# a text: nop\n# more\n",
            "no reader knows this; it starts at offset 0 with text that begins '# a text: nop",
        ),
        (b"\x7fELF\x02\x01\x01\x00", "no reader knows this; it starts at offset 0 with the bytes 7f 45 4c 46"),
        (b"\x20\x01\xf0\x03" + b"\0" * 60, "big-endian"),
        (window(0), "holds no event in any window"),
        (b"\x03\xf0\x01\x20\x00", "holds no event in any window: ends at offset 5 within a CPU_CHANGE record"),
    ],
)
def test_unusable_input_is_one_sentence_with_file_and_expectation(
    tmp_path: Path, content: bytes, sentence: str
) -> None:  # fmt: skip
    with pytest.raises(TraceError) as told:
        read_bytes(tmp_path, content)
    text = str(told.value)
    assert sentence in text and str(tmp_path / "trace.bin") in text and "\n" not in text


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="absent: cannot be read: no such file"):
        open_source(str(tmp_path / "absent"))
    with pytest.raises(TraceError, match="cannot be read: is a directory"):
        open_source(str(tmp_path))
    with pytest.raises(TraceError, match="no file name"):
        open_source("a\0b")


def test_reading_again_and_again_keeps_no_memory() -> None:
    """A block of rows has two MiB; one that is handed on is not kept."""
    program = (
        "import gc, resource, sys\n"
        "from exitless.cli.read import report_on\n"
        "def most(times):\n"
        "    for _ in range(times): report_on(sys.argv[1], 0), gc.collect()\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "first = most(2)\n"
        "print(most(8) - first)"
    )
    assert int(in_a_process(program, str(DATA / "xen-pvh2-start.bin.xz"))) < 8_000, "8 blocks are 16,000 kB"


def test_zstd_without_the_package_says_how_to_get_it(tmp_path: Path) -> None:
    path = tmp_path / "trace.bin"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + b"\0" * 20)
    program = (
        "import sys\n"
        "sys.modules['zstandard'] = sys.modules['compression.zstd'] = None\n"
        "from exitless.traces.opening import open_source\n"
        "open_source(sys.argv[1])"
    )
    last = in_a_process(program, str(path)).splitlines()[-1]
    assert "TraceError" in last and "needs the package zstandard: pip install 'exitless[zstd]'" in last


def test_a_last_window_cut_short_keeps_every_whole_record(tmp_path: Path) -> None:
    data = window(0, enter(10)) + window(0, enter(20), enter(30), enter(40))
    reader, rows = read_bytes(tmp_path, data[:-15])
    assert [row[0] for row in rows] == [0, 10]
    assert "the file ends after 21; the rest is missing" in reader.problems[0]
    assert "crosses the end of its window" in reader.problems[1]


def test_a_broken_chain_of_windows_keeps_what_came_before_and_says_where(tmp_path: Path) -> None:
    good = window(0, enter(10), enter(20))
    reader, rows = read_bytes(tmp_path, good + b"\xff" * 40)
    assert len(rows) == 2
    assert f"at offset {len(good)} expected a CPU_CHANGE record" in reader.problems[0]


def test_a_record_across_its_windows_end_loses_only_itself(tmp_path: Path) -> None:
    reader, rows = read_bytes(tmp_path, window(0, enter(10), enter(20)[:8]) + window(0, enter(30)))
    assert [row[0] for row in rows] == [0, 20]
    assert "a record of pCPU 0 at offset 24 crosses the end of its window" in reader.problems[0]
