"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, hookimpl
from chimera_iwildcam.config import IWildCamConfig

CHIMERA_API = 1

HOME_PAGE = "https://wilds.stanford.edu/datasets/#iwildcam"
LICENCE = "CDLA-Permissive-1.0"


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer ``iwildcam``."""
    return [
        ComponentSpec(
            name="iwildcam",
            summary="iWildCam 2020 (WILDS): 182 animals in front of 323 camera traps",
            target="chimera_iwildcam.source:IWildCamSource",
            config=IWildCamConfig,
            extra="iwildcam",
            requires=("wilds",),
            licence=LICENCE,
            home_page=HOME_PAGE,
            check=CheckSetup(prepare="chimera_iwildcam.checking:prepare"),
        )
    ]
