"""What a photograph holds: its animal, the head, and where it could be cut."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from chimera_core.api import (
    FeatureEncoder,
    NeckCut,
    Parent,
    head_maps,
    head_mask,
    propose_cuts,
    resize_to,
    resized,
    smoothstep,
)
from chimera_parts.arrays import Array, grow

# Heads, cuts and seams are found at this longer side, whatever the result's size: so a creature stays the same.
WORKING_SIDE = 384
# Where the upper edge of a photograph cuts an animal over more than this share of its side length, the cut becomes a
# dome that falls by this share of its width.
_LEAST_CONTACT, _DOME = 0.3, 0.3
# Beyond a cut, a limb is a piece that large, as a share of the head, that far below it and so far from what looks like
# head, in its side lengths, and that looks so little like one.
_LEAST_LIMB, _BELOW_HEAD, _NEAR_HEAD = 0.06, 0.4, 0.1
_HEAD_SCORE, _LIMB_SCORE = 0.35, 0.12
# What lies off the head by this much, is this thick to its middle and is head with so little chance is body: a rump
# behind a dog that faces the camera, a paw, whoever holds it. Ears, horns and antlers are thinner; what is thin but hangs
# this far below the head's middle, a leash, goes, too. A rim this wide stays.
_OFF_FACE, _THICK, _BODY_CHANCE, _HANGS, _RIM_LEFT = 0.06, 0.1, 0.25, 0.3, 0.02
# Less is enough for what lies beside the head, no deeper beyond the cut than this share of it: an arm.
_THIN, _BESIDE = 0.055, 0.35
# The neck is what lies between the cut and this share of the head, the nearest; the head is this share of a piece at least.
_NEAR_CUT, _LEAST_FACE = 0.35, 0.12
# An outline that takes more of an animal than this for head is wrong, or there is hardly a body.
_MOST_HEAD = 0.6
# Where the outline was found, smaller scraps beside the head go, too.
_LEAST_SCRAP, _BESIDE_HEAD = 0.015, -0.3
# Shoulders beside a head: the face is taken without these shares of its pixels at both ends, so much of its width is left beside it, and they
# reach down to the cut, within this share of its length. A cut that would stay this wide or wider stays as it is.
_FACE_ENDS, _BESIDE_FACE, _AT_CUT, _LEAST_NARROWING = (0.02, 0.98), 0.1, 0.04, 0.9


@dataclass(frozen=True, eq=False)
class Animal:
    """A parent, looked at.

    ``image`` float32 (H, W, 3) and ``alpha`` (H, W) have the parent's own resolution; ``scores`` and ``chances`` (h, w), how
    much each pixel looks like head from afar and closely, the cuts and all points are in working pixels. ``has_ground``
    is False for a cut-out, ``hinted`` True where a user pointed at the head.
    """

    name: str
    image: Array
    alpha: Array
    scores: Array
    chances: Array
    cuts: tuple[NeckCut, ...]
    has_ground: bool
    hinted: bool = False
    _kept: dict[float, tuple[Array, Array]] = field(default_factory=dict, repr=False)

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) in working pixels."""
        return self.scores.shape[0], self.scores.shape[1]

    def at(self, scale: float) -> tuple[Array, Array]:
        """Give image and alpha at so many pixels per working pixel, or at the parent's own, if that is fewer."""
        key = round(scale, 3)
        if key not in self._kept:
            height, width = self.shape
            shape = (max(8, round(height * scale)), max(8, round(width * scale)))
            if shape[0] > self.image.shape[0]:
                shape = (self.image.shape[0], self.image.shape[1])
            self._kept[key] = resized(self.image, shape), resized(self.alpha, shape)
        return self._kept[key]

    @cached_property
    def working_alpha(self) -> Array:
        """Alpha in working pixels."""
        return resized(self.alpha, self.shape)

    @property
    def side(self) -> float:
        """Side length of the animal, the root of its area, in working pixels."""
        return math.sqrt(max(1.0, float((self.working_alpha > 0.5).sum())))

    @cached_property
    def heads(self) -> tuple[NeckCut, ...]:
        """The cuts as one takes a head off by them: without what is body beyond the cut.

        Where the animal gives its body, that goes with its old head, for nothing would hold it.
        """
        return tuple(_taken_off(cut, self.chances) for cut in self.cuts)

    def in_coat(self, image: Array) -> Animal:
        """The same animal, found alike, with other pixels: float32 (H, W, 3) in [0, 1]."""
        alpha = resized(self.alpha, (image.shape[0], image.shape[1]))
        return replace(self, image=image, alpha=alpha, _kept={})

    def described(self) -> dict[str, Any]:
        """Return what was found, in plain values: boxes and points as shares of the picture."""
        height, width = self.shape
        facts: dict[str, Any] = {"parent": self.name, "outline": None, "head": None, "neck": None}
        solid = self.working_alpha > 0.5
        if solid.any():
            facts["outline"] = {"box": _box_shares(solid), "share": round(float(solid.mean()), 4)}
        if self.cuts:
            best = self.cuts[0]
            facts["head"] = {"box": _box_shares(best.head), "share": round(self.head_share, 4)}
            facts["neck"] = {
                "nape": [round(float(v), 4) for v in (best.nape + 0.5) / (width, height)],
                "throat": [round(float(v), 4) for v in (best.throat + 0.5) / (width, height)],
                "confidence": round(self.confidence, 3),
            }
        return facts

    @property
    def confidence(self) -> float:
        """How well the head of one cut at least is expected to overlap the true one (IoU), in [0, 1].

        Where a user pointed at the head, which the expectation does not know of: at least the mean score of what it encloses.
        """
        if not self.cuts:
            return 0.0
        best = self.cuts[0]
        pointed = float(np.clip(self.scores[best.head].mean(), 0, 1)) if self.hinted else 0.0
        return max(pointed, *(cut.quality for cut in self.cuts))

    @property
    def lacks_crown(self) -> bool:
        """Whether the upper edge of a photograph cuts its best head: ears and crown are outside."""
        if not self.has_ground or not self.cuts:
            return False
        head = self.cuts[0].head
        return bool(head[:2].any(0).sum() > _LEAST_CONTACT * math.sqrt(float(head.sum())))

    @property
    def head_share(self) -> float:
        """Share of the animal in sight that its best head covers."""
        return self.cuts[0].area / max(1.0, float((self.working_alpha > 0.5).sum())) if self.cuts else 0.0


def look_at(
    encoder: FeatureEncoder,
    parent: Parent,
    mask: Tensor,
    *,
    gives_head: bool = False,
    hint: tuple[float, ...] | None = None,
    neck: tuple[float, ...] | None = None,
) -> Animal:
    """Find head and cuts in a parent's picture.

    Args:
        encoder: the default encoder.
        parent: with a picture, float (3, H, W) in [0, 1].
        mask: its animal's mask, float (1, H, W).
        gives_head: whether its head is what is wanted. A body is cut where the outline of its old head ends; a new head comes with
            some of its neck, its horns and its hair, whether that outline knows of them or not.
        hint: left, top, right, bottom of the head as shares of the picture: a prior, not an order.
        neck: x, y of both ends of the cut, as shares of the picture: likewise.
    """
    assert parent.image is not None
    height, width = parent.image.shape[-2:]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    shape = (max(16, round(height * scale)), max(16, round(width * scale)))
    small, small_mask = resize_to(parent.image, shape), resize_to(mask, shape)
    scores, *places = head_maps(encoder, small, small_mask).numpy()
    if hint is not None:
        scores = _with_hint(scores, hint)
    chances = head_mask(encoder, small, torch.from_numpy(scores)[None], small_mask)[0].numpy()
    # A body is cut where its old head ends, unless that would be nearly all of it.
    solid = small_mask[0].cpu().numpy() > 0.5
    is_body = not gives_head and (chances > 0.5)[solid].sum() < _MOST_HEAD * solid.sum()
    near = None
    if neck is not None:
        ends = np.array(neck).reshape(2, 2) * (shape[1], shape[0]) - 0.5
        near = (ends[0], ends[1])
    alpha = mask[0].cpu().numpy()
    if not parent.is_cutout:
        alpha = _rounded(alpha)
    return Animal(
        name=parent.name,
        image=np.ascontiguousarray(parent.image.cpu().permute(1, 2, 0).numpy()),
        alpha=alpha,
        scores=scores,
        chances=chances,
        cuts=tuple(
            _with_face(_narrowed(cut, chances) if gives_head else cut, chances)
            for cut in (
                _without_limbs(cut, scores, certain=parent.is_cutout)
                for cut in propose_cuts(
                    small_mask[0].cpu().numpy(),
                    scores,
                    places=np.stack(places),
                    head=chances if is_body or gives_head else None,
                    with_neck=gives_head,
                    near=near,
                )
            )
        ),
        has_ground=not parent.is_cutout,
        hinted=hint is not None,
    )


def _without_limbs(cut: NeckCut, scores: Array, *, certain: bool) -> NeckCut:
    """Leave out what lies beyond a straight cut, too, but far from what looks like head: forelegs, a chair behind it.

    Args:
        cut: between head and body.
        scores: how much each pixel looks like head.
        certain: whether the outline is; then only limbs, large and far below the head, go. Antlers stay in any case.
    """
    share, lowest = (_LEAST_LIMB, _BELOW_HEAD) if certain else (_LEAST_SCRAP, _BESIDE_HEAD)
    side = math.sqrt(max(1.0, cut.area))
    hot = (scores > _HEAD_SCORE) & cut.head
    if not hot.any():
        return cut
    pieces, count = ndimage.label(cut.head & ~grow(hot, _NEAR_HEAD * side))
    head, height = cut.head.copy(), float(np.nonzero(hot)[0].mean())
    for index in range(1, count + 1):
        piece = pieces == index
        below = (float(np.nonzero(piece)[0].mean()) - height) / side
        if piece.sum() > share * cut.area and below > lowest and scores[piece].mean() < _LIMB_SCORE:
            head &= ~piece
    return replace(cut, head=head)


def _with_face(cut: NeckCut, chances: Array) -> NeckCut:
    """Count what of a head is no neck, unless the outline of the head hardly agrees with the cut."""
    face = float(((chances > 0.5) & cut.head).sum())
    return replace(cut, face=face) if face >= _LEAST_FACE * cut.area else cut


def _narrowed(cut: NeckCut, chances: Array) -> NeckCut:
    """Leave out shoulders beside a head that a straight cut parts from their body: the cut becomes as wide as head or neck.

    Args:
        cut: between head and body.
        chances: with which chance each pixel is head.
    """
    along, middle = (cut.throat - cut.nape) / cut.length, cut.middle
    rows, columns = np.mgrid[: cut.head.shape[0], : cut.head.shape[1]]
    u = (columns - middle[0]) * along[0] + (rows - middle[1]) * along[1]
    v = (columns - middle[0]) * cut.toward[0] + (rows - middle[1]) * cut.toward[1]
    sure = (chances > 0.5) & cut.head
    if sure.sum() < max(1.0, _LEAST_FACE * cut.area):
        return cut
    low, high = np.quantile(u[sure & (v <= np.quantile(v[sure], _NEAR_CUT))], _FACE_ENDS)
    room = _BESIDE_FACE * (high - low)
    pieces, count = ndimage.label(cut.head & ~grow(sure, 1) & ((u < low - room) | (u > high + room)))
    head = cut.head.copy()
    for index in range(1, count + 1):
        piece = pieces == index
        if v[piece].min() < _AT_CUT * cut.length and chances[piece].mean() < _BODY_CHANCE:
            head &= ~piece
    rim = head & (v < v[head].min() + _AT_CUT * cut.length)
    first, last = float(u[rim].min()) - 0.5, float(u[rim].max()) + 0.5
    if last - first > _LEAST_NARROWING * cut.length:
        return replace(cut, head=head)
    return replace(cut, head=head, nape=middle + first * along, throat=middle + last * along)


def _taken_off(cut: NeckCut, chances: Array) -> NeckCut:
    """Leave out what lies beyond a straight cut, too, but is neither head nor the neck that leads to it: a haunch, paws."""
    side = math.sqrt(max(1.0, cut.area))
    sure = ndimage.binary_fill_holes((chances > 0.5) & cut.head)
    if sure.sum() < max(1.0, _LEAST_FACE * cut.area):
        return cut
    rows, columns = np.nonzero(sure)
    depth = columns * cut.toward[0] + rows * cut.toward[1]
    near = depth <= np.quantile(depth, _NEAR_CUT)
    points = np.concatenate([np.stack([columns, rows], 1)[near], np.round([cut.nape, cut.throat])])
    neck = cv2.fillConvexPoly(np.zeros(sure.shape, np.uint8), cv2.convexHull(points.astype(np.int32)), 1)
    pieces, count = ndimage.label(cut.head & ~grow(sure, _OFF_FACE * side) & ~grow(neck > 0, 1))
    head = cut.head.copy()
    for index in range(1, count + 1):
        piece = pieces == index
        thick = cv2.distanceTransform(piece.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max()
        hangs = np.nonzero(piece)[0].mean() > rows.mean() + _HANGS * side
        across, down = np.nonzero(piece)[::-1]
        beside = np.mean(across * cut.toward[0] + down * cut.toward[1]) < np.quantile(depth, _BESIDE)
        if (thick > (_THIN if beside else _THICK) * side or hangs) and chances[piece].mean() < _BODY_CHANCE:
            head &= ~grow(piece, (_OFF_FACE - _RIM_LEFT) * side) | sure
    # What hung together by what was left out would float beside the new neck.
    pieces, count = ndimage.label(head, np.ones((3, 3), int))
    if count > 1:
        head = pieces == 1 + int(np.bincount(pieces.ravel())[1:].argmax())
    return replace(cut, head=head)


def _rounded(alpha: Array) -> Array:
    """Round a head that the upper edge of its photograph cuts flat: it shall look like one where there is no edge."""
    touching = np.flatnonzero(alpha[:2].max(0) > 0.5)
    if len(touching) < _LEAST_CONTACT * math.sqrt(float((alpha > 0.5).sum())):
        return alpha
    left, right = int(touching[0]), int(touching[-1])
    radius = max(1.0, (right - left) / 2)
    rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    off = np.clip((columns - (left + right) / 2) / radius, -1, 1)
    depth = 2 * radius * _DOME * (1 - np.sqrt(1 - off * off))
    soft = max(1.0, radius / 30)
    return np.asarray(np.minimum(alpha, smoothstep((rows - depth) / soft + 0.5)), np.float32)


def _with_hint(scores: Array, hint: Sequence[float]) -> Array:
    """Raise the scores in a box that the user drew, lower them elsewhere."""
    height, width = scores.shape
    left, top, right, bottom = hint
    rows, columns = np.mgrid[:height, :width]
    x, y = (columns + 0.5) / width, (rows + 0.5) / height
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    return np.where(inside, np.maximum(scores, 0.6) + 0.2, 0.1 * scores).astype(np.float32)


def _box_shares(mask: Any) -> list[float]:
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    return [
        round(float(v), 4)
        for v in (
            columns.min() / width,
            rows.min() / height,
            (columns.max() + 1) / width,
            (rows.max() + 1) / height,
        )
    ]
