"""The command: the address comes first, one request answers, and Ctrl-C ends it without noise."""

import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import exitless
from exitless.cli.view import looked_at
from exitless.errors import ScenarioError
from exitless.record.store import write
from tests.views import sample


def start(*words: str) -> "subprocess.Popen[str]":
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "exitless", "view", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("what", ["mail", "record"])
def test_it_serves_until_it_is_interrupted(what: str, tmp_path: Path) -> None:
    words = ["mail", "--mechanism", "apicv", "--length", "1 ms"]
    if what == "record":
        write(sample.posted(), tmp_path / "one.xl")
        words = [str(tmp_path / "one.xl")]
    process = start(*words, "--port", "0", "--no-browser")
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{20,}/", address)
    with urllib.request.urlopen(address, timeout=30) as reply:
        text = reply.read().decode()
    assert text.startswith("<!doctype html>") and ('"live":{' in text) == (what == "mail")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "exitless: the workbench has stopped\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["mial"], 'no record, recording or scenario "mial"; did you mean "mail"?'),
        (["mail", "--port", "70000"], "--port 70000: expected 0 to 65535"),
        (["mail", "--length", "10 s"], "--length: expected 1 us to 100 ms, got 10 s"),
        (["mail", "--mechanism", "apicw"], 'no such mechanism "apicw"; did you mean "apicv"?'),
        (["mail", "--set", "device[0].lod=3"], "did you mean"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(words: list[str], sentence: str) -> None:
    process = start(*words, "--no-browser")
    said, complaint = process.communicate(timeout=60)
    assert (process.returncode, said) == (2, "")
    assert sentence in complaint and complaint.count("\n") == 1


def test_the_interrupts_of_a_window_are_sent_when_asked_for() -> None:
    """Those that begin in it, as the page reads them; anything else is a sentence."""
    _, answers = looked_at([sample.posted()])
    said = answers["ways"]({"record": 0, "from": 1_000_000, "to": 2_000_000})
    assert [j[:2] for j in said["journeys"]] == [[sample.NIC, 1562]] and said["until"] == 2_000_000
    assert said["texts"] and said["shapes"]
    for asked in ({}, {"record": 0, "from": "1", "to": 2}, {"record": 1, "from": 0, "to": 2}, {"record": True}):
        with pytest.raises(ScenarioError, match="ways: "):
            answers["ways"](asked)


def test_a_run_displays_itself_in_a_notebook() -> None:
    shown = exitless.run("mail", "apicv", "vtd-posted", length="1 ms")
    text = shown._repr_html_()
    assert text.startswith('<iframe sandbox="allow-scripts"') and text.count("<") == 2
    assert [r.header.mechanism for r in shown.records] == ["apicv", "vtd-posted"]
    with pytest.raises(exitless.ScenarioError, match="did you mean"):
        exitless.run("mail", "apicw")
