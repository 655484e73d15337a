"""What plugins load by name: sources, fusers, assets. Torch-free until something is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chimera_core.components.choice import choose
from chimera_core.downloads import assets, hub_files
from chimera_core.plugins.discovery import default_host
from chimera_core.records import ComponentSpec

if TYPE_CHECKING:
    import torch

    from chimera_core.interfaces.components import DatasetSource, FusionGenerator


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


def open_source(name: str = "folder", /, **options: Any) -> DatasetSource:
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


def find_source(name: str) -> ComponentSpec:
    """Look up what a data set's plugin says of it: its options above all.

    Args:
        name: a component (``folder``, ``plugin:name``).
    Raises:
        PluginError: if there is no such component.
    """
    return default_host().find("dataset-source", name).spec


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


def find_hub_file(address: str, *, progress: Callable[[float, float], None] | None = None) -> Path:
    """Find a file of the Hugging Face hub among the assets, fetching it first if need be.

    Args:
        address: ``hf://owner/name/file@revision``.
        progress: called with (done, total) in bytes while it comes.
    Returns:
        The verified file.
    Raises:
        ConfigError: if the address is none, or huggingface_hub is not installed.
        DataError: if the file is not the one that was fetched.
        RunError: if the hub does not give it.
    """
    return hub_files.hub_file(address, default_host().settings.path("assets"), progress=progress)


def default_data_root(name: str) -> Path:
    """Name the folder where a data set is looked for, and downloaded to, when the user names none.

    It lies in the folder of assets (``CHIMERA_ASSETS``) and need not exist.

    Args:
        name: of the data set, such as ``mnist``.
    """
    return default_host().settings.path("assets") / name
