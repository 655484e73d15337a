"""Data on which `chimera plugins check` and the tests try the source."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from chimera_core.api import make_folder
from chimera_core.testing import draw_shape


def prepare(folder: Path) -> Mapping[str, Any]:
    """Write a data set as the library does, and give the options that read it."""
    return {"path": str(write_saved(folder / "saved"))}


def draw_tables(*, classes: Sequence[str] = ("disc", "square"), images: int = 6) -> Any:
    """Make a ``DatasetDict`` of drawn PNGs in memory, with the splits train and test.

    Args:
        classes: their names, shared out in turn.
        images: of each split.
    """
    from datasets import ClassLabel, Dataset, DatasetDict, DatasetInfo, Features, Image

    features = Features({"image": Image(), "label": ClassLabel(names=list(classes))})
    info = DatasetInfo(features=features, license="cc0-1.0", citation="@misc{drawn,\n title={Drawn}}")
    return DatasetDict(
        {
            split: Dataset.from_dict(
                {
                    "image": [{"bytes": encode(seed + k), "path": None} for k in range(images)],
                    "label": [k % len(classes) for k in range(images)],
                },
                features=features,
                info=info,
            )
            for split, seed in (("train", 0), ("test", 1000))
        }
    )


def write_saved(folder: Path, **how: Any) -> Path:
    """Write the drawn tables with the library's own ``save_to_disk``; see ``draw_tables``."""
    from chimera_huggingface.opening import quiet

    with quiet():
        draw_tables(**how).save_to_disk(str(folder))
    return folder


def write_parquet(folder: Path, **how: Any) -> Path:
    """Write the drawn tables as parquet files, one for each split; see ``draw_tables``."""
    from chimera_huggingface.opening import quiet

    make_folder(folder)
    with quiet():
        for split, table in draw_tables(**how).items():
            table.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    return folder


def encode(seed: int, *, height: int = 24, width: int = 32, kind: str = "PNG") -> bytes:
    """Draw a shape and encode it."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(draw_shape(seed, height, width)).save(file, kind)
    return file.getvalue()
