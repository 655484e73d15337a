from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chimera_core.data.framing import EYE_DISTANCE, EYE_HEIGHT, cut, eyes_box, parse_box
from chimera_core.errors import ConfigError, ShapeError


def noise(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(0)).byte()


def test_a_box_inside_is_the_very_pixels() -> None:
    image = noise(20, 30)
    assert torch.equal(cut(image, (4, 5, 14, 15)), image[:, 5:15, 4:14])


def test_a_box_that_reaches_beyond_keeps_the_image_and_fills_with_its_edge() -> None:
    image = torch.full((3, 10, 10), 90, dtype=torch.uint8)
    image[:, 3:7, 3:7] = noise(4, 4)
    wide = cut(image, (-5, -2, 13, 16))
    assert wide.shape == (3, 18, 18)
    assert torch.equal(wide[:, 2:12, 5:15], image)
    outside = torch.ones(18, 18, dtype=torch.bool)
    outside[2:12, 5:15] = False
    assert (wide[:, outside].float() - 90).abs().max() <= 40  # the edge's colour, blurred, no mirrored middle


def test_what_lies_outside_is_no_mirror_image() -> None:
    image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    image[:, :, 4:8] = 255  # a bright bar near the left edge
    wide = cut(image, (-16, 0, 32, 32)).float()
    assert wide[:, :, :14].mean() < 60  # reflection would put a bar of 255 here


def test_size_scales_the_box_to_a_square() -> None:
    assert cut(noise(218, 178), (0, 0, 178, 218), size=64).shape == (3, 64, 64)


@given(left=st.floats(0, 100), top=st.floats(0, 100), distance=st.floats(5, 100), tilt=st.floats(-2, 2))
def test_eyes_land_where_every_faces_eyes_should(
    left: float, top: float, distance: float, tilt: float
) -> None:
    box = eyes_box((left, top, left + distance, top + tilt))
    side = box[2] - box[0]
    assert box[3] - box[1] == pytest.approx(side)
    assert (left - box[0]) / side == pytest.approx(0.5 - EYE_DISTANCE / 2)
    assert (left + distance - box[0]) / side == pytest.approx(0.5 + EYE_DISTANCE / 2)
    assert (top + tilt / 2 - box[1]) / side == pytest.approx(EYE_HEIGHT)


def test_a_crop_is_a_centred_square_or_a_box() -> None:
    assert parse_box("108", 218, 178) == (35, 55, 143, 163)
    assert parse_box("17,24,111,118", 128, 128) == (17, 24, 111, 118)
    assert parse_box("", 100, 60) == (0, 20, 60, 80)


@pytest.mark.parametrize("text", ["big", "0", "-3", "1,2,3", "5,5,5,9", "nan", "1,2,inf,4"])
def test_a_wrong_crop_is_one_clear_line(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a box"):
        parse_box(text, 100, 100)


def test_wrong_images_and_boxes_are_refused() -> None:
    with pytest.raises(ShapeError, match="uint8"):
        cut(torch.zeros(3, 4, 4), (0, 0, 2, 2))
    with pytest.raises(ShapeError, match="outside"):
        cut(noise(4, 4), (10, 0, 12, 2))
    with pytest.raises(ConfigError, match="not two points"):
        eyes_box((5, 1, 5, 1))
