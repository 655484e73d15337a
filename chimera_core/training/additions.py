"""What plugins add to trainings: augmentations and loggers, by the names that options give."""

from __future__ import annotations

from torch import Tensor

from chimera_core.components.choice import Choice, choose
from chimera_core.errors import ConfigError, PluginError
from chimera_core.interfaces.guards import check_pixels
from chimera_core.options.config import suggest
from chimera_core.options.training import TrainingOptions
from chimera_core.plugins.discovery import PluginHost
from chimera_core.randomness import Draw
from chimera_core.training.augmentation.presets import COPY_PASTE, PRESETS, Augmentation

_AUGMENTATION, _LOGGER = "augmentation", "run-logger"
_NO_LOGGER = "none"  # of --log


def check_augmentation(name: str, host: PluginHost) -> None:
    """Check the name of an augmentation: ours, or one of a plugin.

    Raises:
        ConfigError: if there is none of this name.
        PluginError: if several plugins offer it.
    """
    if name in (COPY_PASTE, *PRESETS):
        return
    if not host.has(_AUGMENTATION, name) and ":" not in name:
        known = [*PRESETS, COPY_PASTE, *(c.spec.name for c in host.components(_AUGMENTATION))]
        raise ConfigError(f"there is no augmentation '{name}'" + suggest(name, known))
    host.find(_AUGMENTATION, name)


def find_augmentation(name: str, host: PluginHost) -> Augmentation:
    """Look up an augmentation; for what it raises see ``check_augmentation``.

    Returns:
        A function of images, float (N, 3, H, W) in [0, 1], and their draw; it gives new images of that shape and range.
    """
    check_augmentation(name, host)
    return PRESETS[name] if name in PRESETS else _Guarded(choose(host, _AUGMENTATION, name))


class _Guarded:
    """An augmentation of a plugin, whose first images are looked at."""

    def __init__(self, choice: Choice) -> None:
        self._name, self._vary = choice.name, choice.load()
        self._is_checked = False

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        varied: Tensor = self._vary(x, draw)
        if not self._is_checked:
            who = f"augmentation {self._name}"
            check_pixels(varied, who)
            if varied.shape != x.shape:
                raise PluginError(
                    f"{who} gave images {tuple(varied.shape)} for {tuple(x.shape)}: they must keep their shape"
                )
            self._is_checked = True
        return varied


def find_logger(config: TrainingOptions, host: PluginHost) -> Choice | None:
    """Look up the logger that a training names; None: it logs to its own files only.

    Raises:
        PluginError: if there is none of this name, or it needs an extra.
    """
    if config.log == _NO_LOGGER:
        return None
    if not host.has(_LOGGER, config.log) and ":" not in config.log:
        known = [_NO_LOGGER, *(c.spec.name for c in host.components(_LOGGER))]
        raise ConfigError(f"there is no --log '{config.log}'" + suggest(config.log, known))
    chosen = choose(host, _LOGGER, config.log)
    chosen.component.load_class()
    return chosen
