"""Options of the trainers. Torch-free."""

from __future__ import annotations

from typing import Literal

from chimera_core.api import BudgetConfig, Config, option

Statistics = Literal["running", "batch"]
_STATISTICS = "batch norm during the attack: running statistics (as the attacker of the finished encoder meets) or the batch's"


class StandardConfig(Config):
    """Training on the images as they are."""

    label_smoothing: float = option(0.0, help="share of the target spread over all classes", ge=0, lt=1)


class FgsmConfig(BudgetConfig):
    """Training on one step from a random start."""

    step: float = option(1.25, help="length of the step, in radii (eps)", gt=0, le=4)
    statistics: Statistics = option("running", help=_STATISTICS)
    guard_every: int = option(
        100,
        help="check for catastrophic overfitting every so many steps; a check costs as much as ten steps; 0: never",
        ge=0,
    )


class NFgsmConfig(BudgetConfig):
    """Training on one step from strong noise, without clipping to the ball."""

    norm: Literal["linf"] = option("linf", help="ball of the attack")
    noise: float = option(2.0, help="largest noise on a value, in radii (eps)", ge=0, le=8)
    step: float = option(1.0, help="length of the step, in radii (eps)", gt=0, le=4)
    statistics: Statistics = option("running", help=_STATISTICS)


class FreeConfig(BudgetConfig):
    """Training that attacks with the gradient of its own backward passes."""

    norm: Literal["linf"] = option("linf", help="ball of the attack")
    replays: int = option(
        4, help="updates on each batch; divide --images by it for the cost of standard training", ge=1, le=32
    )
    steps: int = option(10, help="steps of the attack that validation is under", ge=1, le=1000)


class PgdConfig(BudgetConfig):
    """Training on several steps."""

    steps: int = option(
        7, help="steps of the attack; each costs one forward and one backward pass", ge=1, le=1000
    )
    step: float | None = option(
        None, help="length of one step on the [0, 1] scale; by default 2.5 eps / steps", gt=0
    )
    statistics: Statistics = option("running", help=_STATISTICS)


class TradesConfig(PgdConfig):
    """Training on clean images, and on agreement with what is seen near them."""

    steps: int = option(
        10, help="steps of the attack; each costs one forward and one backward pass", ge=1, le=1000
    )
    beta: float = option(6.0, help="weight of the robustness term", ge=0, le=1000)


class ReportFgsmConfig(Config):
    """What the first report did."""

    alpha: float = option(0.1, help="step on the normalised images", gt=0, le=10)
    clamp: bool = option(
        True,
        help="clamp the normalised images to [0, 1], as the report did; it costs whatever is darker than the mean",
    )
