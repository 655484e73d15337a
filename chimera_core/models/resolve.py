"""From the name of an encoder to what was trained under it, or else to a component. Torch-free until it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.components.choice import Choice, choose
from chimera_core.components.trained import Trained, find_trained
from chimera_core.options.config import Config
from chimera_core.options.layers import build_config
from chimera_core.plugins.discovery import PluginHost, default_host

if TYPE_CHECKING:
    import torch

    from chimera_core.interfaces.components import FeatureEncoder


@dataclass(frozen=True)
class TrainedEncoder:
    """An encoder that was trained: a run, an exported file or a model of the registry. It has no options left."""

    trained: Trained
    host: PluginHost = field(repr=False)

    @property
    def label(self) -> str:
        """As tables name it: without folders."""
        return Path(self.trained.name).name

    def load(self) -> FeatureEncoder:
        """Build it with its weights, on the CPU, in evaluation mode.

        Raises:
            DataError: if these are not to be had.
        """
        from chimera_core.models.encoders import load_trained  # not at the top: it needs torch

        return load_trained(self.trained, self.host)


def resolve_encoder(host: PluginHost, name: str, options: Mapping[str, Any] = {}) -> Choice | TrainedEncoder:
    """Return what the name of an encoder means: something trained, or else a component.

    Args:
        host: knows runs, models and components.
        name: of a run, an exported file, a model or a component.
        options: of the component; what was trained has none.
    Raises:
        PluginError: if there is no such component.
        ConfigError: for a wrong option.
    """
    if trained := find_trained(host, "feature-encoder", name):
        build_config(Config, options, where=str(trained))
        return TrainedEncoder(trained, host)
    return choose(host, "feature-encoder", name, options)


def load_encoder(name: str = "timm", *, device: str | torch.device = "cpu", **options: Any) -> FeatureEncoder:
    """Build a feature encoder, in evaluation mode.

    Args:
        name: a run of `chimera encoder train` (a folder, or its name below CHIMERA_RUNS), whose best weights are
            taken; else a file of `chimera encoder export`, ending in .safetensors; else a model of the registry
            (``robust-lite0``); else a component (``timm``, ``plugin:name``).
        device: where its weights go.
        options: the component's options; what was trained has none.
    Returns:
        The encoder. It takes images (N, 3, H, W) in [0, 1].
    Raises:
        PluginError: if there is no such component.
        ConfigError: for a wrong option.
        DataError: if its weights are not to be had.
    """
    encoder: FeatureEncoder = resolve_encoder(default_host(), name, options).load()
    return encoder.to(device).eval()
