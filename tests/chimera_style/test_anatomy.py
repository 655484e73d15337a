"""Where on an animal a pixel lies."""

from __future__ import annotations

import math

import pytest
import torch
from chimera_style.anatomy import anatomy, turned
from torch import Tensor


def animal() -> Tensor:
    """A trunk that lies, 80 by 30, on a leg that stands, 12 by 40."""
    mask = torch.zeros(1, 110, 110)
    mask[:, 20:50, 15:95] = 1
    mask[:, 50:90, 20:32] = 1
    return mask


def test_a_trunk_lies_and_a_leg_stands() -> None:
    cosine, sine, thickness, _ = anatomy(animal())
    assert float(cosine[35, 55]) > 0.7 and abs(float(sine[35, 55])) < 0.2
    assert float(cosine[75, 26]) < -0.7 and abs(float(sine[75, 26])) < 0.2
    assert float(thickness[35, 55]) > 0.85 and 0.2 < float(thickness[78, 26]) < 0.6


def test_the_back_is_up_and_the_belly_down() -> None:
    back = anatomy(animal())[3]
    assert float(back[21, 60]) < -0.5 and float(back[48, 60]) > 0.5 and abs(float(back[35, 60])) < 0.3


def test_an_animal_that_fills_the_frame_has_no_axis() -> None:
    assert not anatomy(torch.ones(1, 40, 50)).any()
    assert anatomy(torch.zeros(1, 40, 50)).shape == (4, 40, 50)


def test_an_animal_goes_on_beyond_the_frame() -> None:
    mask = torch.zeros(1, 100, 100)
    mask[:, 35:65] = 1  # from the left edge to the right one
    cosine, _, thickness, _ = anatomy(mask)
    assert float(cosine[:, 2].min()) > 0.7 and float(thickness[50, 0]) > 0.8


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0])
def test_axes_turn_with_the_picture(angle: float, mirror: bool) -> None:
    lying = torch.tensor([math.cos(0.4), math.sin(0.4), 0.5, -0.2]).view(4, 1, 1)
    axis = turned(lying, angle=angle, mirror=mirror).flatten()
    expected = (-0.4 if mirror else 0.4) + math.radians(2 * angle)
    assert axis.tolist() == pytest.approx([math.cos(expected), math.sin(expected), 0.5, -0.2], abs=1e-6)
