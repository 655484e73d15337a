"""Everything that decides how a fuser is trained, beside the fuser's own options. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import field_serializer, field_validator

from chimera_core.components.options import EncoderRef, option
from chimera_core.training.options import FuserRef, ImageCount, ImageTraining

NO_JUDGE = "none"


class FuserTraining(ImageTraining):
    """How a fuser is trained, on what. Learning rates and losses are options of the fuser: each has its own."""

    fuser: FuserRef = option(..., help="what is trained")
    augment: Literal["none", "flip"] = option("flip", help="flip: mirror half of the images")
    schedule: Literal["constant", "cosine"] = option("constant", help="way of the learning rates")
    warmup_images: ImageCount = option(0, help="images over which the rates rise first", ge=0)
    judge: EncoderRef | None = option(
        EncoderRef(name="robust-lite0"),
        help="encoder in whose features quality is measured; none: no quality",
    )
    judge_images: ImageCount = option(1000, help="images made, and held-out ones, for a measurement", ge=10)
    quality_images: ImageCount | None = option(None, help="measure quality each so many images", ge=1)
    sample_images: ImageCount | None = option(None, help="draw pictures each so many images", ge=1)
    patience: int | None = option(
        None, help="stop after so many measurements in a row without better quality", ge=1
    )
    init_from: str | None = option(
        None, help="begin with the networks of this run, exported file or model instead of new ones"
    )

    MAY_CHANGE: ClassVar[frozenset[str]] = ImageTraining.MAY_CHANGE | {"patience"}

    @field_validator("judge", mode="before")
    @classmethod
    def _none_is_no_judge(cls, value: Any) -> Any:
        name = value.get("name") if isinstance(value, Mapping) else value
        return None if name == NO_JUDGE else value

    @field_serializer("judge", mode="wrap")
    def _no_judge_is_said(self, value: Any, write: Any) -> Any:
        # In TOML what is missing means the default, so that no judge needs a word.
        return NO_JUDGE if value is None else write(value)
