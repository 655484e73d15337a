"""Augmentation: values against torchvision, and numbers that belong to the image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as tv

from chimera_core.api import ConfigError, Draw
from chimera_core.plugins.discovery import default_host
from chimera_core.training import additions
from chimera_core.training.augmentation import colour
from chimera_core.training.augmentation import geometry as warp
from chimera_core.training.augmentation.presets import (
    PRESETS,
    Augmentation,
    colour_jitter,
    crop_flip,
    random_rotation,
)
from chimera_core.training.augmentation.rand_augment import OPERATIONS, rand_augment


def find_augmentation(name: str) -> Augmentation:
    return additions.find_augmentation(name, default_host())


@pytest.fixture
def x() -> Tensor:
    """Eight smooth images and one of a single colour, uint8 values."""
    generator = torch.Generator().manual_seed(0)
    small = torch.rand(9, 3, 5, 5, generator=generator)
    images = torch.nn.functional.interpolate(small, 32, mode="bilinear", align_corners=True)
    images[8] = 0.25
    return (images * 255).round() / 255


def draw_of(*indices: int, seed: int = 0, epoch: int = 0) -> Draw:
    return Draw(seed, epoch, torch.tensor(indices))


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_an_image_is_augmented_alike_in_any_batch(name: str, x: Tensor) -> None:
    augment = find_augmentation(name)
    whole = augment(x, draw_of(*range(9)))
    picked = [7, 2, 5]
    assert torch.equal(augment(x[picked], draw_of(*picked)), whole[picked])


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_results_are_images_and_the_input_stays(name: str, x: Tensor) -> None:
    kept = x.clone()
    made = find_augmentation(name)(x, draw_of(*range(9)))
    assert made.shape == x.shape and made.dtype == torch.float32
    assert made.min() >= 0 and made.max() <= 1
    assert torch.equal(x, kept)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"none"}))
def test_another_epoch_gives_other_images(name: str, x: Tensor) -> None:
    augment = find_augmentation(name)
    one, two = (augment(x, draw_of(*range(9), epoch=epoch)) for epoch in (0, 1))
    assert not torch.equal(one, two)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_channels_last_batches_give_the_same(name: str, x: Tensor) -> None:
    augment = find_augmentation(name)
    one = augment(x.contiguous(memory_format=torch.channels_last), draw_of(*range(9)))
    assert torch.allclose(one, augment(x, draw_of(*range(9))), atol=1e-6)


THEIRS: list[tuple[str, Callable[[Tensor, Tensor], Tensor], Callable[[Tensor, float], Tensor]]] = [
    ("brightness", colour.adjust_brightness, tv.adjust_brightness),
    ("contrast", colour.adjust_contrast, tv.adjust_contrast),
    ("saturation", colour.adjust_saturation, tv.adjust_saturation),
    ("sharpness", colour.adjust_sharpness, tv.adjust_sharpness),
    ("solarize", colour.solarize, tv.solarize),
]


@pytest.mark.parametrize(("name", "ours", "theirs"), THEIRS, ids=[name for name, _, _ in THEIRS])
def test_colours_change_as_torchvision_changes_them_one_by_one(name, ours, theirs, x: Tensor) -> None:
    amounts = torch.linspace(0.1, 1.9, 9) if name != "solarize" else torch.linspace(0, 1, 9)
    made = ours(x, amounts)
    for k, amount in enumerate(amounts.tolist()):
        assert torch.allclose(made[k], theirs(x[k], amount), atol=2e-6), k


def test_posterize_equalize_and_autocontrast_are_torchvisions(x: Tensor) -> None:
    bytes_ = (x * 255).byte()
    bits = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 4])
    posterized = (colour.posterize(x, bits) * 255).round().byte()
    for k, count in enumerate(bits.tolist()):
        assert torch.equal(posterized[k], tv.posterize(bytes_[k], count))
    assert torch.equal((colour.equalize(x) * 255).round().byte(), tv.equalize(bytes_))
    assert torch.allclose(colour.autocontrast(x), tv.autocontrast(x), atol=1e-6)


def test_rotation_is_torchvisions(x: Tensor) -> None:
    degrees = torch.tensor([0.0, 15, -15, 30, 90, -90, 180, 7, 3])
    made = warp.affine(x, warp.rotation(degrees))
    for k, angle in enumerate(degrees.tolist()):
        expected = tv.rotate(x[k], angle, interpolation=tv.InterpolationMode.BILINEAR)
        assert torch.allclose(made[k], expected, atol=1e-4), angle


def test_rotations_reach_the_angle_and_not_beyond(x: Tensor) -> None:
    n = 200
    disc = torch.zeros(n, 3, 33, 33)
    disc[:, :, 16, 31] = 1.0  # a point to the right of the centre, at distance 15
    made = random_rotation(disc, draw_of(*range(n)), degrees=15)[:, 0]
    rows = (made.sum(2) * torch.arange(33)).sum(1) / made.sum((1, 2))
    lift = (16 - rows) / 15
    assert lift.abs().max() < 0.27 and lift.max() > 0.22 and lift.min() < -0.22  # sin 15 = 0.2588


def test_jitter_has_every_order_and_its_range(x: Tensor) -> None:
    grey = torch.full((300, 3, 8, 8), 0.5)
    means = colour_jitter(grey, draw_of(*range(300)), strength=0.5).mean((1, 2, 3))
    assert 0.25 <= means.min() < 0.27 and 0.73 < means.max() <= 0.75
    # Brightness before contrast is not contrast before brightness where values saturate.
    one, two = (colour_jitter(x, draw_of(*range(9), seed=s), strength=0.5) for s in (0, 1))
    assert not torch.equal(one, two)


def test_crops_move_by_up_to_an_eighth_and_reflect(x: Tensor) -> None:
    n = 400
    ramp = torch.arange(64.0).expand(n, 3, 64, 64) / 255
    made = crop_flip(ramp, draw_of(*range(n)))
    middle = (made[:, 0, 0, 31:33].mean(1) * 255).sub(31.5)
    assert middle.abs().max() == 8 and len(middle.unique()) == 17
    step = made[:, 0, 0, 33] - made[:, 0, 0, 32]
    assert 0.4 < (step < 0).float().mean() < 0.6  # half of them are mirrored
    shifted = warp.shift(ramp[:1], torch.tensor([0]), torch.tensor([3]))[0, 0, 0] * 255
    assert shifted[:5].round().tolist() == [3, 2, 1, 0, 1]


def test_every_operation_of_rand_augment_occurs_and_does_something(x: Tensor) -> None:
    for name, operation in OPERATIONS.items():
        made = operation(x[:8], torch.full((8,), 0.3))
        assert made.shape == (8, 3, 32, 32)
        assert torch.equal(made, x[:8]) == (name == "identity"), name
    many = x[:1].repeat(600, 1, 1, 1)
    kinds = rand_augment(many, draw_of(*range(600)), count=1).flatten(1).unique(dim=0)
    assert len(kinds) == 14 + 9  # nine operations have two signs


def test_strength_zero_changes_nothing_that_has_a_strength(x: Tensor) -> None:
    for name in set(OPERATIONS) - {"autocontrast", "equalize", "solarize"}:
        assert torch.allclose(OPERATIONS[name](x, torch.zeros(9)), x, atol=1e-5), name


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no augmentation 'flop' \(did you mean 'flip'"):
        find_augmentation("flop")
    with pytest.raises(ConfigError, match="padding of 16 pixels is more than images of 16 x 16"):
        crop_flip(torch.rand(1, 3, 16, 16), draw_of(0), padding=16)
