"""Light and shade, apart from markings."""

from __future__ import annotations

import math

import pytest
import torch
from chimera_style.light import blurred, flattened, relit
from torch import Tensor


def striped(height: int, width: int, *, period: float, across: bool) -> Tensor:
    """Black and white stripes (3, height, width); ``across`` runs them from top to bottom."""
    along = torch.arange(width)[None].expand(height, width) if across else torch.arange(height)[:, None]
    wave = (2 * math.pi / period * along).sin().sign() * 0.45 + 0.5
    return wave.expand(3, height, width).clone()


def test_even_light_changes_no_texture() -> None:
    texture, mask = torch.rand(3, 40, 50), torch.ones(1, 40, 50)
    assert torch.allclose(relit(texture, torch.full((3, 40, 50), 0.6), mask), texture, atol=1e-5)
    assert torch.equal(relit(texture, torch.rand(3, 40, 50), mask, amount=0.0), texture)


def test_the_layouts_dark_side_is_the_coats() -> None:
    layout, mask = torch.full((3, 60, 60), 0.7), torch.ones(1, 60, 60)
    layout[:, 30:] = 0.3
    lit = relit(torch.full((3, 60, 60), 0.5), layout, mask)
    assert float(lit[:, :20].mean()) > 0.52 and float(lit[:, 40:].mean()) < 0.45
    assert float(lit.max()) <= 1 and float(lit.min()) >= 0


def test_a_coat_loses_its_light_and_keeps_its_stripes() -> None:
    stripes = 0.3 + 0.3 * striped(80, 160, period=8, across=True)
    slope = torch.linspace(0.5, 1.0, 80).view(1, 80, 1)
    flat = flattened(stripes * slope, torch.ones(1, 80, 160))
    before, after = ((image[:, :15].mean() / image[:, -15:].mean()) for image in (stripes * slope, flat))
    assert float(after) > float(before) + 0.08
    assert float(flat[:, 40].std()) > 0.9 * float((stripes * slope)[:, 40].std())


def test_a_blur_sees_nothing_beyond_the_mask() -> None:
    values, mask = torch.zeros(1, 30, 30), torch.zeros(1, 30, 30)
    mask[:, :, :15], values[:, :, 15:] = 1, 99.0
    assert float(blurred(values, mask, 3.0)[:, :, :15].abs().max()) == pytest.approx(0)
