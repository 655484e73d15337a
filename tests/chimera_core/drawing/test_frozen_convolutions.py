"""Convolutions with weights that never change."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from chimera_core.drawing.frozen_convolutions import FrozenConv


class Conv2dSame(nn.Conv2d):
    """Pads as timm's does: by the sides of the picture, on the right more than on the left."""

    def forward(self, x: Tensor) -> Tensor:
        around: list[int] = []
        for n, k, s in zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True):
            total = max((-(-n // s) - 1) * s + k - n, 0)
            around += [total // 2, total - total // 2]
        return F.conv2d(F.pad(x, around), self.weight, self.bias, self.stride, 0, 1, self.groups)


def made_of(kind: type[nn.Conv2d], **options: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    return kind(8, options.pop("out", 8), **options).requires_grad_(False)


CONVS = [
    made_of(nn.Conv2d, out=12, kernel_size=1),
    made_of(nn.Conv2d, out=12, kernel_size=1, bias=False),
    made_of(nn.Conv2d, out=12, kernel_size=1, stride=2),
    made_of(nn.Conv2d, out=12, kernel_size=1, padding=1),
    made_of(nn.Conv2d, kernel_size=3, padding=1, groups=8),
    made_of(nn.Conv2d, kernel_size=3, stride=2, padding=1, groups=8),
    made_of(nn.Conv2d, kernel_size=5, padding=0, groups=8),
    made_of(nn.Conv2d, out=4, kernel_size=3, padding=1, groups=2),
    made_of(nn.Conv2d, out=4, kernel_size=(3, 5), padding=(1, 0)),
    made_of(nn.Conv2d, kernel_size=3, padding=2, dilation=2, groups=8),
    made_of(nn.Conv2d, kernel_size=3, padding=1, padding_mode="reflect"),
    made_of(nn.Conv2d, kernel_size=3, padding="same"),
    *(
        made_of(Conv2dSame, kernel_size=k, stride=s, groups=g)
        for k in (2, 3, 5)
        for s in (1, 2, 3)
        for g in (1, 8)
    ),
]
ACTS = [nn.Identity(), nn.ReLU(inplace=True), nn.ReLU6(), nn.SiLU()]


@pytest.mark.parametrize("conv", CONVS, ids=str)
@pytest.mark.parametrize("act", ACTS, ids=str)
@pytest.mark.parametrize("shape", [(12, 15), (9, 10)])
def test_output_and_gradient_are_those_of_the_convolution_and_its_activation(
    conv: nn.Conv2d, act: nn.Module, shape: tuple[int, int]
) -> None:
    x = (4 * torch.randn(2, 8, *shape, generator=torch.Generator().manual_seed(1))).requires_grad_()
    wanted, found = act(conv(x)), FrozenConv(conv, act)(x)
    assert found.shape == wanted.shape
    assert torch.allclose(found, wanted, atol=1e-5)
    toward = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    (right,), (gradient,) = (torch.autograd.grad(made, x, toward) for made in (wanted, found))
    assert torch.allclose(gradient, right, atol=1e-4)


def test_autocast_reaches_the_convolution() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert FrozenConv(CONVS[0], nn.ReLU())(torch.rand(1, 8, 4, 4)).dtype == torch.bfloat16
