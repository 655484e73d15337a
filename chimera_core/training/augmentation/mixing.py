"""Augmentations that make one image of two: mixup and cutmix; and label smoothing.

They mix each image with its neighbour in the batch, as torchvision.transforms.v2 does, but with a share of
its own from its own draw. Which image is the neighbour does depend on the batch: with several processes these two are
another (equally good) sequence than with one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.errors import ConfigError
from chimera_core.randomness import Draw

_TRIES = 24


def mixup(x: Tensor, y: Tensor, draw: Draw, *, classes: int, alpha: float = 0.2) -> tuple[Tensor, Tensor]:
    """Blend each image with its neighbour.

    Args:
        x: images, float (N, 3, H, W) in [0, 1].
        y: classes, int64 (N,), or shares (N, K).
        draw: random numbers of these images.
        classes: K.
        alpha: of the beta distribution of the shares, in (0, 1].
    Returns:
        Images float (N, 3, H, W) in [0, 1], and shares of the classes float (N, K).
    Source: Zhang et al. 2018, arXiv:1710.09412.
    """
    share = _beta(draw, alpha, purpose="mixup")
    target = _shares(y, classes)
    pixels = share.view(-1, 1, 1, 1)
    mixed = pixels * x + (1 - pixels) * x.roll(1, 0)
    return mixed, share[:, None] * target + (1 - share[:, None]) * target.roll(1, 0)


def cutmix(x: Tensor, y: Tensor, draw: Draw, *, classes: int, alpha: float = 1.0) -> tuple[Tensor, Tensor]:
    """Put a rectangle of its neighbour into each image; arguments and result as of ``mixup``.

    Source: Yun et al. 2019, arXiv:1905.04899. The target's share is that of the pixels really covered.
    """
    height, width = x.shape[-2:]
    side = (1 - _beta(draw, alpha, purpose="cutmix")).sqrt()[:, None]
    centre = draw.uniform(2, purpose="cutmix/centre")
    inside = (
        _covers(centre[:, :1], side, height)[:, :, None] & _covers(centre[:, 1:], side, width)[:, None]
    )[:, None]
    share = 1 - inside.float().mean(dim=(1, 2, 3))[:, None]
    target = _shares(y, classes)
    return torch.where(inside, x.roll(1, 0), x), share * target + (1 - share) * target.roll(1, 0)


def smooth(y: Tensor, *, classes: int, share: float) -> Tensor:
    """Spread a share of each label over all classes.

    Args:
        y: classes int64 (N,), or their shares float (N, K).
        classes: K.
        share: in [0, 1).
    Returns:
        y itself where the share is 0, otherwise float (N, K) with rows that sum to 1.
    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """
    if not share:
        return y
    whole = F.one_hot(y, classes).float() if y.ndim == 1 else y
    return whole * (1 - share) + share / classes


def _shares(y: Tensor, classes: int) -> Tensor:
    return F.one_hot(y, classes).float() if y.ndim == 1 else y


def _covers(centre: Tensor, side: Tensor, count: int) -> Tensor:
    """Return which of ``count`` pixels lie within side / 2 of the centre, as shares of the length: (N, 1) -> (N, count)."""
    pixel = (torch.arange(count, device=centre.device) + 0.5) / count
    return (pixel - centre).abs() < side / 2


def _beta(draw: Draw, alpha: float, *, purpose: str) -> Tensor:
    """Draw (N,) from the symmetric beta distribution, by Jöhnk's rejection.

    Half of the tries succeed at alpha 1 and more below it: after 24 an image in 17 million gets 1/2.
    """
    if not 0 < alpha <= 1:
        raise ConfigError(f"alpha of mixup and cutmix lies in (0, 1], but it is {alpha:g}")
    first, second = draw.uniform(2, _TRIES, purpose=f"{purpose}/share").double().pow(1 / alpha).unbind(1)
    total = first + second
    fits = (total <= 1) & (total > 0)
    chosen = fits.long().argmax(1, keepdim=True)
    share = torch.where(fits.any(1), (first / total.clamp(min=1e-300)).gather(1, chosen)[:, 0], 0.5)
    return share.float()
