"""Data on which `chimera plugins check` and the tests try the source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chimera_core.api import atomic_path, make_folder
from chimera_core.testing import draw_shape

BREEDS = ("Abyssinian", "american_bulldog")


def prepare(folder: Path) -> Mapping[str, Any]:
    """Write Oxford-IIIT Pet in small, and give the options that read it."""
    return {"name": "OxfordIIITPet", "root": str(write_pets(folder))}


def write_pets(root: Path, *, breeds: Sequence[str] = BREEDS, images: int = 4) -> Path:
    """Write drawn images in the layout of Oxford-IIIT Pet, with trimaps.

    Args:
        root: folder to write into.
        breeds: names as the files have them; a capital begins a cat's.
        images: of each breed, in each of the splits trainval and test.
    Returns:
        ``root``.
    """
    base = root / "oxford-iiit-pet"
    for split, first in (("trainval", 1), ("test", 1 + images)):
        lines = []
        for label, breed in enumerate(breeds, 1):
            for number in range(first, first + images):
                name = f"{breed}_{number}"
                pixels = draw_shape(100 * label + number, 40, 48)
                _write(base / "images" / f"{name}.jpg", pixels)
                trimap = np.full((40, 48), 2, np.uint8)
                trimap[8:32, 8:40], trimap[12:28, 12:36] = 3, 1
                _write(base / "annotations" / "trimaps" / f"{name}.png", trimap)
                lines.append(f"{name} {label} {1 if breed[0].isupper() else 2} {label}")
        with atomic_path(base / "annotations" / f"{split}.txt") as path:
            path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return root


def _write(path: Path, pixels: Any) -> None:
    make_folder(path.parent)
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, "JPEG" if path.suffix == ".jpg" else "PNG")
