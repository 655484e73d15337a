"""Options of the tiny components."""

from __future__ import annotations

from chimera_core.api import Config, EncoderRef, option


class MeanImageConfig(Config):
    """Options of ``mean-image``. ``seed`` has a name that a training has too, so it is ``--fuser.seed`` there."""

    lr: float = option(0.05, help="learning rate", gt=0)
    noise: float = option(0.02, help="spread of its samples around the mean", ge=0, le=1)
    tables: int = option(1, help="how many means are kept, and averaged", ge=1, le=8)
    photos: bool = option(False, help="take photographs as parents too")
    seed: int = option(0, help="of the first means", ge=0)
    encoder: EncoderRef | None = option(None, help="an encoder that it names, and never asks")
