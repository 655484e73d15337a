"""The two networks: the reports' plain one, and our small residual one. Each is levels, then a head.

Legend of shapes: N images, C_l channels of level l, D features, K classes.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def plain_level(channels_in: int, channels: int) -> nn.Module:
    """Build the reports' level: convolution 3 x 3, batch norm, ReLU, maximum of 2 x 2. Halves the side."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, stride=1, padding=1),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


def plain_head(channels: int, side: int, hidden: int) -> nn.Module:
    """Build the reports' way from maps (N, C, side, side) to features (N, hidden)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * side * side, hidden), nn.ReLU(inplace=True))


class ResidualBlock(nn.Module):
    """Two convolutions beside a short cut; norms and activations come first.

    Source: He et al. 2016, arXiv:1603.05027, "full pre-activation". A short cut that changes shape reads the
    activated map, and averages 2 x 2 before its 1 x 1 convolution (He et al. 2019, arXiv:1812.01187, ResNet-D).
    """

    def __init__(self, channels_in: int, channels: int, *, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.stride = stride
        changes = stride != 1 or channels_in != channels
        self.short = nn.Conv2d(channels_in, channels, 1, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C_in, H, W) to (N, C, H / stride, W / stride)."""
        active = F.relu(self.norm1(x))
        if self.short is not None:
            pooled = F.avg_pool2d(active, self.stride, ceil_mode=True) if self.stride > 1 else active
            x = self.short(pooled)
        out: Tensor = x + self.conv2(F.relu(self.norm2(self.conv1(active))))
        return out


def residual_stem(channels: int) -> nn.Module:
    """Build the first convolution: 3 x 3, stride 2. At full resolution the rest would cost four times as much."""
    return nn.Conv2d(3, channels, 3, stride=2, padding=1, bias=False)


def residual_level(channels_in: int, channels: int, *, depth: int, stride: int) -> nn.Module:
    """Build one level of ``depth`` blocks, of which the first changes channels and resolution."""
    blocks = [ResidualBlock(channels_in, channels, stride=stride)]
    blocks += [ResidualBlock(channels, channels, stride=1) for _ in range(depth - 1)]
    return nn.Sequential(*blocks)


def residual_head(channels: int) -> nn.Module:
    """Build the way from maps (N, C, H, W) to features (N, C)."""
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def initialise_residual(module: nn.Module) -> None:
    """Draw convolutions as He et al. 2015 do, and let every block start as its short cut."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(part, ResidualBlock):
            nn.init.zeros_(part.conv2.weight)
