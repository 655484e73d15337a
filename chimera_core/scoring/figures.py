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
_ONE_PARENT = "one parent has all the weight: there is nothing to fuse"
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
    for k, value in enumerate(look.identity[index].tolist()):
        rest[f"identity_{k}"] = Measurement(value, look.images, look.judge)
    if len(weights) == 2:
        rest["log_odds"] = _by_views(look, float(look.log_odds[index]))
    rest["novelty"] = Measurement(1 - float(look.nearest[index].max()), look.images, look.judge)
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


def fused_of(likeness: Tensor, leakage: float, weights: Sequence[float]) -> float:
    """Give ``min_i min(1, l_i / w_i) * (1 - leakage)`` over the parents with weight; 0 for a copy of one of them.

    The minimum is taken in every view, and the views' power mean (exponent 1/16) asks that all of them show both: the
    whole creature must be both. Likenesses that are averaged first balance in a collage, though each half is one parent.

    Args:
        likeness: to each parent in every view, (V, P).
        leakage: probability of none of the parents.
        weights: that were asked for, of the P parents.
    """
    wanted = torch.tensor([k for k, w in enumerate(weights) if w > 0])
    ratios = likeness.double()[:, wanted] / torch.tensor(weights, dtype=torch.float64)[wanted]
    views = ratios.clamp(max=1).min(1).values
    return float(views.pow(1 / _SHARPNESS).mean() ** _SHARPNESS) * (1 - leakage)


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
    fused = fused_of(look.likeness[index], leakage, weights)
    found["fused"] = _by_views(look, fused)
    found["score"] = (
        _by_views(look, math.sqrt(fused * realism)) if not math.isnan(realism) else found["realism"]
    )
    return found


def _by_views(look: Look, value: float) -> Measurement:
    return Measurement(value, look.probabilities.shape[1], look.judge)
