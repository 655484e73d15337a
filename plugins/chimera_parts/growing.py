"""The way from the body alone to the creature: the new head grows out of the old one, then the coat spreads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from chimera_core.api import sampled, smoothstep
from chimera_parts.animals import Animal
from chimera_parts.arrays import Array, Mask, soften, spread_colours
from chimera_parts.canvas import Canvas
from chimera_parts.choosing import Choice
from chimera_parts.joining import Creature, join
from chimera_parts.placing import axes

# The surroundings change from with to without the old head over this share of the way.
_CLEARING = 0.4
# Room that a cut-out's frame leaves around the creature, in working pixels.
_FRAME_ROOM = 6.0
# The front of a spreading coat is as soft as this share of the way over the body.
_FRONT = 0.2
# Warps set in within this share of the cut's length, so that the body stands still.
_ONSET = 0.35


@dataclass(frozen=True, eq=False)
class Stage:
    """A finished creature and the body that it comes from, on one canvas, with the way between them.

    ``frame`` is the window that shows all of the creature: left, top, width, height in canvas pixels.
    """

    creature: Creature
    canvas: Canvas
    choice: Choice
    has_ground: bool
    frame: tuple[float, float, float, float]

    @classmethod
    def of(
        cls,
        body: Animal,
        head: Animal,
        choice: Choice,
        shape: tuple[int, int],
        *,
        harmony: float = 1.0,
        keeps_coat: bool = False,
        report: Callable[[float], None] = lambda share: None,
    ) -> Stage:
        """Draw the creature.

        Args:
            body: the first parent.
            head: the second.
            choice: how they are joined.
            shape: (h, w) of the result in pixels.
            harmony: how far each coat takes on the other's colour, in [0, 1].
            keeps_coat: whether the body keeps its colours all the same.
            report: called now and then with how far it is, in [0, 1].
        """
        scale = shape[0] / body.shape[0]
        if body.has_ground:
            canvas = Canvas(shape, scale)
            window = (0.0, 0.0, float(shape[1]), float(shape[0]))
        else:
            canvas, window = _roomy(body, choice, shape, scale)
        made = join(
            body, head, choice.placement, canvas, harmony=harmony, keeps_coat=keeps_coat, report=report
        )
        return cls(made, canvas, choice, body.has_ground, window)


def _roomy(
    body: Animal, choice: Choice, shape: tuple[int, int], scale: float
) -> tuple[Canvas, tuple[float, float, float, float]]:
    """Give a cut-out the room that its creature needs, and the window of the picture's aspect that shows all of it."""
    height, width = body.shape
    left, top, right, bottom = choice.box
    left, top = min(0.0, left - _FRAME_ROOM), min(0.0, top - _FRAME_ROOM)
    right, bottom = max(float(width), right + _FRAME_ROOM), max(float(height), bottom + _FRAME_ROOM)
    zoom = max((right - left) / width, (bottom - top) / height)
    # The spare room goes above and to the sides evenly; feet stay on the lower edge.
    left -= (zoom * width - (right - left)) / 2
    top = bottom - zoom * height
    window = (left * scale, top * scale, zoom * width * scale, zoom * height * scale)
    room = (
        max(0, int(np.ceil(-window[1]))),
        max(0, int(np.ceil(window[1] + window[3] - shape[0]))),
        max(0, int(np.ceil(-window[0]))),
        max(0, int(np.ceil(window[0] + window[2] - shape[1]))),
    )
    return Canvas(shape, scale, room), (window[0] + room[2], window[1] + room[0], window[2], window[3])


def grown(stage: Stage, head: float, *, dressed: Stage | None = None, coat: float = 0.0) -> Array:
    """Draw a point on the way.

    Args:
        stage: the way.
        head: how far the new head has grown, in [0, 1].
        dressed: the same creature with the other coat.
        coat: how far that has spread, in [0, 1].
    Returns:
        float32 (h, w, 3), or (h, w, 4) with opacity for a cut-out.
    """
    colour, alpha, ground = _morphed(stage, head)
    touched = stage.creature.touched
    if dressed is not None and coat > 0:
        other, _, _ = _morphed(dressed, head)
        front = coat_front(stage, coat)[..., None]
        colour = colour * (1 - front) + other * front
        touched = np.maximum(touched, front[..., 0])
    if stage.has_ground:
        opacity = alpha[..., None]
        made = ground * (1 - opacity) + colour * opacity
        share = touched[..., None]
        made = stage.creature.body_colour * (1 - share) + made * share
        return np.asarray(np.clip(made, 0, 1), np.float32)
    return _framed(np.concatenate([colour, alpha[..., None]], 2), stage, head)


def _morphed(stage: Stage, head: float) -> tuple[Array, Array, Array]:
    """Colour, opacity and surroundings of a point on the way to the whole head."""
    made = stage.creature
    if head >= 1:
        return made.colour, made.alpha, made.ground
    body_colour = spread_colours(made.body_colour, made.body_alpha, scale=stage.canvas.scale)
    if head <= 0:
        return made.body_colour, made.body_alpha, made.body_colour
    old = _extent(made, made.old_head & (made.body_alpha > 0.5))
    new = _extent(made, (made.new_head > 0.5) & (made.alpha > 0.5))
    now = old * (1 - head) + new * head
    from_old = _warp(stage, np.asarray(old / now, np.float32))
    from_new = _warp(stage, np.asarray(new / now, np.float32))
    share = head
    colour = sampled(body_colour, *from_old) * (1 - share) + sampled(made.colour, *from_new) * share
    outline = _between(
        sampled(made.body_alpha, *from_old, cubic=False, outside=0),
        sampled(made.alpha, *from_new, cubic=False, outside=0),
        head,
    )
    cleared = float(smoothstep(head / _CLEARING))
    ground = made.body_colour * (1 - cleared) + made.ground * cleared
    # Where nothing moves, the body keeps its outline, fringe and all, and only its colours go over.
    still = smoothstep((-made.v - 0.6) / 0.4)
    outline = outline * (1 - still) + made.body_alpha * still
    standing = made.body_colour * (1 - share) + made.colour * share
    colour = colour * (1 - still[..., None]) + standing * still[..., None]
    return colour.astype(np.float32), outline.astype(np.float32), ground.astype(np.float32)


def _extent(made: Creature, part: Mask) -> Array:
    """How far a head reaches beyond the cut, and to both sides of it, in lengths of the cut."""
    if not part.any():
        return np.array([0.5, 0.5, 0.5], np.float32)
    u, v = made.u[part], made.v[part]
    reach = [np.quantile(v, 0.99), -np.quantile(u, 0.01), np.quantile(u, 0.99)]
    return np.maximum(np.array(reach, np.float32), 0.15)


def _warp(stage: Stage, ratio: Array) -> tuple[Array, Array]:
    """Pixels x, y from which a head is read that is stretched by 1 / ratio beyond the cut."""
    made = stage.creature
    onset = smoothstep(made.v / _ONSET)
    v = made.v * np.where(made.v > 0, 1 + (ratio[0] - 1) * onset, 1)
    side = np.where(made.u < 0, ratio[1], ratio[2])
    u = made.u * (1 + (side - 1) * onset)
    cut, canvas = stage.choice.placement.body, stage.canvas
    u_axis, v_axis = axes(cut)
    shift_u, shift_v = (u - made.u) * cut.length * canvas.scale, (v - made.v) * cut.length * canvas.scale
    rows, columns = np.mgrid[: made.u.shape[0], : made.u.shape[1]].astype(np.float32)
    return (
        (columns + shift_u * u_axis[0] + shift_v * v_axis[0]).astype(np.float32),
        (rows + shift_u * u_axis[1] + shift_v * v_axis[1]).astype(np.float32),
    )


def _between(one: Array, other: Array, share: float) -> Array:
    """An outline between two: the distances to them are mixed, so that it moves and does not fade."""

    def distance(mask: Array) -> Array:
        inside = mask > 0.5
        if not inside.any():
            return np.full(mask.shape, -1e3, np.float32)
        return np.asarray(
            ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside), np.float32
        )

    mixed = distance(one) * (1 - share) + distance(other) * share
    return np.asarray(np.clip(mixed / 2 + 0.5, 0, 1), np.float32)


def coat_front(stage: Stage, coat: float) -> Array:
    """Return where a coat that spreads from the neck has come to: float32 (h, w) in [0, 1]."""
    distance = np.abs(stage.creature.v) + 0.3 * np.abs(stage.creature.u)
    inside = stage.creature.alpha > 0.5
    if not inside.any():
        return np.full(distance.shape, coat, np.float32)
    # By area, so that a coat covers as much in each stretch of the way.
    order = np.sort(distance[inside])
    covered = np.interp(distance, order, np.linspace(0, 1, len(order)))
    return smoothstep((coat * (1 + _FRONT) - covered) / _FRONT)


def _framed(picture: Array, stage: Stage, head: float) -> Array:
    """Show a cut-out from a window that goes from the parent's frame to the whole creature's."""
    height, width = stage.canvas.frame
    top, _, left, _ = stage.canvas.room
    own = np.array([left, top, width, height], float)
    x, y, wide, high = own * (1 - head) + np.array(stage.frame) * head
    if (x, y, wide, high) == (0, 0, width, height) and picture.shape[:2] == (height, width):
        return picture
    zoom = wide / width
    solid = picture.copy()
    solid[..., :3] *= solid[..., 3:]
    if zoom > 1:  # averaged first, for what is shown smaller
        solid = soften(solid, 0.6 * (zoom - 1))
    columns, rows = np.meshgrid(
        (np.arange(width, dtype=np.float32) + 0.5) * zoom - 0.5 + x,
        (np.arange(height, dtype=np.float32) + 0.5) * zoom - 0.5 + y,
    )
    seen = sampled(solid, columns, rows, outside=0)
    seen[..., :3] = np.clip(seen[..., :3] / np.maximum(seen[..., 3:], 1e-3), 0, 1)
    return seen
