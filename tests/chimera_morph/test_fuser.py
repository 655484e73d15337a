"""The laws of a fuser, kept by feature-morph with a tiny encoder."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from chimera_morph.config import MorphConfig
from chimera_morph.fourier import radius_on
from chimera_morph.fuser import FeatureMorph
from chimera_morph.morphing import Morph, _further
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import Tensor

from chimera_core.api import ConfigError, Parent, resize_shorter

pytestmark = pytest.mark.slow

TINY = {"widths": (8, 16), "depth": 1, "classes": 3}
FIRST = (1.0, 0.0)


def make(encoder: dict[str, Any] = TINY, **options: Any) -> FeatureMorph:
    options = {"iterations": 6, "texture_levels": (0,), "precision": "fp32", "subject": "whole", **options}
    return FeatureMorph(MorphConfig(encoder={"name": "cnn", "options": encoder}, **options))


def parent(seed: int, *, masked: bool = True, shape: tuple[int, int] = (40, 48)) -> Parent:
    height, width = shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    disc = ((y - height / 2).square() + (x - width / 2).square() < (height / 3) ** 2).float()[None]
    colours = torch.rand(2, 3, 1, 1, generator=torch.Generator().manual_seed(seed))
    stripes = 0.15 * torch.sin(x / (1 + seed % 3))[None]
    image = (disc * (colours[0] + stripes) + (1 - disc) * colours[1]).clamp(0, 1)
    return Parent(f"animal-{seed}", image, mask=disc if masked else None)


PARENTS = (parent(1), parent(2), parent(3))


def fuse(fuser: FeatureMorph, weights: tuple[float, ...], seeds: tuple[int, ...] = (0,)) -> Tensor:
    return fuser.fuse(PARENTS[: len(weights)], weights, seeds=seeds, size=32)


def test_weight_one_on_the_first_parent_gives_its_very_pixels() -> None:
    made = fuse(make(), FIRST, (0, 1))
    assert made.shape == (2, 3, 32, 38)
    assert torch.equal(made[1], resize_shorter(PARENTS[0].image, 32))


def test_a_creature_differs_under_the_mask_and_nowhere_else() -> None:
    fuser = make(rim=0.0)
    changed = (fuse(fuser, (0.5, 0.5)) - fuse(fuser, FIRST)).abs().amax((0, 1)) > 1 / 255
    inside = resize_shorter(PARENTS[0].mask, 32)[0] > 0
    assert changed.any()
    # Two pixels of the result may blur over the edge in resizing.
    assert not (changed & ~torch.nn.functional.max_pool2d(inside.float()[None], 5, 1, 2)[0].bool()).any()
    assert not changed[0].any() and not changed[:, 0].any()


@pytest.mark.parametrize("budget", [1.0, 8.0])
def test_the_change_of_the_window_keeps_to_the_budget(budget: float) -> None:
    fuser = make(budget=budget, rate=0.5)
    fuse(fuser, (0.0, 1.0))
    (morph,) = fuser._morphs.values()
    area = torch.ones(1, *morph.half_way.shape[1:])  # a bound: the room is smaller
    assert 0 < float(morph.half_way.norm()) <= radius_on(area, budget) + 1e-4
    assert float(morph.full.norm()) <= radius_on(area, 1.5 * budget) + 1e-4
    assert float(morph.half_way.norm()) <= float(morph.full.norm()) + 1e-5


def test_the_way_from_the_first_parent_is_smooth_and_never_turns() -> None:
    fuser = make(iterations=10)
    frames = [fuse(fuser, (1 - k / 8, k / 8))[0] for k in range(9)]
    away = [float((f - frames[0]).norm()) for f in frames]
    assert all(b >= a - 1e-4 for a, b in pairwise(away))
    assert away[-1] > 0
    assert max(float((b - a).norm()) for a, b in pairwise(frames)) <= 0.3 * away[-1]


def test_an_image_depends_on_its_own_seed_alone() -> None:
    alone, together = fuse(make(), (0.5, 0.5), (7,)), fuse(make(), (0.5, 0.5), (3, 7, 7))
    assert torch.equal(alone[0], together[1])
    assert torch.equal(together[1], together[2])
    assert not torch.equal(together[0], together[1])


@pytest.mark.slow
def test_each_of_several_parents_counts_by_its_weight() -> None:
    fuser = make(iterations=15)
    toward = [fuse(fuser, weights)[0] for weights in ((0.4, 0.6, 0.0), (0.4, 0.3, 0.3), (0.4, 0.0, 0.6))]
    one, both, other = (image.mean((1, 2)) for image in toward)
    assert (one - other).norm() > 0.02
    assert (both - one).norm() < (other - one).norm() > (both - other).norm()


def test_a_parent_without_weight_changes_nothing() -> None:
    two, three = fuse(make(), (0.5, 0.5)), fuse(make(), (0.5, 0.5, 0.0))
    # The third parent's look is taken too, which draws from the seed: views differ, the creature hardly.
    assert (two - three).abs().mean() < 0.05


def test_progress_grows_to_one() -> None:
    fuser, seen = make(), []
    fuser.progress = lambda done, total: seen.append(done / total)
    fuse(fuser, (0.5, 0.5), (0, 1))
    assert all(b >= a for a, b in pairwise(seen))
    assert seen[-1] == pytest.approx(1)


def test_a_masks_absence_means_the_animal_is_found_or_the_whole_frame_taken() -> None:
    fuser = make()
    whole = [parent(1, masked=False), parent(2, masked=False)]
    changed = (
        fuser.fuse(whole, (0.5, 0.5), seeds=[0], size=32) - fuser.fuse(whole, FIRST, seeds=[0], size=32)
    ).abs()
    assert (changed[..., 0, :] > 0).any()


@pytest.mark.parametrize("shape", [(16, 16), (16, 120), (200, 40)])
def test_any_shape_and_an_empty_mask_will_do(shape: tuple[int, int]) -> None:
    empty = Parent("empty", torch.rand(3, *shape), mask=torch.zeros(1, *shape))
    made = make(iterations=1).fuse([empty, PARENTS[1]], (0.5, 0.5), seeds=[0], size=16)
    assert made.shape[2:] == resize_shorter(empty.image, 16).shape[1:]
    assert torch.isfinite(made).all()
    assert 0 <= float(made.min()) <= float(made.max()) <= 1


def test_a_level_that_the_encoder_lacks_is_refused_with_the_flag_to_set() -> None:
    with pytest.raises(ConfigError, match=r"levels 0 to 1.*--texture-levels"):
        make(texture_levels=(4,))


@pytest.mark.parametrize("levels", [(-1,), (1, 1)])
def test_wrong_levels_are_refused(levels: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="levels"):
        MorphConfig(texture_levels=levels)


@given(st.integers(0, 10_000), st.floats(0.5, 3))
def test_the_step_beyond_half_way_leads_on_and_stays_within_the_radius(seed: int, room: float) -> None:
    half_way, full = torch.randn(
        2, 3, 5, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    radius = float(half_way.norm()) * (1 + room)
    morph = Morph(half_way, lambda: _further(full, half_way, radius))
    changes = [morph.at(k / 8) for k in range(9)]
    lengths = [float(c.norm()) for c in changes]
    assert lengths[0] == 0
    assert lengths[-1] <= radius + 1e-9
    assert all(b > a - 1e-9 for a, b in pairwise(lengths))
    assert max(float((b - a).norm()) for a, b in pairwise(changes)) <= lengths[-1] / 4 + 1e-9


def test_threads_change_nothing_of_a_creature_and_their_number_is_given_back() -> None:
    made, before = [], torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            made.append(fuse(make(), (0.5, 0.5)))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*made)


def test_auto_precision_is_fp32_on_every_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True, "avx512_bf16": True})
    assert not make(precision="auto").bf16
    assert make(precision="bf16").bf16
