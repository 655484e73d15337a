"""What a creature stands on: its first parent's ground, white, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

from chimera_core.errors import ConfigError
from chimera_core.options.config import suggest
from chimera_core.records import Parent

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Background = Literal["keep", "white", "transparent"]
"""keep: what surrounds the first parent, which is nothing for a cut-out; white, transparent: the creature alone."""
BACKGROUNDS: tuple[Background, ...] = get_args(Background)


def check_background(name: str) -> Background:
    """Check the name of a background.

    Raises:
        ConfigError: with the nearest one.
    """
    for known in BACKGROUNDS:
        if name == known:
            return known
    raise ConfigError(f"there is no background {name!r}" + suggest(name, BACKGROUNDS))


def set_background(
    made: Tensor,
    first: Parent,
    background: Background,
    *,
    keeps_outline: bool,
    device: torch.device,
    remark: Callable[[str], None],
) -> Tensor:
    """Give creatures their background.

    Args:
        made: float32 (N, 3, H, W) in [0, 1], or (N, 4, H, W) with opacity, which stays.
        keeps_outline: whether the creatures have the first parent's outline; else theirs is looked for.
        device: where it is looked for.
        remark: gets a line where no animal is found; the whole picture is taken for it then.
    Returns:
        float32 (N, 3, H, W), or (N, 4, H, W) with opacity, on the CPU.
    """
    import torch

    from chimera_core.images.pixels import over_white

    made = made.detach().float().cpu()
    if made.shape[1] == 3 and (background != "keep" or (keeps_outline and first.is_cutout)):
        if keeps_outline and first.mask is not None:
            alpha = _resized(first.mask, made)
        else:
            alpha = torch.stack([_outline(image, device, remark) for image in made])
        if first.is_cutout and keeps_outline:  # it was fused on white
            made = ((made - (1 - alpha)) / alpha.clamp_min(1e-3)).clamp(0, 1)
        made = torch.cat([made, alpha], dim=1)
    return over_white(made) if background == "white" else made


def _resized(mask: Tensor, like: Tensor) -> Tensor:
    from torch.nn import functional as F

    shape = (like.shape[-2], like.shape[-1])
    scaled = F.interpolate(mask[None].float().cpu(), shape, mode="bicubic", antialias=True).clamp(0, 1)
    return scaled.expand(len(like), 1, *shape)


def _outline(image: Tensor, device: torch.device, remark: Callable[[str], None]) -> Tensor:
    from chimera_core.subjects.finder import SubjectFinder

    finder, creature = SubjectFinder("auto", device=device), Parent("creature", image)
    mask = finder.find(creature).mask.cpu()
    if not finder.confidence(creature):
        remark("no outline was found to take the creature out of its ground: the whole picture stays")
    return mask
