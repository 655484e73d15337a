"""Data on which `chimera plugins check` tries the sources."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core.testing import write_celeba, write_flickr_dog, write_lhi


def prepare(folder: Path) -> Mapping[str, Any]:
    """Write drawn faces in the layouts of all three collections."""
    write_celeba(folder, count=20)
    write_flickr_dog(folder)
    write_lhi(folder, photos=3)
    return {"root": str(folder)}
