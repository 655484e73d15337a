"""Networks of ``cyclegan``: translators between two classes, critics of patches, the pool of past fakes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from chimera_core.api import Draw

STRIDE = 4
"""Sides of images are multiples of this: the translator halves them twice."""
LEAST_SIZE = 16
"""Below it the critic sees no patch."""


class Translator(nn.Module):
    """Turns images of one class into images of another: stem, two halvings, residual blocks, two doublings.

    It is convolutional throughout, so it takes any size that ``STRIDE`` divides.

    Args:
        width: channels at full resolution; four times as many at a quarter of it.
        blocks: number of residual blocks.
    Source: Zhu et al. 2017, arXiv:1703.10593, appendix 7.2. Ours: transposed convolutions of 4 x 4 instead of 3 x 3,
        which every pixel is under equally often, so that they draw no checkerboard; zeros beyond the edge inside, the
        image's reflection only at its own edge; and instance norm inside the residual blocks only. With norms all
        the way, as in the paper, brightness and contrast of the image are lost in the first one, and nothing can
        bring them back: autoencoding stood still at 0.125 per pixel after 500 images, without them it was 0.077 and
        falling after 960 (32 pixels).
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            nn.Conv2d(3, width, 7, padding=3, padding_mode="reflect"),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.blocks = nn.ModuleList(_residual(4 * width) for _ in range(blocks))
        self.decode = nn.Sequential(
            nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 3, 7, padding=3, padding_mode="reflect"),
            nn.Tanh(),
        )

    def forward(self, x: Tensor, strength: float = 1.0) -> Tensor:
        """Translate.

        Args:
            x: float (N, 3, H, W) in [0, 1], sides multiples of ``STRIDE``.
            strength: share of what every residual block adds; 0 leaves the blocks out.
        Returns:
            Same shape and range.
        """
        features = self.encode(x * 2 - 1)
        if strength:
            for block in self.blocks:
                features = features + strength * block(features)
        made: Tensor = self.decode(features)
        return (made + 1) / 2


class PatchCritic(nn.Module):
    """Judges patches of 34 x 34 pixels: real images of its class, or translations into it?

    Args:
        width: channels of the first layer.
    Source: Isola et al. 2017, arXiv:1611.07004, appendix 6.1.2. Their 70 x 70 on 256 pixels would be 18 on 64; 34, one
        halving fewer than theirs, sees an eye with its surroundings.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            InstanceNorm(2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 4, padding=1),
            InstanceNorm(4 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 4, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Judge images (N, 3, H, W) in [0, 1]: one number per patch, (N, 1, H / 4 - 2, W / 4 - 2); 1 is real."""
        judged: Tensor = self.layers(x * 2 - 1)
        return judged


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation whose gradients are right for a single image too.

    With one image in channels_last, torch 2.14's own on the CPU reads the gradient in another memory order than the
    image, and gives wrong numbers without a word.

    Source: Ulyanov et al. 2016, arXiv:1607.08022.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Bring every channel of every image (N, C, H, W) to mean 0 and variance 1."""
        if len(x) == 1:
            return super().forward(torch.cat([x, x]))[:1]
        return super().forward(x)


class FakePool(nn.Module):
    """Keeps past translations, and shows the critic some of them instead of the newest.

    Its contents are buffers, so that a checkpoint keeps them; its choices come from the draw of each example.

    Args:
        size: how many it keeps; 0 gives back what it is given.
        side: of the images in pixels.
    Source: Shrivastava et al. 2017, arXiv:1612.07828, section 2.3; Zhu et al. 2017, section 4, keep 50.
    """

    images: Tensor
    filled: Tensor

    def __init__(self, size: int, side: int) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, 3, side, side))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, fakes: Tensor, draw: Draw) -> Tensor:
        """Take in new images, and give as many for the critic.

        A new image goes into a free place and is given at once. Where all are taken, half of the new ones are given
        as they come; each of the others takes the place of an old one, which is given.

        Args:
            fakes: float (N, 3, S, S).
            draw: of these N examples.
        Returns:
            float32 (N, 3, S, S), without gradient.
        """
        given = fakes.detach().float().clone()
        size, filled = len(self.images), int(self.filled)
        if not size:
            return given
        swaps = (draw.uniform(purpose="pool/swap") < 0.5).tolist()
        places = draw.integers(size, purpose="pool/place").tolist()
        for k in range(len(given)):
            if filled < size:
                self.images[filled] = given[k]
                filled += 1
            elif swaps[k]:
                old = self.images[places[k]].clone()
                self.images[places[k]] = given[k]
                given[k] = old
        self.filled.fill_(filled)
        return given


def initialise_translator(translator: Translator, generator: torch.Generator) -> None:
    """Draw the weights such that sizes stay alike from layer to layer, which no norm sees to; biases are 0.

    The last layer begins at a fifth of that: where tanh is flat, nothing is learned.

    Source: He et al. 2015, arXiv:1502.01852.
    """
    convolutions = [m for m in translator.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    for module in convolutions:
        side = module.kernel_size[0]
        if isinstance(module, nn.ConvTranspose2d):  # its stride thins out what a pixel sees
            side //= module.stride[0]
        _draw(module, (2 / (module.in_channels * side**2)) ** 0.5, generator)
    with torch.no_grad():
        convolutions[-1].weight.mul_(0.2)


def initialise_critic(critic: PatchCritic, generator: torch.Generator) -> None:
    """Draw the weights from N(0, 0.02^2), with biases of 0.

    Source: Zhu et al. 2017, appendix 7.1.
    """
    for module in critic.modules():
        if isinstance(module, nn.Conv2d):
            _draw(module, 0.02, generator)


@torch.no_grad()
def _draw(module: nn.Conv2d | nn.ConvTranspose2d, spread: float, generator: torch.Generator) -> None:
    module.weight.normal_(0, spread, generator=generator)
    if module.bias is not None:
        module.bias.zero_()


def _residual(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1),
        InstanceNorm(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        InstanceNorm(channels),
    )
