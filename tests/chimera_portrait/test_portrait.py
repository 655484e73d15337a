"""The laws of ``portrait``, on drawn faces whose points are known, and on the two photographs that come with scikit-image."""

import itertools

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from chimera_portrait import fuser as fuser_module
from chimera_portrait.config import PortraitConfig
from chimera_portrait.fuser import Portrait

from chimera_core.api import ConfigError, Face, Parent, resize_shorter

pytestmark = pytest.mark.slow

_SIZE = 128
_POINTS = np.array([[96.0, 96.0], [144.0, 96.0], [120.0, 126.0], [120.0, 148.0], [120.0, 172.0]])


def _drawn(
    name: str, coat: tuple[float, float, float], iris: tuple[float, float, float], **more: bool
) -> Parent:
    """A head with eyes, nose and mouth where ``_POINTS`` are, on grey."""
    noise = np.random.default_rng(len(name)).random((256, 240, 3), np.float32) * 0.15
    alpha = np.zeros((256, 240), np.float32)
    cv2.ellipse(alpha, (120, 130), (75, 95), 0, 0, 360, 1, -1)
    image = np.where(alpha[..., None] > 0, np.float32(coat) * 0.85 + noise, np.float32(0.45))
    image = np.ascontiguousarray(image)
    for point in _POINTS[:2].astype(int):
        cv2.circle(image, tuple(map(int, point)), 9, iris, -1)
    cv2.circle(image, (120, 126), 7, (0.1, 0.1, 0.1), -1)
    cv2.line(image, (105, 148), (135, 148), (0.1, 0.0, 0.0), 3)
    mask = torch.from_numpy(alpha)[None]
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    if more.get("is_cutout"):
        tensor = tensor * mask + 1 - mask
    return Parent(name, tensor, mask, **more)


@pytest.fixture
def portrait(monkeypatch) -> Portrait:
    def found(encoder, image, **_):
        scale = image.shape[-1] / 240
        points = (_POINTS + 0.5) * scale - 0.5
        # The person is the one with blue eyes.
        column, row = points[0].round().astype(int)
        person = float(image[2, row, column] > 0.8)
        return [Face(points, 0.9, (20, 200, 30, 210), person)]

    monkeypatch.setattr(fuser_module, "find_faces", found)
    return Portrait(PortraitConfig())


@pytest.fixture
def animals() -> list[Parent]:
    return [_drawn("red", (0.8, 0.2, 0.1), (0.9, 0.9, 0.0)), _drawn("grey", (0.5, 0.5, 0.5), (0.0, 0.7, 0.0))]


@pytest.fixture
def person() -> Parent:
    return _drawn("person", (0.9, 0.7, 0.6), (0.2, 0.3, 1.0))


def _one(portrait: Portrait, parents, weights, seed=0, size=_SIZE):
    return portrait.fuse(parents, weights, seeds=[seed], size=size)[0]


def test_weight_one_on_the_first_gives_its_very_pixels(portrait, animals, person):
    for parents in (animals, [person, animals[0]]):
        made = _one(portrait, parents, [1, 0])
        assert torch.equal(made, resize_shorter(parents[0].image, _SIZE))


@pytest.mark.parametrize("weight", [0.999, 0.9999])
def test_near_weight_one_the_first_is_nearly_there(portrait, animals, person, weight):
    for parents in (animals, [person, animals[0]]):
        first = resize_shorter(parents[0].image, _SIZE)
        assert (_one(portrait, parents, [weight, 1 - weight]) - first).abs().mean() < 0.004


def test_surroundings_and_outline_are_the_canvas_and_the_muzzle_the_guests(portrait, animals):
    made = _one(portrait, animals, [0.5, 0.5], size=240)
    first = animals[0].image
    assert (made[:, :8] - first[:, :8]).abs().max() < 0.01
    # The coat lies between both coats' colours.
    cheek = made[:, 140:150, 80:88].mean((1, 2))
    assert 0.5 < cheek[0] < 0.75 and cheek[0] > cheek[1] > 0.2


def test_a_person_lends_an_animal_its_eyes(portrait, animals, person):
    made = _one(portrait, [person, animals[0]], [0.5, 0.5], size=240)
    # Canvas is the animal: same frame here, so its points are where they were.
    eye = made[:, 93:99, 93:99].mean((1, 2))
    assert eye[2] > eye[0] + 0.2
    assert made[0, 220, 120] > made[2, 220, 120] + 0.2


def test_where_a_person_and_an_animal_meet_seeds_keep_both_heads_in_turn(portrait, animals, person):
    parents = [person, animals[0]]
    automatic = portrait.fuse(parents, [0.5, 0.5], seeds=[0, 1, 2, 3], size=_SIZE)
    for canvas, seeds in (("2", (0, 2)), ("1", (1, 3))):
        portrait.config = PortraitConfig(canvas=canvas)
        chosen = portrait.fuse(parents, [0.5, 0.5], seeds=[0, 1], size=_SIZE)
        for seed, creature in zip(seeds, chosen, strict=True):
            assert torch.equal(automatic[seed], creature)


def test_another_animal_in_the_picture_keeps_its_colours(portrait, animals):
    first = animals[0]
    image, mask = first.image.clone(), first.mask.clone()
    beside = (slice(None), slice(0, 30), slice(0, 30))
    image[beside], mask[beside] = first.image[:, 100:130, 60:90], 1.0
    made = _one(portrait, [Parent("two", image, mask), animals[1]], [0.5, 0.5], size=240)
    assert (made[beside] - image[beside]).abs().max() < 0.03
    assert (made[:, 60:70, 110:130] - image[:, 60:70, 110:130]).abs().mean() > 0.03


def test_the_canvas_can_be_chosen(portrait, animals, person):
    portrait.config = PortraitConfig(canvas="1")
    made = _one(portrait, [person, animals[0]], [0.5, 0.5], size=240)
    assert (made[:, :8] - person.image[:, :8]).abs().max() < 0.01
    portrait.config = PortraitConfig(canvas="3")
    with pytest.raises(ConfigError, match="canvas is 3, but there are 2 parents"):
        _one(portrait, animals, [0.5, 0.5])


def test_a_sweep_has_no_jump(portrait, animals, person):
    for parents in (animals, [person, animals[0]]):
        frames = [_one(portrait, parents, [1 - k / 8, k / 8]) for k in range(9)]
        whole = (frames[-1] - frames[0]).abs().mean()
        steps = [float((b - a).abs().mean() / whole) for a, b in itertools.pairwise(frames)]
        assert max(steps) < 0.45, steps


def test_the_same_seed_gives_the_same_bytes_and_four_seeds_four_creatures(portrait, animals):
    made = portrait.fuse(animals, [0.5, 0.5], seeds=[0, 1, 2, 3, 0], size=_SIZE)
    assert torch.equal(made[0], made[4])
    for a, b in itertools.combinations(range(4), 2):
        assert (made[a] - made[b]).abs().max() > 0.03, (a, b)


def test_three_parents_all_show(portrait, animals):
    third = _drawn("a third", (0.1, 0.2, 0.9), (0.0, 0.0, 0.0))
    two = _one(portrait, [*animals, third], [0.5, 0.5, 0.0])
    three = _one(portrait, [*animals, third], [0.34, 0.33, 0.33])
    assert torch.equal(two, _one(portrait, animals, [0.5, 0.5]))
    face = (slice(None), slice(60, 80), slice(45, 85))
    assert three[face][2].mean() > two[face][2].mean() + 0.05


def test_a_cut_out_stays_a_cut_out(portrait, animals):
    first = _drawn("cut", (0.8, 0.2, 0.1), (0.9, 0.9, 0.0), is_cutout=True)
    made = _one(portrait, [first, animals[1]], [0.5, 0.5])
    assert made.shape == (4, 137, 128)
    assert made[3, 2, 2] == 0 and made[3, 70, 64] == 1


def test_the_same_creature_comes_at_every_size(portrait, animals):
    small, large = (_one(portrait, animals, [0.5, 0.5], size=size) for size in (120, 480))
    assert (resize_shorter(large, 120) - small).abs().mean() < 0.015


@pytest.mark.slow
def test_what_is_no_face_is_refused_in_a_line(portrait, animals, monkeypatch):
    monkeypatch.setattr(fuser_module, "find_faces", lambda *_, **__: [])
    with pytest.raises(ConfigError, match=r"no face was found in red: .*--head-box"):
        _one(portrait, animals, [0.5, 0.5])
    points = _POINTS.copy()
    points[0] = np.nan
    monkeypatch.setattr(fuser_module, "find_faces", lambda *_, **__: [Face(points, 0.9, (0, 9, 0, 9), 0.0)])
    with pytest.raises(ConfigError, match="red is turned too far aside"):
        _one(Portrait(PortraitConfig()), animals, [0.5, 0.5])
    with pytest.raises(ConfigError, match=r"asks for face 2 of red, but 1 were found"):
        _one(Portrait(PortraitConfig(face=(2,))), animals, [0.5, 0.5])
    with pytest.raises(ConfigError, match="dog is a class name"):
        _one(portrait, [Parent("dog", class_name="dog"), animals[0]], [0.5, 0.5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"canvas": "0"}, "write auto"),
        ({"face": (0,)}, "counted from 1"),
        ({"head_box": ("1,2",)}, "left,top"),
    ],
)
def test_wrong_options_say_what_to_write(options, message):
    with pytest.raises(ValueError, match=message):
        PortraitConfig(**options)


@pytest.mark.slow
def test_the_faces_of_photographs_are_found_and_become_one():
    astronaut, cat = (
        Parent(name, torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255)
        for name, pixels in (("astronaut", skimage.data.astronaut()), ("cat", skimage.data.chelsea()))
    )
    portrait, lines = Portrait(PortraitConfig()), []
    portrait.remark = lines.append
    seen = portrait.findings([astronaut, cat])
    assert np.hypot(*np.subtract(seen[0]["face"]["left_eye"], (0.394, 0.193))) < 0.03
    assert np.hypot(*np.subtract(seen[1]["face"]["right_eye"], (0.7, 0.437))) < 0.03
    made = _one(portrait, [astronaut, cat], [0.5, 0.5])
    assert made.shape == (3, _SIZE, _SIZE)
