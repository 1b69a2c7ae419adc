"""What a pointer does on the page, and what the page is to somebody who does not see it."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys

from exitless.view.page import page
from tests.views import sample
from tests.views.chromium import Page

FOCUSED = {"button", "textbox", "searchbox", "application", "tab", "complementary", "combobox", "slider"}


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Page]:
    """The two samples on one page; afterwards the console must be empty."""
    path = tmp_path / "page.html"
    path.write_text(page([sample.pvhvm(), sample.posted()], source="nic", nth=1562), "utf-8")
    yield Page(browser, path).open("m=vtd-posted&theme=light")
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def dragged(shown: Page, where: str, at: tuple[float, float], by: int) -> None:
    """Press at a place of an element, in pixels from its corner, move sideways and let go."""
    x, y = shown.ask(f"(() => {{ const b = {where}.getBoundingClientRect(); return [b.x, b.y]; }})()")
    actions = ActionChains(shown.driver)
    mouse = actions.w3c_actions.pointer_action
    mouse.move_to_location(int(x + at[0]), int(y + at[1]))
    mouse.pointer_down()
    mouse.move_to_location(int(x + at[0] + by / 2), int(y + at[1]))
    mouse.move_to_location(int(x + at[0] + by), int(y + at[1]))
    mouse.pointer_up()
    actions.perform()
    shown.settle()


def test_a_drag_moves_the_time_with_the_pointer(shown: Page) -> None:
    before = shown.ask("[state.t0, state.t1, timeOf(300)]")
    dragged(shown, "document.getElementById('plot')", (300, 30), -120)
    after = shown.ask("[state.t0, state.t1, timeOf(180)]")
    assert after[0] > before[0]
    assert after[1] - after[0] == pytest.approx(before[1] - before[0])
    assert after[2] == pytest.approx(before[2], rel=1e-6)


def test_the_wheel_pans_with_shift_and_zooms_with_control_at_the_pointer(shown: Page) -> None:
    plot = shown.driver.find_element("css selector", "#plot")
    origin = ScrollOrigin.from_element(plot, 40, -20)
    span = "state.t1 - state.t0"
    before = shown.ask(f"[state.t0, {span}]")
    ActionChains(shown.driver).key_down(Keys.SHIFT).scroll_from_origin(origin, 0, 60).key_up(Keys.SHIFT).perform()
    moved = shown.settle().ask(f"[state.t0, {span}]")
    assert moved[0] > before[0] and moved[1] == pytest.approx(before[1])
    x = "document.getElementById('plot').getBoundingClientRect().width / 2 + 40"
    under = shown.ask(f"timeOf({x})")
    ActionChains(shown.driver).key_down(Keys.CONTROL).scroll_from_origin(origin, 0, -60).key_up(Keys.CONTROL).perform()
    shown.settle()
    assert moved[1] / shown.ask(span) == pytest.approx(1.25)
    assert shown.ask(f"timeOf({x})") == pytest.approx(under, abs=moved[1] / 200)


def test_the_minimap_moves_the_window_and_its_handles_widen_it(shown: Page) -> None:
    shown.driver.execute_script("setView(0.4 * SPAN, 0.5 * SPAN)")
    shown.settle()
    mini, wide = "document.getElementById('mini')", shown.ask("view.width")
    dragged(shown, mini, (0.45 * wide, 20), int(0.2 * wide))
    assert shown.ask("[state.t0 / SPAN, state.t1 / SPAN]") == pytest.approx([0.6, 0.7], abs=0.01)
    dragged(shown, mini, (0.7 * wide, 20), int(0.1 * wide))
    assert shown.ask("[state.t0 / SPAN, state.t1 / SPAN]") == pytest.approx([0.6, 0.8], abs=0.02)
    dragged(shown, mini, (0.2 * wide, 20), 0)
    assert shown.ask("(state.t0 + state.t1) / 2 / SPAN") == pytest.approx(0.2, abs=0.01)


def test_the_ruler_sets_the_cursor_and_a_lane_s_name_chooses_it(shown: Page) -> None:
    dragged(shown, "document.getElementById('ruler')", (300, 12), 0)
    assert shown.ask("Math.abs(xOf(state.cursor) - 300)") < 8
    shown.driver.find_element("css selector", "#labels [data-lane='1']").click()
    assert shown.settle().ask("state.lane") == 1
    shown.driver.find_element("css selector", "#labels [data-lane='1']").click()
    assert shown.settle().ask("state.lane") == -1
    titles = shown.ask("[...document.querySelectorAll('#labels [data-lane]')].map((label) => label.title)")
    assert "d1v0 guest: vCPU 0 of domain 1" in titles


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", ["m=vtd-posted&pick=0.1562.6", "m=pvhvm", "m=vtd-posted&cmp=pvhvm,vtd-posted"])
def test_every_text_is_readable_on_the_ground_it_stands_on(shown: Page, theme: str, state: str) -> None:
    """4.5 to 1, as the browser has computed both colours, whatever the stylesheet's lists say."""
    found = shown.open(f"{state}&theme={theme}").contrasts()
    assert len(found) > 40
    assert [pair for pair in found if pair[1] < 4.5] == []
    shown.driver.execute_script("document.documentElement.style.setProperty('--second', '#777777')")
    assert [pair for pair in shown.contrasts() if pair[1] < 4.5]


def test_who_opens_the_page_is_told_where_to_begin(shown: Page) -> None:
    """In the status line, until the first key; an address of a state is not talked over."""
    told = shown.open("").text("#say")
    assert told.startswith("1 to ") and "steps of one interrupt" in told and "C: mechanisms compared." in told
    assert shown.press("1").text("#say") != told
    assert shown.open("m=vtd-posted").text("#say") == ""


def test_help_and_the_key_list_name_every_key(shown: Page) -> None:
    shown.driver.find_element("css selector", "#help").click()
    keys = [node.text for node in shown.driver.find_elements("css selector", "#keys kbd")]
    assert all(keys) and {"W S", ", .", "[ ]", "( )", "Y", "?"} <= set(keys)
    shown.press(Keys.ESCAPE)
    assert "ddress" in shown.press("y").text("#say")


@pytest.mark.parametrize("share", [0.02, 0.1, 0.4, 1.0])
def test_badges_and_texts_of_a_lane_keep_clear_of_each_other(shown: Page, share: float) -> None:
    """Whatever the scale, no two badges of a lane overlap, and a text moves out from under the line and its badges."""
    shown.driver.execute_script(f"const j = selected(); setView(j.start - 1e5, j.start - 1e5 + {share} * SPAN)")
    shown.settle()
    boxes = shown.ask(
        "[...document.querySelectorAll('#over .badge')].map((g) => { const b = g.firstElementChild.getBBox(),"
        " m = g.transform.baseVal[0].matrix; return [m.f, m.e + b.x, m.e + b.x + b.width]; })"
    )
    assert boxes
    shared = "[...document.querySelectorAll('#over .badge')].filter((g) => g.dataset.steps.includes(','))"
    assert shown.ask(f"{shared}.every((g) => g.querySelector('title').textContent.includes('a click goes'))")
    for y in {box[0] for box in boxes}:
        row = sorted(box[1:] for box in boxes if box[0] == y)
        assert all(left[1] <= right[0] + 0.2 for left, right in itertools.pairwise(row)), row
    y = boxes[-1][0]
    first = shown.ask(f"covered({y})[0]")
    at = shown.ask(f"clearOf({first[0] + 1}, 30, {y}, 1e9)")
    assert all(at + 30 <= a or at >= b for a, b in shown.ask(f"covered({y})"))
    assert shown.ask(f"clearOf({first[0] + 1}, 30, {y}, {first[0] + 32})") == first[0] + 1


def test_whoever_does_not_see_the_page_is_told_what_it_is(shown: Page) -> None:
    """In the browser's accessibility tree everything that takes the focus has a name, and so has every picture; a step
    is told in the status region."""
    nodes = shown.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            role = node["role"]["value"]
            named.setdefault(role, []).append(node.get("name", {}).get("value", "").strip())
    assert {"button", "searchbox", "application", "tab", "complementary"} <= FOCUSED & named.keys()
    for role in (FOCUSED | {"image", "img"}) & named.keys():
        assert all(named[role]), (role, named[role])
    assert any(name.startswith("Timeline") for name in named["application"])
    assert len([name for role in ("image", "img") for name in named.get(role, [])]) >= 3
    assert shown.press(",").text("#say").startswith("nic interrupt #1562, step ")
    assert "EXTERNAL_INTERRUPT on pCPU1, 0x58 sas" in shown.press("]").text("#say")
