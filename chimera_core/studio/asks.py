"""What the page asks for: a creature in plain values, which are the arguments of ``chimera fuse``. Torch-free.

The picture, the copied command and ``config.toml`` are all made from an ``Ask``, so that they cannot differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

MAX_PARENTS = 3
SIZES = (256, 512, 1024)
DEFAULT_SIZE = 512


@dataclass(frozen=True)
class Ask:
    """One creature, or those along a sweep.

    ``parents`` are files in the private folder, or names; ``masks`` one for each, ``auto`` or a file. ``fuser`` is empty
    for the one that ``chimera fuse`` takes. ``options`` are nested as the fuser's model of options wants them. ``size``
    None is the one that a trained fuser has.
    """

    parents: tuple[str, ...]
    weights: tuple[float, ...]
    seed: int = 0
    size: int | None = DEFAULT_SIZE
    fuser: str = ""
    preset: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    masks: tuple[str, ...] = ()
    background: str = "keep"

    def at(self, weights: Sequence[float]) -> Ask:
        """Ask for the same at other weights."""
        return replace(self, weights=tuple(weights))

    def with_seed(self, seed: int) -> Ask:
        """Ask for another alternative."""
        return replace(self, seed=seed)

    @property
    def identity(self) -> str:
        """Name what decides the picture: equal for equal pictures."""
        text = json.dumps(asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def arguments(self) -> dict[str, Any]:
        """Give the arguments of ``check_request``, weights apart."""
        return {
            "parents": list(self.parents),
            "seed": self.seed,
            "size": self.size,
            "fuser": self.fuser or None,
            "preset": self.preset or None,
            "options": dict(self.options),
            "masks": list(self.masks) if any(mask != "auto" for mask in self.masks) else [],
            "background": self.background,
        }

    def table(self, names: Sequence[str], masks: Sequence[str]) -> dict[str, Any]:
        """Give what ``chimera fuse --config`` reads, with files under the names that they have beside it."""
        fuser: dict[str, Any] = {}
        if self.fuser:
            fuser["name"] = self.fuser
        if self.preset:
            fuser["preset"] = self.preset
        if self.options:
            fuser["options"] = dict(self.options)
        table: dict[str, Any] = {
            "command": "fuse",
            "parents": list(names),
            "weights": list(self.weights),
            "seed": self.seed,
        }
        if self.size is not None:
            table["size"] = self.size
        if any(mask != "auto" for mask in masks):
            table["mask"] = list(masks)
        if self.background != "keep":
            table["background"] = self.background
        return table | ({"fuser": fuser} if fuser else {})

    @property
    def files(self) -> list[Path]:
        """The files among parents and masks."""
        return [Path(name) for name in (*self.parents, *self.masks) if Path(name).is_absolute()]
