"""The served workbench in a real browser: each control, by hand and by keyboard; comparison, tour, and the address."""

import os
from collections.abc import Iterator
from threading import Thread
from time import thread_time
from typing import Any

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from exitless import compiled
from exitless.cli.live import Bench
from exitless.cli.main import parse as parse_command
from exitless.view.page import page, written
from exitless.view.server import Server
from tests.views import sample
from tests.views.chromium import Page

TAB, ENTER, ESCAPE, UP = "\ue004", "\ue007", "\ue00c", "\ue013"
MECHANISMS = ["pvhvm", "apicv", "vtd-posted"]


SPENT: list[float] = []


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    """A workbench of 10 ms of the mail's host under three mechanisms; what a first part costs goes into ``SPENT``."""
    bench = Bench("mail", [], MECHANISMS, None, 10_000_000_000)
    text = written(bench.simulate({}))

    def simulate(request: dict[str, Any]) -> dict[str, Any]:
        began = thread_time()
        out = bench.simulate(request)
        if "brief" in request:
            SPENT.append(1000 * (thread_time() - began))
        return out

    with Server(0, lambda: text, {"simulate": simulate, "words": bench.words, "tour": bench.tour}) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def bench(browser: Any, served: Server) -> Iterator[Page]:
    """The workbench, opened; afterwards the console must be empty."""
    out = Page(browser, served.address).open("m=vtd-posted&theme=light")
    yield out
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def put(bench: Page, key: str, value: str) -> None:
    """Type a value into a control, or choose it."""
    node = bench.driver.find_element("css selector", f"[data-key='{key}']")
    if node.tag_name == "select":
        from selenium.webdriver.support.select import Select

        Select(node).select_by_value(value)
    else:
        node.clear()
        node.send_keys(value, ENTER)
    bench.settle()


def asserted(bench: Page) -> int:
    """Count the NIC's interrupts in the record that is shown."""
    return int(bench.ask("rec().journeys.filter((j) => rec().sources[j.source] === 'nic').length"))


CHANGES = [
    ("load", "90"), ("frame", "300"), ("moderation", "5"), ("rate", "25"), ("vcpus", "2"), ("pcpus", "2"),
    ("pin", "none"),
]  # fmt: skip


def test_every_control_of_the_row_is_tried(bench: Page) -> None:
    """Those below and no others; a choice of one thing is no control."""
    found = bench.driver.find_elements("css selector", ".facts [data-key]")
    chosen = [n for n in found if n.tag_name != "select" or len(n.find_elements("css selector", "option")) > 1]
    assert {node.get_attribute("data-key") for node in chosen} == {key for key, _ in CHANGES}


@pytest.mark.parametrize(("key", "value"), CHANGES)
def test_each_control_changes_the_picture_and_says_how_long_it_took(bench: Page, key: str, value: str) -> None:
    before = bench.ask("JSON.stringify([rec().exits.slice(0, 700), rec().lanes.length])")
    put(bench, key, value)
    assert bench.ask("JSON.stringify([rec().exits.slice(0, 700), rec().lanes.length])") != before
    seen = "xOf(state.cursor) > 0 && xOf(state.cursor) < view.width"
    followed = f"!selected() || (selectedStep().time === state.cursor && {seen})"
    assert bench.ask(followed), "registers and step are of two moments"
    rate = {"load": "= 731 kpkt/s", "frame": "= 1\u2009172 kpkt/s", "rate": "= 610 kpkt/s"}
    assert bench.text("#packets") == rate.get(key, "= 244 kpkt/s")
    assert bench.text("#redraw").startswith("redrawn in ") and bench.text("#redraw").endswith(" ms")
    assert bench.ask("flight.error") == "" and bench.ask("RECORDS.some((r) => r.stale)") is False
    assert f"x.{key}={value}" in bench.ask("hashText()")


def test_another_scenario_opens_and_the_address_says_so(bench: Page) -> None:
    """The choice of a scenario loads it; the address that it leaves opens the same."""
    from selenium.webdriver.support.select import Select

    choice = Select(bench.driver.find_element("css selector", "[data-scenario]"))
    assert choice.first_selected_option.text == "mail"
    choice.select_by_visible_text("mail-mixed")
    WebDriverWait(bench.driver, 60).until(lambda _: "s=mail-mixed" in bench.ask("location.hash"))
    bench.settle()
    assert bench.ask("rec().scenario") == "mail-mixed" and "s=mail-mixed" in bench.ask("hashText()")
    again = bench.ask("hashText()")
    assert bench.open(again).ask("rec().scenario") == "mail-mixed"


def test_a_slider_and_the_number_beside_it_are_one_control(bench: Page) -> None:
    few = asserted(bench)
    slider = bench.driver.find_element("css selector", "[data-slide='moderation']")
    bench.driver.execute_script(
        "arguments[0].value = 5; arguments[0].dispatchEvent(new Event('input', {bubbles: true}))", slider
    )
    bench.settle()
    assert bench.ask("document.querySelector('[data-key=\\'moderation\\']').value") == "5"
    assert asserted(bench) > few


def test_a_bad_value_is_one_sentence_and_the_old_picture_stays(bench: Page) -> None:
    before = bench.ask("JSON.stringify(rec().exits)")
    put(bench, "moderation", "900")
    assert bench.text("#complaint") == "moderation must be a whole number from 0 to 500 µs; got 900."
    assert bench.text("#before") == "before the change"
    assert bench.ask("JSON.stringify(rec().exits)") == before
    put(bench, "moderation", "many")
    assert bench.text("#complaint").endswith("got many.")
    put(bench, "moderation", "50")
    assert bench.ask("[document.getElementById('complaint').hidden, document.getElementById('before').hidden]") == [
        True,
        True,
    ]


def test_a_change_that_takes_too_long_is_refused_in_the_row(bench: Page) -> None:
    for key, value in (("frame", "64"), ("load", "100"), ("rate", "100")):
        put(bench, key, value)
    assert "would take too long" in bench.text("#complaint") and bench.text("#before") == "before the change"


def test_the_keyboard_alone_changes_a_control(bench: Page) -> None:
    for _ in range(30):
        bench.press(TAB)
        if bench.ask("document.activeElement.dataset.key || ''") == "load":
            break
    bench.press(UP, UP)
    assert bench.ask("[setting('load'), rec().stale]") == [32, None]
    bench.press(ESCAPE, "2")
    assert bench.ask("[rec().name, !!rec().stale]") == ["apicv", False]
    bench.press("c", "t")
    assert bench.ask("[state.compare, state.tour]") == [None, 0]
    assert bench.ask("document.activeElement.id") == "tournext"
    bench.press(ENTER)
    assert bench.text(".question").startswith("What do RVI")
    bench.press(ESCAPE)
    assert bench.ask("state.tour") == -1


def test_comparison_shows_rows_on_one_axis_and_what_differs(bench: Page) -> None:
    bench.driver.find_element("css selector", "#comparison").click()
    bench.settle()
    assert bench.ask("state.compare") == MECHANISMS
    assert len(bench.driver.find_elements("css selector", "#compare .crow canvas")) == 4
    table = bench.text("#difference")
    for name in (*MECHANISMS, "Exits, all", "VMCALL", "Latency p50", "Latency p99"):
        assert name in table
    total = bench.ask("Object.values(RECORDS[0].reasons).reduce((s, x) => s + x[2], 0)")
    assert str(total) in table.splitlines()[2] or str(total) in table
    assert bench.ask("document.querySelectorAll('#cdf path.cdf').length") == 6
    assert bench.ask("document.querySelectorAll('#perinterrupt rect').length") >= 4
    span = bench.ask("state.t1 - state.t0")
    bench.press("w")
    assert abs(span / bench.ask("state.t1 - state.t0") - 1.25) < 0.01
    bench.press("2")
    assert bench.ask("state.compare") == ["pvhvm", "vtd-posted"]
    bench.press("1")
    assert bench.ask("state.compare") == ["pvhvm", "vtd-posted"] and "two mechanisms" in bench.text("#say")
    put(bench, "load", "80")
    assert bench.ask("RECORDS.some((r) => r.stale)") is False
    bench.press(ESCAPE, "c")
    assert bench.ask("[state.compare, document.getElementById('compare').hidden]") == [None, True]


def test_three_mechanisms_are_compared_anew_within_300_ms(bench: Page) -> None:
    """From the change of a control to the painted comparison of 10 ms under three mechanisms, the quickest of five.

    Held to it with EXITLESS_TIMED=1, which is for a machine that does nothing else (interpreted, the simulation alone
    takes longer); without it only a server that has become far slower is told.
    """
    bench.press("c")
    took = []
    SPENT.clear()
    for load in ("40", "45", "50", "55", "35"):
        put(bench, "load", load)
        took.append(round(bench.ask("flight.took")))
        assert bench.ask("[state.compare, RECORDS.some((r) => r.stale || r.brief)]") == [MECHANISMS, False]
    form = "compiled" if compiled() else "interpreted"
    print(f"redrawn in {sorted(took)} ms, of which the server's CPU {sorted(map(round, SPENT))} ms, {form}")
    assert len(SPENT) == 5
    timed = "EXITLESS_TIMED" in os.environ
    assert min(SPENT) <= (200 if compiled() else 2000) * (1 if timed else 4)
    assert min(took) <= 300 or not (timed and compiled())


def test_a_comparison_is_the_same_before_and_after_the_rest_has_come(bench: Page) -> None:
    """What is drawn first is no guess: exits, waits and causes are those of the whole document."""
    bench.press("c")
    same = "JSON.stringify(RECORDS.map((r) => [r.brief || 0, r.exits, r.owners, r.causes, r.reasons, count(r, 1)"
    same += ".latencies.join(), r.byStart.filter((j) => j.source === 1).map((j) => [j.start, j.end, j.merged])]))"
    bench.driver.execute_script(
        f"window.first = new Promise((done) => {{ const old = take; take = (said) => {{ old(said);"
        f" take = old; done({same}); }}; }}); change('load', 60);"
    )
    first = bench.driver.execute_async_script("const done = arguments[0]; window.first.then(done);")
    whole = bench.settle().ask(same)
    assert "[true," in first and "[true," not in whole
    assert first.replace("[true,", "[0,") == whole


def test_each_card_of_the_tour_opens_its_moment(bench: Page) -> None:
    bench.press("t")
    count = bench.ask("TOUR.length")
    assert count == 8
    for n in range(count):
        question = bench.ask(f"TOUR[{n}].question")
        assert bench.text(".question") == question
        assert [pair for pair in bench.contrasts() if pair[1] < 4.5] == []
        moment = bench.ask(f"TOUR[{n}].moment || null")
        if moment:
            assert bench.ask("[rec().name, LOW + state.cursor]") == [moment["mechanism"], moment["time"]]
            assert bench.ask("state.cursor > state.t0 && state.cursor < state.t1")
            assert moment["callout"][0] in bench.text("#callout")
        following = bench.ask(f"(TOUR[{n + 1}] || {{question: 'Back to the timeline'}}).question")
        assert bench.text("#tournext") == following
        bench.driver.find_element("css selector", "#tournext").click()
        bench.settle()
    assert bench.ask("state.tour") == -1


def test_the_tour_is_of_the_changed_run(bench: Page) -> None:
    put(bench, "load", "90")
    bench.press(ESCAPE, "t", ENTER)
    assert bench.ask("TOUR[1].says[2]") in bench.text(".answer")
    first = bench.ask("JSON.stringify(TOUR)")
    bench.press(ESCAPE)
    put(bench, "load", "30")
    bench.press(ESCAPE, "t", ENTER)
    assert bench.ask("JSON.stringify(TOUR)") != first
    kept = bench.text(".answer")
    put(bench, "load", "20")
    assert bench.ask("state.tour") == 1 and bench.text(".answer") != kept


def test_the_address_reproduces_the_state(bench: Page) -> None:
    put(bench, "load", "70")
    put(bench, "vcpus", "2")
    bench.press(ESCAPE, "2", "n", ".", "w")
    state = "[hashText(), rec().name, state.cursor, Math.round(state.t0), Math.round(state.t1), state.sel, rec().exits]"
    before = bench.ask(state)
    bench.open(before[0])
    assert bench.ask(state) == before
    bench.press("c")
    compared = bench.ask("[hashText(), state.compare]")
    bench.open(compared[0])
    assert bench.ask("[hashText(), state.compare]") == compared
    assert bench.ask("RECORDS.filter((r) => state.compare.includes(r.name)).some((r) => r.stale)") is False
    bench.press("c", "t", ENTER)
    toured = bench.ask("[hashText(), state.tour, state.cursor]")
    assert bench.open(toured[0]).ask("[hashText(), state.tour, state.cursor]") == toured


def test_a_bad_address_is_a_sentence(bench: Page) -> None:
    bench.open("m=vtd-posted&x.load=700&x.nonesuch=4")
    assert "must be" in bench.text("#complaint") or "no control" in bench.text("#complaint")
    assert bench.ask("rec().name") == "vtd-posted"


def test_share_gives_a_file_and_a_command(bench: Page) -> None:
    put(bench, "load", "70")
    bench.driver.find_element("css selector", "#share").click()
    bench.driver.execute_async_script(
        "const done = arguments[0], shared = () => document.getElementById('shared');"
        "const look = () => (shared() ? done() : requestAnimationFrame(look)); look();"
    )
    assert "--set 'device[0].load=70'" in bench.text("#shared")
    for key, text in (("toml", "load = 70"), ("address", "x.load=70"), ("command", "exitless run mail")):
        bench.driver.find_element("css selector", f"[data-copy='{key}']").click()
        assert text in bench.text("#shared")
    bench.press(ESCAPE)
    assert not bench.ask("document.getElementById('keys').open")


def test_a_server_that_is_gone_is_said(browser: Any) -> None:
    little = Bench("mail", [], ["apicv"], None, 1_000_000_000)
    text = written(little.simulate({}))
    with Server(0, lambda: text, {"simulate": little.simulate}) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        shown = Page(browser, server.address).open()
        server.shutdown()
        thread.join()
    put(shown, "load", "60")
    WebDriverWait(browser, 10).until(lambda _: shown.text("#complaint") != "")
    assert shown.text("#complaint") == "The workbench has stopped. Start it again with: exitless view"
    browser.get_log("browser")


@pytest.mark.parametrize("size", [(1400, 900), (1024, 800), (800, 1316)])
@pytest.mark.parametrize("state", ["", "&cmp=pvhvm,apicv,vtd-posted", "&tour=4"])
def test_nothing_is_wider_than_the_window(bench: Page, size: tuple[int, int], state: str) -> None:
    bench.open(f"m=vtd-posted{state}", size)
    fits = "(e) => e.scrollWidth <= e.clientWidth + 1"
    assert bench.ask(f"[document.documentElement, ...document.querySelectorAll('.bar, #panel, .facts')].every({fits})")
    put(bench, "load", "50")
    assert bench.ask(f"[document.documentElement, ...document.querySelectorAll('.bar, #panel, .facts')].every({fits})")
    for control in bench.driver.find_elements("css selector", ".facts [data-key], #tour, #comparison, #share"):
        box = control.rect
        assert box["x"] >= 0 and box["x"] + box["width"] <= size[0], control.get_attribute("data-key")


def test_a_static_page_compares_what_it_holds_and_asks_nobody(browser: Any, tmp_path: Any) -> None:
    path = tmp_path / "static.html"
    path.write_text(page([sample.pvhvm(), sample.posted()], source="nic", nth=1562), "utf-8")
    shown = Page(browser, path).open("m=vtd-posted").press("c")
    assert shown.ask("state.compare") == ["pvhvm", "vtd-posted"]
    assert "EXTERNAL_INTERRUPT" in shown.text("#difference")
    assert shown.ask("document.querySelectorAll('#cdf path.cdf').length") == 4
    assert shown.ask("[document.getElementById('tour').hidden, typeof post]") == [True, "undefined"]
    assert "no tour" in shown.press("c", "t").text("#say")
    assert shown.ask("performance.getEntriesByType('resource').length") == 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def test_a_page_to_mail_holds_the_tour_of_its_own_runs(browser: Any, tmp_path: Any) -> None:
    """What ``show mail --html`` writes answers the mail's questions from disk, with numbers and moments of its runs."""
    path = tmp_path / "mail.html"
    chosen = [word for name in MECHANISMS for word in ("--mechanism", name)]
    args, _ = parse_command("show", ["mail", "--length", "10 ms", *chosen, "--html", str(path)])
    args.run(args)
    assert path.stat().st_size < 2_000_000
    shown = Page(browser, path).open("m=vtd-posted")
    assert "the remapping unit posts the guest's vector" in shown.text("#panel .about").lower()
    assert "Virtual-interrupt delivery" in shown.press("2").text("#panel .about")
    shown.press("3")
    assert shown.ask("SPAN") > 9_990_000_000 and shown.ask("RECORDS.every((r) => r.rows > 0.99 * r.total)")
    shown.press("t")
    cards = Bench("mail", [], MECHANISMS, None, 10_000_000_000).tour({})["tour"]
    assert shown.ask("TOUR.map((card) => card.question)") == [card["question"] for card in cards]
    for card in cards:
        assert shown.text(".question") == card["question"]
        assert " ".join(card["says"]) == shown.text(".answer")
        if "moment" in card:
            assert shown.ask("[rec().name, LOW + state.cursor]") == [
                card["moment"]["mechanism"],
                card["moment"]["time"],
            ]
        shown.press(ENTER)
    assert shown.ask("state.tour") == -1
    assert shown.ask("performance.getEntriesByType('resource').length") == 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
