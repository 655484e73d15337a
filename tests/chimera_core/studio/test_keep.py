"""The copied command and the settings say what was asked for."""

from __future__ import annotations

import shlex
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import click
import pytest

from chimera_core.cli.fuse import fuse
from chimera_core.plugins.discovery import default_host
from chimera_core.studio.asks import Ask
from chimera_core.studio.fuser_options import OWN_FLAGS, flags_for, nested, read_value, words_for
from chimera_core.studio.keep import command_for, title_of, write_settings


def test_a_plain_creature_is_a_short_command() -> None:
    ask = Ask(("/private/parents/1/lion.jpg", "cat"), (0.7, 0.3))
    assert (
        command_for(ask, [], {}) == "chimera fuse lion.jpg cat --weights 0.7,0.3 --size 512 -o creature.png"
    )


def test_everything_that_was_set_is_in_the_command() -> None:
    options: dict[tuple[str, ...], Any] = {
        ("head_box",): ["auto", "0.1,0.2,0.3,0.4"],
        ("head_size",): 1.25,
        ("coat",): "none",
    }
    ask = Ask(
        ("/p/1/-x.png", "/p/2/two words.png", "/p/3/-x.png"),
        (0.2, 0.3, 0.5),
        seed=3,
        size=256,
        fuser="parts",
        options=nested(options),
        masks=("auto", "/p/masks/m.png", "auto"),
        background="white",
    )
    words = shlex.split(command_for(ask, flags_for(default_host(), "parts"), options))
    assert words[2:5] == ["./-x.png", "two words.png", "./-x-2.png"]
    for pair in (
        "--fuser parts",
        "--seed 3",
        "--size 256",
        "--mask auto --mask masks/2.png --mask auto",
        "--background white",
        "--head-box auto --head-box 0.1,0.2,0.3,0.4",
        "--head-size 1.25",
        "--coat none",
    ):
        assert pair in " ".join(words)


def test_options_of_named_components_are_written_dotted() -> None:
    host = default_host()
    flags = flags_for(host, "style-transfer")
    values: dict[tuple[str, ...], Any] = {
        ("encoder", "options", "model"): "vgg19.tv_in1k",
        ("encoder",): "timm",
        ("style_levels",): ["0", "1"],
    }
    assert words_for(flags, values) == shlex.split(
        "--encoder timm --encoder.model vgg19.tv_in1k --style-levels 0 --style-levels 1"
    )
    assert nested(values)["encoder"] == {"name": "timm", "options": {"model": "vgg19.tv_in1k"}}


def test_a_control_says_only_what_is_not_in_force() -> None:
    flags = {flag.path: flag for flag in flags_for(default_host(), "style-transfer")}
    iterations, levels = flags[("iterations",)], flags[("style_levels",)]
    assert [read_value(iterations, value) for value in (60, 60.0, 61, None, "")] == [
        None,
        None,
        61,
        None,
        None,
    ]
    assert read_value(levels, "0\n1\n2\n3") is None
    assert read_value(levels, "0\n\n2 ") == ["0", "2"]


def test_the_flags_of_the_command_itself_are_all_known() -> None:
    context = click.Context(fuse)
    taken = {name for p in fuse.params for name in (*p.opts, *p.secondary_opts) if name.startswith("-")}
    assert taken | set(context.help_option_names[:1]) == set(OWN_FLAGS)


def test_settings_hold_all_that_makes_the_picture_again(tmp_path: Path) -> None:
    for name in ("1/a.png", "2/a.png", "masks/m.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    ask = Ask(
        (str(tmp_path / "1/a.png"), str(tmp_path / "2/a.png"), "cat"),
        (0.5, 0.25, 0.25),
        masks=("auto", str(tmp_path / "masks/m.png"), "auto"),
        fuser="parts",
        options={"head_size": 2.0},
    )
    packed = write_settings(tmp_path / "settings.zip", ask, "chimera fuse ...")
    with zipfile.ZipFile(packed) as archive:
        table = tomllib.loads(archive.read("config.toml").decode())
        assert sorted(archive.namelist()) == ["a-2.png", "a.png", "config.toml", "masks/2.png"]
        assert archive.read("a-2.png") == b"2/a.png"
    assert table == {
        "command": "fuse",
        "parents": ["a.png", "a-2.png", "cat"],
        "weights": [0.5, 0.25, 0.25],
        "seed": 0,
        "size": 512,
        "mask": ["auto", "masks/2.png", "auto"],
        "fuser": {"name": "parts", "options": {"head_size": 2.0}},
    }
    before = packed.read_bytes()
    assert write_settings(tmp_path / "again.zip", ask, "chimera fuse ...").read_bytes() == before


@pytest.mark.parametrize(
    "field", ["parents", "weights", "seed", "size", "fuser", "preset", "options", "masks", "background"]
)
def test_whatever_is_asked_otherwise_is_another_picture(field: str) -> None:
    from dataclasses import replace

    ask = Ask(("a", "b"), (0.5, 0.5))
    other: dict[str, Any] = {
        "parents": ("b", "a"), "weights": (0.4, 0.6), "seed": 1, "size": None, "fuser": "parts", "preset": "x",
        "options": {"a": 1}, "masks": ("auto", "m"), "background": "white",
    }  # fmt: skip
    assert replace(ask, **{field: other[field]}).identity != ask.identity
    assert title_of(ask) == "a-b-50-50-seed0"
