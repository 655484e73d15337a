"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import ComponentSpec, hookimpl
from chimera_gan.config import GanConfig
from chimera_gan.presets import PRESETS

CHIMERA_API = 1


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer ``gan``."""
    return [
        ComponentSpec(
            name="gan",
            summary="a generator trained against a critic; parents are its conditions, and fusing mixes them",
            target="chimera_gan.gan_fuser:GanFuser",
            config=GanConfig,
            presets=PRESETS,
        )
    ]
