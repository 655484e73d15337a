from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chimera_core.errors import DataError, ShapeError
from chimera_core.images.pixels import from_uint8, resize_shorter, shorter_side_shape, to_uint8


def test_uint8_survives_the_way_there_and_back() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).repeat(3).view(16, 16, 3).numpy()
    assert (to_uint8(from_uint8(pixels)) == pixels).all()


def test_to_uint8_rounds_and_clips() -> None:
    image = torch.tensor([-0.5, 0.5 / 255, 0.6 / 255, 2.0]).view(1, 2, 2).expand(3, 2, 2)
    assert to_uint8(image)[..., 0].ravel().tolist() == [0, 0, 1, 255]


def test_to_uint8_names_the_shape_it_met() -> None:
    with pytest.raises(ShapeError, match=r"\(1, 3, 4, 4\)"):
        to_uint8(torch.zeros(1, 3, 4, 4))


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 300))
def test_the_shorter_side_is_always_the_size(height: int, width: int, size: int) -> None:
    assert min(shorter_side_shape(height, width, size)) == size


def test_an_image_of_the_right_size_comes_back_untouched() -> None:
    image = torch.rand(3, 20, 30)
    assert resize_shorter(image, 20) is image


def test_a_very_long_image_is_refused() -> None:
    with pytest.raises(DataError, match="too elongated"):
        resize_shorter(torch.rand(3, 10, 100), 64)
