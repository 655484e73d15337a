"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, hookimpl
from chimera_torchvision.config import TorchvisionConfig

CHIMERA_API = 1
HOME_PAGE = "https://docs.pytorch.org/vision/stable/datasets.html"


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer ``torchvision``."""
    return [
        ComponentSpec(
            name="torchvision",
            summary="any classification data set of torchvision by name; most can be downloaded",
            target="chimera_torchvision.source:TorchvisionSource",
            config=TorchvisionConfig,
            licence="of the data set",
            home_page=HOME_PAGE,
            check=CheckSetup(prepare="chimera_torchvision.checking:prepare"),
        )
    ]
