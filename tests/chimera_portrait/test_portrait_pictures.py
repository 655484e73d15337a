"""``portrait`` on pictures as people have them: the two that come with scikit-image, made grey, deep, small, turned, many."""

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from chimera_portrait.config import PortraitConfig
from chimera_portrait.fuser import Portrait

from chimera_core.api import ConfigError, Parent
from chimera_core.images import read_picture

_CAT = skimage.data.chelsea()
_FACE = np.ascontiguousarray(skimage.data.astronaut()[:230, 110:340])


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return Portrait(PortraitConfig())


@pytest.fixture(scope="module")
def face() -> Parent:
    return _parent("astronaut", _FACE)


def _parent(name: str, image: np.ndarray) -> Parent:
    return Parent(name, torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255)


def _turned(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 25, 0.8)
    return cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _small(image: np.ndarray) -> np.ndarray:
    ground = np.full((900, 1400, 3), (90, 120, 80), np.uint8)
    ground[500:680, 1000:1270] = cv2.resize(image, (270, 180), interpolation=cv2.INTER_AREA)
    return ground


def _drawing(image: np.ndarray) -> np.ndarray:
    """Few flat colours, as a comic has them."""
    flat = cv2.bilateralFilter(cv2.bilateralFilter(image, 9, 60, 9), 9, 60, 9)
    return flat // 48 * 48 + 24


def _eyes_closed(image: np.ndarray) -> np.ndarray:
    """The astronaut with skin over her eyes and a line for the lids."""
    image = image.copy()
    for x, y in ((81, 121), (129, 121)):
        skin = image[y + 18, x]
        cv2.ellipse(image, (x, y), (15, 8), 0, 0, 360, tuple(map(int, skin)), -1)
        cv2.line(image, (x - 11, y + 3), (x + 11, y + 3), (70, 45, 35), 2)
    return image


@pytest.mark.slow
@pytest.mark.parametrize("change", [_turned, _small, _drawing, lambda cat: cat[:, :-110]])
def test_a_cat_is_found_turned_small_drawn_and_cut_by_the_frame(portrait, face, change):
    cat = _parent("cat", change(_CAT))
    made = portrait.fuse([face, cat], [0.5, 0.5], seeds=[0], size=128)[0]
    nobody = portrait.fuse([face, cat], [1, 0], seeds=[0], size=128)[0]
    assert 0.01 < (made - nobody).abs().mean() < 0.4


@pytest.mark.slow
def test_twenty_faces_are_numbered(face):
    cat = _parent("cat", _CAT)
    many = _parent("twenty", np.tile(cv2.resize(_FACE, (140, 140), interpolation=cv2.INTER_AREA), (4, 5, 1)))
    portrait = Portrait(PortraitConfig(face=(1, 1)))
    found = portrait.findings([many, cat])
    assert found[0]["face"] is not None
    assert portrait.fuse([many, cat], [0.5, 0.5], seeds=[0], size=128).shape == (1, 3, 128, 160)
    with pytest.raises(ConfigError, match=r"--face asks for face 99 of twenty, but \d+ were found"):
        Portrait(PortraitConfig(face=(99,))).fuse([many, cat], [0.5, 0.5], seeds=[0], size=128)


@pytest.mark.slow
def test_closed_eyes_give_a_creature_or_one_line(portrait):
    asleep, cat = _parent("asleep", _eyes_closed(_FACE)), _parent("cat", _CAT)
    try:
        assert portrait.fuse([asleep, cat], [0.5, 0.5], seeds=[0], size=128).isfinite().all()
    except ConfigError as error:
        assert str(error).startswith(("no face was found in asleep", "the face in asleep"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grey", "deep", "alpha"])
def test_grey_deep_and_transparent_files_give_the_same_face(portrait, face, kind, tmp_path):
    cat = cv2.cvtColor(_CAT, cv2.COLOR_RGB2BGR)
    plain = portrait.findings([_parent("cat", _CAT)])[0]["face"]
    changed = {
        "grey": cv2.cvtColor(cat, cv2.COLOR_BGR2GRAY),
        "deep": cat.astype(np.uint16) * 257,
        "alpha": np.dstack([cat, np.full(cat.shape[:2], 255, np.uint8)]),
    }[kind]
    cv2.imwrite(str(tmp_path / "cat.png"), changed)
    parent = _parent("cat", read_picture(tmp_path / "cat.png").rgb)
    found = portrait.findings([parent])[0]["face"]
    for eye in ("left_eye", "right_eye"):
        np.testing.assert_allclose(found[eye], plain[eye], atol=0.03)
    assert portrait.fuse([face, parent], [0.5, 0.5], seeds=[0], size=128).isfinite().all()


@pytest.mark.slow
@pytest.mark.parametrize("what", ["noise", "plain", "specks"])
def test_a_picture_without_a_face_is_refused_in_one_line(portrait, face, what):
    pixels = {
        "noise": np.random.default_rng(0).integers(90, 150, (300, 400, 3)).astype(np.uint8),
        "plain": np.full((300, 400, 3), 128, np.uint8),
        "specks": cv2.resize(_CAT, (6, 4), interpolation=cv2.INTER_AREA),
    }[what]
    with pytest.raises(ConfigError, match=f"^no face was found in {what}: .*--head-box$"):
        portrait.fuse([face, _parent(what, pixels)], [0.5, 0.5], seeds=[0], size=128)
