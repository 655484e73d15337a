"""Options of ``style-transfer``. Torch-free."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import field_validator

from chimera_core.api import EncoderRef, SubjectOptions, option, parse_share_box

# conv1_1, conv2_1, conv3_1, conv4_1, conv5_1 (style) and conv4_2 (content) of VGG19, as torchvision numbers them.
VGG19_STYLE = ("features.0", "features.5", "features.10", "features.19", "features.28")
VGG19_CONTENT = "features.21"

# With its plugin, so that a stranger who offers a "timm" too cannot get into the way.
TIMM = "timm:timm"

REPORT_STYLE: dict[str, Any] = {
    "encoder": {
        "name": TIMM,
        "options": {
            "model": "vgg19.tv_in1k",
            "weights": "asset:vgg19",
            "taps": [*VGG19_STYLE, VGG19_CONTENT],
        },
    },
    "coat": "gram",
    "style_levels": [0, 1, 2, 3, 4],
    "content_level": 5,
}
"""The second report's first approach: VGG19 (Gatys et al. 2016). It states no more than the network; layers are
Gatys's, weights and iterations ours. Average pooling, Gatys's own choice, is ``--encoder.pool avg``."""


class StyleConfig(SubjectOptions):
    """How the coat of the other parents is put on the first one."""

    coat: Literal["auto", "patches", "gram"] = option(
        "auto",
        help="patches re-makes the body from the coat's own pixels; gram optimises pixels until an encoder's features "
        "have the coat's statistics (Gatys et al. 2016); auto takes patches where the coat's outline is sure and "
        "enough of its body in sight, and gram for portraits and where an encoder other than the default is named",
    )
    head: Literal["keep", "cover"] = option(
        "keep",
        help="keep the first parent's head, tinted a little, unless it is all head, or cover it with the coat",
    )
    encoder: EncoderRef = option(
        EncoderRef(name=TIMM), help="network in whose features gram measures coat and shape"
    )
    optimizer: Literal["lbfgs", "adam"] = option(
        "lbfgs", help="of gram: L-BFGS needs about a third of Adam's steps"
    )
    iterations: int = option(
        60, help="of gram: optimiser steps at each scale, fewer on those over 300 px", ge=1, le=5000
    )
    style_levels: tuple[int, ...] = option(
        (0, 1, 2, 3),
        help="of gram: encoder levels that make the coat: fine ones carry fur, deep ones markings",
    )
    content_level: int = option(2, help="of gram: encoder level that keeps the first parent's shape", ge=0)
    content_weight: float = option(
        0.2, help="of gram: how much the shape counts against the coat", ge=0, le=1000
    )
    total_variation: float = option(
        0.3, help="of gram: smoothness, against single-pixel noise", ge=0, le=1000
    )
    colour: Literal["take", "keep"] = option(
        "take", help="take the coats' colours, or keep the first parent's"
    )
    texture_scale: float = option(
        1.25,
        help="size of the coat's markings; 1 is their size relative to the coat's own animal",
        ge=0.1,
        le=10,
    )
    style_crop: tuple[str, ...] = option(
        (),
        help="part of each coat's photograph to use: left,top,right,bottom as shares of it, e.g. .2,.1,.8,.6",
    )

    @field_validator("style_crop")
    @classmethod
    def _are_boxes(cls, crops: tuple[str, ...]) -> tuple[str, ...]:
        for crop in crops:
            parse_share_box(crop)
        return crops

    @field_validator("style_levels")
    @classmethod
    def _has_levels(cls, levels: tuple[int, ...]) -> tuple[int, ...]:
        if not levels or min(levels) < 0:
            raise ValueError("name one level or more, none negative")
        return levels
