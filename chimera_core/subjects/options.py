"""Options of every fuser that looks for the animal in photographs. Torch-free."""

from __future__ import annotations

from typing import Literal

from chimera_core.options import Config, option

SubjectMode = Literal["auto", "whole"]
OutlineWay = Literal["fine", "fast", "u2netp", "isnet"]


class SubjectOptions(Config):
    """Which part of a photograph is the parent."""

    subject: SubjectMode = option(
        "auto", help="find the animal in parents without mask, or take the whole frame"
    )
    outline: OutlineWay = option(
        "fine",
        help="how the animal is found: fine follows edges, fast takes a third of the time; u2netp (4.6 MB) and isnet "
        "(179 MB) are networks for anything that stands out, downloaded when first used",
    )
