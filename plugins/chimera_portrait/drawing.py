"""Two faces become one: the guest's face grows into the canvas' head."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from chimera_core.api import blend_pyramids, blurred, resized, sampled, sharpened, smoothstep
from chimera_portrait.frames import FaceFrame, Points, Similarity, mirrored, turn
from chimera_portrait.seam import Outline, cheapest
from chimera_portrait.shares import Shares
from chimera_portrait.warping import Window, bent, reflected, window_around

Array = np.ndarray[Any, np.dtype[np.float32]]

# Seams are found at this many pixels per unit, whatever the size: so a creature stays the same.
_SEAM_UNIT = 48.0
# What is coarser than this, in units (sigma), is mixed; what is finer comes from one picture.
_COARSE = 0.14
# Faces turned apart by more than the first keep more of the canvas' shape, and from the last on nearly all of it.
_APART, _FAR_APART, _STIFFEST = 0.2, 0.6, 0.7
_MIRROR_FROM = 0.15
# Hairs are finer than this, in units (sigma).
_HAIR = 0.04
# The canvas' coat beyond the face goes this far to the guest's colours, less with the distance in units; and no further
# than this in pixel values, for a mask may be wrong.
_NEAR_COAT, _FAR_COAT, _FAR_FROM, _FAR_TO, _MOST_SHIFT = 1.0, 0.25, 1.2, 3.7, 0.3
# How much of their own light and colour mouth, nose and eyes keep around, and lips and irises.
_KEPT_AROUND, _KEPT_INSIDE = (0.5, 0.8, 0.4), 0.9


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

    def in_frame(self, shape: tuple[int, int]) -> Placed:
        """Give all that the frame (h, w) shows of it, as a picture of that size."""
        if self.view == Similarity() and self.alpha.shape == shape:
            return self
        columns, rows = np.meshgrid(
            np.arange(shape[1], dtype=np.float64), np.arange(shape[0], dtype=np.float64)
        )
        there = self.view(np.stack([columns.ravel(), rows.ravel()], 1)).reshape(*shape, 2).astype(np.float32)
        image, alpha = self.shown(there[..., 0], there[..., 1])
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
    """Tell how far two faces are turned apart, in units of the nose; a mirror image counts as well."""
    here, there = turn(canvas.points), turn(guest.points)
    return min(abs(here - there), abs(here + there))


def draw(canvas: Placed, guest: Placed, shares: Shares) -> Placed:
    """Draw one face of two.

    Args:
        canvas: a picture of the frame's size, its view the identity: head, ears and surroundings are its own.
        guest: laid on it.
        shares: the guest's part.
    Returns:
        The creature, as a picture of the frame's size with the points of its face.
    Source: ours; two bands after Burt and Adelson 1983, shape after Bookstein 1989.
    """
    stiff = _STIFFEST * float(smoothstep((apart(canvas, guest) - _APART) / (_FAR_APART - _APART)))
    share = shares.shape * (1 - stiff)
    shape = (1 - share) * canvas.points + share * guest.seen
    window = window_around(shape, canvas.alpha.shape)
    faces = _Faces.of(canvas, guest, shape, window)
    shift = faces.colour_shift(shares) if canvas.is_fur else np.zeros(3, np.float32)
    image = _recoloured(canvas, shape, shift)
    left, top, right, bottom = window
    image[top:bottom, left:right] = faces.mixed(shares, image[top:bottom, left:right], shift)
    alpha = canvas.alpha.copy()
    alpha[top:bottom, left:right] = faces.canvas_alpha
    return replace(canvas, image=image, alpha=alpha, points=shape)


def _recoloured(canvas: Placed, shape: Points, shift: Array) -> Array:
    """Move the canvas' coat by a colour (3,), less far from the face."""
    if not shift.any():
        return canvas.image.copy()
    reach = _coat(canvas.alpha, FaceFrame.of(shape).unit) * _reach(shape, canvas.alpha.shape)
    return np.asarray(np.clip(canvas.image + shift * reach[..., None], 0, 1), np.float32)


def _coat(alpha: Array, unit: float) -> Array:
    """Leave out an outline's rim, where hairs stand before the surroundings: another colour there is a halo."""
    return smoothstep((blurred(alpha, 0.06 * unit) - 0.6) / 0.35)


def _reach(shape: Points, frame: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> Array:
    face = FaceFrame.of(shape)
    rows, columns = np.mgrid[: frame[0], : frame[1]].astype(np.float32)
    x, y = columns + np.float32(corner[0] - face.origin[0]), rows + np.float32(corner[1] - face.origin[1])
    far = smoothstep((np.hypot(x, y) / np.float32(face.unit) - _FAR_FROM) / (_FAR_TO - _FAR_FROM))
    return np.asarray(_NEAR_COAT + (_FAR_COAT - _NEAR_COAT) * far, np.float32)


@dataclass(frozen=True, eq=False)
class _Faces:
    """Both faces in the common shape, in a window of the frame; ``shape`` in its pixels.

    ``depth``: pixels inside the seam; ``covered``: how far, in units, every pixel lies inside the guest's picture.
    """

    canvas: Array
    canvas_alpha: Array
    guest: Array
    guest_alpha: Array
    covered: Array
    shape: Points
    corner: tuple[int, int]
    depth: Array

    @classmethod
    def of(cls, canvas: Placed, guest: Placed, shape: Points, window: Window) -> _Faces:
        """Carry both into the common shape, and find the seam."""
        own, own_alpha = canvas.shown(*bent(shape, canvas.points, canvas.view, window, still=True))
        x, y = bent(shape, guest.points, guest.view, window, still=False)
        other, other_alpha = guest.shown(x, y)
        # A guest that is enlarged more than the canvas would be the blurred part of the face.
        other = sharpened(other, max(1.0, guest.grain / guest.view.scale / max(canvas.grain, 1.0)))
        height, width = guest.alpha.shape
        rim = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
        unit = FaceFrame.of(shape).unit
        covered = rim / np.float32(guest.view.scale * unit)
        left, top = window[:2]
        local = shape - (left, top)
        depth = _seam_depth(own, other, other_alpha, covered, local)
        return cls(own, own_alpha, other, other_alpha, covered, local, (left, top), depth)

    @property
    def unit(self) -> float:
        return FaceFrame.of(self.shape).unit

    def colour_shift(self, shares: Shares) -> Array:
        """Tell by how much the canvas' coat is to move so that it meets the mixed face: float32 (3,)."""
        features = np.maximum.reduce([self._eyes(), self._nose(), self._mouth()])
        plain = (self.depth > 0.1 * self.unit) & (features < 0.1) & (self.covered > 0.05)
        if plain.sum() < 16:
            return np.zeros(3, np.float32)
        apart = self.guest[plain].mean(0) - self.canvas[plain].mean(0)
        light = apart.mean()
        return np.asarray(
            np.clip(light * shares.light + (apart - light) * shares.chroma, -_MOST_SHIFT, _MOST_SHIFT),
            np.float32,
        )

    def mixed(self, shares: Shares, around: Array, shift: Array) -> Array:
        """Draw the window: coarse light and colours mixed, every region's detail from one of both.

        Args:
            shares: the guest's part.
            around: float32 (h, w, 3), the recoloured canvas, unbent.
            shift: float32 (3,), by which it was recoloured.
        """
        unit = self.unit
        eyes, nose, mouth = self._eyes(), self._nose(), self._mouth()
        # Well inside the face all is face, whatever the outline.
        core = smoothstep((self.depth / unit - 0.25) / 0.35)
        solid = np.maximum(blurred(self.canvas_alpha, 0.04 * unit), core)
        # A short chin must not cut off the guest's mouth.
        features = np.maximum(eyes, mouth)
        inside = smoothstep(self.depth / unit / 0.1 + 0.5) * np.minimum(1, 1.2 * solid)
        inside = np.maximum(inside, features) * smoothstep((self.covered - 0.02) / 0.18)
        wide = smoothstep((self.depth / unit + 0.45) / 0.7) * solid
        wide *= np.minimum(1, 1.2 * np.maximum(self.guest_alpha, core))
        wide = np.maximum(wide, features) * smoothstep(self.covered / 0.4)
        low_canvas, low_guest = (blurred(p, _COARSE * unit) for p in (self.canvas, self.guest))
        detail_canvas, detail_guest = self.canvas - low_canvas, self.guest - low_guest
        if shares.fur > 0:
            detail_guest = self._furred(detail_guest, shares.fur)

        coat = self._coat_share(shares, detail_canvas, detail_guest)
        regions = ((mouth, shares.mouth), (nose, shares.nose), (eyes, shares.eyes))
        detail_share = coat
        for region, share in regions:
            detail_share = detail_share * (1 - region) + share * region
        irises, lips = self._irises(), self._lips()

        def coarse_share(base: float) -> Array:
            mix = np.full(self.depth.shape, base, np.float32)
            for (region, share), own in zip(regions, _KEPT_AROUND, strict=True):
                mix += (share - mix) * own * region
            for region, share in ((irises, shares.eyes), (lips, shares.mouth)):
                mix += (share - mix) * _KEPT_INSIDE * region
            return mix[..., None]

        light, chroma = coarse_share(shares.light), coarse_share(shares.chroma)
        grey_canvas, grey_guest = (low.mean(-1, keepdims=True) for low in (low_canvas, low_guest))
        low = grey_canvas * (1 - light) + grey_guest * light
        low = low + (low_canvas - grey_canvas) * (1 - chroma) + (low_guest - grey_guest) * chroma
        reach = _coat(self.canvas_alpha, unit) * _reach(
            self.shape + self.corner, self.depth.shape, self.corner
        )
        outside = low_canvas + shift * reach[..., None]
        low = outside * (1 - wide[..., None]) + low * wide[..., None]
        fine = _blended(
            detail_canvas,
            detail_guest,
            detail_share * inside,
            levels=max(1, round(math.log2(0.12 * unit + 1))),
        )
        drawn = np.clip(low + fine, 0, 1)
        # Far from the face the canvas stands still, to the pixel.
        still = smoothstep((self._distance() - 2.3) / 0.3)[..., None]
        return np.asarray(drawn * (1 - still) + around * still, np.float32)

    def _furred(self, detail: Array, amount: float) -> Array:
        """Let the canvas' fur grow over the guest's skin, but for eyes and lips; hairs come from forehead and cheeks."""
        unit, face = self.unit, FaceFrame.of(self.shape)
        hairs = self.canvas - blurred(self.canvas, _HAIR * unit)
        rows, columns = np.mgrid[: self.depth.shape[0], : self.depth.shape[1]].astype(np.float32)

        def from_there(across: Any, down: float) -> Array:
            x = columns + unit * (across * face.across[0] + down * face.down[0])
            y = rows + unit * (across * face.across[1] + down * face.down[1])
            return np.asarray(
                cv2.remap(
                    hairs,
                    x.astype(np.float32),
                    y.astype(np.float32),
                    cv2.INTER_CUBIC,
                    borderMode=cv2.BORDER_REFLECT_101,
                )
            )

        x, y = self._away(self.shape[3])
        side = np.where(x * face.across[0] + y * face.across[1] < 0, -0.65, 0.65)
        grown = self._mouth()[..., None]
        hair = from_there(0.0, -0.8) * (1 - grown) + from_there(side, -0.3) * grown
        bare = np.maximum(self._lips(), self._irises())[..., None]
        fine = self.guest - blurred(self.guest, _HAIR * unit)
        return np.asarray(detail + amount * (1 - bare) * (hair - 0.6 * fine), np.float32)

    def _coat_share(self, shares: Shares, detail_canvas: Array, detail_guest: Array) -> Array:
        if not shares.salient:
            return np.full(self.depth.shape, shares.coat, np.float32)
        own, other = (blurred(np.abs(d).mean(-1), 0.2 * self.unit) for d in (detail_canvas, detail_guest))
        logits = 5 * (np.log(other + 0.004) - np.log(own + 0.004)) + shares.coat_bias
        return np.asarray(shares.coat / (1 + np.exp(-logits)), np.float32)

    def _eyes(self) -> Array:
        """Soft mask of eyes and brows."""
        lift = -0.15 * FaceFrame.of(self.shape).unit * FaceFrame.of(self.shape).down
        left, right = (self._blob(point + lift, 0.35, 0.41, 0.3) for point in self.shape[:2])
        return np.maximum(left, right)

    def _nose(self) -> Array:
        face = FaceFrame.of(self.shape)
        return self._blob(self.shape[2] - 0.1 * face.unit * face.down, 0.34, 0.36, 0.4)

    def _mouth(self) -> Array:
        face = FaceFrame.of(self.shape)
        return self._blob(self.shape[3] + 0.08 * face.unit * face.down, 0.5, 0.3, 0.4)

    def _irises(self) -> Array:
        return np.maximum(*(self._blob(point, 0.27, 0.17, 0.5) for point in self.shape[:2]))

    def _lips(self) -> Array:
        return self._blob(self.shape[3], 0.34, 0.17, 0.4)

    def _blob(self, middle: Points, half_width: float, half_height: float, soft: float = 0.35) -> Array:
        """Soft mask of an ellipse in the face's axes; sizes in units."""
        face = FaceFrame.of(self.shape)
        x, y = self._away(middle)
        across = (x * face.across[0] + y * face.across[1]) / np.float32(half_width * face.unit)
        down = (x * face.down[0] + y * face.down[1]) / np.float32(half_height * face.unit)
        return smoothstep((1 + soft - np.hypot(across, down)) / (2 * soft))

    def _distance(self) -> Array:
        """Distance of every pixel from between the eyes, in units."""
        face = FaceFrame.of(self.shape)
        return np.asarray(np.hypot(*self._away(face.origin)) / np.float32(face.unit), np.float32)

    def _away(self, point: Points) -> tuple[Array, Array]:
        rows, columns = np.mgrid[: self.depth.shape[0], : self.depth.shape[1]].astype(np.float32)
        return columns - np.float32(point[0]), rows - np.float32(point[1])


def _seam_depth(canvas: Array, guest: Array, guest_alpha: Array, covered: Array, shape: Points) -> Array:
    """Find the seam small, and tell for every pixel how far inside it is."""
    height, width = covered.shape
    scale = min(1.0, _SEAM_UNIT / FaceFrame.of(shape).unit)
    small = (max(8, round(height * scale)), max(8, round(width * scale)))
    outline = Outline.expected(shape)
    there = outline.scaled(scale)
    own, other = (blurred(resized(picture, small), 1.5) for picture in (canvas, guest))
    face = there.stretched(0.8).depth(small) > 0
    if face.any():
        # Colours are brought together later: the seam only looks at what differs in structure.
        other = (other - other[face].mean(0)) / (other[face].std(0) + 0.05) * (own[face].std(0) + 0.05) + own[
            face
        ].mean(0)
    grey = own.mean(-1)
    edges = np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))
    edges = np.minimum(edges / (np.quantile(edges, 0.95) + 1e-6), 1.2)
    bare = resized(covered < 0.03, small)
    cost = (
        np.abs(own - other).sum(-1) + 2 * bare + 0.8 * (1 - resized(guest_alpha, small)) - 0.12 * edges + 0.2
    )
    shares = cheapest(there, np.asarray(np.maximum(cost, 0), np.float32))
    return outline.stretched(shares).depth((height, width))


def _blended(below: Array, above: Array, share: Array, *, levels: int) -> Array:
    """Blend details, which have signs, by pyramids: `blend_pyramids` clips to [0, 1], so both are moved to its middle."""
    made = blend_pyramids(below / 2 + 0.5, above / 2 + 0.5, np.asarray(share, np.float32), levels=levels)
    return np.asarray((made - 0.5) * 2, np.float32)
