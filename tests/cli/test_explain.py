"""``exitless explain``: one interrupt's way in every mechanism, within the width, with its steps' rules and costs."""

import json
from typing import Any

import pytest

from exitless.cli.main import main
from exitless.mech.catalog import CATALOG
from exitless.study.cites import reference
from exitless.vocab.table import BY_NAME

MECHANISMS = [row.name for row in CATALOG]
# How many exits one NIC interrupt of a running guest costs, counted from Xen's code.
EXITS = {
    "emulated": 2, "apic-registers": 2, "pvhvm": 3, "apicv": 1, "posted": 1, "vtd-posted": 0, "direct": 0,
    "direct-negotiated": 0, "direct-shuffled": 0,
    "pvhvm-apicv": 3, "upcall-emulated": 3, "upcall-apicv": 2, "upcall-posted": 2,
}  # fmt: skip


def explained(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Call the command. Returns: what it prints."""
    assert main(["explain", "mail", *argv]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def document(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    return json.loads(explained(capsys, "--json", "-", *argv))


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_every_mechanism_within_the_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mechanism: str, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    out = explained(capsys, "--mechanism", mechanism)
    assert [line for line in out.splitlines() if len(line) > columns] == []
    assert f"under {mechanism}" in out
    assert "VM exits" in out


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_steps_in_order_with_rules_that_are_cited(capsys: pytest.CaptureFixture[str], mechanism: str) -> None:
    """It begins with the assertion and goes through the handler; times rise; every rule has its citation."""
    found = document(capsys, "--mechanism", mechanism)
    assert (found["mechanism"], found["source"]) == (mechanism, "nic")
    steps = found["steps"]
    assert steps[0]["event"] == "source.assert" and steps[0]["time_ns"] == 0
    assert "source.handle" in [s["event"] for s in steps]
    times = [s["time_ns"] for s in steps]
    assert times == sorted(times)
    for step in steps:
        assert step["event"] in BY_NAME
        assert step["says"]
        assert bool(step["rule"]) == bool(step["cites"])
        if step["cites"]:
            assert reference(step["cites"]) != step["cites"]
        assert all(cost["ns"] >= 0 and cost["origin"] for cost in step["costs"])
        assert all(before != after for before, after in step["changes"].values())


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_the_exits_of_a_quiet_interrupt_are_those_counted_from_the_code(
    capsys: pytest.CaptureFixture[str], mechanism: str
) -> None:
    """A busy guest, one frame at a time, long ticks: nothing else comes in between."""
    quiet = ["vm[1].busy=true", 'vm[1].tick="1 s"', "device[0].train=1", 'device[0].rate="100 Mbit/s"',
             'device[1].service="1 s"']  # fmt: skip
    argv = [word for one in quiet for word in ("--set", one)]
    found = document(capsys, "--mechanism", mechanism, *argv)
    events = [s["event"] for s in found["steps"]]
    assert events.count("vm.exit") == EXITS[mechanism]
    assert events.count("source.handle") == 1


def test_each_exit_names_its_own_rule(capsys: pytest.CaptureFixture[str]) -> None:
    """An exit for a hypercall is not the arbiter's doing; the JSON says what the printed text says."""
    steps = document(capsys, "--mechanism", "pvhvm")["steps"]
    rules = {step["a"]: step["rule"] for step in steps if step["event"] == "vm.exit"}
    assert rules[18] == "VMCALL always exits" and rules[1] == "vmx.boundary.arbitrate"


def test_another_source_and_the_nth(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "--mechanism", "apicv", "--source", "sas.0", "--nth", "3")
    assert found["source"] == "sas.0"
    handled = [s for s in found["steps"] if s["event"] == "source.handle"]
    assert [s["b"] for s in handled] == [found["serial"]]
    first = document(capsys, "--mechanism", "apicv", "--source", "sas.0", "--nth", "1")
    assert first["serial"] < found["serial"]


def test_the_tick_can_be_explained_too(capsys: pytest.CaptureFixture[str]) -> None:
    for mechanism in ("emulated", "pvhvm", "vtd-posted"):
        found = document(capsys, "--mechanism", mechanism, "--source", "d1v0.timer", "--nth", "2")
        events = [s["event"] for s in found["steps"]]
        assert events[:2] == ["timer.fire", "source.assert"], "both stand at the end of what the softirq has charged"
        assert "source.handle" in events
        assert all(s["time_ns"] >= 0 for s in found["steps"])


def test_one_seed_one_explanation(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [explained(capsys, "--mechanism", "posted", "--seed", seed) for seed in ("4", "4", "5")]
    assert texts[0] == texts[1] != texts[2]


def test_an_interrupt_that_never_comes_is_said_with_how_many_there_were(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--set", 'device[1].service="1 s"', "--set", "device[1].depth=1", "--source", "sas.1", "--nth", "999"]
    assert main(["explain", "mail", "--mechanism", "apicv", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "--nth 999" in err and "handled interrupts" in err and err.count("\n") == 1


def test_events_of_the_fifo_abi_are_explained_by_its_own_rules(capsys: pytest.CaptureFixture[str]) -> None:
    """The guest with FIFO queues: raised by evtchn_fifo_set_pending, consumed off a queue; PENDING, LINKED and READY
    change. The guest beside it, with the 2-level ABI, keeps that one's rules."""
    found = {}
    for name in ("fifo.0", "flat.0"):
        words = ["explain", "fifo-priority", "--mechanism", "upcall-apicv", "--source", name, "--json", "-"]
        assert main(words) == 0
        found[name] = json.loads(capsys.readouterr().out)
    mine = {name: {s["cites"] for s in d["steps"]} for name, d in found.items()}
    assert {"Xen event_fifo.c raise", "Linux events_fifo.c consume"} <= mine["fifo.0"]
    assert "Xen 2l.c evtchn_2l_set_pending" in mine["flat.0"]
    assert not any("fifo" in key for key in mine["flat.0"])
    changed = {name for s in found["fifo.0"]["steps"] for name in s["changes"]}
    assert {"PENDING", "LINKED"} <= changed
