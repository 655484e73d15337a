"""What an optimiser learns at which rate."""

from __future__ import annotations

from typing import Any

from torch import nn

from chimera_core.errors import ConfigError, PluginError
from chimera_core.interfaces import FeatureEncoder


def parameter_groups(
    encoder: FeatureEncoder, *, lr: float, decay: float = 1.0, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Group an encoder's parameters for an optimiser, with lower rates for earlier layers.

    Args:
        encoder: frozen parameters are left out.
        lr: rate of the deepest layer, the classifier.
        decay: each layer nearer to the pixels learns at this times the rate of the next one; 1: all alike. It takes
            the encoder's ``parameter_depths``.
        weight_decay: of weights; biases and norms get none.
    Returns:
        Groups with ``params``, ``lr``, ``weight_decay`` and ``depth``, from the pixels to the classifier.
    Raises:
        ConfigError: if ``decay`` is not in (0, 1], or every parameter is frozen.
        PluginError: if the encoder does not say the depth of a parameter.
    Source: Clark et al. 2020, arXiv:2003.10555, appendix; Bao et al. 2022, arXiv:2106.08254.
    """
    if not 0 < decay <= 1:
        raise ConfigError(f"the decay of the learning rate per layer lies in (0, 1], but it is {decay:g}")
    depths = encoder.parameter_depths() if decay < 1 else {}
    learned = [(name, p) for name, p in encoder.named_parameters() if p.requires_grad]
    if not learned:
        raise ConfigError("every parameter of the encoder is frozen: there is nothing to train")
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in learned:
        if decay < 1 and name not in depths:
            raise PluginError(
                f"encoder {type(encoder).__name__} does not say how deep '{name}' lies: train without decay per layer"
            )
        groups.setdefault((depths.get(name, 0), parameter.ndim > 1), []).append(parameter)
    deepest = max(depths.values(), default=0)
    return [
        {
            "params": parameters,
            "lr": lr * decay ** (deepest - depth),
            "weight_decay": weight_decay if is_weight else 0.0,
            "depth": depth,
        }
        for (depth, is_weight), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
