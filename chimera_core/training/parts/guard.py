"""Notice a training that has diverged, and give it one second chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from chimera_core.errors import RunError


class NanGuard:
    """Watches losses; says where to go back to and how fast to go on.

    The loop asks ``check`` at each step, tells ``mark_good`` about checkpoints to go back to, and multiplies its
    learning rate by ``factor``. Only checkpoints at fixed numbers of images are marked, none that the clock asked
    for: so the way a training takes does not depend on how fast the machine is.
    """

    def __init__(self) -> None:
        self.factor = 1.0
        self.good: int | None = None
        self._bad: Tensor | None = None

    def check(self, loss: Tensor) -> None:
        """Note a loss; costs no wait for the device."""
        bad = ~torch.isfinite(loss.detach()).all()
        self._bad = bad if self._bad is None else self._bad | bad

    def has_diverged(self) -> bool:
        """Return whether a loss since the last question was not finite; waits for the device."""
        bad = self._bad is not None and bool(self._bad)
        self._bad = None
        return bad

    def mark_good(self, images: int) -> None:
        """Note the checkpoint that a diverged training goes back to."""
        self.good = images

    def go_back(self, images: int) -> int:
        """Halve the rate, once.

        Args:
            images: where the loss was not finite.
        Returns:
            Images of the checkpoint to go on from.
        Raises:
            RunError: if the rate was halved before, or there is no good checkpoint.
        """
        if self.good is None or self.factor < 1:
            again = " again, at half the rate" if self.factor < 1 else ""
            raise RunError(
                f"the loss is not finite after {images:,} images{again}: lower --lr, clip gradients with --clip, "
                "or compute with --precision fp32"
            )
        self.factor = 0.5
        return self.good

    def state(self) -> dict[str, Any]:
        """Give what a checkpoint has to keep."""
        return {"factor": self.factor, "good": self.good}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what a checkpoint kept."""
        self.factor = float(state["factor"])
        self.good = state["good"]


def is_sound(*modules: nn.Module) -> bool:
    """Return whether all weights and buffers of networks are finite; a checkpoint of others is worth nothing."""
    tensors = [t for m in modules for t in m.state_dict().values() if t.is_floating_point() and t.numel()]
    if not tensors:
        return True
    return math.isfinite(float(torch.stack(torch._foreach_norm(tensors, ord=math.inf)).sum()))
