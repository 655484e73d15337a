"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import ComponentSpec, hookimpl
from chimera_morph.config import MorphConfig

CHIMERA_API = 1


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer ``feature-morph``."""
    return [
        ComponentSpec(
            name="feature-morph",
            summary="the first photograph's animal, moved toward the others in an encoder's features",
            target="chimera_morph.fuser:FeatureMorph",
            config=MorphConfig,
        )
    ]
