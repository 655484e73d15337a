"""The whole contract between the host and a plugin: hooks, one for each kind of component, that return lists of specs.

A plugin is an entry point in the group ``chimera.plugins`` whose value is a torch-free module with
``CHIMERA_API = 1`` and ``hookimpl`` functions of these names.
"""

from __future__ import annotations

from dataclasses import dataclass

import pluggy

from chimera_core.records import ComponentSpec

ENTRY_POINT_GROUP = "chimera.plugins"
# Bumped when a plugin written for the old contract would break; a plugin states it as CHIMERA_API.
API_VERSION = 1

hookspec = pluggy.HookspecMarker("chimera")
hookimpl = pluggy.HookimplMarker("chimera")


@hookspec
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer data sets: targets are subclasses of ``DatasetSource``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def chimera_feature_encoders() -> list[ComponentSpec]:
    """Offer networks that see: targets are subclasses of ``FeatureEncoder``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def chimera_robustness_trainers() -> list[ComponentSpec]:
    """Offer ways to train an encoder: targets are subclasses of ``RobustnessTrainer``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer makers of chimeras: targets are subclasses of ``FusionGenerator``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def chimera_attacks() -> list[ComponentSpec]:
    """Offer attacks for `chimera encoder evaluate --attack`: targets are subclasses of ``AdversarialAttack``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def chimera_augmentations() -> list[ComponentSpec]:
    """Offer augmentations for `chimera encoder train --augment`: targets are subclasses of ``BatchAugmentation``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def chimera_metrics() -> list[ComponentSpec]:
    """Offer figures of creatures for `chimera score --metric`: targets are subclasses of ``CreatureMetric``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def chimera_run_loggers() -> list[ComponentSpec]:
    """Offer places where trainings log for `--log`: targets are subclasses of ``RunLogger``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def chimera_outline_finders() -> list[ComponentSpec]:
    """Offer ways to find the animal of a photograph for `--outline`: targets are subclasses of ``OutlineFinder``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def chimera_image_readers() -> list[ComponentSpec]:
    """Offer formats of image files: ``suffixes`` says which, targets are subclasses of ``ImageReader``."""
    raise AssertionError("a hook specification is never called")


@hookspec
def chimera_commands() -> list[ComponentSpec]:
    """Offer commands for `chimera x NAME`: targets are commands of click; their config has no fields."""
    raise AssertionError("a hook specification is never called")


@dataclass(frozen=True)
class Kind:
    """A kind of component: the hook that offers it, and the class that its targets are subclasses of."""

    hook: str
    interface: str

    @property
    def is_addition(self) -> bool:
        """Whether it is named beside others, ``--metric a --metric b``: its options then come from a registry alone."""
        return self.interface.startswith("chimera_core.interfaces.additions:")


KINDS = {
    "dataset-source": Kind("chimera_dataset_sources", "chimera_core.interfaces.components:DatasetSource"),
    "feature-encoder": Kind("chimera_feature_encoders", "chimera_core.interfaces.components:FeatureEncoder"),
    "robustness-trainer": Kind(
        "chimera_robustness_trainers", "chimera_core.interfaces.components:RobustnessTrainer"
    ),
    "fusion-generator": Kind(
        "chimera_fusion_generators", "chimera_core.interfaces.components:FusionGenerator"
    ),
    "attack": Kind("chimera_attacks", "chimera_core.interfaces.additions:AdversarialAttack"),
    "augmentation": Kind("chimera_augmentations", "chimera_core.interfaces.additions:BatchAugmentation"),
    "metric": Kind("chimera_metrics", "chimera_core.interfaces.additions:CreatureMetric"),
    "run-logger": Kind("chimera_run_loggers", "chimera_core.interfaces.additions:RunLogger"),
    "outline-finder": Kind("chimera_outline_finders", "chimera_core.interfaces.additions:OutlineFinder"),
    "image-reader": Kind("chimera_image_readers", "chimera_core.interfaces.additions:ImageReader"),
    "command": Kind("chimera_commands", "click:Command"),
}
"""Every kind of component. Of commands the target is one itself, not a class of them."""
