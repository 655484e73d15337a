"""From a soft guess of where an animal is to its outline: what looks alike, and where the edge runs."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from chimera_core.interfaces.components import FeatureEncoder

# Of the guided filter: cells to each side, and the variance of luminance under which there is no edge.
_FEATHER_RADIUS, _FEATHER_SOFTNESS = 5, 3e-3
# Longer sides of what is spread and of what is cut out, in pixels, and how often the answer is fed back.
_SPREAD_SIDE, _GRAB_SIDE, _SPREAD_ROUNDS = 448, 384, 3
# Chance of being the animal's per unit of log-odds.
_PRIOR_SOFTNESS = 0.1
# Chances beyond which GrabCut may not change its mind: what looks like the animal, and what the guess says.
_SURELY_UNLIKE, _SURELY_GROUND, _SURELY_ANIMAL = 0.04, 0.1, 0.8
# Of two animals the one is kept whose pixels' chances to this power add up to more.
_SURENESS = 4
# A limb behind a twig: its gap to the animal, in roots of the animal's area, and its share of that area.
_LIMB_GAP, _LIMB_SIZES = 0.08, (0.06, 0.5)


def follow_edges(encoder: FeatureEncoder, image: Tensor, prior: Tensor) -> Tensor:
    """Refine a guess by what looks alike (a linear discriminant on shallow features) and by edges of colour (GrabCut).

    Args:
        encoder: its second and third levels (strides 4 and 8) show what things look like.
        image: float (3, h, w) in [0, 1]: the animal with some ground around it.
        prior: float (h, w) in [0, 1]: the chance that a pixel is the animal's.
    Returns:
        float (1, h, w) in [0, 1], feathered; all zeros where nothing is left.
    Source: GrabCut: Rother et al. 2004 (SIGGRAPH); the union is ours.
    """
    outline = torch.from_numpy(_grab(image, _spread(encoder, image, prior), prior)).to(image)[None, None]
    soft = _feathered(outline, image)
    return F.interpolate(soft, image.shape[-2:], mode="bilinear", antialias=True)[0].clamp(0, 1)


def one_animal(subject: NDArray[np.bool_], chances: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Keep one animal of a mask: the piece that is large and sure, and what is left of its limbs close by.

    Pinholes are closed.

    Args:
        subject: (H, W).
        chances: (H, W) in [0, 1], that a pixel is the animal's.
    """
    subject = ndimage.binary_opening(subject)
    pieces, count = ndimage.label(subject)
    if count == 0:
        return subject
    if count > 1:
        every = range(1, count + 1)
        best = pieces == 1 + int(
            np.argmax(ndimage.sum(chances.astype(np.float64) ** _SURENESS, pieces, every))
        )
        sizes = ndimage.sum(subject, pieces, every) / best.sum()
        gaps = ndimage.minimum(ndimage.distance_transform_edt(~best), pieces, every) / np.sqrt(best.sum())
        limbs = (gaps < _LIMB_GAP) & (sizes > _LIMB_SIZES[0]) & (sizes < _LIMB_SIZES[1])
        subject = best | np.isin(pieces, 1 + np.flatnonzero(limbs))
    holes, count = ndimage.label(ndimage.binary_fill_holes(subject) & ~subject)
    sizes = ndimage.sum(holes > 0, holes, range(1, count + 1)) if count else np.zeros(0)
    # Larger holes are real: rock within a snake's coils, sky between legs.
    return subject | np.isin(holes, 1 + np.flatnonzero(np.asarray(sizes) < 0.02 * subject.sum()))


def scaled(images: Tensor, size: int) -> Tensor:
    """Scale (N, 3, H, W) to a longer side of about ``size``, sides multiples of 32 and at least 64."""
    height, width = images.shape[-2:]
    scale = size / max(height, width)
    hw = (max(64, round(height * scale / 32) * 32), max(64, round(width * scale / 32) * 32))
    return F.interpolate(images, hw, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def _spread(encoder: FeatureEncoder, image: Tensor, prior: Tensor) -> Tensor:
    """Spread a guess to whatever has the same colour and texture, and take back what looks like the ground.

    Fisher's discriminant between subject and rest, on shallow features: deep ones bleed over the outline, because
    their receptive fields are larger than a limb. The prior stays, and the answer is fed back.

    Args:
        image: float (3, h, w) in [0, 1].
        prior: float (h, w) in [0, 1].
    Returns:
        float (h, w) in [0, 1], the probability of belonging to the animal.
    """
    view = scaled(image[None], _SPREAD_SIDE)
    with torch.no_grad():
        maps = encoder.feature_maps(view, (1, 2))
    hw = maps[0].shape[-2:]
    parts = [
        F.interpolate(level / level.square().sum(1).mean().sqrt(), hw, mode="bilinear", align_corners=False)
        for level in maps
    ]
    # Colour counts twice as much as a level of features; found by eye on 64 photographs.
    parts.append(2 * F.interpolate(view, hw, mode="area"))
    # Double precision, because the covariance of a flat sky is nearly singular; on the CPU, because not every
    # device has it.
    points = torch.cat(parts, 1)[0].flatten(1).cpu().double()
    points = points - points.mean(1, keepdim=True)
    cells = F.interpolate(prior[None, None], hw, mode="area").flatten().cpu().double()
    odds = ((cells - 0.5) / _PRIOR_SOFTNESS).clamp(-6, 6)
    subject = odds.sigmoid()
    for _ in range(_SPREAD_ROUNDS):
        rest = 1 - subject
        subject_mean, rest_mean = points @ (subject / subject.sum()), points @ (rest / rest.sum())
        from_subject, from_rest = points - subject_mean[:, None], points - rest_mean[:, None]
        scatter = (
            (from_subject * subject) @ from_subject.T + (from_rest * rest) @ from_rest.T
        ) / points.shape[1]
        ridge = 0.3 * scatter.diagonal().mean().clamp_min(1e-12)
        scatter = scatter + ridge * torch.eye(len(scatter), dtype=scatter.dtype, device=scatter.device)
        direction = torch.linalg.solve(scatter, subject_mean - rest_mean)
        score = direction @ (points - ((subject_mean + rest_mean) / 2)[:, None])
        subject = (3 * score / score.std().clamp_min(1e-12) + odds).sigmoid()
    likeness = subject.to(prior).view(1, 1, *hw)
    return F.interpolate(likeness, prior.shape, mode="bilinear", align_corners=False)[0, 0]


def _grab(image: Tensor, likeness: Tensor, prior: Tensor) -> NDArray[np.float32]:
    """Cut the animal out along edges of colour: (h, w) of 0 and 1, longer side ``_GRAB_SIDE``."""
    height, width = likeness.shape
    scale = _GRAB_SIDE / max(height, width)
    hw = (max(8, round(height * scale)), max(8, round(width * scale)))
    small, likely, sure = (
        F.interpolate(part[None], hw, mode="bilinear", antialias=True, align_corners=False)[0]
        .clamp(0, 1)
        .cpu()
        .numpy()
        for part in (image, likeness[None], prior[None])
    )
    likely, sure = likely[0], sure[0]
    labels = np.full(hw, cv2.GC_PR_BGD, np.uint8)
    labels[likely > 0.5] = cv2.GC_PR_FGD
    labels[(likely < _SURELY_UNLIKE) | (sure < _SURELY_GROUND)] = cv2.GC_BGD
    labels[sure > _SURELY_ANIMAL] = cv2.GC_FGD
    subject = labels % 2 == 1  # GC_FGD is 1 and GC_PR_FGD is 3
    if (
        5 < subject.sum() < subject.size - 5
    ):  # GrabCut fits five Gaussians to each side and aborts on fewer pixels
        cv2.setRNGSeed(0)  # its k-means draws from OpenCV's global generator
        pixels = np.ascontiguousarray((small.transpose(1, 2, 0) * 255).astype(np.uint8))
        # The rectangle is ignored with a mask, but its type is not.
        cv2.grabCut(
            pixels, labels, (0, 0, 1, 1), np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK
        )
        subject = labels % 2 == 1
    return one_animal(subject, sure).astype(np.float32)


def _feathered(outline: Tensor, image: Tensor) -> Tensor:
    """Soften an outline where the picture has no edge to hide it: sharp at the fur's rim, gradual across a neck.

    Args:
        outline: float (1, 1, h, w) of 0 and 1.
        image: float (3, H, W) in [0, 1] of the same view.
    Returns:
        float (1, 1, h, w) in [0, 1].
    Source: guided filter, He et al. 2010 (ECCV), equations 4 to 8, with the picture's luminance as guide.
    """
    guide = F.interpolate(image.mean(0)[None, None], outline.shape[-2:], mode="bilinear", antialias=True)

    def mean(values: Tensor) -> Tensor:
        side = 2 * _FEATHER_RADIUS + 1
        return F.avg_pool2d(values, side, 1, _FEATHER_RADIUS, count_include_pad=False)

    guide_mean, outline_mean = mean(guide), mean(outline)
    slope = (mean(guide * outline) - guide_mean * outline_mean) / (
        mean(guide * guide) - guide_mean.square() + _FEATHER_SOFTNESS
    )
    offset = outline_mean - slope * guide_mean
    return (mean(slope) * guide + mean(offset)).clamp(0, 1)
