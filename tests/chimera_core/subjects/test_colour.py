"""Colours given from one animal to another, by their statistics."""

from __future__ import annotations

import torch

from chimera_core.api import transfer_colour


def test_colour_transfer_takes_over_mean_and_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    image = 0.4 + 0.05 * torch.randn(3, 40, 40, generator=generator)
    mixing = torch.tensor([[0.04, 0.01, 0.0], [0.0, 0.03, 0.02], [0.01, 0.0, 0.05]])
    model = (0.6 + (mixing @ torch.randn(3, 900, generator=generator))).view(3, 30, 30)
    whole = torch.ones(1, 40, 40), torch.ones(1, 30, 30)
    moved = transfer_colour(image, whole[0], model, whole[1])
    assert torch.allclose(moved.mean((1, 2)), model.mean((1, 2)), atol=1e-3)
    assert torch.allclose(moved.flatten(1).cov(), model.flatten(1).cov(), atol=3e-4)


def test_colour_transfer_survives_grey_and_flat_pictures() -> None:
    flat, grey = torch.full((3, 8, 8), 0.5), torch.rand(1, 8, 8).expand(3, 8, 8)
    whole = torch.ones(1, 8, 8)
    for image, model in ((flat, grey), (grey, flat), (flat, flat)):
        assert torch.isfinite(transfer_colour(image, whole, model, whole)).all()
