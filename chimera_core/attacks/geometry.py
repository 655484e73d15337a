"""The mathematics of attacks: balls, starts inside them, and the steepest step. Pure functions."""

from __future__ import annotations

import torch
from torch import Tensor

from chimera_core.attacks.budget import check_budget
from chimera_core.errors import ShapeError
from chimera_core.randomness import Draw


def project_linf(x_adv: Tensor, x: Tensor, *, eps: float) -> Tensor:
    """Clip attacked images to the L-infinity ball around the clean ones.

    Args:
        x_adv: attacked images, float (N, C, H, W).
        x: clean images, same shape, in [0, 1].
        eps: radius on the [0, 1] pixel scale; 8/255 is the usual budget.
    Returns:
        float (N, C, H, W), at most ``eps`` from ``x`` and inside [0, 1].
    Raises:
        ShapeError: if the shapes differ.
    Source: Madry et al. 2018, arXiv:1706.06083, section 2.1.
    """
    _check_shapes(x_adv, x)
    # Ball first, then the pixel box: the box cannot leave the ball, because x is inside both.
    return (x + (x_adv - x).clamp(-eps, eps)).clamp(0, 1)


def project_l2(x_adv: Tensor, x: Tensor, *, eps: float) -> Tensor:
    """Shorten each image's change to Euclidean length ``eps``, then clip to [0, 1].

    Args:
        x_adv: attacked images, float (N, C, H, W).
        x: clean images, same shape, in [0, 1].
        eps: radius; a change of one pixel from black to white has length 1 per channel.
    Returns:
        float (N, C, H, W), at most ``eps`` from ``x`` and inside [0, 1].
    Raises:
        ShapeError: if the shapes differ.
    Source: Madry et al. 2018; the box comes last and only shortens, as in ``project_linf``.
    """
    _check_shapes(x_adv, x)
    delta = x_adv - x
    # A change of length 0 gives eps / 0 = inf, which the clamp turns into 1.
    return (x + delta * (eps / length(delta)).clamp(max=1)).clamp(0, 1)


def project(x_adv: Tensor, x: Tensor, *, norm: str, eps: float) -> Tensor:
    """Project to the ball of ``norm``; see ``project_linf`` and ``project_l2``."""
    return (project_linf if norm == "linf" else project_l2)(x_adv, x, eps=eps)


def random_start(x: Tensor, *, norm: str, eps: float, draw: Draw, purpose: str = "start") -> Tensor:
    """Draw a point in the ball around each image.

    Args:
        x: images, float (N, C, H, W) in [0, 1].
        norm: ``linf``: every value uniform in its interval; ``l2``: a uniform direction and a uniform length.
        eps: radius.
        draw: random numbers of these images.
        purpose: separates these numbers from others.
    Returns:
        float (N, C, H, W), at most ``eps`` from ``x`` and inside [0, 1].
    Raises:
        ConfigError: for a norm or radius that makes no sense.
    """
    check_budget(norm, eps)
    shape = x.shape[1:]
    if norm == "linf":
        return (x + (2 * draw.uniform(*shape, purpose=purpose) - 1) * eps).clamp(0, 1)
    direction = draw.normal(*shape, purpose=purpose)
    radius = draw.uniform(1, 1, 1, purpose=f"{purpose}/length") * eps
    return (x + direction * (radius / length(direction))).clamp(0, 1)


def steepest(gradient: Tensor, *, norm: str) -> Tensor:
    """Give the step of size 1 that a gradient asks for: its sign, or its direction.

    Args:
        gradient: float (N, C, H, W).
        norm: ``linf`` or ``l2``.
    Returns:
        float (N, C, H, W); zero for an image without gradient.
    """
    if norm == "linf":
        return gradient.sign()
    # Of a confident network the gradients are tiny (1e-20 and less): scaled first, so that their squares do not
    # vanish, they still say where to go. Adding 1e-10 to the length, as others do, would stop the attack here.
    largest = gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
    scaled = gradient / largest
    return torch.where(largest > 0, scaled / length(scaled), 0.0)


def length(delta: Tensor) -> Tensor:
    """Measure each image's Euclidean length: (N, C, H, W) -> (N, 1, 1, 1)."""
    lengths: Tensor = torch.linalg.vector_norm(delta, dim=(1, 2, 3), keepdim=True)
    return lengths


def _check_shapes(x_adv: Tensor, x: Tensor) -> None:
    if x_adv.shape != x.shape or x.ndim != 4:
        raise ShapeError(
            f"x_adv is {tuple(x_adv.shape)} and x is {tuple(x.shape)}: pass both as (N, C, H, W)"
        )
