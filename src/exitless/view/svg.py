"""A still picture of one interrupt, for papers and pages without scripts: lanes, its path in numbered steps, and those
as a list. Further scenes are compared with the first: their interrupt's pCPU and vector, set to the same moment.
"""

from typing import Final

from exitless.bits.units import PS_PER_US, show_time
from exitless.study.ways import Journey
from exitless.view.marks import SANS, length
from exitless.view.names import headline, is_model
from exitless.view.scene import Scene, alike, narrow, place_of
from exitless.view.steps import base_of, origins, show_short, wrapped
from exitless.view.svg_lanes import EDGE, LEFT, RIGHT, WIDTH, Lanes
from exitless.view.svg_legend import Legend
from exitless.view.timeline import tick_ps
from exitless.vocab.kinds import Kind

HEAD: Final = 22


def svg(scenes: list[Scene], theme: str = "light") -> str:
    """Return a picture as SVG text; the scenes may be wider than what is drawn of them."""
    scenes = aligned(scenes)
    picture = _Picture(scenes[0], theme)
    picture.title()
    picture.ruler()
    picture.lanes(shown(scenes[0]))
    picture.quiet(scenes[0])
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
    if model is None or is_model(first.header):
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
            keep = (
                keep or len([s for s in scene.spans.owners.get(lane.number, []) if s.end > low and s.start < high]) > 1
            )
        elif lane.kind == "vcpu":
            states = [s for s in scene.spans.states.get(lane.number, []) if s.end > low and s.start < high]
            keep = keep or len(states) > 1 or (scene.journey is not None and lane.number == scene.journey.vcpu)
        if keep:
            out.append(n)
    return out


class _Picture(Lanes):
    """A picture under way; ``top`` is where its lanes begin."""

    top = 0.0

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

    def title(self) -> None:
        """Say what is shown, how long it took, and where the numbers come from."""
        c, h, journey = self.c, self.first.header, self.first.journey
        what = (h.scenario or h.title) + (f" under {h.mechanism}" if h.mechanism else "")
        if is_model(h):
            journey, what = None, h.title + (f" ({h.mechanism})" if h.mechanism else "")
        origin = f"{h.origin}{f', seed {h.seed}' if h.origin == 'simulated' else ''}"
        lines = wrapped(f"{what}: {headline(h, journey)}" if journey else what, 80)
        self.y = 12
        for line in lines:
            self.y += 22
            c.text(EDGE, self.y, line, 18, "ink", "bold")
        beside = length(lines[-1], 18, "bold") + length(origin, 13) + 30 < RIGHT - EDGE
        self.y += 0 if beside else 19
        c.text(RIGHT if beside else EDGE, self.y, origin, 13, "third", "", "end" if beside else "start")
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
        model = is_model(s.header)
        base = s.journey.start if s.journey is not None and not model else base_of(s)
        step = max(tick_ps(s.last_ps - s.first_ps, 9), PS_PER_US if model else 1000)
        c.rect(0, self.y, WIDTH, 25, c["sunk"])
        c.text(EDGE, self.y + 17, "step" if model else "µs from step 1" if s.journey else "µs", 12.5, "second")
        self.top = self.y + 26
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
        self.bracket()

    def bracket(self) -> None:
        """Draw how long it took to the handler's first instruction."""
        journey = self.scene.journey
        if journey is None or journey.latency < 0:
            return
        c, y = self.c, self.y + 11
        x, end = self.x(journey.start), self.x(journey.steps[journey.handled].time)
        c.line([(x, y - 4), (x, y + 4)], c["ink"], 1.5)
        c.line([(x, y), (end, y)], c["ink"], 1.5)
        c.line([(end, y - 4), (end, y + 4)], c["ink"], 1.5)
        until = "to the handler's first instruction" if journey.source >= 0 else "to delivery"
        said = f"{show_time(journey.latency)} {until}"
        if end + 9 + length(said, 12.5, "bold") < RIGHT:
            c.text(end + 9, y + 4.5, said, 12.5, "ink", "bold", "start", True)
        else:
            wide = length(said, 12.5, "bold") + 8
            c.rect(end - 12 - wide, y - 6, wide + 4, 12, c["paper"])
            c.text(end - 12, y + 4.5, said, 12.5, "ink", "bold", "end")
        self.y += 24

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
        self.bracket()
        self.scene = self.first

    def aside(self, scene: Scene) -> None:
        """Mark the first step through all lanes."""
        if scene.journey is not None and not is_model(scene.header):
            x = self.x(scene.journey.start)
            mark = f'<polyline points="{x:.1f},{self.top:.1f} {x:.1f},{self.y:.1f}" fill="none" '
            mark += f'stroke="{self.c["third"]}" stroke-width="1.2" stroke-dasharray="1.5 4"/>'
            self.c.parts.insert(0, mark)
        self.y += 8

    def quiet(self, scene: Scene) -> None:
        """Name the CPUs that were left out."""
        kept = set(shown(scene))
        quiet = [lane.label for n, lane in enumerate(scene.lanes) if n not in kept and lane.kind in ("pcpu", "vcpu")]
        if quiet:
            self.c.text(LEFT, self.y + 13, f"nothing happens here on {', '.join(quiet)}", 12, "third")
            self.y += 22

    def legend(self, scenes: list[Scene]) -> None:
        """Name the signs that are used."""
        draw = Legend(self.c, self.y + 14)
        for s in scenes:
            draw.of(s)
        self.y = draw.y + 16

    def steps(self) -> None:
        """List the steps: number, time, what, detail, time since the step before, what was charged, who says so."""
        if is_model(self.first.header):
            self.model()
            return
        if not self.cards or self.first.journey is None:
            return
        c, start = self.c, self.first.journey.start
        columns = (EDGE + 34, EDGE + 106, EDGE + 128, EDGE + 330, EDGE + 566, EDGE + 590, EDGE + 742)
        heads = ("", "µs", "step", "", "since", "charged", "written in")
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
            if length(card.words.cites, 11.5) < RIGHT - columns[6]:
                c.text(columns[6], y, card.words.cites, 11.5, "third")
            before = card.time
            self.y += 24

    def model(self) -> None:
        """List the steps of a model's run: number, who, what."""
        for number, card in enumerate(self.cards, 1):
            y = self.y + 17
            self.c.line([(EDGE, self.y), (RIGHT, self.y)], self.c["fine"], 1)
            self.c.badge(EDGE + 10, y - 4.5, str(number))
            self.c.text(EDGE + 34, y, card.words.title, 13, "ink", "bold")
            self.c.text(LEFT, y, card.words.detail, 12.5, "second")
            self.y += 24


def summary(scene: Scene, journey: Journey) -> str:
    """Say what an interrupt took, in one line."""
    begins = "assertion to handler" if journey.source >= 0 else "first seen to delivery"
    took = show_time(journey.latency) if journey.latency >= 0 else "not reached"
    n, m = len(journey.exits), len(journey.touching)
    return f"{begins} {took}; exits of its own {n}, of others meanwhile {m}; {show_time(journey.start)} into the record"
