"""Data on which `chimera plugins check` tries the source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core.testing import write_shapes


def prepare(folder: Path) -> Mapping[str, Any]:
    """Write two folders of drawn images, each of them one class."""
    roots = {name: write_shapes(folder / name) for name in ("near", "far")}
    return {"members": [f"{name}=folder,root={root}" for name, root in roots.items()]}
