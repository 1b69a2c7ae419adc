"""One headless browser for all tests of pages, on no network."""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
DRIVER = shutil.which("chromedriver") or ""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One headless browser for all tests here, on no network."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install -e .[test]")
    if not BROWSER or not DRIVER:
        pytest.skip("There is no chromium with chromedriver here; install both and the page is tried in them.")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    driver.set_script_timeout(120)
    yield driver
    driver.quit()
