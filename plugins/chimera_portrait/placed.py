"""Faces in their pictures, and the frame that looks at them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chimera_core.api import resized, sampled
from chimera_portrait.frames import Points, Similarity, mirrored, turn
from chimera_portrait.warping import reflected

Array = np.ndarray[Any, np.dtype[np.float32]]

# Faces that look to different sides are mirrored if they are turned apart by more than this, in units of the nose.
_MIRROR_FROM = 0.15


@dataclass(frozen=True, eq=False)
class Placed:
    """A face in a picture, and where the frame looks at it.

    ``image`` float32 (H, W, 3) in [0, 1], ``alpha`` float32 (H, W): what is head or body and not surroundings; ``points``
    float (5, 2) in its pixels; ``view`` leads from the frame to the picture. ``is_fur``: an animal's, not a person's.
    ``grain``: how many pixels of ``image`` one of the photograph covers.
    """

    image: Array
    alpha: Array
    points: Points
    view: Similarity
    is_fur: bool
    is_cutout: bool = False
    grain: float = 1.0

    def with_image(self, image: Array) -> Placed:
        """Give it with its own picture in another size, (h, w, 3); the frame is that picture."""
        shape = (image.shape[0], image.shape[1])
        scale = shape[1] / self.image.shape[1]
        points = Similarity.resizing(scale)(self.points)
        return replace(
            self,
            image=image,
            alpha=resized(self.alpha, shape),
            points=points,
            view=Similarity(),
            grain=self.grain * scale,
        )

    @property
    def seen(self) -> Points:
        """The face's points in the frame."""
        return self.view.inverse()(self.points)

    def fitted(self) -> Placed:
        """Give it with no more pixels than the frame can show, so that sampling does not flicker."""
        if self.view.scale < 1.2:
            return self
        scale = 1 / self.view.scale
        shape = (max(2, round(self.image.shape[0] * scale)), max(2, round(self.image.shape[1] * scale)))
        scale = shape[1] / self.image.shape[1]
        smaller = Similarity.resizing(scale)
        return replace(
            self,
            image=resized(self.image, shape),
            alpha=resized(self.alpha, shape),
            points=smaller(self.points),
            view=smaller.after(self.view),
            grain=self.grain * scale,
        )

    def flipped(self) -> Placed:
        """Give its mirror image; the view is that of the picture before, so lay it anew."""
        image, alpha = (np.ascontiguousarray(part[:, ::-1]) for part in (self.image, self.alpha))
        return replace(self, image=image, alpha=alpha, points=mirrored(self.points, self.image.shape[1]))

    def shown(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Read picture and alpha at its pixels x, y, mirrored at the rim."""
        height, width = self.alpha.shape
        x, y = reflected(x, width), reflected(y, height)
        return sampled(self.image, x, y), sampled(self.alpha, x, y, cubic=False)

    def seen_from(self, shape: tuple[int, int]) -> tuple[Array, Array]:
        """Return where in its picture each pixel of the frame (h, w) looks: x and y."""
        columns, rows = np.meshgrid(
            np.arange(shape[1], dtype=np.float64), np.arange(shape[0], dtype=np.float64)
        )
        there = self.view(np.stack([columns.ravel(), rows.ravel()], 1)).reshape(*shape, 2).astype(np.float32)
        return np.ascontiguousarray(there[..., 0]), np.ascontiguousarray(there[..., 1])

    def in_frame(self, shape: tuple[int, int]) -> Placed:
        """Give all that the frame (h, w) shows of it, as a picture of that size."""
        if self.view == Similarity() and self.alpha.shape == shape:
            return self
        image, alpha = self.shown(*self.seen_from(shape))
        grain = self.grain / self.view.scale
        return replace(self, image=image, alpha=alpha, points=self.seen, view=Similarity(), grain=grain)


def laid_on(guest: Placed, canvas: Placed) -> Placed:
    """Lay a guest's face on the canvas', mirrored where they look to different sides."""
    here, there = turn(canvas.points), turn(guest.points)
    if here * there < 0 and abs(here - there) > _MIRROR_FROM:
        guest = guest.flipped()
    view = Similarity.between(guest.points, canvas.seen).inverse()
    return replace(guest, view=view).fitted()


def apart(canvas: Placed, guest: Placed) -> float:
    """Return how far two faces are turned apart, in units of the nose; a mirror image counts as well."""
    here, there = turn(canvas.points), turn(guest.points)
    return min(abs(here - there), abs(here + there))
