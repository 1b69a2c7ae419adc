"""The marks a still picture is made of: colours and sizes, text, bars, the glyphs of exit reasons."""

import re
from typing import Final
from xml.sax.saxutils import escape

from exitless.view.page import asset

SANS: Final = "Inter, system-ui, -apple-system, 'Segoe UI', sans-serif"
MONO: Final = "'JetBrains Mono', ui-monospace, 'DejaVu Sans Mono', monospace"
MONO_WIDE: Final = 0.61
BOLD_WIDE: Final = 1.06
NARROW: Final = frozenset("ijlI.,:;'|!()[] tfr1-")
BROAD: Final = frozenset("mwMWQOGDµ@%")


def palette(theme: str = "light") -> dict[str, str]:
    """Return the colours of a theme by name, as the page's stylesheet has them."""
    css = asset("page.css")
    out: dict[str, str] = {}
    blocks = [r":root\s*\{(.*?)\}"]
    if theme == "dark":
        blocks.append(r':root\[data-theme="dark"\]\s*\{(.*?)\}')
    for pattern in blocks:
        found = re.search(pattern, css, re.DOTALL)
        if found:
            out.update(re.findall(r"--([\w-]+):\s*(#[0-9A-Fa-f]{6})", found[1]))
    return out


def badge_width(said: str) -> float:
    """Return how wide a badge is, in pixels; figures are all as wide as each other."""
    return max(18.0, 11 * 0.65 * BOLD_WIDE * len(said) + 9)


def badges_of(found: list[tuple[float, int]]) -> list[tuple[float, str, int]]:
    """Return where the badges of one lane stand, what they say and their first step; those that would touch are one."""
    heaps: list[list[tuple[float, int]]] = []
    for spot in found:
        heaps.append([spot])
        while len(heaps) > 1:
            (x, said, _), (before, last, _) = _badge_of(heaps[-1]), _badge_of(heaps[-2])
            if x - before >= (badge_width(said) + badge_width(last)) / 2 + 1:
                break
            last_heap = heaps.pop()
            heaps[-1] += last_heap
    return [_badge_of(heap) for heap in heaps]


def _badge_of(heap: list[tuple[float, int]]) -> tuple[float, str, int]:
    low, high = heap[0][1], heap[-1][1]
    run = high - low + 1 == len(heap)
    said = str(low) if low == high else f"{low}–{high}" if run else ",".join(str(spot[1]) for spot in heap)
    return sum(spot[0] for spot in heap) / len(heap), said, low


def length(text: str, size: float, style: str = "") -> float:
    """Return how wide a text is at most, about."""
    if style == "mono":
        return len(text) * size * MONO_WIDE
    total = 0.0
    for sign in text:
        if sign in NARROW:
            total += 0.36
        elif sign in BROAD:
            total += 0.86
        else:
            total += 0.69 if sign.isupper() or sign == "_" else 0.61
    return total * size * (BOLD_WIDE if style == "bold" else 1)


class Canvas:
    """Marks in the order in which they are drawn."""

    def __init__(self, theme: str) -> None:
        self.colours = palette(theme)
        self.parts: list[str] = []

    def __getitem__(self, name: str) -> str:
        return self.colours[name]

    def rect(self, x: float, y: float, w: float, h: float, fill: str, extra: str = "") -> None:
        """Draw a rectangle; one too narrow to see is drawn one unit wide."""
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 1):.1f}" height="{h:.1f}" fill="{fill}"{_more(extra)}/>'
        )

    def frame(self, x: float, y: float, w: float, h: float, colour: str, extra: str = "") -> None:
        """Draw the outline of a rectangle, inside its edges."""
        self.rect(x + 0.75, y + 0.75, max(w - 1.5, 1), h - 1.5, "none", f'stroke="{colour}" stroke-width="1.5" {extra}')

    def line(self, points: list[tuple[float, float]], colour: str, width: float, extra: str = "") -> None:
        """Draw a line through points."""
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="{width}"{_more(extra)}/>'
        )

    def text(self, x: float, y: float, said: str, size: float = 13, colour: str = "ink", style: str = "",
             anchor: str = "start", halo: bool = False) -> None:  # fmt: skip
        """Write a text, its baseline at ``y``; with a halo it stays readable on lines."""
        extra = f' text-anchor="{anchor}"' if anchor != "start" else ""
        if style == "mono":
            extra += f' font-family="{MONO}"'
        elif style == "bold":
            extra += ' font-weight="640"'
        if halo:
            extra += f' paint-order="stroke" stroke="{self["paper"]}" stroke-width="4" stroke-linejoin="round"'
        fill = self.colours.get(colour, colour)
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{fill}"{extra}>{escape(said)}</text>'
        )

    def glyph(self, kind: int, x: float, y: float) -> None:
        """Draw the sign of a class of exit reasons, nine units wide around a point."""
        colour = self[f"reason-{kind}"]
        way = {
            0: f"M{x - 5:.1f} {y - 4:.1f}h10l-5 9z", 2: f"M{x - 5:.1f} {y + 4:.1f}h10l-5 -9z",
            3: f"M{x - 4:.1f} {y - 4.5:.1f}h3v9h-3zM{x + 1:.1f} {y - 4.5:.1f}h3v9h-3z",
            4: f"M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
        }  # fmt: skip
        if kind == 1:
            self.rect(x - 4, y - 4, 8, 8, "none", f'stroke="{colour}" stroke-width="2"')
        elif kind == 5:
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>')
        elif kind in way:
            self.parts.append(f'<path d="{way[kind]}" fill="{colour}"/>')
        else:
            self.line([(x - 4, y - 4), (x + 4, y + 4)], colour, 2)
            self.line([(x - 4, y + 4), (x + 4, y - 4)], colour, 2)

    def badge(self, x: float, y: float, said: str) -> None:
        """Draw the number of a step, or of several at one place."""
        wide = badge_width(said)
        self.rect(
            x - wide / 2, y - 9, wide, 18, self["ink"], f'rx="9" stroke="{self["paper"]}" stroke-width="1.5"'
        )  # fmt: skip
        self.text(x, y + 4, said, 11, "paper", "bold", "middle")

    def patterns(self) -> str:
        """Return the hatches: dom0's, and that of a vector in service whose vCPU does not run."""
        paused = f'<rect width="6" height="6" fill="{self["paper"]}"/>'
        paused += f'<rect width="2.4" height="6" fill="{self["ink"]}"/>'
        dom0 = f'<rect width="8" height="8" fill="{self["dom0"]}"/>'
        dom0 += f'<rect width="3" height="8" fill="{self["dom0-hatch"]}"/>'
        return (
            f'<defs><pattern id="dom0" width="8" height="8" patternUnits="userSpaceOnUse" '
            f'patternTransform="rotate(45)">{dom0}</pattern><pattern id="paused" width="6" height="6" '
            f'patternUnits="userSpaceOnUse" patternTransform="rotate(45)">{paused}</pattern></defs>'
        )


def _more(extra: str) -> str:
    return f" {extra.strip()}" if extra.strip() else ""
