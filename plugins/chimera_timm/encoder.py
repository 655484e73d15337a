"""A timm model as ``FeatureEncoder``: logits, embedding, feature maps, its own normalisation inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.api import ConfigError, FeatureEncoder, Level
from chimera_timm.config import TimmConfig
from chimera_timm.tuning import freeze, hold_frozen, parameter_depths, seeded
from chimera_timm.weights import create_model


class TimmEncoder(FeatureEncoder):
    """Any timm model, seen through images (N, 3, H, W) in [0, 1].

    Without ``taps`` the levels are timm's ``feature_info``: the end of each stage. With ``taps`` they are the
    outputs of the named modules, before a following in-place activation touches them.
    Models with a fixed input size (most transformers) get their images resized to it.

    Source: Wightman, PyTorch Image Models, doi:10.5281/zenodo.4414861.
    """

    model: Any
    mean: Tensor
    std: Tensor

    def __init__(self, config: TimmConfig) -> None:
        super().__init__()
        self.config = config
        with seeded(config.seed):
            model: Any = create_model(config.model, config.weights)
            if config.classes is not None:
                model.reset_classifier(config.classes)
        if config.pool == "avg":
            _replace_max_pooling(model)
        freeze(model, config.freeze, name=config.model)
        self.model = model
        cfg: dict[str, Any] = model.pretrained_cfg
        self.input_size: tuple[int, int] = tuple(cfg["input_size"][1:])
        self._fixed_size = bool(cfg.get("fixed_input_size"))
        self.register_buffer("mean", torch.tensor(cfg["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(cfg["std"]).view(3, 1, 1), persistent=False)
        self.levels = _probe_levels(self, config.taps) if config.taps else _stage_levels(model)

    def forward(self, x: Tensor) -> Tensor:
        """Classify: images (N, 3, H, W) in [0, 1] -> logits (N, K)."""
        logits: Tensor = self.model(self._prepare(x))
        return logits

    def embed(self, x: Tensor) -> Tensor:
        """Embed: images (N, 3, H, W) in [0, 1] -> pooled features (N, D)."""
        features = self.model.forward_features(self._prepare(x))
        embedding: Tensor = self.model.forward_head(features, pre_logits=True)
        return embedding

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        """Read feature maps, stopping at the deepest level asked for. See ``FeatureEncoder``."""
        self._check_levels(levels)
        if self.config.taps:
            return _read_taps(
                self.model, self._prepare(x), [self.config.taps[level] for level in levels], stop=True
            )
        order = sorted(set(levels))
        maps = self.model.forward_intermediates(
            self._prepare(x), indices=order, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        return [maps[order.index(level)] for level in levels]

    def logits_and_maps(self, x: Tensor, levels: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Classify and read feature maps in one autograd graph. See ``FeatureEncoder``."""
        self._check_levels(levels)
        if self.config.taps:
            raise ConfigError("a timm encoder with taps offers no class-activation maps: leave taps empty")
        order = sorted(set(levels))
        final, maps = self.model.forward_intermediates(self._prepare(x), indices=order, output_fmt="NCHW")
        return self.model.forward_head(final), [maps[order.index(level)] for level in levels]

    def parameter_depths(self) -> Mapping[str, int]:
        """Give the depth of every parameter: stem, stages, classifier, as timm orders them."""
        return {f"model.{name}": depth for name, depth in parameter_depths(self.model).items()}

    def train(self, mode: bool = True) -> TimmEncoder:
        """Set the mode; what is frozen stays in evaluation mode, so that its batch norms learn nothing either."""
        super().train(mode)
        hold_frozen(self.model)
        return self

    def _prepare(self, x: Tensor) -> Tensor:
        if self._fixed_size and x.shape[-2:] != self.input_size:
            x = F.interpolate(x, self.input_size, mode="bicubic", antialias=True).clamp(0, 1)
        return (x - self.mean) / self.std

    def _check_levels(self, levels: Sequence[int]) -> None:
        for level in levels:
            if not 0 <= level < len(self.levels):
                raise ConfigError(
                    f"{self.config.model} has feature levels 0 to {len(self.levels) - 1}, but {level} was asked for"
                )


class _Stop(Exception):
    """Ends a forward pass at the deepest tap."""


def _read_taps(model: nn.Module, x: Tensor, taps: Sequence[str], *, stop: bool) -> list[Tensor]:
    """Run the model with hooks on the named modules; in execution order the last tap ends the pass."""
    seen: dict[str, Tensor] = {}
    wanted = set(taps)

    def keep(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            seen[name] = output.clone()  # the next layer may be an in-place ReLU
            if stop and len(seen) == len(wanted):
                raise _Stop

        return hook

    hooks = [model.get_submodule(name).register_forward_hook(keep(name)) for name in wanted]
    try:
        model(x)
    except _Stop:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return [seen[name] for name in taps]


def _probe_levels(encoder: TimmEncoder, taps: Sequence[str]) -> tuple[Level, ...]:
    """Measure channels and strides of named modules with one blank image."""
    known = dict(encoder.model.named_modules())
    for tap in taps:
        if tap not in known:
            raise ConfigError(
                f"{encoder.config.model} has no module '{tap}': see its layers with print(model)"
            )
    side = max(encoder.input_size)
    encoder.model.eval()
    with torch.no_grad():
        maps = _read_taps(encoder.model, torch.zeros(1, 3, side, side), taps, stop=True)
    for tap, found in zip(taps, maps, strict=True):
        if found.ndim != 4:
            raise ConfigError(f"module '{tap}' of {encoder.config.model} gives no feature maps (N, C, H, W)")
    return tuple(
        Level(tap, m.shape[1], max(1, side // m.shape[-1])) for tap, m in zip(taps, maps, strict=True)
    )


def _stage_levels(model: Any) -> tuple[Level, ...]:
    if not hasattr(model, "forward_intermediates"):
        name = type(model).__name__
        raise ConfigError(
            f"timm's {name} offers no feature maps: choose another model, or name modules with taps"
        )
    return tuple(Level(f["module"], f["num_chs"], f["reduction"]) for f in model.feature_info)


def _replace_max_pooling(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.MaxPool2d):
                setattr(parent, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
