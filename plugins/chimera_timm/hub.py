"""timm models of the Hugging Face hub: an architecture of timm's by name, and its weights as safetensors.

timm itself would fetch into a cache of its own, without a checksum, and read pickles where there are no safetensors.
"""

from __future__ import annotations

import json
from typing import Any

import timm
from torch import nn

from chimera_core.api import ConfigError, DataError, find_hub_file, load_state, one_line
from chimera_timm.config import HUB_MODEL

_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_PREPARING = (
    "mean",
    "std",
    "input_size",
    "fixed_input_size",
    "interpolation",
    "crop_pct",
    "classifier",
    "first_conv",
)
"""What of a repository's settings decides how images are prepared and where the classifier is."""


def from_repository(name: str, weights: str) -> nn.Module:
    """Build a timm model of the hub.

    Args:
        name: ``hf-hub:owner/name``, with ``@revision`` if need be.
        weights: ``auto`` or ``none``; with none the repository's settings alone are read.
    Raises:
        ConfigError: if weights are to come from elsewhere, or it is no model of timm.
        DataError: if its files are damaged, or do not fit each other.
        RunError: if the hub does not give them.
    """
    if weights not in ("auto", "none"):
        raise ConfigError(
            f"{name} has weights of its own: leave --encoder.weights out, or name the architecture instead"
        )
    repository, _, revision = name.removeprefix(HUB_MODEL).partition("@")
    settings = _settings_of(name, repository, revision)
    architecture = str(settings.get("architecture", ""))
    if not timm.is_model(architecture):
        raise ConfigError(
            f"{name} is '{one_line(architecture, limit=60)}', which is no model of this timm: update timm"
        )
    noted = settings.get("pretrained_cfg")
    noted = noted if isinstance(noted, dict) else {}
    classes = settings.get("num_classes", noted.get("num_classes", 1000))
    if not isinstance(classes, int) or not 0 <= classes <= 100_000:
        raise DataError(
            f"{name}: {_CONFIG} names {one_line(repr(classes), limit=40)} classes: get another model"
        )
    overlay = {key: noted[key] for key in _PREPARING if key in noted}
    state = load_state(find_hub_file(_address(repository, _WEIGHTS, revision))) if weights == "auto" else None
    try:
        model: nn.Module = timm.create_model(
            architecture, num_classes=classes, pretrained_cfg_overlay=overlay
        )
        if state is not None:
            model.load_state_dict(state)
    except Exception as error:  # timm and torch raise many kinds when names, shapes or settings do not fit
        reason = f"{type(error).__name__}: {one_line(' '.join(str(error).split()), limit=160)}"
        raise DataError(f"{name} does not fit timm's {architecture} ({reason}): get another model") from error
    return model


def _settings_of(name: str, repository: str, revision: str) -> dict[str, Any]:
    path = find_hub_file(_address(repository, _CONFIG, revision))
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: {_CONFIG} is no JSON: it is no model of timm") from error
    if not isinstance(settings, dict) or "architecture" not in settings:
        raise ConfigError(f"{name} is no model of timm: its {_CONFIG} names no architecture")
    return settings


def _address(repository: str, file: str, revision: str) -> str:
    return f"hf://{repository}/{file}" + (f"@{revision}" if revision else "")
