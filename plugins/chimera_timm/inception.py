"""The network by whose features FID and KID are defined: Inception of 2015, as TensorFlow ran it.

torchvision has the same layers with other pooling; with TensorFlow's pooling and resizing, and the weights that were
brought over from there, its features are those that papers compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import inception

from chimera_core.api import ConfigError, FeatureEncoder, Level, check_state, find_asset, load_state
from chimera_timm.config import InceptionConfig

ASSET = "inception-2015-12-05"
_SIDE, _CLASSES = 299, 1008


class InceptionEncoder(FeatureEncoder):
    """Inception with 2,048 features, which brings images to its 299 pixels by itself.

    Its file of weights is an asset of 96 MB, downloaded on first use. Nothing but the embedding and the logits is read.

    Raises:
        DataError, RunError: if the weights are not to be had, or are damaged.
    Source: Heusel et al. 2017, arXiv:1706.08500, for the use; the weights are Google's of 2015-12-05.
    """

    levels: tuple[Level, ...] = ()
    resizes: ClassVar[bool] = True

    def __init__(self, config: InceptionConfig) -> None:
        super().__init__()
        state = load_state(path := find_asset(ASSET))
        self.network = _network()
        own = self.network.state_dict()
        # Counters of training, which files of that age may lack and nothing reads.
        state |= {k: v for k, v in own.items() if k.endswith("num_batches_tracked")}
        check_state(state, {k: (tuple(v.shape), v.dtype) for k, v in own.items()}, where=str(path))
        self.network.load_state_dict(state)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Classify images (N, 3, H, W) in [0, 1]: logits (N, 1008), ImageNet's classes among them."""
        logits: Tensor = self.network.fc(self.embed(x))
        return logits

    def embed(self, x: Tensor) -> Tensor:
        """Embed images (N, 3, H, W) in [0, 1]: the 2,048 features of the last pooling."""
        # TensorFlow's graph: pixels of 0 to 255, less 128, by 128.
        x = (255 * _like_tensorflow(x) - 128) / 128
        net = self.network
        for block in (
            net.Conv2d_1a_3x3, net.Conv2d_2a_3x3, net.Conv2d_2b_3x3, net.maxpool1, net.Conv2d_3b_1x1, net.Conv2d_4a_3x3,
            net.maxpool2, net.Mixed_5b, net.Mixed_5c, net.Mixed_5d, net.Mixed_6a, net.Mixed_6b, net.Mixed_6c, net.Mixed_6d,
            net.Mixed_6e, net.Mixed_7a, net.Mixed_7b, net.Mixed_7c,
        ):  # fmt: skip
            x = block(x)
        return x.mean((2, 3))

    def feature_maps(self, x: Tensor, levels: Sequence[int]) -> list[Tensor]:
        """Read nothing: it has no levels.

        Raises:
            ConfigError: if one is asked for.
        """
        if levels:
            raise ConfigError(f"{ASSET} has no levels of feature maps: take another encoder for them")
        return []


class _LastBlock(inception.InceptionE):  # type: ignore[misc]
    """The last block, whose pooling takes the largest value: an oddity of that one graph, which the features carry."""

    def _forward(self, x: Tensor) -> list[Tensor]:
        once, twice = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, kernel_size=3, stride=1, padding=1)
        return [
            self.branch1x1(x),
            torch.cat([self.branch3x3_2a(once), self.branch3x3_2b(once)], 1),
            torch.cat([self.branch3x3dbl_3a(twice), self.branch3x3dbl_3b(twice)], 1),
            self.branch_pool(pooled),
        ]


def _network() -> inception.Inception3:
    """Build torchvision's layers with TensorFlow's pooling."""
    network = inception.Inception3(num_classes=_CLASSES, aux_logits=False, init_weights=False)
    network.Mixed_7c = _LastBlock(2048)
    averaging = (
        "Mixed_5b",
        "Mixed_5c",
        "Mixed_5d",
        "Mixed_6b",
        "Mixed_6c",
        "Mixed_6d",
        "Mixed_6e",
        "Mixed_7b",
    )
    for name in averaging:
        getattr(network, name).branch_pool.register_forward_pre_hook(_without_padding)
    return network


def _without_padding(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """Turn means over 3 x 3 places, padding among them, into means over those inside the picture."""
    (pooled,) = inputs
    inside = F.avg_pool2d(torch.ones_like(pooled[:1, :1]), kernel_size=3, stride=1, padding=1)
    return (pooled / inside,)


def _like_tensorflow(images: Tensor) -> Tensor:
    """Bring images (N, 3, H, W) to 299 pixels as TensorFlow 1 did: bilinear from the corner, without a blur."""
    rows, columns = (_interpolation(side, images) for side in images.shape[-2:])
    return rows @ images @ columns.T


def _interpolation(side: int, like: Tensor) -> Tensor:
    """Give the weights of the pixels of one side, (299, side)."""
    places = torch.arange(_SIDE, dtype=torch.float64) * (side / _SIDE)
    lower = places.floor().long().clamp(max=side - 1)
    share = places - lower
    weights = torch.zeros(_SIDE, side, dtype=torch.float64)
    weights[torch.arange(_SIDE), lower] += 1 - share
    weights[torch.arange(_SIDE), (lower + 1).clamp(max=side - 1)] += share
    return weights.to(like)
