"""The pictures in docs/shots are of this page: taken anew, they differ by no more than a changed number or two do."""

import base64
import zlib
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from exitless.cli.live import Bench
from exitless.view.page import written
from exitless.view.server import Server
from tests.views.chromium import Page
from tools.shots import SHOTS
from tools.small_png import HEADER, MAGIC, chunk, parts, small, unfiltered

FOLDER = Path(__file__).parents[2] / "docs" / "shots"
ALLOWED = 0.08
HAS_FONT = """(() => { const c = document.createElement("canvas").getContext("2d");
  const wide = (font) => { c.font = `40px ${font}`; return c.measureText("Registers at the cursor").width; };
  return wide("Inter, monospace") !== wide("monospace"); })()"""
COMPARED = ("workbench-light", "compare-dark", "tour-mix", "middle-1024")
MEASURE = """
const done = arguments[arguments.length - 1], wide = 70, high = 45;
const small = (text) => new Promise((told) => {
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas"), c = canvas.getContext("2d");
    canvas.width = wide; canvas.height = high; c.imageSmoothingQuality = "high";
    c.drawImage(image, 0, 0, wide, high);
    told([image.width, image.height, c.getImageData(0, 0, wide, high).data]);
  };
  image.src = "data:image/png;base64," + text;
});
Promise.all([small(arguments[0]), small(arguments[1])]).then(([[w, h, a], [v, g, b]]) => {
  let far = 0;
  for (let i = 0; i < a.length; i += 4) far += Math.max(...[0, 1, 2].map((k) => Math.abs(a[i + k] - b[i + k]))) > 40;
  done([w === v && h === g, far / (wide * high)]);
});
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    """The workbench as it opens without arguments."""
    bench = Bench("mail", [], [], None, 10_000_000_000)
    text = written(bench.simulate({}))
    with Server(0, lambda: text, {"simulate": bench.simulate, "words": bench.words, "tour": bench.tour}) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def apart(browser: Any, one: str, other: str) -> tuple[bool, float]:
    """Whether two pictures are of one size, and what share of 70 by 45 patches differs in colour."""
    browser.get("about:blank")
    same, share = browser.execute_async_script(MEASURE, one, other)
    return bool(same), float(share)


def kept(name: str) -> str:
    return base64.b64encode((FOLDER / f"{name}.png").read_bytes()).decode()


@pytest.mark.parametrize("name", COMPARED)
def test_a_picture_taken_anew_is_the_one_that_is_kept(browser: Any, served: Server, name: str) -> None:
    """At most eight of a hundred patches differ; where more do, look at the page and run make shots."""
    if not browser.execute_script(f"return {HAS_FONT}"):
        pytest.skip("The pictures are set in Inter; install it (fonts-inter) to compare with them.")
    _, (width, height), state, act = next(shot for shot in SHOTS if shot[0] == name)
    browser.set_window_size(width, height)
    frame = height - browser.execute_script("return innerHeight")
    shown = Page(browser, served.address).open(state, (width, height + frame))
    if act:
        browser.execute_script(act)
        shown.settle()
    same, share = apart(browser, browser.get_screenshot_as_base64(), kept(name))
    print(f"{name}: {share:.1%} of the patches differ")
    assert same and share <= ALLOWED, "docs/shots is not what the page looks like: look at it, then run make shots"


def test_all_pictures_together_stay_small() -> None:
    """A clone fetches every picture that ever was: 1.5 MB for all of one time, and no file that nobody draws."""
    found = sorted(FOLDER.glob("*"))
    assert [path.name for path in found] == sorted(f"{name}.png" for name, *_ in SHOTS)
    assert sum(path.stat().st_size for path in found) < 1_500_000


def test_a_small_picture_is_the_same_picture() -> None:
    """Every row filter of the format is undone; up to 256 colours nothing is lost."""
    rows = [bytes((7 * x + 11 * y * (x % 3 + 1)) & 0xC0 for x in range(60)) for y in range(5)]
    filtered = b"".join(bytes([kind]) + filter_of(rows, kind, kind) for kind in range(5))
    header = HEADER.pack(20, 5, 8, 2, 0, 0, 0)
    data = MAGIC + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(filtered)) + chunk(b"IEND", b"")
    assert unfiltered(filtered, 20, 3) == rows
    found = dict(parts(small(data)))
    body, palette = zlib.decompress(found[b"IDAT"]), found[b"PLTE"]
    back = [
        b"".join(palette[3 * n : 3 * n + 3] for n in body[y * 21 + 1 : y * 21 + 21]) for y in range(5)
    ]  # fmt: skip
    assert back == rows


def filter_of(rows: list[bytes], y: int, kind: int) -> bytes:
    """Filter a row of three bytes a pixel as the PNG specification's section 9.2 defines the five kinds."""
    row, above = rows[y], rows[y - 1] if y else bytes(60)
    out = []
    for x, value in enumerate(row):
        a, b, c = (row[x - 3], above[x], above[x - 3]) if x >= 3 else (0, above[x], 0)
        p = a + b - c
        near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        out.append((value - (0, a, b, (a + b) // 2, near)[kind]) & 255)
    return bytes(out)


def test_the_measure_tells_pictures_apart(browser: Any) -> None:
    """Two themes differ nearly everywhere, view and comparison more than is allowed, a picture and itself not."""
    assert apart(browser, kept("workbench-light"), kept("workbench-light")) == (True, 0)
    assert apart(browser, kept("workbench-light"), kept("workbench-dark"))[1] > 0.9
    assert apart(browser, kept("workbench-light"), kept("compare-light"))[1] > ALLOWED
