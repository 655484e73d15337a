"""The figures of a single chimera, and the words for those that cannot be given.

Legend: n images, V views, P parents, D features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

NO_REFERENCE = "no reference set of animals was given"
# Of the views' power mean, which is nearly their geometric one. Chosen on 195 blind choices, tested on others.
_SHARPNESS = 16
# Viewers like a double exposure of aligned faces, and want no collage; half of its score leaves it behind what is new.
_MONTAGE_COSTS = 0.5
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
        judge: its name.
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
        patches: distance of their patches from each parent's picture, (n, P); None where a parent's is not known.
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
    patches: Tensor | None = None


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


def fused_of(
    likeness: Tensor, leakage: float, weights: Sequence[float], coat: Sequence[float] | None = None
) -> float:
    """Give ``min_i min(1, l_i / w_i) * (1 - leakage)`` over the parents with weight; 0 for a copy of one of them.

    The minimum is taken in every view, and the views' power mean (exponent 1/16) asks that all of them show both: the
    whole creature must be both. Likenesses that are averaged first balance in a collage, though each half is one parent.
    Where coats are known, the mean of that and of the same minimum over coats counts: an embedding hardly sees what
    one animal wears of another.

    Args:
        likeness: to each parent in every view, (V, P).
        leakage: probability of none of the parents.
        weights: that were asked for, of the P parents.
        coat: how much of each parent's it wears, of the P parents.
    """
    wanted = torch.tensor([k for k, w in enumerate(weights) if w > 0])
    asked = torch.tensor(weights, dtype=torch.float64)[wanted]
    views = (likeness.double()[:, wanted] / asked).clamp(max=1).min(1).values
    found = float(views.pow(1 / _SHARPNESS).mean() ** _SHARPNESS)
    if coat is not None:
        worn = float((torch.tensor(coat, dtype=torch.float64)[wanted] / asked).clamp(max=1).min())
        found = (found + worn) / 2
    return found * (1 - leakage)


def score_of(fused: float, realism: float, montage: float) -> float:
    """Give the headline: sqrt(fused * realism), less half of it for a montage of the parents' own pixels."""
    return math.sqrt(fused * realism) * (1 - _MONTAGE_COSTS * montage)


def _headline(look: Look, index: int, weights: Sequence[float]) -> dict[str, Measurement]:
    if look.realism is None:
        missing = Measurement(None, 0, look.judge, NO_REFERENCE)
        return {"leakage": missing, "realism": missing, "fused": missing, "score": missing}
    leakage = float(look.probabilities[index, :, -1].mean())
    realism = float(look.realism[index])
    found = {
        "leakage": _by_views(look, leakage),
        "realism": Measurement(realism, look.reference, look.judge),
    }
    if math.isnan(realism):
        found["realism"] = Measurement(None, look.reference, look.judge, _NO_SCALE)
    if sum(w > 0 for w in weights) < 2:
        alone = Measurement(None, 0, look.judge, _ONE_PARENT)
        return {**found, "fused": alone, "score": alone}
    coat = None if look.coat is None else look.coat[index].tolist()
    montage = 0.0 if look.montage is None else float(look.montage[index])
    fused = fused_of(look.likeness[index], leakage, weights, coat)
    found["fused"] = _by_views(look, fused)
    found["score"] = (
        _by_views(look, score_of(fused, realism, montage)) if not math.isnan(realism) else found["realism"]
    )
    return found


def _by_views(look: Look, value: float) -> Measurement:
    return Measurement(value, look.probabilities.shape[1], look.judge)
