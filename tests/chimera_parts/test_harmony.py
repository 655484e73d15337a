"""Two coats take on each other's colours: how far, where, and what stays."""

import numpy as np
import pytest
from chimera_parts.harmony import coat_colour, tinted
from hypothesis import given
from hypothesis import strategies as st

_BROWN, _GREY = (0.45, 0.3, 0.2), (0.6, 0.6, 0.62)
_COLOURS = st.tuples(*[st.floats(0.15, 0.85)] * 3)
_SHARES = (0.5, 0.5)


def _plain(colour, side=12):
    return np.full((side, side, 3), colour, np.float32)


def _middle(image):
    found = coat_colour(image, np.ones(image.shape[:2], bool))
    assert found is not None
    return found


@given(_COLOURS, _COLOURS)
def test_a_coat_moves_by_its_share_of_the_difference(own, other):
    one, two = _middle(_plain(own)), _middle(_plain(other))
    chroma = np.linalg.norm(two[1:] - one[1:])
    made = _middle(tinted(_plain(own), one, two, (0.5, 0), np.ones((12, 12), np.float32)))
    # Exponents end where a coat would have to become another altogether, and what is vivid stays.
    if abs(two[0] - one[0]) < 12 and 25 < one[0] < 80 and np.linalg.norm(one[1:]) < 28:
        assert made[0] == pytest.approx((one[0] + two[0]) / 2, abs=2)
    made = _middle(tinted(_plain(own), one, two, (0, 0.5), np.ones((12, 12), np.float32)))
    assert np.linalg.norm(made[1:] - one[1:]) < min(0.5 * chroma, 20) + 2


@given(_COLOURS, _COLOURS)
def test_black_and_white_stay_whatever_the_coats(own, other):
    image = np.concatenate([_plain(0.0), _plain(1.0)])
    made = tinted(
        image, _middle(_plain(own)), _middle(_plain(other)), _SHARES, np.ones(image.shape[:2], np.float32)
    )
    assert np.abs(made - image).max() < 0.03


@pytest.mark.parametrize("vivid", [(0.85, 0.1, 0.1), (0.9, 0.8, 0.1)])
def test_what_is_vivid_stays_and_what_is_plain_beside_it_does_not(vivid):
    image = np.concatenate([_plain(vivid), _plain(_BROWN)])
    made = tinted(
        image, _middle(_plain(_BROWN)), _middle(_plain(_GREY)), _SHARES, np.ones(image.shape[:2], np.float32)
    )
    assert np.array_equal(made[:12], image[:12])
    assert np.abs(made[12:] - image[12:]).max() > 0.05


@given(_COLOURS)
def test_coats_of_one_colour_stay_as_they_are(colour):
    image = _plain(colour)
    made = tinted(image, _middle(image), _middle(image), _SHARES, np.ones((12, 12), np.float32))
    assert np.abs(made - image).max() < 0.01


def test_what_is_no_coat_keeps_its_very_pixels():
    image = np.random.default_rng(0).random((12, 12, 3), np.float32)
    where = np.zeros((12, 12), np.float32)
    where[:, 6:] = 1
    made = tinted(image, _middle(_plain(_BROWN)), _middle(_plain(_GREY)), _SHARES, where)
    assert np.array_equal(made[:, :6], image[:, :6])
    assert np.abs(made[:, 6:] - image[:, 6:]).max() > 0.02


def test_a_coat_of_which_hardly_a_pixel_is_in_sight_has_no_colour_and_changes_none():
    image, where = _plain(_BROWN), np.zeros((12, 12), bool)
    where[0, :5] = True
    assert coat_colour(image, where) is None
    assert tinted(image, None, _middle(_plain(_GREY)), _SHARES, np.ones((12, 12), np.float32)) is image
