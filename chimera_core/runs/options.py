"""The options and record of a run, by its kind. Torch-free, so that a mistake about a run costs no second."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from chimera_core.errors import ConfigError
from chimera_core.files.atomic import quote
from chimera_core.files.own_folders import inside
from chimera_core.options.config import Config
from chimera_core.options.layers import build_config
from chimera_core.runs import config as config_file
from chimera_core.runs.record import read_run_record

ENCODER, STUDY, FUSER = "encoder", "encoder-study", "fuser"
"""What ``run.json`` says of a run of this kind."""
_NAMES = {ENCODER: "training of an encoder", STUDY: "study of encoders", FUSER: "training of a fuser"}

OptionsT = TypeVar("OptionsT", bound=Config)


def read_options(run: Path, model: type[OptionsT], kind: str) -> tuple[OptionsT, dict[str, Any]]:
    """Read the options of a run of some kind, and its record.

    Raises:
        ConfigError: if the run is of another kind, or a file of it is damaged.
    """
    record = read_run_record(run)
    if record.get("kind") != kind:
        raise ConfigError(f"{quote(run)} is no {_NAMES[kind]}: name another run")
    values = config_file.read_config(inside(run, config_file.FILE))
    return build_config(model, values, where=f"run {run.name}"), record
