"""Find the animal in a photograph, without a segmentation network and without training.

Three steps, from coarse and sure to fine: where the classifier looks (LayerCAM), what else in the picture looks
like that (a linear discriminant on shallow features: from the face to the whole body), and where its edge runs
(GrabCut). A small animal is looked at again in a closer crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from chimera_core.interfaces import FeatureEncoder
from chimera_core.subjects.window import Box

# ImageNet lists its animals first.
_ANIMAL_CLASSES = 398
# Below this probability of any animal we ask for the most probable class instead: a person, a toy, a drawing.
_LEAST_ANIMAL = 0.15
_FIRST_LOOK = (224, 320, 448)
_CLOSER_LOOK = (224, 320)
_MOST_LOOKS = 3
# A box under a third of the frame is an animal seen from afar, and a closer look finds its outline. In a larger one
# the classifier would look at the face alone, and the second look would lose the body.
_SMALL_SUBJECT = 0.345
_STILL_SHRINKING = 0.75
_LEAST_BOX_SIDE = 24
# Of the guided filter: cells to each side, and the variance of luminance under which there is no edge.
_FEATHER_RADIUS, _FEATHER_SOFTNESS = 5, 3e-3
# Evidence per unit of log-odds.
_EVIDENCE_SOFTNESS = 0.1


def find_subject(encoder: FeatureEncoder, image: Tensor) -> Tensor:
    """Mask the animal of a photograph, or what the classifier sees where there is none.

    Args:
        encoder: frozen ImageNet classifier; its last two levels show where it looks (strides 16 and 32), its second
            and third what things look like (strides 4 and 8).
        image: float (3, H, W) in [0, 1], any size.
    Returns:
        float (1, H, W) in [0, 1], on the image's device; all ones where nothing stands out.
    Source: LayerCAM: Jiang et al. 2021 (IEEE TIP 30), equation 5; GrabCut: Rother et al. 2004. Their union is ours.
    """
    everything = torch.ones_like(image[:1])
    look = _look(encoder, image)
    if not bool((look.evidence > look.threshold).any()):
        return everything
    box = _box_around(look.evidence, 0.7 * look.threshold, margin=0.3)
    crop, evidence = _cut(image, box), _cut(look.evidence, box)
    likeness = _spread(encoder, crop, evidence, look.threshold)
    outline = _outline(crop, likeness, evidence, look.threshold)
    if not outline.any():
        return everything
    mask = torch.zeros_like(everything)
    found = _feathered(torch.from_numpy(outline).to(mask)[None, None], crop)
    _cut(mask, box)[:] = F.interpolate(found, crop.shape[-2:], mode="bilinear", antialias=True)[0]
    return mask.clamp(0, 1)


@dataclass(frozen=True)
class _Look:
    evidence: Tensor
    """float (H, W) in [0, 1]: how much each pixel speaks for an animal."""
    threshold: float


def _look(encoder: FeatureEncoder, image: Tensor) -> _Look:
    """Gather evidence, and gather it again in a closer crop while the animal is small in its frame."""
    height, width = image.shape[-2:]
    box: Box = (0, height, 0, width)
    evidence = _evidence(encoder, image, _FIRST_LOOK)
    for look in range(_MOST_LOOKS):
        if look:
            closer = _unit((_cut(evidence, box) * _evidence(encoder, _cut(image, box), _CLOSER_LOOK)).sqrt())
            evidence = torch.zeros_like(evidence)
            _cut(evidence, box)[:] = closer
        threshold = _otsu(_cut(evidence, box))
        smaller = _box_around(evidence, 1.1 * threshold, margin=0.15)
        enough = _SMALL_SUBJECT if look == 0 else _STILL_SHRINKING
        if (
            _area(smaller) > enough * _area(box)
            or min(smaller[1] - smaller[0], smaller[3] - smaller[2]) < _LEAST_BOX_SIDE
        ):
            break
        box = smaller
    if box == (0, height, 0, width):
        # A large animal: lift the middle of the range, for its body is less evident than its face.
        evidence = evidence**0.8
        threshold = _otsu(evidence)
    return _Look(evidence, threshold)


def _evidence(encoder: FeatureEncoder, image: Tensor, sizes: Sequence[int]) -> Tensor:
    """Multiply LayerCAM at stride 16 (fine, noisy) with stride 32 (coarse, sure): float (H, W) in [0, 1].

    Averaged over sizes (longer side, in pixels) and over the mirror image.
    """
    levels = (len(encoder.levels) - 2, len(encoder.levels) - 1)
    sums = [torch.zeros_like(image[0]) for _ in levels]
    for size in sizes:
        view = _scaled(image, size)
        pair = torch.cat([view, view.flip(-1)]).requires_grad_(True)
        with torch.enable_grad():
            logits, maps = encoder.logits_and_maps(pair, levels)
            slopes = torch.autograd.grad(_animal_score(logits).sum(), maps)
        for total, slope, features in zip(sums, slopes, maps, strict=True):
            cam = (slope.relu() * features.detach().relu()).sum(1, keepdim=True)
            cam = cam[:1] + cam[1:].flip(-1)
            cam = cam / cam.amax().clamp_min(1e-12)
            total += F.interpolate(cam, image.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
    fine, coarse = (_unit(total) for total in sums)
    return _unit(fine.sqrt() * coarse)


def _animal_score(logits: Tensor) -> Tensor:
    """Score each view (N, K) for "some animal", or for the most probable class where no animal is seen: (N,)."""
    if float(logits.detach().softmax(-1)[:, :_ANIMAL_CLASSES].sum(-1).mean()) > _LEAST_ANIMAL:
        return logits[:, :_ANIMAL_CLASSES].logsumexp(-1)
    return logits[:, int(logits.detach().mean(0).argmax())]


def _spread(
    encoder: FeatureEncoder,
    image: Tensor,
    evidence: Tensor,
    threshold: float,
    *,
    size: int = 448,
    rounds: int = 3,
) -> Tensor:
    """Spread evidence from the face to whatever has the same colour and texture.

    Fisher's discriminant between subject and rest, on shallow features: deep ones bleed over the outline, because
    their receptive fields are larger than a limb. Evidence stays as the prior, and the answer is fed back.

    Args:
        image: float (3, h, w) in [0, 1].
        evidence: float (h, w) in [0, 1].
        threshold: the evidence at which subject and rest are as likely.
    Returns:
        float (h, w) in [0, 1], the probability of belonging to the animal.
    """
    view = _scaled(image, size)
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
    cells = F.interpolate(evidence[None, None], hw, mode="area").flatten().cpu().double()
    prior = ((cells - threshold) / _EVIDENCE_SOFTNESS).clamp(-6, 6)
    subject = prior.sigmoid()
    for _ in range(rounds):
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
        subject = (3 * score / score.std().clamp_min(1e-12) + prior).sigmoid()
    likeness = subject.to(evidence).view(1, 1, *hw)
    return F.interpolate(likeness, evidence.shape, mode="bilinear", align_corners=False)[0, 0]


def _outline(
    image: Tensor, likeness: Tensor, evidence: Tensor, threshold: float, *, size: int = 288
) -> NDArray[np.uint8]:
    """Cut the animal out along edges of colour: (h, w) of 0 and 1, longer side ``size``."""
    height, width = likeness.shape
    scale = size / max(height, width)
    hw = (max(8, round(height * scale)), max(8, round(width * scale)))
    small, likely, evident = (
        F.interpolate(part[None], hw, mode="bilinear", antialias=True, align_corners=False)[0]
        .clamp(0, 1)
        .cpu()
        .numpy()
        for part in (image, likeness[None], evidence[None])
    )
    likely, evident = likely[0], evident[0]
    labels = np.full(hw, cv2.GC_PR_BGD, np.uint8)
    labels[likely > 0.5] = cv2.GC_PR_FGD
    labels[likely < 0.04] = cv2.GC_BGD
    labels[evident > threshold + 0.6 * (1 - threshold)] = cv2.GC_FGD
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
    return _tidied(subject, likely).astype(np.uint8)


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


def _tidied(subject: NDArray[np.bool_], weight: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Drop crumbs (under a quarter of the largest piece's weight) and close pinholes."""
    subject = ndimage.binary_opening(subject)
    pieces, count = ndimage.label(subject)
    if count == 0:
        return subject
    weights = ndimage.sum(weight, pieces, range(1, count + 1))
    subject = np.isin(pieces, 1 + np.flatnonzero(weights > 0.25 * weights.max()))
    holes, count = ndimage.label(ndimage.binary_fill_holes(subject) & ~subject)
    sizes = ndimage.sum(holes > 0, holes, range(1, count + 1)) if count else np.zeros(0)
    # Larger holes are real: rock within a snake's coils, sky between legs.
    return subject | np.isin(holes, 1 + np.flatnonzero(np.asarray(sizes) < 0.02 * subject.sum()))


def _box_around(evidence: Tensor, threshold: float, *, margin: float) -> Box:
    """Box the pieces above a threshold, widened by a share of its sides and four pixels."""
    height, width = evidence.shape
    values = evidence.cpu().numpy()
    pieces = _tidied(values > threshold, values)
    rows, columns = np.nonzero(pieces if pieces.any() else values >= min(threshold, values.max()))
    top, bottom, left, right = (
        int(edge) for edge in (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
    )
    down, across = int((bottom - top) * margin) + 4, int((right - left) * margin) + 4
    return max(0, top - down), min(height, bottom + down), max(0, left - across), min(width, right + across)


def _otsu(evidence: Tensor) -> float:
    """Find the threshold in [0, 1] that best parts high from low values (Otsu 1979)."""
    levels = (evidence * 255).round().to(torch.uint8).cpu().numpy()
    return float(cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]) / 255


def _scaled(image: Tensor, size: int) -> Tensor:
    """Scale to a longer side of about ``size``: float (1, 3, h, w), sides multiples of 32 and at least 64."""
    height, width = image.shape[-2:]
    scale = size / max(height, width)
    hw = (max(64, round(height * scale / 32) * 32), max(64, round(width * scale / 32) * 32))
    return F.interpolate(image[None], hw, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def _unit(values: Tensor) -> Tensor:
    return (values - values.min()) / (values.max() - values.min()).clamp_min(1e-9)


def _cut(image: Tensor, box: Box) -> Tensor:
    top, bottom, left, right = box
    return image[..., top:bottom, left:right]


def _area(box: Box) -> int:
    return (box[1] - box[0]) * (box[3] - box[2])
