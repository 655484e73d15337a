"""Coats by patches: stripes follow the body, nothing but coat is copied, and the fuser keeps its laws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from chimera_style.config import REPORT_STYLE, StyleConfig
from chimera_style.drawing import Drawing
from chimera_style.dressing import division, draw_by_patches
from chimera_style.fuser import StyleTransfer, _Seen
from chimera_style.heads import body_of
from chimera_style.patching import patched
from chimera_style.pelt import Pelt
from torch import Tensor

from chimera_core.api import EncoderRef, Parent, Subject, Window, resize_shorter

pytestmark = pytest.mark.slow


def rectangle(height: int, width: int, box: tuple[int, int, int, int]) -> Tensor:
    """A mask (1, height, width) that is 1 in top, bottom, left, right."""
    mask = torch.zeros(1, height, width)
    top, bottom, left, right = box
    mask[:, top:bottom, left:right] = 1
    return mask


def plain(height: int, width: int, box: tuple[int, int, int, int]) -> Subject:
    """A brown animal on green."""
    mask = rectangle(height, width, box)
    brown, green = (torch.tensor(c).view(3, 1, 1) for c in ([0.5, 0.35, 0.2], [0.3, 0.6, 0.2]))
    return Subject(brown * mask + green * (1 - mask), mask)


def zebra() -> Subject:
    """A body that lies, 100 by 44, with stripes that run down its flank; blue around it."""
    mask = rectangle(64, 120, (10, 54, 10, 110))
    stripes = (2 * math.pi / 12 * torch.arange(120)).sin().sign() * 0.45 + 0.5
    image = stripes.expand(3, 64, 120)
    blue = torch.tensor([0.1, 0.2, 0.9]).view(3, 1, 1)
    return Subject(image * mask + blue * (1 - mask), mask)


def pelt_of(coat: Subject) -> Pelt:
    return Pelt.taken_from(coat, body_of(coat.mask, torch.zeros_like(coat.mask)))


def texture(body: Subject, coat: Subject, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return patched(body, pelt_of(coat), texture_scale=scale, generator=generator, progress=lambda share: None)


def dressed(coats: Sequence[Subject], shares: Sequence[float], seed: int = 0, **options: Any) -> Drawing:
    layout = plain(70, 100, (15, 55, 10, 90))
    return draw_by_patches(
        layout,
        rectangle(70, 100, (15, 55, 70, 90)),
        [pelt_of(coat) for coat in coats],
        shares,
        seed=seed,
        window=Window.around(layout.mask, (70, 100)),
        config=StyleConfig(**options),
        progress=lambda share: None,
    )


@pytest.fixture(scope="module")
def half_way() -> Tensor:
    """Give the plain animal in the zebra's coat, by seed 0 and with all options as they are."""
    return dressed([zebra()], [1.0]).half_way


@pytest.mark.slow
@pytest.mark.parametrize("standing", [False, True])
def test_stripes_run_round_the_body_whichever_way_it_lies(standing: bool) -> None:
    box = (10, 110, 10, 54) if standing else (10, 54, 10, 110)
    body = plain(120, 64, box) if standing else plain(64, 120, box)
    drawn = texture(body, zebra())[:, box[0] + 8 : box[1] - 8, box[2] + 8 : box[3] - 8].mean(0)
    down, right = drawn.diff(dim=0).square().mean(), drawn.diff(dim=1).square().mean()
    steeper, flatter = (down, right) if standing else (right, down)
    assert float(steeper) > 3 * float(flatter)
    assert float(drawn.std()) > 0.3  # and they are stripes: of 0.45, no grey


@pytest.mark.slow
def test_nothing_but_coat_is_copied() -> None:
    drawn = texture(plain(64, 120, (10, 54, 10, 110)), zebra())
    inside = drawn[:, 10:54, 10:110]
    assert float((inside[2] - inside[0]).max()) < 0.1  # the coat's ground is blue


def test_grass_at_the_coats_feet_is_left_out() -> None:
    coat = plain(80, 120, (10, 70, 10, 110))
    noise = torch.rand(coat.image.shape, generator=torch.Generator().manual_seed(0))
    image = coat.image + 0.05 * noise
    image[:, 62:70, 20:100] = torch.tensor([0.1, 0.8, 0.1]).view(3, 1, 1)
    pelt = pelt_of(Subject(image, coat.mask))
    copied = pelt.image[:, pelt.mask[0] > 0.5]
    assert float((copied[1] - copied[0]).max()) < 0.2
    assert float(pelt.mask.sum()) > 0.6 * float(coat.mask.sum())


def test_a_body_suffices_and_a_thin_or_tiny_coat_does_not() -> None:
    assert pelt_of(zebra()).suffices
    snake = rectangle(100, 400, (50, 56, 10, 390))
    assert not pelt_of(Subject(torch.rand(3, 100, 400), snake)).suffices
    assert not pelt_of(Subject(torch.rand(3, 24, 24), torch.ones(1, 24, 24))).suffices


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_another_coat(half_way: Tensor) -> None:
    again, other = (dressed([zebra()], [1.0], seed=seed).half_way for seed in (0, 1))
    assert torch.equal(half_way, again)
    assert float((half_way - other).abs().mean()) > 0.02


def test_the_head_wears_no_stripes(half_way: Tensor) -> None:
    width = half_way.shape[-1]
    face = half_way[:, 30:70, round(0.82 * width) : round(0.88 * width)]
    flank = half_way[:, 30:70, round(0.2 * width) : round(0.6 * width)]
    assert float(face.std(dim=(1, 2)).max()) < 0.02 < 0.2 < float(flank.std(dim=(1, 2)).min())


@pytest.mark.slow
def test_a_coat_takes_the_layouts_colours_when_they_are_kept(half_way: Tensor) -> None:
    kept = dressed([zebra()], [1.0], colour="keep").half_way
    assert StyleConfig().colour == "take"
    brown = torch.tensor([0.5, 0.35, 0.2])
    away = [float((image[:, 30:60, 40:80].mean((1, 2)) - brown).abs().max()) for image in (kept, half_way)]
    assert away[0] < 0.08 < away[1]


def test_coats_share_the_body_by_their_weights_from_the_head_on() -> None:
    mask = rectangle(90, 200, (20, 70, 10, 190))
    keep = rectangle(90, 200, (20, 70, 170, 190))
    parts = division(mask, keep, [0.25, 0.0, 0.75], torch.Generator().manual_seed(0))
    assert torch.allclose(parts.sum(0), torch.ones(90, 200), atol=1e-6)
    areas = (parts * mask * (1 - keep)).sum((1, 2)) / (mask * (1 - keep)).sum()
    assert areas.tolist() == pytest.approx([0.25, 0.0, 0.75], abs=0.03)
    assert float(parts[0, 45, 160]) > 0.9 and float(parts[2, 45, 20]) > 0.9


@pytest.mark.slow
def test_a_coat_of_no_share_is_not_drawn(half_way: Tensor) -> None:
    red = Subject(torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, 60, 60), torch.ones(1, 60, 60))
    both = dressed([zebra(), red], [1.0, 0.0]).half_way
    assert torch.allclose(both, half_way, atol=0.01)


def parent(name: str, subject: Subject) -> Parent:
    return Parent(name, subject.image, mask=subject.mask)


LAYOUT, COAT = parent("plain", plain(70, 100, (15, 55, 10, 90))), parent("zebra", zebra())


@pytest.mark.slow
@pytest.mark.parametrize("coat", ["patches", "gram"])
def test_weight_one_is_the_very_pixels_and_no_step_of_nine_is_over_a_third(coat: str) -> None:
    fuser = StyleTransfer(StyleConfig(coat=coat, iterations=4))
    frames = [fuser.fuse([LAYOUT, COAT], [1 - k / 8, k / 8], seeds=[3], size=64)[0] for k in range(9)]
    assert torch.equal(frames[0], resize_shorter(LAYOUT.image, 64))
    steps = [float((b - a).norm()) for a, b in pairwise(frames)]
    assert max(steps) < float((frames[-1] - frames[0]).norm()) / 3
    assert fuser.last_coat == coat


@pytest.mark.slow
def test_auto_takes_patches_unless_the_coat_is_thin_or_an_encoder_is_named() -> None:
    fuser = StyleTransfer(StyleConfig(iterations=1))
    snake = parent("snake", Subject(torch.rand(3, 100, 400), rectangle(100, 400, (50, 56, 10, 390))))
    chosen = []
    for parents, weights in (
        ([LAYOUT, COAT], [0.5, 0.5]),
        ([LAYOUT, snake], [0.5, 0.5]),
        ([LAYOUT, COAT, snake], [0.5, 0.5, 0.0]),
        ([LAYOUT, COAT, snake], [0.5, 0.25, 0.25]),
    ):
        fuser.fuse(parents, weights, seeds=[0], size=48)
        chosen.append(fuser.last_coat)
    assert chosen == ["patches", "gram", "patches", "gram"]
    named = StyleTransfer(
        StyleConfig(
            encoder=EncoderRef(name="timm:timm", options={"taps": ["blocks.0", "blocks.1", "blocks.2"]}),
            style_levels=(0, 1),
            iterations=1,
        )
    )
    named.fuse([LAYOUT, COAT], [0.5, 0.5], seeds=[0], size=48)
    assert named.last_coat == "gram"
    assert StyleConfig(**REPORT_STYLE).coat == "gram"


@pytest.mark.parametrize(
    ("head", "confidence", "worth"),
    [(False, 0.9, True), (False, None, True), (False, 0.5, False), (True, 0.9, False)],
)
def test_a_coat_is_worth_copying_where_its_outline_is_sure_and_its_body_in_sight(head, confidence, worth):
    subject = Subject(torch.rand(3, 100, 160), rectangle(100, 160, (10, 90, 10, 150)))
    scores = subject.mask * (torch.linspace(0.5, 1, 160) if head else 0)
    assert _Seen(subject, scores, confidence).is_worth_copying is worth


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(4, 5), (16, 16), (9, 60)])
def test_thumbnails_are_drawn_too(height: int, width: int) -> None:
    fuser = StyleTransfer(StyleConfig(coat="patches", subject="whole"))
    parents = [Parent("a", torch.rand(3, height, width)), Parent("b", torch.rand(3, width, height))]
    made = fuser.fuse(parents, [0.5, 0.5], seeds=[0], size=16)
    assert min(made.shape[-2:]) == 16 and bool(made.isfinite().all())


@pytest.mark.slow
def test_a_zebra_lends_a_horse_its_stripes_and_not_its_face(photos: Path) -> None:
    from chimera_core.fusing.fusion import Fusion
    from chimera_core.fusing.request import check_request

    parents = [photos / "sorrel.jpg", photos / "zebra.jpg"]
    fusion = Fusion(check_request(parents, fuser="style-transfer", size=128))
    layout, made = (fusion.make(weights, [0])[0] for weights in ([1, 0], [0.5, 0.5]))
    image = made.mean(0)
    height, width = image.shape
    flank = image[round(0.4 * height) : round(0.55 * height), round(0.35 * width) : round(0.75 * width)]
    # Stripes: much of both black and white.
    assert float((flank < 0.3).float().mean()) > 0.15 and float((flank > 0.5).float().mean()) > 0.15
    assert float(flank.std()) > 0.15  # the horse's own: under 0.1
    meadow = (slice(None), slice(round(0.9 * height), None))
    assert torch.equal(made[meadow], layout[meadow])
