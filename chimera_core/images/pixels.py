"""Between uint8 pictures and the float tensors that components work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.errors import ConfigError, DataError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chimera_core.records import Parent

# A picture more elongated than this becomes millions of pixels at an innocent --size.
MAX_ASPECT = 8


def from_uint8(pixels: NDArray | Tensor) -> Tensor:  # type: ignore[type-arg]
    """Turn uint8 (H, W, 3) or (H, W) pixels into float32 (3, H, W) or (1, H, W) in [0, 1]."""
    tensor = torch.as_tensor(pixels)
    tensor = tensor[None] if tensor.ndim == 2 else tensor.permute(2, 0, 1)
    return tensor.float() / 255


def to_uint8(image: Tensor) -> NDArray:  # type: ignore[type-arg]
    """Round a float image (3, H, W), or (4, H, W) with opacity, in [0, 1] to uint8 (H, W, 3 or 4)."""
    if image.ndim != 3 or image.shape[0] not in (3, 4):
        raise ShapeError(f"image is {tuple(image.shape)}: pass (3, H, W) or (4, H, W)")
    pixels: NDArray = (  # type: ignore[type-arg]
        (image.detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    )
    return pixels


def over_white(images: Tensor) -> Tensor:
    """Lay images (N, 4, H, W) with opacity over white: (N, 3, H, W); images without it stay as they are."""
    if images.shape[1] == 3:
        return images
    colour, opacity = images[:, :3], images[:, 3:]
    return colour * opacity + (1 - opacity)


def middle_square(image: Tensor) -> Tensor:
    """Cut the middle square out of (..., H, W)."""
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[..., top : top + side, left : left + side]


def shorter_side_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """Scale (height, width) so that the shorter side is ``size``, keeping the aspect ratio."""
    scale = size / min(height, width)
    return max(size, round(height * scale)), max(size, round(width * scale))


def resize_shorter(image: Tensor, size: int) -> Tensor:
    """Resize so that the shorter side is ``size`` pixels; bicubic and anti-aliased.

    Args:
        image: float (C, H, W) in [0, 1].
        size: shorter side in pixels.
    Returns:
        float (C, H', W') in [0, 1]; ``image`` itself where it has that size already.
    Raises:
        DataError: if the image is more than ``MAX_ASPECT`` times as long as it is wide.
    """
    height, width = image.shape[-2:]
    if max(height, width) > MAX_ASPECT * min(height, width):
        raise DataError(
            f"an image of {width} x {height} pixels is too elongated: crop it to at most {MAX_ASPECT}:1"
        )
    shape = shorter_side_shape(height, width, size)
    if shape == (height, width):
        return image
    return F.interpolate(image[None], shape, mode="bicubic", antialias=True)[0].clamp(0, 1)


def parent_pixels(parent: Parent, size: int) -> Tensor:
    """Give a parent's very pixels at a size, on the CPU.

    Args:
        parent: a photograph.
        size: shorter side in pixels.
    Returns:
        float32 (3, h, w) in [0, 1], or (4, h, w) with opacity for a cut-out, whose colours are then free of the white below.
    Raises:
        ConfigError: if it is a class name.
    """
    if parent.image is None:
        raise ConfigError(f"this fuser takes photographs, but {parent.name} is a class name")
    if not parent.is_cutout or parent.mask is None:
        return resize_shorter(parent.image, size).cpu()
    image, mask = (resize_shorter(part, size).cpu() for part in (parent.image, parent.mask))
    return torch.cat([((image - (1 - mask)) / mask.clamp_min(1e-3)).clamp(0, 1), mask])
