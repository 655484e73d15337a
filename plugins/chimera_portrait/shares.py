"""Who gives what at a weight: shape, colours and the detail of every region."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from chimera_core.api import smoothstep

Meeting = Literal["alike", "person on animal", "animal on person"]
"""What the guest is and on what canvas: two animals (or two persons), or one of each."""

# A region passes from the canvas' detail to the guest's around a guest's weight of so much, within this distance of it:
# two detailed pictures laid over each other look like a double exposure.
_SOFT = 0.06
# Fur over a whole face of skin, and an animal's large eyes, are much at once.
_SOFT_ON_SKIN: Mapping[str, float] = {"coat": 0.16, "eyes": 0.1}
# First row: what most creatures are best with; the others are what other seeds give. At equal weights, a person lends an
# animal eyes and mouth, an animal lends a person all but the eyes; of two animals, the guest gives the features.
_THRESHOLDS: Mapping[Meeting, tuple[Mapping[str, float], ...]] = {
    "alike": (
        {"eyes": 0.62, "clear_eyes": 0.38, "nose": 0.35, "mouth": 0.35, "coat": 0.5},
        {"eyes": 0.38, "clear_eyes": 0.62, "nose": 0.35, "mouth": 0.35, "coat": 0.5},
        {"eyes": 0.35, "nose": 0.65, "mouth": 0.65, "coat": 0.45},
        {"eyes": 0.4, "nose": 0.3, "mouth": 0.3, "coat": 0.15},
    ),
    "person on animal": (
        {"eyes": 0.35, "nose": 0.65, "mouth": 0.65, "coat": 0.8},
        {"eyes": 0.35, "nose": 0.62, "mouth": 0.42, "coat": 0.8},
        {"eyes": 0.65, "nose": 0.65, "mouth": 0.42, "coat": 0.8},
        {"eyes": 0.35, "nose": 0.42, "mouth": 0.42, "coat": 0.8},
    ),
    "animal on person": (
        {"eyes": 0.4, "nose": 0.31, "mouth": 0.55, "coat": 0.24},
        {"eyes": 0.62, "nose": 0.31, "mouth": 0.55, "coat": 0.24},
        {"eyes": 0.4, "nose": 0.31, "mouth": 0.4, "coat": 0.24},
        {"eyes": 0.62, "nose": 0.31, "mouth": 0.4, "coat": 0.24},
    ),
}
# How the surroundings of a canvas that is not the first parent go over to the first one's, from this weight on; evenly,
# for a picture that moves changes fast anyway.
_SURROUNDINGS_FROM = 0.5
# A person's colours spread over fur later than their light and shade.
_SKIN_CHROMA, _SKIN_LIGHT = 1.6, 1.1
# The steepness in log energy per weight of the choice between two coats.
_COAT_STEEPNESS = 12.0
_COAT_ONSET = 0.2
# How much of a person's mouth shows through an animal's before it takes its place.
_HINT_OF_LIPS = 0.35
# How much of its fur an animal lets grow over a person's skin.
_FUR = 0.75


@dataclass(frozen=True)
class Shares:
    """The guest's part in a picture, each in [0, 1] but for ``coat_bias``.

    ``light`` and ``chroma`` of what is coarse; ``eyes``, ``nose``, ``mouth``: of their detail; ``clear_eyes`` takes the place
    of ``eyes`` where the guest's show more than the canvas' do. ``coat``: the most of the coat's detail, which each place
    gives to the picture that has more of it there, ``coat_bias`` (in log energy) in the guest's favour. ``salient`` False:
    ``coat`` itself is the share everywhere. ``skin_in_fur``: the guest is a person, the canvas an animal; ``fur``: how much of
    the canvas' fur grows over the guest's skin.
    """

    light: float
    chroma: float
    eyes: float
    clear_eyes: float
    nose: float
    mouth: float
    coat: float
    coat_bias: float
    salient: bool
    skin_in_fur: bool
    fur: float

    @classmethod
    def at(
        cls, weight: float, meeting: Meeting, *, variant: int = 0, guest_is_blurred: bool = False
    ) -> Shares:
        """Give the guest's shares at its weight.

        Args:
            weight: in [0, 1], against the canvas'; at 0 all shares are 0.
            meeting: what meets.
            variant: which of the ways to divide a face; they repeat after four.
            guest_is_blurred: it has far fewer pixels for its face than the canvas.
        """
        thresholds = _THRESHOLDS[meeting][variant % len(_THRESHOLDS[meeting])]
        soft = _SOFT_ON_SKIN if meeting == "animal on person" else {}
        passed = {
            region: _passed(weight, threshold, soft=soft.get(region, _SOFT))
            for region, threshold in thresholds.items()
        }
        if guest_is_blurred and meeting == "alike":
            # A blurred picture over a sharp one is no double exposure; in its place it would be a blot.
            passed = dict.fromkeys(passed, weight)
        person = meeting == "person on animal"
        alike = meeting == "alike"
        return cls(
            light=min(1.0, _SKIN_LIGHT * weight) if person else weight,
            chroma=math.pow(weight, _SKIN_CHROMA) if person else weight,
            eyes=passed["eyes"],
            clear_eyes=passed.get("clear_eyes", passed["eyes"]),
            nose=passed["nose"],
            mouth=max(passed["mouth"], _HINT_OF_LIPS * min(1.0, 2 * weight)) if person else passed["mouth"],
            coat=min(1.0, weight / _COAT_ONSET) if alike else passed["coat"],
            coat_bias=_COAT_STEEPNESS * (weight - thresholds["coat"]),
            salient=alike,
            skin_in_fur=person,
            fur=_FUR * float(smoothstep((0.95 - weight) / 0.35)) if person else 0.0,
        )


def surroundings(weight: float) -> float:
    """Return how far the first parent's surroundings have taken the place of another canvas, by its weight in [0, 1]."""
    return min(1.0, max(0.0, (weight - _SURROUNDINGS_FROM) / (1 - _SURROUNDINGS_FROM)))


def variants() -> int:
    """Count the ways to divide a face."""
    return min(len(rows) for rows in _THRESHOLDS.values())


def _passed(weight: float, threshold: float, *, soft: float) -> float:
    return float(smoothstep((weight - threshold + soft) / (2 * soft)))
