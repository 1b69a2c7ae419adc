"""The lanes of a still picture, and over them the paths: what was selected, and what touches it."""

from collections.abc import Callable
from typing import Final

from exitless.study.spans import ExitSpan, OwnerSpan, Phase, State
from exitless.view.cards import Card
from exitless.view.classes import pieces, reason_class
from exitless.view.lanes import Lane
from exitless.view.marks import Canvas, badges_of, length
from exitless.view.names import host_name, is_model, owner_name, reason_name, source_name, vcpu_name
from exitless.view.scene import Scene, place_of
from exitless.view.steps import show_short
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner

WIDTH: Final = 1000
EDGE: Final = 20
LEFT: Final = 156
RIGHT: Final = WIDTH - EDGE
HEIGHTS: Final = {"device": 32, "irte": 30, "pid": 32, "pcpu": 64, "vcpu": 32, "vector": 32, "port": 32}
BAR: Final = 26


class Lanes:
    """Lanes under way: ``y`` is where the next one begins, ``first`` the scene whose interrupt is selected."""

    def __init__(self, scene: Scene, theme: str) -> None:
        self.c = Canvas(theme)
        self.scene = scene
        self.first = scene
        self.cards: list[Card] = scene.cards()
        self.y = 0.0
        self.ticks: list[float] = []

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
        after = EDGE + indent + length(lane.label, 13, name) + 7
        if lane.detail and after + length(lane.detail, 13) < LEFT - 4:
            c.text(after, middle + 4.5, lane.detail, 13, "third")
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
        c.glyph(reason_class(self.scene.header, e.reason), x, y)
        name, lasted = reason_name(self.scene.header, e.reason), show_short(e.end - e.start)
        for said in (name,) if is_model(self.scene.header) else (f"{name}  {lasted}", lasted):
            if x + 9 + length(said, 12) < after:
                c.text(x + 9, y + 4, said, 12, "ink", "", "start", True)
                return

    def owner(self, s: OwnerSpan, cut: tuple[float, float], top: float, badges: list[float]) -> None:
        """Draw one span of a pCPU."""
        c, (x, end) = self.c, cut
        if s.owner == Owner.IDLE:
            c.line([(x, top + BAR - 1), (end, top + BAR - 1)], c["third"], 1.5, 'stroke-dasharray="1.5 4"')
            self.inside("idle", x, end, top, "third", badges)
            return
        kind = reason_class(self.scene.header, s.reason) if s.owner == Owner.XEN and s.reason >= 0 else -1
        name = {Owner.GUEST: "guest", Owner.DOM0: "dom0"}.get(s.owner, "xen")
        fill = "url(#dom0)" if s.owner == Owner.DOM0 else c[f"reason-{kind}"] if kind >= 0 else c[name]
        c.rect(x, top, end - x, BAR, fill)
        if kind < 0:
            c.rect(x, top + BAR - 2, end - x, 2, c[f"{name}-edge"])
        said = vcpu_name(self.scene.header, s.vcpu)
        if s.owner == Owner.XEN or s.vcpu < 0:
            said = owner_name(self.scene.header, s.owner)
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
            low = edges[n] + (22 if n else 8)
            high = edges[n + 1] - (22 if n + 2 < len(edges) else 6)
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
        return [
            self.x(card.time) for card in self.cards if self.scene.lanes[place_of(self.scene, card.rows[0])] is lane
        ]

    def paths(self, centres: dict[int, float]) -> None:
        """Draw the dashed ways of what touches the interrupt, then its own way with its numbers."""
        for e in self.scene.spans.exits:
            if self.first.journey is not None and e.start in self.first.journey.touching:
                self.touching(e, centres)
        runs: list[list[tuple[float, float]]] = [[]]
        spots: dict[int, list[tuple[float, int]]] = {}
        for number, card in enumerate(self.cards, 1):
            place = place_of(self.scene, card.rows[0])
            if place in centres:
                point = (self.x(card.time), centres[place])
                if runs[-1] and runs[-1][-1][1] == point[1]:
                    runs.append([])
                runs[-1].append(point)
                spots.setdefault(place, []).append((self.x(card.time), number))
        c = self.c
        for points in runs:
            if len(points) > 1:
                c.line(points, c["paper"], 5.5, 'stroke-linejoin="round" opacity="0.8"')
                c.line(points, c["ink"], 2.2, 'stroke-linejoin="round"')
        for place, found in spots.items():
            self.numbers(found, centres[place], self.scene.lanes[place])

    def numbers(self, found: list[tuple[float, int]], y: float, lane: Lane) -> None:
        """Draw the numbers on one lane; those that would touch become one badge."""
        kind = lane.kind
        wanted = Kind.MSI_ROUTE if kind == "irte" else Kind.SOURCE_ASSERT
        rows = [e for e in self.scene.events if e.kind == wanted and (kind == "irte" or e.a in lane.members)]
        marks = [self.x(e.time_ps) for e in rows]
        badges = badges_of(found)
        for n, (x, said, first) in enumerate(badges):
            self.c.badge(x, y, said)
            others = [mark for mark in marks if mark > x + 1]
            end = min([*others, badges[n + 1][0] if n + 1 < len(badges) else RIGHT]) - 14
            words = self.cards[first - 1].words.title
            for said in (words, words.split()[-1]):
                if kind in ("device", "irte") and x + 15 + length(said, 12.5) < end:
                    self.c.text(x + 15, y + 4.5, said, 12.5, "ink", "", "start", True)
                    break

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
        colour = self.c[f"reason-{reason_class(self.scene.header, e.reason)}"]
        self.c.line(points, colour, 1.6, 'stroke-dasharray="5 3.5"')


_DRAW: Final[dict[str, Callable[[Lanes, Lane, float], None]]] = {
    "device": Lanes.device, "irte": Lanes.irte, "pid": Lanes.pid, "pcpu": Lanes.pcpu,
    "vcpu": Lanes.vcpu, "vector": Lanes.vector, "port": Lanes.port,
}  # fmt: skip
