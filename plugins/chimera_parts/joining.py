"""From a placed head to one creature: colours, the cheapest seam, outline, surroundings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from chimera_core.api import blend_pyramids, blurred, resized, sampled, sharpened, smoothstep
from chimera_parts.animals import Animal
from chimera_parts.arrays import Array, Mask, grow, soften, spread_colours
from chimera_parts.canvas import Canvas
from chimera_parts.coat_blending import BODY_REACH, blend_colours, strands
from chimera_parts.denoising import denoised
from chimera_parts.filling import fill
from chimera_parts.harmony import BODY_SHARES, HEAD_SHARES, coat_colour, tinted
from chimera_parts.leftovers import (
    LEAST_HEAD_CHANCE,
    come_loose,
    dangling,
    hung_on_the_neck,
    stubs,
    without_leftovers,
)
from chimera_parts.placing import NeckFields, Placement

# Share of the work that joining is where surroundings are filled in afterwards.
_JOINED = 0.3
# All lengths below are shares of the cut's length.
# The seam runs in this band around the cut: the head's own neck may cover the shoulders.
_SEAM_BEHIND, _SEAM_BEFORE, _SEAM_SIDE = 0.42, 0.15, 0.75
_SEAM_CELLS = (64, 40)
_SEAM_STEP_PRICE, _SEAM_OUTSIDE_PRICE = 0.03, 0.8
# Colours are compared this near the cut, and the head's take the body's with this strength, fading with distance.
_TONE_NEAR, _TONE_SIDE, _TONE, _TONE_FADE = 0.35, 0.6, 0.3, 0.55
_LEAST_TONE_PIXELS = 30
_TONE_GAIN, _TONE_SHIFT = (0.7, 1.4), 0.25
# The body's coat is looked at this far behind the cut.
_COAT_NEAR = 1.6
# The whole head moves this far towards the body's brightness.
_BRIGHTNESS = 0.15
# A head of which all but a quarter is darker than this is lightened towards it, by at most this factor: its face is read.
_READ, _MOST_LIGHT = 0.34, 1.7
# The body's colours run over at most this share of a head's reach, and in any case so far.
_MOST_FADE, _LEAST_FADE = 0.45, 0.25
# Around an old head so many working pixels go with it, and so much of its side length.
_RIM, _RIM_SHARE = 5.0, 0.05
# What lies this near beyond the cut and does not look like head is shoulder.
_SHOULDER = 0.15
# Around both heads, pixels up to this far are drawn anew.
_TOUCHED = 0.3
# Where so many times the head's area as at its ends comes together, what is thinner than this share of its side goes.
_SQUEEZED, _SPIKE = 2.2, 0.2
# Between these chances of being head, a head's own pixels are drawn whatever the seam: ears and jaw are not blended.
_FACE = (0.4, 0.7)
# Of a new neck half of it is this wide at most, this far beyond the cut; around the face a rim stays.
_NECK_WIDTH, _NECK_REACH, _FACE_RIM = 0.6, 0.8, 0.04
# Notches up to this deep are closed where the outlines meet.
_NOTCH, _NOTCH_NEAR, _NOTCH_SIDE = 0.16, 0.25, 0.6


@dataclass(frozen=True, eq=False)
class Creature:
    """A creature on its canvas.

    ``colour`` float32 (h, w, 3) and ``alpha`` (h, w) are its own; ``ground`` (h, w, 3) is what lies behind it, without
    the old head; ``body_colour``, ``body_alpha`` and ``old_head`` are the first parent's, for the way there. ``u`` and
    ``v`` are the neck's coordinates in lengths of the cut, ``seam_cost`` the mean difference of colours along the seam.
    ``touched`` (h, w) in [0, 1] is where anything changed; elsewhere a photograph keeps its very pixels.
    """

    colour: Array
    alpha: Array
    ground: Array
    body_colour: Array
    body_alpha: Array
    old_head: Mask
    u: Array
    v: Array
    seam_cost: float
    new_head: Array
    touched: Array


def join(
    body: Animal,
    head: Animal,
    placement: Placement,
    canvas: Canvas,
    *,
    harmony: float = 1.0,
    keeps_coat: bool = False,
    clear: bool = True,
    report: Callable[[float], None] = lambda share: None,
) -> Creature:
    """Put a head on a body.

    Args:
        body: gives the body, and the surroundings if it has any.
        head: gives the head.
        placement: where it goes.
        canvas: the grid on which to draw.
        harmony: how far each coat takes on the other's colour, in [0, 1].
        keeps_coat: whether the body keeps its colours all the same: a coat that was asked for.
        clear: whether the old head is taken out of the surroundings, and noise out of the new one; a trial does without.
        report: called now and then with how far it is, in [0, 1].
    """
    length, scale = placement.body.length, canvas.scale
    fields = placement.fields(*canvas.grid, face=head.chances * placement.head.head)
    u, v = fields.across / length, fields.beyond / length
    body_image, body_mask = (resized(part, canvas.frame) for part in (body.image, body.alpha))
    ground, body_alpha = canvas.padded(body_image), canvas.padded(body_mask, mode="constant")
    old_head = (
        canvas.padded(resized(placement.body.head.astype(np.float32), canvas.frame), mode="constant") > 0.5
    )
    colour, alpha, part, face = _seen(head, placement, fields, scale, clean=clear)
    coat = (body_alpha > 0.8) & (v < 0) & (v > -_COAT_NEAR)
    of_head = coat_colour(colour, (alpha > 0.8) & (part > 0.5))
    much = 0.0 if keeps_coat else harmony
    fur = tinted(ground, coat_colour(ground, coat), of_head, BODY_SHARES, much * body_alpha)
    own = spread_colours(fur, body_alpha, scale=scale)
    chances = canvas.padded(resized(body.chances, canvas.frame), mode="constant")
    # Shoulders beyond the cut stay.
    stump = v < placement.stump * np.sqrt(np.clip(1 - np.square(2 * u), 0, 1))
    if clear:
        own = without_leftovers(own, body_alpha, chances, old_head, stump, v, scale)
    colour = _in_tone(colour, alpha, part, fur, body_alpha, u, v)
    of_head = coat_colour(colour, (alpha > 0.8) & (part > 0.5))
    everywhere = np.full_like(alpha, harmony)
    colour = tinted(colour, of_head, coat_colour(fur, coat), HEAD_SHARES, everywhere)
    seam, cost = _find_seam(own, colour, body_alpha, alpha, placement, canvas)
    near_head = soften(grow(part > 0.5, (_SEAM_BEHIND * 1.1 * length + 2) * scale), 2 * scale)
    removed = old_head & ~((v < _SHOULDER) & (chances < LEAST_HEAD_CHANCE)) & ~stump
    removed |= grow(dangling(body_alpha, chances, old_head, v, scale), 2 * scale)
    outline, left = _outline(body_alpha, alpha, part, removed, u, v, scale, length)
    beyond = v - seam(u)
    deep = beyond[(part > 0.5) & (alpha > 0.5)]
    reach = _MOST_FADE * float(np.quantile(deep, 0.95)) if len(deep) else math.inf
    own, colour = blend_colours(own, colour, body_alpha, alpha, u, beyond, most=max(_LEAST_FADE, reach))
    only_body = soften((left > 0.5) & (alpha < 0.5), scale)
    is_head = np.maximum(strands(u, beyond), face) * (near_head > 0.5) * (1 - only_body)
    levels = min(5 + round(math.log2(max(1.0, scale))), max(2, int(math.log2(max(length * scale, 8) / 3))))
    made = blend_pyramids(own, colour, is_head, levels=levels)
    behind = ground
    if body.has_ground and clear:
        report(_JOINED)
        behind = _cleared(
            ground,
            body_alpha,
            outline,
            old_head,
            left,
            v,
            scale,
            report=lambda share: report(_JOINED + (1 - _JOINED) * share),
        )
    reach = (_TOUCHED + BODY_REACH) * length + 4
    touched = soften(
        grow((part * alpha > 0.02) | old_head, reach * scale) & (v > -_SEAM_BEHIND - BODY_REACH), 2 * scale
    )
    if much > 0:
        touched = np.maximum(touched, body_alpha)
    if body.has_ground and clear:
        touched = np.maximum(touched, soften(np.abs(behind - ground).sum(2) > 1e-3, scale))
    return Creature(made, outline, behind, ground, body_alpha, old_head, u, v, cost, part, touched)


def _seen(
    head: Animal, placement: Placement, fields: NeckFields, scale: float, *, clean: bool
) -> tuple[Array, Array, Array, Array]:
    """Draw the head where it goes: colours that go on beyond its outline, opacity, which of it comes along, and which is no neck."""
    image, alpha = head.at(max(0.25, placement.head_scale * scale))
    ratio = image.shape[0] / head.shape[0]
    x, y = ((part + 0.5) * ratio - 0.5 for part in (fields.head_x, fields.head_y))
    cut_off = placement.head.head.astype(np.float32)
    surely = (head.chances * cut_off).astype(np.float32)
    enlarged = max(1.0, placement.head_scale * scale / ratio)
    if clean:
        image = denoised(image, resized(cut_off, (image.shape[0], image.shape[1])) > 0, enlarged)
    # What is enlarged has a soft rim; it becomes as narrow as it was.
    opacity = np.clip((sampled(alpha, x, y, cubic=False, outside=0) - 0.5) * enlarged + 0.5, 0, 1)
    spikes = _spikes(opacity > 0.5, placement, fields, scale)
    face = smoothstep(
        (sampled(surely, fields.head_x, fields.head_y, cubic=False, outside=0) - _FACE[0])
        / (_FACE[1] - _FACE[0])
    )
    # A neck is no wider than the one it sits on, whatever comes along beside the face: shoulders, a collar.
    if placement.head.face > 0:
        length = placement.body.length
        wide = (fields.aside > _NECK_WIDTH * length) & (fields.along < _NECK_REACH * length)
        spikes |= wide & ~grow(face > 0.5, _FACE_RIM * length * scale)
    return (
        sharpened(sampled(spread_colours(image, alpha, scale=ratio), x, y), enlarged),
        opacity * (1 - soften(grow(spikes, scale), 0.7 * scale)),
        sampled(cut_off, fields.head_x, fields.head_y, cubic=False, outside=0),
        face,
    )


def _spikes(head: Mask, placement: Placement, fields: NeckFields, scale: float) -> Mask:
    """Find what is thin because a bent neck packs far more of the head's picture there than it should."""
    (x_down, x_right), (y_down, y_right) = (np.gradient(part) for part in (fields.head_x, fields.head_y))
    area = np.abs(x_right * y_down - x_down * y_right)
    squeezed = area * min(placement.neck_scale, placement.head_scale) ** 2 * scale**2 > _SQUEEZED
    width = 2 * round(_SPIKE * placement.head_scale * math.sqrt(placement.head.area) * scale / 2) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    thick = cv2.morphologyEx(head.astype(np.uint8), cv2.MORPH_OPEN, brush) > 0
    return np.asarray(squeezed & ~thick)


def _in_tone(
    head: Array, head_alpha: Array, head_part: Array, body: Array, body_alpha: Array, u: Array, v: Array
) -> Array:
    """Bring the head's colours near the cut to the body's, the whole a little to its brightness, and light to a dark face."""
    whole = (head_alpha > 0.8) & (head_part > 0.5)
    if whole.any():
        light = float(np.quantile(head[whole].mean(1), 0.75))
        head = np.clip(head * float(np.clip(_READ / max(light, 1e-3), 1, _MOST_LIGHT)), 0, 1).astype(
            np.float32
        )
    near = (np.abs(v) < _TONE_NEAR) & (np.abs(u) < _TONE_SIDE)
    of_body, of_head = (body_alpha > 0.8) & near, (head_alpha > 0.8) & near
    if of_body.sum() < _LEAST_TONE_PIXELS or of_head.sum() < _LEAST_TONE_PIXELS:
        return head
    theirs, ours = body[of_body], head[of_head]
    # Means and one gain, both within limits: a full map of covariances turns black and white into red and green.
    gain = float(np.clip(theirs.std() / max(1e-3, float(ours.std())), *_TONE_GAIN))
    shift = np.clip(theirs.mean(0) - ours.mean(0), -_TONE_SHIFT, _TONE_SHIFT)
    toned = (head - ours.mean(0)) * gain + ours.mean(0) + shift
    share = smoothstep(1 - (v - 0.05) / _TONE_FADE)[..., None] * _TONE
    mixed = head * (1 - share) + toned * share
    if whole.any():
        ratio = float(body[body_alpha > 0.8].mean() / max(0.02, head[whole].mean()))
        mixed = mixed * (1 + _BRIGHTNESS * (float(np.clip(ratio, 0.4, 2.5)) - 1))
    return np.asarray(np.clip(mixed, 0, 1), np.float32)


class _Seam:
    """How far beyond the cut the seam lies, by where along it; both in lengths of the cut."""

    def __init__(self, along: Array, beyond: Array) -> None:
        self._along, self._beyond = along, beyond

    def __call__(self, u: Array) -> Array:
        return np.interp(u, self._along, self._beyond).astype(np.float32)


def _find_seam(
    body: Array, head: Array, body_alpha: Array, head_alpha: Array, placement: Placement, canvas: Canvas
) -> tuple[_Seam, float]:
    """Find the cheapest path across the neck by dynamic programming: where colours agree, inside both outlines."""
    blur = max(1.0, canvas.scale)
    one, other = (blurred(colours, blur) for colours in (body, head))
    price = np.abs(one - other).sum(2) + 0.02
    price = price + _SEAM_OUTSIDE_PRICE * ((body_alpha < 0.5) | (head_alpha < 0.5))
    steps, depths = _SEAM_CELLS
    along = np.linspace(-_SEAM_SIDE, _SEAM_SIDE, steps, dtype=np.float32)
    # A neck much narrower than the cut would lie far down the chest.
    behind = _SEAM_BEHIND * placement.covered
    beyond = np.linspace(-behind, _SEAM_BEFORE, depths, dtype=np.float32)
    x, y = canvas.points(placement, along[:, None], beyond[None])
    cells = cv2.remap(price.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moves = np.arange(-2, 3)
    total, came_from = cells[0].copy(), np.zeros((steps, depths), int)
    for row in range(1, steps):
        padded = np.pad(total, 2, constant_values=np.inf)
        options = np.stack([padded[2 + m : 2 + m + depths] + _SEAM_STEP_PRICE * abs(m) for m in moves])
        best = options.argmin(0)
        came_from[row] = np.arange(depths) + moves[best]
        total = options[best, np.arange(depths)] + cells[row]
    path = [int(total.argmin())]
    for row in range(steps - 1, 0, -1):
        path.append(int(came_from[row, path[-1]]))
    path.reverse()
    inside = np.abs(along) < 0.5
    cost = float(cells[np.arange(steps), path][inside].mean())
    smooth = ndimage.gaussian_filter1d(beyond[np.array(path)], 1.5, mode="nearest")
    return _Seam(along.astype(np.float32), smooth.astype(np.float32)), cost


def _outline(
    body: Array,
    head: Array,
    head_part: Array,
    old_head: Mask,
    u: Array,
    v: Array,
    scale: float,
    length: float,
) -> tuple[Array, Array]:
    """Join the outlines: the body's without its old head, and the head's beyond the cut.

    Returns:
        the creature's opacity (h, w), and the body's share of it.
    """
    pixel = 1 / length  # a working pixel in lengths of the cut
    # The old head's soft rim goes with it, but not what of the body lies beside it.
    kept = grow((body > 0.5) & ~grow(old_head, scale), scale)
    removed = grow(old_head, 6 * scale) & ((v > -pixel) | old_head) & ~kept
    left = np.where(removed, 0, body).astype(np.float32)
    crumbs = come_loose(left > 0.3, old_head, scale)
    left = np.where(grow(crumbs, 2 * scale), 0, left).astype(np.float32)
    hung = hung_on_the_neck(left > 0.3, u, v)
    left = np.where(grow(hung, 3 * scale), 0, left).astype(np.float32)
    # Beside the head, its picture goes on with what lies behind its face, none of which comes along.
    beside = (head > 0.9) & (head_part < 0.5) & (v > _SHOULDER)
    around = soften(grow(head_part > 0.5, 3 * scale) & ~beside, scale)
    placed = head * around * np.clip(v / (2 * pixel) + 1, 0, 1)
    alpha = np.maximum(placed, left)
    brush = 2 * int(_NOTCH * length * scale) + 3
    closed = cv2.morphologyEx(
        (alpha > 0.5).astype(np.uint8),
        cv2.MORPH_CLOSE,
        cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (brush, brush)),
    )
    near = (np.abs(v) < _NOTCH_NEAR) & (np.abs(u) < _NOTCH_SIDE)
    return np.maximum(alpha, soften(closed, 0.8 * scale) * near).astype(np.float32), left


def _cleared(
    ground: Array,
    body: Array,
    alpha: Array,
    old_head: Mask,
    left: Array,
    v: Array,
    scale: float,
    *,
    report: Callable[[float], None],
) -> Array:
    """Take the old head out of the surroundings."""
    fringe = (body > 0.02) & (v > -0.1) & grow(old_head, 12 * scale)
    # Of a large head the outline is off by more.
    rim = _RIM + _RIM_SHARE * math.sqrt(float(old_head.sum())) / scale
    hole = grow(old_head | fringe, rim * scale) & ~((left > 0.9) & ~grow(old_head, 3 * scale))
    # What went with the head, a paw that only it held, was further off.
    hole |= grow((body > 0.5) & (left < 0.1), _RIM * scale) & (left < 0.1)
    hole |= stubs(ground, hole, old_head, scale) & (left < 0.1)
    return fill(ground, hole & (alpha < 0.98), avoid=grow(body > 0.3, 2 * scale), report=report)
