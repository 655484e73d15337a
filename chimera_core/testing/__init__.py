"""For the tests of plugins: small data sets in their true layouts, written out of given or drawn images.

Names resolve on first use, so importing this costs nothing::

    from chimera_core.testing import write_celeba

    root = write_celeba(tmp_path, count=20)
    source = open_source("celeba", root=str(root))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chimera_core.testing.fixtures.celeba import write_celeba
    from chimera_core.testing.fixtures.flickr_dog import write_flickr_dog
    from chimera_core.testing.fixtures.inaturalist import write_inaturalist
    from chimera_core.testing.fixtures.iwildcam import write_iwildcam
    from chimera_core.testing.fixtures.lhi import write_lhi
    from chimera_core.testing.fixtures.mnist import write_mnist
    from chimera_core.testing.fixtures.shapes import draw_shape

_LAZY = {
    "draw_shape": "chimera_core.testing.fixtures.shapes",
    "write_celeba": "chimera_core.testing.fixtures.celeba",
    "write_flickr_dog": "chimera_core.testing.fixtures.flickr_dog",
    "write_inaturalist": "chimera_core.testing.fixtures.inaturalist",
    "write_iwildcam": "chimera_core.testing.fixtures.iwildcam",
    "write_lhi": "chimera_core.testing.fixtures.lhi",
    "write_mnist": "chimera_core.testing.fixtures.mnist",
}

__all__ = [
    "draw_shape",
    "write_celeba",
    "write_flickr_dog",
    "write_inaturalist",
    "write_iwildcam",
    "write_lhi",
    "write_mnist",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
