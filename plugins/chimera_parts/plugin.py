"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import ComponentSpec, hookimpl
from chimera_parts.config import PartsConfig

CHIMERA_API = 1


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer ``parts``, and ``auto``, which chooses between it, portraits and coats."""
    return [
        ComponentSpec(
            name="parts",
            summary="the body of the first photograph with the head of the second, and the coat of a third",
            target="chimera_parts.fuser:Parts",
            config=PartsConfig,
        ),
        ComponentSpec(
            name="auto",
            summary="the fuser of photographs that suits what they hold: portrait, parts, else coats by style-transfer",
            target="chimera_parts.auto:Auto",
            config=PartsConfig,
        ),
    ]
