"""Fusers by name: what was trained under it (a run, an exported file, a model of the registry), or else a component.

Torch-free until one is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from chimera_core.components.choice import Choice, choose, find_made_by, resolve_config, with_plugins
from chimera_core.components.trained import SUFFIX, Trained, check_references, find_trained, model_file
from chimera_core.downloads.assets import no_downloads
from chimera_core.errors import ChimeraError, ConfigError, DataError
from chimera_core.files.atomic import one_line, quote
from chimera_core.files.hashing import hash_unchanged
from chimera_core.files.names import nfc, spelled_in
from chimera_core.files.own_folders import inside
from chimera_core.files.weights import load_state, to_float32
from chimera_core.models.header import ExportedFuser, read_header, read_notes
from chimera_core.models.run_options import FUSER, read_options
from chimera_core.options.layers import build_config, merge
from chimera_core.options.training import FuserTraining
from chimera_core.plugins.discovery import Component, PluginHost

if TYPE_CHECKING:
    import torch

    from chimera_core.interfaces.components import FusionGenerator

KIND = "fusion-generator"
_WEIGHTS = "checkpoints/best.safetensors"


@dataclass(frozen=True)
class FuserChoice(Choice):
    """What the name of a fuser means. ``trained``: it was; then ``config`` lies over what it was trained with."""

    trained: TrainedFuser | None = None

    @property
    def label(self) -> str:
        """As users name it."""
        return self.trained.name if self.trained else self.component.spec.name

    def identity(self) -> dict[str, Any]:
        """Give plain values that decide what it makes: as of any component, and the encoders that it names, and weights.

        Raises:
            ChimeraError: if an encoder is gone or damaged.
        """
        from chimera_core.models.encoders import resolve_encoder  # few commands ask

        # A stranger's file may name an encoder of the hub: nothing is fetched to know what it is.
        strange = self.trained is not None and self.trained.trained.form in ("file", "hub")
        with no_downloads(str(self.trained) if strange else ""):
            named = [
                resolve_encoder(self.host, named.name, named.options).identity() for named in self.encoders
            ]
        weights = {"weights": hash_unchanged(self.trained.weights)} if self.trained else {}
        return super().identity() | {"named": named} | weights

    def load(self, **more: Any) -> FusionGenerator:
        """Build it, with its weights if it was trained; ``device`` says where it works.

        Raises:
            DataError: if its weights are damaged, made for other options, or of a fuser that learns nothing.
        """
        if self.trained is not None:
            return _load_trained(self.trained, self.config, more["device"])
        fuser: FusionGenerator = super().load(**more)
        return fuser


@dataclass(frozen=True)
class TrainedFuser:
    """A fuser that was trained: where its weights lie, and what it says of itself."""

    trained: Trained
    component: Component
    header: ExportedFuser
    weights: Path

    def __str__(self) -> str:
        return str(self.trained)

    @property
    def name(self) -> str:
        """As pictures and messages name it: without folders, which are private."""
        return Path(self.trained.name.partition("@")[0]).name.removesuffix(SUFFIX)

    def with_options(self, host: PluginHost, over: Mapping[str, Any] = {}) -> FuserChoice:
        """Choose it with the options that it was trained with, some of them overlaid.

        Raises:
            ConfigError: for a wrong option, or if an encoder that it needs is gone.
        """
        values = merge(self.header.options, over)
        config = build_config(self.component.spec.config, values, where=str(self))
        check_references(host, config, where=str(self))
        return FuserChoice(self.component, resolve_config(self.component, host, values), host, self)

    def knows(self, parent: str, source: object) -> bool:
        """Say whether a parent is one of its classes. Who names a source wants an image of it instead."""
        return (
            source is None
            and "class" in self.header.accepts
            and parent in self.header.classes
            and not Path(parent).is_file()
        )

    def spelled(self, parent: str) -> str:
        """Give a parent with its accents as its class spells them; any other one as it is."""
        if "class" not in self.header.accepts or os.path.isfile(parent):
            return parent
        return spelled_in(self.header.classes, parent) or parent


def resolve_fuser(
    host: PluginHost, name: str, options: Mapping[str, Any] = {}, *, preset: str | None = None
) -> FuserChoice:
    """Say what the name of a fuser means: something trained, or else a component; for what it raises see both.

    Args:
        name: of a run, an exported file, a model or a component.
        options: over the preset; over those that it was trained with, if it was.
        preset: of a component; what was trained has none.
    """
    if trained := find_trained_fuser(host, name):
        if preset is not None:
            raise ConfigError(f"{trained} has the options that it was trained with: leave out --preset")
        return trained.with_options(host, options)
    chosen = choose(host, KIND, name, options, preset=preset)
    return FuserChoice(chosen.component, chosen.config, host)


def find_trained_fuser(host: PluginHost, name: str) -> TrainedFuser | None:
    """Look up a trained fuser: a run, an exported file, or a model of the registry.

    Returns:
        None if the name means none of them, so that it can only be a component's.
    Raises:
        ConfigError: if it is a run of another kind, or a file of it is damaged.
        DataError: if it has no weights yet, or they are damaged.
        PluginError: if its component is not installed.
        RunError: if a model could not be downloaded.
    """
    trained = find_trained(host, KIND, name)
    if trained is None:
        return None
    if trained.form == "run" and trained.path is not None:
        return fuser_of_run(trained.path, host, name=name)
    weights = trained.path or model_file(host, name)
    header = read_header(weights, ExportedFuser)
    component = find_made_by(host, KIND, header.fuser, header.distribution, where=str(trained))
    options = with_plugins(host, component.spec.config, header.options)
    return TrainedFuser(trained, component, header.model_copy(update={"options": options}), weights)


def fuser_of_run(run: Path, host: PluginHost, *, name: str = "") -> TrainedFuser:
    """Give the fuser of a run; for what it raises see ``find_trained_fuser``.

    Args:
        name: as the user typed it.
    """
    weights = inside(run, _WEIGHTS)
    header = _header_of_run(run, weights, host)
    return TrainedFuser(Trained(name or run.name, "run", run), host.find(KIND, header.fuser), header, weights)


def choose_model(host: PluginHost, parents: Sequence[str]) -> str | None:
    """Choose the first model of the registry that knows all the classes among the parents; None: there is none.

    Args:
        host: its registry knows the models, in their order.
        parents: image files and names of classes.
    """
    names = [p for p in parents if is_class_name(p)]
    for name, model in host.registry.models.items():
        knows_all = model.kind == KIND and set(map(nfc, names)) <= set(map(nfc, model.classes))
        if knows_all and (len(names) == len(parents) or "photo" in model.accepts):
            return name
    return None


def is_class_name(parent: str) -> bool:
    """Return whether a parent can only be the name of a class: no file, and nothing that looks like one."""
    path = Path(parent)
    # os.path, because a name that is too long for the disk makes Path.exists raise. A broken link is no name either.
    return len(path.parts) == 1 and not path.suffix and not os.path.lexists(path)


def _load_trained(found: TrainedFuser, config: BaseModel, device: torch.device) -> FusionGenerator:
    from chimera_core.interfaces.learner import TrainedFacts

    header, fuser_class = found.header, found.component.load_class()
    # Asked before it is built: one that learns nothing loads, or downloads, what it needs by itself.
    if not fuser_class.needs_training:  # type: ignore[attr-defined]
        raise DataError(f"{found} names the fuser {header.fuser}, which learns nothing: get the file anew")
    fuser: FusionGenerator = fuser_class(config, device=device)
    try:
        fuser.load(
            to_float32(load_state(found.weights)), TrainedFacts(header.classes, header.size, header.facts)
        )
    except DataError as error:
        raise DataError(f"{found}: {error}") from None
    except ChimeraError:
        raise
    except Exception as error:  # plugin border: a stranger's file may make it stumble over anything
        raise DataError(
            f"{found} cannot be loaded ({type(error).__name__}: {one_line(error, limit=120)}): get it anew"
        ) from error
    return fuser


def _header_of_run(run: Path, weights: Path, host: PluginHost) -> ExportedFuser:
    config, record = read_options(run, FuserTraining, FUSER, host)
    noted = read_notes(weights) if weights.is_file() else {}
    if not noted.get("images"):
        raise DataError(
            f"run {quote(run.name)} has not been trained yet (its status is {record.get('status')}): train on with "
            f"`chimera fuser train --run {run} --resume`"
        )
    try:
        return ExportedFuser(
            fuser=config.fuser.name,
            distribution=host.find(KIND, config.fuser.name).distribution,
            options=config.fuser.options,
            classes=record["classes"],
            accepts=record["accepts"],
            max_parents=record["max_parents"],
            size=config.size,
            facts=noted.get("facts") or {},
            images=noted["images"],
        )
    except (KeyError, ValidationError) as error:
        raise ConfigError(f"{quote(run / 'run.json')} is damaged ({type(error).__name__})") from None
