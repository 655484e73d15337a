"""A component of a plugin with its options, checked: default < registry < preset < what a user says.

A component that its options name may be a trained one, which has no options of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from chimera_core.components.trained import find_trained
from chimera_core.errors import ConfigError, PluginError
from chimera_core.files.atomic import one_line
from chimera_core.options.config import ComponentRef, Config, suggest
from chimera_core.options.layers import (
    Layer,
    build_config,
    check_layer,
    merge,
    named_defaults,
    put_at,
    references_in,
)
from chimera_core.plugins.discovery import Component, PluginHost
from chimera_core.plugins.entries import is_distribution


@dataclass(frozen=True)
class Choice:
    """A component of a plugin, and its options in force.

    ``models/`` gives the same of what was trained in its place: ``EncoderChoice``, ``FuserChoice``.
    """

    component: Component
    config: BaseModel
    host: PluginHost = field(repr=False)

    @property
    def name(self) -> str:
        """Its name with the plugin's, so that nobody who offers the same name later gets into the way."""
        return self.component.full_name

    @property
    def label(self) -> str:
        """As tables name it: by the model that its options say, if they do."""
        return str(getattr(self.config, "model", self.component.spec.name))

    def as_table(self) -> dict[str, Any]:
        """Give it with every option in force, as ``config.toml`` records it: ``{name, options}``.

        The options of the components that it names are among them: the same table makes the same component again,
        whatever a registry says by then.
        """
        options: dict[str, Any] = self.config.model_dump(mode="json")
        for path, reference in references_in(type(self.config), dict(self.config)):
            if find_trained(self.host, reference.kind, reference.name):
                continue
            table: Any = options
            for key in path:
                table = table[key]
            table |= choose(self.host, reference.kind, reference.name, reference.options).as_table()
        return {"name": self.name, "options": options}

    @property
    def encoders(self) -> list[ComponentRef]:
        """The encoders in its options."""
        named = references_in(type(self.config), dict(self.config))
        return [reference for _, reference in named if reference.kind == "feature-encoder"]

    def identity(self) -> dict[str, Any]:
        """Give plain values that decide what it does: options in force, and code."""
        from chimera_core.components.source_closure import code_of, module_of  # few commands ask

        finder = self._outline_finder()
        return {
            "component": self.as_table(),
            "code": code_of(self.host, module_of(self.component)),
            **({"outline": finder.identity()} if finder else {}),
        }

    def _outline_finder(self) -> Choice | None:
        """Choose the finder of a plugin that the option ``outline`` names in place of a way of ours."""
        name = getattr(self.config, "outline", None)
        is_one = isinstance(name, str) and self.host.has("outline-finder", name)
        return choose(self.host, "outline-finder", str(name)) if is_one else None

    def load(self, **more: Any) -> Any:
        """Make it; ``more`` are keywords for its constructor: ``device`` for a fuser."""
        return self.component.load_class()(self.config, **more)


def choose(
    host: PluginHost,
    kind: str,
    name: str | Component,
    options: Mapping[str, Any] = {},
    *,
    preset: str | None = None,
) -> Choice:
    """Find a component and check its options: default < registry < preset < those given.

    Args:
        name: of the component, or the component itself.
    Raises:
        PluginError: if there is no such component, or none of those that its options name.
        ConfigError: for an unknown preset or a wrong option; one in the registry with file and line.
    """
    component = host.find(kind, name) if isinstance(name, str) else name
    values = layered_options(component, host, preset, options)
    return Choice(component, resolve_config(component, host, values), host)


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
            owners = [c.spec.name for c in owners_of_preset(host, component.kind, preset)]
            known = suggest(preset, by_name) if by_name else " (it has none)"
            if owners:
                known = f": it belongs to {' and '.join(dict.fromkeys(owners))}; name that one"
            raise ConfigError(f"{component.spec.name} has no preset '{preset}'{known}")
        layers.append(Layer(f"preset {preset}", by_name[preset].options))
    for layer in layers:
        check_options(component, host, layer)
    return layers


def owners_of_preset(host: PluginHost, kind: str, preset: str) -> list[Component]:
    """List the components that have a preset of a name."""
    return [c for c in host.components(kind) if any(p.name == preset for p in c.spec.presets)]


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
        if layer.has(path) and not find_trained(host, reference.kind, reference.name):
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
        choose(host, reference.kind, reference.name, reference.options)
    return config


def find_made_by(host: PluginHost, kind: str, name: str, distribution: str, *, where: str) -> Component:
    """Look up a component that a file names, which may have come with a package that is not here.

    Args:
        name: as ``PluginHost.find_stored`` takes it.
        distribution: that it came with, as the file notes it; empty where it does not.
        where: what the message names: ``run wolf``.
    Raises:
        PluginError: if it is not there: what to install, where that is known.
    """
    try:
        return host.find_stored(kind, name)
    except PluginError as error:
        is_here = not distribution or any(r.distribution == distribution for r in host.records)
        if is_here or not is_distribution(distribution):
            raise
        raise PluginError(
            f"{where} needs the {kind} '{one_line(name, limit=100)}', which came with {distribution}, and that is "
            f"not installed: pip install {distribution}"
        ) from error


def with_plugins(
    host: PluginHost, config: type[BaseModel], values: Mapping[str, Any], *, if_ambiguous: bool = False
) -> dict[str, Any]:
    """Name the components in plain options with their plugins, at any depth; see ``PluginHost.find_stored``.

    What was trained keeps its name, and so does what no plugin offers. Sources inside a source keep theirs while no
    other plugin offers the same, because packed data are known by them.

    Args:
        if_ambiguous: only those that several plugins offer.
    """
    named: dict[str, Any] = dict(values)
    for path, reference in references_in(config, values):
        if path[0] not in values or find_trained(host, reference.kind, reference.name):
            continue
        try:
            component = host.find_stored(reference.kind, reference.name)
        except PluginError:
            continue
        is_kept = if_ambiguous and len(host.namesakes(component)) == 1
        table: dict[str, Any] = {"name": reference.name if is_kept else component.full_name}
        if reference.options:
            table["options"] = with_plugins(
                host,
                component.spec.config,
                reference.options,
                if_ambiguous=if_ambiguous or component.kind == "dataset-source",
            )
        named = put_at(named, path, table)
    return named


def look_up_options(host: PluginHost) -> Callable[[str, str], tuple[type[BaseModel], list[Layer]]]:
    """Give ``flags_of`` its look-up of options, and of what the registry says about them, by kind and name."""

    def look_up(kind: str, name: str) -> tuple[type[BaseModel], list[Layer]]:
        if find_trained(host, kind, name):
            return Config, []  # it has no options: it was trained with them
        component = host.find(kind, name)
        return component.spec.config, option_layers(component, host, None)

    return look_up
