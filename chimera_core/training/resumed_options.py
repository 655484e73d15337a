"""Options of a run that goes on: what is asked for again must be what it began with, but for what may change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from chimera_core.components.choice import choose
from chimera_core.errors import ChimeraError, ConfigError
from chimera_core.files.atomic import one_line, without_places
from chimera_core.models.run_options import read_options
from chimera_core.options.config import ComponentRef
from chimera_core.options.layers import build_config
from chimera_core.options.training import TrainingOptions, lay
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs.record import read_run_record
from chimera_core.training.data import Data
from chimera_core.training.plan import resolve_reference

OptionsT = TypeVar("OptionsT", bound=TrainingOptions)

_KINDS = ("dataset-source", "feature-encoder", "robustness-trainer", "fusion-generator")
_COMPONENTS = ("source", "encoder", "trainer", "fuser")


def resumed_config(
    folder: Path,
    given: Mapping[str, Any],
    host: PluginHost,
    *,
    model: type[OptionsT],
    kind: str,
    where: str,
) -> OptionsT:
    """Read the options that a run was started with, and lay over them those that ``--resume`` may change.

    What is given again as it was is fine, however it is written, and so is another place of the data:
    ``check_same_data`` tells whether they are the same.

    Args:
        given: the options of this command line, nested.
        kind: of the run, as its record says.
    Raises:
        ConfigError: if the folder holds no such run, or options differ that may not: each with both values.
    """
    before, record = read_options(folder, model, kind, host)
    old = before.model_dump(mode="json")
    given = before.as_before({key: _named_as(old.get(key), value, host) for key, value in given.items()})
    kept = {name: value for name, value in old.items() if value is not None}
    config = build_config(model, lay(kept, given), where=where)
    free = model.MAY_CHANGE | ({"precision"} if config.precision == "auto" else set())
    changed = [
        difference
        for name in sorted(given.keys() - free)
        for difference in _differences(
            _plain_option(before, name, host), _plain_option(config, name, host), name
        )
    ]
    if changed:
        differing = ", ".join(f"{name} {was}, not {now}" for name, was, now in changed)
        raise ConfigError(
            f"the run was started with {differing}: leave {'that' if len(changed) == 1 else 'those'} out of --resume, "
            "or start another run"
        )
    return config.model_copy(update={"precision": record.get("precision", before.precision)})


def check_same_data(folder: Path, images: Data, source: str) -> None:
    """Refuse to go on with a run on other data than it began with; where they lie does not matter.

    Raises:
        ConfigError: if files or labels have changed.
    """
    record = read_run_record(folder)
    content, data = record.get("content"), record.get("data")
    if content is None or content == images.content or (data and data == images.data):
        return
    if not data:
        raise ConfigError(
            f"the data of source {source} have changed since the run began, or lie elsewhere, which a run of this "
            "older version does not allow for: put them back, or start another run"
        )
    raise ConfigError(
        f"the data of source {source} have changed since the run began: files or labels are others. Say where the same "
        "ones lie by the option of the source (--source.root, say), or start another run"
    )


def _named_as(old: Any, given: Any, host: PluginHost) -> Any:
    """Name a component as the run does, where it is the same one: with or without its plugin."""
    if not (isinstance(old, Mapping) and isinstance(given, Mapping) and isinstance(given.get("name"), str)):
        return given
    name, was = given["name"], str(old.get("name"))
    for kind in _KINDS:
        with suppress(ChimeraError):
            if host.find(kind, name) == host.find(kind, was):
                return {**given, "name": was}
    return given


def _plain_option(config: TrainingOptions, name: str, host: PluginHost) -> Any:
    """Give the plain value of an option; a component's with every option in force, as its own types have them."""
    value = getattr(config, name)
    plain = config.model_dump(mode="json")[name]
    if isinstance(value, ComponentRef) and name in _COMPONENTS:
        if name == "source":
            component = host.find(value.kind, value.name)
            options = without_places(resolve_reference(value, host).options)
            plain = {"name": component.full_name, "options": options}
        else:  # with the options of the components that it names, which the line that began the run leaves out
            plain = choose(host, value.kind, value.name, value.options).as_table()
    return plain


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, str, str]]:
    """Name the plain values that differ, as the command line spells them; those of another component are not."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        if old != new:
            yield path.replace("_", "-"), one_line(old), one_line(new)
        return
    if old.get("name") != new.get("name") and "options" in old and "options" in new:
        yield path.replace("_", "-"), one_line(old.get("name")), one_line(new.get("name"))
        return
    for key in {**old, **new}:
        yield from _differences(
            old.get(key), new.get(key), path if key in ("name", "options") else f"{path}.{key}"
        )
