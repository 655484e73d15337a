"""Exemplars and the way of the weights."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from chimera_style.config import StyleConfig
from chimera_style.drawing import Drawing, further
from chimera_style.exemplar import Exemplar
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chimera_core.api import Subject


def square_mask(height: int, width: int, box: tuple[int, int, int, int]) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    top, bottom, left, right = box
    mask[:, top:bottom, left:right] = 1
    return mask


def test_skin_holds_no_pixel_of_the_surroundings() -> None:
    image = torch.zeros(3, 50, 50)
    image[2] = 1.0  # blue surroundings
    mask = square_mask(50, 50, (10, 40, 15, 35))
    image[:, 10:40, 15:35] = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    exemplar = Exemplar.taken_from(Subject(image, mask), torch.Generator().manual_seed(0), texture_scale=1.0)
    assert float(exemplar.image[2].max()) == 0
    assert float(exemplar.mask.max()) == 1
    assert float(exemplar.mask.sum()) < float(mask.sum())  # the doubtful rim is left out


def test_markings_scale_with_the_body() -> None:
    coat = Subject(torch.rand(3, 40, 40), torch.ones(1, 40, 40))
    exemplar = Exemplar.taken_from(coat, torch.Generator().manual_seed(1), texture_scale=1.0)
    small, large = (exemplar.for_body(torch.ones(1, side, side)).image.shape[-1] for side in (40, 80))
    assert large == pytest.approx(2 * small, abs=2)


@given(st.integers(0, 10_000))
def test_the_way_of_weights_never_turns_and_no_eighth_is_over_a_quarter_of_it(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    layout, half_way, full = (
        torch.randn(3, 5, 7, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    canvas = Subject(layout, torch.ones(1, 5, 7))
    drawing = Drawing(canvas, half_way, 0.0, lambda: further(full, half_way, layout))
    frames = [drawing.at(k / 8) for k in range(9)]
    assert torch.equal(frames[0], layout)
    away = [float((f - layout).norm()) for f in frames]
    assert all(b > a - 1e-9 for a, b in pairwise(away))
    steps = [float((b - a).norm()) for a, b in pairwise(frames)]
    assert max(steps) <= away[-1] / 4 + 1e-9


def test_the_full_creature_is_drawn_only_when_a_weight_needs_it() -> None:
    def refuse() -> torch.Tensor:
        raise AssertionError("drawn in vain")

    image = torch.rand(3, 4, 4)
    drawing = Drawing(Subject(image, torch.ones(1, 4, 4)), torch.rand(3, 4, 4), math.nan, refuse)
    drawing.at(0.3), drawing.at(0.5)
    with pytest.raises(AssertionError, match="in vain"):
        drawing.at(0.6)


@pytest.mark.parametrize("text", ["1,2", "a,b,c,d", "0.5,0,0.4,1", "0,0,1,1.5", "-0.1,0,1,1", "nan,0,1,1"])
def test_a_wrong_crop_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="box"):
        StyleConfig(style_crop=(text,))
