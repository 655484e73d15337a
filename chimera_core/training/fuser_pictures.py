"""Pictures of a fuser on the way: samples and sweeps from fixed seeds, so that frames compare."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from chimera_core.files.own_folders import make_folder
from chimera_core.images import write_png
from chimera_core.images.pixels import to_uint8
from chimera_core.images.sheet import grid
from chimera_core.interfaces.components import FusionGenerator
from chimera_core.interfaces.guards import check_samples
from chimera_core.interfaces.learner import FuserLearner
from chimera_core.records import Parent

if TYPE_CHECKING:
    from torch import Tensor

FOLDER = "samples"
_SIDE = 5  # the reports' 5 x 5 grid
_WEIGHTS = 11
_ROWS = 5
_PAD = 2


def draw_samples(run: Path, learner: FuserLearner, images: int, *, of: str = "this fuser") -> Path:
    """Draw 5 x 5 images from what has been learned, always from the same seeds.

    Args:
        run: folder of the run; the picture lies in ``samples/``.
        images: seen so far; names the file.
        of: kind and name of the fuser.
    Raises:
        PluginError: if the samples are none.
    """
    made = learner.sample(_SIDE * _SIDE, seed=0)
    check_samples(made, _SIDE * _SIDE, of)
    return _write(
        run / FOLDER / f"{images:09d}.png", [made[k : k + _SIDE] for k in range(0, len(made), _SIDE)]
    )


def draw_sweeps(run: Path, fuser: FusionGenerator, classes: Sequence[str], images: int, *, size: int) -> Path:
    """Draw weights from one parent to another, a row per seed, the parents at the ends.

    Args:
        run: folder of the run; the picture lies in ``samples/``.
        classes: two or more; the rows go through pairs of them.
        images: seen so far; names the file.
    """
    pairs = list(combinations(classes[:4], 2))
    rows = []
    for row in range(_ROWS):
        parents = [Parent(name, class_name=name) for name in pairs[row % len(pairs)]]
        weights = [1 - k / (_WEIGHTS - 1) for k in range(_WEIGHTS)]
        rows.append([fuser.fuse(parents, (w, 1 - w), seeds=[row], size=size)[0] for w in weights])
    return _write(run / FOLDER / f"{images:09d}-sweeps.png", rows)


def _write(path: Path, rows: Sequence[Sequence[Tensor] | Tensor]) -> Path:
    make_folder(path.parent, within=path.parent.parent)
    write_png(path, grid([[to_uint8(image) for image in row] for row in rows], pad=_PAD))
    return path
