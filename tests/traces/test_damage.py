"""Damaged and wrong input to ``exitless read``: one sentence and status 2, or a partial result that says so."""

import gzip
import lzma
import subprocess
import sys
from pathlib import Path

import pytest

from exitless.cli.main import main
from tests.traces.helpers import DATA, excerpt, in_a_process, unpacked

CUTS = 6
WHOLE = {
    "trace.dat": unpacked("kvm-linux-2cpu-part.dat")[:120_000],
    "text": unpacked("kvm-linux-2cpu-part.report.txt")[:20_000],
    "perf.data": unpacked("kvm-tiny-1cpu.perf.data")[:40_000], "xentrace": excerpt("xen-pvh1-start")[:20_000],
    "table": (DATA / "kvm-tiny-1cpu.perf-kvm-stat.txt").read_bytes(),
}  # fmt: skip
WRONG = {
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x06\0\0\0",
    "elf": b"\x7fELF\x02\x01\x01" + bytes(60),
    "zeros": bytes(5000), "empty": b"", "newlines": b"\n" * 5000, "one": b"x", "toml": b"[run]\nlength = '5 ms'\n",
    "long line": b"a" * 300_000, "utf-16": "kvm_exit: reason".encode("utf-16"),
}  # fmt: skip
READ = "import sys; from exitless.cli.main import main; sys.exit(main(['read', sys.argv[1], '--json', '-']))"


def ends_well(path: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """Read a file; it is refused in one sentence that names it, or read. Returns: the status."""
    status = main(["read", str(path)])
    out, err = capsys.readouterr()
    assert status in (0, 2) and "Traceback" not in err
    if status == 2:
        assert not out and len(err.splitlines()) == 1 and str(path) in err
    else:
        assert path.name in out
    return status


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress], ids=["plain", "gzip", "xz"])
def test_a_recording_cut_at_many_places_is_partial_or_refused(
    name: str, pack: type[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Packed or not, by whatever name: what comes before the cut is used, or a sentence says why not."""
    data = pack(WHOLE[name])
    path = tmp_path / "holiday.jpg"
    read = 0
    for n in range(1, CUTS):
        path.write_bytes(data[: len(data) * n // CUTS])
        read += ends_well(path, capsys) == 0
    assert read or name in ("trace.dat", "perf.data"), "only a binary head that is cut leaves nothing to read"


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_recording_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "trace.dat"
    path.write_bytes(WRONG[name])
    assert ends_well(path, capsys) == 2


def test_a_folder_a_missing_file_and_what_has_no_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends_well(tmp_path, capsys) == 2 and ends_well(tmp_path / "absent", capsys) == 2
    assert "no reader knows this" in in_a_process(READ, "/dev/zero")


@pytest.mark.parametrize("name", WHOLE)
def test_standard_input_is_told_by_its_content(name: str) -> None:
    """A pipe has no name and cannot be read twice; packed or not, it is recognised."""
    for data in (WHOLE[name], gzip.compress(WHOLE[name])):
        done = subprocess.run(
            [sys.executable, "-c", READ, "-"], input=data, capture_output=True, env={"PYTHONPATH": ":".join(sys.path)}
        )
        assert done.returncode == 0 and b'"file": "standard input"' in done.stdout, done.stderr
