"""Options of ``parts``. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from chimera_core.api import HeadOptions, option


class PartsConfig(HeadOptions):
    """How a head is put on a body."""

    head_size: float = option(
        1.0, help="size of the head; 1 is about as large as the body's own was", ge=0.3, le=3
    )
    neck: tuple[str, ...] = option(
        (),
        help="where head and body part, one per parent: x,y,x,y of both ends as shares of the picture, or auto; "
        "a hint, not an order",
    )
    harmony: float = option(
        1.0, help="how far body and head take on each other's colours; 0: each keeps its own", ge=0, le=1
    )
    coat: Literal["auto", "none"] = option(
        "auto", help="whether weights beyond one half, and a third parent, change the body's coat"
    )

    @field_validator("neck")
    @classmethod
    def _are_lines(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            if line != "auto":
                parse_line(line)
        return lines


def parse_line(text: str) -> tuple[float, float, float, float]:
    """Read ``x,y,x,y`` as shares of a picture.

    Raises:
        ValueError: unless it is four numbers from 0 to 1, and two points.
    """
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError("write a neck as x,y,x,y of its two ends, e.g. .3,.2,.35,.4") from None
    if not all(0 <= v <= 1 for v in (x0, y0, x1, y1)) or (x0, y0) == (x1, y1):
        raise ValueError(f"a neck needs two different points from 0 to 1, but it is {text}")
    return x0, y0, x1, y1
