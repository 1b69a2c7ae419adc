"""The page holds all it shows: nothing is fetched, its data are those of the record, and it stays small."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from exitless import view
from exitless.record.block import Record
from exitless.scenario import load, prepare
from exitless.study.journeys import of_source
from exitless.study.registers import Field
from exitless.study.spans import rows
from exitless.view.packed import SPANS
from exitless.view.page import SCRIPTS, asset, page, pick
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind
from tests.views import sample

SAMPLES = {"posted": sample.posted, "pvhvm": sample.pvhvm, "recording": sample.recording}


def data_of(text: str) -> dict[str, Any]:
    """Read the page's data as a browser does: up to the first end of its element."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script', text, re.DOTALL)
    assert found is not None
    out: dict[str, Any] = json.loads(found.group(1))
    for record in out["records"]:
        moments(record)
    return out


def moments(record: dict[str, Any]) -> None:
    """Add up the differences in which a page holds its times."""
    spans = [(flat, stride) for key, stride in SPANS.items() for flat in
             (record[key].values() if isinstance(record[key], dict) else [record[key]])]  # fmt: skip
    points = [(record["asserts"], 4), (record["routes"], 5)]
    points += [(r["changes"], 3) for r in record["registers"].values()]
    points += [(r["changes"], 2) for r in record["lapics"].values()]
    for flat, stride in spans:
        time = 0
        for n in range(0, len(flat), stride):
            flat[n] += time
            flat[n + 1] += flat[n]
            time = flat[n + 1]
    for flat, stride in points:
        flat[::stride] = itertools.accumulate(flat[::stride])


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_fetched(name: str) -> None:
    text = page([SAMPLES[name]()])
    assert not re.findall(r"https?://|//[a-z]+\.[a-z]+/", text)
    assert not re.findall(r"<(?:link|img|iframe|object|embed|audio|video)\b|\bsrc\s*=|@import|url\((?!#)", text)
    assert not re.findall(r"\bfetch\(|XMLHttpRequest|WebSocket|EventSource|import\(|importScripts|sendBeacon", text)
    assert "{{data}}" not in text and "{{css}}" not in text


def test_every_script_is_short_and_in_the_page() -> None:
    text = page([sample.posted()])
    for name in SCRIPTS:
        script = asset(name)
        assert len(script.splitlines()) < 300, name
        assert script in text, name
        assert "</script" not in script, name


@pytest.mark.parametrize("name", SAMPLES)
def test_data_are_those_of_the_record(name: str) -> None:
    record = SAMPLES[name]()
    (held,) = data_of(page([record]))["records"]
    assert held["rows"] == held["total"] == len(record)
    assert held["low"] == min(record.time) and held["span"] == max(record.time) - min(record.time)
    exits = [(e.time_ps - held["low"], e.a, e.b) for e in record if e.kind == Kind.VM_EXIT]
    flat = held["exits"]
    assert sorted((flat[n], flat[n + 4], flat[n + 5]) for n in range(0, len(flat), 7)) == sorted(exits)
    counts = {int(reason): row[2] for reason, row in held["reasons"].items()}
    assert counts == {reason: sum(1 for x in exits if x[1] == reason) for reason in {x[1] for x in exits}}
    asserts = [(e.time_ps - held["low"], e.a, e.b) for e in record if e.kind == Kind.SOURCE_ASSERT]
    assert list(zip(*(held["asserts"][n::4] for n in range(3)), strict=True)) == asserts


def test_an_interrupts_steps_come_back_with_their_times_rows_and_charges() -> None:
    record = sample.posted()
    (held,) = data_of(page([record], source="nic", nth=1562))["records"]
    journey = held["journeys"][held["chosen"]]
    (way,) = [j for j in of_source(rows(record), record.header, sample.NIC) if j.serial == 1562]
    assert journey[:3] == [sample.NIC, 1562, sample.GUEST]
    assert (journey[12], journey[11]) == (way.start - held["low"], way.latency)
    assert journey[7] == [t - held["low"] for t in way.touching]
    steps = journey[10]
    found = []
    for n in range(0, len(steps), 3):
        shape, charges = held["shapes"][steps[n + 1]], held["shapes"][steps[n + 2]]
        assert held["lanes"][shape[0]] and held["texts"][shape[1]]
        found += [(way.start + steps[n], row[0]) for row in shape[5]]
        assert all(held["costs"][cost][1].startswith("guess") and ps > 0 for cost, ps in charges)
    assert found == [(step.time, step.kind) for step in way.steps]


def test_registers_of_the_posted_sample() -> None:
    """Posting, processing, delivery and EOI of 0x80 while 0x31 waits, bit by bit."""
    (held,) = data_of(page([sample.posted()]))["records"]
    regs = held["registers"][str(sample.GUEST)]
    assert regs["virtual"] and regs["posted"]
    now: dict[int, Any] = {}
    seen = {}
    for n in range(0, len(regs["changes"]), 3):
        time, field, value = regs["changes"][n : n + 3]
        is_set = field in Field.SETS
        now[field] = tuple(regs["values"][value][0]) if is_set else value
        seen[time // 1000] = {n: now[n] for n in now if n <= Field.ON}
        assert not is_set or regs["values"][value][1] == []
    assert seen[1300] == {0: (0x80,), 1: (0x31,), 2: (), 3: 0x31, 4: 0, 5: 1}
    assert seen[1800] == {0: (), 1: (0x31, 0x80), 2: (), 3: 0x80, 4: 0, 5: 0}
    assert seen[2000] == {0: (), 1: (0x31,), 2: (0x80,), 3: 0x31, 4: 0x80, 5: 0}
    assert seen[5300] == {0: (), 1: (), 2: (0x31,), 3: 0, 4: 0x31, 5: 0}


def test_a_recording_says_what_it_does_not_hold() -> None:
    """No owner, source, descriptor or cost; bits of a register are unknown until a row proves them."""
    (held,) = data_of(page([sample.recording()]))["records"]
    assert len(held["missing"]) == 3
    assert held["costs"] == [] and held["on"] == {} and held["asserts"] == []
    regs = held["registers"]["0"]
    assert not regs["virtual"]
    assert regs["values"][regs["changes"][2]] == [[], [0, 255]]
    service = [
        regs["values"][regs["changes"][n + 2]] for n in range(0, len(regs["changes"]), 3) if regs["changes"][n + 1] == 2
    ]
    assert [0x41] in [value[0] for value in service] and service[-1][1] == [0, 0x3F]


def test_the_other_vendors_exits_have_the_signs_of_their_names() -> None:
    """Reason 1 is a read of CR1 under SVM, and no external interrupt."""
    record = sample.recording()
    record.header.exits = {1: "CR1_read", int(Exit.APIC_WRITE): "vintr", int(Exit.HLT): "hlt"}
    (held,) = data_of(page([record]))["records"]
    assert {name: sign for name, sign, _ in held["reasons"].values()} == {"CR1_read": 6, "vintr": 1, "hlt": 3}
    (held,) = data_of(page([sample.recording()]))["records"]
    assert [sign for _, sign, _ in held["reasons"].values()] == [0, 3, 5]


def test_titles_cannot_end_an_element() -> None:
    record = sample.posted()
    record.header.title = 'a</script><b> & "b" <!-- {{css}}'
    record.header.scenario = "x</title><script>"
    text = page([record])
    assert data_of(text)["records"][0]["title"] == record.header.title
    assert "x</title><script>" not in text and "a</script>" not in text
    assert text.count("<script") == page([sample.posted()]).count("<script")
    assert text.count("<!--") == 0


def test_records_share_one_window_and_one_arrival() -> None:
    both = [sample.posted(), sample.pvhvm()]
    assert pick(both, "nic") == 1562
    posted, pvhvm = data_of(page(both, source="nic", nth=1562))["records"]
    assert (posted["low"], posted["span"]) == (pvhvm["low"], pvhvm["span"])
    ways = [held["journeys"][held["chosen"]] for held in (posted, pvhvm)]
    assert [way[1] for way in ways] == [1562, 1562]
    assert [len(way[6]) for way in ways] == [0, 2]
    assert pvhvm["reasons"][str(int(Exit.VMCALL))][0] == "VMCALL"


def test_ten_ms_of_mail_stay_under_2_mb() -> None:
    records = []
    for mechanism in ("emulated", "pvhvm", "apicv", "vtd-posted"):
        scenario, name = load("mail", [])
        sinks: list[Any] = []
        built = prepare(scenario, name, mechanism, None, 10_000_000_000, sinks)
        records.append(Record(built.header))
        sinks.append(records[-1])
        built.machine.run(10_000_000_000)
        built.machine.columns.flush()
    text = page(records, 0, 10_000_000_000)
    assert len(text.encode()) < 2_000_000
    for held, record in zip(data_of(text)["records"], records, strict=True):
        assert held["rows"] == sum(1 for t in record.time if t <= 10_000_000_000)
        assert len(held["journeys"]) > 100


def test_every_file_of_the_view_can_be_read_at_one_go() -> None:
    """Three hundred lines at most, in Python and in the page's scripts and style."""
    folder = Path(view.__file__).parent
    long = {
        path.name: len(path.read_text("utf-8").splitlines()) for path in folder.rglob("*.*") if path.suffix != ".pyc"
    }
    assert len(long) > 40
    assert {name: lines for name, lines in long.items() if lines > 300} == {}
