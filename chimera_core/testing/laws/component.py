"""The laws of one component of an installed plugin, built with the options that its plugin says to try it with."""

from __future__ import annotations

import importlib
import inspect
import tempfile
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chimera_core.components.choice import Choice, choose
from chimera_core.errors import ConfigError, PluginError
from chimera_core.files.atomic import one_line
from chimera_core.interfaces.additions import AdversarialAttack
from chimera_core.interfaces.components import FusionGenerator
from chimera_core.interfaces.learner import FuserData, FuserLearner, TrainedFacts
from chimera_core.laws import Law, SetupError, declare
from chimera_core.options.config import suggest
from chimera_core.plugins.discovery import Component, PluginHost, default_host
from chimera_core.plugins.hookspecs import KINDS
from chimera_core.plugins.load_errors import TargetError
from chimera_core.records import Parent
from chimera_core.testing.laws.additions import EPS, check_attack, check_augmentation, check_metric
from chimera_core.testing.laws.encoder import check_encoder
from chimera_core.testing.laws.fuser import check_fuser
from chimera_core.testing.laws.learner import check_learner
from chimera_core.testing.laws.randomness import GlobalState
from chimera_core.testing.laws.reader import check_reader
from chimera_core.testing.laws.source import check_source
from chimera_core.testing.laws.trainer import check_trainer
from chimera_core.testing.pictures import draw_parents, read_parents
from chimera_core.testing.training_data import CLASSES, draw_fuser_data


def check_component(name: str, *, kind: str = "") -> list[Law]:
    """List the laws of a component of an installed plugin, to be tried one by one as its spec's ``check`` says.

    Args:
        name: of the component, or ``plugin:name``.
        kind: of the component, such as ``fusion-generator``; empty where no other kind has the name.
    Raises:
        PluginError: if it is not installed, or its class cannot be loaded.
        ConfigError: if a failure is declared of no law.
    """
    host = default_host()
    kinds = [k for k in ([kind] if kind else KINDS) if host.has(k, name)]
    if not kinds:
        known = suggest(name, {component.spec.name for component in host.components(kind or None)})
        raise PluginError(
            f"no component is named '{name}'{known}: install its package first, with pip install ."
        )
    return laws_of_component(host.find(kinds[0], name), host)


def laws_of_component(component: Component, host: PluginHost) -> list[Law]:
    """List the laws of a component; nothing is built before the first one is tried.

    Args:
        component: whose ``spec.check`` says how it is tried.
        host: where the components are found that its options name.
    Raises:
        PluginError: if its class cannot be loaded.
        ConfigError: if a failure is declared of no law.
    """
    if component.kind not in _LAWS_OF_KIND:
        return []
    try:
        component.load_class()
    except TargetError as error:
        raise SetupError(error.for_author) from error
    laws = _LAWS_OF_KIND[component.kind](_Built(component, host))
    return declare(laws, component.spec.check.expected_failures)


class _Built:
    """A component's choice of options, prepared once."""

    def __init__(self, component: Component, host: PluginHost) -> None:
        self.component, self.setup = component, component.spec.check
        self._host = host
        self._prepared: Mapping[str, Any] | None = None

    def choice(self) -> Choice:
        """Choose its options: those of its check, and over them what it prepares."""
        if self._prepared is None:
            self._folder = tempfile.TemporaryDirectory(prefix="chimera-check-")  # it goes with this object
            self.prepare_in(Path(self._folder.name))
        options = {**self.setup.options, **(self._prepared or {})}
        try:
            return choose(self._host, self.component.kind, self.component, options)
        except ConfigError as error:
            raise SetupError(
                f"{one_line(error, limit=200)}; give it in the spec, by CheckSetup(options=...) or by what its prepare "
                "returns"
            ) from error

    def load(self, **more: Any) -> Any:
        return self.choice().load(**more)

    def prepare_in(self, folder: Path) -> None:
        """Let its plugin write what it is tried on into an empty folder; what that gives are options."""
        if not self.setup.prepare:
            self._prepared = {}
            return
        what = f"prepare={self.setup.prepare!r}"
        module_name, _, name = self.setup.prepare.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ImportError as error:
            raise SetupError(
                f"{what}: {one_line(error, limit=200)}; write 'package.module:function'"
            ) from error
        function = getattr(module, name, None) if name else None
        if not callable(function):
            known = [key for key, value in vars(module).items() if inspect.isfunction(value)]
            raise SetupError(
                f"{what}: {module_name} has no function {name!r}{suggest(name, known)}; write 'package.module:function'"
            )
        prepared = function(folder) or {}  # a reader's only writes files
        if not isinstance(prepared, Mapping):
            raise SetupError(
                f"{what} gave {type(prepared).__name__}; return a table of options: {{'root': str(folder)}}"
            )
        self._prepared = prepared

    def learner(self, data: FuserData) -> FuserLearner:
        choice = self.choice()
        fuser: type[FusionGenerator] = choice.component.load_class()
        return fuser.learner(choice.config, data, device="cpu")

    def loaded(self, state: Mapping[str, Tensor], facts: TrainedFacts) -> FusionGenerator:
        fuser: FusionGenerator = self.load(device=torch.device("cpu"))
        fuser.load({name: t.clone() for name, t in state.items()}, facts)
        return fuser


def _fuser_laws(built: _Built) -> list[Law]:
    fuser: type[FusionGenerator] = built.component.load_class()
    sized: dict[str, Any] = {"size": built.setup.size} if built.setup.size else {}
    if not fuser.needs_training:
        given = built.setup.parents
        photographs = partial(read_parents, given) if given else None
        return check_fuser(lambda: built.load(device="cpu"), parents=photographs, **sized)

    def data() -> FuserData:
        return draw_fuser_data(**sized)

    @cache
    def learned() -> tuple[Mapping[str, Tensor], TrainedFacts]:
        before, known = GlobalState(), data()
        learner = built.learner(known)
        before.restore()  # a learner may move them, and the fuser is watched
        return learner.state(), TrainedFacts(known.classes, known.size, learner.facts())

    def parents() -> list[Parent]:
        accepts = built.load(device="cpu").accepts
        return (
            [Parent(c, class_name=c) for c in CLASSES] if "class" in accepts else draw_parents(2, masks=False)
        )

    of_learner = check_learner(built.learner, load=built.loaded, parents=parents, data=data)
    return [*of_learner, *check_fuser(lambda: built.loaded(*learned()), parents=parents, **sized)]


def _source_laws(built: _Built) -> list[Law]:
    return check_source(built.load)


def _encoder_laws(built: _Built) -> list[Law]:
    sized: dict[str, Any] = {"size": built.setup.size} if built.setup.size else {}
    return check_encoder(built.load, **sized)


def _trainer_laws(built: _Built) -> list[Law]:
    return check_trainer(built.load)


def _attack_laws(built: _Built) -> list[Law]:
    kind: type[AdversarialAttack] = built.component.load_class()
    norm = "linf" if "linf" in kind.norms else "l2"
    return check_attack(lambda: built.load(eps=EPS, norm=norm))


def _reader_laws(built: _Built) -> list[Law]:
    suffixes = built.component.spec.suffixes
    if not built.setup.prepare:
        raise PluginError("its spec does not say what writes pictures to read: check=CheckSetup(prepare=...)")
    return check_reader(built.load, write=built.prepare_in, suffixes=suffixes)


_LAWS_OF_KIND: Mapping[str, Callable[[_Built], list[Law]]] = {
    "fusion-generator": _fuser_laws,
    "dataset-source": _source_laws,
    "feature-encoder": _encoder_laws,
    "robustness-trainer": _trainer_laws,
    "attack": _attack_laws,
    "augmentation": lambda built: check_augmentation(built.load),
    "metric": lambda built: check_metric(built.load),
    "image-reader": _reader_laws,
}
