"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_celeba.config import CelebaConfig
from chimera_core.api import CheckSetup, ComponentSpec, hookimpl

CHIMERA_API = 1
LICENCE = "non-commercial research only (CelebA agreement)"
HOME_PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer ``celeba``."""
    return [
        ComponentSpec(
            name="celeba",
            summary="200,000 aligned faces with 40 attributes; got by hand",
            target="chimera_celeba.source:CelebaSource",
            config=CelebaConfig,
            licence=LICENCE,
            home_page=HOME_PAGE,
            check=CheckSetup(prepare="chimera_celeba.checking:prepare"),
        )
    ]
