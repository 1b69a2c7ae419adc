"""``exitless run``: each field of its JSON and the identities between them, records read back, one seed one run."""

import json
from pathlib import Path
from typing import Any

import pytest

from exitless.cli.main import main
from exitless.record.store import read
from exitless.scenario import load, simulate
from exitless.vocab.exits import VMX_NAMES

MECHANISMS = load("mail")[0].run.mechanisms
LENGTH = "5 ms"
LENGTH_PS = 5_000_000_000
LATENCY = ("mean", "p50", "p90", "p99", "p999", "max")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the mail once at a short length, by the command, into a file."""
    path = tmp_path_factory.mktemp("run") / "run.json"
    assert main(["run", "mail", "--length", LENGTH, "--laws", "--json", str(path), "--set", "note=x"]) == 0
    return json.loads(path.read_text("utf-8"))


def words(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    """Run a command with JSON on standard output."""
    assert main(["run", "mail", "--json", "-", *argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def test_the_head_says_what_was_run(document: dict[str, Any]) -> None:
    assert isinstance(document["exitless"]["version"], str)
    assert isinstance(document["exitless"]["compiled"], bool)
    assert (document["scenario"], document["seed"], document["length_ns"]) == ("mail", 1, 5_000_000)
    assert [r["mechanism"] for r in document["results"]] == load("mail")[0].run.mechanisms


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_field_of_the_contract_and_its_identities(document: dict[str, Any], mechanism: str) -> None:
    """asserted = delivered + coalesced + pending + lost; totals are sums; shares of a pCPU are 1; percentiles rise."""
    result = next(r for r in document["results"] if r["mechanism"] == mechanism)
    assert set(result["sources"]) == {"d1v0.timer", "nic", "sas.0", "sas.1", "sas.2", "sas.3"}
    for source in result["sources"].values():
        parts = [source[key] for key in ("delivered", "coalesced", "pending", "lost")]
        assert all(isinstance(n, int) and n >= 0 for n in parts)
        assert source["asserted"] == sum(parts)
        assert source["lost"] == 0
        latency = source["latency_ns"]
        assert set(latency) == set(LATENCY)
        rising = [latency[key] for key in LATENCY[1:]]
        assert rising == sorted(rising)
        assert 0 <= latency["mean"] <= latency["max"]
        assert (latency["max"] > 0) == (source["delivered"] > 0)
    exits = result["exits"]
    assert exits["total"] == sum(exits["by_reason"].values())
    assert set(exits["by_reason"]) <= set(VMX_NAMES.values())
    assert sum(sum(part.values()) for part in exits["by_source"].values()) == exits["total"]
    assert result["exits_per_interrupt"] >= 0
    injections = result["injections"]
    assert injections["total"] == sum(injections["by_vector"].values())
    assert all(len(key) == 4 and 0 <= int(key, 16) <= 255 for key in injections["by_vector"])
    assert all(isinstance(n, int) and n > 0 for n in result["hypercalls"].values())
    assert set(result["cpu"]) == {"pcpu0", "pcpu1", "pcpu2", "pcpu3"}
    for shares in result["cpu"].values():
        assert set(shares) == {"guest", "hypervisor", "dom0", "idle"}
        assert abs(sum(shares.values()) - 1) < 5e-6
    assert result["laws"]["checked"] > 1000 and result["laws"]["broken"] == []


def test_each_mechanism_has_its_own_marks(document: dict[str, Any]) -> None:
    """Hypercalls of EOI and 0xf3 in the PVHVM row alone; no injection but of ticks where the processor delivers."""
    by_name = {r["mechanism"]: r for r in document["results"]}
    assert by_name["pvhvm"]["hypercalls"]["PHYSDEVOP_eoi"] > 0
    assert set(by_name["pvhvm"]["injections"]["by_vector"]) == {"0xf3"}
    for name in ("emulated", "apic-registers"):
        assert set(by_name[name]["injections"]["by_vector"]) == {"0x80", "0xec"}
    for name in ("apicv", "posted", "vtd-posted"):
        assert by_name[name]["injections"]["total"] == 0
    for name in set(MECHANISMS) - {"pvhvm"}:
        assert "PHYSDEVOP_eoi" not in by_name[name]["hypercalls"]
    assert "APIC_ACCESS" in by_name["emulated"]["exits"]["by_reason"]
    assert "APIC_WRITE" in by_name["apic-registers"]["exits"]["by_reason"]


def test_mechanism_is_repeatable_and_keeps_the_order(capsys: pytest.CaptureFixture[str]) -> None:
    found = words(capsys, "--length", "1 ms", "--mechanism", "posted", "--mechanism", "emulated")
    assert [r["mechanism"] for r in found["results"]] == ["posted", "emulated"]


def test_seed_and_length_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    found = words(capsys, "--length", "1.5 ms", "--seed", "42", "--mechanism", "apicv")
    assert (found["seed"], found["length_ns"]) == (42, 1_500_000)


@pytest.mark.parametrize("mechanism", ["pvhvm", "vtd-posted"])
def test_out_keeps_records_that_read_back_row_by_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mechanism: str
) -> None:
    """The file holds the very rows of the run, its header names what they mean."""
    words(capsys, "--length", LENGTH, "--mechanism", mechanism, "--out", str(tmp_path / "kept"))
    (path,) = (tmp_path / "kept").iterdir()
    assert path.name == f"{mechanism}.xl"
    stored, fresh = read(path), simulate("mail", mechanism, None, LENGTH_PS)
    assert len(stored) == len(fresh) > 1000
    for one, other in zip(stored, fresh, strict=True):
        assert one == other
    assert stored.header == fresh.header
    assert (stored.header.mechanism, stored.header.seed, stored.header.length_ps) == (mechanism, 1, LENGTH_PS)


def test_one_seed_gives_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON apart from how long it took, and records to the last byte; another seed gives others."""
    kept = []
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        argv = ("--length", "2 ms", "--mechanism", "apicv", "--seed", seed, "--out", str(tmp_path / name))
        found = words(capsys, *argv)
        found["results"][0].pop("seconds")
        kept.append((json.dumps(found), (tmp_path / name / "apicv.xl").read_bytes()))
    assert kept[0] == kept[1]
    assert kept[0][1] != kept[2][1]


@pytest.mark.parametrize("columns", [80, 120])
def test_what_people_read_fits_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """Tables and answers keep within the width; nothing is said on standard error."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["run", "mail", "--length", "2 ms"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    wide = [line for line in out.splitlines() if len(line) > columns]
    assert wide == []
    for name in MECHANISMS:
        assert name in out
