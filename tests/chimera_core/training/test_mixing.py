"""mixup and cutmix."""

from __future__ import annotations

import pytest
import torch

from chimera_core.api import ConfigError, Draw
from chimera_core.training.augmentation.mixing import cutmix, mixup


def draw_of(n: int, seed: int = 0) -> Draw:
    return Draw(seed, 0, torch.arange(n))


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_shares_of_classes_are_the_shares_of_pixels(mix) -> None:
    # Image k is all one shade, its class too: what is left of it can be read off.
    n = 40
    x = torch.zeros(n, 3, 16, 16)
    x[::2] = 1.0
    y = torch.tensor([1, 0]).repeat(n // 2)
    images, shares = mix(x, y, draw_of(n), classes=3)
    assert torch.allclose(images.mean((1, 2, 3)), shares[:, 1], atol=1e-6)
    assert torch.allclose(shares.sum(1), torch.ones(n)) and (shares[:, 2] == 0).all()
    assert len(shares[:, 1].unique()) > n / 2, "every image has a share of its own"


def test_shares_follow_the_beta_distribution() -> None:
    n = 20_000
    x = torch.zeros(n, 3, 1, 1)
    y = torch.arange(n) % 2
    for alpha in (0.2, 1.0):
        _, shares = mixup(x, y, draw_of(n), classes=2, alpha=alpha)
        own = shares.gather(1, y[:, None])
        assert abs(float(own.mean()) - 0.5) < 0.01
        assert abs(float(own.var()) - 1 / (4 * (2 * alpha + 1))) < 0.005


def test_the_share_of_an_image_does_not_hang_on_its_batch() -> None:
    x, y = torch.rand(6, 3, 8, 8), torch.arange(6)
    _, whole = mixup(x, y, draw_of(6), classes=6)
    _, half = mixup(x[:3], y[:3], draw_of(3), classes=6)
    assert torch.equal(whole.diagonal()[:3], half.diagonal()[:3])


def test_cutmix_puts_one_rectangle_of_the_neighbour() -> None:
    x = torch.stack([torch.zeros(3, 16, 16), torch.ones(3, 16, 16)])
    for seed in range(5):
        images, _ = cutmix(x, torch.tensor([0, 1]), draw_of(2, seed), classes=2)
        foreign = images[0, 0] == 1
        rows, columns = foreign.any(1), foreign.any(0)
        assert torch.equal(foreign, rows[:, None] & columns)


def test_alpha_out_of_range_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"in \(0, 1\], but it is 2"):
        mixup(torch.rand(2, 3, 4, 4), torch.tensor([0, 1]), draw_of(2), classes=2, alpha=2.0)
