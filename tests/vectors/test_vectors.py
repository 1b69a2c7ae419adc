"""The replay of conformance vectors: our own, the reference set, and that a wrong trace does not pass."""

import json
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest

from exitless.cli.vector_files import Place, Record, read
from exitless.cli.vectors import DEVIATIONS, Verdict, judge
from exitless.errors import ExitlessError
from shared import shared

OWN = Path(__file__).with_name("manual.jsonl")
OURS: list[dict[str, Any]] = [json.loads(line) for line in OWN.read_text(encoding="utf-8").splitlines()]
CATEGORIES = {"entry", "extint", "hlt", "inject", "posted", "regs", "tpr", "vid", "x2regs"}


def verdict(record: dict[str, Any]) -> Verdict:
    """Judge one record."""
    return judge(Place("own", 1, msgspec.convert(record, Record)))


@pytest.mark.parametrize("record", OURS, ids=[record["id"] for record in OURS])
def test_our_own_vectors(record: dict[str, Any]) -> None:
    """Every trace was derived by hand from the sentence that the record carries."""
    found = verdict(record)
    assert not found.failed, f"{record['says']}\nstep {found.step}\nexpected {found.expected}\ngot      {found.got}"
    assert not found.deviation


def test_our_own_vectors_say_why_and_cover_every_category() -> None:
    assert {record["cat"] for record in OURS} == CATEGORIES
    assert all(record["says"].endswith(".") and len(record["says"].split()) > 2 for record in OURS)
    assert len({record["id"] for record in OURS}) == len(OURS)


def other(value: Any) -> Any:
    """Return another value of the same shape."""
    if value is None:
        return "0x1"
    if isinstance(value, str):
        return hex(int(value, 16) ^ 1)
    return value ^ 1


def wrong_fields(event: dict[str, Any], vid: bool) -> Iterator[dict[str, Any]]:
    """Yield the event with each compared field wrong, one at a time."""
    names = {"step", "if", "vec", "error", "reason", "val"} & set(event)
    if event.get("reason") in (44, 45, 56):
        names.add("qual")
    if event["ev"] == "exit" and vid:
        names |= {"rvi", "svi"}
    if event["ev"] in ("isr_eoi_done", "vmfail"):
        names.discard("if")
    for name in sorted(names):
        yield {**event, name: other(event[name])}
    if event.get("intr_info"):
        yield {**event, "intr_info": other(event["intr_info"])}
        yield {name: value for name, value in event.items() if name != "intr_info"}
    for group in {"d", "pid"} & set(event):
        for key, value in event[group].items():
            yield {**event, group: {**event[group], key: other(value)}}
            yield {**event, group: {inner: event[group][inner] for inner in event[group] if inner != key}}
    yield {**event, "d": {**event.get("d", {}), "3e0": "0x5"}}
    yield {**event, "pid": {**event.get("pid", {}), "3": "0x80"}}


@pytest.mark.parametrize("record", OURS, ids=[record["id"] for record in OURS])
def test_a_trace_with_anything_wrong_fails(record: dict[str, Any]) -> None:
    """Each compared field of each event, changed alone; each event left out, doubled, or of another kind."""
    controls = record["init"]["controls"]
    vid = {"secondary", "virtual_interrupt_delivery"} <= set(controls)
    events = record["events"]
    for n, event in enumerate(events):
        for wrong in wrong_fields(event, vid):
            assert verdict({**record, "events": [*events[:n], wrong, *events[n + 1 :]]}).failed, wrong
        assert verdict({**record, "events": events[:n] + events[n + 1 :]}).failed
        assert verdict({**record, "events": [*events[: n + 1], *events[n:]]}).failed
        kind = {"ev": "exc", "vec": 13, "step": event["step"]} if event["ev"] != "exc" else {"ev": "vmfail", "step": 0}
        assert verdict({**record, "events": [*events[:n], kind, *events[n + 1 :]]}).failed


@pytest.mark.parametrize("name", ["act", "intb", "rip", "err", "name", "idt_vec"])
def test_informative_fields_are_not_compared(name: str) -> None:
    for record in OURS[::7]:
        changed = deepcopy(record)
        for event in changed["events"]:
            event[name] = "other" if name in ("rip", "name") else 7
        assert not verdict(changed).failed


def test_bytes_from_3f0_are_not_compared() -> None:
    for record in OURS[::7]:
        changed = deepcopy(record)
        changed["events"][0].setdefault("d", {})["3f0"] = "0x41"
        assert not verdict(changed).failed


# ---- the reference set ----


@pytest.fixture(scope="module")
def reference() -> list[tuple[Place, Verdict]]:
    """Every vector of the reference set with its verdict."""
    places = list(read(str(shared("data/vectors/apicv.jsonl.xz"))))
    return [(place, judge(place)) for place in places]


def test_every_reference_vector_passes(reference: list[tuple[Place, Verdict]]) -> None:
    failed = [f"{place.record.id} {v.expected} / {v.got}" for place, v in reference if v.failed]
    assert not failed, "\n".join(failed[:20])
    assert len(reference) == 10026
    standing = Counter(place.record.standing() for place, _ in reference)
    assert standing == {"agree": 8794 + 1110, "unchecked": 38, "differ": 84}
    fixed = sum(place.record.events_fixed is not None and place.record.standing() == "agree" for place, _ in reference)
    assert fixed == 1110


def test_what_differs_is_exactly_the_three_deviations_that_its_tags_name(
    reference: list[tuple[Place, Verdict]],
) -> None:
    named: Counter[str] = Counter()
    for place, v in reference:
        if place.record.standing() == "differ":
            assert v.deviation in place.record.tags, f"vector {place.record.id}: {v.deviation or 'nothing'} explains it"
            named[v.deviation] += 1
        else:
            assert v.deviation in ("", "x2-selfipi-no-store-3f0"), f"vector {place.record.id} must meet its trace"
    assert named == {"vid-only-unaligned-write": 37, "x2-eoi-upper-dword": 27, "entry-pi-without-tprshadow": 20}


def test_reading_back_a_self_ipi_shows_bytes_that_are_not_compared(reference: list[tuple[Place, Verdict]]) -> None:
    """Everything else in those nine is compared: without the RDMSR of 83FH they end as their trace does."""
    found = [(place, v) for place, v in reference if v.deviation == "x2-selfipi-no-store-3f0"]
    assert len(found) == 9
    for place, _ in found:
        assert any(op.op == "RDMSR" and op.off == 0x3F for op in place.record.ops)


def test_no_other_deviation_is_granted_where_a_trace_must_be_met(reference: list[tuple[Place, Verdict]]) -> None:
    for place, v in reference:
        if v.deviation and v.deviation != "x2-selfipi-no-store-3f0":
            record = msgspec.structs.replace(place.record, xcheck="agree", xcheck_fixed="agree")
            assert judge(Place(place.file, place.line, record)).failed


def test_the_unpacked_directed_set() -> None:
    verdicts = [judge(place) for place in read(str(shared("data/vectors/directed.jsonl")))]
    assert len(verdicts) == 26 and not any(v.failed for v in verdicts)
    assert {v.deviation for v in verdicts} == {"", *DEVIATIONS}


# ---- what is odd ----


@pytest.mark.parametrize(("activity", "reasons"), [(2, [52]), (3, [])])
def test_a_guest_that_nothing_wakes_ends_its_play(activity: int, reasons: list[int]) -> None:
    """In shutdown the preemption timer exits, in wait-for-SIPI nothing does; the host wakes from HLT alone."""
    record = deepcopy(OURS[0])
    record["init"]["activity"] = activity
    record["events"] = [
        {"ev": "exit", "step": -1, "reason": reason, "if": 1, "rvi": 0x2F, "d": {"0a0": "0x2f"}} for reason in reasons
    ]
    assert not verdict(record).failed


ODD = [
    None,
    True,
    -1,
    0,
    3,
    7,
    255,
    256,
    4096,
    2**31,
    2**32,
    2**63,
    2**64 - 1,
    2**64,
    2**70,
    1.5,
    "",
    "0x",
    "zz",
    "-0x5",
]
ODD += ["0x" + "f" * 70, [], {}, [300], {"080": "-0x1"}, {"zz": "0x1"}, ["secondary"], "RD", "step"]


@pytest.mark.parametrize("part", ["init", "op", "event", "record"])
def test_every_odd_value_anywhere_is_judged_or_refused_in_one_sentence(part: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    for record in (OURS[46], OURS[20], OURS[1]):
        for value in ODD:
            changed = deepcopy(record)
            target = {
                "init": changed["init"],
                "op": changed["ops"][0],
                "event": changed["events"][0],
                "record": changed,
            }
            for name in list(target[part]):
                old = target[part][name]
                target[part][name] = value
                path.write_text(json.dumps(changed), encoding="utf-8")
                try:
                    for place in read(str(path)):
                        judge(place)
                except ExitlessError as problem:
                    assert str(problem).startswith(f"{path}:1: ") and "\n" not in str(problem)
                target[part][name] = old
