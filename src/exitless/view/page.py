"""One page that holds everything it shows: several mechanisms' records of the same time, drawn by its own script."""

import json
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from exitless.record.block import Record
from exitless.study.journeys import choose, of_source, of_vectors
from exitless.study.lapics import lapics
from exitless.study.registers import ALL, Field, registers
from exitless.study.spans import rows
from exitless.study.ways import Journey, Step
from exitless.view.brief import causes, flat, head
from exitless.view.cards import groups, said
from exitless.view.lanes import sources_of
from exitless.view.names import headline, host_name
from exitless.view.packed import Once, packed
from exitless.view.scene import Scene, part, place_of, scene
from exitless.view.words import CITES
from exitless.vocab.kinds import Kind
from exitless.vocab.table import BY_KIND

ROWS = 110_000
JOURNEYS = 1_500
SCRIPTS = (
    "model.js", "draw.js", "axis.js", "pyramid.js", "lanes.js", "marks.js", "over.js", "strip.js", "grids.js",
    "registers.js", "panel.js", "find.js", "numbers.js", "compare.js", "tour.js", "live.js", "more.js", "keys.js",
    "input.js", "page.js",
)  # fmt: skip


def asset(name: str) -> str:
    """Return a file of the page."""
    return (resources.files("exitless.view") / "web" / name).read_text("utf-8")


def document(
    records: list[Record], first_ps: int | None = None, last_ps: int | None = None, source: str | None = None,
    nth: int | None = None, budget: int = ROWS, keep: list["Ways"] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return what a page draws. The records share one window; without one, as much as ``budget`` rows allow.

    Into ``keep`` go the ways of every record, for a server that sends those of a window when they are asked for.
    """
    first_ps, last_ps = _window(records, first_ps, last_ps, source, nth, budget // max(1, len(records)))
    out = []
    for record in records:
        s = scene(record, first_ps, last_ps, source, nth)
        ways = Ways(s)
        out.append(_record(s, record, ways))
        if keep is not None:
            keep.append(ways)
    return {"records": out, "kinds": {n: [row.name, row.a, row.b, row.says] for n, row in BY_KIND.items()}}


def page(
    records: list[Record], first_ps: int | None = None, last_ps: int | None = None, source: str | None = None,
    nth: int | None = None, budget: int = ROWS, cards: Sequence[dict[str, Any]] = (),
    says: Mapping[str, str] | None = None,
) -> str:  # fmt: skip
    """Return the page as text; see :func:`document`. ``cards`` are a tour's, without moments that the page lacks;
    ``says`` tells of mechanisms how they deliver."""
    data = document(records, first_ps, last_ps, source, nth, budget)
    data["says"] = {r["name"]: says[r["name"]] for r in data["records"] if says and r["name"] in says}
    if cards:
        data["tour"] = [_within(card, data["records"]) for card in cards]
    return written(data)


def _within(card: dict[str, Any], held: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a tour's card without its moment where no record of the page has it."""
    m = card.get("moment")
    if m is None or any(r["name"] == m["mechanism"] and 0 <= m["time"] - r["low"] <= r["span"] for r in held):
        return card
    return {key: value for key, value in card.items() if key != "moment"}


def written(data: dict[str, Any]) -> str:
    """Return the page of a document, scripts and style inside. Only one that is ``served`` asks its server."""
    first = data["records"][0]
    names = [r["name"] for r in data["records"] if r["name"] not in ("record", r["title"])]
    title = " · ".join([first["scenario"] or first["title"] or "record", *names[:3], "Exitless"])
    data = {**data, "records": [packed(record) for record in data["records"]]}
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    served = ("ask.js",) if "live" in data or "served" in data else ()
    scripts = "\n".join(asset(name) for name in (*served, *SCRIPTS))
    parts = {"title": _escaped(title), "css": asset("page.css"), "data": text, "script": scripts}
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], asset("page.html"))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _window(
    records: list[Record], first: int | None, last: int | None, source: str | None, nth: int | None, budget: int
) -> tuple[int, int]:
    """Return the window that all records share, no more than ``budget`` rows of any."""
    if first is None and last is None:
        parts = [part(record, budget, source, nth) for record in records]
        low, high = max(p[0] for p in parts), min(p[1] for p in parts)
        return (low, high) if low < high else parts[0]
    low = first if first is not None else 0
    high = last if last is not None else max(max(r.time[-4096:], default=0) for r in records)
    for record in records:
        inside = [t for t in record.time if low <= t <= high]
        if len(inside) > budget:
            high = min(high, sorted(inside)[budget - 1])
    return low, high


def _record(s: Scene, record: Record, ways: "Ways") -> dict[str, Any]:
    """Return one record's part of the page's data; times are ps after the window's begin."""
    low, high, spans = s.first_ps, s.last_ps, s.spans
    found = ways.first()
    merged = {(e.a, e.b) for e in s.events if e.kind == Kind.SOURCE_MERGE}
    return {
        **head(record, spans, low, high), "rows": len(s.events), "missing": s.missing(),
        "lanes": [list(lane) for lane in s.lanes],
        "vectors": {f"{v}:{n}": flat(x, low, high) for (v, n), x in spans.vectors.items()},
        "ports": {f"{v}:{n}": flat(x, low, high) for (v, n), x in spans.ports.items()},
        "on": {v: flat(x, low, high) for v, x in spans.on.items()},
        "processing": flat(spans.processing, low, high),
        "asserts": [
            x for e in s.events if e.kind == Kind.SOURCE_ASSERT
            for x in (e.time_ps - low, e.a, e.b, int((e.a, e.b) in merged))
        ],
        "routes": [
            x for e in s.events if e.kind == Kind.MSI_ROUTE
            for x in (e.time_ps - low, e.a, e.b, e.pcpu, e.vcpu)
        ],
        **ways.said(found), "more": len(ways.found) if len(ways.found) > len(found) else 0,
        "registers": _registers(record, low, high), "lapics": _lapics(record, low, high),
        "causes": causes(record.header, s.events),
        "chosen": next((n for n, j in enumerate(found) if _same(j, s.journey)), -1),
    }  # fmt: skip


def _registers(record: Record, low: int, high: int) -> dict[int, Any]:
    """Return every vCPU's registers: changes of three numbers, a set of bits by its number among ``values``."""
    out: dict[int, Any] = {}
    for vcpu, found in registers(record, low, high).items():
        values: list[Any] = []
        places: dict[tuple[int, int], int] = {}
        changes: list[int] = []
        for c in found.changes:
            value = c.value
            if c.field in Field.SETS:
                key = (c.value, c.known)
                if key not in places:
                    places[key] = len(values)
                    values.append([_set(c.value), _runs(ALL & ~c.known)])
                value = places[key]
            changes += [max(c.time, low) - low, c.field, value]
        flags = {"virtual": found.virtual, "posted": found.posted, "apic": found.apic, "events": found.events}
        out[vcpu] = {**flags, "values": values, "changes": changes}
    return out


def _lapics(record: Record, low: int, high: int) -> dict[int, Any]:
    """Return every pCPU's local APIC: moments, and by number which bits are requested, in service and unknown."""
    out: dict[int, Any] = {}
    for pcpu, states in lapics(record, low, high).items():
        values = Once()
        flat = [x for s in states for x in (max(s.time, low) - low, values((s.requested, s.service, s.known)))]
        told = [[_set(requested), _set(service), _runs(ALL & ~known)] for requested, service, known in values.all]
        out[pcpu] = {"values": told, "changes": flat}
    return out


def _set(bits: int) -> list[int]:
    """Return the numbers of the bits that are set."""
    return [n for n in range(bits.bit_length()) if bits >> n & 1]


def _runs(bits: int) -> list[int]:
    """Return the first and last bit of every run of ones."""
    edges = bits ^ bits * 2
    return [n - (place & 1) for place, n in enumerate(n for n in range(257) if edges >> n & 1)]


def _same(journey: Journey, other: Journey | None) -> bool:
    if other is None:
        return False
    return (journey.source, journey.serial, journey.start) == (other.source, other.serial, other.start)


def _journeys(s: Scene) -> list[Journey]:
    """Return the interrupts of every source in the window, those of the chosen one first."""
    found = list(s.journeys)
    have = {j.source for j in found}
    if s.ways is not None and any(source >= 0 for source in have):
        for source in sources_of(s.header, None):
            if source in s.ways.asserts and source not in have:
                found += s.ways.of_source(source)
    elif not found:
        found = of_vectors(s.events, s.header)
    return [j for j in found if j.start >= s.first_ps]


class Ways:
    """A record's interrupts. A page holds no endless number of them; a server can send those of a window."""

    def __init__(self, s: Scene) -> None:
        self.s = s
        self.found = _journeys(s)
        self.by_start: list[Journey] = []

    def first(self) -> list[Journey]:
        """Return those that a page holds from the beginning, the selected one among them."""
        if len(self.found) <= JOURNEYS:
            return self.found
        kept = self.found[:JOURNEYS]
        if self.s.journey is not None and self.s.journey not in kept:
            kept[-1] = self.s.journey
        return kept

    def between(self, low: int, high: int) -> dict[str, Any]:
        """Return those that begin in a window, at most as many as a page holds, and where they end. Units: ps"""
        self.by_start = self.by_start or sorted(self.found, key=_start)
        place = bisect_left(self.by_start, low, key=_start)
        found = self.by_start[place : place + JOURNEYS]
        kept = [j for j in found if j.start <= high]
        return {**self.said(kept), "until": kept[-1].start if kept and len(found) == JOURNEYS else high}

    def said(self, found: list[Journey]) -> dict[str, Any]:
        """Return interrupts as the page reads them."""
        steps = _Steps(self.s)
        told = [steps.of(j) for j in found]
        return {"journeys": told, "texts": steps.texts.all, "shapes": steps.shapes.all}


def _start(j: Journey) -> int:
    return j.start


_DEVICE = (Kind.SOURCE_ASSERT, Kind.SOURCE_HANDLE)


class _Steps:
    """What the steps of a record's interrupts share, by number: texts, shapes of steps, charges."""

    def __init__(self, s: Scene) -> None:
        self.s = s
        self.host = host_name(s.header)
        self.texts, self.shapes = Once(), Once()
        self.places: dict[Any, int] = {}
        self.costs = {name: n for n, name in reversed(list(enumerate(s.header.costs)))}

    def of(self, j: Journey) -> list[Any]:
        """Return one interrupt: who, its steps, and where its exits are."""
        shown, handled, low = groups(j), -1, self.s.first_ps
        if j.handled >= 0:
            moment = j.steps[j.handled]
            handled = next(n for n, group in enumerate(shown) if moment in group)
        pcpus = sorted({step.pcpu for step in j.steps} - {-1})
        return [
            j.source, j.serial, j.vcpu, j.vector, handled, int(j.merged), [t - low for t in j.exits],
            [t - low for t in j.touching], self.texts(headline(self.s.header, j)), pcpus,
            [x for group in shown for x in self.step(j, group)], j.latency, j.start - low,
        ]  # fmt: skip

    def step(self, j: Journey, group: tuple[Step, ...]) -> tuple[int, int, int]:
        """Return one step: time after the first, and by number what many interrupts share: lane, texts, rows; charges.

        A device row's serial is that of its interrupt, so it is left out and rows are alike.
        """
        serial = j.serial
        rows_ = tuple([(r[1], r[2], r[3], r[4], 0 if r[5] == serial and r[1] in _DEVICE else r[5]) for r in group])
        place = self.places.get(rows_)
        if place is None:
            w = said(self.s.header, group, self.host)
            told = [self.texts(text) for text in (w.title, w.detail, w.sentence, CITES.get(w.cites, ""))]
            place = self.places[rows_] = self.shapes((place_of(self.s, group[0]), *told, rows_))
        charges = tuple([(self.costs[c.name], c.ps) for r in group for c in r.charges])
        return group[0].time - j.start, place, self.shapes(charges)


def pick(records: list[Record], source: str | None) -> int | None:
    """Return the serial of an interrupt worth a look that every record holds, None when there is none."""
    for number in sources_of(records[0].header, source)[:1]:
        parts = [rows(r, *part(r, ROWS // len(records), source)) for r in records]
        ways = [of_source(p, r.header, number) for p, r in zip(parts, records, strict=True)]
        common = set.intersection(*[{j.serial for j in way if j.handled >= 0} for way in ways])
        for way in ways:
            touched = [j for j in way if j.serial in common and j.touching]
            if touched:
                return touched[0].serial
        kept = [j for j in ways[-1] if j.serial in common]
        return kept[choose(kept)].serial if kept else None
    return None
