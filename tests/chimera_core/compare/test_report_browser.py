"""The page in a real browser: what it asks for, and whether keys and narrow windows do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toys.made_up_comparison import FUSERS, SHARES, WEIRD

pytestmark = pytest.mark.slow

Opened = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, written: Path) -> Iterator[Opened]:
    """Open the report at a width and in a colour scheme; afterwards see that the browser found nothing wrong."""

    def call(*, width: int = 1280, dark: bool = False) -> Any:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme, still]})
        browser.get((written / "report.html").as_uri())
        wait(browser, "return [...document.querySelectorAll('.tile img')].length > 0")
        return browser

    for kind in ("browser", "performance"):
        browser.get_log(kind)
    yield call
    assert browser.get_log("browser") == []


def wait(browser: Any, script: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda driver: driver.execute_script(script))


def press(browser: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def focus(browser: Any, selector: str) -> None:
    browser.execute_script("document.querySelector(arguments[0]).focus()", selector)


def focused(browser: Any, read: str) -> Any:
    return browser.execute_script(f"const element = document.activeElement; return {read}")


def scroll_through(browser: Any) -> None:
    for place in range(0, browser.execute_script("return document.documentElement.scrollHeight"), 700):
        browser.execute_script("scrollTo(0, arguments[0])", place)
        browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")


@pytest.mark.slow
def test_no_request_leaves_the_page_and_every_picture_has_alt_text(opened: Opened, written: Path) -> None:
    browser = opened()
    scroll_through(browser)
    browser.execute_script("document.querySelector('.tile').click()")
    asked = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
    ]
    assert (written / "report.html").as_uri() in asked  # the log sees requests
    assert {url.split(":")[0] for url in asked} == {"file", "data"}
    assert len([url for url in asked if url.startswith("file:")]) == 1
    images = browser.execute_script(
        "return [...document.images].map((image) => [image.alt, image.complete && image.naturalWidth])"
    )
    # 3 pairs and a trio: parents but the one without picture, and the creatures of five of six fusers.
    assert len(images) >= 3 * 2 - 1 + 3 + 4 * 5 - 1
    assert all(alt and width for alt, width in images)


def test_a_name_that_looks_like_markup_is_shown_as_text(opened: Opened) -> None:
    browser = opened()
    captions = browser.execute_script(
        "return [...document.querySelectorAll('.parents figcaption')].map((caption) => caption.firstChild.textContent"
        " + caption.textContent)"
    )
    assert any(WEIRD in caption for caption in captions)
    assert browser.execute_script("return document.querySelectorAll('img[onerror], img[src=x]').length") == 0


def test_the_slider_goes_by_arrow_keys_and_the_pictures_follow(opened: Opened) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = opened()
    first = "document.querySelector('.tile img')"
    assert "50 % parent 0-0.jpg" in browser.execute_script(f"return {first}.alt")
    before = browser.execute_script(f"return {first}.src")
    focus(browser, "#weight")
    press(browser, Keys.ARROW_RIGHT)
    assert focused(browser, "element.getAttribute('aria-valuetext')") == "25 : 75"
    assert browser.execute_script(f"return {first}.alt").startswith(
        f"25 % parent 0-0.jpg and 75 % {WEIRD}, by skin"
    )
    assert browser.execute_script(f"return {first}.src") != before
    press(browser, *[Keys.ARROW_LEFT] * (len(SHARES) + 1))
    assert browser.execute_script("return document.getElementById('weight-text').textContent") == "100 : 0"


def test_another_seed_shows_other_cells(opened: Opened) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = opened()
    tile = "document.querySelector('td[data-fuser=\"2\"] .tile')"
    # At the middle weights the third fuser failed with seed 0 only.
    assert "ValueError: <b>no</b> luck" in browser.execute_script(f"return {tile}.textContent")
    focus(browser, "#seed")
    press(browser, Keys.ARROW_DOWN)
    assert "seed 1" in browser.execute_script(f"return {tile}.querySelector('img').alt")


def test_a_heading_sorts_by_the_enter_key_and_what_has_no_figure_stays_last(opened: Opened) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = opened()
    names = "return [...document.querySelectorAll('#table tbody th')].map((th) => th.dataset.value)"
    assert browser.execute_script(names) == list(FUSERS)
    focus(browser, "#table th:nth-child(3) button")
    press(browser, Keys.ENTER)
    assert focused(browser, "element.parentElement.ariaSort") == "descending"
    assert browser.execute_script(names) == list(FUSERS)
    press(browser, Keys.SPACE)
    assert focused(browser, "element.parentElement.ariaSort") == "ascending"
    assert browser.execute_script(names) == [*reversed(FUSERS[:-1]), FUSERS[-1]]
    assert browser.execute_script("return document.querySelectorAll('#table [aria-sort]').length") == 1
    focus(browser, "#table th:nth-child(2) button")
    press(browser, Keys.ENTER)
    assert browser.execute_script(names) == sorted(FUSERS)


def test_arrow_keys_walk_the_pictures_and_enter_opens_a_sheet_that_escape_closes(opened: Opened) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = opened()
    assert browser.execute_script("return document.querySelectorAll('.tile[tabindex=\"0\"]').length") == 1
    focus(browser, '.tile[tabindex="0"]')
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    place = "[element.closest('tr').dataset.tuple, element.parentElement.dataset.fuser]"
    assert focused(browser, place) == ["1", "1"]
    press(browser, Keys.ENTER)
    assert browser.execute_script("return document.getElementById('sheet').open")
    title = browser.execute_script("return document.getElementById('sheet-title').textContent")
    assert title == "morph: parent 1-0.jpg + parent 1-1.jpg"
    shown = browser.execute_script("return document.getElementById('sheet-body').innerText")
    assert "leakage" in shown and "n/a: 4 images, and a subset takes 100" in shown
    press(browser, Keys.ESCAPE)
    assert not browser.execute_script("return document.getElementById('sheet').open")
    assert focused(browser, place) == ["1", "1"]


@pytest.mark.slow
def test_the_sheet_of_a_single_picture_does_not_blow_it_up(opened: Opened) -> None:
    browser = opened()
    scroll_through(browser)
    browser.execute_script("document.querySelector('tr[data-tuple=\"3\"] .tile').click()")
    width, top = browser.execute_script(
        "return [document.querySelector('.strip img').offsetWidth, document.getElementById('sheet').scrollTop]"
    )
    assert 100 <= width <= 240 and top == 0


def test_a_fuser_is_put_away_and_comes_back(opened: Opened) -> None:
    from selenium.webdriver.common.keys import Keys

    browser = opened()
    seen = "return [...document.querySelectorAll('tr[data-tuple=\"0\"] td')].filter((td) => td.offsetWidth).length"
    assert browser.execute_script(seen) == len(FUSERS)
    focus(browser, "#chooser summary")
    press(browser, Keys.ENTER, Keys.TAB, Keys.SPACE)
    assert browser.execute_script(seen) == len(FUSERS) - 1
    assert browser.execute_script("return document.getElementById('chosen').textContent") == "5 of 6"
    press(browser, Keys.SPACE)
    assert browser.execute_script(seen) == len(FUSERS)


LUMINANCE = """
const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const colour = (element, key) => getComputedStyle(element)[key].match(/[\\d.]+/g).slice(0, 3).map(Number);
const paper = light(colour(document.body, "backgroundColor"));
return [paper, Math.min(...[...document.querySelectorAll("p, li, td, th, dd, figcaption, .caption span, .tag")].map((e) => {
  const ink = light(colour(e, "color"));
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}))];
"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_in_light_and_dark_and_the_button_turns_them(opened: Opened, dark: bool) -> None:
    browser = opened(dark=dark)
    for _ in range(2):
        paper, contrast = browser.execute_script(LUMINANCE)
        assert paper < 0.05 if dark else paper > 0.8
        assert contrast >= 4.5  # what the Web Content Accessibility Guidelines ask of text
        browser.execute_script("document.getElementById('theme').click()")
        dark = not dark


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_never_wider_than_its_window(opened: Opened, width: int) -> None:
    browser = opened(width=width)
    scroll_through(browser)
    room, wide = browser.execute_script(
        "const d = document.documentElement; return [d.clientWidth, d.scrollWidth]"
    )
    assert wide == room and width - 20 <= room <= width  # a scroll bar takes up to 20
    tiles = browser.execute_script(
        "return [...document.querySelectorAll('.tile')].map((t) => t.getBoundingClientRect().width)"
    )
    assert tiles and min(tiles) >= 100
    plots = "return ['.for-wide', '.for-small'].map((name) => document.querySelector(name).offsetWidth > 0)"
    assert browser.execute_script(plots) == ([False, True] if width == 390 else [True, False])


@pytest.mark.slow
def test_pictures_are_built_only_near_the_window(opened: Opened, written: Path) -> None:
    browser = opened(width=390)
    built = "return [...document.querySelectorAll('#matrix tr[data-filled]')].map((row) => row.dataset.tuple)"
    assert "3" not in browser.execute_script(built)
    browser.execute_script("document.querySelector('tr[data-tuple=\"3\"]').scrollIntoView()")
    wait(browser, "return document.querySelectorAll('tr[data-tuple=\"3\"] img').length === 3 + 5")
