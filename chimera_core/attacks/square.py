"""The Square attack: black box, by random search. It sees logits only, so no masked gradient can stop it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from chimera_core.attacks.budget import check_budget
from chimera_core.attacks.geometry import length
from chimera_core.attacks.gradients import attack_mode
from chimera_core.errors import ShapeError
from chimera_core.randomness import Draw

# Numbers that one proposal takes: two corners (4), how the bump lies (1), one sign per channel.
_CORNERS, _TURN = 4, 1
# At these queries of 10,000 the share of the image that a square covers halves (section 3.2 of the paper).
_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def square(
    encoder: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    norm: str = "linf",
    eps: float,
    queries: int = 1000,
    share: float = 0.8,
    draw: Draw,
) -> Tensor:
    """Attack by proposing coloured squares and keeping those that lower the margin.

    Unlike the authors' code, every image has squares of its own, so its result does not hang on its batch.

    Args:
        encoder: the network.
        x: images, float (N, C, H, W) in [0, 1]; H and W at least 5.
        y: classes (N,).
        norm: ``linf`` or ``l2``.
        eps: radius on the [0, 1] pixel scale.
        queries: forward passes for each image; those that are fooled stop earlier.
        share: of the image that the first squares cover.
        draw: random numbers of these images.
    Returns:
        float32 (N, C, H, W) in [0, 1], at most ``eps`` from ``x``, without gradient.
    Raises:
        ConfigError: for a norm or radius that makes no sense.
        ShapeError: if the images are too small for a square.
    Source: Andriushchenko et al. 2020, arXiv:1912.00049, algorithms 1 to 3.
    """
    check_budget(norm, eps)
    if min(x.shape[-2:]) < 5:
        raise ShapeError(f"images are {tuple(x.shape)}: the square attack needs at least 5 x 5 pixels")
    x = x.detach().float()
    lots = draw.uniform(queries, _CORNERS + _TURN + x.shape[1], purpose="square/squares")
    with attack_mode(encoder), torch.no_grad():
        best = (_stripes if norm == "linf" else _bumps)(x, eps, draw)
        margin = _margin(encoder(best), y)
        for query in range(queries):
            rows = (margin > 0).nonzero().flatten()
            if len(rows) == 0:
                break
            fraction = share / 2 ** sum(query * 10_000 // queries > halving for halving in _HALVINGS)
            proposal = (_recolour if norm == "linf" else _move_mass)(
                x[rows], best[rows], eps, fraction, lots[rows, query]
            )
            found = _margin(encoder(proposal), y[rows])
            lower = found < margin[rows]
            best[rows[lower]] = proposal[lower]
            margin[rows[lower]] = found[lower]
    return best


def _margin(logits: Tensor, y: Tensor) -> Tensor:
    """Measure by how much the right class leads: (N, K) -> (N,); not positive when fooled."""
    logits = logits.float()
    own = logits.gather(1, y[:, None])[:, 0]
    return own - logits.scatter(1, y[:, None], -torch.inf).amax(1)


def _sign(uniform: Tensor) -> Tensor:
    return torch.where(uniform < 0.5, -1.0, 1.0)


def _stripes(x: Tensor, eps: float, draw: Draw) -> Tensor:
    """Start from vertical stripes of width 1, to which networks are sensitive."""
    signs = _sign(draw.uniform(x.shape[1], 1, x.shape[3], purpose="square/stripes"))
    return (x + eps * signs).clamp(0, 1)


def _recolour(x: Tensor, best: Tensor, eps: float, fraction: float, lots: Tensor) -> Tensor:
    """Set one square of each image to plus or minus eps, one sign per channel."""
    height, width = x.shape[-2:]
    side = min(max(1, round(math.sqrt(fraction * height * width))), height, width)
    top = (lots[:, 0] * (height - side + 1)).long()
    left = (lots[:, 1] * (width - side + 1)).long()
    rows = torch.arange(height, device=x.device) - top[:, None]
    columns = torch.arange(width, device=x.device) - left[:, None]
    inside = ((rows >= 0) & (rows < side))[:, None, :, None] & ((columns >= 0) & (columns < side))[
        :, None, None
    ]
    coloured = (x + eps * _sign(lots[:, _CORNERS + _TURN :])[:, :, None, None]).clamp(0, 1)
    return torch.where(inside, coloured, best)


def _bumps(x: Tensor, eps: float, draw: Draw) -> Tensor:
    """Start from a grid of 5 x 5 bumps with random signs."""
    n, channels, height, width = x.shape
    side = min(height, width) // 5
    turn = draw.uniform(purpose="square/turn").view(n) < 0.5
    signs = _sign(draw.uniform(channels, height // side, width // side, purpose="square/bumps"))
    delta = torch.zeros_like(x)
    bump = _bump(side, turn, x.device)[:, None]
    for row in range(height // side):
        for column in range(width // side):
            place = (..., slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
            delta[place] = bump * signs[:, :, row, column, None, None]
    return (x + delta * (eps / length(delta))).clamp(0, 1)


def _move_mass(x: Tensor, best: Tensor, eps: float, fraction: float, lots: Tensor) -> Tensor:
    """Take the change out of one window, and put its mass and what the budget has left into another."""
    channels, height, width = x.shape[1:]
    side = min(max(3, round(math.sqrt(fraction * height * width))) | 1, height, width)
    into, out = (_window(lots[:, 2 * k], lots[:, 2 * k + 1], side, height, width, channels) for k in range(2))
    delta = best - x
    both = torch.zeros_like(delta)
    both[into] = both[out] = 1.0
    left_over = (eps**2 - length(delta) ** 2).clamp(min=0) / channels
    mass = _plane_length(delta * both) ** 2
    old = delta[into]
    fresh = _bump(side, lots[:, _CORNERS] < 0.5, x.device)[:, None]
    fresh = fresh * _sign(lots[:, _CORNERS + _TURN :])[:, :, None, None]
    fresh = fresh + old / (_plane_length(old) + 1e-12)
    fresh = fresh / (_plane_length(fresh) + 1e-12)
    delta[out] = 0.0
    delta[into] = fresh * (left_over + mass).sqrt()
    return (x + delta * (eps / length(delta).clamp(min=1e-12))).clamp(0, 1)


def _window(
    top: Tensor, left: Tensor, side: int, height: int, width: int, channels: int
) -> tuple[Tensor, ...]:
    """Index the window of each image: lots (N,) in [0, 1) -> an index of (N, C, side, side)."""
    reach = torch.arange(side, device=top.device)
    rows = (top * (height - side + 1)).long()[:, None] + reach
    columns = (left * (width - side + 1)).long()[:, None] + reach
    images = torch.arange(len(top), device=top.device)
    planes = torch.arange(channels, device=top.device)
    return (
        images[:, None, None, None],
        planes[None, :, None, None],
        rows[:, None, :, None],
        columns[:, None, None],
    )


def _plane_length(delta: Tensor) -> Tensor:
    """Measure the length of each channel: (N, C, H, W) -> (N, C, 1, 1)."""
    lengths: Tensor = torch.linalg.vector_norm(delta, dim=(2, 3), keepdim=True)
    return lengths


def _bump(side: int, turn: Tensor, device: torch.device) -> Tensor:
    """Draw two opposite hills side by side, of length 1: (N, side, side); ``turn`` transposes."""
    hill = torch.zeros(side, side, device=device)
    hill[: side // 2] = _hill(side // 2, side, device)
    hill[side // 2 :] = -_hill(side - side // 2, side, device)
    hill = hill / torch.linalg.vector_norm(hill).clamp(min=1e-12)
    return torch.where(turn[:, None, None], hill.T, hill)


def _hill(height: int, width: int, device: torch.device) -> Tensor:
    """Add up centred rectangles, each larger and lower than the one before (algorithm 3)."""
    hill = torch.zeros(height, width, device=device)
    row, column = height // 2, width // 2
    for k in range(max(height, width) // 2 + 1):
        top, left = max(row - k, 0), max(column - k, 0)
        hill[top : row + k + 1, left : column + k + 1] += 1 / (k + 1) ** 2
    length_of_hill: Tensor = torch.linalg.vector_norm(hill)
    return hill / length_of_hill.clamp(min=1e-12)
