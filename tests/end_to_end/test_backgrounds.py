"""A cut-out stays one by every fuser that keeps its outline; ``--background`` says what a creature stands on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import chimera_core
from chimera_core.errors import ConfigError
from chimera_core.fusing.backgrounds import set_background
from chimera_core.images import read_notes, read_picture
from chimera_core.records import Parent

QUICK = ("--size", "64", "--iterations", "2")


@pytest.fixture
def cut_out(tmp_path: Path) -> Path:
    """A brown disc on nothing; what lies under the transparency is green."""
    y, x = np.mgrid[0:96, 0:128]
    alpha = np.where((y - 48) ** 2 + (x - 64) ** 2 < 34**2, 255, 0).astype(np.uint8)
    pixels = np.dstack([np.full((96, 128), v, np.uint8) for v in (120, 80, 40)] + [alpha])
    pixels[alpha == 0, :3] = (0, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "disc.png")
    return tmp_path / "disc.png"


@pytest.fixture
def other(picture: Callable[..., Path]) -> Path:
    return picture("red.png", colour=(220, 30, 20))


@pytest.mark.parametrize("fuser", ["style-transfer", "feature-morph"])
def test_a_cut_outs_alpha_comes_back_and_its_rim_is_not_white(
    here: Any, cut_out: Path, other: Path, tmp_path: Path, fuser: str
) -> None:
    out = tmp_path / "o.png"
    code, _, err = here("fuse", cut_out, other, "--fuser", fuser, *QUICK, "-o", out)
    assert code == 0, err
    creature = read_picture(out)
    assert creature.alpha is not None and creature.rgb.shape == (64, 85, 3)
    wanted = Image.open(cut_out).getchannel("A").resize((85, 64), Image.Resampling.BICUBIC)
    assert np.abs(creature.alpha.astype(int) - np.asarray(wanted)).mean() < 2
    code, _, err = here("fuse", cut_out, other, "--fuser", fuser, *QUICK, "--weights", "1,0", "-o", out)
    assert code == 0, err
    whole = read_picture(out)
    rim = (whole.alpha > 40) & (whole.alpha < 250)
    assert rim.any() and np.abs(whole.rgb[rim].astype(int) - (120, 80, 40)).max() <= 12


def test_white_lays_it_on_white_and_says_so_in_the_file(
    here: Any, cut_out: Path, other: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.png"
    line = ("fuse", cut_out, other, "--fuser", "style-transfer", *QUICK, "--background", "white", "-o", out)
    assert here(*line)[0] == 0
    creature = read_picture(out)
    assert creature.alpha is None and creature.rgb[0, 0].tolist() == [255] * 3
    assert read_notes(out)["chimera.background"] == "white"


def test_transparent_takes_a_photographs_creature_out_by_the_mask_that_is_given(
    here: Any, other: Path, picture: Callable[..., Path], tmp_path: Path
) -> None:
    mask = np.zeros((96, 128), np.uint8)
    mask[24:72, 32:96] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    first = picture("green.png", colour=(20, 180, 60))
    with Image.open(first) as image:
        Image.fromarray(mask).resize(image.size).save(tmp_path / "mask.png")
    out = tmp_path / "o.png"
    line = ("fuse", first, other, "--fuser", "style-transfer", *QUICK, "--mask", tmp_path / "mask.png")
    assert here(*line, "-o", out)[0] == 0
    assert read_picture(out).alpha is None  # a photograph keeps its ground
    assert here(*line, "--background", "transparent", "-o", out)[0] == 0
    creature = read_picture(out)
    assert creature.alpha is not None
    height, width = creature.alpha.shape
    assert creature.alpha[height // 2, width // 2] == 255 and creature.alpha[2, 2] == 0


def test_python_has_the_same_choice(cut_out: Path, other: Path) -> None:
    given = chimera_core.fuse([cut_out, other], fuser="style-transfer", size=64, iterations=2)
    assert given.opacity is not None
    white = chimera_core.fuse(
        [cut_out, other], fuser="style-transfer", size=64, iterations=2, background="white"
    )
    assert white.opacity is None
    with pytest.raises(ConfigError, match=r"no background 'whit'.*did you mean 'white'"):
        chimera_core.fuse([cut_out, other], background="whit")


def test_a_fuser_that_moves_the_animal_is_looked_at_itself_and_a_miss_is_remarked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from chimera_core.subjects.finder import SubjectFinder

    lines: list[str] = []
    monkeypatch.setattr(SubjectFinder, "confidence", lambda self, parent: 0.0)
    monkeypatch.setattr(
        SubjectFinder, "find", lambda self, p: type("Found", (), {"mask": torch.ones_like(p.image[:1])})
    )
    made, first = torch.rand(2, 3, 16, 16), Parent("x", torch.rand(3, 16, 16), torch.ones(1, 16, 16))
    where = {"device": torch.device("cpu"), "remark": lines.append}
    kept = set_background(made, first, "keep", keeps_outline=False, **where)
    assert kept.shape == (2, 3, 16, 16) and not lines
    out = set_background(made, first, "transparent", keeps_outline=False, **where)
    assert out.shape == (2, 4, 16, 16) and len(lines) == 2 and "the whole picture stays" in lines[0]
    with_own = torch.rand(1, 4, 16, 16)
    assert torch.equal(set_background(with_own, first, "transparent", keeps_outline=False, **where), with_own)
    assert set_background(with_own, first, "white", keeps_outline=False, **where).shape == (1, 3, 16, 16)
