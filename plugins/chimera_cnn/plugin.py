"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_cnn.config import PRESETS, CnnConfig
from chimera_core.api import CheckSetup, ComponentSpec, hookimpl

CHIMERA_API = 1


@hookimpl
def chimera_feature_encoders() -> list[ComponentSpec]:
    """Offer ``cnn``."""
    return [
        ComponentSpec(
            name="cnn",
            summary="a small convolutional network to train from scratch; the first report's is a preset",
            target="chimera_cnn.encoder:CnnEncoder",
            config=CnnConfig,
            presets=PRESETS,
            check=CheckSetup(options={"widths": (8, 16, 32), "classes": 5}, size=32),
        )
    ]
