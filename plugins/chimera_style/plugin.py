"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, Preset, hookimpl
from chimera_style.config import REPORT_STYLE, StyleConfig

CHIMERA_API = 1


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer ``style-transfer``."""
    return [
        ComponentSpec(
            name="style-transfer",
            summary="the layout of the first photograph with the coat of the others (Gatys et al. 2016)",
            target="chimera_style.fuser:StyleTransfer",
            config=StyleConfig,
            check=CheckSetup(options={"iterations": 6}, parents=("cat", "astronaut")),
            presets=(
                Preset(
                    "report-style", "VGG19 as in the second report; downloads its weights once", REPORT_STYLE
                ),
            ),
        )
    ]
