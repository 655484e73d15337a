"""From seeds and conditions to images."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from chimera_gan.conditioning import seeded

_TOGETHER = 64


def noise_of(seeds: Iterable[int], size: int) -> Tensor:
    """Draw noise (N, Z), standard normal; row k depends on the k-th seed alone."""
    return torch.stack([torch.randn(size, generator=seeded(seed)) for seed in seeds])


@torch.no_grad()
def generate(
    generator: nn.Module,
    seeds: Iterable[int],
    given: Tensor | None,
    *,
    noise: int,
    device: torch.device,
    truncation: float = 1.0,
) -> Tensor:
    """Make images.

    Args:
        generator: in evaluation mode.
        seeds: one per image.
        given: conditions (N, C), or None.
        noise: how many numbers the generator starts from.
        device: of the generator.
        truncation: scale of the noise.
    Returns:
        float32 (N, 3, S, S) in [0, 1].
    """
    z = noise_of(seeds, noise).to(device) * truncation
    parts = []
    for start in range(0, len(z), _TOGETHER):
        own = None if given is None else given[start : start + _TOGETHER]
        parts.append(generator(z[start : start + _TOGETHER], own).float())
    return (torch.cat(parts) / 2 + 0.5).clamp(0, 1)
