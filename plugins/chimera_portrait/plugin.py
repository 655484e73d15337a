"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, hookimpl
from chimera_portrait.config import PortraitConfig

CHIMERA_API = 1


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer ``portrait``."""
    return [
        ComponentSpec(
            name="portrait",
            summary="faces of persons and animals become one face: shape and colours mixed, every feature from one",
            target="chimera_portrait.fuser:Portrait",
            config=PortraitConfig,
            check=CheckSetup(parents=("astronaut", "cat", "cat"), size=64),
        )
    ]
