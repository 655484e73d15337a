"""What each place of a picture has of the parents: whole organs are found again wherever they stand, halves are not.

Legend: n pictures, P parents, m pictures of each, D channels, K places of the judge's map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.scoring.judge.features import judge_features
from chimera_core.scoring.judge.judge import Judge

# So deep a map sees a head as a head; a yet deeper one sees the whole picture everywhere.
_STRIDE = 16
# Parents whose places lie nearer to each other than this cannot be told apart.
_LEAST_SPAN = 0.05


@dataclass(frozen=True, eq=False)
class Places:
    """Places of the parents' pictures, as a judge with levels sees them.

    Args:
        level: of the judge.
        centre: mean of all places, (D,).
        known: each parent's places, P of (m K, D), of unit length about the centre.
        low: cosine that a place of one parent finds among another's, on average.
    """

    level: int
    centre: Tensor
    known: tuple[Tensor, ...]
    low: float

    @classmethod
    def fit(cls, judge: Judge, pictures: Tensor) -> Places | None:
        """Look at the parents' pictures (m, P, 3, S, S); None for a judge without levels."""
        level = judge.level_near(_STRIDE)
        if level is None:
            return None
        seen = [_seen(judge, level, own).flatten(0, 1) for own in pictures.unbind(1)]
        centre = torch.cat(seen).mean(0)
        known = tuple(F.normalize(s - centre, dim=1) for s in seen)
        among = [
            (one @ other.T).max(1).values.mean()
            for i, one in enumerate(known)
            for j, other in enumerate(known)
            if i != j
        ]
        return cls(level, centre, known, float(torch.stack(among).mean()))

    def of(self, judge: Judge, images: Tensor) -> Tensor:
        """Return how much each place of pictures is like a place of each parent.

        Args:
            images: float (n, 3, S, S) in [0, 1].
        Returns:
            float32 (n, K, P) in [0, 1]: 0 is what one parent's places find among another's, 1 the very place.
        """
        seen = F.normalize(_seen(judge, self.level, images) - self.centre, dim=2)
        nearest = torch.stack([(seen @ own.T).max(2).values for own in self.known], 2)
        return ((nearest - self.low) / max(1 - self.low, _LEAST_SPAN)).clamp(0, 1)


def _seen(judge: Judge, level: int, images: Tensor) -> Tensor:
    """Give a level's map of pictures as places: float32 (n, K, D)."""
    channels = judge.encoder.levels[level].channels
    flat = judge_features(
        judge.encoder,
        images,
        size=judge.looks_at,
        device=judge.device,
        read=lambda pixels: judge.encoder.feature_maps(pixels, [level])[0].flatten(1),
    )
    return flat.view(len(images), channels, -1).transpose(1, 2)
