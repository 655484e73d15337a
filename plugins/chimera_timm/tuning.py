"""Fine-tuning a timm model: first weights by seed, parts that stay as they are, and which layer lies how deep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from timm.models import group_parameters
from torch import nn

from chimera_core.api import ConfigError


def freeze(model: Any, what: str, *, name: str) -> None:
    """Stop parameters from learning.

    Args:
        model: a timm model.
        what: ``none``, ``all-but-head`` (the classifier learns), or how many stages, with the stem before them.
        name: of the model, for messages.
    Raises:
        ConfigError: if the model has fewer stages, or timm does not know them.
    """
    if what in ("none", "0"):
        return
    if what == "all-but-head":
        model.requires_grad_(False)
        for head in _classifiers(model):
            head.requires_grad_(True)
        return
    depths = parameter_depths(model)
    if not depths:
        raise ConfigError(f"timm does not say which stages {name} has: freeze all-but-head or none")
    stages = max(depths.values()) - 1
    if int(what) > stages:
        raise ConfigError(
            f"{name} has {stages} stages, but {what} should be frozen: use all-but-head or fewer"
        )
    for parameter_name, parameter in model.named_parameters():
        if depths[parameter_name] <= int(what):
            parameter.requires_grad_(False)


def hold_frozen(model: nn.Module) -> None:
    """Put every module whose parameters are all frozen into evaluation mode, with what lies in it."""
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def parameter_depths(model: Any) -> Mapping[str, int]:
    """Give the depth of each parameter: 0 for the stem, then the stages, then the classifier; {} if unknown."""
    if not hasattr(model, "group_matcher"):
        return {}
    matcher = model.group_matcher(coarse=True)
    depths: dict[str, int] = group_parameters(model, matcher, reverse=True)
    return depths


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw first weights from a seed, and leave torch's own generator as it was.

    timm draws from the global one.
    """
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)


def _classifiers(model: Any) -> list[nn.Module]:
    found = model.get_classifier()
    return list(found) if isinstance(found, tuple) else [found]
