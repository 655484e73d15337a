"""Gradients with respect to images, that leave no trace on the encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

Statistics = Literal["running", "batch"]
Objective = Callable[[Tensor], Tensor]


@contextmanager
def attack_mode(encoder: nn.Module, *, statistics: Statistics = "running") -> Iterator[None]:
    """Put an encoder into the mode in which it is attacked, and every module back into its own afterwards.

    Dropout is off. Batch norm uses its running statistics, as the attacker of the deployed network meets them and as
    the code of TRADES and of Madry's group does; Pang et al. 2021 (arXiv:2010.00467, section 3.2) find this a little
    better on clean images and equal on attacked ones. ``statistics="batch"`` uses those of the attacked batch, as
    Wong et al. 2020 and de Jorge et al. 2022 do; the running ones stay untouched then, too.
    """
    modes = [(module, module.training) for module in encoder.modules()]
    norms = [m for m, _ in modes if isinstance(m, _BatchNorm) and m.track_running_stats]
    encoder.eval()
    if statistics == "batch":
        for norm in norms:
            norm.train()
            norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
        for module, training in modes:  # one by one: frozen parts may be in another mode than the whole
            module.training = training


def input_gradient(encoder: nn.Module, x: Tensor, objective: Objective) -> Tensor:
    """Differentiate an objective of the logits with respect to the images: one pass forward and one back.

    Only the way to the images is computed, no gradient of a parameter, and none is stored.

    Args:
        encoder: the network, in the mode in which it shall be attacked.
        x: images, float (N, C, H, W).
        objective: logits (N, K), float32 whatever the encoder computes in -> scalar.
    Returns:
        float32 (N, C, H, W).
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(objective(encoder(x).float()), x)
    return gradient


def cross_entropy_of(y: Tensor) -> Objective:
    """Make the objective of an untargeted attack: the mean cross entropy; y is (N,) classes or (N, K) shares."""
    return lambda logits: F.cross_entropy(logits, y)
