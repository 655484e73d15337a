"""Photographs of faces brought to where a generator draws them, and what it draws put back into them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from chimera_core.api import (
    Face,
    FeatureEncoder,
    FusionGenerator,
    Parent,
    aligned_face,
    find_face,
    load_encoder,
    load_fuser,
    parent_pixels,
    resize_shorter,
)

# With their plugins, so that a stranger's namesakes do not get in the way.
_ENCODER, _PORTRAIT = "timm:timm", "portrait:portrait"
# Samples that are looked at, and how many must show a face this surely, whose eyes lie within this share of the side:
# less is no generator of faces in one frame.
SAMPLES, _FEWEST, _SURE, _APART = 4, 3, 0.6, 0.16


class FacesOfGenerator:
    """Knows where a generator's faces have their eyes.

    Args:
        samples: draws pictures of it, float (4, 3, S, S) in [0, 1]; asked once, when a photograph is to be aligned.
        device: where faces are looked for.
    """

    def __init__(self, samples: Callable[[], Tensor], *, device: torch.device) -> None:
        self._samples, self.device = samples, device
        self._aligned: dict[Parent, Parent] = {}
        self._portrait: FusionGenerator | None = None

    @cached_property
    def eyes(self) -> tuple[float, float, float, float] | None:
        """Left x, left y, right x, right y as shares of the side; None if it does not draw faces in one frame."""
        samples = self._samples()
        found = [self._face(sample, whole=True) for sample in samples]
        sure = [
            face.points[:2].ravel()
            for face in found
            if face is not None and face.confidence >= _SURE and _both_eyes(face)
        ]
        if len(sure) < _FEWEST:
            return None
        places = (np.stack(sure) + 0.5) / samples.shape[-1]
        if np.ptp(places, axis=0).max() > _APART:
            return None
        left_x, left_y, right_x, right_y = (float(v) for v in np.median(places, axis=0))
        level = (left_y + right_y) / 2
        return left_x, level, right_x, level

    def aligned(self, parent: Parent) -> Parent:
        """Give a photograph turned and cropped to the generator's frame; as it is where there is no face, or no frame."""
        if parent.image is None:
            return parent
        if parent not in self._aligned:
            face = self._face(parent.image) if self.eyes is not None else None
            square = None
            if face is not None and self.eyes is not None and _both_eyes(face):
                square = aligned_face(parent.image, face, self.eyes)
            self._aligned[parent] = parent if square is None else Parent(parent.name, square)
        return self._aligned[parent]

    def pasted(self, made: Tensor, photograph: Parent, *, size: int) -> Tensor | None:
        """Put creatures in the place of the face in a photograph.

        Args:
            made: float (N, 3, S, S) in [0, 1], as the generator drew them. One without a face covers the photograph instead:
                each picture depends on its own creature alone, and all have one shape.
            photograph: whose face goes.
            size: shorter side of the result in pixels.
        Returns:
            float (N, 3, h, w) in [0, 1], or (N, 4, h, w) with the opacity of a cut-out; None if no face was found in the
            photograph.
        """
        if photograph.image is None or self.aligned(photograph) is photograph:
            return None
        if self._portrait is None:
            # The creature's face fills its square, so it need not be searched for.
            self._portrait = load_fuser(
                _PORTRAIT, device=self.device, canvas="1", head_box=("auto", "0,0,1,1")
            )
        return torch.stack([self._put(creature, photograph, size=size) for creature in made])

    def _put(self, creature: Tensor, photograph: Parent, *, size: int) -> Tensor:
        if _both_eyes(self._face(creature, whole=True)):
            assert self._portrait is not None
            parents = [photograph, Parent("creature", creature)]
            return self._portrait.fuse(parents, [0.0, 1.0], seeds=[0], size=size)[0]
        ground = parent_pixels(photograph, size).to(creature)
        height, width = ground.shape[-2:]
        square = resize_shorter(creature, max(height, width))
        top, left = (square.shape[-2] - height) // 2, (square.shape[-1] - width) // 2
        covering = square[:, top : top + height, left : left + width]
        return torch.cat([covering, ground[3:]]).cpu()

    def _face(self, image: Tensor, *, whole: bool = False) -> Face | None:
        near = (0, image.shape[-2], 0, image.shape[-1]) if whole else None
        return find_face(self._encoder, image.to(self.device), near=near)

    @cached_property
    def _encoder(self) -> FeatureEncoder:
        return load_encoder(_ENCODER, device=self.device).requires_grad_(False)


def _both_eyes(face: Face | None) -> bool:
    """Return whether there is a face that shows both eyes."""
    return face is not None and bool(np.isfinite(face.points[:2]).all())
