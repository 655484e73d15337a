"""The page in a real browser: what a person does on it, with a stranger's fuser that answers at once."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from chimera_core.images.notes import read_notes

Picture = Callable[..., Path]
Command = Callable[..., None]


@pytest.fixture
def command(studio: Any, fork_server: Callable[..., Any]) -> Command:
    """Run the command line that the page gives, beside the studio and with its plugin."""

    def run(*words: object, cwd: Path) -> None:
        order = {"arguments": [str(word) for word in words]}
        done = fork_server(sys.executable, studio.environ).run(order, cwd=cwd, environ=studio.environ)
        assert done.returncode == 0, done.stderr

    return run


@pytest.fixture
def parents(picture: Picture) -> tuple[Path, Path]:
    return picture("lion.png", size=(96, 64)), picture("zebra.png", colour=(20, 90, 200), size=(80, 80))


def with_tint(page: Any, parents: tuple[Path, ...]) -> None:
    page.open()
    # Before the photographs, or Automatic would look for what suits them.
    page.choose("#fuser", "tint")
    page.until(lambda: "tint" in page.text("#summary"))
    for place, file in enumerate(parents, 1):
        page.drop(place, file)
        page.until(lambda place=place: page.text(f"#found-{place}"))
    page.until(lambda: all("ound" in page.text(f"#found-{k}") for k in range(1, len(parents) + 1)))


def test_two_photographs_become_a_creature_that_the_slider_turns(
    page: Any, parents: tuple[Path, Path]
) -> None:
    with_tint(page, parents)
    page.make()
    assert "50 : 50" in page.text("#status") and "tint: a toy" in page.text("#why").lower()
    before = page.stage
    page.set_range("#weight", 30)
    page.done("70 : 30")
    assert page.stage != before
    # A number that is typed half would be drawn, an emptied one is none.
    number = "return document.querySelector('#weight input[type=number]')"
    assert page.browser.execute_script(f"{number}.readOnly") and page.value("#weight") == "30"
    assert page.trouble() == []
    assert {url.split("/")[2] for url in page.asked() if url.startswith("http")} == {
        page.address.split("/")[2]
    }


def test_what_is_kept_says_how_it_was_made_and_the_copied_command_gives_the_same_bytes(
    page: Any, parents: tuple[Path, Path], command: Command, tmp_path: Path
) -> None:
    with_tint(page, parents)
    page.press("#options button")
    page.until(lambda: "How strong <b>the tint</b> is" in page.text("#option-strength"))
    assert "<i>tint</i>" in page.text("#summary")
    page.set_range("#option-strength", 7)
    page.choose("#option-tint", "blue")
    page.make()
    page.press("#alternatives")
    page.until(lambda: "Choose one" in page.text("#more-note"))
    page.resize(390)
    assert page.overflow() <= 0
    page.resize(1280)
    page.browser.execute_script("document.querySelectorAll('#gallery .grid-container button')[2].click()")
    page.done("alternative 3")
    file = page.download("#keep-png", tmp_path / "png")
    kept, text = file.read_bytes(), read_notes(file)
    assert json.loads(text["chimera.parents"]) == ["lion.png", "zebra.png"]
    assert (text["chimera.seed"], json.loads(text["chimera.weights"])) == ("2", [0.5, 0.5])
    options = json.loads(text["chimera.options"])
    assert (options["strength"], options["tint"]) == (7, "blue")

    words = shlex.split(page.command)
    assert words[:2] == ["chimera", "fuse"] and {"--strength", "--tint"} <= set(words)
    command(*words[1:-1], tmp_path / "again.png", cwd=parents[0].parent)
    assert (tmp_path / "again.png").read_bytes() == kept

    with zipfile.ZipFile(page.download("#keep-settings", tmp_path / "zip")) as archive:
        archive.extractall(tmp_path / "settings")
    command("fuse", "--config", "config.toml", "-o", tmp_path / "3.png", cwd=tmp_path / "settings")
    assert (tmp_path / "3.png").read_bytes() == kept


@pytest.mark.parametrize("deaf", [False, True], ids=["that reports progress", "that reports none"])
def test_cancel_stops_a_fuser_long_before_its_end_and_the_page_goes_on(
    page: Any, parents: tuple[Path, Path], deaf: bool
) -> None:
    with_tint(page, parents)
    page.press("#options button")
    page.set_range("#option-wait", 50)
    if deaf:
        page.press("#option-deaf input")
    page.press("#make")
    page.until(lambda: "Drawing" in page.text("#status"))
    if not deaf:
        page.until(lambda: "left" in page.text("#status"))
    page.press("#cancel")
    # It would draw for 50 seconds. How long Cancel takes is for benchmarks/studio.py.
    page.until(lambda: "Stopped" in page.text("#status"), seconds=20)
    page.set_range("#option-wait", 0)
    page.make()
    page.set_range("#option-wait", 50)
    page.set_range("#weight", 30)
    page.until(lambda: "Drawing" in page.text("#status"))
    page.press("#cancel")
    page.until(lambda: "Stopped" in page.text("#status") and "other settings" in page.text("#status"))
    page.until(lambda: page.value("#weight") == "50")
    assert page.text("#cancel") == "Cancel"


def test_three_animals_share_the_weight_and_move_as_a_gif(
    page: Any, parents: tuple[Path, Path], picture: Picture, tmp_path: Path
) -> None:
    page.open()
    width = page.browser.execute_script(COLUMN)  # it is the same whatever the page shows
    with_tint(page, parents)
    page.press("#options button")
    page.choose("#size", "256 pixels")
    page.press("#add-third")
    page.drop(3, picture("okapi.png", colour=(90, 40, 30)))
    page.until(lambda: "okapi" in page.text("#found-3") and "Looking" not in page.text("#found-3"))
    page.set_range("#share-3", 50)
    page.until(
        lambda: (
            page.browser.find_element("css selector", "#share-1 input[type=range]").get_attribute("value")
            == "25"
        )
    )
    page.make()
    assert "25 : 25 : 50" in page.text("#status")
    page.press("#gif")
    page.until(lambda: "Done" in page.text("#more-note"))
    assert page.browser.execute_script(COLUMN) == width
    with Image.open(page.download("#keep-gif", tmp_path / "gif")) as moving:
        assert moving.format == "GIF" and moving.n_frames > 5


def test_a_creature_of_before_brings_back_all_that_it_was_made_of(
    page: Any, parents: tuple[Path, Path]
) -> None:
    with_tint(page, parents)
    page.press("#options button")
    page.set_range("#option-strength", 7)
    page.make()
    first = page.command
    page.set_range("#weight", 30)
    page.done("70 : 30")
    page.set_range("#option-strength", 2)
    page.make()
    page.until(lambda: "--strength 2" in page.command)
    page.browser.execute_script(
        "[...document.querySelectorAll('#history .grid-container button')].at(-1).click()"
    )
    page.done("50 : 50")
    assert page.command == first
    page.until(lambda: page.value("#weight") == "50" and page.value("#option-strength") == "7")
    page.make()
    assert page.command == first
    page.press("#parent-1 button[aria-label='Remove Image']")
    page.until(lambda: "Drop the first animal, too" in page.text("#status"))
    assert not page.browser.find_element("css selector", "#make").is_enabled()
    page.browser.execute_script("document.querySelector('#history .grid-container button').click()")
    page.done("70 : 30")  # the newest one
    assert "lion" in page.text("#found-1")
    page.until(lambda: page.browser.find_element("css selector", "#make").is_enabled())
    page.browser.refresh()
    page.until(lambda: "70 : 30" in page.text("#status") and "lion" in page.text("#found-1") and page.stage)
    page.until(lambda: page.value("#weight") == "30" and page.text("#history").count("lion + zebra") == 3)


def test_a_name_that_nobody_knows_leaves_what_was_there(page: Any, parents: tuple[Path, Path]) -> None:
    with_tint(page, parents)
    found = page.until(lambda: text if "lion.png: " in (text := page.text("#found-1")) else "")
    page.type("#name-2", "unicorn")
    page.until(lambda: "No picture called 'unicorn'" in page.text("#found-2"))
    assert "corn'?" not in page.text("#found-2") and "--" not in page.text("#found-2")
    page.until(lambda: page.text("#found-1") == found)
    page.make()
    assert "zebra.png" in page.command


def test_names_stay_text_and_broken_files_are_refused_by_name(
    page: Any, picture: Picture, tmp_path: Path
) -> None:
    page.open()
    hostile = picture("<img src=x onerror=alert(1)>.png".replace("/", ""))
    page.drop(1, hostile)
    page.until(lambda: "Found" in page.text("#found-1") or "No animal" in page.text("#found-1"))
    assert "onerror" in page.text("#found-1")
    assert page.browser.execute_script("return document.querySelectorAll('img[onerror]').length") == 0
    broken = tmp_path / "broken & sad.png"
    broken.write_bytes(hostile.read_bytes()[:60])
    page.drop(2, broken)
    page.until(lambda: "broken & sad.png" in page.text("#found-2"))
    assert not page.browser.find_element("css selector", "#make").is_enabled()
    assert page.trouble() == []


def test_two_tabs_draw_without_knowing_each_other(page: Any, parents: tuple[Path, Path]) -> None:
    with_tint(page, parents)
    page.make()
    first, stage = page.browser.current_window_handle, page.stage
    page.browser.switch_to.new_window("tab")
    try:
        with_tint(page, parents[::-1])
        page.make()
        assert page.stage != stage
    finally:
        page.browser.close()
        page.browser.switch_to.window(first)
    assert page.stage == stage


def test_real_photographs_show_head_and_outline_and_are_fused_as_by_the_command(
    page: Any, photos: Path, command: Command, tmp_path: Path
) -> None:
    page.open()
    page.drop(1, photos / "llama.jpg")
    page.drop(2, photos / "german_shepherd.jpg")
    page.until(lambda: all("outline, head" in page.text(f"#found-{k}") for k in (1, 2)))
    # The places follow what Automatic is going to take, before anything is drawn.
    page.until(
        lambda: "gives the body" in page.text("#parent-1") and "gives the head" in page.text("#parent-2")
    )
    page.choose("#fuser", "parts")
    page.press("#options button")
    page.choose("#size", "256 pixels")
    page.make()
    page.set_range("#weight", 30)
    page.done("70 : 30")
    kept = page.download("#keep-png", tmp_path / "png")
    command(*shlex.split(page.command)[1:-1], tmp_path / "again.png", cwd=photos)
    assert (tmp_path / "again.png").read_bytes() == kept.read_bytes()


UNNAMED = """
return [...document.querySelectorAll("button, input:not([type=file]), textarea")].filter((e) => e.offsetWidth
  && !(e.innerText || e.ariaLabel || e.title || e.labels?.length || e.getAttribute("aria-labelledby")))
  .map((e) => e.outerHTML.slice(0, 120));
"""
LUMINANCE = """
const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const colour = (element, key) => getComputedStyle(element)[key].match(/[\\d.]+/g).map(Number);
const ground = (element) => {
  for (; element; element = element.parentElement) {
    const found = colour(element, "backgroundColor");
    if (found.length === 3 || found[3] === 1) return light(found.slice(0, 3));
  }
  return light(colour(document.body, "backgroundColor").slice(0, 3));
};
const symbols = [...document.querySelectorAll(".source-selection button")];
if (!symbols.length) return "no symbols";
const faint = symbols.map((e) => [light(colour(e, "color").slice(0, 3)), ground(e)])
  .map(([ink, paper]) => [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), "a symbol"])
  .filter(([contrast]) => contrast < 3);
return faint.concat([...document.querySelectorAll("h1, h2, p, label, button:enabled, span, input, textarea:enabled")]
  .filter((e) => e.offsetWidth && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
  .filter((e) => !e.closest("button:disabled"))
  .map((e) => {
    const [ink, paper] = [light(colour(e, "color").slice(0, 3)), ground(e)];
    return [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), e.textContent.trim().slice(0, 40)];
  }).filter(([contrast]) => contrast < 4.5));
"""
# Words and what stands at their right, with room between them.
CROWDED = """
const pairs = [["#command [data-testid=block-info]", "#command button"],
  ["#options > button > span:first-child", "#options > button > span:last-child"]];
return pairs.filter(([words, beside]) => {
  const range = document.createRange();
  range.selectNodeContents(document.querySelector(words));
  const [a, b] = [range, document.querySelector(beside)].map((e) => e.getBoundingClientRect());
  return a.right + 4 > b.left && a.top < b.bottom && b.top < a.bottom;
});
"""
COLUMN = "return Math.round(document.querySelector('main').getBoundingClientRect().width)"


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1280, False)])
def test_the_page_is_never_wider_than_its_window_and_its_text_stands_out(
    page: Any, width: int, dark: bool
) -> None:
    page.open(width=width, dark=dark)
    assert page.overflow() <= 0
    assert page.browser.execute_script(CROWDED) == []
    # A script names what Gradio leaves without a name, a moment after it is there.
    page.until(lambda: page.browser.execute_script(UNNAMED) == [], seconds=10)
    page.resize(1280)
    # What the Web Content Accessibility Guidelines ask of text.
    assert page.browser.execute_script(LUMINANCE) == []


def test_a_killed_studio_leaves_nothing_behind(tmp_path: Path) -> None:
    from toys.studio_server import start_studio

    served = start_studio(tmp_path)
    private = served.private
    assert os.stat(private).st_mode & 0o777 == 0o700
    served.process.send_signal(signal.SIGKILL)
    served.process.wait()
    end = time.monotonic() + 20
    while private.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not private.exists()
