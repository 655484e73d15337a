"""A frozen encoder with its batch norms multiplied into the convolutions before them: the same function in fewer passes.

Norms are otherwise an eighth of a step's processor time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from chimera_core.drawing.frozen_convolutions import FrozenConv
from chimera_core.interfaces.components import FeatureEncoder

# Sides of the picture by which pairs are found and the result is checked, and how far it may differ, as a share. Levels
# are even and odd in turns, which networks pad differently.
_SIDES, _TOLERANCE = (64, 75), 1e-3


def folded(encoder: FeatureEncoder, levels: Sequence[int], *, logits: bool = True) -> FeatureEncoder:
    """Copy an encoder in evaluation mode, its norms folded; the encoder itself where that is not the same function.

    Args:
        encoder: frozen, on its device.
        levels: of the feature maps that are read of it.
        logits: whether they are read, too; some encoders have none.
    """
    if encoder.training or not any(isinstance(module, nn.BatchNorm2d) for module in encoder.modules()):
        return encoder
    mine = copy.deepcopy(encoder)
    parameter = next(mine.parameters())
    picture = torch.rand(1, 3, *_SIDES, generator=torch.Generator().manual_seed(0)).to(parameter.device)
    with torch.no_grad():
        with _pairs(mine) as pairs:
            wanted = _seen(mine, picture, levels, logits)
        for conv, norm in pairs:
            fused = fuse_conv_bn_eval(conv, norm)
            # timm's norms hold the activation that follows.
            act = getattr(norm, "act", None) or nn.Identity()
            frozen = parameter.device.type == "cpu"
            _replace(mine, conv, FrozenConv(fused, act) if frozen else fused)
            _replace(mine, norm, nn.Identity() if frozen else act)
        found = _seen(mine, picture, levels, logits)
    if not all(_is_close(a, b) for a, b in zip(found, wanted, strict=True)):
        return encoder
    return mine.requires_grad_(False)


def _seen(encoder: FeatureEncoder, picture: Tensor, levels: Sequence[int], with_logits: bool) -> list[Tensor]:
    if not with_logits:
        return encoder.feature_maps(picture, levels)
    logits, maps = encoder.logits_and_maps(picture, levels)
    return [logits, *maps]


def _is_close(found: Tensor, wanted: Tensor) -> bool:
    return found.shape == wanted.shape and bool((found - wanted).norm() <= _TOLERANCE * wanted.norm())


@contextmanager
def _pairs(encoder: nn.Module) -> Iterator[list[tuple[nn.Conv2d, nn.BatchNorm2d]]]:
    """Note, during one pass, which norm is given the very output of which convolution."""
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []
    made: list[tuple[Tensor, nn.Conv2d]] = []

    def note_output(conv: nn.Module, args: Any, output: Tensor) -> None:
        assert isinstance(conv, nn.Conv2d)
        made.append((output, conv))

    def note_input(norm: nn.Module, args: tuple[Any, ...]) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        pairs.extend((conv, norm) for output, conv in made if args and output is args[0])
        made.clear()  # a norm follows its convolution at once, and outputs are large

    hooks: list[Any] = []
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(note_output))
        elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            hooks.append(module.register_forward_pre_hook(note_input))
    try:
        yield pairs
    finally:
        for hook in hooks:
            hook.remove()


def _replace(inside: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in inside.modules():
        for name, child in list(parent.named_children()):
            if child is old:
                setattr(parent, name, new)
