"""One studio for all browser tests, with a stranger's fuser that answers at once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toys.studio_server import Served, end_studio, start_studio


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = start_studio(tmp_path_factory.mktemp("studio"))
    yield served
    end_studio(served)
    assert not list(Path(served.environ["TMPDIR"]).glob(".chimera-studio.*")), "it left its folder"
    printed = (served.folder / "stderr").read_text()
    assert "Traceback" not in printed, [line for line in printed.splitlines() if line[:1] not in ("", " ")]


class Page:
    """The page in a browser, by what a person does on it."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser, self.address = browser, address

    def resize(self, width: int) -> None:
        size = {"width": width, "height": 1600, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def overflow(self) -> int:
        """Give how many pixels the page is wider than its window."""
        script = "const d = document.documentElement; return d.scrollWidth - d.clientWidth"
        return int(self.browser.execute_script(script))

    def open(self, *, width: int = 1280, dark: bool = False) -> Page:
        self.resize(width)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        # A tab that was used before begins anew.
        self.browser.execute_script("try { sessionStorage.clear() } catch {}")
        self.browser.get(self.address)
        self.until(lambda: self.browser.find_element("css selector", "#parent-1 input[type=file]"))
        return self

    def until(self, ready: Callable[[], Any], seconds: float = 150) -> Any:
        from selenium.common.exceptions import WebDriverException

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if value := ready():
                    return value
            except WebDriverException:
                pass
            time.sleep(0.05)
        seen = {name: self.text(name) for name in ("#status", "#found-1", "#found-2", "#more-note", "#hint")}
        raise AssertionError(f"waited {seconds} s in vain; the page shows {seen}")

    def text(self, selector: str) -> str:
        script = "const e = document.querySelector(arguments[0]); return e ? e.innerText : ''"
        return str(self.browser.execute_script(script, selector))

    def drop(self, place: int, file: Path) -> None:
        """Drop a file on a parent's place."""
        find = lambda: self.browser.find_element("css selector", f"#parent-{place} input[type=file]")  # noqa: E731
        self.until(find).send_keys(str(file))

    def press(self, selector: str) -> None:
        def pressed() -> bool:  # what is found may be drawn anew before it is clicked
            element = self.browser.find_element("css selector", selector)
            self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
            if not element.is_enabled():
                return False
            element.click()
            return True

        self.until(pressed)

    def choose(self, selector: str, label: str) -> None:
        """Choose an entry of a list by its label."""
        from selenium.webdriver.common.keys import Keys

        entry = f"//ul[@role='listbox']//li[normalize-space(.)={json.dumps(label)} or @aria-label={json.dumps(label)}]"

        def chosen() -> bool:
            field = self.browser.find_element("css selector", f"{selector} input")
            self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", field)
            field.click()
            field.send_keys(Keys.CONTROL, "a")
            field.send_keys(label)
            found = self.browser.find_elements("xpath", entry)
            if found:
                found[0].click()
            return bool(found)

        self.until(chosen)

    def set_range(self, selector: str, value: float) -> None:
        """Move a slider."""
        script = (
            "const e = document.querySelector(arguments[0]); Object.getOwnPropertyDescriptor("
            "HTMLInputElement.prototype, 'value').set.call(e, arguments[1]);"
            "e.dispatchEvent(new Event('input', {bubbles: true}))"
        )
        self.until(lambda: self.browser.find_element("css selector", f"{selector} input[type=range]"))
        self.browser.execute_script(script, f"{selector} input[type=range]", str(value))

    def value(self, selector: str) -> str:
        """Give where a slider stands."""
        script = "return document.querySelector(arguments[0]).value"
        return str(self.browser.execute_script(script, f"{selector} input[type=range]"))

    def type(self, selector: str, text: str) -> None:
        """Type into a list that takes other words, too."""
        from selenium.webdriver.common.keys import Keys

        field = self.until(lambda: self.browser.find_element("css selector", f"{selector} input"))
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", field)
        field.click()
        field.send_keys(text, Keys.ENTER)

    def make(self) -> None:
        self.press("#make")
        self.done()

    def done(self, words: str = "Done") -> None:
        self.until(lambda: words in self.text("#status") and "Done" in self.text("#status"))

    @property
    def stage(self) -> str:
        return str(self.browser.execute_script("return document.querySelector('#stage img')?.src ?? ''"))

    @property
    def command(self) -> str:
        return str(self.browser.execute_script("return document.querySelector('#command textarea').value"))

    def download(self, selector: str, folder: Path) -> Path:
        """Press a button that downloads something; give the file."""
        folder.mkdir(exist_ok=True)
        behaviour = {"behavior": "allow", "downloadPath": str(folder)}
        self.browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
        self.press(selector)
        (file,) = self.until(lambda: [f for f in folder.iterdir() if not f.name.endswith(".crdownload")])
        return Path(file)

    def trouble(self) -> list[str]:
        """Give what the browser's console calls an error."""
        return [e["message"] for e in self.browser.get_log("browser") if e["level"] == "SEVERE"]

    def asked(self) -> list[str]:
        """Give the addresses that were asked for."""
        messages = (json.loads(e["message"])["message"] for e in self.browser.get_log("performance"))
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]


@pytest.fixture
def page(browser: Any, studio: Served) -> Page:
    browser.get_log("browser"), browser.get_log("performance")
    return Page(browser, studio.address)
