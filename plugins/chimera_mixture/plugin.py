"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, hookimpl
from chimera_mixture.config import MixtureConfig

CHIMERA_API = 1


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer ``mixture``."""
    return [
        ComponentSpec(
            name="mixture",
            summary="any sources mixed into one with named classes, their eyes in one place if wanted",
            target="chimera_mixture.source:MixtureSource",
            config=MixtureConfig,
            licence="those of its members",
            check=CheckSetup(prepare="chimera_mixture.checking:prepare"),
        )
    ]
