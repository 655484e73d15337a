"""The figures of many chimeras of one fuser and the same parents: sweeps, diversity, distances, warnings.

Legend: n images, P parents, D features.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from chimera_core.scoring.figures.figures import NO_REFERENCE, Measurement, shares_of
from chimera_core.scoring.figures.position import scale_to_ends, summarise_sweeps
from chimera_core.scoring.parents import SeenParents, similarity
from chimera_core.scoring.reference import SeenReference
from chimera_core.scoring.sets.frechet import FeatureStatistics, frechet_distance
from chimera_core.scoring.sets.kid import INCEPTION, kernel_distance
from chimera_core.scoring.sets.neighbours import precision_recall

KID_SUBSETS, KID_SUBSET_SIZE = 20, 100
LEAST_FOR_RECALL, NEIGHBOURS = 100, 3
LEAST_SLOPE = 0.2
"""A fuser whose memberships follow the weights by less than this ignores them; 1 would be exactly."""
LEAST_DIVERSITY = 0.1
"""Of the parents' own: below it a generator has collapsed."""


def set_card(
    judge: str,
    *,
    plain: Tensor,
    probabilities: Tensor,
    log_odds: Tensor,
    weights: Tensor,
    parents: SeenParents,
    reference: SeenReference | None,
    missing: str = NO_REFERENCE,
    same_pictures: bool = False,
) -> dict[str, Measurement]:
    """Give all figures of a set; arguments as in ``figures.Look``, weights (n, P).

    ``same_pictures``: the fuser was given one picture of each parent, the same for every seed.
    """
    groups = _by_weights(weights)
    card = _sweep_card(judge, log_odds, groups)
    card |= _distances(judge, plain, reference, missing)
    diversity = _diversity(judge, plain, groups)
    card["diversity"] = diversity
    card["weight_slope"], card["ignores-weights"] = _follows(judge, shares_of(probabilities), weights)
    card["collapsed"] = _collapsed(judge, diversity, parents, same_pictures)
    membership = parents.membership
    card["probe_accuracy"] = Measurement(membership.accuracy, sum(membership.examples), judge)
    return card


def spread(features: Tensor) -> float:
    """Average 1 - cosine over all pairs of features (n, D), n of 2 or more."""
    n = len(features)
    near = similarity(features.double(), features.double())
    # Of equal features rounding leaves less than 0.
    return max(0.0, float(1 - (near.sum() - near.diagonal().sum()) / (n * (n - 1))))


def weight_slope(shares: Tensor, weights: Tensor) -> float:
    """Give the slope of memberships (n, P) on the weights (n, P) that were asked for; 1 follows them exactly.

    The least-squares line goes through all parents' centres; weights must differ.
    """
    w, m = (t.double() - t.double().mean(0) for t in (weights, shares))
    return float((w * m).sum() / w.square().sum())


def _by_weights(weights: Tensor) -> dict[tuple[float, ...], list[int]]:
    groups: dict[tuple[float, ...], list[int]] = defaultdict(list)
    for k, row in enumerate(weights.double().tolist()):
        groups[tuple(round(w, 6) for w in row)].append(k)
    return groups


def _sweep_card(
    judge: str, log_odds: Tensor, groups: dict[tuple[float, ...], list[int]]
) -> dict[str, Measurement]:
    names = ("position_step_max", "middle_share")
    wanted = (
        "a sweep needs two parents and an odd number of weights from 1,0 to 0,1, with .5,.5 in the middle"
    )
    order = sorted(groups, key=lambda w: w[-1])
    fits = len(order[0]) == 2 and len(order) >= 3 and len(order) % 2 == 1
    fits = (
        fits and order[0] == (1.0, 0.0) and order[-1] == (0.0, 1.0) and order[len(order) // 2] == (0.5, 0.5)
    )
    if not fits:
        return {name: Measurement(None, 0, judge, wanted) for name in names}
    sweeps = min(len(rows) for rows in groups.values())
    table = torch.stack([log_odds[groups[w][:sweeps]] for w in order], 1)
    found = summarise_sweeps(table, scale_to_ends(table))
    if found.undefined == found.pairs:
        same = "both ends of every sweep are at one place"
        return {name: Measurement(None, found.pairs, judge, same) for name in names}
    values = (found.largest_step, found.middle_share)
    return {n: Measurement(v, found.pairs, judge) for n, v in zip(names, values, strict=True)}


def _distances(
    judge: str, plain: Tensor, reference: SeenReference | None, missing: str = NO_REFERENCE
) -> dict[str, Measurement]:
    kid, fd = ("KID", "FID") if judge == INCEPTION else (f"KID[{judge}]", f"FD[{judge}]")
    names = (kid, fd, "precision", "recall")
    if reference is None or reference.plain is None:
        reason = missing if reference is None else reference.lacks["distances"]
        return {name: Measurement(None, 0, judge, reason) for name in names}
    n, real = len(plain), reference.plain
    if n >= 2 * plain.shape[1] > len(real) and reference.more is not None:
        real = reference.more()
    enough = min(n, len(real))
    card: dict[str, Measurement] = {}
    if enough >= KID_SUBSET_SIZE:
        value = kernel_distance(
            plain, real, extractor=judge, subsets=KID_SUBSETS, subset_size=KID_SUBSET_SIZE
        ).mean
        card[kid] = Measurement(value, n, judge)
    else:
        card[kid] = _too_few(judge, enough, KID_SUBSET_SIZE, "the size of a subset")
    if enough >= 2 * plain.shape[1]:
        statistics = (FeatureStatistics(plain), FeatureStatistics(real))
        card[fd] = Measurement(frechet_distance(*statistics, extractor=judge).value, n, judge)
    else:
        card[fd] = _too_few(judge, enough, 2 * plain.shape[1], "twice the number of features")
    if enough >= LEAST_FOR_RECALL:
        shares = precision_recall(real, plain, k=NEIGHBOURS)
        card["precision"] = Measurement(shares.precision, n, judge)
        card["recall"] = Measurement(shares.recall, n, judge)
    else:
        few = _too_few(judge, enough, LEAST_FOR_RECALL, "below which the manifold is guesswork")
        card |= {"precision": few, "recall": few}
    return card


def _diversity(judge: str, plain: Tensor, groups: dict[tuple[float, ...], list[int]]) -> Measurement:
    spreads = [(len(rows), spread(plain[rows])) for rows in groups.values() if len(rows) > 1]
    if not spreads:
        return Measurement(None, 0, judge, "it needs two images or more of the same weights")
    n = sum(count for count, _ in spreads)
    return Measurement(sum(count * value for count, value in spreads) / n, n, judge)


def _follows(judge: str, shares: Tensor, weights: Tensor) -> tuple[Measurement, Measurement]:
    if bool((weights == weights[:1]).all()):
        one = Measurement(None, len(weights), judge, "it needs images of two weights or more")
        return one, one
    slope = weight_slope(shares, weights)
    warning = f"memberships follow the weights by a slope of {slope:.2f}, less than {LEAST_SLOPE:g}"
    ignores = slope < LEAST_SLOPE
    return (
        Measurement(slope, len(weights), judge),
        Measurement(float(ignores), len(weights), judge, warning if ignores else None),
    )


def _collapsed(judge: str, diversity: Measurement, parents: SeenParents, same_pictures: bool) -> Measurement:
    own = [spread(features) for features in parents.images if len(features) > 1]
    if diversity.value is None:
        return Measurement(None, 0, judge, diversity.reason)
    if same_pictures or len(own) < len(parents.images):
        photographs = "a parent is one photograph, of which every seed may make the same creature"
        return Measurement(None, 0, judge, photographs)
    limit = LEAST_DIVERSITY * sum(own) / len(own)
    warning = f"creatures of several seeds differ by {diversity.value:.3g}, less than {limit:.3g}"
    collapsed = diversity.value < limit
    return Measurement(float(collapsed), diversity.n, judge, warning if collapsed else None)


def _too_few(judge: str, met: int, wanted: int, what: str) -> Measurement:
    return Measurement(None, met, judge, f"{met} images are fewer than {wanted}, {what}")
