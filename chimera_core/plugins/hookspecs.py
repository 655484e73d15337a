"""The whole contract between the host and a plugin: four hooks, each returning a list of specs.

A plugin is an entry point in the group ``chimera.plugins`` whose value is a torch-free module with
``CHIMERA_API = 1`` and ``hookimpl`` functions of these names.
"""

from __future__ import annotations

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


HOOK_OF_KIND = {
    "dataset-source": "chimera_dataset_sources",
    "feature-encoder": "chimera_feature_encoders",
    "robustness-trainer": "chimera_robustness_trainers",
    "fusion-generator": "chimera_fusion_generators",
}
