"""A page in a browser, as somebody at the keyboard has it."""

from pathlib import Path
from typing import Any


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
