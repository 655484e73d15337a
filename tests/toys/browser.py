"""A real browser without a window, for the pages that we write and serve."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--window-size=1280,1600",
)


def open_browser() -> Iterator[Any]:
    """Give a browser that logs its console and its requests; it ends with the tests that share it."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: extra 'test'")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no chromium and chromedriver on this machine: apt-get install chromium chromium-driver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    # Named, so that selenium does not look for a driver on the network.
    driver = webdriver.Chrome(
        options=options, service=Service(DRIVER, env={**os.environ, "SE_OFFLINE": "true"})
    )
    yield driver
    driver.quit()
