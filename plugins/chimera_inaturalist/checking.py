"""Data on which `chimera plugins check` tries the source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core.testing import write_inaturalist


def prepare(folder: Path) -> Mapping[str, Any]:
    """Write drawn images in the source's layout."""
    return {"root": str(write_inaturalist(folder))}
