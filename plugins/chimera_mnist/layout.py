"""Where MNIST's four files lie, in torchvision's layout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from chimera_core.api import default_data_root

PREFIXES = {"train": "train", "test": "t10k"}
KINDS = ("images-idx3", "labels-idx1")
LAYOUT = "MNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte, each plain or .gz"
_NAMES = tuple(f"{prefix}-{kind}-ubyte" for prefix in PREFIXES.values() for kind in KINDS)


@dataclass(frozen=True)
class Files:
    """The two files of a split; None where one is missing."""

    images: Path | None
    labels: Path | None
    missing: tuple[str, ...]


def root_of(root: str) -> Path:
    """Give the folder that the user named, or the one among the assets."""
    return Path(os.path.expanduser(root)) if root else default_data_root("mnist")


def raw_folder(root: Path) -> Path:
    """Find the folder ``raw``, given it, the ``MNIST`` above, or the root above that; it need not exist."""
    for folder in (root / "MNIST" / "raw", root / "raw", root):
        if any(os.path.exists(folder / f"{name}{end}") for name in _NAMES for end in ("", ".gz")):
            return folder
    if root.name == "raw" and root.parent.name == "MNIST":
        return root
    return root / "raw" if root.name == "MNIST" else root / "MNIST" / "raw"


def files_of(raw: Path, split: str) -> Files:
    """Find the files of a split, the plain one before the gzipped one."""
    found = []
    missing = []
    for kind in KINDS:
        name = f"{PREFIXES[split]}-{kind}-ubyte"
        path = next((p for p in (raw / name, raw / f"{name}.gz") if os.path.exists(p)), None)
        found.append(path)
        if path is None:
            missing.append(name)
    return Files(found[0], found[1], tuple(missing))
