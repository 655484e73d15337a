"""Options of the ``folder`` source. Torch-free."""

from __future__ import annotations

from typing import Literal

from chimera_core.api import Config, option


class FolderConfig(Config):
    """Where the images lie and how they are sorted."""

    root: str = option(..., help="the folder")
    layout: Literal["auto", "flat", "class", "split-class", "domain-class", "cyclegan"] = option(
        "auto",
        help="how the folder is sorted: images, class/images, split/class/images, domain/class/images, or trainA/images",
    )
