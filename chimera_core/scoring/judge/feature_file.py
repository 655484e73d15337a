"""Features of large sets in a file that is mapped into memory: written batch by batch, read without loading it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from chimera_core.errors import DataError, ShapeError
from chimera_core.files.atomic import atomic_path, quote
from chimera_core.files.own_folders import make_folder


def write_features(path: Path, batches: Iterable[Tensor], *, n: int) -> Tensor:
    """Write features as they come, whole or not at all, and open them.

    Args:
        path: a ``.npy`` file; its folder is made.
        batches: float (., D) each, n rows in all. Only one need be in memory at a time.
    Returns:
        float32 (n, D), mapped from the file.
    Raises:
        ShapeError: if the batches do not go together, or are not n rows.
    """
    make_folder(path.parent)
    with atomic_path(path) as partial:
        table: np.memmap | None = None
        done = 0
        for batch in batches:
            rows = batch.detach().float().cpu().numpy()
            if rows.ndim != 2:
                raise ShapeError(f"features are {rows.shape}: pass (n, D)")
            if table is None:
                table = np.lib.format.open_memmap(
                    str(partial), mode="w+", dtype=np.float32, shape=(n, rows.shape[1])
                )
            if rows.shape[1] != table.shape[1] or done + len(rows) > n:
                raise ShapeError(f"features are {rows.shape} after {done} rows of {table.shape}")
            table[done : done + len(rows)] = rows
            done += len(rows)
        if table is None or done != n:
            raise ShapeError(f"{done} rows of features came, but {n} were announced")
        table.flush()
        del table
    return open_features(path)


def open_features(path: Path) -> Tensor:
    """Open a file of features: float32 (n, D), mapped from the file; writing to it changes no file.

    Raises:
        DataError: if it is no such file, or damaged.
    """
    try:
        table = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{quote(path)} holds no features ({type(error).__name__}): delete it, it is made anew"
        ) from None
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.dtype != np.float32:
        raise DataError(f"{quote(path)} holds no features: delete it, it is made anew")
    return torch.from_numpy(table)
