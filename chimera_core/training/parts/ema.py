"""An exponential moving average of a network: weights and the running statistics of batch norm alike."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """Keeps the average; ``module`` is a network of the same kind, in evaluation mode.

    Args:
        module: the network that is trained.
        decay: share that the average keeps at each step, in [0, 1).
    Source: Polyak and Juditsky 1992; the faster start is TensorFlow's ``ExponentialMovingAverage(num_updates)``.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = copy.deepcopy(module).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move the average toward the network.

        Args:
            module: the network after its step.
            step: number of steps before this one. At first the average forgets faster, min(decay, (1 + step) /
                (10 + step)): otherwise a short training would be judged by its random beginning.
        """
        decay = min(self.decay, (1 + step) / (10 + step))
        averages, values = [], []
        own = self.module.state_dict()
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                averages.append(own[name])
                values.append(value)
            else:  # the batch norm's counter
                own[name].copy_(value)
        torch._foreach_lerp_(averages, values, 1 - decay)
