"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import ComponentSpec, hookimpl
from chimera_timm.config import InceptionConfig, TimmConfig

CHIMERA_API = 1


@hookimpl
def chimera_feature_encoders() -> list[ComponentSpec]:
    """Offer ``timm`` and FID's Inception."""
    return [
        ComponentSpec(
            name="timm",
            summary="any timm model; EfficientNet-Lite0 with ImageNet weights works offline",
            target="chimera_timm.encoder:TimmEncoder",
            config=TimmConfig,
        ),
        ComponentSpec(
            name="inception-2015-12-05",
            summary="the Inception network by which FID and KID are defined: a judge (96 MB, downloaded on first use)",
            target="chimera_timm.inception:InceptionEncoder",
            config=InceptionConfig,
        ),
    ]
