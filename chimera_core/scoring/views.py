"""Seeded views of pictures: what a judge is shown, so that no single pixel decides.

All random numbers are drawn on the CPU from a seed. Images are float32 (N, 3, S, S) in [0, 1].
"""

from __future__ import annotations

import io

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from chimera_core.scoring.judge.features import at_size

NOISE, QUALITY = 0.05, (50, 95)
"""Most noise (standard deviation on [0, 1]) and range of JPEG qualities of a view."""
# A view of a creature shows 50 to 90 % of its sides: enough to tell what it is, and mostly too little for both halves of
# a collage. _WHOLE is for pictures that are laid over each other.
_NEAR, _FREE, _WHOLE = (0.5, 0.9), (0.55, 1.0), (0.85, 1.0)
_SHIFT, _TURN, _TINT = 0.05, 0.2, 0.2
# How much of the picture around an animal its view shows, in sides of its box.
_AROUND, _AWAY = (0.6, 1.3), 0.25


def shaken(images: Tensor, *, copies: int, seed: int) -> Tensor:
    """Shift, mirror, zoom, add noise and pass through JPEG, a few times over.

    Copy k is treated alike in every image, so that an image's views do not depend on its company.

    Returns:
        (N * copies, 3, S, S): the copies of the first image, then of the second ...
    """
    n = len(images)
    generator = torch.Generator().manual_seed(seed)
    frames = [f.repeat(n, *(1,) * (f.ndim - 1)) for f in _frames(copies, _NEAR, 0.0, generator)]
    moved = _moved(images.cpu().repeat_interleave(copies, 0), *frames)
    level = NOISE * torch.rand(copies, 1, 1, 1, generator=generator)
    noise = level * torch.randn(copies, *images.shape[1:], generator=generator)
    quality = torch.randint(QUALITY[0], QUALITY[1] + 1, (copies,), generator=generator)
    return _through_jpeg(moved + noise.repeat(n, 1, 1, 1), quality.repeat(n))


def varied(images: Tensor, *, seed: int) -> Tensor:
    """Give one free view of each picture: cropped, turned, mirrored, tinted, with noise, through JPEG."""
    generator = torch.Generator().manual_seed(seed)
    return _worn(_moved(images.cpu(), *_frames(len(images), _FREE, _TURN, generator)), generator)


def nearly_whole(images: Tensor, *, seed: int) -> Tensor:
    """Show each picture with a little zoom, shift and mirroring, and nothing else."""
    generator = torch.Generator().manual_seed(seed)
    return _moved(images.cpu(), *_frames(len(images), _WHOLE, 0.0, generator))


def worn(images: Tensor, *, seed: int) -> Tensor:
    """Tint pictures, add noise and pass them through JPEG."""
    return _worn(images, torch.Generator().manual_seed(seed))


def placed(picture: Tensor, mask: Tensor, grounds: Tensor, *, count: int, size: int, seed: int) -> Tensor:
    """Put a picture's animal, about as large as the frame, on other grounds: what it is counts, not where.

    Args:
        picture: (3, H, H).
        mask: (1, H, H) in [0, 1], 1 where the animal is.
        grounds: (G, 3, S, S), drawn at random.
    Returns:
        (count, 3, S, S).
    """
    generator = torch.Generator().manual_seed(seed)
    row, column, side = _box(mask)
    zoom, flip, turn, shift = _frames(count, _AROUND, _TURN, generator)
    away = (2 * torch.rand(count, 2, generator=generator) - 1) * _AWAY
    shift = torch.tensor([column, row]) + away * side + 0 * shift
    cut = torch.cat([picture * mask, mask]).cpu()[None].expand(count, -1, -1, -1)
    # Twice as fine, then averaged: sampling alone would alias a large picture.
    animal = F.interpolate(
        _moved(cut, zoom * side, flip, turn, shift, size=2 * size, outside="zeros"), (size, size), mode="area"
    )
    chosen = grounds.cpu()[torch.randint(len(grounds), (count,), generator=generator)]
    ground = _moved(chosen, *_frames(count, _FREE, 0.0, generator))
    return _worn(animal[:, :3] + (1 - animal[:, 3:]) * ground, generator)


def ground_of(picture: Tensor, mask: Tensor, *, size: int) -> Tensor:
    """Paint an animal over with what is around it: (1, 3, size, size).

    Source: Telea 2004, in OpenCV.
    """
    pixels = (picture.permute(1, 2, 0).cpu().numpy() * 255).round().astype(np.uint8)
    hole = cv2.dilate((mask[0].cpu().numpy() > 0.1).astype(np.uint8), np.ones((5, 5), np.uint8))
    painted = cv2.inpaint(pixels, hole, 5, cv2.INPAINT_TELEA)
    return at_size(torch.from_numpy(painted).permute(2, 0, 1)[None], size)


def double_exposures(first: Tensor, second: Tensor, *, seed: int) -> Tensor:
    """Lay pictures over each other, 30 to 70 % of the first: both parents are there, and no creature."""
    generator = torch.Generator().manual_seed(seed)
    share = 0.3 + 0.4 * torch.rand(len(first), 1, 1, 1, generator=generator)
    return share * first + (1 - share) * second


def scrambled(images: Tensor, *, seed: int) -> Tensor:
    """Keep pictures' spectra and colours, and lose what they show: their phases are turned at random.

    Every channel is turned alike, which keeps the colours' correlations.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(len(images), 1, *images.shape[-2:], generator=generator)
    turn = torch.exp(1j * torch.angle(torch.fft.fft2(noise)))
    turn[..., 0, 0] = 1  # the mean stays
    found: Tensor = torch.fft.ifft2(torch.fft.fft2(images.cpu()) * turn).real
    return found.clamp(0, 1)


def _frames(
    count: int, zoom: tuple[float, float], turn: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw what views show: share of a side, mirrored or not (-1, 1), angle, and shift in half sides."""
    share = zoom[0] + (zoom[1] - zoom[0]) * torch.rand(count, generator=generator)
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    angle = turn * (2 * torch.rand(count, generator=generator) - 1)
    room = (1 - share).clamp(min=0)[:, None] + _SHIFT
    return share, flip, angle, room * (2 * torch.rand(count, 2, generator=generator) - 1)


def _moved(
    images: Tensor,
    zoom: Tensor,
    flip: Tensor,
    angle: Tensor,
    shift: Tensor,
    *,
    size: int | None = None,
    outside: str = "reflection",
) -> Tensor:
    cos, sin = angle.cos() * zoom, angle.sin() * zoom
    matrix = torch.stack(
        [torch.stack([flip * cos, -sin, shift[:, 0]], 1), torch.stack([flip * sin, cos, shift[:, 1]], 1)], 1
    )
    side = size or images.shape[-1]
    grid = F.affine_grid(matrix, [len(images), images.shape[1], side, side], align_corners=False)
    mode = "bicubic" if size is None else "bilinear"
    found = F.grid_sample(images, grid, mode=mode, padding_mode=outside, align_corners=False)
    return found.clamp(0, 1)


def _worn(images: Tensor, generator: torch.Generator) -> Tensor:
    """Tint, add noise and pass through JPEG."""
    n = len(images)

    def factor() -> Tensor:
        return 1 + _TINT * (2 * torch.rand(n, 1, 1, 1, generator=generator) - 1)

    images = images * factor()
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * factor() + mean
    grey = images.mean(1, keepdim=True)
    images = (images - grey) * factor() + grey
    level = NOISE * torch.rand(n, 1, 1, 1, generator=generator)
    noise = level * torch.randn(images.shape, generator=generator)
    return _through_jpeg(images + noise, torch.randint(QUALITY[0], QUALITY[1] + 1, (n,), generator=generator))


def _through_jpeg(images: Tensor, quality: Tensor) -> Tensor:
    pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    passed = []
    for image, q in zip(pixels, quality.tolist(), strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=q)
        passed.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(passed)).permute(0, 3, 1, 2).float() / 255


def _box(mask: Tensor) -> tuple[float, float, float]:
    """Find the middle (row, column; from -1 to 1) and the side (of 1) of the box around a mask's animal."""
    height = mask.shape[-1]
    rows, columns = (mask[0] > 0.3).nonzero(as_tuple=True)
    if not len(rows):
        return 0.0, 0.0, 1.0
    ends = [float(edge) for edge in (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)]
    side = max(ends[1] - ends[0], ends[3] - ends[2]) / height
    return (ends[0] + ends[1]) / height - 1, (ends[2] + ends[3]) / height - 1, side
