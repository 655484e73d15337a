"""Where `chimera fuse` writes: formats by endings, the standard output for bytes alone, the standard input as a parent."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from chimera_core.cli.root import run
from chimera_core.fusing.fusion import Fusion
from chimera_core.images import read_notes, read_picture

MIX = ("--fuser", "pixel-average", "--size", "32", "--device", "cpu")


@pytest.fixture
def pair(picture: Callable[..., Path]) -> tuple[Path, Path]:
    return picture("red.png", colour=(220, 30, 20)), picture("green.png", colour=(20, 180, 60))


@pytest.fixture
def piped(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Run a command with bytes on its standard input: (exit code, bytes of stdout, stderr)."""

    def call(*args: object, stdin: bytes = b"") -> tuple[int, bytes, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        code = run([str(a) for a in args])
        out, err = capsysbinary.readouterr()
        return code, out, err.decode()

    return call


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif"])
def test_a_creature_is_written_in_the_format_of_the_ending_with_its_notes(
    here: Any, pair: Any, tmp_path: Path, name: str
) -> None:
    code, out, err = here("fuse", *pair, *MIX, "-o", tmp_path / name)
    assert (code, out.strip()) == (0, str(tmp_path / name)), err
    notes = read_notes(tmp_path / name)
    assert (notes["chimera.parents"], notes["chimera.fuser"]) == ('["red.png", "green.png"]', "pixel-average")
    # What the notes are for: a score knows the weights.
    assert notes["chimera.weights"] == "[0.5, 0.5]"


def test_numbered_creatures_keep_format_and_quality(here: Any, pair: Any, tmp_path: Path) -> None:
    sizes = []
    for quality in (20, 95):
        code, out, err = here("fuse", *pair, *MIX, "--n", "2", "--quality", quality, "-o", tmp_path / "a.jpg")
        assert code == 0, err
        files = [Path(line) for line in out.split()]
        assert [file.name for file in files] == ["a-1.jpg", "a-2.jpg"]
        sizes.append(sum(file.stat().st_size for file in files))
    assert sizes[0] < sizes[1]


def test_a_sweep_moves_in_a_gif_and_an_mp4_and_stands_side_by_side_elsewhere(
    here: Any, picture: Any, pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    pair = (pair[0], picture("high.png", size=(48, 64)))
    for name in ("a.gif", "a.mp4", "a.jpg"):
        code, out, err = here("fuse", *pair, *MIX, "--sweep", "3", "-o", tmp_path / name)
        assert (code, out.strip()) == (0, str(tmp_path / name)), err
        assert ("by OpenCV, which browsers do not play" in err) is (name == "a.mp4")
    assert Image.open(tmp_path / "a.gif").n_frames == 4
    assert Image.open(tmp_path / "a.gif").size == (
        43,
        43,
    )  # from 43 x 32 to 32 x 43, on one canvas
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"
    assert read_notes(tmp_path / "a.jpg")["chimera.weights"] == "[[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]"


def test_a_sheet_that_is_too_long_for_its_format_is_refused_before_the_work(
    here: Any, pair: Any, tmp_path: Path
) -> None:
    code, _, err = here("fuse", *pair, "--sweep", "100", "--size", "256", "-o", tmp_path / "a.webp")
    assert code == 2 and "WebP holds 16,383 pixels a side, and this is 25,600 or more" in err


def test_a_sheet_of_creatures_without_background_lies_on_white_in_any_format(
    here: Any, pair: Any, tmp_path: Path
) -> None:
    request = ("fuse", *pair, *MIX, "--sweep", "2", "--background", "transparent", "-o", tmp_path / "a.gif")
    code, _, err = here(*request, "--json", "--device", "nowhere")
    assert code == 2 and "nowhere" in err and "transparency" not in err


def test_a_cut_out_in_a_format_without_opacity_stands_on_white_and_one_line_says_so(
    here: Any, pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutout = torch.full((1, 4, 32, 32), 0.2)
    cutout[:, 3, :16] = 0
    cutout[:, 3, 16:] = 1
    monkeypatch.setattr(Fusion, "make", lambda self, *args, **how: cutout)
    code, _, err = here("fuse", *pair, *MIX, "-o", tmp_path / "a.jpg")
    assert code == 0 and err.count("JPEG keeps no transparency: the creature stands on white") == 1, err
    assert read_picture(tmp_path / "a.jpg").rgb[:8].min() > 240
    code, _, err = here("fuse", *pair, *MIX, "-o", tmp_path / "a.webp")
    assert code == 0 and "transparency" not in err
    np.testing.assert_array_equal(
        read_picture(tmp_path / "a.webp").alpha, np.repeat([[0], [255]], 16, 0).repeat(32, 1)
    )


def test_the_standard_output_takes_the_picture_and_nothing_else(
    piped: Any, pair: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert piped("fuse", *pair, *MIX, "-o", "file.png")[0] == 0
    for flags, form in (
        ((), "PNG"),
        (("--format", "webp"), "WEBP"),
        (("--format", "gif", "--sweep", "3"), "GIF"),
    ):
        code, out, err = piped("fuse", *pair, *MIX, "-o", "-", *flags)
        assert code == 0 and " s on cpu" in err, err
        assert Image.open(io.BytesIO(out)).format == form
        if form == "PNG":
            assert out == Path("file.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file.png", "green.png", "red.png"]


def test_a_parent_comes_from_the_standard_input(piped: Any, pair: Any, tmp_path: Path) -> None:
    assert piped("fuse", *pair, *MIX, "-o", tmp_path / "file.png")[0] == 0
    code, out, err = piped(
        "fuse", "-", pair[1], *MIX, "-o", tmp_path / "pipe.png", "--json", stdin=pair[0].read_bytes()
    )
    assert code == 0, err
    assert b'"-",' in out
    np.testing.assert_array_equal(
        read_picture(tmp_path / "pipe.png").rgb, read_picture(tmp_path / "file.png").rgb
    )
    assert read_notes(tmp_path / "pipe.png")["chimera.parents"] == '["-", "green.png"]'
    code, out, err = piped("fuse", "-", pair[1], *MIX, "-o", "-", stdin=b"\x89PNG but not quite")
    assert (code, out) == (2, b"") and "'-' is" in err and err.count("\n") == 1


def test_a_terminal_gets_no_bytes(here: Any, pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    code, out, err = here("fuse", *pair, *MIX, "-o", "-")
    assert (code, out) == (2, "") and "the standard output is a terminal" in err
