"""The components of `chimera encoder train` and `study`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from chimera_core.cli._training import Decorator
from chimera_core.cli.parsing.command import Selector


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
        click.option("--trainer", help="Training method, e.g. standard or pgd.  [default: robust:standard]"),
        *presets,
        click.option("--trainer-preset", help="A preset of the trainer."),
    ]
