"""The timeline in a terminal: the lanes of the pictures in characters, and the selected interrupt's steps as lines."""

from collections.abc import Callable
from typing import Final

from rich.text import Text

from exitless.bits.units import PS_PER_MS, PS_PER_NS, PS_PER_US, show_time
from exitless.study.spans import State
from exitless.view.cells import LABEL, Row
from exitless.view.classes import pieces, reason_class
from exitless.view.lanes import Lane
from exitless.view.names import host_name, is_model, others_name, reason_name
from exitless.view.registers import registers
from exitless.view.scene import Scene, place_of
from exitless.view.steps import ASCII, DIGITS, UNICODE, Signs, base_of, steps, wrapped
from exitless.vocab.kinds import Kind, Owner

NARROWEST: Final = 60
WIDEST: Final = 200


IN_ASCII: Final = {"µ": "u", "–": "-", "…": "~", "·": ".", "×": "x", "→": ">", "≥": ">", "≤": "<"}
REASON_STYLES: Final = ("#d2521a", "#b58a00", "#9a55d6", "bold", "#0a98a0", "#2490ea", "bold")
OWNER_STYLES: Final = ("dim", "", "#a08f38", "#4f8fd8")


class _Plot:
    """Cells for times."""

    def __init__(self, scene: Scene, width: int, signs: Signs) -> None:
        self.scene = scene
        self.signs = signs
        self.cells = width - LABEL - 1
        self.length = max(1, scene.last_ps - scene.first_ps)

    def cell(self, time: int) -> int:
        """Return the cell a time falls into."""
        return (time - self.scene.first_ps) * self.cells // self.length

    def fill(self, row: Row, spans: list[tuple[int, int, str, str]]) -> None:
        """Give each cell to the span with most of its time; a span of any length has at least its first cell."""
        best = [0] * self.cells
        for start, end, sign, style in spans:
            if end < self.scene.first_ps or start > self.scene.last_ps:
                continue
            first, last = max(0, self.cell(start)), min(self.cells - 1, self.cell(max(start, end - 1)))
            for n in range(first, last + 1):
                low = self.scene.first_ps + self.length * n // self.cells
                high = self.scene.first_ps + self.length * (n + 1) // self.cells
                share = min(end, high) - max(start, low)
                if share > best[n] or best[n] == 0:
                    best[n] = max(share, 1)
                    row.put(n, sign, style)

    def row(self, lane: Lane) -> Row:
        """Start a lane's line."""
        label = f"{lane.label} {lane.detail}" if len(lane.label) + len(lane.detail) < LABEL else lane.label
        return Row(label, self.cells)


def timeline(scene: Scene, width: int = 80, ascii_only: bool = False) -> list[Text]:
    """Draw a scene for a terminal. Below 60 columns the step list stands alone; above 200 nothing grows."""
    signs = ASCII if ascii_only else UNICODE
    if width < NARROWEST:
        alone = [*_head(scene, width, signs), *steps(scene, width, signs)]
        return [plain(line) for line in alone] if ascii_only else alone
    plot = _Plot(scene, min(width, WIDEST), signs)
    lines: list[tuple[int, Row]] = []
    for n, lane in enumerate(scene.lanes):
        if lane.kind == "pcpu":
            above = _exits(plot, lane)
            if above is not None:
                lines.append((-1, above))
        drawn = _DRAW[lane.kind](plot, lane)
        if drawn is not None:
            lines.append((n, drawn))
    _badges(plot, lines)
    out = [*_head(scene, width, signs), _ruler(plot).text(), *[row.text() for _, row in lines]]
    out += [Text(), *_legend(scene, width, signs), Text(), *steps(scene, width, signs)]
    table = registers(scene, width)
    out += [Text(), *table] if table else []
    return [plain(line) for line in out] if ascii_only else out


def plain(line: Text) -> Text:
    """Return a line without any character outside ASCII, as wide as before."""
    out = line.copy()
    out.plain = "".join(sign if sign.isascii() else IN_ASCII.get(sign, "?") for sign in line.plain)
    return out


def _head(scene: Scene, width: int, signs: Signs) -> list[Text]:
    """Say what is shown."""
    h = scene.header
    what = f"{h.scenario or h.title}" + (f" under {h.mechanism}" if h.mechanism else "")
    seed = f", seed {h.seed}" if h.origin == "simulated" else ""
    if is_model(h):
        what = h.title + (f" (broken on purpose: {h.mechanism})" if h.mechanism else "")
    part = f"{show_time(scene.first_ps)} to {show_time(scene.last_ps)}; {len(scene.events)} of {scene.rows_total} rows"
    lines = [f"{what}, {h.origin}{seed}", *([] if is_model(h) else [part]), *scene.missing()]
    out = []
    for line in lines:
        out += [Text(piece.replace("µs", signs.micro)) for piece in wrapped(line, width)]
    return out


def tick_ps(length: int, count: int) -> int:
    """Return the step of 1, 2 or 5 times a power of ten that divides a length into at most ``count`` parts."""
    step = 1
    while True:
        for factor in (1, 2, 5):
            if length <= step * factor * count:
                return step * factor
        step *= 10


def _ruler(plot: _Plot) -> Row:
    """Draw the axis: µs after a round time."""
    scene = plot.scene
    base = base_of(scene)
    step = max(tick_ps(plot.length, max(2, plot.cells // 10)), PS_PER_US if is_model(scene.header) else PS_PER_NS)
    label = (
        "step"
        if is_model(scene.header)
        else plot.signs.micro
        if base == 0
        else f"{plot.signs.micro} +{base // PS_PER_MS} ms"
    )
    row = Row(label, plot.cells)
    time = -(-scene.first_ps // step) * step
    while time <= scene.last_ps:
        value = (time - base) / PS_PER_US
        row.write(plot.cell(time), f"{value:.3f}".rstrip("0").rstrip("."), "dim")
        time += step
    return row


def _exits(plot: _Plot, lane: Lane) -> Row | None:
    """Draw the exits of a pCPU above its bar."""
    found = [e for e in plot.scene.spans.exits if e.pcpu == lane.number]
    found = [e for e in found if plot.scene.first_ps <= e.start <= plot.scene.last_ps]
    if not found:
        return None
    row = Row(f"exits {lane.label}", plot.cells)
    for e in found:
        kind = reason_class(plot.scene.header, e.reason)
        row.put(plot.cell(e.start), plot.signs.exits[kind], REASON_STYLES[kind])
    return row


def _pcpu(plot: _Plot, lane: Lane) -> Row | None:
    row = plot.row(lane)
    spans = []
    for s in plot.scene.spans.owners.get(lane.number, []):
        style = OWNER_STYLES[s.owner]
        if s.owner == Owner.XEN and s.reason >= 0:
            style = REASON_STYLES[reason_class(plot.scene.header, s.reason)]
        spans.append((s.start, s.end, plot.signs.owners[s.owner], style))
    plot.fill(row, spans)
    return row


def _device(plot: _Plot, lane: Lane) -> Row | None:
    row = plot.row(lane)
    for e in plot.scene.events:
        if e.kind == Kind.SOURCE_ASSERT and e.a in lane.members:
            row.put(plot.cell(e.time_ps), plot.signs.mark)
    return row


def _irte(plot: _Plot, lane: Lane) -> Row | None:
    row = plot.row(lane)
    for e in plot.scene.events:
        if e.kind == Kind.MSI_ROUTE:
            row.put(plot.cell(e.time_ps), plot.signs.mark)
    return row


def _pid(plot: _Plot, lane: Lane) -> Row | None:
    row = plot.row(lane)
    left, inside, right = list(plot.signs.box)
    for s in plot.scene.spans.on.get(lane.number, []):
        if s.end < plot.scene.first_ps or s.start > plot.scene.last_ps:
            continue
        first, last = plot.cell(s.start), plot.cell(max(s.start, s.end - 1))
        for n in range(first, last + 1):
            row.put(n, inside)
        row.put(first, left)
        if last > first:
            row.put(last, right)
    return row


def _vcpu(plot: _Plot, lane: Lane) -> Row | None:
    found = [s for s in plot.scene.spans.states.get(lane.number, []) if s.state < State.OFFLINE]
    shown = [s for s in found if s.end > plot.scene.first_ps and s.start < plot.scene.last_ps]
    if lane.detail == "dom0" and len(shown) < 2:
        return None
    row = plot.row(lane)
    running = plot.signs.owners[Owner.DOM0 if lane.detail == "dom0" else Owner.GUEST]
    style = OWNER_STYLES[Owner.DOM0 if lane.detail == "dom0" else Owner.GUEST]
    signs = running + plot.signs.states[1:]
    plot.fill(row, [(s.start, s.end, signs[s.state], style if s.state == State.GUEST else "") for s in found])
    return row


def _vector(plot: _Plot, lane: Lane) -> Row | None:
    row = plot.row(lane)
    states = plot.scene.spans.states.get(lane.number, [])
    cut: list[tuple[int, int, str, str]] = []
    for span in plot.scene.spans.vectors.get((lane.number, lane.vector), []):
        if span.end >= plot.scene.first_ps and span.start <= plot.scene.last_ps:
            cut += [(start, end, plot.signs.phases[phase], "") for start, end, phase in pieces(span, states)]
    plot.fill(row, cut)
    return row


def _port(plot: _Plot, lane: Lane) -> Row | None:
    row = plot.row(lane)
    found = plot.scene.spans.ports.get((lane.number, lane.vector), [])
    plot.fill(row, [(s.start, s.end, plot.signs.phases[0], "") for s in found])
    return row


_DRAW: Final[dict[str, Callable[[_Plot, Lane], Row | None]]] = {
    "device": _device, "irte": _irte, "pid": _pid, "pcpu": _pcpu, "vcpu": _vcpu, "vector": _vector, "port": _port,
}  # fmt: skip


def _badges(plot: _Plot, lines: list[tuple[int, Row]]) -> None:
    """Put the numbers of the selection's steps on the lanes where they happen."""
    by_lane = {n: row for n, row in lines if n >= 0}
    taken: dict[int, set[int]] = {}
    for number, card in enumerate(plot.scene.cards()):
        place = place_of(plot.scene, card.rows[0])
        row = by_lane.get(place)
        if row is None or number >= len(DIGITS):
            continue
        at = plot.cell(card.time)
        while at in taken.setdefault(place, set()):
            at += 1
        taken[place].add(at)
        row.put(at, DIGITS[number], "bold")


def _legend(scene: Scene, width: int, signs: Signs) -> list[Text]:
    """Name the signs that the window uses, and no other."""
    names = ["idle", host_name(scene.header), others_name(scene.header), "guest"]
    low, high = scene.first_ps, scene.last_ps
    owners = {s.owner for found in scene.spans.owners.values() for s in found if s.end > low and s.start < high}
    parts = [f"{signs.owners[o]} {names[o]}" for o in (Owner.GUEST, Owner.DOM0, Owner.XEN, Owner.IDLE) if o in owners]
    taken = {e.reason for e in scene.spans.exits if low <= e.start <= high}
    reasons = sorted(taken, key=lambda r: reason_class(scene.header, r))
    parts += [f"{signs.exits[reason_class(scene.header, r)]} {reason_name(scene.header, r)}" for r in reasons]
    used = {
        phase
        for (vcpu, _), found in scene.spans.vectors.items()
        for s in found
        if s.end >= low and s.start <= high
        for _, _, phase in pieces(s, scene.spans.states.get(vcpu, []))
    }
    said = ("PIR or event pending", "VIRR", "in service", "not running")
    parts += [f"{signs.phases[p]} {said[p]}" for p in sorted(used)]
    found = [s for v in scene.spans.states.values() for s in v if s.end > low and s.start < high]
    now = {s.state for s in found}
    told = {State.ROOT: f"in {names[1]}", State.RUNNABLE: "runnable", State.BLOCKED: "blocked"}
    parts += [f"vCPU {signs.states[state]} {word}" for state, word in told.items() if state in now]
    if len(scene.cards()) > 9:
        parts.append("A: step 10, and so on")
    return [Text(line) for line in _packed(parts, width)]


def _packed(parts: list[str], width: int) -> list[str]:
    """Put parts on lines, three blanks between them."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + 3 + len(part) <= width:
            lines[-1] += f"   {part}"
        else:
            lines.append(part)
    return lines
