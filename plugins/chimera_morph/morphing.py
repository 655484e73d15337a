"""Move an animal's pixels toward other animals' looks, coarse to fine, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import FeatureEncoder, Subject, Window, resize_to, shrink_mask, transfer_colour
from chimera_morph.config import MorphConfig
from chimera_morph.features import (
    Target,
    class_distance,
    embedding_distance,
    extract_features,
    mix_targets,
    target_of,
    texture_distance,
)
from chimera_morph.fourier import radius_on, roughness, to_pixels, to_waves, wave_scale, within
from chimera_morph.views import Jitter, views_of

# Strength is 1 minus the first parent's weight. Equal weights have this one.
_HALF_WAY = 0.5
# Share of the other parents in the target at equal weights; the first one's own features have the rest.
_OTHERS_HALF_WAY = 0.75
# Without any weight on the first parent the change may be so many times as long, and takes this share of the steps.
_FULL_BUDGET, _FULL_SHARE = 1.5, 2 / 3
# Finer canvases than the coarsest start from what is drawn, and take this share of the steps: with all of them the loss is a
# tenth to a fifth less, and fine relief slightly stronger (docs/results/speed.md).
_FINER_SHARE = 1 / 2
# Sides of the canvas, as in Window.canvases.
_CANVAS, _COARSEST, _MAGNIFICATION = 192, 128, 2.0
# Views over which a parent's features are averaged.
_VIEWS = 8
# Of the last steps, taken at a third of the rate.
_SETTLING = 0.4

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Morph:
    """Two changes of one animal and seed, from which that of any weight follows.

    ``half_way`` is the change (3, h, w) of the window's pixels at equal weights; ``make_full`` makes the one without
    any weight on the first parent.
    """

    half_way: Tensor
    make_full: Callable[[], Tensor]

    @cached_property
    def full(self) -> Tensor:
        """The change without any weight on the first parent, made when it is first asked for."""
        return self.make_full()

    def at(self, strength: float) -> Tensor:
        """Give the change of a strength in [0, 1] (1 minus the first parent's weight).

        Changes are scaled and mixed, so that the way is smooth: optimised apart, neighbours in a sweep would put
        their markings in different places.
        """
        if strength <= _HALF_WAY:
            return strength / _HALF_WAY * self.half_way
        return self.half_way + (strength - _HALF_WAY) / (1 - _HALF_WAY) * (self.full - self.half_way)


def morph(
    encoder: FeatureEncoder,
    first: Subject,
    others: Sequence[Subject],
    shares: Sequence[float],
    *,
    seed: int,
    window: Window,
    config: MorphConfig,
    bf16: bool,
    progress: Progress,
) -> Morph:
    """Find the change of the first animal toward the others.

    Args:
        encoder: frozen network with logits and feature maps.
        first: picture that is changed.
        others: pictures that it is moved toward, one or more.
        shares: of each of the others, sum 1.
        seed: decides the views.
        window: the part of the first picture that is changed.
        config: how.
        bf16: whether the encoder computes in bfloat16.
        progress: called with the share done.
    Source: feature inversion of robust networks: Engstrom et al. 2019, arXiv:1906.00945; waves, jitter and several
        scales: Olah et al. 2017 (Distill). Mixed targets, masks and the way of weights are ours.
    """
    generator = torch.Generator().manual_seed(seed)
    body = Subject(window.cut(first.image), window.cut(first.mask))
    shapes = window.canvases(side=_CANVAS, coarsest=_COARSEST, magnification=_MAGNIFICATION)
    finer = max(1, round(_FINER_SHARE * config.iterations))
    steps = [config.iterations] + [finer] * (len(shapes) - 1)
    costs = [h * w * count for (h, w), count in zip(shapes, steps, strict=True)]
    done, change = 0.0, None
    for shape, count, cost in zip(shapes, steps, costs, strict=True):
        task = _Task(encoder, body, others, shares, shape, generator, config, bf16)
        start = task.recoloured(_OTHERS_HALF_WAY) if change is None else resize_change(change, shape)
        part = cost / sum(costs)
        change = task.optimise(
            start,
            toward=_OTHERS_HALF_WAY,
            budget=config.budget,
            steps=count,
            progress=_portion(progress, done, part),
        )
        done += part
    assert change is not None

    def make_full(half_way: Tensor = change) -> Tensor:
        budget = _FULL_BUDGET * config.budget
        steps = max(1, round(_FULL_SHARE * config.iterations))
        full = task.optimise(half_way, toward=1.0, budget=budget, steps=steps, progress=progress)
        return _further(full, half_way, radius_on(task.room, budget))

    return Morph(change, make_full)


def _portion(progress: Progress, done: float, part: float) -> Progress:
    return lambda share: progress(min(1.0, done + part * share))


def resize_change(change: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resize a change (3, h, w), bicubic and anti-aliased; zeros stay zeros."""
    if change.shape[-2:] == shape:
        return change
    return F.interpolate(change[None], shape, mode="bicubic", antialias=True, align_corners=False)[0]


def _further(full: Tensor, half_way: Tensor, radius: float) -> Tensor:
    """Take out of the step from half-way to full what leads back, and shorten it so that it ends within the radius."""
    step = full - half_way
    back = (step * half_way).sum() / half_way.square().sum().clamp_min(1e-12)
    step = step - back.clamp(max=0) * half_way
    # |half_way + t step| = radius, solved for t >= 0.
    a, b = step.square().sum().clamp_min(1e-12), (step * half_way).sum()
    c = (half_way.square().sum() - radius**2).clamp(max=0)
    return half_way + ((b.square() - a * c).sqrt() - b).div(a).clamp(0, 1) * step


class _Task:
    """One canvas: the first animal on it, what it should look like, and the room in which it may change."""

    def __init__(
        self,
        encoder: FeatureEncoder,
        body: Subject,
        others: Sequence[Subject],
        shares: Sequence[float],
        shape: tuple[int, int],
        generator: torch.Generator,
        config: MorphConfig,
        bf16: bool,
    ) -> None:
        self.encoder, self.config, self.generator, self.bf16 = encoder, config, generator, bf16
        self.shares = shares
        self.canvas = Subject(resize_to(body.image, shape), shrink_mask(body.mask, shape))
        self.room = _widened(self.canvas.mask, config.rim)
        self.jitter = Jitter(config.rotation, config.zoom, config.shift)
        self.others = [_alike_in_size(other, shape) for other in others]
        with torch.no_grad():
            self.own = self._target(self.canvas)
            self.targets = [self._target(other) for other in self.others]

    def recoloured(self, toward: float) -> Tensor:
        """Give the change that puts the others' colours on the animal."""
        image, mask = self.canvas
        coloured = sum(
            (
                s * transfer_colour(image, mask, *other)
                for s, other in zip(self.shares, self.others, strict=True)
            ),
            torch.zeros_like(image),
        )
        return toward * self.room * (coloured - image)

    def optimise(
        self, start: Tensor, *, toward: float, budget: float, steps: int, progress: Progress
    ) -> Tensor:
        """Move pixels from a start until the animal looks as it should.

        Args:
            start: a change, float (3, h, w).
            toward: share of the others in the target.
            budget: as in the options.
            steps: how many.
            progress: called with the share done.
        Returns:
            A change that ends in [0, 1] and is no longer than the budget allows; nothing outside the room.
        """
        image = self.canvas.image
        shape = (image.shape[-2], image.shape[-1])
        shares = [1 - toward, *(toward * share for share in self.shares)]
        target = mix_targets([self.own, *self.targets], shares)
        colours = _colours(image + self.recoloured(toward), self.canvas.mask)
        scale, radius = wave_scale(shape, image.device), radius_on(self.room, budget)
        waves = to_waves(within(start, radius), scale).requires_grad_(True)

        def change() -> Tensor:
            return within(self.room * to_pixels(waves, scale, shape), radius)

        optimizer = torch.optim.Adam([waves], lr=self.config.rate, betas=(0.9, 0.99))
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = self.config.rate * (1 if step < (1 - _SETTLING) * steps else 1 / 3)
            optimizer.zero_grad()
            self._loss(change(), target, colours).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            progress((step + 1) / steps)
        with torch.no_grad():
            return (image + change()).clamp(0, 1) - image

    def _loss(self, change: Tensor, target: Target, colours: tuple[Tensor, Tensor]) -> Tensor:
        config = self.config
        free = self.canvas.image + change
        image = free.clamp(0, 1)
        views = views_of(image, config.views, self.jitter, self.generator, beside=self.room)
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.bf16):
            features = extract_features(
                self.encoder, _laid_out(views[:, :3]), views[:, 3:], config.texture_levels
            )
        return (
            config.class_weight * class_distance(features, target)
            + config.embedding_weight * embedding_distance(features, target)
            + config.texture_weight * texture_distance(features, target)
            + config.colour_weight * _colour_distance(_colours(image, self.canvas.mask), colours)
            + config.smoothness * roughness(change)
            + 10 * (free - image).square().mean()
        )

    def _target(self, subject: Subject) -> Target:
        views = views_of(torch.cat([*subject]), _VIEWS, self.jitter, self.generator)
        features = extract_features(
            self.encoder,
            _laid_out(views[:, :3].clamp(0, 1)),
            views[:, 3:].clamp(0, 1),
            self.config.texture_levels,
        )
        return target_of(features)


def _laid_out(views: Tensor) -> Tensor:
    return views.contiguous(memory_format=torch.channels_last)


def _widened(mask: Tensor, rim: float) -> Tensor:
    """Widen and soften a mask (1, h, w) by a share of the animal's size."""
    reach = round(rim * float(mask.sum().sqrt()))
    if reach < 1:
        return mask
    side = 2 * reach + 1
    wide = F.max_pool2d(mask[None], side, 1, reach)
    return F.avg_pool2d(wide, side, 1, reach, count_include_pad=False)[0]


def _alike_in_size(other: Subject, shape: tuple[int, int]) -> Subject:
    """Frame another animal closely, as many pixels as the canvas has."""
    window = Window.around(other.mask, (other.mask.shape[-2], other.mask.shape[-1]), margin=0.08)
    image, mask = window.cut(other.image), window.cut(other.mask)
    height, width = mask.shape[-2:]
    scale = (shape[0] * shape[1] / (height * width)) ** 0.5
    framed = (max(16, round(height * scale)), max(16, round(width * scale)))
    return Subject(resize_to(image, framed), shrink_mask(mask, framed))


def _colours(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (3,) and covariance (3, 3) of the colours of (3, h, w) under a mask (1, h, w)."""
    weights = mask.flatten() / mask.sum().clamp_min(1e-3)
    flat = image.flatten(1)
    mean = flat @ weights
    centred = flat - mean[:, None]
    return mean, (centred * weights) @ centred.T


def _colour_distance(colours: tuple[Tensor, Tensor], wanted: tuple[Tensor, Tensor]) -> Tensor:
    # Pixels spread over about a third of their range: the factors make means and spreads count alike, of order 1.
    return 10 * (colours[0] - wanted[0]).square().sum() + 100 * (colours[1] - wanted[1]).square().sum()
