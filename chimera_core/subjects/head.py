"""Where an animal's head is, its neck and its snout: a small probe on frozen features, looking twice."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from chimera_core.files.weights import load_state
from chimera_core.interfaces.components import FeatureEncoder
from chimera_core.subjects.edges import scaled
from chimera_core.subjects.face_network import view_features
from chimera_core.subjects.window import Box, animal_box, box_area, cut_box

# Levels of EfficientNet-Lite0 at strides 8, 16 and 32, each seen at two sizes: 944 features a cell.
LEVELS = (2, 3, 4)
LOOKS = (224, 320)
# Longer side of the grid on which features and scores lie, in cells.
GRID = 40
# From this probability on a cell counts as head.
HEAD_SCORE = 0.45
_MARGIN = 0.15
# The closer look frames the first look's head with this share of its sides, and is left out where it would
# show more than this share of the first frame.
_CLOSER_MARGIN, _CLOSER_MOST = 0.55, 0.7
_LEAST_SIDE = 24


class HeadProbe(NamedTuple):
    """One hidden layer from a cell's features to the log-odds of head, neck and snout.

    ``hidden`` is float (U, 944), ``hidden_bias`` (U,), ``out`` (3, U) and ``out_bias`` (3,).
    """

    hidden: Tensor
    hidden_bias: Tensor
    out: Tensor
    out_bias: Tensor

    def log_odds(self, features: Tensor) -> Tensor:
        """Read features (N, 944, h, w): float (N, 3, h, w)."""
        inner = torch.einsum("nchw,uc->nuhw", features, self.hidden) + self.hidden_bias[:, None, None]
        return torch.einsum("nuhw,ou->nohw", inner.relu_(), self.out) + self.out_bias[:, None, None]


@cache
def default_probe() -> HeadProbe:
    """Load the probe that ships with the package; HEAD.md beside its weights tells how it was trained."""
    state = load_state(Path(__file__).parent / "weights" / "head.safetensors")
    return HeadProbe(**{name: state[name].float() for name in HeadProbe._fields})


def head_map(
    encoder: FeatureEncoder, image: Tensor, mask: Tensor, *, probe: HeadProbe | None = None
) -> Tensor:
    """Score every pixel of a photograph for belonging to its animal's head; arguments as in ``head_maps``.

    Returns:
        float (1, H, W) in [0, 1] on the CPU: the probability of head. It is not cut to the mask.
    Source: ours; probes of frozen features: Alain and Bengio 2016 (arXiv:1610.01644).
    """
    return head_maps(encoder, image, mask, probe=probe)[:1]


def head_maps(
    encoder: FeatureEncoder, image: Tensor, mask: Tensor, *, probe: HeadProbe | None = None
) -> Tensor:
    """Score every pixel for head, like ``head_map``, and for what helps to cut it off: neck and snout.

    Args:
        encoder: the default encoder (frozen EfficientNet-Lite0); the probe knows no other features.
        image: float (3, H, W) in [0, 1].
        mask: float (1, H, W) in [0, 1], where the animal is; only its box is looked at.
        probe: None: the one that ships.
    Returns:
        float (3, H, W) in [0, 1] on the CPU: probabilities of head, neck (the line from nape to throat) and snout.
    Source: ours.
    """
    probe = probe or default_probe()
    height, width = image.shape[-2:]
    scores = torch.zeros(3, height, width)
    if not bool((mask > 0.5).any()):
        return scores
    box = animal_box(mask, margin=_MARGIN)
    cut_box(scores, box)[:] = _score(encoder, cut_box(image, box), probe)
    closer = _head_box(scores[0], mask[0].cpu() > 0.5)
    if closer is not None and box_area(closer) < _CLOSER_MOST * box_area(box):
        second = _score(encoder, cut_box(image, closer), probe)
        region = cut_box(scores, closer)
        region[:] = (region + second) / 2
    return scores


def head_features(encoder: FeatureEncoder, image: Tensor) -> Tensor:
    """Compute the features that the probe reads.

    Args:
        encoder: frozen EfficientNet-Lite0.
        image: float (N, 3, H, W) in [0, 1].
    Returns:
        float (N, 944, h, w), the longer side ``GRID`` cells; every level is scaled to a root mean square length of 1.
    """
    height, width = image.shape[-2:]
    scale = GRID / max(height, width)
    cells = (max(1, round(height * scale)), max(1, round(width * scale)))
    parts = []
    for look in LOOKS:
        with torch.no_grad():
            maps = encoder.feature_maps(scaled(image, look), LEVELS)
        parts += [
            F.interpolate(level, cells, mode="bilinear", align_corners=False) for level in view_features(maps)
        ]
    return torch.cat(parts, 1)


def _score(encoder: FeatureEncoder, image: Tensor, probe: HeadProbe) -> Tensor:
    """Score a view (3, h, w): float (3, h, w) in [0, 1] on the CPU, from the log-odds of it and its mirror image."""
    features = head_features(encoder, torch.stack([image, image.flip(-1)])).cpu()
    odds = probe.log_odds(features)
    scores = ((odds[:1] + odds[1:].flip(-1)) / 2).sigmoid()
    return F.interpolate(scores, image.shape[-2:], mode="bilinear", align_corners=False)[0]


def _head_box(scores: Tensor, animal: Tensor) -> Box | None:
    """Frame the strongest piece of a score map (H, W), with room around it; None where there is none."""
    hot = ((scores > HEAD_SCORE) & animal).numpy()
    pieces, count = ndimage.label(hot)
    if count == 0:
        return None
    strength = ndimage.sum(scores.numpy(), pieces, range(1, count + 1))
    rows, columns = (pieces == 1 + int(strength.argmax())).nonzero()
    room = int(_CLOSER_MARGIN * max(rows.max() - rows.min(), columns.max() - columns.min())) + 8
    height, width = scores.shape
    box = (
        max(0, int(rows.min()) - room),
        min(height, int(rows.max()) + room),
        max(0, int(columns.min()) - room),
        min(width, int(columns.max()) + room),
    )
    return box if min(box[1] - box[0], box[3] - box[2]) > _LEAST_SIDE else None
