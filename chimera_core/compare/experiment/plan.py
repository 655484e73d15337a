"""An experiment, checked as a whole and laid out as cells, before anything starts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chimera_core.compare.experiment.cells import Cell, FuserFacts, cells_of
from chimera_core.compare.experiment.file import ExperimentFile, JudgeTable, read_experiment, variants_of
from chimera_core.compare.experiment.fusers import (
    FuserEntry,
    check_judges,
    find_entries,
    ids_twice,
    judge_identities,
)
from chimera_core.compare.experiment.identity import hash_of
from chimera_core.compare.experiment.moved_data import place_of
from chimera_core.compare.experiment.parents import ParentTuple, check_tuples, check_weights_fit, make_tuples
from chimera_core.compare.experiment.trainings import (
    Training,
    encoder_trainings,
    fuser_trainings,
    is_done,
    placeholder,
    train,
)
from chimera_core.components.choice import Choice, check_options
from chimera_core.errors import ChimeraError, ConfigError, DataError
from chimera_core.files.atomic import leads_out, one_line, quote, write_text_atomic
from chimera_core.files.own_folders import inside
from chimera_core.files.text import read_json_table
from chimera_core.fusing.weights import check_weights
from chimera_core.plugins.discovery import PluginHost
from chimera_core.report.record import KIND
from chimera_core.runs.record import RECORD, is_untouched, read_run_record
from chimera_core.scoring.judge.names import default_judge
from chimera_core.scoring.plugin_metrics import choose_metrics

_FACTS = "facts.json"


@dataclass(frozen=True)
class Experiment:
    """An experiment file whose every name, option, weight and picture was checked; nothing was written.

    ``trainings`` come first, encoders' before fusers'. Before they are done, components stand in for their runs.
    """

    file: ExperimentFile
    host: PluginHost = field(repr=False)
    entries: list[FuserEntry]
    judges: Mapping[str, Mapping[str, Any]]
    named: list[tuple[str, ...]]
    trainings: list[Training] = field(default_factory=list)
    metrics: Mapping[str, Choice] = field(default_factory=dict)

    @property
    def weights(self) -> list[tuple[float, ...]]:
        """Weights of the creatures, each list with sum 1."""
        return [check_weights(w, len(w)) for w in self.file.top.weights]


@dataclass(frozen=True)
class Comparison:
    """An experiment laid out: every cell of every fuser, by the fuser's id."""

    experiment: Experiment
    tuples: list[ParentTuple]
    cells: Mapping[str, list[Cell]]

    @property
    def all_cells(self) -> list[Cell]:
        """All cells, by fuser."""
        return [cell for cells in self.cells.values() for cell in cells]

    def entry(self, fuser: str) -> FuserEntry:
        """Look a fuser up."""
        return next(e for e in self.experiment.entries if e.id == fuser)


def check_experiment(path: Path, host: PluginHost) -> Experiment:
    """Read an experiment file and check it as a whole; needs no torch.

    Raises:
        ChimeraError: for the first mistake, with file, line and key.
    """
    file = read_with_judge(path, host)
    named = check_tuples(file)
    check_weights_fit(file)
    sources = {"parents": file.parents.source, "reference": file.reference.source if file.reference else None}
    for key, name in sources.items():
        if name is not None:
            try:
                component = host.find("dataset-source", name)
            except ChimeraError as error:
                raise file.error(error, key, "source") from None
            check_options(component, host, file.layer(key, "options"))
    judges = judge_identities(file, host)
    encoders = encoder_trainings(file, host)
    names = {name: placeholder(training) for name, training in encoders.items()}
    entries = find_entries(file, host, names=names)
    for twice in ids_twice(entries):
        raise file.error(f"two fusers are called {twice}: rename one", "fusers")
    check_judges(file, host, entries)
    trainings = [*encoders.values(), *fuser_trainings(file, host, variants_of(file), names)]
    try:
        metrics = choose_metrics(host, file.top.metrics)
    except ChimeraError as error:
        raise file.error(error, "metrics") from None
    return Experiment(file, host, entries, judges, named, trainings, metrics)


def read_with_judge(path: Path, host: PluginHost) -> ExperimentFile:
    """Read an experiment file; one that names no judge gets that of this machine.

    Raises:
        ConfigError: as ``read_experiment``.
    """
    file = read_experiment(path)
    if "judge" in file.judges:
        return file
    return replace(file, judges={"judge": JudgeTable(encoder=default_judge(host)), **file.judges})


def train_first(
    experiment: Experiment,
    folder: Path,
    *,
    device: str = "auto",
    registries: Sequence[str] = (),
    notify: Callable[[str], None] = lambda line: None,
) -> Experiment:
    """Do the trainings that are not done yet, encoders first; give the experiment with runs in their place.

    Raises:
        RunError: if one fails.
        KeyboardInterrupt: after Ctrl-C; a training goes on at the next call.
    """
    if not experiment.trainings:
        return experiment
    file, host = experiment.file, experiment.host

    def run_of(training: Training) -> str:
        place = place_of(training, folder, host)
        if not is_done(place):
            train(training, place, device=device, registries=registries, notify=notify)
        return str(place)

    encoders = {t.name: run_of(t) for t in experiment.trainings if t.kind == "encoder"}
    names = {name: {"name": run} for name, run in encoders.items()}
    runs = {t.name: run_of(t) for t in fuser_trainings(file, host, variants_of(file), names)}
    return replace(experiment, entries=find_entries(file, host, names=names, runs=runs))


def waits_for_training(experiment: Experiment, folder: Path) -> list[Training]:
    """List the trainings that are not done; a fuser's waits as long as an encoder's does, which it may need."""
    file, host = experiment.file, experiment.host
    encoders = {t.name: t for t in experiment.trainings if t.kind == "encoder"}
    places = {name: place_of(t, folder, host) for name, t in encoders.items()}
    waiting = [t for name, t in encoders.items() if not is_done(places[name])]
    fusers = [t for t in experiment.trainings if t.kind == "fuser"]
    if not waiting:
        names = {name: {"name": str(place)} for name, place in places.items()}
        known = fuser_trainings(file, host, variants_of(file), names)
        fusers = [t for t in known if not is_done(place_of(t, folder, host))]
    return [*waiting, *fusers]


def check_folder(folder: Path, name: str, named: Sequence[Sequence[str]] = ()) -> None:
    """Refuse a folder that holds something else than this experiment's results, or its parents.

    Args:
        named: tuples of parents, files among them.
    Raises:
        ConfigError: saying what it holds.
    """
    for parent in itertools.chain.from_iterable(named):
        if Path(parent).is_file() and not leads_out(parent, folder):
            raise ConfigError(
                f"parent {quote(parent)} lies in the run folder {quote(folder)}, where it could be replaced: copy it "
                "elsewhere, or name another folder with --run"
            )
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"the run folder {quote(folder)} is a file: name another with --run")
    if is_untouched(folder):
        return
    if not (folder / RECORD).is_file():
        raise ConfigError(f"the folder {quote(folder)} holds no comparison: name another with --run")
    record = read_run_record(folder)
    if record.get("kind") != KIND:
        raise ConfigError(
            f"{quote(folder)} is a run of another kind ({one_line(record.get('kind'), limit=60)}): name another with --run"
        )
    if record.get("experiment") != name:
        raise ConfigError(
            f"{quote(folder)} holds the results of experiment {quote(str(record.get('experiment'))[:100])}, not of "
            f"{quote(name)}: name another with --run"
        )


def lay_out(experiment: Experiment, folder: Path) -> Comparison:
    """Draw the parents that are to be drawn, into the run's folder, and list all cells.

    Raises:
        ChimeraError: if parents are not to be had, or a fuser can take none of them, or was not trained.
    """
    file = experiment.file
    tuples = make_tuples(file, experiment.host, experiment.named, folder)
    facts = _facts(experiment.entries, folder / _FACTS)
    cells = {}
    for entry in experiment.entries:
        known = facts[entry.id]
        place = ("fusers", entry.table) if entry.table else ("fusers",)
        if known.needs_training:
            raise file.error(
                f"{entry.fuser} must be trained first: name a run of it, or add [fusers.{entry.table}.train]",
                *place,
            )
        cells[entry.id] = cells_of(
            entry, known, tuples, weights=experiment.weights, seeds=list(file.top.seeds)
        )
        if entry.table and all(cell.reason for cell in cells[entry.id]):
            raise file.error(
                f"{entry.fuser} can take none of the parents: it {cells[entry.id][0].reason}", *place
            )
    return Comparison(experiment, tuples, cells)


def _facts(entries: list[FuserEntry], path: Path) -> dict[str, FuserFacts]:
    """Give what fusers say of themselves; kept in a file, because asking imports torch."""
    try:
        kept = read_json_table(inside(path.parent, path.name))
    except (DataError, OSError):
        kept = {}
    found, written = {}, {}
    for entry in entries:
        key = hash_of(entry.identity)
        noted = FuserFacts.from_json(kept.get(key)) if entry.trained is None else None
        facts = found[entry.id] = noted or FuserFacts.of(entry)
        written[key] = facts.to_json()
    if written != kept:
        write_text_atomic(path, json.dumps(written, indent=1) + "\n")
    return found
