"""Options of the ``iwildcam`` source. Torch-free."""

from __future__ import annotations

from chimera_core.api import Config, option


class IWildCamConfig(Config):
    """Where iWildCam lies, and whether to look at one camera alone."""

    root: str = option(..., help="the folder that holds iwildcam_v2.0, or that folder itself")
    location: int | None = option(
        None, ge=0, help="only this camera, cut into train and test  [default: the official splits]"
    )
    train_share: float = option(0.8, gt=0, lt=1, help="share of a camera's images that go to train")
    split_seed: int = option(0, ge=0, le=2**31 - 1, help="which of a camera's images go to train")
