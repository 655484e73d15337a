"""What a line says of a run that it goes on with: the very line that began it must do, with ``--resume`` added."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core.cli._training import read_options_file
from chimera_core.components.choice import option_layers
from chimera_core.components.layers import merge
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs import config as config_file
from chimera_core.training.options import lay

_KINDS = {"encoder": "feature-encoder", "trainer": "robustness-trainer", "fuser": "fusion-generator"}
_FILLED_IN = ("classes", "size")
"""Options of encoders that the source decides, whatever a preset says."""


def asked_again(
    asked: Mapping[str, Any],
    folder: Path,
    host: PluginHost,
    *,
    config_path: Path | None,
    presets: Mapping[str, str | None],
    below: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Give all that a line says, flags over file over presets; what it leaves open is the run's.

    Defaults and the registry say nothing here: the run has values of its own, whatever these have become.

    Args:
        asked: by flags.
        folder: of the run.
        host: where components are found.
        config_path: file of options.
        presets: of components, by the key of each.
        below: what a preset of the command itself says.
    Raises:
        ConfigError: if a file or preset is not there.
    """
    in_file = read_options_file(config_path) if config_path is not None else {}
    said = lay(lay(below or {}, in_file), asked)
    before = config_file.read_config(folder / config_file.FILE)
    for key, preset in presets.items():
        table = dict(said.get(key, {}))
        in_table = table.pop("preset", None)
        if table:
            said[key] = table
        if (preset := preset or in_table) is None:
            continue
        component = host.find(_KINDS[key], table.get("name") or before[key]["name"])
        layer = option_layers(component, host, preset)[-1]
        own = {k: v for k, v in layer.values.items() if key != "encoder" or k not in _FILLED_IN}
        known = next((p for p in component.spec.presets if p.name == preset), None)
        if known is not None:
            said = lay(known.training, said)
        said[key] = {**table, "options": merge(own, table.get("options", {}))}
    return said
