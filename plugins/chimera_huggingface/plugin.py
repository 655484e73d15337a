"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, hookimpl
from chimera_huggingface.config import HuggingFaceConfig

CHIMERA_API = 1
HOME_PAGE = "https://github.com/huggingface/datasets"


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer ``huggingface``."""
    return [
        ComponentSpec(
            name="huggingface",
            summary="image-classification sets of the `datasets` library: its hub, its folders, parquet files",
            target="chimera_huggingface.source:HuggingFaceSource",
            config=HuggingFaceConfig,
            extra="hf",
            requires=("datasets", "huggingface_hub"),
            licence="of the data set",
            home_page=HOME_PAGE,
            check=CheckSetup(prepare="chimera_huggingface.checking:prepare"),
        )
    ]
