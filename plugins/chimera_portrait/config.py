"""Options of ``portrait``. Torch-free."""

from __future__ import annotations

import re

from pydantic import field_validator

from chimera_core.api import HeadOptions, option


class PortraitConfig(HeadOptions):
    """How faces become one."""

    canvas: str = option(
        "auto",
        help="whose head, ears and surroundings are kept: 1 for the first parent's, 2 for the second's, and so on; "
        "auto takes the first one's, but of a person and an animal the one's whose own eyes show less",
    )
    face: tuple[int, ...] = option(
        (), help="which face of each picture is meant, one number per parent: 1 is the largest and surest one"
    )

    @field_validator("canvas")
    @classmethod
    def _is_auto_or_number(cls, canvas: str) -> str:
        if canvas != "auto" and not re.fullmatch(r"[1-9][0-9]?", canvas):
            raise ValueError(f"write auto, or a parent's number such as 2, not {canvas}")
        return canvas

    @field_validator("face")
    @classmethod
    def _are_numbers(cls, faces: tuple[int, ...]) -> tuple[int, ...]:
        if any(number < 1 for number in faces):
            raise ValueError("faces are counted from 1, the largest and surest one")
        return faces
