"""Encoders and fusers that an experiment trains first: each a run of its own inside the comparison's folder.

The trainings are `chimera encoder train` and `chimera fuser train`, called as a user would, so that they resume, check
and record as those do.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from chimera_core import __version__
from chimera_core.compare.experiment.file import ExperimentFile, Variant
from chimera_core.compare.experiment.identity import hash_of
from chimera_core.components.choice import check_options, with_plugins
from chimera_core.components.source_closure import code_of, module_of
from chimera_core.errors import ChimeraError, RunError
from chimera_core.files.atomic import is_path_option, one_line, quote, spell_paths
from chimera_core.files.own_folders import make_folder, open_own
from chimera_core.files.toml import write_toml
from chimera_core.options.config import path_fields
from chimera_core.options.layers import Layer, check_layer, merge, put_at, references_in
from chimera_core.options.training import EncoderTraining, FuserTraining, lay
from chimera_core.plugins.discovery import PluginHost
from chimera_core.processes import python_command
from chimera_core.runs.record import RECORD, read_run_record

FOLDER = "trained"
_COMPONENTS = {
    "source": "dataset-source",
    "encoder": "feature-encoder",
    "trainer": "robustness-trainer",
    "fuser": "fusion-generator",
}
_ENDED = ("done", "stopped")
Names = Mapping[str, Any]
"""What stands for each of the experiment's own encoders: a run's folder, or before it is trained its component."""


@dataclass(frozen=True)
class Training:
    """One training.

    ``table`` is the file of options, ``keys`` where it stands in the experiment, ``code`` a hash of the source of what
    learns and teaches.
    """

    kind: Literal["encoder", "fuser"]
    name: str
    table: Mapping[str, Any] = field(repr=False)
    keys: tuple[str, ...] = ()
    code: str = ""

    @property
    def folder(self) -> str:
        """Name of its run, below the comparison's folder: another table, or other code, is another run."""
        safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in self.name)[:60]
        return f"{FOLDER}/{self.kind}-{safe}-{hash_of([self.kind, self.table, __version__, self.code])[:8]}"


def encoder_trainings(file: ExperimentFile, host: PluginHost) -> dict[str, Training]:
    """Check the tables of encoders to train.

    Raises:
        ConfigError, PluginError: with file, line and key.
    """
    found = {}
    for name, table in file.top.encoders.items():
        keys = ("encoders", name)
        if not isinstance(table, Mapping):
            raise file.error("must be a table: what `chimera encoder train --config` takes", *keys)
        layer = file.layer(*keys)
        check_training(file, host, layer, EncoderTraining, ("source", "encoder"), keys)
        found[name] = _training("encoder", name, host, table, keys)
    return found


def fuser_trainings(
    file: ExperimentFile, host: PluginHost, variants: Sequence[Variant], names: Names
) -> list[Training]:
    """Check the trainings of fusers.

    Args:
        variants: the fusers; those without a training are passed over.
        names: of encoders that are trained before.
    Raises:
        ConfigError, PluginError: with file, line and key.
    """
    return [_fuser_training(file, host, v, v.train, names) for v in variants if v.train is not None]


def _fuser_training(
    file: ExperimentFile, host: PluginHost, variant: Variant, train: Mapping[str, Any], names: Names
) -> Training:
    keys = ("fusers", variant.name, "train")
    fuser = {"name": variant.table.fuser, "preset": variant.table.preset, "options": dict(variant.options)}
    own = {key: value for key, value in fuser.items() if value is not None}
    table = merge(train, {"fuser": own}) if "fuser" not in train else dict(train)
    config = host.find("fusion-generator", variant.table.fuser).spec.config
    table["fuser"] = {
        **table["fuser"],
        "options": with_names(config, table["fuser"].get("options", {}), names),
    }
    if isinstance(judge := table.get("judge"), str) and judge in names:
        table["judge"] = names[judge]
    layer = Layer(file.toml.name, table, lambda path: file.toml.line_of((*keys, *path)))
    check_training(file, host, layer, FuserTraining, ("source", "fuser"), keys)
    return _training("fuser", variant.id, host, table, keys)


def check_training(
    file: ExperimentFile,
    host: PluginHost,
    layer: Layer,
    model: type[BaseModel],
    needed: tuple[str, ...],
    keys: tuple[str, ...],
) -> None:
    """Check the options of a training, and of the components that it names."""
    for key in needed:
        if key not in layer.values:
            raise file.error(f"there is no {key}: say which, as for `chimera {keys[0][:-1]} train`", *keys)
    values = dict(layer.values)
    for key, kind in _COMPONENTS.items():
        if key not in values:
            continue
        named = {"name": values[key]} if isinstance(values[key], str) else values[key]
        if not isinstance(named, Mapping) or not isinstance(named.get("name"), str):
            raise file.error('needs a name, e.g. name = "cnn"', *keys, key)
        try:
            component = host.find(kind, named["name"])
        except ChimeraError as error:
            raise file.error(error, *keys, key) from None
        if isinstance(named.get("options"), Mapping):
            check_options(component, host, layer.inside(key, "options"))
        values[key] = {k: v for k, v in named.items() if k in ("name", "options")}
    check_layer(model, Layer(layer.origin, values, layer.line_of), where=f"[{'.'.join(keys)}]")


def with_names(config: type[BaseModel], options: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """Put what stands for the experiment's own encoders in place of their names."""
    replaced: dict[str, Any] = dict(options)
    for path, reference in list(references_in(config, options)):
        if reference.kind == "feature-encoder" and reference.name in names:
            replaced = put_at(replaced, path, names[reference.name])
    return replaced


def placeholder(training: Training) -> dict[str, Any]:
    """Stand in for an encoder that is not trained yet: its component, for checking."""
    table = training.table["encoder"]
    return (
        {"name": table}
        if isinstance(table, str)
        else {k: table[k] for k in ("name", "options") if k in table}
    )


def is_done(folder: Path) -> bool:
    """Return whether a training in a folder came to its end."""
    with suppress(ChimeraError):
        return read_run_record(folder).get("status") in _ENDED
    return False


def train(
    training: Training, folder: Path, *, device: str, registries: Sequence[str], notify: Callable[[str], None]
) -> None:
    """Train into a folder, going on where an earlier call was interrupted.

    Raises:
        RunError: if it fails; with its last words.
        KeyboardInterrupt: after Ctrl-C, when it has saved its checkpoint.
    """
    make_folder(folder.parent, within=folder.parent.parent)
    command = python_command("-m", "chimera_core.cli")
    command += [word for registry in registries for word in ("--registry", registry)]
    command += [training.kind, "train"]
    if (folder / RECORD).is_file():
        command += ["--run", str(folder), "--resume", *_places(training)]
    else:
        options = folder.with_suffix(".toml")
        write_toml(options, lay({"device": device}, training.table))
        command += ["--config", str(options), "--run", str(folder)]
    notify(f"training {training.kind} {training.name}")
    log = folder.with_suffix(".log")
    with open_own(log, "new") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"},  # into a file Windows would write cp1252
            start_new_session=True,
        )
        try:
            code = process.wait()
        except BaseException:
            process.send_signal(
                signal.SIGTERM
            )  # it saves a checkpoint; SIGINT may be ignored since a shell's "&"
            process.wait()
            raise
    if code != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = one_line(lines[-1], limit=300) if lines else f"it ended with code {code}"
        raise RunError(f"training {training.kind} {quote(training.name)} failed: {last} (see {log})")


def _places(training: Training) -> list[str]:
    """Say on the line where the data lie now: a run that goes on may have begun elsewhere."""
    source = training.table["source"]
    options = source.get("options", {}) if isinstance(source, Mapping) else {}
    named = [
        (name, value)
        for name, value in options.items()
        if isinstance(value, str) and (is_path_option(name) or os.path.isabs(value))
    ]
    return [piece for name, value in named for piece in (f"--source.{name.replace('_', '-')}", value)]


def _training(
    kind: Literal["encoder", "fuser"],
    name: str,
    host: PluginHost,
    table: Mapping[str, Any],
    keys: tuple[str, ...],
) -> Training:
    model = EncoderTraining if kind == "encoder" else FuserTraining
    presets = {
        key: {"preset": table[key]["preset"]}
        for key in ("encoder", "fuser")
        if isinstance(table.get(key), Mapping) and "preset" in table[key]
    }
    plain = {
        key: {k: v for k, v in table[key].items() if k != "preset"} if key in presets else value
        for key, value in table.items()
    }
    spelled = merge(_spelled(with_plugins(host, model, plain), host), presets)
    learning = [
        host.find(_COMPONENTS[key], spelled[key]["name"])
        for key in ("encoder", "trainer", "fuser")
        if key in spelled
    ]
    return Training(kind, name, spelled, keys, code_of(host, *map(module_of, learning)))


def _spelled(table: Mapping[str, Any], host: PluginHost) -> dict[str, Any]:
    """Spell where data lie in full: a training is called in the same folder, but its hash must not depend on it."""
    spelled = dict(table)
    source = spelled.get("source")
    if isinstance(source, Mapping) and "options" in source:
        config = host.find("dataset-source", source["name"]).spec.config
        options = spell_paths(source["options"], also=path_fields(config))
        spelled["source"] = {**source, "options": options}
    return json.loads(json.dumps(spelled))  # type: ignore[no-any-return]
