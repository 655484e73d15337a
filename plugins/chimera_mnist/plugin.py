"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_core.api import CheckSetup, ComponentSpec, hookimpl
from chimera_mnist.config import MnistConfig

CHIMERA_API = 1
LICENCE = "CC BY-SA 3.0"
HOME_PAGE = "http://yann.lecun.com/exdb/mnist/"


@hookimpl
def chimera_dataset_sources() -> list[ComponentSpec]:
    """Offer ``mnist``."""
    return [
        ComponentSpec(
            name="mnist",
            summary="handwritten digits, 28 x 28, 60,000 to train and 10,000 to test; can be downloaded",
            target="chimera_mnist.source:MnistSource",
            config=MnistConfig,
            licence=LICENCE,
            home_page=HOME_PAGE,
            check=CheckSetup(prepare="chimera_mnist.checking:prepare"),
        )
    ]
