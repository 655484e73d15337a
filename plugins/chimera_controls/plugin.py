"""What this plugin offers. Torch-free."""

from __future__ import annotations

from chimera_controls.config import (
    CollageConfig,
    CopyConfig,
    CutAndBlendConfig,
    PixelAverageConfig,
)
from chimera_core.api import CheckSetup, ComponentSpec, hookimpl

CHIMERA_API = 1


@hookimpl
def chimera_fusion_generators() -> list[ComponentSpec]:
    """Offer the four controls of every comparison."""
    return [
        ComponentSpec(
            name="copy",
            summary="control: the heaviest parent as it is",
            target="chimera_controls.fusers:Copy",
            config=CopyConfig,
            is_control=True,
            check=CheckSetup(expected_failures={"smooth-way": "it shows the heaviest parent, and no other"}),
        ),
        ComponentSpec(
            name="pixel-average",
            summary="control: the parents' pixels, averaged by their weights",
            target="chimera_controls.fusers:PixelAverage",
            config=PixelAverageConfig,
            is_control=True,
        ),
        ComponentSpec(
            name="collage",
            summary="control: the parents side by side, each as wide as its weight",
            target="chimera_controls.fusers:Collage",
            config=CollageConfig,
            is_control=True,
        ),
        ComponentSpec(
            name="cut-and-blend",
            summary="control: the animals laid over each other, cut, and joined without a seam (Burt and Adelson 1983)",
            target="chimera_controls.cut_and_blend:CutAndBlend",
            config=CutAndBlendConfig,
            is_control=True,
            check=CheckSetup(options={"subject": "ellipse"}),
        ),
    ]
