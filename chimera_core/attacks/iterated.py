"""FGSM and PGD."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.attacks.budget import check_budget
from chimera_core.attacks.geometry import project, random_start, steepest
from chimera_core.attacks.gradients import (
    Objective,
    Statistics,
    attack_mode,
    cross_entropy_of,
    input_gradient,
)
from chimera_core.errors import ConfigError
from chimera_core.randomness import Draw


def fgsm(
    encoder: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: str = "linf",
    eps: float,
    step: float | None = None,
    draw: Draw | None = None,
    statistics: Statistics = "running",
) -> Tensor:
    """Attack with one step.

    Args:
        encoder: the network.
        x: images, float (N, C, H, W) in [0, 1].
        y: classes (N,).
        norm: ``linf`` or ``l2``.
        eps: radius on the [0, 1] pixel scale.
        step: length of the step; ``eps`` by default. Wong et al. 2020 take 1.25 eps after a random start.
        draw: starts at a random point of the ball when given, else at ``x``.
        statistics: of batch norm, see ``attack_mode``.
    Returns:
        float32 (N, C, H, W) in [0, 1], at most ``eps`` from ``x``, without gradient.
    Raises:
        ConfigError: for a norm or radius that makes no sense.
    Source: Goodfellow et al. 2015, arXiv:1412.6572; random start: Wong et al. 2020, arXiv:2001.03994.
    """
    step = eps if step is None else step
    return pgd(encoder, x, y, norm=norm, eps=eps, step=step, steps=1, draw=draw, statistics=statistics)


def pgd(
    encoder: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: str = "linf",
    eps: float,
    steps: int = 10,
    step: float | None = None,
    restarts: int = 1,
    draw: Draw | None = None,
    start: Tensor | None = None,
    objective: Objective | None = None,
    statistics: Statistics = "running",
) -> Tensor:
    """Attack with ``steps`` projected steps; each costs one pass forward and one back.

    Args:
        encoder: the network. Its modes and gradients are left as they were.
        x: images, float (N, C, H, W) in [0, 1].
        y: classes (N,).
        norm: ``linf`` or ``l2``.
        eps: radius on the [0, 1] pixel scale.
        steps: how many.
        step: length of each; 2.5 eps / steps by default (Madry et al. 2018).
        restarts: tries from other random starts, on images that are not fooled yet; the result is the one that
            fools, else the one of the highest loss. More than one costs a further forward pass each.
        draw: starts at a random point of the ball when given, else at ``x``.
        start: starts here instead, float (N, C, H, W).
        objective: what to climb, of the logits; the cross entropy to ``y`` by default.
        statistics: of batch norm, see ``attack_mode``.
    Returns:
        float32 (N, C, H, W) in [0, 1], at most ``eps`` from ``x``, without gradient.
    Raises:
        ConfigError: for a norm or radius that makes no sense, or restarts without ``draw``.
    Source: Madry et al. 2018, arXiv:1706.06083.
    """
    check_budget(norm, eps)
    if restarts > 1 and (draw is None or start is not None or objective is not None):
        raise ConfigError(f"{restarts} restarts need random starts and the usual loss: give draw alone")
    x = x.detach().float()
    step = 2.5 * eps / steps if step is None else step
    with attack_mode(encoder, statistics=statistics):
        if restarts > 1:
            assert draw is not None
            return _worst_of(encoder, x, y, norm, eps, steps, step, restarts, draw)
        if start is None:
            start = x if draw is None else random_start(x, norm=norm, eps=eps, draw=draw, purpose="pgd/0")
        return _climb(encoder, x, start, objective or cross_entropy_of(y), norm, eps, steps, step)


def _climb(
    encoder: nn.Module,
    x: Tensor,
    x_adv: Tensor,
    objective: Objective,
    norm: str,
    eps: float,
    steps: int,
    step: float,
) -> Tensor:
    x_adv = x_adv.detach().float()
    for _ in range(steps):
        gradient = input_gradient(encoder, x_adv, objective)
        x_adv = project(x_adv + step * steepest(gradient, norm=norm), x, norm=norm, eps=eps)
    return x_adv


def _worst_of(
    encoder: nn.Module,
    x: Tensor,
    y: Tensor,
    norm: str,
    eps: float,
    steps: int,
    step: float,
    restarts: int,
    draw: Draw,
) -> Tensor:
    worst = x.clone()
    highest = torch.full((len(x),), -torch.inf, device=x.device)
    rows = torch.arange(len(x), device=x.device)  # those that are not fooled yet
    for restart in range(restarts):
        start = random_start(x[rows], norm=norm, eps=eps, draw=draw.of(rows), purpose=f"pgd/{restart}")
        x_adv = _climb(encoder, x[rows], start, cross_entropy_of(y[rows]), norm, eps, steps, step)
        with torch.no_grad():
            logits = encoder(x_adv).float()
        fooled = logits.argmax(1) != y[rows]
        loss = F.cross_entropy(logits, y[rows], reduction="none")
        better = fooled | (loss > highest[rows])
        worst[rows[better]] = x_adv[better]
        highest[rows[better]] = loss[better]
        rows = rows[~fooled]
        if len(rows) == 0:
            break
    return worst
