"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, hookimpl
from chimera_inaturalist.config import InaturalistConfig

CHIMERA_API = 1
LICENCE = "mixed: see attribution.csv"
HOME_PAGE = "https://www.inaturalist.org"


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer ``inaturalist``."""
    return [
        ComponentSpec(
            name="inaturalist",
            summary="photographs of animals of your choice, under free licences; can be downloaded",
            target="chimera_inaturalist.source:InaturalistSource",
            config=InaturalistConfig,
            licence=LICENCE,
            home_page=HOME_PAGE,
            check=CheckSetup(prepare="chimera_inaturalist.checking:prepare"),
        )
    ]
