"""Features of an animal in an encoder, targets mixed from those of several animals, and the distances to a target.

N views, K classes, D and C_l channels, L texture levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.api import FeatureEncoder

_LEAST_CELLS = 1e-3


class SubjectFeatures(NamedTuple):
    """Features of one animal, as an encoder computes them under its mask.

    ``logits`` (N, K); ``embedding`` (N, D), the deepest feature map averaged under the mask; ``textures``, per level
    (N, 2 * C_l): mean and standard deviation of each channel under the mask.
    """

    logits: Tensor
    embedding: Tensor
    textures: list[Tensor]


class Target(NamedTuple):
    """The features to optimise towards.

    ``classes`` (K,) are shares of classes; ``confidence`` in [0, 1] is how sure the encoder is of them. The
    ``embedding`` (D,) has length 1 at most; ``textures`` per level (2 * C_l,).
    """

    classes: Tensor
    confidence: float
    embedding: Tensor
    textures: list[Tensor]


def extract_features(
    encoder: FeatureEncoder, views: Tensor, masks: Tensor, levels: Sequence[int]
) -> SubjectFeatures:
    """Compute features of views (N, 3, h, w); all but the logits are taken under the masks (N, 1, h, w)."""
    deepest = len(encoder.levels) - 1
    logits, maps = encoder.logits_and_maps(views, (*levels, deepest))
    *shallow, deep = (features.float() for features in maps)
    return SubjectFeatures(
        logits.float(), _moments(deep, masks)[0], [torch.cat(_moments(m, masks), 1) for m in shallow]
    )


def target_of(features: SubjectFeatures) -> Target:
    """Average the features of all views into a target."""
    classes = features.logits.softmax(-1).mean(0)
    embedding = F.normalize(F.normalize(features.embedding, dim=-1).mean(0), dim=0)
    return Target(
        classes, float(classes.max()), embedding, [texture.mean(0) for texture in features.textures]
    )


def mix_targets(targets: Sequence[Target], shares: Sequence[float]) -> Target:
    """Average targets by their shares, which sum to 1."""

    def mean(tensors: Sequence[Tensor]) -> Tensor:
        return sum((s * t for s, t in zip(shares, tensors, strict=True)), torch.zeros_like(tensors[0]))

    return Target(
        mean([t.classes for t in targets]),
        sum(s * t.confidence for s, t in zip(shares, targets, strict=True)),
        mean([t.embedding for t in targets]),
        [mean(level) for level in zip(*(t.textures for t in targets), strict=True)],
    )


def class_distance(features: SubjectFeatures, target: Target) -> Tensor:
    """Take the cross entropy to the target's classes, weighted by the encoder's confidence in them."""
    return -target.confidence * (target.classes * features.logits.log_softmax(-1)).sum(-1).mean()


def embedding_distance(features: SubjectFeatures, target: Target) -> Tensor:
    """Take 1 minus the cosine to the target's embedding, averaged over views."""
    return 1 - F.cosine_similarity(features.embedding, target.embedding[None], dim=-1).mean()


def texture_distance(features: SubjectFeatures, target: Target) -> Tensor:
    """Take the squared distance of channel statistics as a share of the target's, averaged over levels and views.

    Source: mean and deviation of channels as style: Huang and Belongie 2017 (ICCV), section 5; the shares are ours.
    """
    if not target.textures:
        return features.logits.new_zeros(())
    shares = [
        (found - wanted).square().sum(-1).mean() / wanted.square().sum().clamp_min(1e-12)
        for found, wanted in zip(features.textures, target.textures, strict=True)
    ]
    return torch.stack(shares).mean()


def _moments(features: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (N, C) of each channel of (N, C, h, w) under masks (N, 1, H, W)."""
    weights = F.interpolate(masks, features.shape[-2:], mode="area").flatten(2)
    weights = weights / weights.sum(2, keepdim=True).clamp_min(_LEAST_CELLS)
    # (N, h * w, C): products with the weights are quicker than sums of what they were multiplied by.
    cells = features.permute(0, 2, 3, 1).flatten(1, 2)
    mean = weights @ cells
    spread = weights @ (cells - mean).square()
    return mean[:, 0], (spread[:, 0] + 1e-6).sqrt()
