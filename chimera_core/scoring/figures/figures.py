"""The figures of a single chimera, and the words for those that cannot be given.

Legend: n images, V views, K places, P parents, D features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NO_REFERENCE = "no reference set of animals was given"
# A parent counts as there once a fifth of its weight is seen: what viewers know a face by, its eyes or its muzzle, is little
# of a picture. Any share from 0.1 to 0.3 orders about as well.
_SEEN = 0.2
# Of the views' power mean: what is seen in several views counts, not what noise puts into one.
_SHARPNESS = 2
_NO_PLACES = "the pictures of the parents are not known, or the judge has no maps: kinship and unity stand in its place"
_ONE_PARENT = "one parent has all the weight: there is nothing to fuse"
_NO_PICTURES = "it is not known which pictures of the parents the fuser was given"
_NO_SCALE = "the judge sees no difference between real animals and pictures without any"


@dataclass(frozen=True)
class Measurement:
    """One figure: ``value`` is None where it cannot be given, and ``reason`` says why.

    ``n`` counts what stands behind it (views, or images that were compared with); ``extractor`` is the judge. A
    warning's value is 1 where it holds, and ``reason`` says what was seen.
    """

    value: float | None
    n: int
    extractor: str
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """What one judge saw in n pictures.

    Args:
        plain: features of the pictures themselves, (n, D).
        probabilities: of each parent, and of none of them last, in every view, (n, V, P + 1).
        likeness: to each parent in every view, in [0, 1], (n, V, P).
        log_odds: of the second parent against the first, (n,).
        realism: in [0, 1], (n,); None without a reference.
        reference: images of it.
        identity: cosine to each parent's mean, (n, P).
        nearest: cosine to each parent's nearest image, (n, P).
        images: real images of all parents.
        coat: how much of each parent's coat they wear, (n, P); None where parents are no photographs.
        montage: how much of them is laid or pasted together of the parents' own pixels, (n,); None if those are not known.
        places: likeness of every place to the nearest one of each parent, in [0, 1], (n, K, P); None where their pictures are
            not known.
        patches: distance of their patches from each parent's picture, (n, P); None where a parent's is not known.
        missing: why there is no ``realism``, if there is none.
        no_leakage: why the probabilities tell no leakage, if they do not.
    """

    judge: str
    plain: Tensor
    probabilities: Tensor
    likeness: Tensor
    log_odds: Tensor
    realism: Tensor | None
    reference: int
    identity: Tensor
    nearest: Tensor
    images: int
    coat: Tensor | None = None
    montage: Tensor | None = None
    places: Tensor | None = None
    patches: Tensor | None = None
    missing: str = NO_REFERENCE
    no_leakage: str | None = None


def card_of(looks: Sequence[Look], index: int, weights: Sequence[float]) -> dict[str, Measurement]:
    """Give all figures of one picture: those of the first judge, then fused and score of the others."""
    look = looks[0]
    shares = shares_of(look.probabilities[index].mean(0)).tolist()
    card = {f"membership_{k}": _by_views(look, share) for k, share in enumerate(shares)}
    card |= _headline(look, index, weights)
    # The design's order, in which reports list them.
    rest = {
        "balance": _by_views(look, min(shares) / max(shares)),
        "weight_error": _by_views(look, weight_error(shares, weights)),
    }
    for k, value in enumerate(look.likeness[index].mean(0).tolist()):
        rest[f"likeness_{k}"] = _by_views(look, value)
    for k, value in enumerate(look.coat[index].tolist() if look.coat is not None else ()):
        rest[f"coat_{k}"] = Measurement(value, 1, look.judge)
    rest |= _of_fused(look, index, weights)
    for k, value in enumerate(look.identity[index].tolist()):
        rest[f"identity_{k}"] = Measurement(value, look.images, look.judge)
    if len(weights) == 2:
        rest["log_odds"] = _by_views(look, float(look.log_odds[index]))
    rest["novelty"] = Measurement(1 - float(look.nearest[index].max()), look.images, look.judge)
    for k, value in enumerate(look.patches[index].tolist() if look.patches is not None else ()):
        rest[f"patch_distance_{k}"] = Measurement(value, 1, look.judge)
    rest["montage"] = (
        Measurement(float(look.montage[index]), 1, "pixels")
        if look.montage is not None
        else Measurement(None, 0, "pixels", _NO_PICTURES)
    )
    headline = ("realism", "fused", "score")
    card = {k: v for k, v in card.items() if k not in headline} | rest | {k: card[k] for k in headline}
    for other in looks[1:]:
        figures = _headline(other, index, weights)
        card |= {f"{name}[{other.judge}]": figures[name] for name in ("fused", "score")}
    return card


def shares_of(probabilities: Tensor) -> Tensor:
    """Give the parents' probabilities (..., P + 1) as shares among the parents, (..., P), sum 1."""
    parents = probabilities[..., :-1]
    return parents / parents.sum(-1, keepdim=True)


def weight_error(shares: Sequence[float], weights: Sequence[float]) -> float:
    """Give the share that is with the wrong parents: half the sum of |m_i - w_i|; of two parents, |m - w|."""
    return sum(abs(m - w) for m, w in zip(shares, weights, strict=True)) / 2


def kinship_of(likeness: Tensor, weights: Sequence[float]) -> float:
    """Return how much of a picture is its parents' at all: the sum of the likenesses to them, mean of the views, 1 at most.

    Args:
        likeness: to each parent in every view, (V, P).
        weights: that were asked for, of the P parents; one without weight does not count.
    """
    return min(1.0, float(likeness.double()[:, _wanted(weights)].sum(1).mean()))


def integrity_of(places: Tensor, weights: Sequence[float]) -> float:
    """Return how much of a picture its parents have place by place: the sum of the likenesses to their nearest places, 1 at most.

    A head on another's neck is found again as the head it was, wherever it stands; half a head is not, nor a seam. Two faces
    whose eyes and mouths lie over each other are half of one and half of the other in every place. A copy has 1: that nobody is
    missing ``presence_of`` says.

    Args:
        places: likeness of every place to each parent's nearest, (K, P).
        weights: as in ``kinship_of``.
    Source: ours.
    """
    return float(places.double()[:, _wanted(weights)].sum(1).clamp(max=1).mean())


def unity_of(likeness: Tensor, weights: Sequence[float]) -> float:
    """Return whether a picture is one creature: 1 where every view shows the same mix, 0 where each shows another parent.

    What was cut and joined is one animal on its left and another one on its right. With d_v and t_v the difference and the sum of
    the likenesses to two parents in view v, and m = sum d / sum t their mix, it is 1 less the root mean square of
    d_v - m t_v: a view that shows little of either says little. Of more than two parents the most divided two count.

    Args:
        likeness: as in ``kinship_of``; or of places, by what each parent has ``beyond`` the others.
        weights: as in ``kinship_of``.
    Source: ours.
    """
    views = likeness.double()[:, _wanted(weights)]
    difference = views[:, :, None] - views[:, None, :]
    total = views[:, :, None] + views[:, None, :]
    mix = difference.sum(0) / total.sum(0).clamp(min=1e-9)
    apart = (difference - mix * total).square().mean(0).sqrt()
    return max(0.0, 1 - float(apart.max()))


def beyond(places: Tensor, weights: Sequence[float]) -> Tensor:
    """Give what places have of each parent more than of any other, (K, P): a meadow that is in all pictures tells none from another."""
    wanted = _wanted(weights)
    found = torch.zeros_like(places)
    for k in wanted:
        others = places[:, [j for j in wanted if j != k]].amax(1)
        found[:, k] = (places[:, k] - others).clamp(min=0)
    return found


def presence_of(likeness: Tensor, weights: Sequence[float], coat: Sequence[float] | None = None) -> float:
    """Return whether no parent is missing: ``min_i min(1, e_i / (0.2 w_i))``, cubed; 0 for a copy of one of them.

    The evidence e_i is the likeness (power mean of the views, exponent 1/2) or the coat, whichever shows more of that parent:
    an embedding hardly sees what one animal wears of another, nor a coat whose head it is. The cube keeps traces low, such
    as an adversarial change of a copy leaves (0.04).

    Args:
        likeness, weights: as in ``kinship_of``.
        coat: how much of each parent's it wears, of the P parents; None where coats are not known.
    """
    wanted = _wanted(weights)
    seen = likeness.double()[:, wanted].pow(1 / _SHARPNESS).mean(0) ** _SHARPNESS
    if coat is not None:
        seen = torch.maximum(seen, torch.tensor(coat, dtype=torch.float64)[wanted])
    asked = torch.tensor(weights, dtype=torch.float64)[wanted]
    return float((seen / (_SEEN * asked)).clamp(max=1).min()) ** 3


def fused_of(
    likeness: Tensor,
    weights: Sequence[float],
    coat: Sequence[float] | None = None,
    places: Tensor | None = None,
) -> float:
    """Give ``integrity * presence``: every place its parents', nobody missing; 0 for a copy.

    How much of each parent there is, and where, does not count beyond that: ``weight_error`` and ``balance`` say how much. Blind
    viewers prefer one's head on the other's body, and a cat with a person's eyes, to half a person beside half a cat.

    Args:
        likeness, weights, coat: as in ``presence_of``.
        places: as in ``integrity_of``; where none are known, ``kinship * unity`` of the views counts in its place.
    """
    whole = (
        kinship_of(likeness, weights) * unity_of(likeness, weights)
        if places is None
        else integrity_of(places, weights)
    )
    return whole * presence_of(likeness, weights, coat)


def score_of(fused: float, realism: float, montage: float, unity: float) -> float:
    """Give the headline: ``sqrt(fused * realism) * (1 - montage * (1 - unity))``.

    The parents' own pixels cost nothing where they are joined to one creature, as those of two aligned faces are, and all the
    score in pieces that stay what they were.
    """
    return math.sqrt(fused * realism) * (1 - montage * (1 - unity))


def _of_fused(look: Look, index: int, weights: Sequence[float]) -> dict[str, Measurement]:
    """Give the factors of ``fused``, and unity; unlike itself they need no reference."""
    if len(_wanted(weights)) < 2:
        alone = Measurement(None, 0, look.judge, _ONE_PARENT)
        return dict.fromkeys(("kinship", "integrity", "unity", "presence"), alone)
    likeness, places = look.likeness[index], _places(look, index)
    return {
        "kinship": _by_views(look, kinship_of(likeness, weights)),
        "integrity": Measurement(None, 0, look.judge, _NO_PLACES)
        if places is None
        else Measurement(integrity_of(places, weights), len(places), look.judge),
        "unity": _unity(look, index, weights),
        "presence": _by_views(look, presence_of(likeness, weights, _coat(look, index))),
    }


def _unity(look: Look, index: int, weights: Sequence[float]) -> Measurement:
    places = _places(look, index)
    if places is None:
        return _by_views(look, unity_of(look.likeness[index], weights))
    return Measurement(unity_of(beyond(places, weights), weights), len(places), look.judge)


def _places(look: Look, index: int) -> Tensor | None:
    return None if look.places is None else look.places[index]


def _coat(look: Look, index: int) -> list[float] | None:
    return None if look.coat is None else look.coat[index].tolist()


def _wanted(weights: Sequence[float]) -> list[int]:
    return [k for k, w in enumerate(weights) if w > 0]


def _headline(look: Look, index: int, weights: Sequence[float]) -> dict[str, Measurement]:
    if look.realism is None:
        missing = Measurement(None, 0, look.judge, look.missing)
        return {"leakage": missing, "realism": missing, "fused": missing, "score": missing}
    leakage = float(look.probabilities[index, :, -1].mean())
    realism = float(look.realism[index])
    found = {
        "leakage": _by_views(look, leakage)
        if look.no_leakage is None
        else Measurement(None, 0, look.judge, look.no_leakage),
        "realism": Measurement(realism, look.reference, look.judge),
    }
    if math.isnan(realism):
        found["realism"] = Measurement(None, look.reference, look.judge, _NO_SCALE)
    if len(_wanted(weights)) < 2:
        alone = Measurement(None, 0, look.judge, _ONE_PARENT)
        return {**found, "fused": alone, "score": alone}
    montage = 0.0 if look.montage is None else float(look.montage[index])
    fused = fused_of(look.likeness[index], weights, _coat(look, index), _places(look, index))
    found["fused"] = _by_views(look, fused)
    if math.isnan(realism):
        return {**found, "score": found["realism"]}
    unity = _unity(look, index, weights).value or 0.0
    found["score"] = _by_views(look, score_of(fused, realism, montage, unity))
    return found


def _by_views(look: Look, value: float) -> Measurement:
    return Measurement(value, look.probabilities.shape[1], look.judge)
