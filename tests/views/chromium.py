"""A page in a browser, as somebody at the keyboard has it."""

from pathlib import Path
from typing import Any

# Every text that is shown, with the contrast (WCAG 2.2) of its colour to its ground. What is off (a disabled
# button) is exempt there, and so here; texts on bars and badges have their grounds in the palette's own test.
TEXTS = """
const linear = (c) => c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = (c) => { const [r, g, b] = linear(c); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const parsed = (text) => (text.match(/[.0-9]+/g) || [0, 0, 0, 0]).map(Number);
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const [r, g, b, a = 1] = parsed(getComputedStyle(e).backgroundColor);
    if (a === 1) return [r, g, b];
  }
  return [255, 255, 255];
};
const out = [];
for (const e of document.body.querySelectorAll("*")) {
  const text = [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join(" ").trim();
  const box = e.getBoundingClientRect(), style = getComputedStyle(e);
  if (!text || !box.width || !box.height || e.disabled || !e.checkVisibility()) continue;
  if (e.closest("script, option, .inside, .badge")) continue;
  const ink = parsed(e.namespaceURI.endsWith("svg") ? style.fill : style.color).slice(0, 3);
  const [a, b] = [light(ink), light(ground(e))].sort((x, y) => y - x);
  out.push([text.slice(0, 40), (a + 0.05) / (b + 0.05)]);
}
return out;
"""


class Page:
    """The page, as somebody at the keyboard has it."""

    def __init__(self, driver: Any, path: Path | str) -> None:
        self.driver = driver
        self.address = path if isinstance(path, str) else path.as_uri()

    def open(self, hash_: str = "", size: tuple[int, int] = (1400, 900)) -> "Page":
        """Load the page anew at a size."""
        self.driver.set_window_size(*size)
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}#{hash_}")
        return self.settle()

    def settle(self) -> "Page":
        """Wait until an animation has ended and two frames are drawn."""
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "const busy = () => !document.documentElement.dataset.ready || !resting() || goal || pending;"
            "const look = () => (busy() ? requestAnimationFrame(look) : requestAnimationFrame(() => done()));"
            "requestAnimationFrame(look);"
        )
        return self

    def press(self, *keys: str) -> "Page":
        """Press keys, one after another."""
        from selenium.webdriver.common.action_chains import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()
            self.settle()
        return self

    def ask(self, script: str) -> Any:
        """Evaluate an expression of the page."""
        return self.driver.execute_script(f"return {script}")

    def text(self, selector: str) -> str:
        """Return what an element shows."""
        return str(self.driver.find_element("css selector", selector).text)

    def boxes(self) -> Any:
        """Return where the page's regions stand."""
        regions = ".bar, #tabs button, .facts, #mini, #ruler, #lanes, #plot, #legend, #journey, #panel, #status"
        return self.ask(
            f"[...document.querySelectorAll('{regions}')].map((e) => {{ const b = e.getBoundingClientRect();"
            " return [b.x, b.y, b.width, b.height]; })"
        )

    def contrasts(self) -> list[tuple[str, float]]:
        """Return every text that is shown and its contrast to its ground."""
        return [(str(text), float(ratio)) for text, ratio in self.driver.execute_script(TEXTS)]
