"""What components give the host, looked at where it comes in: an error then names plugin, method and contract.

They are cheap, and stand where a wrong value would otherwise end far from its cause. ``chimera plugins check --deep`` tries
much more.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from chimera_core.errors import PluginError
from chimera_core.interfaces.learner import FuserLearner
from chimera_core.records import Level, SourceInfo

MEND = "mend the plugin"


def check_learner(learner: Any, fuser: str) -> None:
    """Refuse what is no learner.

    Args:
        learner: what ``FusionGenerator.learner`` gave.
        fuser: name of the fuser.
    Raises:
        PluginError: if it is no FuserLearner, or its ``modules`` and ``optimizers`` are no dicts of these.
    """
    if not isinstance(learner, FuserLearner):
        raise _fault(fuser, "`learner` gave", learner, "a FuserLearner")
    for name, kind in (("modules", nn.Module), ("optimizers", Optimizer)):
        found = getattr(learner, name, None)
        if not isinstance(found, Mapping) or not all(isinstance(v, kind) for v in found.values()):
            raise _fault(fuser, f"its learner's `{name}` is", found, f"a dict of {kind.__name__} by name")
    if shared := sorted(
        learner.modules.keys() & learner.optimizers.keys()
    ):  # a checkpoint keeps both by names
        raise PluginError(
            f"a module and an optimizer of this fuser are both called {shared[0]!r}: rename one"
        )


def check_scalars(given: Any, who: str, method: str, reserved: Collection[str]) -> None:
    """Refuse what cannot be logged.

    Args:
        given: what a step gave to log.
        who: kind and name of the component.
        method: that gave it.
        reserved: names that the training logs itself.
    Raises:
        PluginError: unless it is a dict of scalar tensors whose names are free.
    """
    if not isinstance(given, dict):
        raise _fault(who, f"{method} gave", given, "a dict of scalar tensors")
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.numel() != 1:
            raise _fault(who, f"{method} gave for {name!r}", value, "a scalar tensor")
        if name in reserved:
            raise PluginError(
                f"{who}: {method} logs {name!r}, which the training logs itself: rename it in the plugin"
            )


def check_loss(given: Any, who: str) -> None:
    """Refuse what is no loss with metrics.

    Args:
        given: what ``RobustnessTrainer.loss`` gave.
        who: kind and name of the component.
    Raises:
        PluginError: unless it is a pair of a scalar with a gradient and a dict.
    """
    if not (isinstance(given, tuple) and len(given) == 2):
        raise _fault(who, "loss gave", given, "(scalar tensor, dict of metrics)")
    loss = given[0]
    if not isinstance(loss, Tensor) or loss.ndim:
        raise _fault(who, "loss gave", loss, "a scalar tensor")
    if not loss.requires_grad:
        raise PluginError(f"{who}: loss gave a scalar without a gradient: {MEND}")


def check_attacked(given: Any, x: Tensor, who: str) -> None:
    """Refuse what are no attacked images.

    Args:
        given: what ``RobustnessTrainer.perturb`` gave.
        x: the images that it was given.
        who: kind and name of the component.
    Raises:
        PluginError: if they have another shape or type.
    """
    if not isinstance(given, Tensor) or given.shape != x.shape or not given.is_floating_point():
        raise _fault(who, "perturb gave", given, described(x))


def check_learned(state: Any, facts: Any, fuser: str) -> None:
    """Refuse what cannot be kept of a fuser that has learned.

    Args:
        state: what ``FuserLearner.state`` gave.
        facts: what ``FuserLearner.facts`` gave.
        fuser: name of the fuser.
    Raises:
        PluginError: unless these are tensors by name, and plain values.
    """
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise _fault(fuser, "its learner's state gave", state, "a dict of tensors")
    try:
        json.dumps(facts, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{fuser}: its learner's facts are not plain values ({error}): {MEND}") from None


def check_samples(given: Any, count: int, fuser: str) -> None:
    """Refuse what are no samples.

    Args:
        given: what ``FuserLearner.sample`` gave.
        count: how many were asked for.
        fuser: name of the fuser.
    Raises:
        PluginError: unless they are finite images (count, 3, S, S) in [0, 1].
    """
    wanted = f"float32 ({count}, 3, S, S) in [0, 1]"
    if not isinstance(given, Tensor) or given.ndim != 4 or given.shape[:2] != (count, 3):
        raise _fault(fuser, "its learner's sample gave", given, wanted)
    check_pixels(given, f"{fuser}: its learner's sample")


def check_pixels(given: Tensor, who: str) -> None:
    """Refuse pixels of another type, or far from [0, 1]; what is a little off is clipped when it is written.

    Raises:
        PluginError: naming what was met.
    """
    if not given.is_floating_point():
        raise PluginError(f"{who} gave {described(given)} instead of float32 in [0, 1]: {MEND}")
    if not torch.isfinite(given).all():
        raise PluginError(f"{who} gave NaN or infinite pixel values: try other options or report it")
    low, high = (float(v) for v in torch.aminmax(given)) if given.numel() else (0.0, 0.0)
    if low < -_FAR or high > 1 + _FAR:
        raise PluginError(f"{who} gave pixels from {low:.3g} to {high:.3g} instead of [0, 1]: {MEND}")


def check_levels(encoder: Any, who: str) -> None:
    """Refuse an encoder that does not say which feature maps it has.

    Raises:
        PluginError: if ``levels`` is no tuple of Level.
    """
    levels = getattr(encoder, "levels", None)
    if not isinstance(levels, (tuple, list)):
        raise _fault(who, "`levels` is", levels, "a tuple of Level")
    for level in levels:
        if not isinstance(level, Level):
            raise _fault(who, "`levels` holds", level, "a tuple of Level")


def check_features(given: Any, count: int, who: str) -> None:
    """Refuse what are no features of images.

    Raises:
        PluginError: unless it is a tensor (count, D).
    """
    if not isinstance(given, Tensor) or given.ndim != 2 or len(given) != count:
        raise _fault(who, "embed gave", given, f"features ({count}, D)")


def check_info(info: Any, source: str) -> None:
    """Refuse what describes no source.

    Raises:
        PluginError: if it is no SourceInfo.
    """
    if not isinstance(info, SourceInfo):
        raise _fault(f"source {source}", "info is", info, "a SourceInfo")


def check_split(split: Any, name: str, source: str) -> None:
    """Refuse what is no split.

    Args:
        split: what ``DatasetSource.open`` gave.
        name: of the split.
        source: name of the source.
    Raises:
        PluginError: unless it has a length, items, and a label for each.
    """
    who = f"source {source}"
    for attribute in ("__len__", "__getitem__", "labels"):
        if not hasattr(split, attribute):
            raise PluginError(f"{who}: open({name!r}) gave {described(split)} without {attribute}: {MEND}")
    if len(split.labels) != len(split):
        raise PluginError(
            f"{who}: split {name} has {len(split.labels)} labels for {len(split)} images: {MEND}"
        )


def described(thing: Any) -> str:
    """Name a value by type, and a tensor by type and shape."""
    if isinstance(thing, Tensor):
        return f"{str(thing.dtype).removeprefix('torch.')} {tuple(thing.shape)}"
    return f"a {type(thing).__name__}"


_FAR = 0.5  # of the range: nobody means that, and 0 to 255 or -1 to 1 are


def _fault(who: str, what: str, met: Any, wanted: str) -> PluginError:
    return PluginError(f"{who}: {what} {described(met)} instead of {wanted}: {MEND}")
