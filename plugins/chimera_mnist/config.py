"""Options of the ``mnist`` source. Torch-free."""

from __future__ import annotations

from chimera_core.api import Config, option


class MnistConfig(Config):
    """Where the files lie."""

    root: str = option(
        "", help="the folder that holds MNIST/raw, as torchvision lays it out; empty: mnist among the assets"
    )
