"""Put coats on a layout's animal: masked Gram matrices, optimised coarse to fine (Gatys et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import (
    FeatureEncoder,
    Subject,
    Window,
    colour_spread,
    resize_to,
    shrink_mask,
    transfer_colour,
)
from chimera_style.config import StyleConfig
from chimera_style.drawing import Drawing, Progress, further, portion
from chimera_style.exemplar import Exemplar
from chimera_style.gram import (
    content_loss,
    gram_loss,
    masked_gram,
    mix_grams,
    total_variation,
)
from chimera_style.heads import TINT_FULL, TINT_HALF_WAY, tinted, with_head

# The animal is drawn on a canvas of about this side even where it is small in the photograph, because
# the encoder sees markings best at this size; at most twice the final resolution, or they would be averaged away.
_CANVAS = 288
_MOST_MAGNIFICATION = 2.0
# Canvases of a larger mean side than this have fewer iterations, inversely to their side: what is drawn at the scale before is
# half the work, and the most time goes there.
_ALL_ITERATIONS = 300
# The coarsest scale: a whole animal then fits into the deepest style level's receptive field.
_COARSEST = 150
# Share of the coats' Gram matrices in the target at equal weights; the layout's own has the rest.
_WORN_HALF_WAY = 0.97
# Content weight at equal weights, and without any weight on the layout, as a multiple of the option.
_CONTENT_HALF_WAY, _CONTENT_FULL = 1.0, 0.17
# From the half-way creature to the full one takes this share of the iterations.
_FULL_SHARE = 1 / 3
# How much of the coats' own pixels the full creature starts from.
_DRAPE = 0.5
# The start's noise: clouds per side and how strong they are, in standard deviations of the coats' colours; then
# single pixels, on the pixel scale.
_CLOUDS, _CLOUDINESS, _GRAIN = 6, 0.6, 0.02
_PADDING = 16
_ADAM_RATE = 0.02


def draw(
    encoder: FeatureEncoder,
    layout: Subject,
    keep: Tensor,
    coats: Sequence[Subject],
    shares: Sequence[float],
    *,
    seed: int,
    window: Window,
    config: StyleConfig,
    progress: Progress,
) -> Drawing:
    """Draw the layout's animal in the coats' texture, coarse to fine.

    Args:
        encoder: frozen network that gives feature maps.
        layout: picture that gives pose and surroundings.
        keep: float (1, H, W) in [0, 1], how much of the layout's pixels stay: its head.
        coats: pictures that give the exemplars, one or more; only pixels under their masks count.
        shares: each coat's share of the texture, sum 1.
        seed: decides mirroring and part of the coats, and the start's noise.
        window: the part of the layout to draw.
        config: how.
        progress: called with the share done.
    Source: Gatys et al. 2016 (CVPR); masks and coarse to fine: Gatys et al. 2017, arXiv:1611.07865.
        Start and canvas are ours.
    """
    generator = torch.Generator().manual_seed(seed)
    body = Subject(window.cut(layout.image), window.cut(layout.mask * (1 - keep)))
    exemplars = tuple(
        Exemplar.taken_from(coat, generator, texture_scale=config.texture_scale) for coat in coats
    )
    if config.colour == "keep":
        exemplars = tuple(exemplar.in_colours_of(body) for exemplar in exemplars)
    shapes = window.canvases(side=_CANVAS, coarsest=_COARSEST, magnification=_MOST_MAGNIFICATION)
    whole = sum(h * w for h, w in shapes)
    done = 0.0
    drawn: Tensor | None = None
    loss = math.nan
    for shape in shapes:
        canvas = Subject(resize_to(body.image, shape), shrink_mask(body.mask, shape))
        task = _Task(encoder, canvas, exemplars, shares, config)
        start = (
            _start(canvas, exemplars, shares, generator, drape=0.0)
            if drawn is None
            else resize_to(drawn, shape)
        )
        part = shape[0] * shape[1] / whole
        drawn, loss = task.optimise(
            start, worn=_WORN_HALF_WAY, content=_CONTENT_HALF_WAY, progress=portion(progress, done, part)
        )
        done += part
    assert drawn is not None

    def make_full(half_way: Tensor = drawn) -> Tensor:
        # Less content weight alone changes little from so near an optimum: lay on some of the coats' own pixels.
        draped = _start(canvas, exemplars, shares, generator, drape=1.0)
        start = half_way + _DRAPE * (draped - half_way)
        full, _ = task.optimise(start, worn=1.0, content=_CONTENT_FULL, share=_FULL_SHARE, progress=progress)
        return further(headed(full, TINT_FULL), headed(half_way, TINT_HALF_WAY), canvas.image)

    keep = shrink_mask(window.cut(keep), shape)
    colours = tinted(canvas, [Subject(exemplar.image, exemplar.mask) for exemplar in exemplars], shares)

    def headed(pixels: Tensor, tint: float) -> Tensor:
        return with_head(pixels, canvas, keep, colours, tint=tint)

    return Drawing(canvas, headed(drawn, TINT_HALF_WAY), loss, make_full)


class _Task:
    """One canvas to be drawn: its targets, and the loss against them."""

    def __init__(
        self,
        encoder: FeatureEncoder,
        canvas: Subject,
        exemplars: Sequence[Exemplar],
        shares: Sequence[float],
        config: StyleConfig,
    ) -> None:
        self.encoder, self.canvas, self.config = encoder, canvas, config
        self.shares = shares
        self.mask = F.pad(canvas.mask, _padding(canvas.mask))
        pictures = [canvas, *(exemplar.for_body(canvas.mask) for exemplar in exemplars)]
        with torch.no_grad():
            self.gram_sets = [_grams(encoder, picture, config.style_levels) for picture in pictures]
            (self.shape,) = encoder.feature_maps(_padded(canvas.image), [config.content_level])

    def optimise(
        self, start: Tensor, *, worn: float, content: float, progress: Progress, share: float = 1.0
    ) -> tuple[Tensor, float]:
        """Move pixels from a start until coat and shape are as they should be.

        Args:
            start: float (3, h, w) in [0, 1].
            worn: share of the coats in the Gram target.
            content: content weight, as a multiple of the option.
            progress: called with the share done.
            share: of the configured iterations.
        Returns:
            float (3, h, w) in [0, 1], and the last loss.
        """
        config, canvas = self.config, self.canvas
        levels = sorted({*config.style_levels, config.content_level})
        target = mix_grams(self.gram_sets, [1 - worn, *(worn * part for part in self.shares)])
        pixels = start.detach().clone().requires_grad_(True)

        def loss() -> Tensor:
            composed = canvas.image + canvas.mask * (pixels - canvas.image)
            maps = dict(zip(levels, self.encoder.feature_maps(_padded(composed), levels), strict=True))
            grams = [masked_gram(maps[level], self.mask) for level in config.style_levels]
            overshoot = (pixels - pixels.clamp(0, 1)).square().mean()
            return (
                gram_loss(grams, target)
                + content
                * config.content_weight
                * content_loss(maps[config.content_level], self.shape, self.mask)
                + config.total_variation * total_variation(composed)
                + 10 * overshoot
            )

        share *= min(1.0, _ALL_ITERATIONS / math.sqrt(canvas.mask[0].numel()))
        iterations = max(1, round(config.iterations * share))
        value = _minimise(loss, pixels, iterations, config.optimizer, progress)
        return pixels.detach().clamp(0, 1), value


def _minimise(
    loss: Callable[[], Tensor], pixels: Tensor, iterations: int, optimizer_name: str, progress: Progress
) -> float:
    """Move pixels in place until the iterations are spent; give the last loss."""
    last, calls = math.nan, 0
    optimizer: torch.optim.Optimizer
    if optimizer_name == "lbfgs":
        most_calls = iterations * 5 // 4 + 1
        optimizer = torch.optim.LBFGS(
            [pixels],
            max_iter=iterations,
            max_eval=most_calls,
            history_size=20,
            tolerance_grad=0,
            tolerance_change=0,
        )
        steps = 1
    else:
        optimizer = torch.optim.Adam([pixels], lr=_ADAM_RATE)
        steps, most_calls = iterations, iterations

    def closure() -> float:
        nonlocal last, calls
        optimizer.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        # L-BFGS flattens gradients with view(), which a channels-last gradient refuses.
        assert pixels.grad is not None
        pixels.grad = pixels.grad.contiguous()
        last, calls = value.item(), calls + 1
        progress(min(1.0, calls / most_calls))
        return last

    for _ in range(steps):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return last


def _start(
    canvas: Subject,
    exemplars: Sequence[Exemplar],
    shares: Sequence[float],
    generator: torch.Generator,
    *,
    drape: float,
) -> Tensor:
    """Colour the layout like the coats, lay the coats' own pixels over it, and add noise."""
    image, mask = canvas
    shape = (image.shape[-2], image.shape[-1])
    start = torch.zeros_like(image)
    for exemplar, share in zip(exemplars, shares, strict=True):
        recoloured = transfer_colour(image, mask, *exemplar.for_body(mask))
        start += share * (recoloured + drape * (exemplar.draped(shape) - recoloured))
    # Clouds of the coats' own colours decide which part of the body wears which; fine noise breaks ties.
    clouds = torch.randn(1, 3, _CLOUDS, _CLOUDS, generator=generator).to(image)
    clouds = F.interpolate(clouds, shape, mode="bicubic", align_corners=False)[0].flatten(1)
    for exemplar, share in zip(exemplars, shares, strict=True):
        start += share * _CLOUDINESS * (colour_spread(exemplar.image, exemplar.mask) @ clouds).view_as(start)
    start += _GRAIN * torch.randn(3, *shape, generator=generator).to(image)
    return start.clamp(0, 1)


def _grams(encoder: FeatureEncoder, picture: Subject, levels: Sequence[int]) -> list[Tensor]:
    mask = F.pad(picture.mask, _padding(picture.mask))
    return [masked_gram(features, mask) for features in encoder.feature_maps(_padded(picture.image), levels)]


def _padding(image: Tensor) -> tuple[int, int, int, int]:
    across, down = (min(_PADDING, side - 1) for side in (image.shape[-1], image.shape[-2]))
    return across, across, down, down


def _padded(image: Tensor) -> Tensor:
    """Reflect an image (C, H, W) at its border: against a network's zeros the optimiser grows rainbow noise."""
    return F.pad(image[None], _padding(image), mode="reflect")
