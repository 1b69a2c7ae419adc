"""The legend of a still picture: the signs that it uses, and no other."""

from collections.abc import Callable
from functools import partial

from exitless.study.spans import Phase
from exitless.view.classes import pieces, reason_class
from exitless.view.marks import Canvas, length
from exitless.view.names import host_name, others_name, reason_name
from exitless.view.scene import Scene
from exitless.view.svg_lanes import EDGE, RIGHT
from exitless.vocab.kinds import Owner


class Legend:
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

    def sign(self, kind: int, x: float, y: float) -> None:
        """Draw the sign of a class of exit reasons."""
        self.c.glyph(kind, x + 9, y - 4)

    def of(self, s: Scene) -> None:
        """Add the signs of one scene."""
        c, low, high = self.c, s.first_ps, s.last_ps
        bars = [x for found in s.spans.owners.values() for x in found if x.end > low and x.start < high]
        owners = {x.owner for x in bars if x.owner != Owner.XEN or x.reason < 0}
        if Owner.GUEST in owners:
            self.item("guest", lambda x, y: c.rect(x, y - 10, 18, 12, c["guest"]))
        if Owner.DOM0 in owners:
            self.item(others_name(s.header), lambda x, y: c.rect(x, y - 10, 18, 12, "url(#dom0)"))
        if Owner.XEN in owners:
            self.item(f"{host_name(s.header)}, no exit", lambda x, y: c.rect(x, y - 10, 18, 12, c["xen"]))
        reasons = {e.reason for e in s.spans.exits if low <= e.start <= high}
        reasons |= {x.reason for x in bars if x.owner == Owner.XEN and x.reason >= 0}
        for reason in sorted(reasons, key=lambda r: (reason_class(s.header, r), r)):
            self.item(reason_name(s.header, reason), partial(self.sign, reason_class(s.header, reason)))
        used = {
            phase
            for (vcpu, _), found in s.spans.vectors.items()
            for x in found if x.end >= low and x.start <= high
            for _, _, phase in pieces(x, s.spans.states.get(vcpu, []))
        }  # fmt: skip
        dots = 'stroke-dasharray="2 3"'
        if Phase.POSTED in used or any(
            x.end >= low and x.start <= high for found in s.spans.ports.values() for x in found
        ):
            self.item("pending: PIR or port", lambda x, y: c.frame(x, y - 10, 18, 12, c["ink"], dots))
        if Phase.REQUESTED in used:
            self.item("VIRR", lambda x, y: c.frame(x, y - 10, 18, 12, c["ink"]))
        if Phase.SERVICE in used:
            self.item("in service", lambda x, y: c.rect(x, y - 10, 18, 12, c["ink"]))
        if any(x.end >= low and x.start <= high for found in s.spans.on.values() for x in found):
            self.item("ON = 1, on PID", lambda x, y: c.frame(x, y - 10, 18, 12, c["ink"]))
        if any(low <= m.start <= high for m in s.spans.processing):
            self.item("posted-interrupt processing", lambda x, y: c.rect(x, y - 7, 18, 5, c["ink"]))
        if 3 in used:
            self.item("in service, not running", lambda x, y: c.rect(x, y - 10, 18, 12, "url(#paused)"))
