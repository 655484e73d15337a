"""Photographs made in code: an animal of two ellipses with a coat of stripes, before a ground that is shaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from chimera_core.images import read_picture
from chimera_core.images.pixels import from_uint8, resize_shorter
from chimera_core.library.lookup import find_pictures
from chimera_core.plugins.discovery import default_host
from chimera_core.records import Parent

SHAPES = ((72, 88), (88, 72), (80, 80))
"""Heights and widths of the photographs, in turn: lying, standing, square."""


def draw_photograph(seed: int, *, height: int = 72, width: int = 88) -> tuple[Tensor, Tensor]:
    """Draw an animal; equal seeds give equal pictures, and torch's own generator is left alone.

    Args:
        seed: decides colours, stripes and place.
        height: in pixels.
        width: in pixels.
    Returns:
        The picture, float32 (3, H, W) in [0, 1], and its mask, float32 (1, H, W): 1 where the animal is.
    """
    generator = torch.Generator().manual_seed(seed)
    ground, coat, stripe = torch.rand(3, 3, 1, 1, generator=generator).mul(0.7).add(0.15)
    shift, angle, pitch = torch.rand(3, generator=generator).tolist()
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    middle = 0.45 + 0.1 * shift
    body = ((x - middle) / 0.27) ** 2 + ((y - 0.62) / 0.2) ** 2 < 1
    head = ((x - middle - 0.22) / 0.13) ** 2 + ((y - 0.36) / 0.15) ** 2 < 1
    mask = (body | head).float()[None]
    waves = 0.5 + 0.5 * torch.sin((25 + 15 * pitch) * (x + (angle - 0.5) * y))[None]
    noise = 0.02 * torch.randn(3, height, width, generator=generator)
    animal = coat + (stripe - coat) * waves
    shaded = ground * (0.7 + 0.3 * y)[None]
    return (mask * animal + (1 - mask) * shaded + noise).clamp(0, 1), mask


def draw_parents(count: int = 3, *, masks: bool = True) -> list[Parent]:
    """Draw parents, of the shapes ``SHAPES`` in turn.

    Args:
        count: how many.
        masks: whether each says where its animal is.
    """
    parents = []
    for k in range(count):
        height, width = SHAPES[k % len(SHAPES)]
        image, mask = draw_photograph(k, height=height, width=width)
        parents.append(Parent(f"animal-{k}", image, mask=mask if masks else None))
    return parents


def read_parents(names: Sequence[str], *, size: int = 192) -> list[Parent]:
    """Read parents: files, or names of pictures that lie on this machine, such as ``cat`` of scikit-image.

    Args:
        names: of files or pictures.
        size: shorter side that they are brought to, in pixels.
    Raises:
        ConfigError, DataError: if one is not here.
    """
    found = []
    for name in names:
        file = Path(name)
        if not file.is_file():
            file = find_pictures([name], host=default_host())[0].file
        image = resize_shorter(from_uint8(read_picture(file).rgb), size)
        found.append(Parent(name, image))
    return found
