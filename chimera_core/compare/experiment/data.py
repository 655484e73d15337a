"""The data of an experiment, opened before anything starts: what is too small or not there costs no creature."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chimera_core.compare.experiment.plan import Experiment
from chimera_core.compare.experiment.trainings import Training
from chimera_core.data.split_names import learning_split, name_splits
from chimera_core.errors import ChimeraError, DataError
from chimera_core.files.atomic import quote, spell_paths
from chimera_core.models.fusers import is_class_name
from chimera_core.options.config import suggest

if TYPE_CHECKING:
    from chimera_core.interfaces.components import DatasetSource


def check_data(experiment: Experiment, trainings: Sequence[Training]) -> list[str]:
    """Open the sources of an experiment: its reference, and those that are to be learned from. No image is decoded.

    Returns:
        What cannot be measured, a line each.
    Raises:
        ConfigError: with file, line and key, if data are not to be had, a split does not exist, or the reference is
            too small.
    """
    file, sources = experiment.file, _Sources(experiment)
    for training in trainings:
        source = training.table.get("source")
        named = source if isinstance(source, Mapping) else {"name": source}
        try:
            counts = sources.open(str(named.get("name")), named.get("options") or {}).info.splits
            name_splits(counts, training.table.get("train_split"), training.table.get("val_split"))
        except ChimeraError as error:
            raise file.error(error, *training.keys) from None
    if file.reference is not None:
        _check_reference(experiment, sources)
    if file.parents.source is not None:
        return []
    unseen = {name for named in experiment.named for name in named if is_class_name(name)}
    return [
        f"there is no image of {', '.join(sorted(unseen))} to show to a judge, so creatures of these parents are made "
        "and not measured: name a source of them in [parents]"
    ] * bool(unseen)


def _check_reference(experiment: Experiment, sources: _Sources) -> None:
    from chimera_core.scoring.reference import check_size

    file = experiment.file
    table = file.reference
    assert table is not None
    try:
        source = sources.open(table.source, table.options)
        splits = source.info.splits
        name = table.split or learning_split(splits)
        if name not in splits:
            raise DataError(f"source {table.source} has no split {quote(name)}" + suggest(name, splits))
        check_size(min(splits[name], table.images))
    except ChimeraError as error:
        raise file.error(error, "reference") from None


class _Sources:
    """Opens each source once."""

    def __init__(self, experiment: Experiment) -> None:
        self._host = experiment.host
        self._opened: dict[str, DatasetSource] = {}

    def open(self, name: str, options: Mapping[str, Any]) -> DatasetSource:
        from chimera_core.components.choice import choose

        key = json.dumps([name, options], sort_keys=True, default=str)
        if key not in self._opened:
            self._opened[key] = choose(self._host, "dataset-source", name, spell_paths(options)).load()
        return self._opened[key]
