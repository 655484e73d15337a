"""How far an attack may move an image. Torch-free: plugins' options are made of it."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import ConfigDict, ValidationInfo, field_validator

from chimera_core.errors import ConfigError
from chimera_core.options.config import Config, option

Norm = Literal["linf", "l2"]
# The field's budgets: 4/255 for natural images (ImageNet; CIFAR uses 8/255), and a small L2 radius whose
# encoders have the features that fusion likes.
DEFAULT_EPS = {"linf": 4 / 255, "l2": 1.0}


class BudgetConfig(Config):
    """Options that every attack shares: the norm and the radius. Derive a trainer's own options from it."""

    model_config = ConfigDict(validate_default=True)

    norm: Norm = option("linf", help="ball of the attack: largest change of a value, or Euclidean length")
    eps: float | None = option(
        None, help="radius on the [0, 1] pixel scale; by default 4/255 for linf, 1 for l2"
    )

    @field_validator("eps")
    @classmethod
    def _fill_and_check(cls, eps: float | None, info: ValidationInfo) -> float | None:
        norm = info.data.get("norm")
        if norm is None:  # the norm itself was wrong, and that is said
            return eps
        if eps is None:
            return DEFAULT_EPS[norm]
        fault = eps_fault(norm, eps)
        if fault:
            raise ValueError(fault)
        return eps

    @property
    def radius(self) -> float:
        """Give ``eps``, which is never None once the options are checked."""
        assert self.eps is not None
        return self.eps


def eps_fault(norm: str, eps: float) -> str | None:
    """Return what is wrong with a radius, or None."""
    if not math.isfinite(eps) or eps <= 0:
        return "the radius must be a positive number"
    if norm == "linf" and eps >= 1:
        better = f"{eps:g}/255" if eps < 255 else "8/255"
        return f"an L-infinity radius is on the [0, 1] pixel scale: write {better}"
    return None


def check_budget(norm: str, eps: float) -> None:
    """Refuse a norm or radius that no attack can mean.

    Raises:
        ConfigError: for an unknown norm, a radius that is not positive, or an L-infinity radius of 1 or more,
            which is surely meant on the scale of 0 to 255.
    """
    if norm not in DEFAULT_EPS:
        raise ConfigError(f"there is no norm '{norm}': use linf or l2")
    fault = eps_fault(norm, eps)
    if fault:
        raise ConfigError(f"{fault}, but eps is {eps:g}")
