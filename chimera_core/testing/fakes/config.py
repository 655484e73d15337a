"""Options of the tiny components."""

from __future__ import annotations

from typing import Literal

from chimera_core.api import Config, EncoderRef, option


class MeanImageConfig(Config):
    """Options of ``mean-image``. ``seed`` has a name that a training has too, so it is ``--fuser.seed`` there."""

    lr: float = option(0.05, help="learning rate", gt=0)
    noise: float = option(0.02, help="spread of its samples around the mean", ge=0, le=1)
    tables: int = option(1, help="how many means are kept, and averaged", ge=1, le=8)
    photos: bool = option(False, help="take photographs as parents too")
    seed: int = option(0, help="of the first means", ge=0)
    encoder: EncoderRef | None = option(None, help="an encoder that it names, and never asks")


class FaultyConfig(Config):
    """Options of ``faulty``."""

    failure: Literal["good", "raises", "nan", "shape", "hangs", "eats", "dies"] = option(
        "good", help="what it does at odd seeds"
    )
    level: float = option(0.0, help="brightness that is added", ge=0, le=1)
    pause_s: float = option(0.0, help="how long each creature takes", ge=0)
    diary: str = option("", help="file to which each creature that is begun adds a line")
    encoder: EncoderRef | None = option(None, help="an encoder that it names, and never asks")


class BrightnessConfig(Config):
    """It has no options."""


class MiddleConfig(Config):
    """Options of the finder that takes the middle of a picture."""

    fault: Literal["", "shape", "range"] = option("", help="misbehave so")
