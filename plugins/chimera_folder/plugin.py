"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, hookimpl
from chimera_folder.config import FolderConfig

CHIMERA_API = 1


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer ``folder``."""
    return [
        ComponentSpec(
            name="folder",
            summary="a folder of images: flat, by class, by split and class, or by domain and class",
            target="chimera_folder.source:FolderSource",
            config=FolderConfig,
            check=CheckSetup(prepare="chimera_folder.checking:prepare"),
        )
    ]
