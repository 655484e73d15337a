"""What keeps a critic smooth: penalties on its gradient by the pixels, and clipped weights.

A penalty is a scalar to add to the critic's loss; it can be differentiated by the critic's weights. The critic must judge
every image by itself (no batch norm), or a gradient mixes examples. Legend of shapes: N images, S side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def gradient_by_pixels(logits: Tensor, x: Tensor) -> Tensor:
    """Differentiate each image's logit by its pixels, such that the result can be differentiated again.

    Args:
        logits: (N,), of the critic on ``x``.
        x: float (N, ...), which required gradients when the critic saw it.
    Returns:
        float (N, ...): the sum's gradient, which is each logit's own, since no logit depends on another's image.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return gradient


def zero_centred_penalty(logits: Tensor, x: Tensor, *, weight: float) -> Tensor:
    """Give weight / 2 * |gradient|^2, mean over the batch: R1 where ``x`` are real images, R2 where they are fakes.

    Args:
        logits: (N,), of the critic on ``x``.
        x: float (N, ...), which required gradients when the critic saw it.
        weight: gamma; for a lazy penalty ``lazy_weight`` of it.
    Source: Mescheder et al. 2018, arXiv:1801.04406, equations 9 and 10.
    """
    gradient = gradient_by_pixels(logits, x)
    return weight / 2 * gradient.flatten(1).square().sum(1).mean()


def one_centred_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, *, mix: Tensor, weight: float
) -> Tensor:
    """Give weight * (|gradient| - 1)^2 at points between real and fake images, mean over the batch.

    Args:
        critic: maps images (N, ...) to logits (N,).
        real: float (N, ...).
        fake: float (N, ...).
        mix: (N,) in [0, 1], each example's share of its real image.
        weight: lambda, 10 in the paper.
    Source: Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028, equation 3.
    """
    share = mix.to(real.dtype).view(-1, *[1] * (real.ndim - 1))
    between = (share * real + (1 - share) * fake).detach().requires_grad_(True)
    gradient = gradient_by_pixels(critic(between), between)
    # The root has no slope at 0, where a critic that ignores its input would get NaN.
    norm = (gradient.flatten(1).square().sum(1) + 1e-12).sqrt()
    return weight * (norm - 1).square().mean()


def is_due(step: int, *, every: int) -> bool:
    """Return whether a lazy penalty is applied in this step: at steps 0, ``every``, 2 * ``every`` ..."""
    return step % every == 0


def lazy_weight(weight: float, *, every: int) -> float:
    """Give the weight of a penalty that is applied at each ``every``-th step only, so that its mean stays.

    Source: Karras et al. 2020 (StyleGAN2), arXiv:1912.04958, appendix B, "lazy regularization".
    """
    return weight * every


@torch.no_grad()
def clip_weights(parameters: Iterable[nn.Parameter], *, limit: float) -> None:
    """Clip every weight to [-limit, limit], in place; after each step of the critic's optimizer.

    Source: Arjovsky et al. 2017 (WGAN), arXiv:1701.07875, algorithm 1, with limit 0.01.
    """
    for weight in parameters:
        weight.clamp_(-limit, limit)
