"""Translators, critics of patches, and the pool of past translations."""

from __future__ import annotations

import pytest
import torch
from chimera_gan.cyclegan_networks import (
    FakePool,
    InstanceNorm,
    PatchCritic,
    Translator,
    initialise_translator,
)

from chimera_core.api import Draw


def drawn(translator: Translator) -> Translator:
    initialise_translator(translator, torch.Generator().manual_seed(0))
    return translator


def numbered(*values: float) -> torch.Tensor:
    """Images of one colour each."""
    return torch.tensor(values).view(-1, 1, 1, 1).expand(-1, 3, 4, 4).clone()


def colours(images: torch.Tensor) -> list[float]:
    return [round(v, 3) for v in images[:, 0, 0, 0].tolist()]


@pytest.mark.parametrize("sides", [(16, 16), (64, 64), (16, 28)])
def test_a_translator_keeps_the_size_and_the_range(sides: tuple[int, int]) -> None:
    made = drawn(Translator(4, 2))(torch.rand(2, 3, *sides, generator=torch.Generator().manual_seed(1)))
    assert made.shape == (2, 3, *sides)
    assert made.min() >= 0 and made.max() <= 1


def test_a_translator_sees_how_bright_an_image_is() -> None:
    """With instance norm after the first layer a brighter image would give the very same result."""
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) / 2
    translator = drawn(Translator(4, 2))
    assert (translator(x + 0.4) - translator(x)).abs().mean() > 0.01


def test_strength_scales_what_each_block_adds() -> None:
    """Blocks that add the constant 2, whatever comes: after three at strength 0.5, 3 more than before."""

    class Two(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.full_like(x, 2.0)

    translator = Translator(4, 3)
    translator.encode = torch.nn.Identity()  # type: ignore[assignment]
    translator.decode = torch.nn.Identity()  # type: ignore[assignment]
    translator.blocks = torch.nn.ModuleList(Two() for _ in range(3))
    x = torch.full((1, 3, 4, 4), 0.5)  # 0 inside
    assert translator(x, 0.5).unique().tolist() == [(3.0 + 1) / 2]
    assert torch.equal(translator(x, 0.0), x)


def test_the_gradient_of_one_image_does_not_depend_on_its_memory_order() -> None:
    """It does in torch 2.14: off by more than 1 here."""
    draw = torch.Generator().manual_seed(2)
    values, slope = (torch.randn(1, 5, 6, 6, generator=draw) for _ in range(2))
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        x = values.clone(memory_format=order).requires_grad_(True)
        InstanceNorm(5)(x).backward(slope.contiguous(memory_format=order))
        found.append(x.grad)
    torch.testing.assert_close(found[1], found[0])


def test_upsampling_covers_every_pixel_equally_often() -> None:
    """No checkerboard: a constant goes through a doubling with equal weights as a constant, but for the rim."""
    doubling = next(m for m in Translator(1, 1).decode if isinstance(m, torch.nn.ConvTranspose2d))
    with torch.no_grad():
        doubling.weight.fill_(1.0)
        doubling.bias.zero_()
        made = doubling(torch.ones(1, 4, 6, 6))
    assert made[..., 1:-1, 1:-1].unique().tolist() == [16.0]


def test_one_number_of_the_critic_sees_34_pixels() -> None:
    critic = PatchCritic(2).double()
    # Instance norm would tie every patch to the whole image.
    critic.layers = torch.nn.Sequential(*(m for m in critic.layers if not isinstance(m, InstanceNorm)))
    x = torch.rand(1, 3, 64, 64, dtype=torch.float64, requires_grad=True)
    judged = critic(x)
    assert judged.shape == (1, 1, 14, 14)
    seen = torch.autograd.grad(judged[0, 0, 7, 7], x)[0].abs().sum((0, 1))
    assert int((seen.sum(0) > 0).sum()) == int((seen.sum(1) > 0).sum()) == 34


def test_the_pool_gives_new_images_until_it_is_full() -> None:
    pool = FakePool(3, 4)
    draw = Draw(0, 0, torch.arange(2))
    assert colours(pool.exchange(numbered(0.1, 0.2), draw)) == [0.1, 0.2]
    assert colours(pool.images) == [0.1, 0.2, 0.0]


def test_a_full_pool_gives_the_new_image_or_trades_it_for_an_old_one() -> None:
    pool = FakePool(4, 4)
    pool.exchange(numbered(0.1, 0.2, 0.3, 0.4), Draw(0, 0, torch.arange(4)))
    new = [0.5 + k / 200 for k in range(64)]
    given = colours(pool.exchange(numbered(*new), Draw(0, 0, torch.arange(64))))
    kept = [a for a, b in zip(given, new, strict=True) if a == round(b, 3)]
    assert 16 <= len(kept) <= 48  # half of 64, four standard deviations
    # Nothing is lost, nothing doubled: what went in was given or lies there.
    assert sorted([*given, *colours(pool.images)]) == sorted(
        [0.1, 0.2, 0.3, 0.4, *(round(v, 3) for v in new)]
    )


def test_the_pool_depends_on_the_draw_alone_and_goes_on_from_its_buffers() -> None:
    def fill(pool: FakePool, steps: range) -> list[list[float]]:
        found = []
        for step in steps:
            torch.manual_seed(17 * step)  # torch's own generator has no say
            images = numbered(*(0.01 * (step * 4 + k) for k in range(4)))
            found.append(colours(pool.exchange(images, Draw(3, step, torch.arange(4)))))
        return found

    whole, begun, resumed = FakePool(5, 4), FakePool(5, 4), FakePool(5, 4)
    expected = fill(whole, range(8))
    start = fill(begun, range(5))
    resumed.load_state_dict(begun.state_dict())
    assert start + fill(resumed, range(5, 8)) == expected
    assert torch.equal(resumed.images, whole.images)


def test_a_pool_of_none_gives_back_what_it_gets() -> None:
    given = FakePool(0, 4).exchange(numbered(0.3, 0.6), Draw(0, 0, torch.arange(2)))
    assert colours(given) == [0.3, 0.6]
