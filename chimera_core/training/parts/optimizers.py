"""Optimizers, and learning rates as functions of the images seen: there is no scheduler state to keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from chimera_core.errors import ConfigError, PluginError

OptimizerName = Literal["adamw", "adam", "sgd"]
ScheduleName = Literal["constant", "cosine", "one-cycle"]
Schedule = Callable[[int], float]
"""Images seen so far -> factor of the learning rate."""

# torch.optim.lr_scheduler.OneCycleLR's defaults (Smith and Topin 2018).
_ONE_CYCLE_RISE, _ONE_CYCLE_START, _ONE_CYCLE_END = 0.3, 1 / 25, 1 / (25 * 1e4)


def parameter_groups(
    module: nn.Module,
    *,
    weight_decay: float,
    decay_all: bool = False,
    factors: Mapping[str, float] | None = None,
) -> list[dict[str, Any]]:
    """Sort parameters that learn into groups of one weight decay and one rate.

    Args:
        module: the network.
        weight_decay: of weights; norms and biases (one-dimensional) have none unless ``decay_all``.
        decay_all: decay everything, as plain Adam and SGD of the papers do.
        factors: share of the learning rate by prefix of a parameter's name; the longest prefix counts, others get 1.
    Raises:
        ConfigError: if nothing learns.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            decay = weight_decay if decay_all or parameter.ndim > 1 else 0.0
            fitting = [p for p in factors or {} if name == p or name.startswith(f"{p}.") or not p]
            factor = (factors or {})[max(fitting, key=len)] if fitting else 1.0
            groups.setdefault((decay, factor), []).append(parameter)
    if not groups:
        raise ConfigError("every parameter of the network is frozen: nothing would learn")
    return [{"params": p, "weight_decay": d, "factor": f} for (d, f), p in groups.items()]


def layer_factors(encoder: nn.Module, decay: float) -> dict[str, float]:
    """Give each parameter its share of the learning rate: ``decay`` to the number of layers above it.

    Args:
        encoder: says how deep its parameters lie (``parameter_depths``).
        decay: in (0, 1]; 1: all alike.
    Raises:
        ConfigError: if the encoder does not say it.
    Source: Clark et al. 2020, arXiv:2003.10555, appendix.
    """
    if decay == 1:
        return {}
    depths: Mapping[str, int] = getattr(encoder, "parameter_depths", dict)()
    for name, parameter in encoder.named_parameters():
        if parameter.requires_grad and name not in depths:
            raise ConfigError(
                f"encoder {type(encoder).__name__} does not say how deep '{name}' lies: leave out --layer-decay"
            )
    deepest = max(depths.values(), default=0)
    return {name: decay ** (deepest - depth) for name, depth in depths.items()}


def build_optimizer(
    groups: Sequence[dict[str, Any]],
    name: OptimizerName,
    *,
    lr: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    momentum: float = 0.9,
) -> Optimizer:
    """Build an optimizer, fused: one kernel for all parameters, on CPUs as well.

    Args:
        groups: of ``parameter_groups``.
        name: which.
        lr: rate at a schedule's factor of 1.
        betas: of Adam and AdamW.
        eps: of Adam and AdamW.
        momentum: of SGD, with Nesterov's where it is above 0.
    """
    own = [{**group, "base_lr": lr * group.get("factor", 1.0)} for group in groups]
    if name == "sgd":
        return torch.optim.SGD(own, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=True)
    kind = torch.optim.AdamW if name == "adamw" else torch.optim.Adam
    return kind(own, lr=lr, betas=betas, eps=eps, fused=True)


def set_rate(optimizer: Optimizer, factor: float) -> float:
    """Set the learning rate of every group to a share of its own; give the first group's.

    Raises:
        PluginError: if the optimizer is not of ``build_optimizer``, which notes the rates of its groups.
    """
    for group in optimizer.param_groups:
        if "base_lr" not in group:
            raise PluginError(
                f"{type(optimizer).__name__} has a group without base_lr, the rate that a schedule scales: make it with "
                f"build_optimizer of chimera_core.api, or write {{'params': ..., 'base_lr': {group['lr']}}}"
            )
        group["lr"] = group["base_lr"] * factor
    return float(optimizer.param_groups[0]["lr"])


def schedule(name: ScheduleName, *, total_images: int, warmup_images: int = 0) -> Schedule:
    """Make a learning-rate schedule.

    Args:
        name: ``constant``; ``cosine`` down to 0; ``one-cycle``, which rises for 30 % of the way from 1/25, then
            falls to almost nothing, both along a cosine.
        total_images: length of the training.
        warmup_images: images over which the rate rises linearly first; ``one-cycle`` has its own rise.
    Returns:
        Images seen before a step -> factor in [0, 1].
    Raises:
        ConfigError: if the warm-up is longer than the training.
    """
    if warmup_images > total_images:
        raise ConfigError(
            f"a warm-up of {warmup_images:,} images is longer than the training of {total_images:,}: shorten it"
        )

    def constant(images: int) -> float:
        return min(1.0, (images + 1) / (warmup_images + 1))

    def cosine(images: int) -> float:
        if images < warmup_images:
            return constant(images)
        return _fall(1.0, 0.0, (images - warmup_images) / max(1, total_images - warmup_images))

    def one_cycle(images: int) -> float:
        done = images / max(1, total_images)
        if done < _ONE_CYCLE_RISE:
            return _fall(_ONE_CYCLE_START, 1.0, done / _ONE_CYCLE_RISE)
        return _fall(1.0, _ONE_CYCLE_END, (done - _ONE_CYCLE_RISE) / (1 - _ONE_CYCLE_RISE))

    return {"constant": constant, "cosine": cosine, "one-cycle": one_cycle}[name]


def _fall(start: float, end: float, share: float) -> float:
    """Go from ``start`` to ``end`` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, share))) / 2
