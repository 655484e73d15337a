"""Filling a hole from its surroundings."""

import numpy as np
import pytest
from chimera_parts.filling import fill


def _stripes() -> np.ndarray:
    columns = np.arange(160)
    row = np.where(columns // 8 % 2 == 0, 0.2, 0.8).astype(np.float32)
    return np.repeat(np.repeat(row[None, :, None], 120, 0), 3, 2).copy()


@pytest.mark.slow
def test_stripes_go_on_through_a_hole():
    image = _stripes()
    hole = np.zeros((120, 160), bool)
    hole[40:80, 60:100] = True
    damaged = np.where(hole[..., None], 0.0, image).astype(np.float32)
    made = fill(damaged, hole)
    off = np.abs(made - image)[44:76, 64:96].mean()
    assert off < 0.2  # grey would be off by 0.3, black by 0.5


def test_pixels_far_from_the_hole_stay():
    image = _stripes()
    hole = np.zeros((120, 160), bool)
    hole[50:60, 70:80] = True
    assert np.array_equal(fill(image, hole)[:40], image[:40])


@pytest.mark.slow
def test_nothing_comes_from_what_is_to_be_avoided():
    image = np.full((100, 140, 3), 0.5, np.float32)
    image[:, 90:] = (1, 0, 0)
    hole, avoid = np.zeros((100, 140), bool), np.zeros((100, 140), bool)
    hole[40:60, 60:84] = True
    avoid[:, 90:] = True
    made = fill(image, hole, avoid=avoid)
    assert np.abs(made[42:58, 62:78] - 0.5).max() < 0.15


def test_a_hole_without_surroundings_is_left():
    image = np.random.default_rng(0).random((30, 30, 3)).astype(np.float32)
    assert np.array_equal(fill(image, np.ones((30, 30), bool)), image)


@pytest.mark.slow
def test_the_animal_beside_the_hole_does_not_bleed_into_it():
    image = _stripes()
    hole, animal = np.zeros((120, 160), bool), np.zeros((120, 160), bool)
    hole[30:60, 60:100] = True
    animal[60:, 50:110] = True
    image[animal] = (1, 0, 0)
    made = fill(image, hole, avoid=animal)
    inside = made[34:58, 64:96]
    assert np.abs(inside[..., 0] - inside[..., 2]).max() < 0.15


@pytest.mark.slow
def test_what_lies_at_a_height_is_filled_from_that_height():
    image = np.full((120, 200, 3), 0.3, np.float32)
    image[:30] = 0.8
    hole = np.zeros((120, 200), bool)
    hole[:70, 80:120] = True
    damaged = np.where(hole[..., None], 0.0, image).astype(np.float32)
    made = fill(damaged, hole)
    assert made[6:20, 90:110].mean() > 0.65
    assert made[45:60, 90:110].mean() < 0.45


@pytest.mark.slow
def test_a_dark_animal_beside_the_hole_does_not_darken_what_is_filled_in():
    noise = np.random.default_rng(0).standard_normal((120, 160, 1))
    image = np.repeat(0.7 + 0.1 * noise, 3, 2).astype(np.float32)
    hole, animal = (np.zeros((120, 160), bool) for _ in range(2))
    hole[30:90, 50:90] = True
    animal[30:90, 90:140] = True
    image[hole | animal] = 0.1
    made = fill(image, hole, avoid=animal)
    assert made[32:88, 80:88].mean() > 0.68  # 0.63 where the animal was levelled with


def test_texture_goes_on_without_a_grid():
    """Neighbouring pixels of what was filled in come from neighbours: their differences are as those of the ground."""
    drawn = np.random.default_rng(5)
    noise = drawn.standard_normal((160, 160, 1)).astype(np.float32)
    ground = np.clip(0.5 + 0.25 * (noise + np.roll(noise, 1, 1)) / 2, 0, 1).repeat(3, 2).astype(np.float32)
    hole = np.zeros((160, 160), bool)
    hole[55:105, 55:105] = True
    made = fill(ground, hole)

    def likeness(image, steps):
        inner = image[62:98, 62:98, 0] - image[62:98, 62:98, 0].mean()
        moved = np.roll(image[..., 0], steps, (0, 1))[62:98, 62:98]
        return float((inner * (moved - moved.mean())).mean() / inner.var())

    for steps in ((0, 1), (1, 0), (0, 2), (2, 0), (3, 0)):
        assert likeness(made, steps) == pytest.approx(likeness(ground, steps), abs=0.2)
    assert made[62:98, 62:98].std() > 0.7 * ground.std()
