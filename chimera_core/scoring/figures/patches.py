"""How alike one picture's patches are to another's: a Fréchet distance that needs a single image of each.

Legend: n pictures, m others, C channels, h, w places of a map.
"""

from __future__ import annotations

import torch
from torch import Tensor

from chimera_core.scoring.judge.features import judge_features
from chimera_core.scoring.judge.judge import Judge
from chimera_core.scoring.sets.frechet import FeatureStatistics, frechet_distance

# Patches of a few pixels: of deeper maps there are fewer places than twice the channels.
_STRIDE = 4


def patch_distances(judge: Judge, images: Tensor, others: Tensor) -> Tensor | None:
    """Measure the Fréchet distance between the features of pictures' patches.

    Args:
        judge: whose level with the stride nearest to 4 is read; one with fewer places than twice its channels is too deep.
        images: float (n, 3, S, S) in [0, 1].
        others: (m, 3, S', S').
    Returns:
        float32 (n, m), 0 for the same picture; None where the judge has no level that serves.
    Source: Shaham et al. 2019, arXiv:1905.01164, section 4.1 (SIFID), which reads Inception's: the numbers do not compare.
    """
    level = judge.level_near(_STRIDE)
    if level is None:
        return None

    def statistics(pictures: Tensor) -> list[FeatureStatistics]:
        flat = judge_features(
            judge.encoder,
            pictures,
            size=judge.looks_at,
            device=judge.device,
            read=lambda x: judge.encoder.feature_maps(x, [level])[0].flatten(1),
        )
        channels = judge.encoder.levels[level].channels
        return [FeatureStatistics(f.view(channels, -1).T) for f in flat]

    first, second = statistics(images), statistics(others)
    if first[0].n < 2 * len(first[0].mean):
        return None
    rows = [[frechet_distance(a, b, extractor=judge.name).value for b in second] for a in first]
    return torch.tensor(rows).clamp(min=0)
