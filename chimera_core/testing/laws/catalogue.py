"""The laws of every kind of component, for listings: none of them is tried here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from chimera_core.laws import Law, laws_of
from chimera_core.plugins.loading import PluginRecord
from chimera_core.plugins.packaging import InstalledLaws
from chimera_core.testing.laws.additions import check_attack, check_augmentation, check_metric
from chimera_core.testing.laws.encoder import check_encoder
from chimera_core.testing.laws.fuser import check_fuser
from chimera_core.testing.laws.learner import check_learner
from chimera_core.testing.laws.reader import check_reader
from chimera_core.testing.laws.source import check_source
from chimera_core.testing.laws.trainer import check_trainer


def _nothing(*given: Any) -> Any:
    raise AssertionError("laws that are listed are not tried")


LAWS_OF: Mapping[str, Callable[[], list[Law]]] = {
    "plugin": lambda: laws_of(InstalledLaws(PluginRecord("", "", "", "ok"))),
    "fuser": lambda: check_fuser(_nothing),
    "learner": lambda: check_learner(_nothing),
    "source": lambda: check_source(_nothing),
    "encoder": lambda: check_encoder(_nothing),
    "trainer": lambda: check_trainer(_nothing),
    "attack": lambda: check_attack(_nothing),
    "augmentation": lambda: check_augmentation(_nothing),
    "metric": lambda: check_metric(_nothing),
    "reader": lambda: check_reader(_nothing, write=_nothing),
}
