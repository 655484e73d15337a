"""Options of ``feature-morph``. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from chimera_core.api import EncoderRef, SubjectOptions, option

# With its plugin, so that a stranger who offers a "timm" too cannot get into the way.
TIMM = "timm:timm"


class MorphConfig(SubjectOptions):
    """How far and by which features the first parent's animal is moved toward the others."""

    encoder: EncoderRef = option(
        EncoderRef(name=TIMM), help="network, or run of one, in whose features the animals are compared"
    )
    budget: float = option(
        30.0,
        help="L2 budget of the pixel change at equal weights, for a 128 x 128 animal on the [0, 1] scale; it grows with the animal's side, so that the mean change of a pixel stays",
        gt=0,
        le=220,
    )
    iterations: int = option(
        50, help="optimiser steps at the coarsest scale; finer ones take half", ge=1, le=5000
    )
    views: int = option(2, help="jittered views in each step", ge=1, le=64)
    rate: float = option(
        0.03, help="optimiser's step size, in amplitudes of the Fourier coefficients", gt=0, le=1
    )
    class_weight: float = option(
        0.2, help="weight of the class loss, multiplied by the encoder's confidence", ge=0, le=1000
    )
    embedding_weight: float = option(2.0, help="weight of the embedding loss", ge=0, le=1000)
    texture_weight: float = option(
        6.0, help="weight of the loss on statistics of feature maps", ge=0, le=1000
    )
    texture_levels: tuple[int, ...] = option((1, 2, 3), help="encoder levels whose statistics are compared")
    colour_weight: float = option(5.0, help="weight of the other animals' colours", ge=0, le=1000)
    smoothness: float = option(
        1.0, help="weight of the smoothness term (differences of neighbouring pixels)", ge=0, le=1000
    )
    rotation: float = option(10.0, help="largest rotation of a view, in degrees", ge=0, le=45)
    zoom: float = option(1.15, help="largest scaling of a view, up or down", ge=1, le=2)
    shift: float = option(0.06, help="largest shift of a view, as a share of its side", ge=0, le=0.5)
    rim: float = option(
        0.015,
        help="how far the change may reach beyond the animal's outline, as a share of its size",
        ge=0,
        le=0.5,
    )
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto",
        help="precision of the encoder; auto: fp32 on a CPU, else bf16 where the device supports it",
    )

    @field_validator("texture_levels")
    @classmethod
    def _are_levels(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        if any(level < 0 for level in levels) or len(set(levels)) < len(levels):
            raise ValueError("name levels of 0 or more, each once")
        return levels
