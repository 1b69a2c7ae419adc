"""A still picture of one interrupt, for papers and pages without scripts: lanes, its path in numbered steps, the steps as
a list. Further scenes are compared with the first: their interrupt's pCPU and vector, set to the same moment.
"""

from collections.abc import Callable
from typing import Final

from exitless.bits.units import PS_PER_US, show_time
from exitless.study.journeys import Journey
from exitless.study.spans import ExitSpan, OwnerSpan, Phase, State
from exitless.view.marks import SANS, Canvas, length
from exitless.view.scene import Lane, Scene, alike, narrow, place_of
from exitless.view.timeline import base_of, origins, pieces, reason_class, show_short, tick_ps
from exitless.view.words import Card, headline, host_name, reason_name, source_name, vcpu_name
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner

WIDTH: Final = 1000
EDGE: Final = 20
LEFT: Final = 156
RIGHT: Final = WIDTH - EDGE
HEIGHTS: Final = {"device": 32, "irte": 30, "pid": 32, "pcpu": 64, "vcpu": 32, "vector": 32, "port": 32}
HEAD: Final = 22
BAR: Final = 26



def svg(scenes: list[Scene], theme: str = "light") -> str:
    """Return a picture as SVG text; the scenes may be wider than what is drawn of them."""
    scenes = aligned(scenes)
    picture = _Picture(scenes[0], theme)
    picture.title()
    picture.ruler()
    picture.lanes(shown(scenes[0]))
    for other in scenes[1:]:
        picture.compare(other)
    picture.aside(scenes[0])
    picture.legend(scenes)
    picture.steps()
    return picture.text()


def aligned(scenes: list[Scene]) -> list[Scene]:
    """Cut scenes to windows of one length that hold their interrupts, each at the same place."""
    first = scenes[0]
    model = first.journey
    if model is None:
        return scenes[:1]
    scenes = [first, *(alike(s, model) for s in scenes[1:])]
    ways = [s.journey for s in scenes if s.journey is not None]
    longest = max(max(j.end - j.start for j in ways), PS_PER_US)
    before = longest // 7
    after = longest + longest // 6
    return [narrow(s, j.start - before, j.start + after) for s, j in zip(scenes, ways, strict=False)]


def shown(scene: Scene) -> list[int]:
    """Return the places of the lanes on which something happens in the window."""
    low, high = scene.first_ps, scene.last_ps
    path = {place_of(scene, card.rows[0]) for card in scene.cards()}
    asserted = {e.a for e in scene.events if e.kind == Kind.SOURCE_ASSERT}
    out = []
    for n, lane in enumerate(scene.lanes):
        keep = n in path or lane.kind in ("irte", "vector", "port")
        if lane.kind == "device":
            keep = keep or bool(asserted & set(lane.members))
        elif lane.kind == "pid":
            keep = keep or any(s.end > low and s.start < high for s in scene.spans.on.get(lane.number, []))
        elif lane.kind == "pcpu":
            keep = keep or len([s for s in scene.spans.owners.get(lane.number, []) if s.end > low and s.start < high]) > 1
        elif lane.kind == "vcpu":
            states = [s for s in scene.spans.states.get(lane.number, []) if s.end > low and s.start < high]
            keep = keep or len(states) > 1 or (scene.journey is not None and lane.number == scene.journey.vcpu)
        if keep:
            out.append(n)
    return out


class _Picture:
    """A picture under way: ``y`` is where the next part begins."""

    def __init__(self, scene: Scene, theme: str) -> None:
        self.c = Canvas(theme)
        self.scene = scene
        self.first = scene
        self.cards: list[Card] = scene.cards()
        self.y = 0.0
        self.top = 0.0
        self.below: list[str] = []

    def text(self) -> str:
        """Return the picture."""
        c, height = self.c, self.y + EDGE
        said = f"{headline(self.first.header, self.first.journey)}" if self.first.journey else "A window of a record"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" '
            f'height="{height:.0f}" font-family="{SANS}" style="font-feature-settings: \'tnum\' 1, \'calt\' 0">'
            f"<title>{said}</title>{c.patterns()}"
            f'<rect width="{WIDTH}" height="{height:.0f}" fill="{c["paper"]}"/>' + "\n".join(c.parts) + "</svg>\n"
        )

    def x(self, time: int) -> float:
        """Return where a time is."""
        s = self.scene
        return LEFT + (time - s.first_ps) * (RIGHT - LEFT) / (s.last_ps - s.first_ps)

    def cut(self, start: int, end: int) -> tuple[float, float] | None:
        """Return where a span lies, None when outside the window."""
        s = self.scene
        if end < s.first_ps or start > s.last_ps:
            return None
        return self.x(max(start, s.first_ps)), self.x(min(end, s.last_ps))

    def title(self) -> None:
        """Say what is shown, how long it took, and where the numbers come from."""
        c, h, journey = self.c, self.first.header, self.first.journey
        what = (h.scenario or h.title) + (f" under {h.mechanism}" if h.mechanism else "")
        self.y = 34
        c.text(EDGE, self.y, f"{what}: {headline(h, journey)}" if journey else what, 18, "ink", "bold")
        c.text(RIGHT, self.y, f"{h.origin}{f', seed {h.seed}' if h.origin == 'simulated' else ''}", 13, "third", "", "end")
        self.y += 22
        if journey is not None:
            c.text(EDGE, self.y, summary(self.first, journey), 13.5, "second")
            self.y += 18
        for sentence in self.first.missing():
            c.text(EDGE, self.y, sentence, 13, "second")
            self.y += 17
        self.y += 4

    def ruler(self) -> None:
        """Draw the axis: µs after the assertion, or after a round time."""
        c, s = self.c, self.scene
        base = s.journey.start if s.journey is not None else base_of(s)
        step = max(tick_ps(s.last_ps - s.first_ps, 9), 1000)
        c.rect(0, self.y, WIDTH, 26, c["sunk"])
        c.text(EDGE, self.y + 17, "µs after it" if s.journey is not None else "µs", 12.5, "second")
        self.top = self.y + 26
        self.ticks: list[float] = []
        time = base - (base - s.first_ps) // step * step
        while time <= s.last_ps:
            x = self.x(time)
            self.ticks.append(x)
            said = f"{(time - base) / PS_PER_US:.3f}".rstrip("0").rstrip(".")
            if x < RIGHT - 8:
                c.text(x, self.y + 17, said.replace("-", "−"), 12.5, "second", "mono", "middle")
            time += step
        self.y += 26

    def lanes(self, places: list[int]) -> None:
        """Draw lanes with their heads, then the paths and the numbers over them."""
        centres: dict[int, float] = {}
        group = ""
        for n in places:
            lane = self.scene.lanes[n]
            if lane.group != group:
                group = lane.group
                self.c.rect(0, self.y, WIDTH, HEAD, self.c["sunk"])
                self.c.text(EDGE, self.y + 15.5, group, 12, "second", "bold")
                self.y += HEAD
            centres[n] = self.lane(lane)
        self.paths(centres)

    def lane(self, lane: Lane) -> float:
        """Draw one lane. Returns: the middle of its bar."""
        c, tall = self.c, HEIGHTS[lane.kind]
        middle = self.y + (tall - 8 - BAR / 2 if lane.kind == "pcpu" else tall / 2)
        for x in self.ticks:
            c.line([(x, self.y), (x, self.y + tall)], c["fine"], 1)
        c.line([(EDGE, self.y + tall), (RIGHT, self.y + tall)], c["fine"], 1)
        name = {"device": "bold", "pid": "bold", "pcpu": "bold", "vcpu": "bold"}.get(lane.kind, "")
        indent = 12 if lane.kind in ("vector", "port") else 0
        c.text(EDGE + indent, middle + 4.5, lane.label, 13, "ink", name)
        if lane.detail and length(lane.label, 13, name) + length(lane.detail, 13) + indent + 6 < LEFT - EDGE - 4:
            c.text(EDGE + indent + 6 + length(lane.label, 13, name), middle + 4.5, lane.detail, 13, "third")
        self.y += tall
        _DRAW[lane.kind](self, lane, middle)
        return middle

    def device(self, lane: Lane, y: float) -> None:
        """Draw assertions."""
        for e in self.scene.events:
            if e.kind == Kind.SOURCE_ASSERT and e.a in lane.members:
                self.c.line([(self.x(e.time_ps), y - 9), (self.x(e.time_ps), y + 9)], self.c["second"], 2)

    def irte(self, lane: Lane, y: float) -> None:
        """Draw translations."""
        for e in self.scene.events:
            if e.kind == Kind.MSI_ROUTE:
                self.c.line([(self.x(e.time_ps), y - 6), (self.x(e.time_ps), y + 6)], self.c["third"], 1.5)

    def pid(self, lane: Lane, y: float) -> None:
        """Draw ON as a box as long as it is 1."""
        for s in self.scene.spans.on.get(lane.number, []):
            cut = self.cut(s.start, s.end)
            if cut is not None:
                self.c.frame(cut[0], y - 9, cut[1] - cut[0], 18, self.c["ink"])
                if cut[1] - cut[0] > 46:
                    self.c.text(cut[1] - 8, y + 4.5, "ON", 12, "ink", "bold", "end")

    def pcpu(self, lane: Lane, y: float) -> None:
        """Draw whose code runs, exits with their signs above, and work of the hardware that is no exit."""
        c, top = self.c, y - BAR / 2
        badges = self.badges_at(lane)
        for s in self.scene.spans.owners.get(lane.number, []):
            cut = self.cut(s.start, s.end)
            if cut is not None and cut[1] > cut[0]:
                self.owner(s, cut, top, badges)
        for mark in self.scene.spans.processing:
            cut = self.cut(mark.start, mark.end)
            if mark.pcpu == lane.number and cut is not None:
                c.rect(cut[0], top - 1, cut[1] - cut[0], 5, c["ink"])
        inside = [e for e in self.scene.spans.exits if e.pcpu == lane.number]
        inside = [e for e in inside if self.scene.first_ps <= e.start <= self.scene.last_ps]
        for n, e in enumerate(inside):
            x = self.x(e.start)
            after = self.x(inside[n + 1].start) - 8 if n + 1 < len(inside) else RIGHT
            self.exit(e, x, top - 11, after)

    def exit(self, e: ExitSpan, x: float, y: float, after: float) -> None:
        """Draw an exit's sign, and its name and duration as far as they fit; the name goes first."""
        c = self.c
        c.glyph(reason_class(e.reason), x, y)
        name, lasted = reason_name(self.scene.header, e.reason), show_short(e.end - e.start)
        for said, style in ((f"{name}  {lasted}", ""), (lasted, "")):
            if x + 9 + length(said, 12, style) < after:
                c.text(x + 9, y + 4, said, 12, "ink", style, "start", True)
                return

    def owner(self, s: OwnerSpan, cut: tuple[float, float], top: float, badges: list[float]) -> None:
        """Draw one span of a pCPU."""
        c, (x, end) = self.c, cut
        if s.owner == Owner.IDLE:
            c.line([(x, top + BAR - 1), (end, top + BAR - 1)], c["third"], 1.5, 'stroke-dasharray="1.5 4"')
            self.inside("idle", x, end, top, "third", badges)
            return
        kind = reason_class(s.reason) if s.owner == Owner.XEN and s.reason >= 0 else -1
        name = {Owner.GUEST: "guest", Owner.DOM0: "dom0"}.get(s.owner, "xen")
        fill = "url(#dom0)" if s.owner == Owner.DOM0 else c[f"reason-{kind}"] if kind >= 0 else c[name]
        c.rect(x, top, end - x, BAR, fill)
        if kind < 0:
            c.rect(x, top + BAR - 2, end - x, 2, c[f"{name}-edge"])
        host = host_name(self.scene.header)
        said = vcpu_name(self.scene.header, s.vcpu) if s.owner != Owner.XEN and s.vcpu >= 0 else host
        colour = f"{name}-text"
        if kind >= 0:
            colour = f"on-reason-{kind}" if kind in (1, 5) else "on-reason"
            said = self.cause(s)
        self.inside(said, x, end, top, colour, badges)

    def cause(self, s: OwnerSpan) -> str:
        """Say in a word what an exit is for."""
        host = host_name(self.scene.header)
        if s.reason == Exit.EXTERNAL_INTERRUPT:
            argument = next((e.argument for e in self.scene.spans.exits if e.start == s.start), -1)
            names = [n for n, v in enumerate(self.scene.header.source_host_vector) if v == argument]
            who = source_name(self.scene.header, names[0]).split(".")[0] if names else ""
            return f"{host}: 0x{argument:02x} {who}".strip() if argument >= 0 else host
        return host

    def inside(self, said: str, x: float, end: float, top: float, colour: str, badges: list[float]) -> None:
        """Write a word into a bar, in its first part free of numbers that is long enough."""
        edges = [x, *(b for b in sorted(badges) if x - 12 < b < end + 12), end]
        for n in range(len(edges) - 1):
            low = edges[n] + (14 if n else 8)
            high = edges[n + 1] - (14 if n + 2 < len(edges) else 6)
            if length(said, 12) < high - low:
                self.c.text(low, top + BAR / 2 + 4.5, said, 12, colour)
                return

    def vcpu(self, lane: Lane, y: float) -> None:
        """Draw what a vCPU does."""
        c, badges = self.c, self.badges_at(lane)
        for s in self.scene.spans.states.get(lane.number, []):
            cut = self.cut(s.start, s.end)
            if cut is None or s.state >= State.OFFLINE:
                continue
            x, end = cut
            dom0 = lane.detail == "dom0"
            if s.state == State.GUEST:
                c.rect(x, y - 8, end - x, 16, "url(#dom0)" if dom0 else c["guest"])
                self.inside("running", x, end, y - BAR / 2, "dom0-text" if dom0 else "guest-text", badges)
            elif s.state == State.ROOT:
                c.line([(x, y), (end, y)], c["second"], 1.5)
            elif s.state == State.RUNNABLE:
                c.frame(x, y - 8, end - x, 16, c["third"], 'stroke-dasharray="4 3"')
                self.inside("runnable", x, end, y - BAR / 2, "second", badges)
            else:
                c.line([(x, y + 7), (end, y + 7)], c["third"], 1.5, 'stroke-dasharray="1.5 4"')
                self.inside("blocked", x, end, y - BAR / 2, "third", badges)

    def vector(self, lane: Lane, y: float) -> None:
        """Draw where a guest vector is: pending, requested, in service, in service while its vCPU does not run."""
        c, badges = self.c, self.badges_at(lane)
        states = self.scene.spans.states.get(lane.number, [])
        for span in self.scene.spans.vectors.get((lane.number, lane.vector), []):
            for start, end_time, phase in pieces(span, states):
                cut = self.cut(start, end_time)
                if cut is None:
                    continue
                x, wide = cut[0], cut[1] - cut[0]
                if phase == Phase.SERVICE:
                    c.rect(x, y - 8, wide, 16, c["ink"])
                    self.inside("in service", x, cut[1], y - BAR / 2, "paper", badges)
                elif phase == 3:
                    c.rect(x, y - 8, wide, 16, "url(#paused)")
                    c.frame(x, y - 8, wide, 16, c["ink"])
                    if wide > 110:
                        c.rect(x + wide / 2 - 42, y - 6.5, 84, 13, c["paper"])
                        c.text(x + wide / 2, y + 4.5, "not running", 12, "ink", "", "middle")
                else:
                    dots = 'stroke-dasharray="2 3"' if phase == Phase.POSTED else ""
                    c.frame(x, y - 8, wide, 16, c["ink"], dots)

    def port(self, lane: Lane, y: float) -> None:
        """Draw an event channel's pending bit."""
        for s in self.scene.spans.ports.get((lane.number, lane.vector), []):
            cut = self.cut(s.start, s.end)
            if cut is not None:
                self.c.frame(cut[0], y - 8, cut[1] - cut[0], 16, self.c["ink"], 'stroke-dasharray="2 3"')
                self.inside("pending", cut[0], cut[1], y - BAR / 2, "second", self.badges_at(lane))

    def badges_at(self, lane: Lane) -> list[float]:
        """Return where the numbers on a lane stand."""
        if self.scene is not self.first:
            return []
        return [self.x(card.time) for card in self.cards if self.scene.lanes[place_of(self.scene, card.rows[0])] is lane]

    def paths(self, centres: dict[int, float]) -> None:
        """Draw the dashed ways of what touches the interrupt, then its own way with its numbers."""
        for e in self.scene.spans.exits:
            if self.first.journey is not None and e.start in self.first.journey.touching:
                self.touching(e, centres)
        points: list[tuple[float, float]] = []
        spots: dict[int, list[tuple[float, int]]] = {}
        for number, card in enumerate(self.cards, 1):
            place = place_of(self.scene, card.rows[0])
            if place in centres:
                points.append((self.x(card.time), centres[place]))
                spots.setdefault(place, []).append((self.x(card.time), number))
        c = self.c
        if len(points) > 1:
            c.line(points, c["paper"], 5.5, 'stroke-linejoin="round" opacity="0.8"')
            c.line(points, c["ink"], 2.2, 'stroke-linejoin="round"')
        for place, found in spots.items():
            self.numbers(found, centres[place], self.scene.lanes[place].kind)

    def numbers(self, found: list[tuple[float, int]], y: float, kind: str) -> None:
        """Draw the numbers on one lane; those that would touch become one badge."""
        heaps: list[list[tuple[float, int]]] = []
        for spot in found:
            if heaps and spot[0] - heaps[-1][-1][0] < 20:
                heaps[-1].append(spot)
            else:
                heaps.append([spot])
        for n, heap in enumerate(heaps):
            x = sum(spot[0] for spot in heap) / len(heap)
            low, high = heap[0][1], heap[-1][1]
            run = high - low + 1 == len(heap)
            said = str(low) if low == high else f"{low}–{high}" if run else ",".join(str(spot[1]) for spot in heap)
            self.c.badge(x, y, said)
            free = (heaps[n + 1][0][0] if n + 1 < len(heaps) else RIGHT) - x - 16
            words = self.cards[low - 1].words.title
            if kind in ("device", "irte") and length(words, 12.5) < free:
                self.c.text(x + 15, y + 4.5, words, 12.5, "ink", "", "start", True)

    def touching(self, e: ExitSpan, centres: dict[int, float]) -> None:
        """Draw the way of another device's interrupt to the exit that it causes."""
        s = self.scene
        known = [n for n, v in enumerate(s.header.source_host_vector) if v == e.argument and v >= 0]
        if e.reason != Exit.EXTERNAL_INTERRUPT or not known:
            return
        rows = [x for x in s.events if x.time_ps <= e.start]
        asserts = [x for x in rows if x.kind == Kind.SOURCE_ASSERT and x.a in known]
        routes = [x for x in rows if x.kind == Kind.MSI_ROUTE and x.b == e.argument]
        if not asserts:
            return
        points = []
        for n, lane in enumerate(s.lanes):
            if n not in centres:
                continue
            if lane.kind == "device" and asserts[-1].a in lane.members:
                points.append((self.x(asserts[-1].time_ps), centres[n]))
                said = f"{source_name(s.header, asserts[-1].a)} asserts"
                self.c.text(points[-1][0] + 9, centres[n] + 4.5, said, 12.5, "second", "", "start", True)
            elif lane.kind == "irte" and routes and points:
                points.append((self.x(routes[-1].time_ps), centres[n]))
                said = f"host vector 0x{e.argument:02x}"
                self.c.text(points[-1][0] + 9, centres[n] + 4.5, said, 12.5, "second", "", "start", True)
            elif lane.kind == "pcpu" and lane.number == e.pcpu:
                points.append((self.x(e.start), centres[n] - BAR / 2 - 18))
        colour = self.c[f"reason-{reason_class(e.reason)}"]
        self.c.line(points, colour, 1.6, 'stroke-dasharray="5 3.5"')

    def compare(self, other: Scene) -> None:
        """Draw the pCPU and the vector of another scene's interrupt, with what it took."""
        journey = other.journey
        if journey is None:
            return
        c, h = self.c, other.header
        self.scene = other
        c.rect(0, self.y, WIDTH, HEAD, c["sunk"])
        c.text(EDGE, self.y + 15.5, h.mechanism or h.title, 12.5, "ink", "bold")
        said = f"{headline(h, journey)}: {summary(other, journey)}"
        c.text(LEFT, self.y + 15.5, said, 12.5, "second")
        self.y += HEAD
        pcpus = {step.pcpu for step in journey.steps if step.pcpu >= 0 and step.vcpu == journey.vcpu}
        for lane in other.lanes:
            mine = lane.kind in ("port", "vector") and lane.number == journey.vcpu
            if mine or (lane.kind == "pcpu" and lane.number in pcpus):
                self.lane(lane)
        self.scene = self.first

    def aside(self, scene: Scene) -> None:
        """Mark the assertion through all lanes, and name what was left out."""
        if scene.journey is not None:
            x = self.x(scene.journey.start)
            mark = f'<polyline points="{x:.1f},{self.top:.1f} {x:.1f},{self.y:.1f}" fill="none" '
            mark += f'stroke="{self.c["third"]}" stroke-width="1.2" stroke-dasharray="1.5 4"/>'
            self.c.parts.insert(0, mark)
        kept = set(shown(scene))
        quiet = [lane.label for n, lane in enumerate(scene.lanes) if n not in kept and lane.kind in ("pcpu", "vcpu")]
        if quiet:
            self.y += 18
            self.c.text(LEFT, self.y, f"nothing happens here on {', '.join(quiet)}", 12, "third")
        self.y += 8

    def legend(self, scenes: list[Scene]) -> None:
        """Name the signs that are used."""
        draw = _Legend(self.c, self.y + 14)
        for s in scenes:
            draw.of(s)
        self.y = draw.y + 16

    def steps(self) -> None:
        """List the steps: number, time, what, detail, time since the step before, what was charged, who says so."""
        if not self.cards or self.first.journey is None:
            return
        c, start = self.c, self.first.journey.start
        columns = (EDGE + 34, EDGE + 106, EDGE + 128, EDGE + 330, EDGE + 606, EDGE + 640)
        heads = ("", "µs", "step", "", "since", "charged")
        self.y += 10
        c.line([(EDGE, self.y - 10), (RIGHT, self.y - 10)], c["rule"], 1)
        for x, said in zip(columns, heads, strict=True):
            c.text(x, self.y + 10, said, 12, "third", "", "end" if said in ("µs", "since") else "start")
        self.y += 16
        before = start
        for number, card in enumerate(self.cards, 1):
            y = self.y + 17
            c.line([(EDGE, self.y), (RIGHT, self.y)], c["fine"], 1)
            c.badge(EDGE + 10, y - 4.5, str(number))
            c.text(columns[1], y, f"{(card.time - start) / PS_PER_US:.3f}", 12.5, "ink", "mono", "end")
            c.text(columns[2], y, card.words.title, 13, "ink", "bold")
            c.text(columns[3], y, card.words.detail, 13, "second")
            if number > 1:
                c.text(columns[4], y, f"+{show_short(card.time - before)}", 12.5, "second", "mono", "end")
            c.text(columns[5], y, origins(card), 12.5, "second", "mono")
            before = card.time
            self.y += 24


class _Legend:
    """A legend under way: each sign once, in lines."""

    def __init__(self, canvas: Canvas, y: float) -> None:
        self.c = canvas
        self.x: float = EDGE
        self.y = y
        self.said: set[str] = set()

    def item(self, said: str, draw: Callable[[float, float], None]) -> None:
        """Add one sign."""
        if said in self.said:
            return
        self.said.add(said)
        wide = 24 + length(said, 12.5) + 16
        if self.x + wide > RIGHT:
            self.x, self.y = EDGE, self.y + 22
        draw(self.x, self.y)
        self.c.text(self.x + 24, self.y, said, 12.5, "second")
        self.x += wide

    def of(self, s: Scene) -> None:
        """Add the signs of one scene."""
        c, low, high = self.c, s.first_ps, s.last_ps
        owners = {x.owner for found in s.spans.owners.values() for x in found if x.end > low and x.start < high}
        if Owner.GUEST in owners:
            self.item("guest", lambda x, y: c.rect(x, y - 10, 18, 12, c["guest"]))
        if Owner.DOM0 in owners:
            self.item("dom0", lambda x, y: c.rect(x, y - 10, 18, 12, "url(#dom0)"))
        if Owner.XEN in owners:
            self.item(f"{host_name(s.header)}, no exit", lambda x, y: c.rect(x, y - 10, 18, 12, c["xen"]))
        reasons = {e.reason for e in s.spans.exits if low <= e.start <= high}
        for reason in sorted(reasons, key=lambda r: (reason_class(r), r)):
            self.item(reason_name(s.header, reason), lambda x, y, k=reason_class(reason): c.glyph(k, x + 9, y - 4))
        used = {
            phase
            for (vcpu, _), found in s.spans.vectors.items()
            for x in found if x.end >= low and x.start <= high
            for _, _, phase in pieces(x, s.spans.states.get(vcpu, []))
        }  # fmt: skip
        dots = 'stroke-dasharray="2 3"'
        if Phase.POSTED in used or any(x.end >= low and x.start <= high for found in s.spans.ports.values() for x in found):
            self.item("pending: PIR or port", lambda x, y: c.frame(x, y - 10, 18, 12, c["ink"], dots))
        if Phase.REQUESTED in used:
            self.item("VIRR", lambda x, y: c.frame(x, y - 10, 18, 12, c["ink"]))
        if Phase.SERVICE in used:
            self.item("in service", lambda x, y: c.rect(x, y - 10, 18, 12, c["ink"]))
        if 3 in used:
            self.item("in service, not running", lambda x, y: c.rect(x, y - 10, 18, 12, "url(#paused)"))


def summary(scene: Scene, journey: Journey) -> str:
    """Say what an interrupt took, in one line."""
    begins = "assertion to handler" if journey.source >= 0 else "first seen to delivery"
    took = show_time(journey.latency) if journey.latency >= 0 else "not reached"
    n, m = len(journey.exits), len(journey.touching)
    return f"{begins} {took}; exits of its own {n}, of others meanwhile {m}; {show_time(journey.start)} into the record"


_DRAW: Final[dict[str, Callable[[_Picture, Lane, float], None]]] = {
    "device": _Picture.device, "irte": _Picture.irte, "pid": _Picture.pid, "pcpu": _Picture.pcpu,
    "vcpu": _Picture.vcpu, "vector": _Picture.vector, "port": _Picture.port,
}  # fmt: skip
