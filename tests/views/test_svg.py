"""The still picture: well-formed, inside its edges, in the colours of the stylesheet, text as text."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest

from exitless.view.marks import badge_width, badges_of, length, palette
from exitless.view.scene import scene
from exitless.view.svg import aligned, svg
from tests.views.sample import posted, pvhvm, recording

SVG = "{http://www.w3.org/2000/svg}"
SAMPLES = {"posted": posted, "pvhvm": pvhvm, "recording": recording}


def drawn(*names: str, theme: str = "light") -> ElementTree.Element:
    """Draw samples and read the picture back."""
    return ElementTree.fromstring(svg([scene(SAMPLES[name](), source="nic") for name in names], theme))


def texts(picture: ElementTree.Element) -> list[str]:
    """Return all texts."""
    return [node.text or "" for node in picture.iter(f"{SVG}text")]


@pytest.mark.parametrize("names", [("posted",), ("pvhvm",), ("recording",), ("posted", "pvhvm")])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_xml_without_scripts_and_uses_only_the_palettes_colours(names: tuple[str, ...], theme: str) -> None:
    picture = drawn(*names, theme=theme)
    assert not list(picture.iter(f"{SVG}script")) and not list(picture.iter(f"{SVG}image"))
    used = {value for node in picture.iter() for key, value in node.attrib.items() if key in ("fill", "stroke")}
    known = set(palette(theme).values()) | {"none", "url(#dom0)", "url(#paused)"}
    assert used <= known, f"not of the palette: {used - known}"


@pytest.mark.parametrize("names", [("posted",), ("pvhvm",), ("recording",), ("posted", "pvhvm")])
def test_everything_lies_inside_the_picture(names: tuple[str, ...]) -> None:
    picture = drawn(*names)
    _, _, wide, high = map(float, picture.attrib["viewBox"].split())
    for node in picture.iter(f"{SVG}rect"):
        x, y = float(node.attrib.get("x", 0)), float(node.attrib.get("y", 0))
        assert x >= -0.1 and x + float(node.attrib["width"]) <= wide + 1 and 0 <= y <= high, node.attrib
    for node in picture.iter(f"{SVG}text"):
        x, size = float(node.attrib["x"]), float(node.attrib["font-size"])
        style = "mono" if "font-family" in node.attrib else "bold" if "font-weight" in node.attrib else ""
        room = length(node.text or "", size, style) * {"end": 0, "middle": 0.5}.get(
            node.attrib.get("text-anchor", ""), 1
        )
        assert x + room <= wide + 1 and size >= 11, (node.text, x, room)


def test_numbers_of_the_path_are_those_of_the_list() -> None:
    s = scene(posted(), source="nic")
    found = texts(drawn("posted"))
    for number in range(1, len(s.cards()) + 1):
        assert str(number) in found
    assert "0.800" in found and "in service" in found and "Xen: 0x58 sas" in found


def test_words_of_one_row_do_not_run_into_each_other() -> None:
    picture = drawn("posted", "pvhvm")
    spots: dict[str, list[tuple[float, float, str]]] = {}
    for node in picture.iter(f"{SVG}text"):
        size, x = float(node.attrib["font-size"]), float(node.attrib["x"])
        style = "mono" if "font-family" in node.attrib else "bold" if "font-weight" in node.attrib else ""
        wide = length(node.text or "", size, style)
        x -= {"end": wide, "middle": wide / 2}.get(node.attrib.get("text-anchor", ""), 0)
        spots.setdefault(node.attrib["y"], []).append((x, x + wide, node.text or ""))
    for row in spots.values():
        row.sort()
        for left, right in pairwise(row):
            assert left[1] <= right[0] + 1, (left, right)


def test_scenes_that_are_compared_begin_at_the_same_place_and_last_as_long() -> None:
    one, two = aligned([scene(posted(), source="nic"), scene(pvhvm(), source="nic")])
    assert one.journey is not None and two.journey is not None
    assert one.journey.start - one.first_ps == two.journey.start - two.first_ps
    assert one.last_ps - one.first_ps == two.last_ps - two.first_ps
    assert two.last_ps > two.journey.end


def test_dark_differs_from_light_in_every_colour_that_the_stylesheet_changes() -> None:
    light, dark = palette("light"), palette("dark")
    assert light.keys() == dark.keys() and light["paper"] == "#FBFBF9" and dark["paper"] == "#14171B"


def test_names_are_escaped() -> None:
    record = posted()
    record.header.scenario = "a<b> & 'c'"
    picture = ElementTree.fromstring(svg([scene(record, source="nic")]))
    assert any(text.startswith("a<b> & 'c'") for text in texts(picture))


def test_badges_of_a_lane_never_touch() -> None:
    """Whatever their steps' places, and every step is in one."""
    for gap in (0.0, 5.0, 19.0, 21.0, 24.0, 40.0):
        found = [(n * gap, n) for n in range(8, 14)]
        badges = badges_of(found)
        for (x, said, _), (after, other, _) in pairwise(badges):
            assert after - x > (badge_width(said) + badge_width(other)) / 2
        said = ",".join(f"{text}" for _, text, _ in badges)
        assert said.replace("–", ",").split(",")[0] == "8" and said.endswith("13")
    assert len(badges_of([(0, 1), (100, 2)])) == 2
