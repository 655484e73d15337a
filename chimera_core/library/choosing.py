"""Which of several pictures of a name is taken."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from chimera_core.errors import DataError
from chimera_core.images import picture_shape, read_picture

MOST_RANKED = 64
"""Pictures whose headers are read for the order; those after them, in alphabetical order, follow as they are."""
MOST_LOOKED_AT = 8
"""Of these, the first so many are looked at, which takes half a second each."""
PictureScores = Callable[[Sequence[Path]], Sequence[float | None]]
"""Gives the visibility score of each picture, larger for a better parent; None where it is unknown."""
_TOO_SMALL, _LARGE_ENOUGH = 96, 512

_log = logging.getLogger(__name__)


def rank_pictures(paths: Sequence[Path], *, visibility: PictureScores | None = None) -> list[Path]:
    """Order pictures by how well they will do as parents, the best first.

    At first by what their headers tell: cut-outs go before photographs, because where the animal is needs no guess; then
    the larger one goes first, up to 512 pixels on the shorter side. What has less than 96 pixels there comes behind those,
    in any case what cannot be read. Then the best ``MOST_LOOKED_AT`` by their visibility scores. Equal ones stay in their order.

    Args:
        visibility: looks at pictures; not called where there is only one. None: only headers count.
    """
    ranked = [*sorted(paths[:MOST_RANKED], key=_by_header), *paths[MOST_RANKED:]]
    if visibility is None or len(ranked) < 2:
        return ranked
    seen = ranked[:MOST_LOOKED_AT]
    found = {path: score for path, score in zip(seen, visibility(seen), strict=True) if score is not None}
    known = sorted(found, key=lambda path: -found[path])
    return [*known, *(path for path in ranked if path not in found)]


def pick_picture(paths: Sequence[Path], turn: int, *, visibility: PictureScores | None = None) -> Path:
    """Pick a picture: the best for turn 0, the next for turn 1, and so on in a circle; broken ones are passed over.

    The one that is picked is decoded, because only that tells whether it is whole.

    Args:
        turn: 0 or more.
        visibility: as for ``rank_pictures``.
    Raises:
        DataError: if none can be read; it names the trouble of the first that was tried.
    """
    ranked = rank_pictures(paths, visibility=visibility)
    troubles = []
    for k in range(min(len(ranked), MOST_RANKED)):
        path = ranked[(turn + k) % len(ranked)]
        try:
            read_picture(path)
            return path
        except DataError as error:
            _log.warning("passed over: %s", error)
            troubles.append(error)
    raise troubles[0]


def _by_header(path: Path) -> tuple[bool, bool, int]:
    try:
        width, height, has_alpha = picture_shape(path)
    except DataError:
        return True, True, 0
    side = min(width, height, _LARGE_ENOUGH)
    return side < _TOO_SMALL, not has_alpha, -side
