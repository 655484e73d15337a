"""How near a piece of work comes to what a device can do: arithmetic and memory traffic counted, peaks measured.

The roofline (Williams et al. 2009) of one operation is the longer of two times: of its arithmetic at the device's peak,
and of reading what goes in and writing what comes out once. That of a training step is the sum over its operations, as
they run one after another when nothing is compiled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from training import wait_for


@dataclass(frozen=True)
class Peaks:
    """What a device reached: ``flops`` per second of matrix products by type, ``bytes`` per second read and written."""

    flops: Mapping[torch.dtype, float]
    bytes: float


@dataclass(frozen=True)
class Operation:
    """One operation: its floating-point operations, the bytes that it must read and write, the type that it takes."""

    flops: int
    bytes: int
    dtype: torch.dtype


class Work(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it, note every operation on tensors, of backward passes and optimisers, too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func.is_view or func._overloadpacket in _WITHOUT_TRAFFIC:
            return out
        read, written = _tensors((args, kwargs)), _tensors(out)
        # What is changed in place is written, too, and not always returned.
        for argument, value in zip(func._schema.arguments, args, strict=False):
            if argument.alias_info is not None and argument.alias_info.is_write:
                written |= _tensors(value)
        count = flop_registry.get(func._overloadpacket)
        self.operations.append(
            Operation(
                flops=int(count(*args, **kwargs, out_val=out)) if count else 0,
                bytes=sum(map(_bytes, (*read.values(), *written.values()))),
                dtype=next((tensor.dtype for tensor in read.values()), torch.float32),
            )
        )
        return out

    @property
    def flops(self) -> int:
        """Floating-point operations of matrix products and convolutions; a multiplication with an addition is two."""
        return sum(operation.flops for operation in self.operations)

    def seconds_at(self, peaks: Peaks) -> float:
        """Give the time that the work takes if each operation runs at the roofline, and alone."""
        return sum(max(_peak(peaks, o.dtype, o.flops), o.bytes / peaks.bytes) for o in self.operations)

    def arithmetic_seconds_at(self, peaks: Peaks) -> float:
        """Give the time that the arithmetic alone takes at its peak."""
        return sum(_peak(peaks, o.dtype, o.flops) for o in self.operations)


def measure_peaks(device: torch.device, *, side: int, megabytes: int, repeats: int = 10) -> Peaks:
    """Measure square matrix products and copies on a device, each at its best of several.

    Args:
        device: where.
        side: of the matrices; large enough that the device is busy.
        megabytes: of what is copied; more than its caches hold.
    """
    flops = {}
    for dtype in (torch.float32, torch.bfloat16):
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        flops[dtype] = 2 * side**3 / _best(lambda a=a, b=b: a @ b, device, repeats)  # type: ignore[misc]
    source = torch.ones(megabytes * 10**6, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Peaks(flops, 2 * source.numel() / _best(lambda: target.copy_(source), device, repeats))


def _best(run: Callable[[], object], device: torch.device, repeats: int) -> float:
    run()
    taken = []
    for _ in range(repeats):
        wait_for(device)
        start = time.perf_counter()
        run()
        wait_for(device)
        taken.append(time.perf_counter() - start)
    return min(taken)


_aten = torch.ops.aten
_WITHOUT_TRAFFIC = {
    _aten._unsafe_view,
    _aten.empty,
    _aten.empty_like,
    _aten.empty_strided,
    _aten.new_empty,
    _aten._local_scalar_dense,
}


def _tensors(values: Any) -> dict[int, Tensor]:
    return {id(leaf): leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)}


def _bytes(tensor: Tensor) -> int:
    """Give the bytes of its elements, of those that an expanded tensor repeats only once."""
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else min(size, 1)
    return count * tensor.element_size()


def _peak(peaks: Peaks, dtype: torch.dtype, flops: int) -> float:
    return flops / peaks.flops.get(dtype, peaks.flops[torch.float32])
