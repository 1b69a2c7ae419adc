"""The page in a real browser: it draws, answers keys and clicks, keeps the selection, and logs no error."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exitless.view.page import page
from tests.views import sample
from tests.views.chromium import Page


@pytest.fixture
def shown(browser: Any, tmp_path: Path) -> Iterator[Page]:
    """The two samples on one page; afterwards the console must be empty and nothing fetched."""
    path = tmp_path / "page.html"
    path.write_text(page([sample.pvhvm(), sample.posted()], source="nic", nth=1562), "utf-8")
    out = Page(browser, path).open("m=vtd-posted&theme=light")
    yield out
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert out.ask("performance.getEntriesByType('resource').map((e) => e.name)") == []


def test_it_draws_the_selected_interrupt(shown: Page) -> None:
    assert shown.text("#journey h2").startswith("nic interrupt #1562")
    assert len(shown.driver.find_elements("css selector", "#over .badge")) >= 5
    assert len(shown.driver.find_elements("css selector", ".cards button")) == 8
    colours = "new Set(new Uint32Array(document.getElementById('plot').getContext('2d')"
    assert shown.ask(f"{colours}.getImageData(0, 0, 900, 400).data.buffer)).size") > 20
    assert "VIRR" in shown.text("#panel") and "0x80" in shown.text("#panel")


def test_steps_by_key_and_by_click_show_one_number_in_three_places(shown: Page) -> None:
    shown.press(",")
    step = int(shown.ask("state.sel.step")) + 1
    assert shown.text(".cards [aria-current] .no") == str(step)
    assert shown.text(".step h2").startswith(f"{step}. ")
    assert shown.ask("document.querySelectorAll('.badge.now').length") == 1
    shown.driver.find_elements("css selector", ".cards button")[0].click()
    shown.settle()
    assert shown.text(".step h2") == "1. nic asserts"
    assert shown.ask("state.cursor") == 1_200_000
    shown.driver.find_element("css selector", "#over .badge[data-steps='1']").click()
    shown.settle()
    assert shown.text(".step h2") == "2. IRTE[18] posts"


def test_the_selection_survives_another_mechanism_and_a_reload(shown: Page) -> None:
    shown.press("1")
    assert shown.ask("rec().name") == "pvhvm"
    assert shown.text("#journey h2").startswith("nic interrupt #1562")
    assert shown.ask("state.sel.key") == "0.1562"
    shown.driver.find_element("css selector", ".elsewhere [data-rec='1']").click()
    shown.settle()
    assert (shown.ask("rec().name"), shown.ask("state.sel.key")) == ("vtd-posted", "0.1562")
    shown.press("1", ".", "w")
    before = shown.ask("[hashText(), state.sel.step, state.cursor]")
    shown.open(before[0])
    assert shown.ask("[hashText(), state.sel.step, state.cursor]") == before


def test_an_interrupt_that_a_mechanism_lacks_is_said_so(shown: Page) -> None:
    shown.open("m=vtd-posted&pick=2.9.1")
    assert shown.text("#journey h2").startswith("disk interrupt #9")
    shown.press("1")
    assert "pvhvm has no" in shown.text("#journey") and "pvhvm has no interrupt disk #9" in shown.text("#panel")


def test_zoom_keeps_the_time_under_the_cursor_and_stays_within_limits(shown: Page) -> None:
    before = shown.ask("[xOf(state.cursor), state.t1 - state.t0]")
    shown.press("w")
    after = shown.ask("[xOf(state.cursor), state.t1 - state.t0]")
    assert abs(after[0] - before[0]) < 0.5 and abs(before[1] / after[1] - 1.25) < 0.001
    shown.press(*"w" * 40)
    assert shown.ask("state.t1 - state.t0") == 5000
    shown.press(*"s" * 50)
    assert shown.ask("state.t1 - state.t0") <= shown.ask("SPAN * 1.021")
    shown.press("f")
    fitted = shown.ask("[state.t0, state.t1]")
    assert fitted[0] < 1_200_000 and fitted[1] > 5_300_000
    shown.press("f")
    assert shown.ask("state.t1 - state.t0 >= SPAN")


def test_exits_next_interrupts_lanes_and_measure(shown: Page) -> None:
    shown.press("]")
    assert shown.text(".step h2") == "EXTERNAL_INTERRUPT" and "0x58 sas" in shown.text(".step")
    shown.press("]")
    assert shown.text(".step h2") == "EOI_INDUCED"
    shown.press("]")
    assert "No later exit on pCPU1" in shown.text("#say")
    shown.press("[")
    assert shown.text(".step h2") == "EXTERNAL_INTERRUPT"
    shown.press("n")
    assert shown.text("#journey h2").startswith("nic interrupt #1563")
    shown.press("N")
    assert shown.text("#journey h2").startswith("nic interrupt #1562")
    shown.press("m", ".", ".", "m")
    assert shown.text("#say").startswith("Measured ")
    arrow_down, arrow_right, escape = "\ue015", "\ue014", "\ue00c"
    shown.press(arrow_down)
    assert shown.ask("rec().lanes[state.lane].label") == "nic" and "nic" in shown.text("#say")
    shown.press(arrow_right)
    assert shown.ask("state.cursor") == 9_200_000
    shown.press(escape, escape)
    assert shown.ask("[state.measure, state.sel]") == [None, None]
    assert "press N" in shown.text("#panel")


def test_search_finds_vectors_sources_and_reasons(shown: Page) -> None:
    shown.press("/", *"eoi_ind", "\ue007")
    assert shown.text(".step h2") == "EOI_INDUCED" and shown.text("#say").startswith("1 of 1")
    shown.press("\ue00c", "/", *"0x31", "\ue007", "\ue00c")
    assert shown.text("#journey h2").startswith("disk interrupt #9")
    shown.press("/", *"nonesuch", "\ue007", "\ue00c")
    assert "Nothing in this window" in shown.text("#say")


def test_a_bit_is_followed_through_its_changes(shown: Page) -> None:
    """VIRR[0x80] is set at 1.8 and 9.8 µs and cleared at each delivery."""
    from selenium.webdriver.common.action_chains import ActionChains

    shown.press(",", ",")
    at = shown.ask(
        "(() => { const g = document.querySelector('.grid[data-field=\\'1\\']'); const b = g.getBoundingClientRect();"
        " const s = b.width / g.viewBox.baseVal.width; return [b.x + 5 * s, b.y + (2 + 7 * 8 + 3) * s]; })()"
    )
    actions = ActionChains(shown.driver)
    actions.w3c_actions.pointer_action.move_to_location(int(at[0]), int(at[1])).click()
    actions.perform()
    shown.settle()
    assert shown.ask("state.bit") == {"field": 1, "vector": 0x80}
    shown.driver.execute_script("state.cursor = 0")
    times = []
    for _ in range(4):
        times.append(shown.press(")").ask("state.cursor / 1000"))
    assert times == [1800, 2000, 9800, 10000]
    assert shown.press("(").ask("state.cursor / 1000") == 9800


def test_every_register_is_shown_with_what_it_means(shown: Page) -> None:
    """Eight fields, the bitmap, what is recognized and the physical local APIC; the moment is the delivery of 0x80."""
    shown.open("m=vtd-posted&pick=0.1562.6")
    assert shown.text(".cards [aria-current] b") == "0x80 in service"
    cells = shown.driver.find_elements("css selector", ".fields > div")
    held = {cell.text.split()[0]: cell.text.split()[1:] for cell in cells}
    assert held["RVI"] == ["0x80", "0x31"] and held["SVI"] == ["0x00", "0x80"]
    assert held["VTPR"] == ["0x00"] and held["VPPR"] == ["0x00", "0x80"]
    assert held["ON"] == ["0"] and held["SN"] == ["0"] and held["NV"] == held["NDST"] == ["?"]
    lines = {
        dt.text: " ".join(dt.find_element("xpath", "..").text.split())
        for dt in shown.driver.find_elements("css selector", ".besides dt")
    }
    assert lines["EOI-exit bitmap"].endswith("{}")
    assert "no class 3 waits while VPPR is 0x80" in lines["Recognized"]
    assert "IRR {} ISR {} PPR 0x00" in lines["LAPIC pCPU1"]
    shown.press("]", "]")
    assert "EOI_INDUCED" in shown.text(".step h2")
    assert "{0x31}" in shown.text(".besides")


def test_a_bit_says_what_it_is_to_pointer_and_keys(shown: Page) -> None:
    """Hovering a bit names it, its state, its meaning and where that is written; so do the arrow keys in its grid."""
    from selenium.webdriver.common.action_chains import ActionChains

    shown.open("m=vtd-posted&pick=0.1562.6")
    grid = """document.querySelector('.grid[data-field="2"]')"""
    at = shown.ask(
        f"(() => {{ const g = {grid}, b = g.getBoundingClientRect(), s = b.width / g.viewBox.baseVal.width;"
        " return [b.x + 5 * s, b.y + (2 + 7 * 8 + 3) * s]; })()"
    )
    actions = ActionChains(shown.driver)
    actions.w3c_actions.pointer_action.move_to_location(int(at[0]), int(at[1]))
    actions.perform()
    said = "VISR[0x80] = 1, nic, class 8: in service: its handler has not written EOI · SDM 29.1.1, Virtual APIC State"
    assert shown.text("#hover") == said
    shown.driver.execute_script(f"{grid}.focus()")
    shown.press("\ue014")
    assert shown.text("#say").startswith("VISR[0x80] = 1") and shown.ask("state.bit.vector") == 0x80
    shown.press("\ue015")
    assert shown.text("#say").startswith("VISR[0x70] = 0,") and shown.ask("document.activeElement.dataset.field") == "2"


def test_a_selection_out_of_view_says_where_it_is(shown: Page) -> None:
    shown.open("m=vtd-posted&pick=0.1562.1&from=8000000&for=2000000")
    assert "nic interrupt #1562 is at 1.200" in shown.ask("document.getElementById('over').textContent")
    shown.press("f")
    assert "press F" not in shown.ask("document.getElementById('over').textContent")


def test_keys_dialog_and_theme(shown: Page) -> None:
    shown.press("?")
    assert shown.ask("document.getElementById('keys').open") and "previous, next exit" in shown.text("#keys")
    shown.press("\ue00c")
    assert not shown.ask("document.getElementById('keys').open")
    paper = "getComputedStyle(document.body).backgroundColor"
    light = shown.ask(paper)
    shown.driver.find_element("css selector", "#theme").click()
    shown.settle()
    assert shown.ask(paper) != light and "theme=dark" in shown.ask("hashText()")


def test_every_control_is_reached_by_tab_and_shows_its_focus(shown: Page) -> None:
    seen = []
    for _ in range(30):
        shown.press("\ue004")
        seen.append(
            shown.ask(
                "(() => { const e = document.activeElement; return e.id || e.getAttribute('class') || e.tagName; })()"
            )
        )
        outline = shown.ask("getComputedStyle(document.activeElement).outlineStyle + document.activeElement.tagName")
        assert outline.endswith("BODY") or outline.startswith("solid"), (seen[-1], outline)
    assert {"search", "theme", "lanes", "panel", "grid"} <= set(seen)


@pytest.mark.parametrize("size", [(1400, 900), (1024, 800), (800, 1316)])
def test_regions_stand_still_and_nothing_is_wider_than_the_window(shown: Page, size: tuple[int, int]) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    shown.open("m=vtd-posted", size)
    shown.driver.execute_script("document.getElementById('lanes').focus()")
    before = shown.boxes()
    assert shown.ask("document.documentElement.scrollWidth <= innerWidth")
    plot = shown.driver.find_element("css selector", "#plot")
    ActionChains(shown.driver).move_to_element_with_offset(plot, 40, 20).perform()
    shown.settle().press("w", "d", "a", "s")
    assert shown.boxes() == before
    shown.press(",", ".")
    if size[0] > 900:
        assert shown.boxes() == before


@pytest.mark.parametrize("size", [(1400, 900), (1024, 800), (800, 1316)])
def test_nine_mechanisms_fit(browser: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    """Their tabs scroll in their own box, the chosen one is in sight, and the panel is not wider than its place."""
    records = []
    for name in ("emulated", "apic-registers", "pvhvm", "apicv", "posted", "vtd-posted", "direct", "direct-negotiated",
                 "direct-shuffled"):  # fmt: skip
        records.append(sample.posted())
        records[-1].header.mechanism = name
    path = tmp_path / "nine.html"
    path.write_text(page(records, source="nic", nth=1562), "utf-8")
    shown = Page(browser, path).open("m=direct-shuffled", size)
    fits = "(e) => e.scrollWidth <= e.clientWidth + 1"
    assert shown.ask(f"[document.documentElement, ...document.querySelectorAll('.bar, #panel')].every({fits})")
    right = "document.querySelector('#tabs [aria-selected=true]').getBoundingClientRect().right"
    assert shown.ask(f"{right} <= document.getElementById('tabs').getBoundingClientRect().right + 1")
    assert shown.ask("document.getElementById('theme').getBoundingClientRect().right <= innerWidth")


def test_hover_says_one_line(shown: Page) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    at = shown.ask("(() => { const n = rec().lanes.findIndex((l) => l.label === 'pCPU1');"
        " const b = barOf(view.places.lanes[n], 'pcpu');"
                   " const box = document.getElementById('plot').getBoundingClientRect();"
                   " return [box.x + xOf(3200000), box.y + b.y + b.h / 2]; })()")  # fmt: skip
    actions = ActionChains(shown.driver)
    actions.w3c_actions.pointer_action.move_to_location(int(at[0]), int(at[1]))
    actions.perform()
    shown.settle()
    assert shown.text("#hover").startswith("EXTERNAL_INTERRUPT 0x58 sas, 1.400")


def test_a_page_that_holds_some_of_the_interrupts_says_so(browser: Any, tmp_path: Path) -> None:
    """A long recording's page from disk has no server to ask for the others."""
    record = sample.recording()
    rows = list(record)
    for n in range(1, 1700):
        for time, kind, pcpu, vcpu, a, b in rows:
            record.add(time + n * 10_000_000, kind, pcpu, vcpu, a, b)
    path = tmp_path / "long.html"
    path.write_text(page([record]), "utf-8")
    shown = Page(browser, path).open()
    assert "interrupts1" in shown.text("#facts").replace(" ", "").replace("\u2009", "")
    shown.driver.execute_script("state.sel = null; state.cursor = SPAN; state.said = nextInterrupt(1); changed()")
    shown.settle()
    assert "1\u2009500 of 1\u2009700 interrupts; exitless view reads them all" in shown.ask("state.said")


def test_motion_is_left_out_where_it_is_not_wanted(shown: Page) -> None:
    """With prefers-reduced-motion a zoom is at its end in the next frame; without, it takes 120 ms."""
    ease = "(() => { zoom(0.5, state.cursor); return goal && goal.lasts; })()"
    assert shown.ask(ease) == 120
    shown.settle()
    reduced = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    shown.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", reduced)
    before = shown.ask("state.t1 - state.t0")
    assert shown.ask(ease) is None and shown.ask("state.t1 - state.t0") == pytest.approx(before / 2)
    shown.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_recording_draws_unknown_as_unknown(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "recording.html"
    path.write_text(page([sample.recording()]), "utf-8")
    shown = Page(browser, path).open()
    assert "unknown" in shown.text("#facts")
    assert shown.ask("document.querySelectorAll('.grid circle.unknown').length") > 100
    cells = [cell.text.split() for cell in shown.driver.find_elements("css selector", ".fields > div")]
    assert [cell[-1] for cell in cells] == ["?"] * 8
    assert "PIR unknown" in " ".join(shown.text(".grids").split())
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
