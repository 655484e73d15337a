"""A ZIP that the page saved comes back as it was; any other is refused in one line."""

from __future__ import annotations

import errno
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chimera_core.errors import ChimeraError
from chimera_core.files.toml import to_toml
from chimera_core.plugins.discovery import default_host
from chimera_core.studio.asks import Ask
from chimera_core.studio.fuser_options import nested
from chimera_core.studio.keep import write_settings
from chimera_core.studio.reopen import reopen

OPTIONS: dict[tuple[str, ...], Any] = {
    ("head_box",): ["auto", "0.1,0.2,0.3,0.4"],
    ("head_size",): 1.25,
    ("coat",): "none",
}


@pytest.fixture
def private(tmp_path: Path) -> Path:
    (tmp_path / "private").mkdir()
    return tmp_path / "private"


def zipped(file: Path, table: dict[str, Any], **files: bytes) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.toml", to_toml(table))
        for name, content in files.items():
            archive.writestr(f"{name}.png", content)
    return file


def test_what_was_saved_comes_back_as_it_was(tmp_path: Path, private: Path, picture: Any) -> None:
    ask = Ask(
        (str(picture("lion.png")), str(picture("two words.png", colour=(1, 2, 3))), "cat"),
        (0.2, 0.3, 0.5),
        seed=3,
        size=384,
        fuser="parts",
        options=nested(OPTIONS),
        masks=("auto", str(picture("mask.png")), "auto"),
        background="white",
    )
    held = reopen(write_settings(tmp_path / "s.zip", ask, "..."), folder=private, host=default_host())
    again = held.ask()
    assert held.options == OPTIONS
    assert (again.weights, again.seed, again.size, again.fuser) == (ask.weights, 3, 384, "parts")
    assert (again.background, again.options) == ("white", ask.options)
    assert [slot.shown for slot in held.parents if slot] == ["lion.png", "two words.png", "cat"]
    for mine, old in zip((*again.parents[:2], again.masks[1]), (*ask.parents[:2], ask.masks[1]), strict=True):
        assert mine != old and Path(mine).read_bytes() == Path(old).read_bytes()
        assert Path(mine).is_relative_to(private)


def test_options_of_named_components_come_back(tmp_path: Path, private: Path) -> None:
    options: dict[tuple[str, ...], Any] = {
        ("encoder", "options", "model"): "vgg19.tv_in1k",
        ("encoder",): "timm",
    }
    ask = Ask(("cat", "dog"), (0.5, 0.5), fuser="style-transfer", options=nested(options))
    held = reopen(write_settings(tmp_path / "s.zip", ask, "..."), folder=private, host=default_host())
    assert held.ask().options == ask.options


GOOD: dict[str, Any] = {"command": "fuse", "parents": ["cat", "dog"], "weights": [0.5, 0.5], "seed": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"parents": ["cat"], "weights": [1.0]},
        {"parents": ["/etc/passwd", "cat"]},
        {"parents": ["../secret.png", "cat"]},
        {"parents": ["lion.png", "cat"]},
        {"weights": [0.9, 0.9]},
        {"weights": "much"},
        {"seed": "zero"},
        {"size": 100000},
        {"background": "pink"},
        {"command": "train"},
        {"mask": ["/etc/passwd", "auto"]},
        {"fuser": {"options": {"nonsense": 1}}},
        {"fuser": "parts"},
    ],
    ids=str,
)
def test_settings_that_no_page_saved_are_refused(
    tmp_path: Path, private: Path, wrong: dict[str, Any]
) -> None:
    file = zipped(tmp_path / "s.zip", GOOD | wrong)
    with pytest.raises(ChimeraError) as error:
        reopen(file, folder=private, host=default_host())
    assert "\n" not in str(error.value)
    assert reopen(zipped(tmp_path / "good.zip", GOOD), folder=private, host=default_host()).filled == [0, 1]


def test_what_is_no_zip_or_holds_no_picture_is_refused(
    tmp_path: Path, private: Path, picture: Callable[..., Path]
) -> None:
    cut = zipped(tmp_path / "c.zip", GOOD | {"parents": ["lion.png", "cat"]}, lion=b"no picture")
    for file in (picture("a.png"), cut):
        with pytest.raises(ChimeraError) as error:
            reopen(file, folder=private, host=default_host())
        assert "\n" not in str(error.value)
    whole = zipped(tmp_path / "w.zip", GOOD).read_bytes()
    for at in range(0, len(whole), 7):
        (tmp_path / "part.zip").write_bytes(whole[:at])
        with pytest.raises(ChimeraError):
            reopen(tmp_path / "part.zip", folder=private, host=default_host())


@pytest.mark.parametrize(
    "step", ["os.open", "os.mkdir", "os.fsync", "shutil.copyfile", "pathlib.Path.write_bytes"]
)
def test_a_full_disk_is_named(
    tmp_path: Path, private: Path, picture: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    file = write_settings(tmp_path / "s.zip", Ask((str(picture("a.png")), "cat"), (0.5, 0.5)), "...")

    def refuse(*words: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(step, refuse)
    with pytest.raises(ChimeraError, match="disk is full"):
        reopen(file, folder=private, host=default_host())


def test_a_disk_that_does_not_give_the_file_is_no_wrong_file(
    tmp_path: Path, private: Path, picture: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_settings(tmp_path / "s.zip", Ask((str(picture("a.png")), "cat"), (0.5, 0.5)), "...")

    def refuse(*words: Any, **more: Any) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("zipfile.ZipFile.open", refuse)
    with pytest.raises(ChimeraError, match=os.strerror(errno.EIO)):
        reopen(file, folder=private, host=default_host())
