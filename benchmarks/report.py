"""How large a report of very many pictures is, how long it takes to write, and how soon a browser shows it.

Run: python benchmarks/report.py [--fusers 50] [--pairs 200] [--seeds 1] [--size 64] [--opens 5]

The comparison is made up; its noisy pictures compress worse than photographs. "shown" is the time from the start of the
navigation until the first rows' pictures are decoded, "slider" from a move of the slider until the frame is painted.
Needs chromium, its driver and selenium (extra `test`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from chimera_core.report.page import write_report

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from toys.made_up_comparison import write_comparison

SHOWN = """
const done = arguments[0];
(function look() {
  const images = [...document.querySelectorAll(".tile img")];
  if (images.length && images.slice(0, 8).every((image) => image.complete && image.naturalWidth))
    done(performance.now());
  else requestAnimationFrame(look);
})();
"""
MOVED = """
const done = arguments[0], slider = document.getElementById("weight"), start = performance.now();
slider.value = 1;
slider.dispatchEvent(new Event("input", { bubbles: true }));
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
"""


def main(arguments: list[str] | None = None) -> None:
    """Print what was measured as one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fusers", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--opens", type=int, default=5)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "comparison")
        write_comparison(
            folder,
            fusers=[f"fuser-{index}" for index in range(given.fusers)],
            pairs=given.pairs,
            seeds=range(given.seeds),
            size=given.size,
            trios=0,
            pictures=2000,
        )
        start = time.perf_counter()
        page = write_report(folder)
        found: dict[str, Any] = {
            **vars(given),
            "write_s": round(time.perf_counter() - start, 1),
            "page_bytes": page.stat().st_size,
        }
        if given.opens:
            opened = [open_page(page) for _ in range(given.opens)]
            found["median_ms"] = {key: round(statistics.median(o[key] for o in opened)) for key in opened[0]}
            found["slowest_ms"] = {key: round(max(o[key] for o in opened)) for key in opened[0]}
    print(json.dumps(found, indent=2))


def open_page(page: Path) -> dict[str, float]:
    """Open the page in a browser that has never seen it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.get(page.as_uri())
        shown = driver.execute_async_script(SHOWN)
        load = driver.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
        return {"load": load, "shown": shown, "slider": driver.execute_async_script(MOVED)}
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
