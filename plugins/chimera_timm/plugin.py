"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import ComponentSpec, hookimpl
from chimera_timm.config import TimmConfig

CHIMERA_API = 1


@hookimpl
def chimera_feature_encoders() -> list[ComponentSpec]:
    """Offer ``timm``."""
    return [
        ComponentSpec(
            name="timm",
            summary="any timm model; EfficientNet-Lite0 with ImageNet weights works offline",
            target="chimera_timm.encoder:TimmEncoder",
            config=TimmConfig,
        )
    ]
