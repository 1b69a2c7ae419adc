"""``exitless judge`` as it is called: exit status, document, and what stands on the terminal."""

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from exitless.cli.main import main
from exitless.traces.reader import open_reader
from exitless.traces.trace_dat import TraceDat
from shared import shared

TINY = "data/traces/kvm-tiny-2cpu-xapic/trace"


def lines() -> list[str]:
    """Return the lines of a healthy recording, as text."""
    return lzma.decompress(shared(f"{TINY}.txt.xz").read_bytes()).decode().splitlines(keepends=True)


def of(lines: list[str], event: str) -> list[int]:
    """Return the lines of one event."""
    return [n for n, line in enumerate(lines) if f" {event}:" in line]


def judged(path: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Judge a file: exit status and document."""
    out = path.with_suffix(".json")
    status = main(["judge", str(path), "--json", str(out), *more])
    return status, json.loads(out.read_text())


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A recording in which one interrupt is ended twice, while the guest program is in its phase 7."""
    text = lines()
    done = next(n for n, line in enumerate(text) if "tinyvmm phase 6 done" in line)
    end = next(n for n in of(text, "kvm_eoi") if n > done)
    path = tmp_path / "faulty.txt"
    path.write_text("".join([*text[: end + 1], *text[end:]]))
    return path


def test_the_first_unexplained_event_ends_with_status_1(faulty: Path) -> None:
    """A finding has the fields others rely on, the phase of the interrupt and where the program was."""
    status, d = judged(faulty)
    assert status == 1
    assert d["verdict"] == "unexplained" and d["file"] == str(faulty) and d["events"] > 50_000
    first = d["findings"][0]
    assert {"time_ns", "vcpu", "event", "law", "phase", "state"} <= first.keys()
    assert first["event"].startswith("irq.eoi 0x") and first["law"] == "eoi.in-service"
    assert first["phase"] == 'EOI, before the mark "tinyvmm phase 7 done"'
    assert first["state"]["isr"] == {"sure": [], "perhaps": []}
    assert first["before"][-1]["event"] == first["event"]


def test_a_healthy_recording_ends_with_status_0(tmp_path: Path) -> None:
    """Nothing is found, and all laws were asked."""
    path = tmp_path / "healthy.txt"
    path.write_text("".join(lines()[:8_000]))
    status, d = judged(path)
    assert (status, d["verdict"], d["findings"]) == (0, "explained", [])


@pytest.mark.parametrize("columns", [80, 120])
def test_a_finding_fits_the_terminal(
    faulty: Path, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each line fits, and law, citation, state and history are there."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["judge", str(faulty)]) == 1
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= columns
    assert all(word in out for word in ("phase", "law", "see", "SDM", "requested", "in service", "before it, on this"))


@pytest.mark.parametrize(
    ("event", "twice", "law", "phase"),
    [
        ("kvm_inj_virq", True, "inject.once", "inject"),
        ("kvm_entry", True, "entry.paired", "deliver"),
        ("kvm_exit", True, "exit.entered", "deliver"),
        ("kvm_entry", False, "exit.entered", "deliver"),
    ],
)
def test_lines_left_out_or_doubled_are_found(event: str, twice: bool, law: str, phase: str, tmp_path: Path) -> None:
    """A line of a text that is missing or stands there twice is a contradiction."""
    text = lines()
    found = of(text, event)
    n = found[len(found) // 2]
    path = tmp_path / "changed.txt"
    path.write_text("".join([*text[: n + twice], *text[n + (not twice) :]]))
    status, d = judged(path)
    assert status == 1
    assert (d["findings"][0]["law"], d["findings"][0]["phase"].split(",")[0]) == (law, phase)


def test_marks_are_the_same_in_binary_and_text() -> None:
    """What the recorded program wrote is read from both forms; the text has times to the microsecond."""
    with open_reader(str(shared(f"{TINY}.dat.xz"))) as reader:
        assert isinstance(reader, TraceDat)
        binary = reader.read_marks()
    with open_reader(str(shared(f"{TINY}.txt.xz"))) as reader:
        for _ in reader.rows():
            pass
    assert [text for _, text in binary] == [text for _, text in reader.marks]
    assert [text for _, text in binary] == [f"tinyvmm phase {n} done" for n in range(17)]
    assert all(abs(a - b) < 3 * 10**6 for (a, _), (b, _) in zip(binary, reader.marks, strict=True))


def test_what_no_reader_knows_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence with the place and what was expected, and status 2."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"\x00\x01\x02\x03" * 20)
    assert main(["judge", str(path)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "a.bin" in told and "expected" in told and ".xl" in told
