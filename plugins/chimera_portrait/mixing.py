"""Coarse light and colours of two faces mixed, and every region's detail taken from one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from chimera_core.api import blend_pyramids, blurred, sampled, sharpened, smoothstep
from chimera_portrait.frames import Points
from chimera_portrait.placed import Placed
from chimera_portrait.regions import Regions
from chimera_portrait.seam import seam_depth
from chimera_portrait.shares import Shares
from chimera_portrait.warping import Window, bent, reflected

Array = np.ndarray[Any, np.dtype[np.float32]]

# What is coarser than this, in units (sigma), is mixed; what is finer comes from one picture. Hairs are finer than that.
_COARSE, _HAIR = 0.14, 0.04
# How much of their own light and colour mouth, nose and eyes keep around, and lips and irises.
_KEPT_AROUND, _KEPT_INSIDE = (0.3, 0.3, 0.1), (0.3, 0.8)
# A person's eyes in fur keep more of theirs: white must stay white.
_KEPT_AROUND_PERSON, _KEPT_INSIDE_PERSON = (0.3, 0.3, 0.4), (0.3, 0.9)
# The most that the canvas' coat moves, in pixel values, and the fewest pixels that its colour is known from.
_MOST_SHIFT, _FEWEST = 0.3, 16
# A coat's choice is this steep in the log of the energies; this much, in pixel values, is no detail.
_STEEPNESS, _NOISE = 5.0, 0.004
# Where hairs for skin come from, in units: above the eyes, and beside the mouth.
_ABOVE, _BESIDE = (0.0, -0.8), (0.65, -0.3)
# Skin's light, in pixel values off that of the nose; and by how much the guest's eyes must show more to count as clearer.
_SKIN_RANGE, _CLEARER = 0.25, 1.25
# How much of the skin's own finest detail goes where hairs grow.
_SHAVED = 0.6


@dataclass(frozen=True, eq=False)
class Pair:
    """Two faces in one shape, in a window of the frame.

    ``canvas`` and ``guest`` are float32 (h, w, 3), their alphas (h, w). ``regions`` of the common shape. ``depth``: units
    inside the seam; ``covered``: units inside the guest's picture.
    """

    canvas: Array
    canvas_alpha: Array
    guest: Array
    guest_alpha: Array
    regions: Regions
    depth: Array
    covered: Array

    @classmethod
    def carried(cls, canvas: Placed, guest: Placed, points: Points, window: Window) -> Pair:
        """Carry both into the shape of ``points`` (5, 2) in the frame, and find the seam."""
        own, own_alpha = canvas.shown(*bent(points, canvas.points, canvas.view, window, still=True))
        x, y = bent(points, guest.points, guest.view, window, still=False)
        other, other_alpha = guest.shown(x, y)
        # A guest that is enlarged more than the canvas would be the blurred part of the face.
        other = sharpened(other, max(1.0, guest.grain / guest.view.scale / max(canvas.grain, 1.0)))
        height, width = guest.alpha.shape
        rim = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y))
        regions = Regions(points - window[:2], own_alpha.shape)
        covered = np.asarray(rim / np.float32(guest.view.scale * regions.frame.unit), np.float32)
        depth = seam_depth(own, other, other_alpha, covered, regions.points)
        return cls(own, own_alpha, other, other_alpha, regions, depth, covered)

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

    def colour_shift(self, shares: Shares) -> Array:
        """Tell by how much the canvas' coat is to move so that it meets the mixed face: float32 (3,)."""
        features = np.maximum.reduce([self.regions.eyes, self.regions.nose, self.regions.mouth])
        plain = (self.depth > 0.1) & (features < 0.1) & (self.covered > 0.05)
        if plain.sum() < _FEWEST:
            return np.zeros(3, np.float32)
        apart = self.guest[plain].mean(0) - self.canvas[plain].mean(0)
        light = apart.mean()
        shift = light * shares.light + (apart - light) * shares.chroma
        return np.asarray(np.clip(shift, -_MOST_SHIFT, _MOST_SHIFT), np.float32)

    def mixed(self, shares: Shares, coat: Array) -> Array:
        """Draw the window.

        Args:
            shares: the guest's part.
            coat: float32 (h, w, 3), coarse light and colours of the canvas beyond the face.
        Returns:
            float32 (h, w, 3) in [0, 1].
        """
        sharp, wide = self._insides()
        low = coat * (1 - wide[..., None]) + self._coarse(shares) * wide[..., None]
        own, other = self.canvas - self.canvas_low, self.guest - self.guest_low
        share = self._coat_share(shares, own, other)
        if shares.fur > 0:
            other = other + shares.fur * self._fur()
        for region, part in self._parts(shares):
            share = share * (1 - region) + part * region
        # `blend_pyramids` clips to [0, 1]; details have signs.
        fine = blend_pyramids(
            np.asarray(own / 2 + 0.5, np.float32),
            np.asarray(other / 2 + 0.5, np.float32),
            np.asarray(share * sharp, np.float32),
            levels=max(1, round(math.log2(0.12 * self.unit + 1))),
        )
        return np.asarray(np.clip(low + 2 * fine - 1, 0, 1), np.float32)

    def _parts(self, shares: Shares) -> tuple[tuple[Array, float], ...]:
        """The features' regions with the guest's part in each."""
        eyes = self.regions.eyes
        if shares.fur > 0:
            eyes = np.maximum(eyes * self._skin, self.regions.irises)
        return (
            (self.regions.mouth, shares.mouth),
            (self.regions.nose, shares.nose),
            (eyes, shares.clear_eyes if self._guest_sees_clearer else shares.eyes),
        )

    @cached_property
    def _skin(self) -> Array:
        """Where the guest's light is about that of its nose and cheeks: hair that hangs before a brow stays out."""
        grey = blurred(self.guest.mean(-1), 0.1 * self.unit)
        bare = (self.regions.nose > 0.5) & (self.covered > 0)
        if not bare.any():
            return np.ones_like(grey)
        return smoothstep((_SKIN_RANGE - np.abs(grey - grey[bare].mean())) / 0.15 + 0.5)

    @cached_property
    def _guest_sees_clearer(self) -> bool:
        """Whether the guest's eyes have clearly more detail: a panda's are black in black."""
        irises = self.regions.irises > 0.5
        own, other = (
            float(np.abs(p.mean(-1) - low.mean(-1))[irises].mean()) if irises.any() else 0.0
            for p, low in ((self.canvas, self.canvas_low), (self.guest, self.guest_low))
        )
        return other > _CLEARER * own

    def _insides(self) -> tuple[Array, Array]:
        """Masks of the face that the guest may enter: a sharp one for detail, a wide one for what is coarse."""
        # Well inside the face all is face, whatever the outlines; and a short chin must not cut off the guest's mouth.
        core = smoothstep((self.depth - 0.25) / 0.35)
        solid = np.maximum(blurred(self.canvas_alpha, 0.04 * self.unit), core)
        features = np.maximum(self.regions.eyes, self.regions.mouth)
        head = np.minimum(1, 1.2 * np.maximum(self.guest_alpha, core))
        sharp = smoothstep(self.depth / 0.1 + 0.5) * np.minimum(1, 1.2 * solid) * head
        wide = smoothstep((self.depth + 0.45) / 0.7) * solid * head
        return (
            np.maximum(sharp, features) * smoothstep((self.covered - 0.02) / 0.18),
            np.maximum(wide, features) * smoothstep(self.covered / 0.4),
        )

    def _coarse(self, shares: Shares) -> Array:
        """Mix light and colours, each region nearer to where its detail comes from."""

        parts = self._parts(shares)
        inner = parts[0][1], parts[2][1]
        around, inside = (
            (_KEPT_AROUND_PERSON, _KEPT_INSIDE_PERSON) if shares.fur > 0 else (_KEPT_AROUND, _KEPT_INSIDE)
        )

        def share(base: float) -> Array:
            mix = np.full(self.depth.shape, base, np.float32)
            for (region, part), kept in zip(parts, around, strict=True):
                mix += (part - mix) * kept * region
            for region, part, kept in zip(
                (self.regions.lips, self.regions.irises), inner, inside, strict=True
            ):
                mix += (part - mix) * kept * region
            return mix[..., None]

        light, chroma = share(shares.light), share(shares.chroma)
        grey_own, grey_other = (low.mean(-1, keepdims=True) for low in (self.canvas_low, self.guest_low))
        grey = grey_own * (1 - light) + grey_other * light
        colour = (self.canvas_low - grey_own) * (1 - chroma) + (self.guest_low - grey_other) * chroma
        return np.asarray(grey + colour, np.float32)

    def _coat_share(self, shares: Shares, own: Array, other: Array) -> Array:
        """Tell where the guest's coat goes before the canvas': where it has more detail."""
        if not shares.salient:
            return np.full(self.depth.shape, shares.coat, np.float32)
        energies = (blurred(np.abs(d).mean(-1), 0.2 * self.unit) + _NOISE for d in (own, other))
        less, more = (np.log(np.maximum(energy, 1e-6)) for energy in energies)
        return np.asarray(
            shares.coat / (1 + np.exp(-_STEEPNESS * (more - less) - shares.coat_bias)), np.float32
        )

    def _fur(self) -> Array:
        """Give the hairs that grow over the guest's skin, but for lips and irises, less the skin's own detail."""
        regions = self.regions
        hairs = self.canvas - blurred(self.canvas, _HAIR * self.unit)
        across, _ = regions.along(regions.points[3])
        side = np.where(across < 0, -_BESIDE[0], _BESIDE[0])
        mouth = regions.mouth[..., None]
        hair = self._moved(hairs, *_ABOVE) * (1 - mouth) + self._moved(hairs, side, _BESIDE[1]) * mouth
        skin = self.guest - blurred(self.guest, _HAIR * self.unit)
        bare = np.maximum(regions.lips, regions.irises)[..., None]
        return np.asarray((1 - bare) * (hair - _SHAVED * skin), np.float32)

    def _moved(self, detail: Array, across: Any, down: float) -> Array:
        """Read signed detail (h, w, 3) so many units away, mirrored at the window's rim."""
        face, away = self.regions.frame, self.regions.away(np.zeros(2))
        x, y = (
            away[k] + np.float32(face.unit) * (across * face.across[k] + down * face.down[k]) for k in (0, 1)
        )
        x, y = (
            reflected(np.asarray(p, np.float32), size)
            for p, size in ((x, detail.shape[1]), (y, detail.shape[0]))
        )
        return 2 * sampled(np.asarray(detail / 2 + 0.5, np.float32), x, y) - 1
