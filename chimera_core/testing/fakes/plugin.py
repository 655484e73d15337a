"""The tiny components as a plugin; a test gives it an entry point."""

from __future__ import annotations

from chimera_core.api import ComponentSpec, Preset, hookimpl
from chimera_core.testing.fakes.config import BrightnessConfig, FaultyConfig, MeanImageConfig, MiddleConfig

CHIMERA_API = 1


@hookimpl
def chimera_metrics() -> list[ComponentSpec]:
    """Offer a figure that anyone can check by eye."""
    return [
        ComponentSpec(
            "brightness",
            "mean of the pixels, against that of the parents",
            "chimera_core.testing.fakes.brightness:Brightness",
            BrightnessConfig,
        )
    ]


@hookimpl
def chimera_outline_finders() -> list[ComponentSpec]:
    """Offer a finder that needs no network."""
    return [
        ComponentSpec(
            "middle",
            "the middle half of every picture",
            "chimera_core.testing.fakes.middle:Middle",
            MiddleConfig,
        )
    ]


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer a fuser that learns in a second, and one that misbehaves as it is told."""
    return [
        ComponentSpec(
            "mean-image",
            "learns the mean image of each class, and mixes these",
            "chimera_core.testing.fakes.mean_image:MeanImage",
            MeanImageConfig,
            presets=(
                Preset(
                    "quick",
                    "learns in ten steps",
                    {"lr": 0.2},
                    {"batch": 8, "size": 16, "images": 80, "sample_images": 80},
                ),
            ),
        ),
        ComponentSpec(
            "faulty",
            "mixes pixels, and misbehaves at odd seeds",
            "chimera_core.testing.fakes.faulty:FaultyFuser",
            FaultyConfig,
            presets=(Preset("bright", "half as bright again", {"level": 0.5}),),
        ),
    ]
