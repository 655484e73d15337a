"""Help says the same of every option, whoever describes it: bounds, the value in force and who says so."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest


def unfolded(text: str) -> str:
    return " ".join(text.split()).replace("- ", "-")


def test_options_of_a_training_show_their_bounds_and_the_default_by_its_name(here: Any) -> None:
    shown = unfolded(here("fuser", "train", "--help")[1])
    assert "[default: robust-lite0]" in shown and "name=" not in shown
    assert "--batch INTEGER RANGE Images per step, over all devices. [default: 64; x>=1]" in shown
    assert "--images COUNT" in shown
    assert (
        "--held-out-share FLOAT RANGE Share of the images to hold out for validation. [default: 0.2; 0<x<1]"
        in shown
    )


def test_help_of_a_training_shows_what_preset_and_file_put_in_force(here: Any, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('images = "2k"\n')
    shown = unfolded(here("fuser", "train", "gan", "--preset", "modern-64", "--config", file, "--help")[1])
    assert "[default: 64, from preset modern-64; x>=1]" in shown
    assert f"[default: 2k, from file of options {file} line 1; x>=1]".replace(" ", "") in shown.replace(
        " ", ""
    )


@pytest.mark.parametrize(
    "command",
    [
        ("fuse",),
        ("fuse", "--fuser", "parts"),
        ("fuser", "train", "gan"),
        ("encoder", "train", "--encoder", "cnn", "--trainer", "pgd"),
        ("encoder", "study"),
        ("source", "info", "folder"),
    ],
    ids=" ".join,
)
def test_every_option_has_one_form_of_help(here: Any, command: tuple[str, ...]) -> None:
    code, out, _ = here(*command, "--help")
    assert code == 0
    options = re.split(r"\n  (?=-)", out)[1:]
    assert len(options) > 3
    for option in options:
        head, _, rest = re.sub(r"\n +", "  ", option.split("\n\n")[0]).strip().partition("  ")
        text, notes = " ".join(rest.split()), ""
        if text.endswith("]"):
            text, _, notes = text.rpartition(" [")
        first = re.split(r"[ :,;(]", text, maxsplit=1)[0]
        assert text.endswith((".", "?")), option
        # A value keeps its spelling.
        assert first[:1].isupper() or first in re.findall(r"[\w-]+", head + notes), option


def test_commands_are_grouped_and_no_summary_is_cut(here: Any) -> None:
    shown = here("--help")[1]
    sections = re.findall(r"^(\w+):$", shown, re.MULTILINE)
    assert sections == ["Options", "Make", "Measure", "Train", "Look"]
    for group in ((), ("encoder",), ("source",), ("plugins",), ("library",), ("runs",), ("fuser",)):
        assert "..." not in here(*group, "--help")[1].replace("[ARGS]...", "")


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--batch", "0"), "0 is not in the range x>=1"),
        (("--images", "0k"), "0 is not in the range x>=1"),
        (("--images", "many"), "write a number of images as 5000, 200k or 2M"),
        (("--ema", "2"), "2.0 is not in the range 0<=x<1"),
    ],
    ids=" ".join,
)
def test_a_value_out_of_bounds_is_refused_by_the_option_itself(
    here: Any, words: tuple[str, str], wrong: str
) -> None:
    code, _, err = here("encoder", "train", *words)
    assert code == 2 and wrong in err and words[0] in err
