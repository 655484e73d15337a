"""The Python face of the commands: ``fuse``, ``load_encoder``, ``open_source``. See ``chimera_core``.

Everything here takes names and options and gives objects; the command line calls the same functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from chimera_core.components.layers import (
    Layer,
    build_config,
    check_layer,
    merge,
    named_defaults,
    references_in,
)
from chimera_core.components.options import Config, suggest
from chimera_core.errors import ConfigError, PluginError
from chimera_core.models.names import Trained, find_trained, model_file
from chimera_core.plugins.discovery import Component, PluginHost, default_host

if TYPE_CHECKING:
    import torch

    from chimera_core.interfaces.components import DatasetSource, FeatureEncoder, FusionGenerator


def option_layers(component: Component, host: PluginHost, preset: str | None) -> list[Layer]:
    """Give the layers below what a user says about a component: registry, then preset; each is checked.

    Raises:
        ConfigError: if the component has no such preset, or for a wrong option in a layer, with file and line.
        PluginError: if a layer names a component that does not exist.
    """
    layers = host.registry.option_layers(component.plugin, component.spec.name)
    if preset is not None:
        by_name = {p.name: p for p in component.spec.presets}
        if preset not in by_name:
            owners = [
                c.spec.name
                for c in host.components(component.kind)
                if any(p.name == preset for p in c.spec.presets)
            ]
            known = suggest(preset, by_name) if by_name else " (it has none)"
            if owners:
                known = f": it belongs to {' and '.join(dict.fromkeys(owners))}; name that one"
            raise ConfigError(f"{component.spec.name} has no preset '{preset}'{known}")
        layers.append(Layer(f"preset {preset}", by_name[preset].options))
    for layer in layers:
        check_options(component, host, layer)
    return layers


def layered_options(
    component: Component, host: PluginHost, preset: str | None, *layers: Mapping[str, Any]
) -> dict[str, Any]:
    """Merge a component's options: registry < preset < the given layers. See ``option_layers`` for what it raises."""
    below = (layer.values for layer in option_layers(component, host, preset))
    return merge(named_defaults(component.spec.config), *below, *layers)


def check_options(component: Component, host: PluginHost, layer: Layer) -> None:
    """Check what one layer says about a component, and about every component that it names there.

    Raises:
        ConfigError: for the first wrong value or unknown key, with its place.
        PluginError: if a named component does not exist.
    """
    check_layer(component.spec.config, layer, where=f"{component.kind} {component.spec.name}")
    for path, reference in references_in(component.spec.config, layer.values):
        # A default that nobody touched is not this layer's.
        if layer.says(path) and not find_trained(host, reference.kind, reference.name):
            try:
                named = host.find(reference.kind, reference.name)
            except PluginError as error:
                raise PluginError(f"{layer.place((*path, 'name'))}: {error}") from None
            check_options(named, host, layer.inside(*path, "options"))


def resolve_config(component: Component, host: PluginHost, values: Mapping[str, Any]) -> BaseModel:
    """Check merged options of a component and of every component that it names.

    Raises:
        ConfigError: for the first wrong value.
        PluginError: if a named component does not exist.
    """
    where = f"{component.kind} {component.spec.name}"
    config = build_config(component.spec.config, values, where=where)
    for _, reference in references_in(type(config), dict(config)):
        if trained := find_trained(host, reference.kind, reference.name):
            build_config(Config, reference.options, where=str(trained))
            continue
        named = host.find(reference.kind, reference.name)
        resolve_config(named, host, layered_options(named, host, None, reference.options))
    return config


def resolved_options(component: Component, host: PluginHost, config: BaseModel) -> dict[str, Any]:
    """List every option of a component, and of the components that it names, as the values that are in force.

    The same options given again make the same component, whatever a registry says by then.
    """
    values: dict[str, Any] = config.model_dump(mode="json")
    for path, reference in references_in(type(config), dict(config)):
        if find_trained(host, reference.kind, reference.name):
            continue
        named = host.find(reference.kind, reference.name)
        options = resolve_config(named, host, layered_options(named, host, None, reference.options))
        table: Any = values
        for key in path:
            table = table[key]
        table["options"] = resolved_options(named, host, options)
    return values


def component_table(component: Component, host: PluginHost, config: BaseModel) -> dict[str, Any]:
    """Give a component with every option in force, as ``config.toml`` records it: ``{name, options}``.

    The name says the plugin too, so that nobody who offers the same name later gets into the way.
    """
    name = f"{component.plugin}:{component.spec.name}"
    return {"name": name, "options": resolved_options(component, host, config)}


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
    host = default_host()
    if trained := find_trained(host, "feature-encoder", name):
        build_config(Config, options, where=str(trained))
        return load_trained(trained, host).to(device)
    encoder: FeatureEncoder = build(host, "feature-encoder", name, options)
    return encoder.to(device).eval()


def load_trained(trained: Trained, host: PluginHost) -> FeatureEncoder:
    """Build a trained encoder: of a run, a file or a model of the registry; on the CPU, in evaluation mode.

    Raises:
        DataError: if its weights are not to be had.
    """
    from chimera_core.models.exported_encoder import load_exported_encoder
    from chimera_core.models.run_encoder import load_trained_encoder

    if trained.form == "run" and trained.path is not None:
        return load_trained_encoder(trained.path, host)
    return load_exported_encoder(trained.path or model_file(host, trained.name), host)


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
    fuser: FusionGenerator = build(default_host(), "fusion-generator", name, options, device=device)
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
    source: DatasetSource = build(default_host(), "dataset-source", name, options)
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
    from chimera_core.downloads.assets import asset_path

    host = default_host()
    if name not in host.registry.assets:
        raise ConfigError(f"the registry has no asset '{name}'" + suggest(name, host.registry.assets))
    return asset_path(host.registry.assets[name], host.settings.path("assets"), progress=progress)


def default_data_root(name: str) -> Path:
    """Name the folder where a data set is looked for, and downloaded to, when the user names none.

    It lies in the folder of assets (``CHIMERA_ASSETS``) and need not exist.

    Args:
        name: of the data set, such as ``mnist``.
    """
    return default_host().settings.path("assets") / name


def build(host: PluginHost, kind: str, name: str, options: Mapping[str, Any], **more: Any) -> Any:
    """Make a component from its name and options; see ``load_encoder`` for what it raises.

    Args:
        host: where it is found.
        kind: of component.
        name: of the component.
        options: the user's.
        more: keywords for its constructor (``device``).
    """
    component = host.find(kind, name)
    config = resolve_config(component, host, layered_options(component, host, None, options))
    return component.load_class()(config, **more)


def look_up_options(host: PluginHost) -> Callable[[str, str], tuple[type[BaseModel], list[Layer]]]:
    """Give ``flags_of`` its look-up of options, and of what the registry says about them, by kind and name."""

    def look_up(kind: str, name: str) -> tuple[type[BaseModel], list[Layer]]:
        if find_trained(host, kind, name):
            return Config, []  # it has no options: it was trained with them
        component = host.find(kind, name)
        return component.spec.config, option_layers(component, host, None)

    return look_up
