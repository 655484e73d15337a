"""What a coat gives to be copied: its animal's pixels without its head, and where on the animal each lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import Subject, animal_box, or_whole, resize_to, shrink_mask
from chimera_style.anatomy import anatomy
from chimera_style.light import blurred, flattened

_LEAST_SIDE = 12
# What `suffices` asks for. On 35 photographs and cut-outs: snakes, herds, a flamingo, a cat's face 0.3 to 0.58; leopard,
# zebra, tiger, giraffe, feathers, a butterfly 0.6 to 0.83.
_LEAST_PIXELS, _USUAL_SIDE, _USUAL_RADIUS, _LEAST_WHOLE = 1000, 160, 4, 0.6
_COVERED = 0.9
# Near its outline a coat holds grass and sand. There, what lies further (squared Mahalanobis distance) from the colours
# deep inside is left out; "near" is a share of the greatest depth.
_STRANGE_COLOUR, _NEAR_OUTLINE = 6.0, 0.5
# Tints are smoothed by so many pixels.
_SMOOTH = 1.5
# Added to their variance: without it, whatever is not exactly grey would be strange to a black and white coat.
_RIDGE = 5e-3
# A coat that would lose more than the rest is of many colours, and keeps them.
_LEAST_LEFT = 0.5


@dataclass(frozen=True)
class Pelt:
    """A coat, cropped to its animal's body and without its light.

    ``image`` is float (3, H, W), ``mask`` (1, H, W) of 0 and 1 says what may be copied, ``guides`` (4, H, W) is its
    `anatomy`, ``animal`` the whole animal's area in pixels.
    """

    image: Tensor
    mask: Tensor
    guides: Tensor
    animal: float

    @classmethod
    def taken_from(cls, coat: Subject, body: Tensor) -> Pelt:
        """Take the body of a coat's animal.

        Args:
            coat: picture and mask.
            body: float (1, H, W) of 0 and 1, as `body_of` finds it.
        """
        mask = or_whole(coat.mask)
        usable = _without_strange_colours(coat.image, body)
        top, bottom, left, right = animal_box(usable, margin=0.0)
        image, used, guides = (
            part[:, top:bottom, left:right] for part in (coat.image, usable, anatomy(mask))
        )
        return cls(flattened(image, used), used, guides, float((mask > 0.5).sum()))

    @property
    def given(self) -> float:
        """Share of the animal that may be copied."""
        return float(self.mask.sum()) / max(1.0, self.animal)

    @property
    def suffices(self) -> bool:
        """Whether it shows enough to cover a body with.

        It has some pixels, and at the scale at which its animal has the area of a body of 160 x 160, six tenths of what
        may be copied have a whole patch of 9 x 9 around them. A snake on a branch has not, nor a herd far away, nor a
        portrait without a body: made by patches, they become smears of what lay beside them.
        """
        if float(self.mask.sum()) < _LEAST_PIXELS:
            return False
        usual = self.scaled(_USUAL_SIDE / math.sqrt(max(1.0, self.animal)))
        return usual.places(_USUAL_RADIUS) >= _LEAST_WHOLE * float(usual.mask.sum())

    def spread(self) -> Tensor:
        """Variance of its colours, mean over channels: scalar."""
        weight = self.mask.sum().clamp_min(1)
        mean = (self.image * self.mask).sum((1, 2), keepdim=True) / weight
        return ((self.image - mean).square() * self.mask).sum() / (3 * weight)

    def scaled(self, scale: float) -> Pelt:
        """Shrink or enlarge it."""
        height, width = self.mask.shape[-2:]
        shape = (max(_LEAST_SIDE, round(height * scale)), max(_LEAST_SIDE, round(width * scale)))
        mask = (shrink_mask(self.mask, shape) > _COVERED).to(self.mask)
        return Pelt(
            resize_to(self.image, shape),
            or_whole(mask),
            shrink_mask(self.guides, shape),
            self.animal * scale**2,
        )

    def places(self, radius: int) -> int:
        """Count the places that have a whole patch around them."""
        return int((-F.max_pool2d(-self.mask, 2 * radius + 1, 1, radius) > 0).sum())


def _without_strange_colours(image: Tensor, mask: Tensor) -> Tensor:
    solid = mask[0].cpu().numpy() > 0.5
    # Edge padding: beyond the frame the animal goes on.
    depths = ndimage.distance_transform_edt(np.pad(solid, 1, mode="edge"))[1:-1, 1:-1]
    depth = torch.from_numpy(depths).to(mask)
    near = depth < _NEAR_OUTLINE * depth.max()
    # Chromaticity: light and dark are markings, green under a brown belly is not. The tenth calms what is nearly black.
    tints = torch.stack([image[0] - image[1], image[1] - image[2]]) / (image.mean(0) + 0.1)
    # One pixel's colour is noise.
    tints = blurred(tints, mask, _SMOOTH)
    colours = tints[:, mask[0] > 0.5].double()
    weight = depth[mask[0] > 0.5].double().square()
    weight = weight / weight.sum()
    mean = (colours * weight).sum(1, keepdim=True)
    centred = colours - mean
    covariance = (centred * weight) @ centred.T + _RIDGE * torch.eye(
        2, dtype=torch.float64, device=image.device
    )
    away = tints.flatten(1).double() - mean
    distance = (away * torch.linalg.solve(covariance, away)).sum(0).view(image.shape[-2:])
    strange = (distance > _STRANGE_COLOUR) & near
    kept = mask * ~strange
    return kept if float(kept.sum()) >= _LEAST_LEFT * float(mask.sum()) else mask
