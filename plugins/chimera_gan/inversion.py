"""A photograph as a latent: the one from which the generator makes what is nearest to it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import Draw, FeatureEncoder, ShapeError
from chimera_gan.conditions import see
from chimera_gan.generating import noise_of
from chimera_gan.networks import Generator

_LOOKED_AT = 256  # latents among which the starts are chosen
_STARTS = 4
_FIRST_SEED = 3_000_017
_RATE = 0.1  # of Adam; entries of a latent are of order 1
_CLOSING = 8  # draws of dropout by which the starts are compared at the end
_FEATURES = 1.0  # weight of 1 - cosine of features, beside the mean squared error of pixels in [-1, 1]


def middle_square(image: Tensor, size: int) -> Tensor:
    """Cut the middle square out of a photograph (3, H, W), and give it as (1, 3, size, size).

    Raises:
        ShapeError: if it has another shape.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ShapeError(f"photograph is {tuple(image.shape)}: pass (3, H, W)")
    side = min(image.shape[1:])
    top, left = (image.shape[1] - side) // 2, (image.shape[2] - side) // 2
    square = image[None, :, top : top + side, left : left + side]
    return F.interpolate(square, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


def invert(
    generator: Generator,
    photo: Tensor,
    encoder: FeatureEncoder,
    *,
    encoder_size: int,
    steps: int,
    progress: Callable[[float, float], None],
) -> Tensor:
    """Search the sphere of radius sqrt(Z), where noise lies, for the latent of a photograph.

    The nearest of many samples are the starts; Adam leads each on, and the best is taken. A generator with dropout gets
    other masks at every step. Nothing depends on anything but the arguments.

    Args:
        generator: in evaluation mode, without gradients.
        photo: (1, 3, S, S) in [0, 1], on its device.
        encoder: whose features count beside the pixels.
        encoder_size: side in pixels at which it sees.
        steps: of Adam.
        progress: called with (done, total) in steps.
    Returns:
        float32 (1, Z).
    Source: Zhu et al. 2016, arXiv:1609.03552, section 3.1, for the search; Menon et al. 2020 (PULSE), arXiv:2003.03808,
    section 3.2, for the sphere. Losses and starts are ours.
    """
    device, radius = photo.device, math.sqrt(generator.noise)
    with torch.no_grad():
        wanted = see(encoder, photo, size=encoder_size)

    def distance(z: Tensor, step: int) -> Tensor:
        """Give how far (N,) the images of latents (N, Z) are from the photograph."""
        made = generator(z, draw=Draw(0, step, torch.arange(len(z), device=device))).float()
        pixels = (made - (photo * 2 - 1)).square().flatten(1).mean(1)
        seen = see(encoder, (made / 2 + 0.5).clamp(0, 1), size=encoder_size)
        found: Tensor = pixels + _FEATURES * (1 - F.cosine_similarity(seen, wanted))
        return found

    def on_sphere(v: Tensor) -> Tensor:
        return F.normalize(v, dim=1) * radius

    with torch.no_grad():
        seeds = range(_FIRST_SEED, _FIRST_SEED + _LOOKED_AT)
        many = on_sphere(noise_of(seeds, generator.noise).to(device))
        far = torch.cat([distance(part, 0) for part in torch.split(many, 64)])
    v = many[far.argsort(stable=True)[:_STARTS]].clone().requires_grad_(True)
    optimizer = torch.optim.Adam([v], lr=_RATE)
    for step in range(steps):
        # Half a cosine: the last steps are small, so that the noise of the masks averages out.
        optimizer.param_groups[0]["lr"] = _RATE * (1 + math.cos(math.pi * step / steps)) / 2
        (v.grad,) = torch.autograd.grad(distance(on_sphere(v), step + 1).sum(), [v])
        optimizer.step()
        progress(step + 1, steps)
    with torch.no_grad():
        found = on_sphere(v)
        far = torch.stack([distance(found, -1 - k) for k in range(_CLOSING)]).mean(0)
    return found[far.argmin()][None]
