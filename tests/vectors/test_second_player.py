"""Conformance vectors against a second player that shares nothing with the package: new ones, and the reference set."""

import json
import os
import subprocess
import sys
from collections import Counter

import msgspec
import pytest

from exitless.cli.vector_files import DECODER, Place, read
from exitless.cli.vectors import Verdict, judge
from shared import shared
from tests.house.tree import ROOT
from tests.naive.player import Player
from tests.naive.records import KINDS, Maker

EACH = 50
# Vectors of entries mostly fail to enter, and so have fewest of both: about half an exit and half a step each.
FEWEST = 15


def verdict(record: dict[str, object]) -> Verdict:
    """Judge a record as if it stood in a file."""
    return judge(Place("made", 1, DECODER.decode(json.dumps(record))))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_vectors_that_nobody_has_seen(kind: str) -> None:
    """Any controls, values, orders and spellings of a category; optional fields absent; no deviation is needed."""
    maker, seen = Maker(sum(kind.encode())), Counter()
    for number in range(EACH):
        record = maker.record(number, kind)
        found = verdict(record)
        shown = json.dumps({name: record[name] for name in ("init", "ops")})
        assert not found.failed, f"{found.expected}\n{found.got}\n{shown}"
        assert not found.deviation
        seen.update(event["ev"] for event in record["events"])
    assert seen["exit"] >= FEWEST and seen["step"] >= FEWEST, f"these vectors try too little: {seen}"


def test_what_is_made_does_not_depend_on_the_order_of_sets() -> None:
    """Else a number of tries means another thing in each run: the same seed makes the same record in every process."""
    told = (
        "import json, tests.naive.records as r; print(json.dumps([r.Maker(5).record(1, k) for k in sorted(r.KINDS)]))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", told], env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT, capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(runs) == 1


def test_what_is_made_reaches_every_exit_and_event_that_vectors_have() -> None:
    """Else the test above would pass for want of trying."""
    events = [
        event for kind in KINDS for number in range(EACH) for event in Maker(number).record(number, kind)["events"]
    ]
    assert {event["ev"] for event in events} == {"step", "exit", "int", "isr_eoi_done", "exc", "vmfail"}
    reasons = {event["reason"] for event in events if event["ev"] == "exit"}
    assert {1, 7, 12, 18, 28, 31, 32, 43, 44, 45, 52, 56, 0x80000021} <= reasons


def test_both_players_tell_the_reference_set_alike() -> None:
    """Where a recording leaves the manual, too: both then follow the manual, and tell the same."""
    count = 0
    for number, place in enumerate(read(str(shared("data/vectors/apicv.jsonl.xz")))):
        if number % 67 == 0:
            record = plain(place)
            found = verdict({**record, "events": Player(record).run(), "xcheck": "agree"})
            assert not found.failed and not found.deviation, f"{record['id']}: {found.expected}\n{found.got}"
            count += 1
    assert count == 150


def plain(place: Place) -> dict[str, object]:
    """Return a record's own words, without what was seen."""
    whole = msgspec.to_builtins(place.record)
    return {name: whole[name] for name in ("id", "cat", "init", "ops")}
