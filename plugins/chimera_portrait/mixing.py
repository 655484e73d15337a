"""Coarse light and colours of two faces mixed, and every region's detail taken from one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from chimera_core.api import blend_pyramids, blurred, resized, sharpened, smoothstep
from chimera_portrait.frames import FaceFrame, Points, Similarity
from chimera_portrait.placed import Placed
from chimera_portrait.regions import Regions
from chimera_portrait.seam import seam_depth
from chimera_portrait.shares import Shares
from chimera_portrait.warping import Window, bent

Array = np.ndarray[Any, np.dtype[np.float32]]

# Masks and what is coarse need no more pixels per unit than this.
_UNIT = 64.0
# What is coarser than this, in units (sigma), is mixed; what is finer comes from one picture. Hairs are finer than that.
_COARSE, _HAIR = 0.14, 0.04
# How much of their own light and colour mouth, nose and eyes keep around, and lips and irises.
_KEPT_AROUND, _KEPT_INSIDE = (0.3, 0.3, 0.1), (0.3, 0.8)
# A person's eyes in fur keep more of theirs: white must stay white.
_KEPT_AROUND_PERSON, _KEPT_INSIDE_PERSON = (0.3, 0.3, 0.4), (0.3, 0.9)
# ... but of their colour only within: skin round the eyes is a patch.
_COLOUR_AROUND_PERSON = (0.2, 0.2, 0.1)
# The most that the canvas' coat moves, in pixel values, and the fewest pixels that its colour is known from.
_MOST_SHIFT, _FEWEST = 0.2, 16
# A coat goes this far of the way: less is one animal as well, and keeps its own depth.
_SHIFTED = 0.75
# A guest enlarged this much more than the canvas is blurred beside it.
_BLURRED = 3.0
# How far a person's skin goes to the coat's light and hue, as powers of their ratios, which are taken within bounds.
_TONED_LIGHT, _TONED_HUE = 0.38, 0.5
_LIGHTS, _HUES = (0.1, 3.0), (0.5, 2.0)
# A coat's choice is this steep in the log of the energies; this much, in pixel values, is no detail.
_STEEPNESS, _NOISE = 5.0, 0.004
# Where hairs for skin come from, in units: above the eyes, and beside the mouth.
_ABOVE, _BESIDE = (0.0, -0.8), (0.65, -0.3)
# How far skin's light and chroma are off those of the nose, in pixel values.
_SKIN_LIGHT, _SKIN_CHROMA = 0.3, 0.12
# The guest's eyes go first unless they show less than this of the detail, finer than so many units, of the canvas' eyes.
_CLEARER, _EYE_DETAIL = 0.8, 0.05
# Hairs are no stronger than this, in pixel values: markings are.
_HAIRS = 0.06
# How much of the skin's own finest detail goes where hairs grow.
_SHAVED = 0.6


@dataclass(frozen=True, eq=False)
class Pair:
    """Two faces in one shape, in a window of the frame.

    ``details`` are the pictures themselves, canvas and guest, float32 (H, W, 3), ``opacity`` (H, W) the canvas' alpha. All
    else is smooth, so it is as small as ``_UNIT`` allows: ``canvas`` and ``guest`` (h, w, 3), their alphas, ``depth``: units
    inside the seam, ``covered``: units inside the guest's picture, each (h, w), and the common shape's ``regions``. ``blur``:
    how much more than the canvas the guest was enlarged.
    """

    details: tuple[Array, Array]
    opacity: Array
    canvas: Array
    canvas_alpha: Array
    guest: Array
    guest_alpha: Array
    regions: Regions
    depth: Array
    covered: Array
    blur: float

    @classmethod
    def carried(cls, canvas: Placed, guest: Placed, points: Points, window: Window) -> Pair:
        """Carry both into the shape of ``points`` (5, 2) in the frame, and find the seam."""
        own, own_alpha = canvas.shown(*bent(points, canvas.points, canvas.view, window, still=True))
        x, y = bent(points, guest.points, guest.view, window, still=False)
        other, other_alpha = guest.shown(x, y)
        # A guest that is enlarged more than the canvas would be the blurred part of the face.
        blur = guest.grain / guest.view.scale / max(canvas.grain, 1.0)
        other = sharpened(other, max(1.0, blur))
        height, width = guest.alpha.shape
        rim = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
        here = points - window[:2]
        unit = FaceFrame.of(here).unit
        inside = np.clip(rim / np.float32(guest.view.scale * unit) + 0.5, 0, 1)

        scale = min(1.0, _UNIT / unit)
        small = (max(8, round(own_alpha.shape[0] * scale)), max(8, round(own_alpha.shape[1] * scale)))
        canvas_small, canvas_alpha, guest_small, guest_alpha, covered = (
            resized(part, small) for part in (own, own_alpha, other, other_alpha, inside)
        )
        covered = covered - np.float32(0.5)
        regions = Regions(Similarity.resizing(small[1] / own_alpha.shape[1])(here), small)
        depth = seam_depth(canvas_small, guest_small, guest_alpha, covered, regions.points)
        return cls(
            (own, other),
            own_alpha,
            canvas_small,
            canvas_alpha,
            guest_small,
            guest_alpha,
            regions,
            depth,
            covered,
            blur,
        )

    @property
    def guest_is_blurred(self) -> bool:
        """Whether the guest has far fewer pixels for its face than the canvas."""
        return self.blur > _BLURRED

    def enlarged(self, part: Array) -> Array:
        """Give (h, w) or (h, w, 3) in [0, 1] the size of the details."""
        return resized(part, self.opacity.shape)

    @property
    def unit(self) -> float:
        """Pixels per unit of the face."""
        return self.regions.frame.unit

    @cached_property
    def canvas_low(self) -> Array:
        """The canvas' coarse light and colours, float32 (h, w, 3)."""
        return blurred(self.canvas, _COARSE * self.unit)

    @cached_property
    def guest_low(self) -> Array:
        """The guest's."""
        return blurred(self.guest, _COARSE * self.unit)

    @cached_property
    def _means(self) -> tuple[Array, Array]:
        """Mean colours (3,) of the canvas' and the guest's plain coat or skin; alike where none is in sight."""
        features = np.maximum.reduce([self.regions.eyes, self.regions.nose, self.regions.mouth])
        plain = (self.depth > 0.1) & (features < 0.1) & (self.covered > 0.05)
        if plain.sum() < _FEWEST:
            return np.full(3, 0.5, np.float32), np.full(3, 0.5, np.float32)
        return self.canvas[plain].mean(0), self.guest[plain].mean(0)

    def toned(self) -> Pair:
        """Give the pair with the guest's skin nearly as light and as coloured as the canvas' coat, for eyes in fur."""
        canvas, guest = self._means
        light = float(canvas.mean()) / max(float(guest.mean()), 1e-3)
        hue = canvas / np.maximum(guest, 1e-3) / max(light, 1e-3)
        # Products keep pupils black and leave whites of eyes nearly white.
        gains = np.clip(light, *_LIGHTS) ** _TONED_LIGHT * np.clip(hue, *_HUES) ** _TONED_HUE

        def tone(picture: Array) -> Array:
            return np.asarray(np.clip(gains * picture, 0, 1), np.float32)

        return replace(self, guest=tone(self.guest), details=(self.details[0], tone(self.details[1])))

    def colour_shift(self, shares: Shares) -> Array:
        """Tell by how much the canvas' coat is to move so that it meets the mixed face: float32 (3,)."""
        canvas, guest = self._means
        apart = guest - canvas
        light = apart.mean()
        shift = _SHIFTED * (light * shares.light + (apart - light) * shares.chroma)
        return np.asarray(np.clip(shift, -_MOST_SHIFT, _MOST_SHIFT), np.float32)

    def mixed(self, shares: Shares, coat: Array) -> Array:
        """Draw the window.

        Args:
            shares: the guest's part.
            coat: float32 (h, w, 3), small: coarse light and colours of the canvas beyond the face.
        Returns:
            float32 (H, W, 3) in [0, 1].
        """
        sharp, wide = self._insides()
        low = coat * (1 - wide[..., None]) + self._coarse(shares) * wide[..., None]
        share = self._coat_share(shares)
        for region, part in self._parts(shares):
            share = share * (1 - region) + part * region
        own, other = (
            picture - self.enlarged(coarse)
            for picture, coarse in zip(self.details, (self.canvas_low, self.guest_low), strict=True)
        )
        if shares.fur > 0:
            other = other + shares.fur * self._fur()
        # `blend_pyramids` clips to [0, 1]; details have signs.
        fine = blend_pyramids(
            np.asarray(own / 2 + 0.5, np.float32),
            np.asarray(other / 2 + 0.5, np.float32),
            self.enlarged(share * sharp),
            levels=max(
                1, round(math.log2(0.12 * self.unit * self.opacity.shape[1] / self.depth.shape[1] + 1))
            ),
        )
        return np.asarray(np.clip(self.enlarged(low) + 2 * fine - 1, 0, 1), np.float32)

    def _parts(self, shares: Shares) -> tuple[tuple[Array, float], ...]:
        """The features' regions with the guest's part in each."""
        eyes = self.regions.eyes
        if shares.skin_in_fur:
            eyes = np.maximum(eyes * self._skin, self.regions.irises)
        return (
            (self.regions.mouth, shares.mouth),
            (self.regions.nose, shares.nose),
            (eyes, shares.clear_eyes if self._guest_sees_clearer else shares.eyes),
        )

    @cached_property
    def _skin(self) -> Array:
        """Where the guest's colour is about that of its nose: hair and hats that hang before a brow stay out."""
        soft = blurred(self.guest, 0.1 * self.unit)
        bare = (self.regions.nose > 0.5) & (self.covered > 0)
        if not bare.any():
            return np.ones_like(self.depth)
        off = soft - soft[bare].mean(0)
        light = off.mean(-1, keepdims=True)
        apart = np.abs(light[..., 0]) / _SKIN_LIGHT + np.abs(off - light).max(-1) / _SKIN_CHROMA
        return smoothstep((1 - apart) / 0.5 + 0.5)

    @cached_property
    def _guest_sees_clearer(self) -> bool:
        """Whether the guest's eyes show nearly as much as the canvas', or more: a panda's are black in black."""
        middles = self.regions.irises > 0.9
        if not middles.any():
            return False
        own, other = (
            float(np.abs(grey - blurred(grey, _EYE_DETAIL * self.unit))[middles].mean())
            for grey in (self.canvas.mean(-1), self.guest.mean(-1))
        )
        return other > _CLEARER * own

    def _insides(self) -> tuple[Array, Array]:
        """Masks of the face that the guest may enter: a sharp one for detail, a wide one for what is coarse."""
        # Well inside the face all is face, whatever the outlines; and a short chin must not cut off the guest's mouth.
        core = smoothstep((self.depth - 0.25) / 0.35)
        solid = np.maximum(blurred(self.canvas_alpha, 0.04 * self.unit), core)
        features = np.maximum(self.regions.eyes, self.regions.mouth)
        head = np.minimum(1, 1.2 * np.maximum(self.guest_alpha, core))
        sharp = smoothstep(self.depth / 0.4 + 0.5) * np.minimum(1, 1.2 * solid) * head
        wide = smoothstep((self.depth + 0.75) / 1.2) * solid * head
        return (
            np.maximum(sharp, features) * smoothstep((self.covered - 0.02) / 0.18),
            np.maximum(wide, features) * smoothstep(self.covered / 0.4),
        )

    def _coarse(self, shares: Shares) -> Array:
        """Mix light and colours, each region nearer to where its detail comes from."""
        parts = self._parts(shares)
        inner = parts[0][1], parts[2][1]
        around, inside = (
            (_KEPT_AROUND_PERSON, _KEPT_INSIDE_PERSON) if shares.skin_in_fur else (_KEPT_AROUND, _KEPT_INSIDE)
        )

        def share(base: float, around: tuple[float, ...]) -> Array:
            mix = np.full(self.depth.shape, base, np.float32)
            for (region, part), kept in zip(parts, around, strict=True):
                mix += (part - mix) * kept * region
            for region, part, kept in zip(
                (self.regions.lips, self.regions.irises), inner, inside, strict=True
            ):
                mix += (part - mix) * kept * region
            return mix[..., None]

        light = share(shares.light, around)
        chroma = share(shares.chroma, _COLOUR_AROUND_PERSON if shares.skin_in_fur else around)
        grey_own, grey_other = (low.mean(-1, keepdims=True) for low in (self.canvas_low, self.guest_low))
        grey = grey_own * (1 - light) + grey_other * light
        colour = (self.canvas_low - grey_own) * (1 - chroma) + (self.guest_low - grey_other) * chroma
        return np.asarray(grey + colour, np.float32)

    def _coat_share(self, shares: Shares) -> Array:
        """Return where the guest's coat goes before the canvas': where it has more detail."""
        if not shares.salient:
            return np.full(self.depth.shape, shares.coat, np.float32)
        pictures = ((self.canvas, self.canvas_low), (self.guest, self.guest_low))
        energies = (blurred(np.abs(p - low).mean(-1), 0.2 * self.unit) + _NOISE for p, low in pictures)
        less, more = (np.log(np.maximum(energy, 1e-6)) for energy in energies)
        return np.asarray(
            shares.coat / (1 + np.exp(-_STEEPNESS * (more - less) - shares.coat_bias)), np.float32
        )

    def _fur(self) -> Array:
        """Give the hairs that grow over the guest's skin, but for lips and irises, less the skin's own detail."""
        own, other = self.details
        fine = _HAIR * self.unit * own.shape[1] / self.canvas.shape[1]
        hairs, skin = np.clip(own - blurred(own, fine), -_HAIRS, _HAIRS), other - blurred(other, fine)
        across, _ = self.regions.along(self.regions.points[3])
        # Which cheek is nearer changes at once in the middle, where lips are anyway.
        left = self.enlarged(np.asarray(across < 0, np.float32))[..., None]
        mouth = self.enlarged(self.regions.mouth)[..., None]
        beside = self._moved(hairs, -_BESIDE[0], _BESIDE[1]) * left
        beside = beside + self._moved(hairs, *_BESIDE) * (1 - left)
        hair = self._moved(hairs, *_ABOVE) * (1 - mouth) + beside * mouth
        bare = self.enlarged(np.maximum(self.regions.lips, self.regions.irises))[..., None]
        return np.asarray((1 - bare) * (hair - _SHAVED * skin), np.float32)

    def _moved(self, detail: Array, across: float, down: float) -> Array:
        """Shift signed detail (H, W, 3) by so many units, mirrored at the window's rim."""
        face = self.regions.frame
        pixels = face.unit * detail.shape[1] / self.canvas.shape[1]
        x, y = pixels * (across * face.across + down * face.down)
        shift = np.array([[1, 0, -x], [0, 1, -y]])
        moved = cv2.warpAffine(
            detail, shift, detail.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        return np.asarray(moved, np.float32)
