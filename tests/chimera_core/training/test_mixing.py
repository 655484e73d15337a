"""mixup, cutmix and copy-paste."""

from __future__ import annotations

import pytest
import torch

from chimera_core.api import ConfigError, Draw, ShapeError
from chimera_core.training.augmentation.mixing import copy_paste, cutmix, mixup, same_class_backgrounds


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


def test_an_animal_is_pasted_where_it_stands() -> None:
    images, backgrounds = torch.ones(2, 3, 4, 4), torch.zeros(1, 3, 4, 4)
    masks = torch.zeros(2, 1, 4, 4)
    masks[0, :, 1:3, 2] = 1.0
    masks[0, :, 0, 0] = 0.5
    made = copy_paste(images, masks, backgrounds, draw_of(2))
    assert torch.equal(made[0], masks[0].expand(3, 4, 4))
    assert torch.equal(made[1], images[1]), "an image without an animal stays"


def test_same_class_backgrounds_come_from_cameras_that_saw_the_class() -> None:
    allowed = same_class_backgrounds(
        torch.tensor([0, 1, 2]),
        torch.tensor([5, 6, 6]),
        seen_labels=torch.tensor([0, 0, 1]),
        seen_domains=torch.tensor([5, 6, 6]),
    )
    assert allowed.tolist() == [[True, True, True], [False, True, True], [False, False, False]]
    images, masks = torch.ones(3, 3, 2, 2), torch.zeros(3, 1, 2, 2)
    masks[:, :, 0, 0] = 1
    shades = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    seen = set()
    for seed in range(30):
        made = copy_paste(images, masks, shades, draw_of(3, seed), allowed=allowed)
        assert torch.equal(made[2], images[2]), "no camera saw class 2"
        seen |= {(k, round(float(made[k, 0, 1, 1]), 1)) for k in (0, 1)}
    assert seen == {(0, 0.1), (0, 0.2), (0, 0.3), (1, 0.2), (1, 0.3)}


def test_copy_paste_is_refused_with_the_reason() -> None:
    images = torch.rand(1, 3, 4, 4)
    with pytest.raises(ConfigError, match="neither boxes nor masks"):
        copy_paste(images, None, images, draw_of(1))
    with pytest.raises(ConfigError, match="pictures without animals"):
        copy_paste(images, images[:, :1], None, draw_of(1))
    with pytest.raises(ShapeError, match=r"masks \(1, 3, 4, 4\)"):
        copy_paste(images, images, images, draw_of(1))
