"""Options of the controls: few, because a control that is tuned is none. Torch-free."""

from __future__ import annotations

from typing import Literal

from chimera_core.api import Config, option


class CopyConfig(Config):
    """A copy has no options."""


class PixelAverageConfig(Config):
    """An average has no options."""


class CollageConfig(Config):
    """A collage has no options."""


class CutAndBlendConfig(Config):
    """Where the animals are taken from."""

    subject: Literal["auto", "ellipse"] = option(
        "auto", help="find the animal in parents without mask, or take an ellipse in the middle"
    )
