"""The best weights of a run, in step with its checkpoints.

``best.safetensors`` is what is used. A checkpoint knows after how many images the best weights of its way were met; a
training that goes back to it (after a kill, a stop by the clock, a divergence) may have met others since, on a way that
is given up. So each of them has a name of its own, ``best-000012800.safetensors``, as long as a checkpoint refers to it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from chimera_core.errors import RunError
from chimera_core.files.atomic import atomic_path
from chimera_core.files.own_folders import inside, remove_file
from chimera_core.runs.checkpoints import BEST, list_checkpoints, read_state, write_tensors

_PREFIX = "best-"


def write_best(folder: Path, images: int, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write the best weights so far.

    Args:
        folder: of the checkpoints.
        images: seen before them.
        metadata: plain values, as of ``write_tensors``.
    Raises:
        RunError: if the disk refuses; the best ones before are still there.
    """
    write_tensors(_own(folder, images), tensors, metadata=metadata)
    _put(_own(folder, images), folder / BEST)


def take_best(folder: Path, images: int) -> None:
    """Take the best weights again that a checkpoint knows, after so many images, whatever was written since.

    Raises:
        RunError: if the disk refuses.
    """
    own, used = _own(folder, images), folder / BEST
    if own.is_file() and not (used.is_file() and os.path.samefile(own, used)):
        _put(own, used)


def forget_best(folder: Path, best: Mapping[str, Any] | None) -> None:
    """Remove best weights that no checkpoint refers to.

    Args:
        folder: of the checkpoints.
        best: what the training knows of its best weights, ``images`` among it; they stay.
    """
    known = [best, *(read_state(folder, n).get("best") for n in list_checkpoints(folder))]
    kept = {f"{found['images']:09d}" for found in known if found}
    for path in folder.glob(f"{_PREFIX}*.safetensors"):
        if path.stem.removeprefix(_PREFIX) not in kept:
            with suppress(RunError):
                remove_file(path, within=folder.parent)


def _own(folder: Path, images: int) -> Path:
    return inside(folder.parent, f"{folder.name}/{_PREFIX}{images:09d}.safetensors")


def _put(own: Path, used: Path) -> None:
    """Give a file a second name, whole or not at all; no second copy, where the disk can do without."""
    with atomic_path(used) as temporary:
        temporary.unlink()
        try:
            os.link(own, temporary)
        except OSError:
            shutil.copyfile(own, temporary)
