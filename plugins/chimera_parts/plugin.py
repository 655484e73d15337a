"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, hookimpl
from chimera_parts.config import PartsConfig

CHIMERA_API = 1

# The animals of drawings have no heads that its networks know; these pictures come with scikit-image.
_PARENTS = ("astronaut", "cat")


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer ``parts``, and ``auto``, which chooses between it, portraits and coats."""
    return [
        ComponentSpec(
            name="parts",
            summary="the body of the first photograph with the head of the second, and the coat of a third",
            target="chimera_parts.fuser:Parts",
            config=PartsConfig,
            check=CheckSetup(parents=_PARENTS, size=64),
        ),
        ComponentSpec(
            name="auto",
            summary="the fuser of photographs that suits what they hold: portrait, parts, else coats by style-transfer",
            target="chimera_parts.auto:Auto",
            config=PartsConfig,
            check=CheckSetup(parents=_PARENTS, size=64),
        ),
    ]
