"""Where a head goes: the map from the body's picture to the head's, cut to cut, tapered and bent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from chimera_core.api import NeckCut, sampled
from chimera_parts.arrays import Array, Point, grow, soften

# A head keeps this share (in logarithms) of the neck's scale; the rest makes it as large as the old head, and a
# little larger, for a chimera is known by its head.
_NECK_SHARE, _PROMINENCE = 0.35, 1.12
_LEAST_GROWTH, _MOST_GROWTH = 0.4, 2.8
# A head is at least this large, as a share of the side length of the animal it sits on: on a goose's neck, too.
_LEAST_HEAD = 0.38
# Beyond this scale a photograph has nothing to show; such a head stays smaller, but not below this share.
_SHARP_SCALE, _LEAST_BLURRED_HEAD = 2.4, 0.24
# A neck is at most this much wider at the cut than its head's scale asks for; where the body's cut is wider still, the
# body keeps a stump that its own fur rounds off.
_MOST_FLARE = 2.2
_STUMP = 0.6
# Turns up to 10 degrees stay; of larger ones the neck's bend takes the rest, up to 1.2 radians.
_FREE_TURN, _MOST_BEND = math.radians(10), 1.2
# Beyond this a turned head is taken as it is: bending would fold the neck.
_HOPELESS_TURN = 2.4
# The neck tapers and bends over this share of the cut's length.
_NECK_LENGTH = 0.75
# Around a face, which is stiff, its neck gives way over this share of the cut's length; over the shoulder it lies as if so far beyond
# the cut.
_STIFF, _OVER = 0.25, 0.02


class NeckFields(NamedTuple):
    """Fields over a canvas, each float32 (h, w).

    ``across`` and ``beyond`` are coordinates along and across the body's cut in pixels of the body's picture; ``beyond``
    is positive on the head's side, where both follow the bent neck. ``head_x`` and ``head_y`` are the pixels of the
    head's picture that belong there. ``aside`` is how far a point lies from the middle of the bent neck, and ``along`` where on it, in
    pixels of the body's picture.
    """

    across: Array
    beyond: Array
    head_x: Array
    head_y: Array
    aside: Array
    along: Array


@dataclass(frozen=True)
class Placement:
    """How a head sits on a neck.

    ``neck_scale`` is in pixels of the body's picture per pixel of the head's, across the cut; ``head_scale`` beyond the
    neck; ``bend`` in radians; ``turn`` is how far the head had to be turned. ``stump`` is the height, in lengths of the
    cut, of what the body keeps beyond it where the new neck is narrower.
    """

    body: NeckCut
    head: NeckCut
    neck_scale: float
    head_scale: float
    bend: float
    turn: float
    mirrored: bool
    stump: float = 0.0

    @property
    def covered(self) -> float:
        """Share of the body's cut that the new neck is wide, in (0, 1]."""
        return 1 - self.stump / _STUMP

    @classmethod
    def of(cls, body: NeckCut, head: NeckCut, *, side: float, size: float = 1.0) -> Placement:
        """Place a head.

        Args:
            body: where the body's own head was cut off.
            head: where the other's head was cut off.
            side: side length of the body's animal, the root of its area, in pixels of its picture.
            size: of the head; 1 is about as large as the body's own.
        """
        neck_scale = body.length / head.length
        like_old = math.sqrt(times_as_large(body, head))
        wanted = neck_scale**_NECK_SHARE * like_old ** (1 - _NECK_SHARE) * _PROMINENCE
        own_side = math.sqrt(head.area)
        wanted = size * max(wanted, _LEAST_HEAD * side / own_side)
        most = size * max(_SHARP_SCALE, _LEAST_BLURRED_HEAD * side / own_side)
        head_scale = min(most, float(np.clip(wanted, _LEAST_GROWTH * neck_scale, _MOST_GROWTH * neck_scale)))
        flared = min(neck_scale, _MOST_FLARE * head_scale)
        stump = _STUMP * (1 - flared / neck_scale)
        mirrored = handedness(body) * handedness(head) < 0
        turn = turn_between(body, head)
        beyond_free = math.copysign(max(0.0, abs(turn) - _FREE_TURN), turn)
        bend = -float(np.clip(beyond_free, -_MOST_BEND, _MOST_BEND)) if abs(turn) < _HOPELESS_TURN else 0.0
        return cls(body, head, flared, head_scale, bend, turn, mirrored, stump)

    def fields(self, x: Array, y: Array, *, face: Array | None = None) -> NeckFields:
        """Compute the fields on a grid.

        Args:
            x: float32 (h, w), the grid in pixels of the body's picture.
            y: likewise.
            face: float32 (H, W) in [0, 1], what of the head's picture is no neck: it is neither bent nor tapered, and may lie over
                the body's shoulder.
        """
        body = self.body
        u_axis, v_axis = axes(body)
        length = body.length
        dx, dy = x - body.middle[0], y - body.middle[1]
        straight_u = dx * u_axis[0] + dy * u_axis[1]
        straight_v = dx * v_axis[0] + dy * v_axis[1]
        angle = math.atan2(v_axis[1], v_axis[0])
        # The centre line leaves the cut's middle at a right angle and turns by ``bend`` over the neck.
        reach = float(6 * max(length, math.sqrt(body.area)))
        arc = np.linspace(0, reach, 1200)
        step = arc[1]
        eased = np.clip(arc / (_NECK_LENGTH * length), 0, 1)
        eased = eased * eased * (3 - 2 * eased)
        heading = angle + self.bend * eased
        line_x = np.concatenate([[0], np.cumsum(np.cos(heading))[:-1]]) * step
        line_y = np.concatenate([[0], np.cumsum(np.sin(heading))[:-1]]) * step
        scale = self.neck_scale * (1 - eased) + self.head_scale * eased
        depth = np.concatenate([[0], np.cumsum(1 / scale)[:-1]]) * step

        u, v = straight_u / self.neck_scale, straight_v / self.neck_scale
        # Beyond the cut: the nearest point of the centre line, by damped projection.
        in_head = straight_v > 0
        dx, dy = dx[in_head], dy[in_head]
        s = straight_v[in_head].astype(np.float32)
        line = np.stack([line_x, line_y, np.cos(heading), np.sin(heading)], 1).astype(np.float32)
        for _ in range(8):
            x_s, y_s, cos, sin = _read(line, s, step)
            ahead = (dx - x_s) * cos + (dy - y_s) * sin
            s = np.clip(s + 0.8 * ahead, 0, reach).astype(np.float32)
        profile = np.concatenate([line, np.stack([scale, depth], 1).astype(np.float32)], 1)
        x_s, y_s, cos, sin, scale_s, depth_s = _read(profile, s, step)
        side = -(dx - x_s) * sin + (dy - y_s) * cos
        aside, along = np.abs(straight_u), straight_v.copy()
        aside[in_head], along[in_head] = np.abs(side), s
        u[in_head], v[in_head] = side * handedness(body) / scale_s, depth_s
        if face is not None:
            end = np.full(1, _NECK_LENGTH * length, np.float32)
            x_e, y_e, cos, sin, _, depth_e = _read(profile, end, step)[:, 0]
            off_x, off_y = x - body.middle[0] - x_e, y - body.middle[1] - y_e
            rigid_u = (off_y * cos - off_x * sin) * handedness(body) / self.head_scale
            rigid_v = depth_e + (off_x * cos + off_y * sin) / self.head_scale
            seen = sampled(face, *self._in_head(rigid_u, rigid_v), cubic=False, outside=0) > 0.5
            width = _STIFF * length / float(x[0, 1] - x[0, 0])
            stiff = soften(grow(seen, width), width)
            u, v = u + stiff * (rigid_u - u), v + stiff * (rigid_v - v)
            straight_v = np.where(seen, np.maximum(straight_v, _OVER * length), straight_v)
        head_x, head_y = self._in_head(u, v)
        straight = (straight_u.astype(np.float32), straight_v.astype(np.float32))
        return NeckFields(*straight, head_x, head_y, aside.astype(np.float32), along.astype(np.float32))

    def _in_head(self, u: Array, v: Array) -> tuple[Array, Array]:
        """Pixels of the head's picture at coordinates along and across its cut."""
        (u_x, u_y), (v_x, v_y) = axes(self.head)
        x, y = self.head.middle
        return (x + u * u_x + v * v_x).astype(np.float32), (y + u * u_y + v * v_y).astype(np.float32)


def _read(values: Array, where: Array, step: float) -> Array:
    """Interpolate C columns of ``values`` (S, C), which lie ``step`` apart, at points ``where`` (N,): (C, N)."""
    place = where / np.float32(step)
    before = np.minimum(place.astype(np.int32), len(values) - 2)
    share = (place - before)[None]
    columns = np.ascontiguousarray(values.T)
    return np.asarray(columns[:, before] * (1 - share) + columns[:, before + 1] * share, np.float32)


def axes(cut: NeckCut) -> tuple[Point, Point]:
    """Unit vectors along a cut, from nape to throat, and across it, into the head."""
    return (cut.throat - cut.nape) / cut.length, cut.toward


def handedness(cut: NeckCut) -> float:
    """1 or -1: on which side of the head its throat lies, so which way the animal looks."""
    u, v = axes(cut)
    # -u is the normal of v for one, u for the other.
    return 1.0 if v[0] * u[1] - v[1] * u[0] > 0 else -1.0


def times_as_large(one: NeckCut, other: NeckCut) -> float:
    """Ratio of two heads' areas: of their faces where both are known, for how much neck comes along says nothing."""
    if one.face > 0 and other.face > 0:
        return one.face / other.face
    return one.area / other.area


def turn_between(body: NeckCut, head: NeckCut) -> float:
    """Tell by what angle in (-pi, pi] a head, mirrored if need be, is turned where cut lies on cut."""
    to, of = (math.atan2(cut.toward[1], cut.toward[0]) for cut in (body, head))
    turn = to - (math.pi - of) if handedness(body) * handedness(head) < 0 else to - of
    return (turn + math.pi) % (2 * math.pi) - math.pi
