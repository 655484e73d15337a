"""Networks that find whatever stands out, not animals alone, run by OpenCV: u2netp and ISNet."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from chimera_core.errors import DataError
from chimera_core.files.atomic import quote
from chimera_core.subjects.outline import Outline

_LEAST_CHANCE = 0.5


class Salient(NamedTuple):
    """How a network wants its pictures: squares of ``side`` pixels, and what is taken off and divided by."""

    side: int
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


NETWORKS = {
    "u2netp": Salient(320, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "isnet": Salient(1024, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)),
}
"""By the name of their asset. Source: Qin et al. 2020, arXiv:2005.09007; Qin et al. 2022, arXiv:2203.03041."""


def find_salient(file: Path, image: Tensor, network: Salient) -> Outline:
    """Mask what stands out in a picture.

    Args:
        file: the network, ONNX; its first output is the map.
        image: float (3, H, W) in [0, 1].
    Returns:
        The mask, on the image's device, and the mean chance within it.
    Raises:
        DataError: if the file is no such network.
    """
    square = F.interpolate(image[None].cpu(), (network.side, network.side), mode="bilinear", antialias=True)[
        0
    ]
    square = square / square.amax().clamp_min(1e-6)
    mean, deviation = (torch.tensor(three).view(3, 1, 1) for three in (network.mean, network.deviation))
    blob = ((square - mean) / deviation)[None].numpy()
    chances = torch.from_numpy(_run(file, blob)).clamp(0, 1)
    if float(chances.max()) < _LEAST_CHANCE:
        return Outline(torch.zeros_like(image[:1]), 0.0)
    confidence = float(chances[chances > _LEAST_CHANCE].mean())
    # Stretched as its authors do, for its highest value depends on the picture.
    stretched = (chances - chances.min()) / (chances.max() - chances.min()).clamp_min(1e-6)
    mask = F.interpolate(stretched[None, None], image.shape[-2:], mode="bilinear", align_corners=False)[0]
    return Outline(mask.to(image.device), confidence)


def _run(file: Path, blob: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Give the first map (h, w) of a network."""
    try:
        network = _network(file)
        network.setInput(blob)
        found = np.asarray(network.forward(network.getUnconnectedOutLayersNames()[0]), np.float32)
    except cv2.error as error:
        raise DataError(f"{quote(file)} is not a network that OpenCV can run: get it anew") from error
    if found.ndim != 4 or found.shape[:2] != (1, 1):
        raise DataError(f"{quote(file)} gives {found.shape}, not one map (1, 1, h, w): it is another network")
    return np.ascontiguousarray(found[0, 0])


@functools.lru_cache(maxsize=2)
def _network(file: Path) -> Any:
    return cv2.dnn.readNetFromONNX(str(file))
