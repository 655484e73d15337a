"""The reference that comes along: what the judges that come along see of a broad set of animals, without its pictures.

``weights/REFERENCE.md`` is its card. Legend: n views, D features, C components, m animals that realism compares with.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors import safe_open
from torch import Tensor

from chimera_core.errors import DataError
from chimera_core.files.atomic import quote
from chimera_core.files.hashing import hash_unchanged
from chimera_core.files.weights import load_state
from chimera_core.scoring.built_in_files import CHECKSUMS, file_of
from chimera_core.scoring.figures.coats import CoatScale
from chimera_core.scoring.figures.realism import RealismScale
from chimera_core.scoring.judge.judge import SIDE, TEXTURE_SIZE, Judge
from chimera_core.scoring.reference import Reference, SeenReference, Unseen
from chimera_core.scoring.views import scrambled, varied

SIZES = (64, 128)
"""At which views were taken; textures and coats are those of every size from ``TEXTURE_SIZE``."""
_YOURS = "give a reference of your own"
_EMPTY = 48
# Weights in bfloat16 move the pattern's features by 0.024, fine-tuning moved them by 0.9 (both of EfficientNet-Lite0).
_SAME = 0.05


class BuiltInReference:
    """The same animals for everyone; figures that want their pictures are not given."""

    def seen_by(self, judge: Judge, *, size: int) -> SeenReference | Unseen:
        """Read what a judge sees of the animals.

        Args:
            size: that is scored.
        Returns:
            ``Unseen`` for another judge than those whose features come along, and for pictures that are too small.
        Raises:
            DataError: if the file is missing or damaged.
        """
        path = file_of(judge.name)
        if path is None:
            known = ", ".join(CHECKSUMS)
            return Unseen(f"the built-in reference knows the judges {known}, not {judge.name}: {_YOURS}")
        if size < TEXTURE_SIZE:
            return Unseen(
                f"the built-in reference serves from {TEXTURE_SIZE} px, not at {size}: {_YOURS}, or a larger size"
            )
        if hash_unchanged(path) != CHECKSUMS[judge.name]:
            raise DataError(
                f"{quote(path)} is missing or damaged: install chimera again, or give a reference of your own"
            )
        state = load_state(path)
        if judge.side != SIDE or not _is_same(judge, state["pattern"].float()):
            return Unseen(f"the built-in reference was seen by another {judge.name} than this one: {_YOURS}")
        with safe_open(path, framework="pt") as file:
            images = int(file.metadata()["images"])
        views, empty = (_unpacked(state, name, size) for name in ("views", "empty"))
        lacks = {
            "distances": f"the built-in reference keeps no features of whole pictures to measure distances to: {_YOURS}"
        }
        if views is None:
            sizes = " and ".join(map(str, SIZES))
            lacks["leakage"] = (
                f"the built-in reference keeps views at {sizes} px, not at {size}: {_YOURS}, or another size"
            )
        return SeenReference(
            views,
            None,
            empty,
            _realism(state, images),
            CoatScale(state["coat_mean"], state["coat_spread"]),
            n=images,
            lacks=lacks,
        )


def pattern() -> Tensor:
    """Draw the picture by which a judge is known again, float32 (1, 3, 64, 64) in [0, 1]: rings of three colours."""
    line = torch.linspace(-1, 1, TEXTURE_SIZE)
    radius = (line[:, None].square() + (line[None] - 0.3).square()).sqrt()
    waves = torch.stack([torch.sin(rate * radius + rate) for rate in (9.0, 14.0, 23.0)])
    return (0.5 + 0.5 * waves)[None]


def tensors_of(judge: Judge, animals: Reference, viewed: Mapping[int, Tensor]) -> dict[str, Tensor]:
    """Give what a judge's file holds.

    Args:
        animals: at ``TEXTURE_SIZE``, for realism and coats.
        viewed: of each size those of which a view is kept, (n, 3, S, S) in [0, 1]; some of them are kept without an animal, too.
    """
    scale, coats = animals.scales(judge)
    assert coats is not None, f"{judge.name} has no levels to read coats from"
    tensors = {
        "pattern": judge.features(pattern())[0].half(),
        "centre": scale.centre,
        "directions": scale.directions,
        "animals": scale.reference.half(),
        "radii": scale.radii,
        "ends": torch.tensor([scale.low, scale.high]),
        "coat_mean": coats.mean,
        "coat_spread": coats.spread,
    }
    for size, images in viewed.items():
        empty = varied(scrambled(images[:_EMPTY], seed=animals.seed), seed=animals.seed)
        seen = {"views": judge.features(varied(images, seed=animals.seed)), "empty": judge.features(empty)}
        # A byte for each feature, on a scale of that feature's.
        together = torch.cat(list(seen.values()))
        low = together.min(0).values
        step = ((together.max(0).values - low) / 255).clamp(min=1e-6)
        tensors |= {f"{name}_{size}": ((x - low) / step).round().byte() for name, x in seen.items()}
        tensors |= {f"low_{size}": low, f"step_{size}": step}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def _unpacked(state: Mapping[str, Tensor], name: str, size: int) -> Tensor | None:
    found = state.get(f"{name}_{size}")
    return None if found is None else found.float() * state[f"step_{size}"] + state[f"low_{size}"]


def _realism(state: Mapping[str, Tensor], images: int) -> RealismScale:
    low, high = state["ends"].tolist()
    return RealismScale(
        state["centre"], state["directions"], state["animals"].float(), state["radii"], low, high, images
    )


def _is_same(judge: Judge, wanted: Tensor) -> bool:
    """Return whether a judge is the network whose features these are: by what it sees, for names change with libraries."""
    found = judge.features(pattern())[0]
    return found.shape == wanted.shape and float((found - wanted).norm() / wanted.norm()) < _SAME
