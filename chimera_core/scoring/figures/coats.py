"""What an animal wears, by a judge's textures inside its outline; an embedding of the whole picture sees it too little.

Legend: n pictures, P parents, L levels of the judge, C_l channels of one, S the size of the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.scoring.judge.judge import Judge

# Coats that are nearer to each other than this cannot be told apart.
_LEAST_SPAN = 0.05
# What resampling alone moves a coat: copies came to 0.003.
_NOISE = 0.01


@dataclass(frozen=True, eq=False)
class CoatScale:
    """How textures vary among animals: ``mean`` and ``spread``, (sum of 2 C_l,)."""

    mean: Tensor
    spread: Tensor

    @classmethod
    def fit(cls, textures: Tensor) -> CoatScale:
        """Fit to textures (n, sum of 2 C_l) of many animals."""
        return cls(textures.mean(0), textures.std(0) + 1e-4)

    def by_level(self, textures: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """Give textures (n, sum of 2 C_l) as directions from the mean animal: L of (n, 2 C_l), each of unit length."""
        return [
            F.normalize(t, dim=1) for t in torch.split((textures - self.mean) / self.spread, list(sizes), 1)
        ]


@dataclass(frozen=True, eq=False)
class Coats:
    """The coats of P parents, each a photograph whose animal has an outline.

    Args:
        sizes: 2 C_l of each level.
        worn: the parents' own, L of (P, 2 C_l).
        masks: 1 where each parent's animal is, (P, 1, S, S).
    """

    scale: CoatScale
    sizes: Sequence[int]
    worn: list[Tensor]
    masks: Tensor

    @classmethod
    def fit(cls, judge: Judge, scale: CoatScale, images: Tensor, masks: Tensor) -> Coats:
        """Look at the parents' photographs (P, 3, S, S) inside their masks (P, 1, S, S)."""
        textures = judge.coats(images, masks)
        return cls(scale, judge.coat_sizes, scale.by_level(textures, judge.coat_sizes), masks)

    def of(self, judge: Judge, images: Tensor, layout: Tensor) -> Tensor:
        """Return how much of each parent's coat pictures wear.

        Args:
            images: pictures, float (n, 3, S, S).
            layout: whose place the animal has in each picture: indices of parents, (n,).
        Returns:
            float32 (n, P) in [0, 1], a mean over levels: 0 is what the nearest other parent has of that coat, 1 the
            very textures.
        """
        found = self.scale.by_level(judge.coats(images, self.masks[layout]), self.sizes)
        return torch.stack([_place(f, w) for f, w in zip(found, self.worn, strict=True)]).mean(0)


def _place(found: Tensor, worn: Tensor) -> Tensor:
    """Place directions (n, D) between the parents' (P, D): (n, P) in [0, 1]."""
    own = torch.eye(len(worn), dtype=torch.bool)
    low = (worn @ worn.T).masked_fill(own, -1).max(1).values
    places = (found @ worn.T - low) / (1 - low).clamp(min=_LEAST_SPAN)
    return ((places - _NOISE) / (1 - _NOISE)).clamp(0, 1)
