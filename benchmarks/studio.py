"""How long the studio's page takes on this machine: the first creature, steps of the slider, two tabs, Cancel.

Run: python benchmarks/studio.py FIRST SECOND [THIRD]

It opens `chimera studio` in Chromium and drops the photographs. Printed are seconds from dropping the last one until the
creature is shown, the button being pressed as soon as it can be; of each step of the slider, once both ends are drawn, and once
all steps are; from Cancel until the page says that drawing has stopped; and of the same photographs dropped in two tabs at once.
Needs the extra `studio`, selenium and chromedriver.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from toys.browser import open_browser  # noqa: E402
from toys.studio_server import end_studio, start_studio  # noqa: E402

STEPS = (45, 40, 35, 30, 25, 30, 35, 40, 45, 50)
DRAWN_S = 300


def main() -> None:
    """Read photographs from the command line, and print seconds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, nargs="+", metavar="FIRST SECOND [THIRD]")
    args = parser.parse_args()
    if not 2 <= len(args.photographs) <= 3:
        parser.error("give two or three photographs")
    photographs = [path.resolve() for path in args.photographs]
    with tempfile.TemporaryDirectory() as folder, contextmanager(open_browser)() as browser:
        served = start_studio(Path(folder))
        try:
            page = page_class()(browser, served.address)
            page.open()
            time.sleep(10)  # a person looks for photographs while the worker loads
            print(f"first creature {first_creature(page, photographs):.1f} s after dropping")
            print(f"then: {page.text('#status')}")
            if len(photographs) == 2:
                draw_ends(page)
                for when in ("while others are drawn ahead", "once all are drawn"):
                    steps = slider_steps(page)
                    told = ", ".join(f"{share}: {s:.2f}" for share, s in zip(STEPS, steps, strict=True))
                    print(
                        f"a step of the slider {when}: {median(steps):.2f} s, the longest {max(steps):.2f} s"
                    )
                    print(f"  by where it goes, in per cent: {told}")
            print(f"Cancel {cancel(page):.2f} s")
            print(f"two tabs at once {two_tabs(page, photographs)}")
        finally:
            end_studio(served)


def page_class() -> Any:
    """Give the page by what a person does on it, as the tests have it."""
    file = TESTS / "chimera_core" / "studio" / "conftest.py"
    spec = importlib.util.spec_from_file_location("studio_page", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Page


def timed(act: Callable[[], object]) -> float:
    """Give the seconds that something takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def drop(page: Any, photographs: Sequence[Path]) -> None:
    """Drop photographs on their places."""
    if len(photographs) == 3:
        page.press("#add-third")
    for place, file in enumerate(photographs, 1):
        page.drop(place, file)


def is_done(page: Any) -> bool:
    """Tell whether a creature is shown."""
    return "Done" in page.text("#status") and bool(page.stage)


def first_creature(page: Any, photographs: Sequence[Path]) -> float:
    """Drop, press the button, and wait for the creature."""
    drop(page, photographs)

    def rest() -> None:
        page.press("#make")
        page.until(lambda: is_done(page), DRAWN_S)

    return timed(rest)


def draw_ends(page: Any) -> None:
    """Draw both ends, and come back to the middle."""
    for end in (0, 100, 50):
        before = page.stage
        page.set_range("#weight", end)
        page.until(lambda before=before: page.stage != before and is_done(page), DRAWN_S)


def slider_steps(page: Any) -> list[float]:
    """Move the slider, and wait for each picture."""
    taken = []
    for step in STEPS:
        before = page.stage
        start = time.perf_counter()
        page.set_range("#weight", step)
        page.until(lambda before=before: page.stage != before and is_done(page), DRAWN_S)
        taken.append(time.perf_counter() - start)
    return taken


def cancel(page: Any) -> float:
    """Ask for alternatives, which take long, and stop them."""
    page.press("#alternatives")
    page.until(lambda: page.browser.find_element("css selector", "#cancel").is_enabled())
    time.sleep(1)
    page.press("#cancel")
    return timed(lambda: page.until(lambda: "topped" in page.text("#status") + page.text("#more-note")))


def two_tabs(page: Any, photographs: Sequence[Path]) -> str:
    """Drop the photographs in two new tabs, press both buttons, and wait for both creatures."""
    browser = page.browser
    tabs = []
    for _ in range(2):
        browser.switch_to.new_window("tab")
        page.open()
        tabs.append(browser.current_window_handle)
    start = time.perf_counter()
    for tab in tabs:
        browser.switch_to.window(tab)
        drop(page, photographs)
        page.press("#make")
    taken: dict[str, float] = {}
    while len(taken) < len(tabs):
        for tab in tabs:
            browser.switch_to.window(tab)
            if tab not in taken and is_done(page):
                taken[tab] = time.perf_counter() - start
        if time.perf_counter() - start > DRAWN_S:
            raise SystemExit(f"two tabs: waited {DRAWN_S} s in vain")
    return " and ".join(f"{seconds:.1f} s" for seconds in sorted(taken.values()))


if __name__ == "__main__":
    main()
