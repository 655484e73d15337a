"""From a name and options to a component, or to what was trained in its place. Torch-free until something is loaded.

``resolve`` asks a host; ``load_encoder``, ``open_source`` and the like, the Python face of the commands, ask the plugins
of this process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.components.choice import Choice, choose
from chimera_core.components.layers import build_config
from chimera_core.components.options import Config
from chimera_core.downloads import assets
from chimera_core.models.names import Trained, find_trained
from chimera_core.plugins.discovery import PluginHost, default_host

if TYPE_CHECKING:
    import torch

    from chimera_core.interfaces.components import DatasetSource, FeatureEncoder, FusionGenerator


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
    """Say what the name of an encoder means: something trained, or else a component.

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


def load_fuser(name: str, *, device: str | torch.device = "cpu", **options: Any) -> FusionGenerator:
    """Build a fuser that needs no training, for another one to use.

    Args:
        name: a component (``style-transfer``, ``plugin:name``).
        device: where it works.
        options: the component's options.
    Raises:
        PluginError: if there is no such component.
        ConfigError: for a wrong option.
    """
    fuser: FusionGenerator = choose(default_host(), "fusion-generator", name, options).load(device=device)
    return fuser


def open_source(name: str = "folder", **options: Any) -> DatasetSource:
    """Open a data set.

    Args:
        name: a component (``folder``, ``plugin:name``).
        options: the component's options, e.g. ``root="my/pictures"``.
    Raises:
        PluginError: if there is no such component.
        ConfigError: for a wrong option.
        DataError: if there are no data where the options point.
    """
    source: DatasetSource = choose(default_host(), "dataset-source", name, options).load()
    return source


def find_asset(name: str, *, progress: Callable[[float, float], None] | None = None) -> Path:
    """Find a file of weights or data that the registry knows, downloading it first if need be.

    Args:
        name: its name in the registry (``vgg19``).
        progress: called with (done, total) in bytes while it comes.
    Returns:
        The verified file.
    Raises:
        ConfigError: if the registry has no such asset.
        DataError: if another file lies under its name.
        RunError: if it could not be downloaded, with all that is needed to do so by hand.
    """
    host = default_host()
    return assets.find_asset(host.registry, host.settings, name, progress=progress)


def default_data_root(name: str) -> Path:
    """Name the folder where a data set is looked for, and downloaded to, when the user names none.

    It lies in the folder of assets (``CHIMERA_ASSETS``) and need not exist.

    Args:
        name: of the data set, such as ``mnist``.
    """
    return default_host().settings.path("assets") / name
