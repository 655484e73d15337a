"""Options of every fuser that looks for the animal in photographs. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from chimera_core.options.config import Config, option, parse_share_box
from chimera_core.plugins.entries import KEBAB

SubjectMode = Literal["auto", "whole"]
OUTLINES = ("fine", "fast", "u2netp", "isnet")
"""Ways to find an outline without a plugin."""


class SubjectOptions(Config):
    """Which part of a photograph is the parent."""

    subject: SubjectMode = option(
        "auto", help="find the animal in parents without mask, or take the whole frame"
    )
    outline: str = option(
        "fine",
        help="how the animal is found: fine follows edges, fast takes a third of the time; u2netp (4.6 MB) and isnet "
        "(179 MB) are networks for anything that stands out, downloaded when first used; or an outline finder of a plugin",
    )

    @field_validator("outline")
    @classmethod
    def _names_a_way(cls, value: str) -> str:
        if not all(KEBAB.fullmatch(part) for part in value.split(":", 1)):
            raise ValueError(f"write one of {', '.join(OUTLINES)}, or the name of an outline finder")
        return value


class HeadOptions(Config):
    """Where the heads are, for a fuser that looks for them."""

    head_box: tuple[str, ...] = option(
        (),
        help="where the head is, one per parent: left,top,right,bottom as shares of the picture, or auto; "
        "a hint, not an order",
    )

    @field_validator("head_box")
    @classmethod
    def _are_boxes(cls, boxes: tuple[str, ...]) -> tuple[str, ...]:
        for box in boxes:
            if box != "auto":
                parse_share_box(box)
        return boxes

    def hinted_head(self, index: int) -> tuple[float, float, float, float] | None:
        """Give the box of a parent's head: left, top, right, bottom as shares of its picture; None without a hint."""
        if index >= len(self.head_box) or self.head_box[index] == "auto":
            return None
        return parse_share_box(self.head_box[index])
