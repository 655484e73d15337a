"""Whose head is kept where a person and an animal meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from chimera_core.api import blurred, face_unit, resized
from chimera_portrait.placed import Placed, apart

Array = np.ndarray[Any, np.dtype[np.float32]]

# An animal's eyes go into a person's head where they show so much more than the person's do.
_CLEARER = 1.15
# ... where the faces are not turned further apart than this, in units of the nose: an animal's muzzle sticks out.
_TURNED = 0.3
# ... and where the animal's face has at least this share of the pixels, along a line, of the person's.
_FEWEST = 1 / 3
# Detail of eyes is what is finer than so many units, seen at no more than so many pixels per unit.
_FINE, _UNIT = 0.05, 64.0
# How far around the eyes it is looked for, in units: across and down.
_AROUND = (0.3, 0.2)


def heads(sitters: Sequence[Placed]) -> tuple[int, ...]:
    """Tell whose head to keep, the best one first: one index, or two where a person and an animal meet.

    Viewers look at the eyes, and a guest gives its eyes: so the head is the person's where the animal's eyes
    show more, and the animal's where they are small, dark or turned aside.
    """
    persons = [k for k, sitter in enumerate(sitters) if not sitter.is_fur]
    animals = [k for k, sitter in enumerate(sitters) if sitter.is_fur]
    if not persons or not animals:
        return (0,)
    person, animal = persons[0], animals[0]
    return (person, animal) if _suits(sitters[person], sitters[animal]) else (animal, person)


def _suits(person: Placed, animal: Placed) -> bool:
    """Whether an animal's face suits a person's head."""
    pixels = face_unit(animal.points) / face_unit(person.points)
    return (
        pixels > _FEWEST
        and apart(person, animal) < _TURNED
        and eye_detail(animal) > _CLEARER * eye_detail(person)
    )


def eye_detail(face: Placed) -> float:
    """Return how much a face's eyes show: the mean of what is finer than a twentieth of the face's unit, in pixel values."""
    unit = face_unit(face.points)
    low, high = face.points[:2].min(0), face.points[:2].max(0)
    margin = np.array(_AROUND) * unit
    left, top = np.maximum(0, np.floor(low - margin)).astype(int)
    right, bottom = np.maximum((left + 1, top + 1), np.ceil(high + margin)).astype(int)
    eyes = np.asarray(cv2.cvtColor(face.image[top:bottom, left:right], cv2.COLOR_RGB2GRAY), np.float32)
    if (scale := _UNIT / unit) < 1:
        eyes = resized(eyes, (max(1, round(eyes.shape[0] * scale)), max(1, round(eyes.shape[1] * scale))))
        unit = _UNIT
    return float(np.abs(eyes - blurred(eyes, _FINE * unit)).mean())
