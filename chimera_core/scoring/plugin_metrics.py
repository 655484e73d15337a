"""Figures of plugins beside those of the scorecard, by the names that users give. Torch-free until one measures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chimera_core.components.choice import Choice, choose
from chimera_core.errors import ConfigError, PluginError
from chimera_core.options.config import suggest
from chimera_core.plugins.discovery import PluginHost

if TYPE_CHECKING:
    from torch import Tensor

    from chimera_core.interfaces.additions import CreatureMetric

_KIND = "metric"


def choose_metrics(host: PluginHost, names: Sequence[str]) -> dict[str, Choice]:
    """Look metrics up, by their full names: so the figures are called, since two plugins may offer one name.

    Args:
        host: where they are found.
        names: ``NAME`` or ``PLUGIN:NAME``.
    Raises:
        ConfigError: if there is none of this name, or it is named twice.
        PluginError: if several plugins offer it, or it cannot be loaded.
    """
    found: dict[str, Choice] = {}
    for name in names:
        if not host.has(_KIND, name) and ":" not in name:
            hint = suggest(name, [c.spec.name for c in host.components(_KIND)])
            raise ConfigError(
                f"there is no metric '{name}'{hint or ': no plugin that is installed brings one'}"
            )
        choice = choose(host, _KIND, name)
        if choice.name in found:
            raise ConfigError(f"metric '{choice.name}' is named twice: leave one out")
        choice.component.load_class()
        found[choice.name] = choice
    return found


def measure_with(
    metric: CreatureMetric, name: str, images: Tensor, parents: Sequence[Tensor], weights: Tensor
) -> list[float | None]:
    """Measure creatures of the same parents by the metric of a plugin.

    Args:
        name: of the metric, for messages.
        images: creatures, float32 (n, 3, S, S) in [0, 1].
        parents: images of each, (m, 3, S', S').
        weights: that were asked for, (n, P).
    Returns:
        n values; None where it gives no finite number.
    Raises:
        PluginError: if it gives something else, naming it.
    """
    import torch

    found: Any = metric.measure(images.clone(), [parent.clone() for parent in parents], weights.clone())
    if not isinstance(found, torch.Tensor) or found.shape != (len(images),):
        what = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise PluginError(
            f"metric {name} gave {what} for {len(images)} creatures: it must give a tensor ({len(images)},)"
        )
    return [value if math.isfinite(value) else None for value in found.double().tolist()]


def described(metrics: Mapping[str, Choice]) -> dict[str, dict[str, str]]:
    """Give what reports say of metrics: which way is better, what they mean, and what brings them."""
    about = {}
    for name, choice in metrics.items():
        kind: type[CreatureMetric] = choice.component.load_class()
        about[name] = {
            "better": str(kind.better),
            "meaning": str(kind.meaning or choice.component.spec.summary),
            "distribution": choice.component.distribution,
        }
    return about
