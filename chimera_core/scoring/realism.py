"""How real one single picture looks: how near it is to real animals, as far as a judge's features tell.

Legend: n reference images, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.scoring.neighbours import neighbour_radii, squared_distances

NEIGHBOURS = 5
LEAST_IMAGES = 100
"""Reference images that realism needs."""


@dataclass(frozen=True, eq=False)
class RealismScale:
    """Realism as a number in [0, 1].

    A picture's realism is the largest ratio of a reference image's radius (distance to its k-th nearest fellow) to
    the picture's distance from it, over the half of the reference with the smaller radii. On the scale 1 is the
    median of real animals that are not in the reference, 0 that of pictures with animals' spectra and no animal.

    Features are brought to length 1 first: by plain distance noise and plain grey, whose features are short and so
    near to everything, came out as more real than real animals.

    Args:
        reference: features of unit length (n / 2, D), float32.
        radii: of them, (n / 2,).
        low: realism of pictures without animal.
        high: realism of held-out real animals.
        n: images of the whole reference.
    """

    reference: Tensor
    radii: Tensor
    low: float
    high: float
    n: int

    @classmethod
    def fit(cls, reference: Tensor, held_out: Tensor, empty: Tensor) -> RealismScale:
        """Fit the scale to features (., D) of the reference, of held-out real animals and of pictures without any.

        Raises:
            DataError: if the reference is not larger than k.
        """
        features = F.normalize(reference, dim=1)
        radii = neighbour_radii(features, k=NEIGHBOURS).sqrt()
        kept = radii <= radii.median()
        raw = cls(features[kept], radii[kept], 0.0, 1.0, len(reference))
        low, high = (float(raw._ratio(x).median()) for x in (empty, held_out))
        return cls(raw.reference, raw.radii, low, high, raw.n)

    def of(self, features: Tensor) -> Tensor:
        """Give pictures' realism: features (m, D) -> float32 (m,) in [0, 1]."""
        if not self.low < self.high:  # the judge sees no difference: nothing can be said
            return torch.full((len(features),), torch.nan)
        return ((self._ratio(features) - self.low) / (self.high - self.low)).clamp(0, 1)

    def _ratio(self, features: Tensor) -> Tensor:
        distances = squared_distances(F.normalize(features, dim=1), self.reference).sqrt()
        # A picture that is in the reference is as real as can be.
        return (self.radii / distances.clamp(min=1e-6)).max(1).values.clamp(max=100)
