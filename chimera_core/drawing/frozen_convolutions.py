"""Convolutions whose weights never change, on a CPU: less is copied and computed for the gradient of the picture.

With one thread torch takes 1 x 1 products through a slower path, clones what an in-place activation overwrites, copies
a picture to pad it unevenly, and is slow at the gradient of depthwise convolutions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Frame(NamedTuple):
    """How a picture is padded on either side, and which of the outputs are then the convolution's own (rows, columns)."""

    padding: tuple[int, int]
    kept: tuple[slice, slice]


class FrozenConv(nn.Module):
    """A convolution and the activation after it.

    Args:
        conv: frozen. A subclass of ``nn.Conv2d`` may be timm's ``Conv2dSame``, which pads as TensorFlow does; others
            are run as they are.
        act: what follows.
    """

    back: Tensor

    def __init__(self, conv: nn.Conv2d, act: nn.Module) -> None:
        super().__init__()
        self.conv, self.act = conv, act
        self._bounds = _bounds(act)
        self._plain = type(conv) is nn.Conv2d
        self._known = (
            (self._plain or type(conv).__name__ == "Conv2dSame")
            and (self._bounds is not None or isinstance(act, nn.Identity))
            and conv.dilation == (1, 1)
            and conv.padding_mode == "zeros"
            and not isinstance(conv.padding, str)
        )
        self._pointwise = conv.kernel_size == conv.stride == (1, 1) and conv.groups == 1
        self._turned = conv.stride == (1, 1) and conv.groups == conv.in_channels == conv.out_channels
        weight = conv.weight.detach()
        back = weight.transpose(0, 1) if self._pointwise else weight.flip(2, 3)
        self.register_buffer("back", _last(back), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, C, h, w) and activate."""
        frame = self._frame((x.shape[-2], x.shape[-1])) if self._known else None
        if frame is None or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
            made: Tensor = self.act(self.conv(x))
            return made
        made = _Frozen.apply(_last(x), self, frame)
        return made

    def _frame(self, shape: tuple[int, int]) -> Frame | None:
        padding, kept = [], []
        for axis, n in enumerate(shape):
            kernel, stride = self.conv.kernel_size[axis], self.conv.stride[axis]
            if self._plain:
                each, extra = int(self.conv.padding[axis]), 0
                count = (n + 2 * each - kernel) // stride + 1
            else:
                count = -(-n // stride)
                total = max((count - 1) * stride + kernel - n, 0)
                # One more after than before: with a stride more on both sides there is one output too many, the first.
                extra = total % 2
                each = total // 2 + extra * stride
            if each >= max(kernel, 2):
                return None
            padding.append(each)
            kept.append(slice(extra, extra + count))
        return Frame((padding[0], padding[1]), (kept[0], kept[1]))

    def compute(self, x: Tensor, frame: Frame) -> Tensor:
        """Give the output for (N, C, h, w), channels last."""
        conv = self.conv
        if self._pointwise and frame.padding == (0, 0):
            made = _product(x, conv.weight, conv.bias)
        else:
            made = F.conv2d(x, conv.weight, conv.bias, conv.stride, frame.padding, 1, conv.groups)
        if self._bounds is not None:
            made.clamp_(*self._bounds)
        return _last(made[:, :, frame.kept[0], frame.kept[1]])

    def gradient(self, gradient: Tensor, x: Tensor, made: Tensor, frame: Frame) -> Tensor:
        """Give the gradient of the input x from that of the output made of it."""
        conv = self.conv
        gradient = _last(gradient)
        if self._bounds is not None:
            gradient = torch.ops.aten.hardtanh_backward(gradient, made, *self._bounds)
        if self._pointwise and frame.padding == (0, 0):
            return _product(gradient, self.back, None)
        down, across = (k - 1 - p for k, p in zip(conv.kernel_size, frame.padding, strict=True))
        if self._turned and min(down, across) >= 0 and not any(part.start for part in frame.kept):
            return F.conv2d(gradient, self.back, None, 1, (down, across), 1, conv.groups)
        # Outputs that were left out have no gradient.
        before = [part.start for part in frame.kept]
        if any(before):
            gradient = _last(F.pad(gradient, (before[1], 0, before[0], 0)))
        arguments = (conv.stride, frame.padding, (1, 1), False, (0, 0), conv.groups, (True, False, False))
        found: Tensor = torch.ops.aten.convolution_backward(gradient, x, conv.weight, None, *arguments)[0]
        return found


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, conv: FrozenConv, frame: Frame) -> Tensor:
        made = conv.compute(x, frame)
        ctx.conv, ctx.frame = conv, frame
        ctx.save_for_backward(x, made)
        return made

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None]:
        return ctx.conv.gradient(gradients[0], *ctx.saved_tensors, ctx.frame), None, None


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve with 1 x 1 kernels. ``F.conv2d`` leaves oneDNN's, up to twice as fast, to more than one thread."""
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        made: Tensor = torch.mkldnn_convolution(x, weight, bias, (0, 0), (1, 1), (1, 1), 1)
        return made
    return F.conv2d(x, weight, bias)


def _bounds(act: nn.Module) -> tuple[float, float] | None:
    if isinstance(act, nn.Hardtanh):  # ReLU6 is one
        return act.min_val, act.max_val
    return (0.0, float("inf")) if isinstance(act, nn.ReLU) else None


def _last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
