"""Bring MNIST's files from the mirrors that the registry names."""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

from chimera_core.api import DataError, atomic_path, find_asset, make_folder
from chimera_mnist.idx import read_array
from chimera_mnist.layout import PREFIXES, files_of

_SIZES = {
    "mnist-train-images": 9_912_422,
    "mnist-train-labels": 28_881,
    "mnist-test-images": 1_648_877,
    "mnist-test-labels": 4_542,
}
"""In bytes as they come, only to show how far the work is; the registry decides what is right."""


def bring(raw: Path, *, progress: Callable[[float, float], None]) -> None:
    """Put what is missing or damaged into ``raw``, unfolded, so that it can be memory-mapped.

    Args:
        raw: the folder; it is made if need be.
        progress: called with (done, total) in bytes.
    Raises:
        RunError: if a mirror or the disk refuses.
    """
    total = sum(_SIZES.values())
    done = 0
    for split, prefix in PREFIXES.items():
        files = files_of(raw, split)
        for kind, ndim, path in (("images", 3, files.images), ("labels", 1, files.labels)):
            asset = f"mnist-{split}-{kind}"
            if path is None or not _is_whole(path, ndim):
                before = done
                packed = find_asset(asset, progress=lambda d, _, before=before: progress(before + d, total))  # type: ignore[misc]
                _unfold(packed, raw / f"{prefix}-{kind}-idx{ndim}-ubyte")
            done += _SIZES[asset]
            progress(done, total)


def _is_whole(path: Path, ndim: int) -> bool:
    try:
        read_array(path, ndim)
    except DataError:
        return False
    return True


def _unfold(packed: Path, path: Path) -> None:
    make_folder(path.parent, mend="name another --root")
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        try:
            with gzip.open(packed, "rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
        except (EOFError, zlib.error) as error:
            raise DataError(f"'{packed}' is damaged: remove it, and it will be downloaded anew") from error
