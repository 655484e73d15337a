"""Chimera: fuse animals in images without diffusion models.

The Python face of the commands, torch-free to import::

    import chimera_core

    creature = chimera_core.fuse(["lion.jpg", "zebra.jpg"], weights=[0.5, 0.5], seed=3)
    creature.save("creature.png")

    encoder = chimera_core.load_encoder("timm", model="tf_efficientnet_lite0")
    source = chimera_core.open_source("folder", root="my/pictures")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chimera_core.lazy_names import import_name

__version__ = "0.1.0"

if TYPE_CHECKING:
    from chimera_core.components.by_name import open_source
    from chimera_core.fusing.fusion import FusionResult, fuse
    from chimera_core.models.encoders import load_encoder
    from chimera_core.studio.notebook import open_studio

__all__ = ["FusionResult", "__version__", "fuse", "load_encoder", "open_source", "open_studio"]


def __getattr__(name: str) -> Any:
    return import_name(__name__, name)
