"""How much memory a training will take, counted without taking it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chimera_core.host_memory import available_bytes

_RUNTIME = 128 << 20  # what torch itself takes with the first step
_BYTES_PER_WEIGHT = {"adamw": 8, "adam": 8, "sgd": 4}
# Workspaces of convolutions, fragmentation, the data: measured peaks lie up to a third above the plain sum.
_MARGIN = 1.3
_USABLE = 0.9


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a training: what it takes at any batch, and for each image of a batch."""

    parameters: int
    learned: int
    weights: int
    gradients: int
    optimizer: int
    ema: int
    casts: int
    per_image: int

    @property
    def fixed(self) -> int:
        """Bytes at any batch."""
        return _RUNTIME + self.weights + self.gradients + self.optimizer + self.ema + self.casts

    def total(self, batch: int) -> int:
        """Bytes at a batch, with a margin on what the images take."""
        return self.fixed + int(batch * self.per_image * _MARGIN)

    def fitting_batch(self, available: int, *, most: int = 1024) -> int:
        """Give the largest power of two that fits into bytes; 0 if none does."""
        batch = 1 << (most.bit_length() - 1)
        while batch and self.total(batch) > available * _USABLE:
            batch //= 2
        return batch


def estimate_memory(
    module: nn.Module, step: Callable[[int], Tensor], *, optimizer: str, has_ema: bool, precision: str
) -> MemoryEstimate:
    """Count the memory of a training step.

    Args:
        module: the network; on the ``meta`` device nothing is allocated.
        step: forward pass of a batch of so many images, on the module's device: gives the loss.
        optimizer: adamw, adam or sgd.
        has_ema: whether an average of the weights is kept.
        precision: ``bf16`` halves what is kept for the backward pass, and keeps a second, smaller copy of the weights.
    """
    state = list(module.state_dict().values())
    weights = sum(t.numel() * t.element_size() for t in state)
    learned = sum(p.numel() for p in module.parameters() if p.requires_grad)
    two, four = (_kept_bytes(module, step, batch) for batch in (2, 4))
    per_image = max(0, (four - two) // 2)
    return MemoryEstimate(
        parameters=sum(p.numel() for p in module.parameters()),
        learned=learned,
        weights=weights,
        gradients=4 * learned,
        optimizer=_BYTES_PER_WEIGHT[optimizer] * learned,
        ema=weights if has_ema else 0,
        casts=weights // 2 if precision == "bf16" else 0,
        per_image=per_image // 2 if precision == "bf16" else per_image,
    )


def available_memory(device: torch.device) -> int:
    """Give the bytes that a training may take on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_bytes()


def _kept_bytes(module: nn.Module, step: Callable[[int], Tensor], batch: int) -> int:
    """Give the most bytes that the backward pass kept at once, the module's own tensors left out."""
    meter = _Meter({t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())})
    with torch.autograd.graph.saved_tensors_hooks(meter.keep, lambda kept: kept.tensor):
        loss = step(batch)
    del loss
    return meter.peak


class _Meter:
    def __init__(self, own: set[int]) -> None:
        self._own = own
        self._uses: dict[int, int] = {}
        self.live = 0
        self.peak = 0

    def keep(self, tensor: Tensor) -> Any:
        return _Kept(self, tensor)

    def take(self, key: int, size: int) -> None:
        if key in self._own:
            return
        self._uses[key] = self._uses.get(key, 0) + 1
        if self._uses[key] == 1:
            self.live += size
            self.peak = max(self.peak, self.live)

    def drop(self, key: int, size: int) -> None:
        if key in self._own:
            return
        self._uses[key] -= 1
        if not self._uses[key]:
            del self._uses[key]
            self.live -= size


class _Kept:
    """A tensor that autograd keeps; several of one storage count once."""

    def __init__(self, meter: _Meter, tensor: Tensor) -> None:
        self.tensor = tensor
        storage = tensor.untyped_storage()
        self._meter, self._key, self._size = meter, storage._cdata, storage.nbytes()
        meter.take(self._key, self._size)

    def __del__(self) -> None:
        self._meter.drop(self._key, self._size)
