"""The two networks of the autoencoder, conditioned on shares of classes (Sohn et al. 2015)."""

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """Describes images by the mean and the log of the variance of their codes."""

    def __init__(self, *, classes: int, codes: int, width: int, size: int) -> None:
        super().__init__()
        self.shrink = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * width, 4 * width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Flatten(),
        )
        self.end = nn.Linear(4 * width * (size // 8) ** 2 + classes, 2 * codes)

    def forward(self, x: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (N, 3, S, S) and shares of classes (N, K) to two tensors (N, codes)."""
        mean, log_variance = self.end(torch.cat([self.shrink(x), shares], 1)).float().chunk(2, 1)
        return mean, log_variance.clamp(-10, 10)


class Decoder(nn.Module):
    """Draws images from codes and shares of classes."""

    def __init__(self, *, classes: int, codes: int, width: int, size: int) -> None:
        super().__init__()
        self.start = nn.Linear(codes + classes, 4 * width * (size // 8) ** 2)
        self.grow = nn.Sequential(
            nn.Unflatten(1, (4 * width, size // 8, size // 8)),
            nn.SiLU(),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(width, 3, 4, stride=2, padding=1),
        )

    def forward(self, codes: Tensor, shares: Tensor) -> Tensor:
        """Map codes (N, codes) and shares of classes (N, K) to images (N, 3, S, S) in [0, 1]."""
        images: Tensor = self.grow(self.start(torch.cat([codes, shares], 1)))
        return images.float().sigmoid()


def code_of(seed: int, codes: int) -> Tensor:
    """Draw the code that belongs to a seed: (codes,)."""
    return torch.randn(codes, generator=torch.Generator().manual_seed(seed))
