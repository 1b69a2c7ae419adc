"""Whatever the bytes, a reader ends, stays within bounds, and says TraceError or nothing."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exitless.errors import TraceError
from exitless.traces.reader import Row, open_reader
from exitless.traces.recording import record_of
from tests.traces.helpers import EXCERPTS, excerpt, read_bytes
from tests.traces.writer import window

FUZZ = settings(deadline=None, suppress_health_check=list(HealthCheck))
STARTS = {name: excerpt(name)[:6000] for name in EXCERPTS}


def try_to_read(data: bytes) -> tuple[list[Row], int]:
    """Read bytes whatever they are; returns the rows (none for refused input) and the number of problems."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            reader, rows = read_bytes(Path(folder), data, 2_400_000_000)
            with open_reader(str(Path(folder) / "trace.bin")) as again:
                record_of(again)
        except TraceError as told:
            assert "\n" not in str(told) and "trace.bin" in str(told)
            return [], 1
        assert reader.events == sum(reader.kinds.values())
        assert [row[0] for row in rows] == sorted(row[0] for row in rows), "rows are not in the order of time"
        # A record has at least one word and becomes at most two rows (a loss, of seven words, becomes two).
        assert len(rows) <= len(data) // 4
        return rows, len(reader.problems)


@FUZZ
@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    assert try_to_read(data)[0] == []


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 20_000), st.binary(max_size=600)), max_size=4))
def test_random_bytes_in_well_formed_windows(parts: list[tuple[int, bytes]]) -> None:
    try_to_read(b"".join(window(cpu, body[: len(body) // 4 * 4]) for cpu, body in parts))


@FUZZ
@given(
    st.sampled_from(EXCERPTS),
    st.lists(st.tuples(st.integers(0, 5999), st.integers(0, 255)), max_size=12),
    st.integers(0, 6000),
)
def test_real_excerpts_with_bytes_changed_and_ends_cut(name: str, changes: list[tuple[int, int]], end: int) -> None:
    data = bytearray(STARTS[name])
    for at, value in changes:
        data[at] = value
    try_to_read(bytes(data[:end]))


@FUZZ
@given(st.sampled_from(EXCERPTS), st.integers(0, 1499), st.integers(0, 0xFFFFFFFF))
def test_real_excerpts_with_one_word_replaced(name: str, word: int, value: int) -> None:
    """A window's size, a header's length, a time stamp: any of them may be anything."""
    data = bytearray(STARTS[name])
    data[word * 4 : word * 4 + 4] = value.to_bytes(4, "little")
    try_to_read(bytes(data))
