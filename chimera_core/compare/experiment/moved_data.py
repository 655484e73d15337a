"""Trainings of a comparison whose data have moved: the run that learned from the same images stands for the new table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from chimera_core.compare.experiment.trainings import FOLDER, Training
from chimera_core.errors import ChimeraError
from chimera_core.files.atomic import without_places, write_text_atomic
from chimera_core.files.text import read_text
from chimera_core.files.toml import read_toml
from chimera_core.options.config import SourceRef
from chimera_core.plugins.discovery import PluginHost
from chimera_core.runs.record import RECORD, read_run_record

_NOTE = ".same-as"


def place_of(training: Training, folder: Path, host: PluginHost) -> Path:
    """Return where a training lies, or is to lie.

    Another place of the data is another table, and so another folder. If there is none of that name, but one of a table
    that differs in the place alone, the images are compared by content, once: what was found is noted.
    """
    own = (folder / training.folder).resolve()
    if (own / RECORD).is_file():
        return own
    others = list(_others(training, own))
    note = own.with_name(own.name + _NOTE)
    if note.is_file():
        noted = read_text(note).strip()
        return next((run for run in others if run.name == noted), own)
    known = {run: read_run_record(run).get("data") for run in others}
    if not any(known.values()):
        return own
    data = _data_now(training, host)
    for run, learned in known.items():
        if data and learned == data:
            write_text_atomic(note, run.name + "\n")
            return run
    return own


def _others(training: Training, own: Path) -> Iterator[Path]:
    """Find the runs of trainings that differ in nothing but where files lie."""
    stem = own.name.rpartition("-")[0]
    for options in sorted(own.parent.glob(f"{stem}-*.toml")) if own.parent.name == FOLDER else ():
        run = options.with_suffix("")
        try:
            table = {
                k: v for k, v in read_toml(options, what="file of options").table.items() if k != "device"
            }
            is_same = _placeless(table) == _placeless(
                {k: v for k, v in training.table.items() if k != "device"}
            )
            if run != own and is_same and read_run_record(run):
                yield run
        except ChimeraError:  # a file of something else, or a run without a record
            continue


def _placeless(table: Mapping[str, Any]) -> dict[str, Any]:
    source = table.get("source")
    return {**table, "source": without_places(source)} if isinstance(source, Mapping) else dict(table)


def _data_now(training: Training, host: PluginHost) -> str:
    """Hash the images that a training would learn from; empty if they cannot be read."""
    from chimera_core.data.packing import data_of
    from chimera_core.training.data import open_source_of

    source = training.table["source"]
    named = SourceRef(**({"name": source} if isinstance(source, str) else source))
    try:
        return data_of(open_source_of(named, host).opened)
    except ChimeraError:  # the training says what is wrong
        return ""
