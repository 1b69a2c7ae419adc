"""Progress follows the bytes that are read, also where no row comes of them; what interrupts it ends the reading."""

from pathlib import Path

import pytest

from exitless.traces.reader import open_reader
from tests.traces.perf_writer import perf_data, sample
from tests.traces.trace_dat_writer import Writer
from tests.traces.writer import record, window

W = Writer()
FOREIGN = W.event(1, W.pack("HBBiI", 15, 0, 0, 7, 0))
LINE = b" a-7 [000] 1.000000: ext4_sync_file_enter: dev 8,1 ino 2\n"
PAGES = [W.page(1000 * n, *[FOREIGN] * 200) for n in range(300)]
# Nothing but events that become no row, more than a reader reads at once.
FILES = {
    "trace.dat": W.v6([PAGES]), "packed trace.dat": W.v7([PAGES], "zlib"), "text": LINE * 20_000,
    "perf.data": perf_data(b"".join(sample(n, 7, 0, FOREIGN[4:]) for n in range(40_000))),
    "xentrace": window(0, *[record(0x2F001, n, tsc=n) for n in range(1, 80_000)]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_progress_follows_the_bytes_where_no_event_becomes_a_row(name: str, tmp_path: Path) -> None:
    path, told = tmp_path / "recording", list[int]()
    path.write_bytes(FILES[name])
    with open_reader(str(path)) as reader:
        reader.tick = told.append
        blocks = [int(columns.fill) for columns in reader.blocks()]
        assert max(blocks) <= 1, "but for the first event of all, none becomes a row"
        assert len(told) > 1 and told == sorted(told) and 0.9 * reader.size < told[-1] <= reader.size


@pytest.mark.parametrize("name", FILES)
def test_an_interruption_while_bytes_are_read_ends_the_reading(name: str, tmp_path: Path) -> None:
    """Ctrl-C is raised where Python code runs, which telling of progress is."""
    path = tmp_path / "recording"
    path.write_bytes(FILES[name])

    def interrupted(done: int) -> None:
        raise KeyboardInterrupt

    with open_reader(str(path)) as reader:
        reader.tick = interrupted
        with pytest.raises(KeyboardInterrupt):
            for _ in reader.blocks():
                pass
