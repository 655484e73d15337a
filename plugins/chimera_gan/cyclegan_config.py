"""Options of ``cyclegan``. Torch-free."""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from chimera_core.api import Config, option

CYCLEGAN_64: dict[str, Any] = {}
"""The defaults, which are made for 64 pixels."""
CYCLEGAN_64_TRAINING: dict[str, Any] = {"size": 64, "batch": 16}
"""The paper takes one image of each class per step; small images of 16 keep a CPU's cores busy."""


class CycleGanConfig(Config):
    """How two classes learn to become each other, without pairs of images."""

    first: str | None = option(None, help="first class, if the data have more than two")
    second: str | None = option(None, help="second class")
    width: int = option(16, help="channels of the translators at full resolution", ge=1, le=256)
    blocks: int = option(6, help="residual blocks of each translator", ge=1, le=32)
    critic_width: int = option(32, help="channels of the critics' first layer", ge=1, le=256)
    cycle: float = option(
        10.0,
        help="weight of the cycle-consistency loss, for pixels in [-1, 1] as in the paper",
        ge=0,
    )
    identity: float = option(
        0.5, help="weight of the identity loss on images of the target class, relative to --cycle", ge=0
    )
    still: float = option(
        0.5, help="weight of reconstructing the image without the residual blocks, relative to --cycle", ge=0
    )
    pool: int = option(50, help="size of each critic's buffer of past translations; 0: none", ge=0, le=1000)
    lr: float = option(
        2e-4, help="Adam's learning rate; constant for half of the training, then linear to 0", gt=0
    )
    ema: float = option(
        0.999,
        help="decay per step of the moving average of the translators, which is what is used",
        ge=0,
        lt=1,
    )
    bank: int = option(
        32, help="training images per class stored in the run, for class names as parents", ge=1, le=1024
    )

    @model_validator(mode="after")
    def _names_two(self) -> CycleGanConfig:
        if (self.first is None) != (self.second is None):
            raise ValueError("name both classes, --first and --second, or none")
        if self.first is not None and self.first == self.second:
            raise ValueError(f"--first and --second are both '{self.first}': name two classes")
        return self
