"""Options of ``parts``. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from chimera_core.api import Config, option, parse_share_box


class PartsConfig(Config):
    """How a head is put on a body."""

    head_size: float = option(
        1.0, help="size of the head; 1 is about as large as the body's own was", ge=0.3, le=3
    )
    head_box: tuple[str, ...] = option(
        (),
        help="where the head is, one per parent: left,top,right,bottom as shares of the picture, or auto; "
        "a hint, not an order",
    )
    coat: Literal["auto", "none"] = option(
        "auto", help="whether weights beyond one half, and a third parent, change the body's coat"
    )

    @field_validator("head_box")
    @classmethod
    def _are_boxes(cls, boxes: tuple[str, ...]) -> tuple[str, ...]:
        for box in boxes:
            if box != "auto":
                parse_share_box(box)
        return boxes
