"""How much of each parent a picture shows, by its nearness in a judge's embedding; a probe's probabilities saturate.

Legend: P parents, V views, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# Parents that lie nearer to each other than this cannot be told apart by likeness: it stays near 0 then.
_LEAST_SPAN = 0.05
# By the median a copy of one parent had something of the other in half of its views.
_LOW = 0.9


@dataclass(frozen=True, eq=False)
class Likeness:
    """Likeness to each parent: 0 is what the views of another have of it, 1 what its own have.

    Args:
        centres: of the parents' views, of unit length, float32 (P, D).
        low: cosine to each centre that nine of ten views of any other parent stay below, (P,).
        high: median cosine of its own, (P,).
    """

    centres: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def fit(cls, views: Sequence[Tensor]) -> Likeness:
        """Take each parent's views, features (n_i, D); two parents or more."""
        unit = [F.normalize(v, dim=1) for v in views]
        centres = F.normalize(torch.stack([u.mean(0) for u in unit]), dim=1)
        cosines = [u @ centres.T for u in unit]  # of parent i's views to every centre
        others = torch.stack([c.quantile(_LOW, dim=0) for c in cosines])
        own = torch.eye(len(unit), dtype=torch.bool)
        high = torch.stack([c[:, k].median() for k, c in enumerate(cosines)])
        return cls(centres, others.masked_fill(own, -1).max(0).values, high)

    def of(self, features: Tensor) -> Tensor:
        """Give the likeness of views (n, V, D) to each parent: float32 (n, V, P) in [0, 1]."""
        cosines = F.normalize(features, dim=-1) @ self.centres.T
        return ((cosines - self.low) / (self.high - self.low).clamp(min=_LEAST_SPAN)).clamp(0, 1)
