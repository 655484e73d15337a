"""A trained fuser in one file: weights, and what is needed to build the fuser around them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chimera_core.components.layers import references_in
from chimera_core.files.atomic import refuse_inputs
from chimera_core.models.exported_encoder import Number, check_name, write_exported
from chimera_core.models.fusers import fuser_of_run
from chimera_core.models.header import ExportedFuser
from chimera_core.models.names import find_trained
from chimera_core.models.weights import load_state
from chimera_core.plugins.discovery import PluginHost


def export_fuser(
    run: Path, to: Path, host: PluginHost, *, numbers: Number = "fp16"
) -> tuple[ExportedFuser, tuple[str, ...]]:
    """Write a run's best weights as one file that `--fuser FILE` takes.

    No path of the machine that it was trained on goes along.

    Args:
        run: folder of the run.
        to: a .safetensors file.
        host: where the fuser's component is found.
        numbers: of the weights with two dimensions and more; the few others (norms, biases) stay in fp32.
    Returns:
        What the file says of itself, and the names of trained encoders that it needs beside itself.
    Raises:
        ConfigError: if it is no run of a fuser, the name of the file ends otherwise, or it is one of the run's.
        DataError: if the run has no weights yet, or one is too large for fp16.
        RunError: if the disk refuses.
    """
    check_name(to)
    refuse_inputs([to], (("a file of the run", file) for file in run.rglob("*.safetensors")))
    found = fuser_of_run(run, host)
    config = found.component.spec.config
    options: dict[str, Any] = dict(found.said.options)
    needs = []
    for path, reference in references_in(config, options):
        trained = find_trained(host, reference.kind, reference.name)
        if trained is not None and trained.form != "model":
            name = Path(reference.name).name
            needs.append(name)
            options = _renamed(options, path, name)
    said = found.said.model_copy(update={"options": options})
    write_exported(to, load_state(found.weights), said, numbers=numbers)
    return said, tuple(needs)


def _renamed(values: Any, path: tuple[str | int, ...], name: str) -> Any:
    """Give options in which the reference at ``path`` has another name."""
    if not path:
        return {"name": name} if not isinstance(values, Mapping) else {**values, "name": name}
    first, *rest = path
    if isinstance(values, list | tuple):
        return [_renamed(v, tuple(rest), name) if k == first else v for k, v in enumerate(values)]
    return {**values, first: _renamed(values[first], tuple(rest), name)}
