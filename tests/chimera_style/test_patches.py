"""Patches: atlas, search and vote, by hand-made textures and laws."""

from __future__ import annotations

import pytest
import torch
from chimera_style.patches import (
    Atlas,
    Target,
    build_atlas,
    improve,
    match_cost,
    overuse,
    search_all,
    vote,
    with_histogram,
)
from torch import Tensor

RADIUS = 2
NO_GUIDES = torch.zeros(4)


def noise(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def atlas_of(image: Tensor, mask: Tensor | None = None, angles: tuple[float, ...] = (0.0,)) -> Atlas:
    mask = torch.ones_like(image[:1]) if mask is None else mask
    guides = torch.zeros(4, *image.shape[-2:])
    return build_atlas(image, mask, guides, radius=RADIUS, angles=angles)


def target_of(image: Tensor) -> tuple[Target, Tensor]:
    """The whole of a picture but its margin as target, and its pixels."""
    height, width = image.shape[-2:]
    inner = torch.zeros(height, width, dtype=torch.bool)
    inner[RADIUS:-RADIUS, RADIUS:-RADIUS] = True
    places = inner.flatten().nonzero()[:, 0]
    pixels = image.flatten(1).T.contiguous()
    return Target(places, (height, width), torch.zeros(len(pixels), 4), RADIUS), pixels


def shown(atlas: Atlas, view: int) -> Tensor:
    side = atlas.view[0]
    return atlas.pixels.view(-1, side, side, 3)[view].permute(2, 0, 1)


def cut_middle(image: Tensor, height: int, width: int) -> Tensor:
    top, left = (image.shape[-2] - height) // 2, (image.shape[-1] - width) // 2
    return image[:, top : top + height, left : left + width]


def test_the_atlas_shows_the_coat_its_mirror_image_and_both_turned_clockwise() -> None:
    image = noise(12, 12)
    atlas = atlas_of(image, angles=(0.0, 90.0))
    wanted = (image, image.rot90(-1, (1, 2)), image.flip(-1), image.flip(-1).rot90(-1, (1, 2)))
    for view, expected in enumerate(wanted):
        assert torch.allclose(cut_middle(shown(atlas, view), 12, 12), expected, atol=1e-4)


def test_no_patch_of_the_atlas_touches_what_is_not_coat() -> None:
    image, mask = noise(20, 16), torch.zeros(1, 20, 16)
    mask[:, 4:16, 3:14] = 1
    image[:, mask[0] == 0] = 9.0
    atlas = atlas_of(image, mask, angles=(0.0, 30.0))
    assert len(atlas.places) > 20
    # Turned pixels are mixed of four: less than two parts in a hundred of the outside may be among them.
    assert float(atlas.patches(atlas.places).max()) < 1 + 0.03 * 9


def test_a_texture_finds_itself_everywhere() -> None:
    image = noise(14, 15)
    atlas, (target, pixels) = atlas_of(image), target_of(image)
    patches = target.patches(pixels)
    penalty = torch.zeros(len(atlas.pixels))
    guides = target.guides[target.places]
    found = search_all(atlas, atlas.places, patches, guides, NO_GUIDES, penalty)
    assert float(match_cost(atlas, found, patches, guides, NO_GUIDES, penalty).max()) < 1e-9
    drawn = vote(atlas, target, found, torch.ones(len(found)), torch.zeros_like(pixels), sharp=1.0)
    assert torch.allclose(drawn, pixels, atol=1e-5)


def test_exhaustive_search_counts_as_match_cost_does() -> None:
    atlas, (target, pixels) = atlas_of(noise(12, 12)), target_of(noise(10, 10, seed=1))
    generator = torch.Generator().manual_seed(2)
    atlas.guides.copy_(torch.rand(atlas.guides.shape, generator=generator))
    patches = target.patches(pixels)
    guides = torch.rand(len(target.places), 4, generator=generator)
    weights = torch.tensor([0.1, 0.2, 0.05, 0.3])
    penalty = 0.05 * torch.rand(len(atlas.pixels), generator=generator)
    found = search_all(atlas, atlas.places, patches, guides, weights, penalty)
    costs = torch.stack(
        [
            match_cost(atlas, place.expand(len(patches)), patches, guides, weights, penalty)
            for place in atlas.places
        ]
    )
    best = match_cost(atlas, found, patches, guides, weights, penalty)
    assert torch.allclose(best, costs.min(0).values, atol=1e-6)


def test_neighbours_and_chance_never_make_a_match_worse_and_spread_a_good_one() -> None:
    image = noise(16, 16)
    atlas, (target, pixels) = atlas_of(image), target_of(image)
    patches, guides = target.patches(pixels), target.guides[target.places]
    penalty = torch.zeros(len(atlas.pixels))
    first = atlas.places[torch.randint(len(atlas.places), (len(target.places),))]
    right = search_all(atlas, atlas.places, patches, guides, NO_GUIDES, penalty)
    first[0] = right[0]
    before = match_cost(atlas, first, patches, guides, NO_GUIDES, penalty)
    found = first
    for seed in range(4):
        found = improve(
            atlas,
            target,
            found,
            patches,
            NO_GUIDES,
            penalty,
            generator=torch.Generator().manual_seed(seed),
            strides=(1, 3),
            tries=2,
        )
    after = match_cost(atlas, found, patches, guides, NO_GUIDES, penalty)
    assert bool((after <= before).all())
    assert float((after < 1e-9).float().mean()) > 0.9
    assert bool(atlas.usable[found].all())


def test_what_is_used_more_than_its_turn_costs_more() -> None:
    atlas = atlas_of(noise(16, 16))
    crowded = atlas.places[:1].expand(100)
    price = overuse(atlas, crowded, price=1.0)
    assert float(price[crowded[0]]) > 1
    other = atlas.places[atlas.cells[atlas.places] != atlas.cells[crowded[0]]]
    assert float(price[other].max()) == 0


def test_values_take_over_a_distribution_and_keep_their_order() -> None:
    values = torch.tensor([[0.5, 0.1], [0.2, 0.9], [0.4, 0.3]])
    model = torch.tensor([[10.0, 3.0], [30.0, 1.0], [20.0, 2.0]])
    assert with_histogram(values, model).tolist() == [[30.0, 1.0], [10.0, 3.0], [20.0, 2.0]]


@pytest.mark.parametrize("sharp", [0.5, 2.0])
def test_where_no_patch_lies_nothing_is_drawn(sharp: float) -> None:
    image = noise(12, 12)
    atlas, (target, pixels) = atlas_of(image), target_of(image)
    few = Target(target.places[:1], target.shape, target.guides, RADIUS)
    drawn = vote(atlas, few, atlas.places[:1], torch.ones(1), torch.full_like(pixels, 7.0), sharp=sharp)
    assert int((drawn == 7.0).all(1).sum()) == len(pixels) - (2 * RADIUS + 1) ** 2
