"""``exitless calibrate``: from a recording to a cost table that run, explain and replay take, and how it refuses."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from exitless.cli.main import main
from exitless.errors import ScenarioError
from exitless.scenario.costs import COST_NAMES, Preset
from exitless.study.calibration import LEAST
from tests.shared import shared
from tests.traces.helpers import DATA
from tests.traces.writer import enter, leave, record, runstate, window

PVH1 = DATA / "xen-pvh1-start.bin.xz"
TEXT = """# tracer: nop
 CPU 0/KVM-7 [001] d..2. {0}.000001: kvm_entry: vcpu 0
 CPU-7 [001] d..2. {0}.000010: kvm_exit: vcpu 0 reason EXTERNAL_INTERRUPT rip 0x1 info1 0x0 info2 0x0 intr_info 0x0
 CPU 0/KVM-7 [001] d.h2. {0}.000012: local_timer_entry: vector=236
 CPU 0/KVM-7 [001] d.h2. {0}.000017: local_timer_exit: vector=236
 CPU 0/KVM-7 [001] d..2. {0}.000020: kvm_entry: vcpu 0
"""


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run a command; returns status, standard output and standard error."""
    status = main(list(words))
    out, err = capsys.readouterr()
    return status, out, err


def made(folder: Path, times: int = LEAST) -> Path:
    """Write a recording of Xen in which hypercalls take 3 us and empty windows 1 us, at 1 GHz."""
    body, at = [runstate(0, 3, 0, 1, 0), enter(100)], 1000
    for _ in range(times):
        body += [leave(at, 18), record(0x82012, 29), enter(at + 3000), leave(at + 5000, 7), enter(at + 6000)]
        at += 10_000
    path = folder / "made.bin"
    path.write_bytes(window(0, *body))
    return path


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Calibrate to a JSON document."""
    status, out, err = said(capsys, "calibrate", *words, "--json", "-")
    assert (status, err) == (0, "")
    d: dict[str, Any] = json.loads(out)
    return d


def test_a_recording_with_known_durations_gives_exactly_these(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    d = document(capsys, str(made(tmp_path)), "--cpu-hz", "1G", "-o", str(tmp_path / "costs.toml"))
    call = next(s for s in d["stretch"] if s["name"] == "exit for a hypercall")
    assert all(call[f"{key}_ns"] == 3000 for key in ("min", "p50", "mean", "p90", "p99", "max"))
    assert call["count"] == LEAST and call["recordings"] == {"made.bin": LEAST} and call["place"] and call["conditions"]
    assert d["recording"][0]["clock"] == "tsc at 1 GHz (given)" and d["recording"][0]["format"] == "xentrace"
    costs = {name: row["ns"] for name, row in d["cost"].items()}
    assert sum(costs[n] for n in ("window", "exit", "assist", "entry")) == pytest.approx(1000, abs=0.01)
    assert sum(costs[n] for n in ("hypercall", "exit", "assist", "entry")) == pytest.approx(3000, abs=0.01)
    assert all(row["origin"] == "measured (made.bin)" and "stretches" in row["source"] for row in d["cost"].values())
    kept = tomllib.loads((tmp_path / "costs.toml").read_text())
    assert kept == {key: value for key, value in d.items() if key != "notes"}, "the file is the document"


def test_linux_text_times_the_host_s_interrupt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """VMX: from kvm_exit to the handler is the exit; from its entry to its exit is the timer's interrupt."""
    path = tmp_path / "t.txt"
    path.write_text("".join(TEXT.format(n) for n in range(1, LEAST + 1)))
    d = document(capsys, str(path))
    assert (d["cost"]["exit"]["ns"], d["cost"]["timerirq"]["ns"]) == (2000, 5000)
    assert any("no scheduler records" in note for note in d["notes"])


def test_run_explain_and_replay_take_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exits that take longer let interrupts wait longer; what was not measured keeps its own cost and origin."""
    costs = tmp_path / "costs.toml"
    assert said(capsys, "calibrate", str(made(tmp_path)), "--cpu-hz", "100M", "-o", str(costs))[0] == 0
    words = ("mail", "--mechanism", "apicv", "--length", "2 ms", "--json", "-")
    plain = json.loads(said(capsys, "run", *words)[1])
    slow = json.loads(said(capsys, "run", *words, "--costs", str(costs))[1])
    p50 = [d["results"][0]["sources"]["nic"]["latency_ns"]["p50"] for d in (plain, slow)]
    assert p50[1] > p50[0] + 3000, "the exit alone is now over 3 us longer"
    assert slow["costs"]["table"] == str(costs) and "5 of 61 steps from" in slow["costs"]["origin"]
    explained = json.loads(
        said(capsys, "explain", "mail", "--mechanism", "apicv", "--costs", str(costs), "--json", "-")[1]
    )
    origins = {c["step"]: c["origin"] for s in explained["steps"] for c in s["costs"]}
    assert origins["exit"].startswith("measured (made.bin): ") and origins["doirq"].startswith("guess: ")
    status, out, _ = said(capsys, "replay", str(PVH1), "--cpu-hz", "2.6G", "--costs", str(costs))
    text = " ".join(out.split())
    assert status == 0 and "5 of 61 steps from" in text and "the other 56 stay as in 'illustrative' (guess)" in text
    status, out, _ = said(capsys, "run", "mail", "--mechanism", "apicv", "--length", "1 ms", "--costs", str(costs))
    assert "5 of 61 steps from" in " ".join(out.split())


def test_a_given_table_is_shown_and_printed_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = said(capsys, "calibrate", str(made(tmp_path)), "--cpu-hz", "1G")
    assert status == 0 and "exit for a hypercall" in out and "56 of 61 steps stay" in out
    status, out, _ = said(capsys, "calibrate", str(made(tmp_path)), "--cpu-hz", "1G", "-o", "-")
    assert status == 0 and len(tomllib.loads(out)["cost"]) == 5


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "costs.txt"], "ends in .toml"),
        (["-o", "-", "--json", "-"], "cannot both go to standard output"),
        (["--use", "max"], "invalid choice"),
        (["--cpu-hz", "fast"], "expected a frequency"),
    ],
)
def test_what_cannot_be_asked_is_refused(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = said(capsys, "calibrate", str(PVH1), *words)
    assert (status, out) == (2, "") and says in err and len(err.splitlines()) == 1


def test_a_recording_that_times_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.bin"
    path.write_bytes(window(0, record(0x82004, 0x31, 0)))
    status, _, err = said(capsys, "calibrate", str(path))
    assert status == 2 and "times no step" in err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cost = 3", "no table [cost]"),
        ("[cost]\nexti = { ns = 4 }", 'did you mean "exit"?'),
        ("[cost]\nexit = { ns = -4 }", "cost.exit: expected"),
        ("[cost]\nexit = { ns = true }", "cost.exit: expected"),
        ("[cost]\nexit = { ns = nan }", "cost.exit: expected"),
        ("[cost]\nexit = { ns = 2e9 }", "expected 0 to 1 s"),
        ("[cost]\nexit = { ns = 5, orign = 'x' }", 'did you mean "origin"?'),
        ("[cost]\nexit = { ns = 5, origin = 7 }", "expected text in quotes"),
        ("base = 'fast'\n[cost]", "base: no cost table"),
        ("bas = 'illustrative'\n[cost]", 'did you mean "base"?'),
        ("[cost", "not valid TOML"),
        ("\x00\xff", "not valid TOML"),
        (None, "cannot read the cost table"),
    ],
)
def test_bad_tables_are_refused_in_one_sentence(
    text: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    costs = tmp_path / "costs.toml"
    if text is not None:
        costs.write_text(text)
    status, out, err = said(capsys, "run", "mail", "--length", "1 ms", "--costs", str(costs))
    assert (status, out) == (2, "") and says in err and len(err.splitlines()) == 1 and "costs.toml" in err


def test_a_table_by_name_a_folder_and_what_has_no_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "run", "mail", "--length", "1 ms", "--costs", "illustrative", "--json", "-")[0] == 0
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "zeros.toml").symlink_to("/dev/zero")
    for name, says in (
        ("folder.toml", "Is a directory"),
        ("zeros.toml", "at most 4 MiB"),
        ("nothing", "no cost table"),
    ):
        status, _, err = said(capsys, "run", "mail", "--costs", str(tmp_path / name) if "." in name else name)
        assert status == 2 and says in err and len(err.splitlines()) == 1


VALUES = st.recursive(
    st.one_of(st.integers(), st.floats(), st.text(max_size=9), st.booleans()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    raw=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)), name=st.sampled_from(COST_NAMES),
    value=VALUES,
)  # fmt: skip
@example(raw=b"", name="exit", value={"ns": 10**400})
@example(raw=b"", name="exit", value={"cycles": float("inf")})
def test_no_table_makes_it_fail_otherwise_than_by_a_sentence(
    raw: bytes, name: str, value: Any, tmp_path: Path
) -> None:  # fmt: skip
    """Fuzz: any bytes, and any value in a step's place."""
    from exitless.cli.calibrate import word

    try:
        line = f"\n[cost]\n{name} = {word(value)}\n".encode()
    except (UnicodeEncodeError, ValueError):
        return
    for data in (raw, line, raw + line):
        path = tmp_path / "fuzz.toml"
        path.write_bytes(data)
        try:
            preset = Preset(str(path), 2_400_000_000, {})
        except ScenarioError as problem:
            assert "fuzz.toml" in str(problem) and "\n" not in str(problem)
        else:
            assert all(0 <= ps <= 10**12 for ps in preset.ps)


@pytest.mark.parametrize("name", ["xen-pvh2/xentrace.bin.xz", "kvm-tiny-2cpu-xapic/trace.dat.xz"])
def test_real_recordings_calibrate(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cost comes from the file; each stretch's figures are in order; the kernel is told where the file tells it."""
    d = document(capsys, str(shared(f"data/traces/{name}")), "-o", str(tmp_path / "c.toml"))
    assert len(d["cost"]) >= 10 and Preset(str(tmp_path / "c.toml"), 2_400_000_000, {}).own == list(d["cost"])
    for s in d["stretch"]:
        figures = [s[f"{key}_ns"] for key in ("min", "p50", "p90", "p99", "max")]
        assert figures == sorted(figures) and s["count"] == sum(s["recordings"].values())
    assert "Linux 6.1.0-56-cloud-amd64" in d["recording"][0]["host"] or "xen" in name
