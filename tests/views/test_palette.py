"""The stylesheet's colours: readable as text, visible as graphics, exit reasons distinct to colour-blind eyes."""

import itertools
import re

import pytest

from exitless.view.page import asset

THEMES = ("light", "dark")

# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB.
EYES = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881),
    ),
}  # fmt: skip

TEXT = [
    *itertools.product(("ink", "second", "third"), ("paper", "panel", "sunk")),
    ("guest-text", "guest"), ("dom0-text", "dom0"), ("dom0-text", "dom0-hatch"), ("xen-text", "xen"),
    ("chip-text", "chip"), ("paper", "ink"), ("ink", "changed"), ("second", "changed"),
    ("on-reason", "reason-0"), ("on-reason-1", "reason-1"), ("on-reason", "reason-2"), ("on-reason", "reason-3"),
    ("on-reason", "reason-4"), ("on-reason-5", "reason-5"), ("paper", "reason-6"),
]  # fmt: skip

GRAPHICS = [
    *((f"reason-{n}", "paper") for n in range(7)),
    ("guest-edge", "paper"), ("dom0-edge", "paper"), ("xen-edge", "paper"), ("changed-edge", "paper"),
    ("changed-edge", "changed"), ("focus", "paper"), ("focus", "panel"), ("focus", "sunk"),
]  # fmt: skip


def palette(theme: str) -> dict[str, str]:
    """Read a theme's colours; what dark does not name is as in light."""
    light, dark = re.findall(r":root[^{]*\{(.*?)\}", asset("page.css"), re.DOTALL)[:2]
    out = dict(re.findall(r"--([\w-]+): #([0-9A-F]{6})", light))
    if theme == "dark":
        out |= dict(re.findall(r"--([\w-]+): #([0-9A-F]{6})", dark))
    return out


def linear(colour: str) -> list[float]:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2."""
    a, b = sorted(sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear(x), strict=True)) for x in (one, other))
    return (b + 0.05) / (a + 0.05)


def oklab(rgb: list[float]) -> list[float]:
    rows = (
        (0.4122214708, 0.5363325363, 0.0514459929), (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005),
    )  # fmt: skip
    cones = [max(0.0, sum(w * c for w, c in zip(row, rgb, strict=True))) ** (1 / 3) for row in rows]
    back = (
        (0.2104542553, 0.7936177850, -0.0040720468), (1.9779984951, -2.4285922050, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.8086757660),
    )  # fmt: skip
    return [sum(w * c for w, c in zip(row, cones, strict=True)) for row in back]


def distance(one: str, other: str, eye: str) -> float:
    """The distance in OKLab times 100, as an eye sees the two."""
    seen = []
    for colour in (one, other):
        rgb = linear(colour)
        seen.append(oklab([min(1.0, max(0.0, sum(w * c for w, c in zip(row, rgb, strict=True)))) for row in EYES[eye]]))
    return 100 * sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5


@pytest.mark.parametrize("theme", THEMES)
def test_text_has_a_contrast_of_4_5(theme: str) -> None:
    colours = palette(theme)
    low = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in TEXT}
    assert not {pair: value for pair, value in low.items() if value < 4.5}


@pytest.mark.parametrize("theme", THEMES)
def test_graphics_have_a_contrast_of_3(theme: str) -> None:
    colours = palette(theme)
    low = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in GRAPHICS}
    assert not {pair: value for pair, value in low.items() if value < 3}


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", THEMES)
def test_no_two_exit_reasons_look_alike(theme: str, eye: str) -> None:
    colours = palette(theme)
    pairs = itertools.combinations(range(6), 2)
    found = {(a, b): round(distance(colours[f"reason-{a}"], colours[f"reason-{b}"], eye), 1) for a, b in pairs}
    assert not {pair: value for pair, value in found.items() if value < 10}


def test_the_measure_itself() -> None:
    """Black on white is 21 to 1, and black and white are 100 apart."""
    assert round(contrast("000000", "FFFFFF"), 3) == 21
    assert round(distance("000000", "FFFFFF", "normal"), 1) == 100
    assert contrast("777777", "FFFFFF") < 4.5 < contrast("767676", "FFFFFF")
