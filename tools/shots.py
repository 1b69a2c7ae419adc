"""Draws docs/shots: every panel of the workbench, light and dark, in a headless Chromium: ``make shots``."""

import shutil
import sys
from pathlib import Path
from threading import Thread
from typing import Any

from exitless.cli.live import Bench
from exitless.view.page import written
from exitless.view.server import Server
from tests.views.chromium import Page
from tools.small_png import small

# name, size, address, what is done there
SHOTS = (
    ("workbench-light", (1400, 900), "m=vtd-posted&theme=light", ""),
    ("workbench-dark", (1400, 900), "m=vtd-posted&theme=dark", ""),
    ("what-if", (1400, 900), "m=apicv&theme=light", "change('load', 80)"),
    ("refused", (1400, 900), "m=apicv&theme=light", "change('moderation', 900)"),
    ("compare-light", (1400, 900), "m=vtd-posted&theme=light", "toggleCompare(); changed()"),
    ("compare-dark", (1400, 900), "m=vtd-posted&theme=dark", "toggleCompare(); changed()"),
    ("tour-light", (1400, 900), "m=vtd-posted&theme=light&tour=5", ""),
    ("tour-dark", (1400, 900), "m=vtd-posted&theme=dark&tour=5", ""),
    ("tour-mix", (1400, 900), "m=vtd-posted&theme=light&tour=8", ""),
    ("share", (1400, 900), "m=vtd-posted&theme=light&x.load=80", "showShare()"),
    ("middle-1024", (1024, 800), "m=vtd-posted&theme=light", ""),
    ("narrow-800", (800, 1316), "m=vtd-posted&theme=light", ""),
    ("narrow-800-compare", (800, 1316), "m=vtd-posted&theme=dark", "toggleCompare(); changed()"),
)


def browser() -> Any:
    """Return a headless browser."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver") or ""))
    driver.set_script_timeout(120)
    return driver


def main() -> int:
    """Write the pictures."""
    folder = Path("docs/shots")
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench("mail", [], [], None, 10_000_000_000)
    text = written(bench.simulate({}))
    with Server(0, lambda: text, {"simulate": bench.simulate, "words": bench.words, "tour": bench.tour}) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        driver = browser()
        try:
            for name, (width, height), state, act in SHOTS:
                driver.set_window_size(width, height)
                frame = height - driver.execute_script("return innerHeight")
                shown = Page(driver, server.address).open(state, (width, height + frame))
                if act:
                    driver.execute_script(act)
                    shown.settle()
                # The status line tells its numbers five times a second.
                driver.execute_async_script("setTimeout(arguments[0], 400)")
                (folder / f"{name}.png").write_bytes(small(driver.get_screenshot_as_png()))
                print(f"docs/shots/{name}.png")
        finally:
            driver.quit()
    return 0


if __name__ == "__main__":
    sys.exit(main())
