"""Options and presets of the ``cnn`` encoder. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from chimera_core.api import Config, Preset, option

# The statistics of ImageNet's training images.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class CnnConfig(Config):
    """Which network, how large, and where its weights come from. The defaults are ``small-64``."""

    blocks: Literal["residual", "plain"] = option(
        "residual",
        help="residual blocks and average pooling, or the reports' convolution, norm, pooling, and flatten",
    )
    widths: tuple[int, ...] = option((32, 64, 128, 256), help="channels of each level")
    depth: int = option(2, help="residual blocks at each level", ge=1, le=32)
    hidden: int = option(1024, help="width of the hidden linear layer (plain)", ge=1)
    dropout: float = option(0.0, help="dropout probability before the classifier", ge=0, lt=1)
    classes: int = option(20, help="number of classes; training takes it from the source", ge=2)
    size: int = option(64, help="input size in pixels; plain networks accept no other", ge=8, le=1024)
    mean: tuple[float, ...] = option(IMAGENET_MEAN, help="subtracted from red, green and blue")
    std: tuple[float, ...] = option(IMAGENET_STD, help="divides red, green and blue after that")
    seed: int = option(0, help="random seed of the initial weights", ge=0)
    weights: str | None = option(None, help="a .safetensors file of weights")

    @model_validator(mode="after")
    def _check(self) -> CnnConfig:
        if not self.widths or any(width < 1 for width in self.widths):
            raise ValueError("widths must be one positive number of channels for each level")
        if len(self.mean) != 3 or len(self.std) != 3 or any(value <= 0 for value in self.std):
            raise ValueError("mean and std must be three numbers each, those of std positive")
        if self.blocks == "plain" and self.size < 2 ** len(self.widths):
            raise ValueError(
                f"{len(self.widths)} levels halve the image as often, so size must be at least "
                f"{2 ** len(self.widths)}"
            )
        return self


_REPORT = {
    "blocks": "plain",
    "widths": (64, 128, 256),
    "hidden": 1024,
    "classes": 182,
    "size": 448,
    # Unstated; those of torchvision's tutorials, since the report says of its second attempt that it took others.
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
}
# docs/results/encoders.md has what it reaches, and by what it was chosen.
_SMALL_64 = {
    "size": 64,
    "batch": 128,
    "augment": "crop-flip",
    "mix": "cutmix",
    "label_smoothing": 0.1,
    "optimizer": "adamw",
    "lr": 0.002,
    "weight_decay": 0.05,
    "schedule": "one-cycle",
    "ema": 0.998,
}
PRESETS = (
    Preset("report", "the first report's network, at 448 px with 823 million parameters", _REPORT),
    Preset(
        "report-enhanced",
        "its second attempt: a fourth convolution and dropout",
        {
            **_REPORT,
            # Unstated: the width of the fourth convolution, whether pooling follows it as the others, the rate.
            "widths": (64, 128, 256, 512),
            "dropout": 0.5,
            # Gao et al. 2023, github.com/i-gao/targeted-augs, examples/data_augmentation/transforms.py: iWildCam is
            # normalised with ImageNet's constants.
            "mean": IMAGENET_MEAN,
            "std": IMAGENET_STD,
        },
    ),
    Preset(
        "small-64", "ours: a small residual network for 64 px, trained in minutes on a CPU", {}, _SMALL_64
    ),
)
