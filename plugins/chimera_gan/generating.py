"""From seeds and conditions to images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from chimera_core.api import Draw
from chimera_gan.conditions import seeded
from chimera_gan.networks import Generator

_TOGETHER = 64


def noise_of(seeds: Iterable[int], size: int) -> Tensor:
    """Draw noise (N, Z), standard normal; row k depends on the k-th seed alone."""
    return torch.stack([torch.randn(size, generator=seeded(seed)) for seed in seeds])


def draw_of(seeds: Sequence[int], device: torch.device) -> Draw:
    """Give what dropout in use draws from: the k-th example's numbers depend on the k-th seed alone."""
    return Draw(0, 0, torch.tensor([seed % 2**63 for seed in seeds], device=device))


@torch.no_grad()
def render(generator: Generator, z: Tensor, given: Tensor | None, *, seeds: Sequence[int]) -> Tensor:
    """Make images of latents.

    Args:
        generator: in evaluation mode.
        z: (N, Z), on its device.
        given: conditions (N, C), or None.
        seeds: one per image, of its dropout.
    Returns:
        float32 (N, 3, S, S) in [0, 1].
    """
    draw, parts = draw_of(seeds, z.device), []
    for rows in torch.split(torch.arange(len(z), device=z.device), _TOGETHER):
        own = None if given is None else given[rows]
        parts.append(generator(z[rows], own, draw=draw.of(rows)).float())
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)


def generate(
    generator: Generator,
    seeds: Sequence[int],
    given: Tensor | None,
    *,
    noise: int,
    device: torch.device,
    truncation: float = 1.0,
) -> Tensor:
    """Make images of the seeds' noise.

    Args:
        generator: in evaluation mode.
        seeds: one per image.
        given: conditions (N, C), or None.
        noise: Z, how many numbers the generator starts from.
        device: of the generator.
        truncation: scale of the noise.
    Returns:
        float32 (N, 3, S, S) in [0, 1].
    """
    z = noise_of(seeds, noise).to(device) * truncation
    return render(generator, z, given, seeds=seeds)
