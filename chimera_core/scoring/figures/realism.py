"""How real one single picture looks: how near it is to real animals, as far as a judge's textures tell.

Legend: n reference images, D features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from chimera_core.scoring.sets.neighbours import neighbour_radii, squared_distances

NEIGHBOURS = 5
LEAST_IMAGES = 100
"""Reference images that realism needs."""
_COMPONENTS = 32


@dataclass(frozen=True, eq=False)
class RealismScale:
    """Realism as a number in [0, 1].

    A picture's realism is the largest ratio of a reference image's radius (distance to its k-th nearest fellow) to
    the picture's distance from it, over the half of the reference with the smaller radii. On the scale 1 is the
    median of real animals that are not in the reference, 0 that of noise.

    Distances are between principal components of unit variance: in the embedding a blur is as near to animals as a
    sharp picture.

    Args:
        centre: of the reference, (D,).
        directions: from features to components, (D, C).
        reference: components of the half of it that serves, (n / 2, C), float32.
        radii: of them, (n / 2,).
        low: realism of noise.
        high: realism of held-out real animals.
        n: images of the whole reference.
    Source: Kynkaanniemi et al. 2019, arXiv:1904.06991, section 5, for the ratio.
    """

    centre: Tensor
    directions: Tensor
    reference: Tensor
    radii: Tensor
    low: float
    high: float
    n: int

    @classmethod
    def fit(cls, reference: Tensor, held_out: Tensor, noise: Tensor) -> RealismScale:
        """Fit the scale to features (., D) of the reference, of held-out real animals and of noise.

        Raises:
            DataError: if the reference is not larger than k.
        """
        centre, directions = _components(reference)
        features = (reference - centre) @ directions
        radii = neighbour_radii(features, k=NEIGHBOURS).sqrt()
        kept = radii <= radii.median()
        raw = cls(centre, directions, features[kept], radii[kept], 0.0, 1.0, len(reference))
        low, high = (float(raw._ratio(x).median()) for x in (noise, held_out))
        return replace(raw, low=low, high=high)

    def of(self, features: Tensor) -> Tensor:
        """Give pictures' realism: features (m, D) -> float32 (m,) in [0, 1]."""
        if not self.low < self.high:  # the judge sees no difference: nothing can be said
            return torch.full((len(features),), torch.nan)
        return ((self._ratio(features) - self.low) / (self.high - self.low)).clamp(0, 1)

    def _ratio(self, features: Tensor) -> Tensor:
        distances = squared_distances((features - self.centre) @ self.directions, self.reference).sqrt()
        # A picture that is in the reference is as real as can be.
        return (self.radii / distances.clamp(min=1e-6)).max(1).values.clamp(max=100)


def _components(features: Tensor) -> tuple[Tensor, Tensor]:
    """Find the centre of features (n, D), and directions (D, C) onto their components of unit variance."""
    centre = features.mean(0)
    _, scales, directions = torch.linalg.svd((features - centre).double(), full_matrices=False)
    kept = scales[:_COMPONENTS] > 1e-6 * scales[0]
    scaled = directions[: len(kept)][kept].T / (scales[: len(kept)][kept] / len(features) ** 0.5)
    return centre, scaled.to(features.dtype)
