"""Options of the ``huggingface`` source. Torch-free."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import field_validator

from chimera_core.api import Config, option


class HuggingFaceConfig(Config):
    """Which data set, which of its columns, and where its copy lies."""

    name: str = option("", help="a data set of the hub, as owner/name")
    path: Path | None = option(
        None,
        help="instead of a name: a folder written by save_to_disk, one of parquet files or of images by class, or a "
        ".parquet file",
    )
    config: str = option("", help="which configuration (the hub's subset), where there are several")
    revision: str = option("", help="a branch, tag or commit of the hub; empty: main. The commit is recorded")
    image: str = option("", help="column of the images; empty: recognised by its type")
    label: str = option(
        "", help="column of the classes; empty: recognised by its type and name; none: one class"
    )
    stream: int = option(
        0,
        help="download by streaming, and keep only so many images of each split, drawn through a shuffled buffer; "
        "0: the whole set",
        ge=0,
    )
    root: str = option("", help="the folder of downloaded copies; empty: huggingface among the assets")

    @field_validator("name")
    @classmethod
    def _check_name(cls, value: str) -> str:
        if value and not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", value):
            raise ValueError("write a data set of the hub as owner/name; a folder is given with path")
        return value

    @field_validator("config", "revision")
    @classmethod
    def _check_word(cls, value: str) -> str:
        if value.startswith("-") or "\\" in value or ".." in value or not value.isprintable():
            raise ValueError("write it as the hub does")
        return value
