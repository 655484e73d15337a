"""What is left of an old head: on the body, loose beside it, and in the surroundings."""

from __future__ import annotations

import math

import cv2
import numpy as np
from scipy import ndimage

from chimera_core.api import resized
from chimera_parts.arrays import Array, Mask, grow
from chimera_parts.filling import fill

# What is head with less chance than this is none.
LEAST_HEAD_CHANCE = 0.15
# Of the old head, what is left behind the cut is covered, this far from it in its lengths, if it is this much.
_LEFT_CHANCE, _LEFT_REACH, _LEAST_LEFT = 0.5, 1.5, 0.02
# Pieces of this share of it or more that have no body around this share of their rim dangle in the air.
_LEAST_DANGLING, _IN_THE_AIR = 0.003, 0.45
# Without the old head, pieces of less than this share of the body go; larger ones, up to this share, if they lay this
# near to it in working pixels.
_LEAST_PIECE, _MOST_LOOSE, _LOOSE = 0.03, 0.3, 8.0
# What holds to the body by this band around the cut only, in lengths of the cut, and is at most this share of it, goes
# with the old head.
_NECK_BAND, _NECK_SIDE, _MOST_HUNG = 0.12, 0.6, 0.15
# A stub in the surroundings is narrower than this share of the old head's side length, and differs from what lies beside
# it by this much and by so many times as much as most does there: among leaves nothing is found.
_STUB_WIDTH, _STUB_CONTRAST, _STUB_CLEAR = 0.09, 0.08, 3.0
# It begins this near to the hole in working pixels, ends within so many side lengths, is this many times as long as it
# is wide, has so many pixels and at most this share of the hole's; so many working pixels around it go, too.
_STUB_GAP, _STUB_REACH, _STUB_LONG, _LEAST_STUB, _MOST_STUB, _STUB_RIM = 3.0, 0.9, 2.6, 6, 0.1, 1.5
# A piece of at most this share of the hole is taken out whatever its shape: nobody misses a spot of the ground.
_SPOT = 0.05


def without_leftovers(
    own: Array, alpha: Array, chances: Array, old_head: Mask, stump: Mask, v: Array, scale: float
) -> Array:
    """Cover what of the old head hangs before the body or stays on a stump, a snout say, with the body's own fur.

    Args:
        own: float32 (h, w, 3) in [0, 1], the body.
        alpha: float32 (h, w), where it is.
        chances: float32 (h, w), with which chance each pixel is head.
        old_head: bool (h, w).
        stump: bool (h, w), what the body keeps beyond the cut.
        v: float32 (h, w), how far beyond the cut, in its lengths.
        scale: pixels per working pixel.
    """
    hanging = (chances > _LEFT_CHANCE) & (alpha > 0.5) & ~old_head & (v <= 0) & (v > -_LEFT_REACH)
    face = (chances > LEAST_HEAD_CHANCE) & (alpha > 0.5) & old_head & stump & (v > 0)
    if hanging.sum() + face.sum() < _LEAST_LEFT * old_head.sum():
        return own
    hole = (grow(hanging, 3 * scale) & (alpha > 0.5) & ~old_head) | face
    return fill(own, hole, avoid=(alpha < 0.9) | grow(old_head, 2 * scale))


def dangling(alpha: Array, chances: Array, old_head: Mask, v: Array, scale: float) -> Mask:
    """Find what of the old head hangs beside the body, behind the cut: a beard, the tip of a snout. It goes; fur would not hide it.

    Args:
        alpha: float32 (h, w), where the body is.
        chances: float32 (h, w), with which chance each pixel is head.
        old_head: bool (h, w), what the cut takes away.
        v: float32 (h, w), how far beyond the cut, in its lengths.
        scale: pixels per working pixel.
    """
    body = alpha > 0.5
    hanging = (chances > _LEFT_CHANCE) & body & ~old_head & (v <= 0) & (v > -_LEFT_REACH)
    pieces, count = ndimage.label(hanging)
    found = np.zeros_like(hanging)
    for index in range(1, count + 1):
        piece = pieces == index
        around = grow(piece, 2 * scale) & ~piece & ~old_head
        if (
            piece.sum() > _LEAST_DANGLING * old_head.sum()
            and (around & ~body).sum() > _IN_THE_AIR * around.sum()
        ):
            found |= piece
    return found


def come_loose(left: Mask, old_head: Mask, scale: float) -> Mask:
    """Find what of the body nothing holds any more: a trunk that hung from the old head, and crumbs.

    Args:
        left: bool (h, w), the body without its old head.
        old_head: bool (h, w).
        scale: pixels per working pixel.
    """
    pieces, count = ndimage.label(left, np.ones((3, 3), int))
    if count < 2:
        return np.zeros_like(left)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    loose = sizes < _LEAST_PIECE * sizes.max()
    near = np.unique(pieces[grow(old_head, _LOOSE * scale)])
    loose[near] |= sizes[near] < _MOST_LOOSE * sizes.max()
    loose[0] = False
    return np.asarray(loose[pieces])


def hung_on_the_neck(left: Mask, u: Array, v: Array) -> Mask:
    """Find what of the body holds to the rest by its neck only: an antler that reaches back, an ear.

    Args:
        left: bool (h, w), the body without its old head.
        u: float32 (h, w), where along the cut, in its lengths.
        v: how far beyond it, likewise.
    """
    neck = (np.abs(v) < _NECK_BAND) & (np.abs(u) < _NECK_SIDE)
    pieces, count = ndimage.label(left & ~neck)
    if count < 2:
        return np.zeros_like(left)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    touching = np.unique(pieces[grow(neck, 2) & left])
    # Legs hang down and stay.
    height = np.nonzero(neck)[0].mean()
    small = [
        k
        for k in touching
        if 0 < sizes[k] < _MOST_HUNG * sizes.max() and np.nonzero(pieces == k)[0].mean() < height
    ]
    return np.asarray(np.isin(pieces, small))


def stubs(ground: Array, hole: Mask, old_head: Mask, scale: float) -> Mask:
    """Find what thin things begin in a hole of the surroundings and end beside it: the tip of a bill, a crest, whiskers.

    Outlines miss what is so thin. What goes on further, a branch say, is none of the head's.

    Args:
        ground: float32 (h, w, 3) in [0, 1], the photograph.
        hole: bool (h, w), what is taken out of it.
        old_head: bool (h, w), the head that is.
        scale: pixels per working pixel.
    Returns:
        bool (h, w), more to take out. It is found in working pixels, so that it is the same at any size.
    """
    shape = tuple(max(8, round(length / scale)) for length in hole.shape)
    small = resized(ground, (shape[0], shape[1]))
    inside = resized(hole.astype(np.float32), (shape[0], shape[1])) > 0.5
    side = math.sqrt(float(old_head.sum())) / scale
    beside = grow(inside, _STUB_REACH * side)
    width = 2 * round(_STUB_WIDTH * side / 2) + 3
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    lines = [cv2.morphologyEx(small, how, brush) for how in (cv2.MORPH_BLACKHAT, cv2.MORPH_TOPHAT)]
    differs = np.maximum(*lines).mean(2)
    usual = float(np.median(differs[beside & ~inside])) if (beside & ~inside).any() else 0.0
    thin = (differs > max(_STUB_CONTRAST, _STUB_CLEAR * usual)) & ~inside
    pieces, _ = ndimage.label(thin, np.ones((3, 3), int))
    begun = np.setdiff1d(pieces[grow(inside, _STUB_GAP)], pieces[~beside])
    found = np.zeros_like(inside)
    for index in begun[begun > 0]:
        piece = pieces == index
        size, whole = piece.sum(), inside.sum()
        is_spot = size < _SPOT * whole
        if _LEAST_STUB <= size < _MOST_STUB * whole and (is_spot or _elongation(piece) > _STUB_LONG):
            found |= piece
    stub = grow(found, _STUB_RIM).astype(np.float32)
    return np.asarray(resized(stub, (hole.shape[0], hole.shape[1])) > 0.5)


def _elongation(piece: Mask) -> float:
    """How many times as long as wide a piece is, by the spread of its pixels."""
    spread = np.linalg.eigvalsh(np.atleast_2d(np.cov(np.stack(np.nonzero(piece)))))
    # A line of single pixels has no width by its spread.
    return math.sqrt(float(spread[-1]) / max(float(spread[0]), 0.2))
