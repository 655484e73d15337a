"""What `chimera encoder train` and `study` share: their components, and the layers of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import click

from chimera_core.cli._options import Selector
from chimera_core.cli._training import Decorator
from chimera_core.components.choice import layered_options
from chimera_core.components.layers import build_config
from chimera_core.errors import ConfigError
from chimera_core.plugins.discovery import PluginHost
from chimera_core.training.options import EncoderTraining

TrainingT = TypeVar("TrainingT", bound=EncoderTraining)

# With its plugin, so that a stranger who offers the same name cannot get into the way of the default.
DEFAULT_TRAINER = "robust:standard"


def selectors(*, encoder_preset: str) -> list[Selector]:
    """Name the components of a training; ``encoder_preset`` is the flag of the encoder's preset."""
    return [
        Selector("source", "dataset-source", "--source", prefix="source."),
        Selector("encoder", "feature-encoder", "--encoder", prefix="encoder.", preset_flag=encoder_preset),
        Selector(
            "trainer",
            "robustness-trainer",
            "--trainer",
            prefix="trainer.",
            preset_flag="--trainer-preset",
        ),
    ]


def component_options(*, presets: Sequence[Decorator]) -> list[Decorator]:
    """Give the options that name the components of a training; ``presets`` are options of its own."""
    return [
        click.option("--source", help="Data set: see `chimera source list`; its options are --source.*."),
        click.option("--encoder", "encoder_name", help="Network; its options are --encoder.*."),
        click.option("--trainer", help="How it learns, e.g. standard or pgd.  [default: robust:standard]"),
        *presets,
        click.option("--trainer-preset", help="A preset of the trainer."),
    ]


def merged_options(
    said: Mapping[str, Any],
    host: PluginHost,
    *,
    presets: Mapping[str, str | None],
    model: type[TrainingT],
    where: str,
) -> tuple[TrainingT, tuple[str, ...]]:
    """Merge default < registry < preset < file < flag; say which of the encoder's options the source may fill in.

    Args:
        said: by file and flags, merged.
        host: where components are found.
        presets: of encoder and trainer.
        model: of the options.
        where: what messages name.
    """
    merged = dict(said)
    may_fill: tuple[str, ...] = ()
    for selector in selectors(encoder_preset=""):
        key = selector.key
        if not isinstance(merged.get(key), dict) or "name" not in merged[key]:
            if key == "trainer":
                merged[key] = {"name": DEFAULT_TRAINER, **merged.get(key, {})}
            else:
                raise ConfigError(f"say which {key}: --{key} NAME (see `chimera plugins list`)")
        name, own = merged[key]["name"], merged[key].get("options", {})
        component = host.find(selector.kind, name)
        merged[key] = {"name": name, "options": layered_options(component, host, presets.get(key), own)}
        if key == "encoder":
            may_fill = tuple(option for option in ("classes", "size") if option not in own)
    return build_config(model, merged, where=where), may_fill
